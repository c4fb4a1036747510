"""Messages as they cross the broker: what is published, and what has come. It decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

HeaderValue = str | int | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message to publish, without its exchange."""

    routing_key: str
    body: bytes
    content_type: str | None = None
    type: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    # What is left of its time once the broker has it; None: no end.
    expiration_ms: int | None = None
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    persistent: bool = True
    # Where it reaches no queue the broker gives it back, and whoever sent it is told.
    mandatory: bool = True

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(self.body) + 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """One message that has come."""

    routing_key: str
    body: bytes
    content_type: str | None = None
    type: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration_ms: int | None = None
    headers: Mapping[str, object] = field(default_factory=dict)
    redelivered: bool = False

    def text(self, header: str) -> str:
        """Return a header that is a string; empty where it is missing, or something else."""
        value = self.headers.get(header)
        return value if isinstance(value, str) else ""
