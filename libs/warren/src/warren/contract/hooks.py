"""Hooks: what a backend is asked before a client may connect, join or publish, and what it answers.

Asked as plain AMQP RPC. What is empty is left out. Nothing here decides.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from warren.contract.fields import Base64, Connection, EncodingField, Room, Type, User, ruled, says

REASON_MAX = 256
INFO_MAX_BYTES = 1_024


class HookQuestion(msgspec.Struct, omit_defaults=True, frozen=True):
    """May this client connect, join this room, or publish this message?"""

    hook: Annotated[Literal["connect", "join", "publish"], says("What the client wants to do.")]
    connection: Annotated[Connection, says("The client's connection.")]
    user: Annotated[User, says("The user's name; missing where the client has named none.")] = ""
    claims: Annotated[dict[str, Any], says("Those claims of the token that the settings select.")] = {}
    headers: Annotated[
        dict[str, str], says("Those headers of the upgrade request that the settings select.")
    ] = {}
    room: Annotated[Room, says("The room, of `join` and `publish`.")] = ""
    namespace: Annotated[str, says("The room's namespace, of `join` and `publish`.")] = ""
    type: Annotated[Type, says("The message's type, of `publish`.")] = ""
    id: Annotated[str, says("The message's id, of `publish`.")] = ""
    key: Annotated[str, says("The message's key, of `publish`.")] = ""
    payload: Annotated[Any | msgspec.UnsetType, says("The message's payload, of `publish`.")] = msgspec.UNSET
    encoding: Annotated[Base64, says("`base64`: the payload is a base64 string and stands for bytes.")] = ""


class HookAnswer(msgspec.Struct, omit_defaults=True, frozen=True):
    """A backend's decision."""

    allow: Annotated[bool, says("Whether the client may.")]
    reason: Annotated[
        Annotated[str, ruled(maxLength=REASON_MAX)] | None,
        says("Why not; the client is shown it."),
    ] = None
    ttl: Annotated[
        Annotated[float, ruled(minimum=0)] | None,
        says(
            "For how many seconds this decision holds; with it, an allowed connect or join becomes a grant "
            "that the client shows next time."
        ),
    ] = None
    rights: Annotated[
        list[str] | None,
        says("Of `join`: `publish` lets the client publish there without further questions."),
    ] = None
    user: Annotated[User | None, says("Of `connect`: the user's name from now on.")] = None
    info: Annotated[Any, says("What others see of the member; at most 1 KiB of JSON.")] = None
    rooms: Annotated[list[Room] | None, says("Of `connect`: rooms that the connection joins.")] = None
    payload: Annotated[
        Any | msgspec.UnsetType, says("Of `publish`: the payload that is published in place of the client's.")
    ] = msgspec.UNSET
    encoding: EncodingField = None
