"""Event: what Warren tells of clients, rooms and messages, read from the message in which it came. It handles
nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, cast

from warren_backend.contract import MembershipEvent, MessageEvent
from warren_backend.core.messages import Incoming


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that has happened. What an event of its kind does not say is empty, or None.

    ``key`` names it among all events of all installations: a repeat has the same one. ``payload`` is a value
    of JSON, or bytes; ``data`` is the whole body as it came.
    """

    key: str
    id: str
    event: str
    at: int
    routing_key: str
    room: str = ""
    user: str = ""
    connection: str = ""
    gateway: str = ""
    generation: int | None = None
    connections: int | None = None
    reason: str = ""
    type: str = ""
    epoch: str = ""
    seq: int | None = None
    message_id: str = ""
    payload: Any = None
    data: MembershipEvent | MessageEvent
    traceparent: str = ""

    @property
    def came(self) -> bool:
        """Whether this is the user's first connection there: the user has really come."""
        return self.event in ("client.connected", "room.joined") and self.connections == 1

    @property
    def went(self) -> bool:
        """Whether this was the user's last connection there: the user has really gone."""
        return self.event in ("client.disconnected", "room.left") and self.connections == 0


def event_of(message: Incoming) -> Event:
    """Return the event of a message. Raises ValueError with what is wrong with it."""
    try:
        data = json.loads(message.body)
    except RecursionError:
        raise ValueError("the event nests too deep") from None
    except ValueError as error:
        raise ValueError(f"the event is no JSON: {error}") from None
    if not isinstance(data, dict):
        raise ValueError("the event is no JSON object")
    ident, kind, at = data.get("event_id"), data.get("event"), data.get("at")
    if not (isinstance(ident, str) and isinstance(kind, str) and isinstance(at, int)):
        raise ValueError("the event has no event_id, event and at")
    payload = data.get("payload")
    if data.get("encoding") == "base64":
        try:
            payload = base64.b64decode(payload or "", validate=True)
        except (TypeError, ValueError, binascii.Error) as error:
            raise ValueError(f"the event's payload is no base64: {error}") from None
    texts = ("room", "user", "connection", "gateway", "reason", "type", "epoch")
    numbers = ("generation", "connections", "seq")
    said: dict[str, Any] = {name: str(data.get(name, "")) for name in texts}
    said |= {name: data[name] for name in numbers if isinstance(data.get(name), int)}
    source = message.text("cloudEvents_source")
    return Event(
        key=f"{source}#{ident}" if source else ident,
        id=ident,
        event=kind,
        at=at,
        routing_key=message.routing_key,
        message_id=str(data.get("id", "")),
        payload=payload,
        data=cast("MembershipEvent | MessageEvent", data),
        traceparent=message.text("traceparent"),
        **said,
    )
