"""Notification parser: what a backend publishes, checked and turned into a Publish; or the reason why it
can't be.

Pure: strings and bytes in, an envelope out. The payload's bytes are checked (JSON text, in UTF-8) without
building anything from them, in time that is linear in them: the parser first, and what is asked beyond it
only of what the parser has found to be JSON.
"""

from __future__ import annotations

import msgspec

from warren.address import EVERYONE, is_connection, is_room, is_user, user_room
from warren.contract.fields import MAX_EXPIRATION_MS, MESSAGE_ID_MAX
from warren.contract.notifications import DEFAULT_TYPE, SEEN_WITHIN_MAX_MS, SEEN_WITHIN_MIN_MS
from warren.envelope import INTERNAL_ID, Publish
from warren.log_entries import RECEIPT_LEVELS, RECEIPT_NONE
from warren.message_rules import KEY_MAX, TYPE_RULE, is_reserved_type, is_type
from warren.payloads import BINARY_TYPE, JSON_TYPE, is_binary, is_json


class Notification(msgspec.Struct, frozen=True):
    """A backend's message as it came, without anything of the bus."""

    key: str  # the routing key
    body: bytes
    content_type: str | None = None
    type: str | None = None
    id: str | None = None
    expiration_ms: int | None = None
    latest_key: object = None  # the header ``key``
    receipt: object = None  # the header ``receipt``
    seen_within_ms: object = None  # the header of that name


def parse(notification: Notification, *, now_us: int, max_bytes: int) -> Publish | str:
    """Return the envelope, or the reason why there is none. ``now_us`` is wall time."""
    address = address_of(notification.key)
    if address is None:
        return "invalid address: the routing key must be room.<room>, user.<user>, conn.<connection> or all"
    kind = notification.type or DEFAULT_TYPE
    if not is_type(kind):
        return f"invalid type: {TYPE_RULE}"
    if is_reserved_type(kind):
        return "reserved type: UPPER CASE types are Warren's own"
    message_id = notification.id or ""
    if len(message_id) > MESSAGE_ID_MAX or not message_id.isprintable():
        return f"invalid message_id: at most {MESSAGE_ID_MAX} printable characters"
    if message_id.startswith(INTERNAL_ID):  # Warren makes such ids itself, and shows them to nobody
        return f"reserved message_id: {INTERNAL_ID} must not be its first character"
    latest = notification.latest_key
    if latest is None:
        latest = ""
    if not isinstance(latest, str) or len(latest) > KEY_MAX or not latest.isprintable():
        return f"invalid header key: a string of at most {KEY_MAX} printable characters"
    expiration = notification.expiration_ms
    if expiration is not None and not 0 <= expiration <= MAX_EXPIRATION_MS:
        return f"invalid expiration: 0 to {MAX_EXPIRATION_MS} ms"
    if len(notification.body) > max_bytes:
        return f"too large: {len(notification.body)} bytes, at most {max_bytes}"
    binary = is_binary(notification.content_type)
    if binary is None:
        return f"unsupported content_type: {JSON_TYPE} or {BINARY_TYPE}"
    if not binary and not is_json(notification.body):
        return "invalid payload: no JSON text in UTF-8"
    receipt = _level(notification.receipt)
    if receipt is None:
        return "invalid header receipt: accepted, written or seen"
    within = notification.seen_within_ms
    if within is not None and (address == EVERYONE or is_connection(address)):
        return "invalid header seen_within_ms: only what goes to a room or a user can be seen"
    if within is not None and not _is_time(within):
        return f"invalid header seen_within_ms: {SEEN_WITHIN_MIN_MS} to {SEEN_WITHIN_MAX_MS}"
    return Publish(
        room=address,
        type=kind,
        payload=notification.body,
        at_us=now_us,
        id=message_id,
        binary=binary,
        key=latest,
        expires_ms=0 if expiration is None else now_us // 1_000 + expiration,
        receipt=receipt,
        unseen_ms=within if isinstance(within, int) else 0,
    )


def _level(asked: object) -> int | None:
    """Return what the header ``receipt`` asks for; None where there is no such thing."""
    if asked is None:
        return RECEIPT_NONE
    return RECEIPT_LEVELS.get(asked) if isinstance(asked, str) else None


def _is_time(within: object) -> bool:
    return type(within) is int and SEEN_WITHIN_MIN_MS <= within <= SEEN_WITHIN_MAX_MS


def address_of(key: str) -> str | None:
    """Return the address that a routing key names; None where it names none."""
    if key == "all":
        return EVERYONE
    kind, _, name = key.partition(".")
    match kind:
        case "room":
            return name if is_room(name) else None
        case "user":
            return user_room(name) if is_user(name) else None
        case "conn":
            return name if is_connection(name) else None
        case _:
            return None
