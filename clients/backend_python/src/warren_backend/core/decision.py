"""Decisions of hooks: what a gateway asks, and what a backend may answer to each question.

Each kind of answer has the fields that Warren follows for it, and is checked before it is sent: an answer
that can't be followed to the letter would decide nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from warren_backend.core import addresses, payloads
from warren_backend.core.messages import Incoming

REASON_MAX: Final = 256
INFO_MAX_BYTES: Final = 1_024
TTL_MAX_S: Final = 86_400

HookName = Literal["connect", "join", "publish"]


class _Unchanged:
    """Stands for the payload that the client has sent."""

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Final = _Unchanged()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectQuestion:
    """May this client connect? ``user`` is empty where an anonymous client has named none."""

    connection: str
    user: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinQuestion(ConnectQuestion):
    """May it join this room?"""

    room: str
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishQuestion(JoinQuestion):
    """May it publish this message? ``payload`` is a value of JSON, or bytes."""

    type: str
    id: str = ""
    key: str = ""
    payload: Any = None


Question = ConnectQuestion | JoinQuestion | PublishQuestion


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """No. The client is shown ``reason``; ``ttl_s`` is for how long you would say so again."""

    reason: str = ""
    ttl_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowConnect:
    """Yes; as ``user``, with ``info`` for others to see, and into ``rooms`` whatever the token says."""

    ttl_s: float | None = None
    user: str | None = None
    info: Any = None
    rooms: tuple[str, ...] | list[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowJoin:
    """Yes. ``publish``: what it publishes there needs no question either, for as long as ``ttl_s``."""

    ttl_s: float | None = None
    info: Any = None
    publish: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowPublish:
    """Yes; ``payload`` (JSON or bytes) is published in place of the client's."""

    ttl_s: float | None = None
    payload: Any = UNCHANGED


Decision = bool | Deny | AllowConnect | AllowJoin | AllowPublish
_ALLOWS: Final[dict[HookName, type[AllowConnect | AllowJoin | AllowPublish]]] = {
    "connect": AllowConnect,
    "join": AllowJoin,
    "publish": AllowPublish,
}


def question_of(message: Incoming) -> tuple[HookName, Question]:
    """Return what is asked. Raises ValueError with what is wrong with the message."""
    try:
        said = json.loads(message.body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the question is no JSON: {error}") from None
    if not isinstance(said, dict):
        raise ValueError("the question is no JSON object")
    who: dict[str, Any] = {
        "connection": said.get("connection", ""),
        "user": said.get("user", ""),
        "claims": said.get("claims", {}),
        "headers": said.get("headers", {}),
    }
    match said.get("hook"):
        case "connect":
            return "connect", ConnectQuestion(**who)
        case "join":
            return "join", JoinQuestion(**who, room=said["room"], namespace=said["namespace"])
        case "publish":
            payload = said.get("payload")
            if said.get("encoding") == "base64":
                try:
                    payload = base64.b64decode(payload or "", validate=True)
                except (TypeError, ValueError, binascii.Error) as error:
                    raise ValueError(f"the payload is no base64: {error}") from None
            message_said = {name: said.get(name, "") for name in ("type", "id", "key")}
            return "publish", PublishQuestion(
                **who, **message_said, room=said["room"], namespace=said["namespace"], payload=payload
            )
        case other:
            raise ValueError(f"there is no hook {other!r}")


def answer_to(hook: HookName, decision: object) -> bytes:
    """Return an answer's body. Raises ValueError where Warren could not follow it."""
    if isinstance(decision, bool):
        decision = _ALLOWS[hook]() if decision else Deny()
    if isinstance(decision, Deny):
        if len(decision.reason) > REASON_MAX:
            raise ValueError(f"the reason has {len(decision.reason)} characters, at most {REASON_MAX}")
        return _json({"allow": False, "reason": decision.reason or None, "ttl": _ttl(decision.ttl_s)})
    if not isinstance(decision, _ALLOWS[hook]):
        raise ValueError(
            f"the hook {hook} is answered by {_ALLOWS[hook].__name__}, Deny, True or False, not {decision!r}"
        )
    said: dict[str, Any] = {"allow": True, "ttl": _ttl(decision.ttl_s)}
    if isinstance(decision, AllowPublish):
        return _json(said, **_changed(decision.payload))
    if decision.info is not None:
        if len(payloads.json_text(decision.info).encode()) > INFO_MAX_BYTES:
            raise ValueError(f"info has more than {INFO_MAX_BYTES} bytes of JSON")
        said["info"] = decision.info
    if isinstance(decision, AllowJoin):
        return _json(said | ({"rights": ["publish"]} if decision.publish else {}))
    if decision.user is not None:
        addresses.user(decision.user)
    for room in decision.rooms:
        addresses.room(room)
    return _json(said | {"user": decision.user, "rooms": list(decision.rooms) or None})


def _changed(payload: object) -> dict[str, Any]:
    if payload is UNCHANGED:
        return {}
    if isinstance(payload, payloads.Bytes):
        return {"payload": base64.b64encode(bytes(payload)).decode(), "encoding": "base64"}
    return {"payload": payload}


def _ttl(ttl_s: float | None) -> float | None:
    if ttl_s is not None and not 0 <= ttl_s <= TTL_MAX_S:
        raise ValueError(f"ttl_s is {ttl_s}: 0 to {TTL_MAX_S} seconds")
    return ttl_s


def _json(said: dict[str, Any], **more: Any) -> bytes:
    """Return an object without what is None; ``more`` keeps it: a payload may be null."""
    kept = {name: value for name, value in said.items() if value is not None}
    return payloads.json_text(kept | more).encode()
