"""What the reference client demands of a server's frame before it looks at it: fields of the right types."""

from __future__ import annotations

from typing import Any

FIELDS: dict[str, type] = {
    "room": str,
    "ref": str,
    "seq": int,
    "epoch": str,
    "n": int,
    "more": bool,
    "sender": str,
}
# type ▶ what its payload must have
DEMANDED: dict[str, dict[str, type]] = {
    "WELCOME": {"user": str, "limits": dict, "rooms": list},
    "JOINED": {"epoch": str, "seq": int, "recovered": bool, "missed": int},
    "DROPPED": {"seq": int},
    "RECONNECT": {"after_ms": int},
    "HISTORY": {"messages": list},
    "RECEIPT": {"level": str, "complete": bool},
    "ERROR": {"code": str, "retry": bool},
    "AUTHENTICATED": {},
}
# type ▶ what its payload may have
ALLOWED: dict[str, dict[str, type]] = {
    "ACK": {"seq": int, "epoch": str},
    "ERROR": {"retry_after_ms": int, "close": int, "reconnect": str},
    "LEFT": {"reason": str},
    "PRESENCE": {
        "digest": str,
        "joined": list,
        "left": list,
        "version": int,
        "count": dict,
        "watching": bool,
    },
    "AUTHENTICATED": {"expires_at": int},
}
WITH_ROOM = {"JOINED", "DROPPED", "LEFT"}


def readable(frame: dict[str, Any]) -> bool:
    """Say whether the frame can be looked at."""
    kind, payload = frame.get("type"), frame.get("payload")
    if not isinstance(kind, str) or not _fits(frame, FIELDS):
        return False
    if frame.get("seq") is not None and not (frame.get("epoch") and frame.get("room")):
        return False
    if kind in WITH_ROOM and not frame.get("room"):
        return False
    if kind in DEMANDED and not (
        isinstance(payload, dict) and all(name in payload for name in DEMANDED[kind])
    ):
        return False
    if kind == "PRESENCE" and isinstance(payload, dict) and not _proved(payload):
        return False
    if isinstance(payload, dict):
        return _fits(payload, DEMANDED.get(kind, {})) and _fits(payload, ALLOWED.get(kind, {}))
    return payload is None or kind not in ALLOWED


def _proved(payload: dict[str, Any]) -> bool:
    """Say whether digest and members are what they should be."""
    members = [*(payload.get("joined") or []), *(payload.get("updated") or [])]
    try:
        int(payload.get("digest", "0"), 16)
        return all(isinstance(each["user"], str) and int(each["proof"], 16) >= 0 for each in members)
    except (KeyError, TypeError, ValueError):
        return False


def _fits(found: dict[str, Any], fields: dict[str, type]) -> bool:
    return all(
        found.get(name) is None
        or (isinstance(found[name], kind) and (kind is bool or not isinstance(found[name], bool)))
        for name, kind in fields.items()
    )
