"""Hook messages: what a backend is asked before a client may connect, join or publish, and what it answers,
as JSON.

An answer is read strictly: one that can't be followed to the letter raises InvalidAnswer and decides nothing.
This module keeps nothing and does not know who is asked.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from gateway.core.grants import ConnectGrant, Grant
from warren.address import is_room, is_user
from warren.message_rules import too_deep

Hook = Literal["connect", "join", "publish"]

# What of an answer's ``reason`` a client is shown, in characters.
REASON_MAX: Final = 256
# What is shown of a member in a room's presence, in bytes of JSON.
INFO_BYTES: Final = 1_024
# Rooms that an answer to ``connect`` may name.
ROOMS_MAX: Final = 1_000
# How long a backend's answer may be good for, in seconds: a day.
TTL_MAX_S: Final = 86_400
# The right that an answer may give besides the one that was asked for.
PUBLISH_RIGHT: Final = "publish"


class InvalidAnswer(ValueError):
    """A backend's answer that can't be followed; the text says what is wrong, and repeats nothing of it."""


class HookMessage(msgspec.Struct, frozen=True):
    """What a client wants to publish; ``payload`` is JSON text, or raw bytes where ``binary``."""

    type: str
    payload: bytes
    binary: bool = False
    id: str = ""
    key: str = ""


class HookQuery(msgspec.Struct, frozen=True):
    """What is to be decided of one connection. ``user`` is empty where the client has named none.

    ``claims`` (JSON, empty: none) and ``headers`` are those that were chosen by the settings. ``grant`` is
    what the client has shown, ``message`` what it wants to publish. What the user was granted before
    ``void_s`` does not count (s since the Unix epoch; 0: nothing was revoked, as far as is known).
    ``anonymous``, of ``connect``: the name of a client without a token, its own or a made-up one.
    """

    hook: Hook
    user: str
    connection: str
    claims: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    room: str = ""
    namespace: str = ""
    grant: str = ""
    message: HookMessage | None = None
    void_s: int = 0
    anonymous: str = ""


class HookAnswer(msgspec.Struct, frozen=True):
    """What a backend says. ``ttl_s``: for how long it says so, and not of this message alone.

    ``publish``: with a join, that publishing to the room needs no further question for as long. ``user``
    (empty: as it was) and ``rooms`` belong to ``connect``; ``payload`` (None: as it was) to ``publish``.
    """

    allow: bool
    reason: str = ""
    ttl_s: int = 0
    publish: bool = False
    user: str = ""
    info: bytes = b""
    rooms: tuple[str, ...] = ()
    payload: bytes | None = None
    binary: bool = False

    @staticmethod
    def of(grant: Grant | ConnectGrant) -> HookAnswer:
        """Return what a grant stands for: a backend's answer, given before."""
        if isinstance(grant, ConnectGrant):
            return HookAnswer(True, user=grant.user, info=grant.info, rooms=grant.rooms)
        return HookAnswer(True, publish=grant.publish, info=grant.info)


_ABSENT: Final = msgspec.Raw()
_NULL: Final = b"null"


class _Question(msgspec.Struct, omit_defaults=True):
    hook: str
    connection: str
    user: str = ""
    claims: msgspec.Raw = _ABSENT
    headers: Mapping[str, str] = {}
    room: str = ""
    namespace: str = ""
    type: str = ""
    id: str = ""
    key: str = ""
    payload: msgspec.Raw = _ABSENT
    encoding: str = ""


class _Answer(msgspec.Struct):
    allow: bool
    reason: str | None = None
    ttl: float | None = None
    rights: list[str] | None = None
    user: str | None = None
    info: msgspec.Raw = _ABSENT
    rooms: list[str] | None = None
    payload: msgspec.Raw = _ABSENT
    encoding: str | None = None


_encoder = msgspec.json.Encoder()
_answers = msgspec.json.Decoder(_Answer)
_texts = msgspec.json.Decoder(str)


def spell(query: HookQuery) -> bytes:
    """Return the body of a question: a JSON object; what is empty is left out."""
    message = query.message
    question = _Question(
        query.hook,
        query.connection,
        query.user,
        msgspec.Raw(query.claims) if query.claims else _ABSENT,
        dict(query.headers),
        query.room,
        query.namespace,
    )
    if message is not None:
        question.type, question.id, question.key = message.type, message.id, message.key
        if message.binary:
            question.encoding = "base64"
            question.payload = msgspec.Raw(_encoder.encode(base64.b64encode(message.payload).decode()))
        else:
            question.payload = msgspec.Raw(message.payload)
    fields = {name: getattr(question, name) for name in _Question.__struct_fields__}
    return _encoder.encode({name: value for name, value in fields.items() if value not in ("", {}, _ABSENT)})


def read(body: bytes, hook: Hook, payload_bytes: int) -> HookAnswer:
    """Return what a backend has answered to a question of this kind; ``payload_bytes`` is how large a changed
    payload may be. Raises InvalidAnswer.
    """
    try:
        found = _answers.decode(body)
    except (ValueError, RecursionError):
        raise InvalidAnswer('must be a JSON object with "allow": true or false') from None
    payload, binary = _payload(found, payload_bytes) if hook == "publish" else (None, False)
    return HookAnswer(
        found.allow,
        (found.reason or "")[:REASON_MAX],
        _ttl_s(found.ttl),
        hook == "join" and PUBLISH_RIGHT in (found.rights or ()),
        _user(found.user) if hook == "connect" else "",
        _info(found.info),
        _rooms(found.rooms) if hook == "connect" else (),
        payload,
        binary,
    )


def _ttl_s(ttl: float | None) -> int:
    if ttl is None:
        return 0
    if not 0 <= ttl < float("inf"):
        raise InvalidAnswer("ttl: must be seconds, 0 or more")
    return min(int(ttl), TTL_MAX_S)


def _user(user: str | None) -> str:
    if user and not is_user(user):
        raise InvalidAnswer("user: is no user's name")
    return user or ""


def _rooms(rooms: list[str] | None) -> tuple[str, ...]:
    if not rooms:
        return ()
    if len(rooms) > ROOMS_MAX or not all(map(is_room, rooms)):
        raise InvalidAnswer(f"rooms: must be a list of at most {ROOMS_MAX} names of rooms")
    return tuple(dict.fromkeys(rooms))


def _info(info: msgspec.Raw) -> bytes:
    data = bytes(info)
    if len(data) > INFO_BYTES or too_deep(data):
        raise InvalidAnswer(f"info: must be JSON of at most {INFO_BYTES} bytes")
    return b"" if data == _NULL else data


def _payload(found: _Answer, limit: int) -> tuple[bytes | None, bool]:
    data: Any = bytes(found.payload)
    binary = found.encoding is not None
    if not data and not binary:
        return None, False
    if binary:
        try:
            data = binascii.a2b_base64(_texts.decode(data), strict_mode=True)
        except ValueError:  # the parent of binascii.Error and of msgspec's
            raise InvalidAnswer("payload: must be a string of base64") from None
        if found.encoding != "base64":
            raise InvalidAnswer("encoding: must be base64")
    elif too_deep(data):
        raise InvalidAnswer("payload: is nested too deep")
    if len(data) > limit:
        raise InvalidAnswer(f"payload: has more than {limit} bytes")
    return data, binary
