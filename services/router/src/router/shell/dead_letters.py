"""DeadLetters: what can't be handled is kept in a dead-letter queue with the reason, and counted; the rest
goes on.

It returns only once the broker has confirmed and a queue has it, so that what is acknowledged afterwards is
never lost: where the dead-letter queue is missing, it waits for it. It never looks into what it keeps.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from router.shell.retrying_publisher import RetryingPublisher
from warren.bus import HeaderValue, Properties
from warren.logs import event, get_logger
from warren.metrics import RouterMetrics

# What of a message's own headers and body is kept: what would not fit one AMQP frame or would push everything
# else out of the queue is left out, and a header says how much there was. AMQP's headers hold floats of 32
# bits only.
MAX_HEADER_BYTES = 32 * 1024
MAX_BODY_BYTES = 4 * 1024 * 1024
HEADERS_HEADER = "x-warren-headers-left-out"
BODY_HEADER = "x-warren-body-bytes"
REASON_HEADER = "x-warren-reason"
KEY_HEADER = "x-warren-routing-key"

_logger = get_logger("router.dead_letters")


class DeadLetters:
    """Sets aside in one dead-letter exchange."""

    def __init__(self, publisher: RetryingPublisher, exchange: str, metrics: RouterMetrics) -> None:
        """``exchange`` is the topology's."""
        self._publisher = publisher
        self._exchange = exchange
        self._metrics = metrics

    async def put(
        self, body: bytes, reason: str, properties: Properties, headers: Mapping[str, HeaderValue]
    ) -> None:
        """Keep ``body`` with its own properties, ``headers`` and the reason; return once that is
        confirmed.
        """
        self._metrics.dead(reason.partition(":")[0])
        event(_logger, "set_aside", level=logging.WARNING, reason=reason, bytes=len(body))
        more: dict[str, HeaderValue] = {**headers, REASON_HEADER: reason}
        if len(body) > MAX_BODY_BYTES:
            more[BODY_HEADER] = len(body)
        own = {
            name: repr(value) if isinstance(value, float) else value
            for name, value in properties.headers.items()
        }
        size = sum(len(name.encode()) + len(str(value).encode()) + 16 for name, value in own.items())
        if size > MAX_HEADER_BYTES:
            own, more[HEADERS_HEADER] = {}, size
        kept = Properties(
            content_type=properties.content_type,
            type=properties.type,
            message_id=properties.message_id,
            correlation_id=properties.correlation_id,
            timestamp_ms=properties.timestamp_ms,
            headers={**own, **more},
        )
        await self._publisher.publish(self._exchange, "", body[:MAX_BODY_BYTES], kept)
