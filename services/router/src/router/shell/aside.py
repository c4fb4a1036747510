"""Aside: what can't be handled is kept in a dead-letter queue with the reason, and counted; the rest goes on.

It returns only once the broker has confirmed, so that what is acknowledged afterwards is never lost. It never looks into what it keeps.
The workers (shard envelopes) and the intake (notifications) call it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from router.shell.steady import Steady
from warren.bus import HeaderValue, Properties
from warren.logs import event, get_logger
from warren.metrics import RouterMetrics

REASON_HEADER = "x-warren-reason"
KEY_HEADER = "x-warren-routing-key"
SHARD_HEADER = "x-warren-shard"

_logger = get_logger("router.aside")


class Aside:
    """Sets aside in one dead-letter exchange."""

    def __init__(self, steady: Steady, exchange: str, metrics: RouterMetrics) -> None:
        """``exchange`` is the topology's."""
        self._steady = steady
        self._exchange = exchange
        self._metrics = metrics

    async def put(self, body: bytes, reason: str, properties: Properties, headers: Mapping[str, HeaderValue]) -> None:
        """Keep ``body`` with its own properties, ``headers`` and the reason; return once that is confirmed."""
        self._metrics.dead(reason.partition(":")[0])
        event(_logger, "set_aside", level=logging.WARNING, reason=reason, bytes=len(body))
        kept = Properties(
            content_type=properties.content_type,
            type=properties.type,
            message_id=properties.message_id,
            correlation_id=properties.correlation_id,
            timestamp_ms=properties.timestamp_ms,
            headers={**properties.headers, **headers, REASON_HEADER: reason},
        )
        await self._steady.publish(self._exchange, "", body, kept)
