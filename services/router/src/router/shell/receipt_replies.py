"""ReceiptReplies: answers the backends that asked for a receipt, at the queue that each has named.

An answer goes once (``shell/backend_replies.py``), under the correlation id that came with the notification.
Who misses one publishes again under the same id and is told that it is a duplicate. It decides nothing about
when a receipt is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from router.core.receipt_waits import ReceiptWaits
from router.core.receipts import SEEN_PATIENCE_S
from router.shell.backend_replies import BackendReplies
from router.shell.router_context import RouterContext
from warren.batch import BatchLimits
from warren.batcher import Batcher
from warren.bus import Properties
from warren.envelope import INTERNAL_ID, Receipt
from warren.log_entries import RECEIPT_SEEN

TYPE: Final = "receipt"
AT_ONCE: Final = 256
WAITING: Final = 16_384
# What whoever waits for users is told after, beyond what a speaker waits for them.
SEEN_WAIT_S: Final = SEEN_PATIENCE_S + 2.5


@dataclass(frozen=True, slots=True)
class ReplyAddress:
    """Where an answer goes: AMQP's ``reply_to`` and ``correlation_id``."""

    queue: str
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Reply:
    address: ReplyAddress
    body: bytes


class ReceiptReplies:
    """One router's."""

    def __init__(self, context: RouterContext, wait_s: float) -> None:
        """Who asks is told after ``wait_s`` what is known by then: longer than the lease of a gateway, for
        one that has died is no time-out.
        """
        self._wait_s = wait_s
        self._backends = BackendReplies(context.bus, context.topology)
        self._clock = context.clock
        self._metrics = context.metrics
        self._waits: ReceiptWaits[ReplyAddress] = ReceiptWaits()
        self._replies: Batcher[_Reply] = Batcher(
            self._send, BatchLimits(batch_count=AT_ONCE, waiting_count=WAITING)
        )
        context.metrics.waiting_from("receipts", lambda: len(self._waits))

    def expect(self, room: str, ident: str, address: ReplyAddress, level: int) -> None:
        """Answer when the message's receipt of this level comes, or in time that it has not; at once where
        too many wait.
        """
        wait_s = SEEN_WAIT_S if level >= RECEIPT_SEEN else self._wait_s
        if not self._waits.expect(room, ident, level, address, self._clock.monotonic() + wait_s):
            self._reply(address, {**_unknown(room, ident), "reason": "overloaded"})

    def refused(self, address: ReplyAddress, reason: str) -> None:
        """Answer that the message was refused, and set aside."""
        self._reply(address, {"complete": True, "refused": reason})

    def take(self, receipt: Receipt) -> None:
        """Answer who has waited for this receipt."""
        for address in self._waits.take(receipt):
            self._reply(address, told(receipt))

    def tick(self) -> None:
        """Answer who has waited for long enough."""
        for room, ident, address in self._waits.expire(self._clock.monotonic()):
            self._reply(address, _unknown(room, ident))

    async def close(self) -> None:
        """Answer nobody any more."""
        await self._replies.close()

    def _reply(self, address: ReplyAddress, fields: dict[str, object]) -> None:
        if not self._backends.may_reply(address.queue) or not self._replies.offer(
            _Reply(address, orjson.dumps(fields)), 256
        ):
            self._metrics.rejected("receipt_dropped")

    async def _send(self, replies: Sequence[_Reply]) -> None:
        await asyncio.gather(*map(self._publish, replies))

    async def _publish(self, reply: _Reply) -> None:
        properties = Properties(
            content_type="application/json", type=TYPE, correlation_id=reply.address.correlation_id
        )
        if not await self._backends.send(reply.address.queue, reply.body, properties):
            self._metrics.rejected("receipt_dropped")


def told(receipt: Receipt) -> dict[str, object]:
    """Return a receipt as the fields that a backend is told; what is not known is left out."""
    counts = {"users": receipt.users, "connections": receipt.connections}
    return {
        "id": _shown(receipt.id),
        "room": receipt.room,
        **({"epoch": receipt.epoch, "seq": receipt.seq} if receipt.seq else {}),
        "duplicate": receipt.duplicate,
        **{name: count for name, count in counts.items() if count >= 0},
        "gateways": receipt.gateways,
        "written": receipt.written,
        "lost": receipt.lost,
        **({"readers": receipt.readers, "seen": receipt.seen} if receipt.level >= RECEIPT_SEEN else {}),
        "complete": receipt.complete,
    }


def _unknown(room: str, ident: str) -> dict[str, object]:
    return {"id": _shown(ident), "room": room, "complete": False}


def _shown(ident: str) -> str:
    return "" if ident.startswith(INTERNAL_ID) else ident
