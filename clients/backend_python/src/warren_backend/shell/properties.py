"""Properties: messages as aiormq has them, to and from this package's own records. It sends nothing."""

from __future__ import annotations

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from warren_backend.core.messages import Incoming, Outgoing

_PERSISTENT = 2
_TRANSIENT = 1


def properties_of(message: Outgoing, left_ms: int | None) -> Basic.Properties:
    """Return a message's AMQP properties; ``left_ms`` is what is left of its time."""
    return Basic.Properties(
        content_type=message.content_type,
        message_type=message.type,
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        expiration=None if left_ms is None else str(left_ms),
        headers=dict(message.headers) or None,
        delivery_mode=_PERSISTENT if message.persistent else _TRANSIENT,
    )


def incoming_of(message: DeliveredMessage) -> Incoming:
    """Return what has come; what no client of Warren writes (an expiration that is no number) is left out."""
    properties = message.header.properties
    expiration = str(properties.expiration or "")
    return Incoming(
        routing_key=str(message.routing_key or ""),
        body=bytes(message.body),
        content_type=properties.content_type,
        type=properties.message_type,
        message_id=properties.message_id,
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        expiration_ms=int(expiration) if expiration.isdecimal() and expiration.isascii() else None,
        headers=dict(properties.headers or {}),
        redelivered=bool(message.redelivered),
    )
