"""Notification: one message of a backend to clients, checked by the rules of Warren before anything is sent,
and written as an AMQP message or as an entry of a list.

Pure, but for the ids that it makes; it knows no time. What Warren alone knows (how large a payload
may be) it does not check.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from warren_backend.core import addresses, payloads
from warren_backend.core.errors import InvalidNotification, remedy
from warren_backend.core.messages import HeaderValue, Outgoing

Level = Literal["accepted", "written", "seen"]

DEFAULT_TYPE: Final = "NOTIFICATION"
LIST_KEY: Final = "list"
MAX_ENTRIES: Final = 1_000
MAX_LIST_BYTES: Final = 4 * 1024 * 1024
MAX_EXPIRATION_MS: Final = (1 << 32) - 1
SEEN_WITHIN_MS: Final = (1_000, 7 * 86_400_000)

_ORDINARY: Final = frozenset({"CHAT", "TYPING", "NOTIFICATION", "DATA_UPDATE"})
_TYPE = re.compile(r"[A-Za-z0-9_\-.:]{1,64}")
_UPPER_CASE = re.compile(r"[0-9_]*[A-Z][A-Z0-9_]*")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def _new_id() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A message to ``address``; the payload is any JSON, or bytes.

    ``id`` makes it count once in its room, however often it is sent; each has one. ``persistent=False``: it
    may be lost when a broker restarts. Raises InvalidNotification where Warren would refuse it.
    """

    address: str
    payload: object
    type: str = DEFAULT_TYPE
    id: str = field(default_factory=_new_id)
    key: str | None = None
    expiration_ms: int | None = None
    seen_within_ms: int | None = None
    traceparent: str | None = None
    persistent: bool = True

    def __post_init__(self) -> None:
        """Check all but the payload, which is checked when it is written."""
        if (wrong := _fault(self)) is not None:
            raise InvalidNotification(wrong)

    def message(self, receipt: Level | None = None, reply_to: str = "", correlation_id: str = "") -> Outgoing:
        """Return it as an AMQP message, which asks for a receipt where one is named. Raises
        InvalidNotification.
        """
        try:
            body, content_type = payloads.encoded(self.payload)
        except ValueError as error:
            raise InvalidNotification(str(error)) from None
        headers: dict[str, HeaderValue] = {}
        if self.traceparent:
            headers["traceparent"] = self.traceparent
        if self.key is not None:
            headers["key"] = self.key
        if self.seen_within_ms is not None:
            headers["seen_within_ms"] = self.seen_within_ms
        if receipt is not None:
            headers["receipt"] = receipt
        return Outgoing(
            routing_key=self.address,
            body=body,
            content_type=content_type,
            type=self.type,
            message_id=self.id,
            expiration_ms=self.expiration_ms,
            headers=headers,
            persistent=self.persistent,
            reply_to=reply_to or None,
            correlation_id=correlation_id or None,
        )

    def entry(self) -> str:
        """Return it as JSON text of one entry of a list. Raises InvalidNotification."""
        said: dict[str, Any] = {"address": self.address, "id": self.id, "type": self.type}
        if isinstance(self.payload, payloads.Bytes):
            said |= {"payload": base64.b64encode(bytes(self.payload)).decode(), "encoding": "base64"}
        else:
            said["payload"] = self.payload
        said |= {
            name: value
            for name, value in (
                ("key", self.key),
                ("expiration", self.expiration_ms),
                ("traceparent", self.traceparent),
                ("seen_within_ms", self.seen_within_ms),
            )
            if value is not None
        }
        try:
            return payloads.json_text(said)
        except ValueError as error:
            raise InvalidNotification(str(error)) from None


def lists(notifications: Iterable[Notification]) -> Iterator[Outgoing]:
    """Yield AMQP messages that carry all of these, in their order, each no larger than Warren takes. Raises
    InvalidNotification.
    """
    entries: list[str] = []
    size, persistent = 2, False
    for notification in notifications:
        entry = notification.entry()
        takes = len(entry.encode()) + 1
        if takes + 2 > MAX_LIST_BYTES:
            raise InvalidNotification(
                f"the notification {notification.id!r} is too large for a list: send it alone"
            )
        if len(entries) == MAX_ENTRIES or size + takes > MAX_LIST_BYTES:
            yield _list(entries, persistent)
            entries, size, persistent = [], 2, False
        entries.append(entry)
        size += takes
        persistent |= notification.persistent
    if entries:
        yield _list(entries, persistent)


def _list(entries: list[str], persistent: bool) -> Outgoing:
    return Outgoing(
        routing_key=LIST_KEY,
        body=f"[{','.join(entries)}]".encode(),
        content_type=payloads.LIST_TYPE,
        persistent=persistent,
    )


def _fault(notification: Notification) -> str | None:
    """Return what Warren would refuse it for, and what to do; None: nothing."""
    try:
        addresses.checked(notification.address)
    except ValueError as error:
        return str(error)
    kind, ident, key = notification.type, notification.id, notification.key
    within, expiration = notification.seen_within_ms, notification.expiration_ms
    if _TYPE.fullmatch(kind) is None:
        return f"invalid type {kind!r}: {remedy('invalid type')}"
    if kind not in _ORDINARY and _UPPER_CASE.fullmatch(kind) is not None:
        return f"reserved type {kind!r}: {remedy('reserved type')}"
    if not ident.isprintable() or not 0 < len(ident.encode()) <= 255:
        return f"invalid id {ident!r}: 1 to 255 bytes of printable characters"
    if ident.startswith("~"):
        return f"invalid id {ident!r}: {remedy('reserved message_id')}"
    if key is not None and (len(key) > 128 or not key.isprintable()):
        return f"invalid key {key!r}: {remedy('invalid header key')}"
    if expiration is not None and not 0 <= expiration <= MAX_EXPIRATION_MS:
        return f"invalid expiration_ms {expiration}: 0 to {MAX_EXPIRATION_MS}"
    if within is not None and not SEEN_WITHIN_MS[0] <= within <= SEEN_WITHIN_MS[1]:
        return f"invalid seen_within_ms {within}: {SEEN_WITHIN_MS[0]} to {SEEN_WITHIN_MS[1]}"
    if within is not None and notification.address.partition(".")[0] not in ("room", "user"):
        return "invalid seen_within_ms: only what goes to a room or a user can be seen"
    if notification.traceparent and _TRACEPARENT.match(notification.traceparent) is None:
        return f"invalid traceparent {notification.traceparent!r}: as W3C Trace Context has it"
    return None
