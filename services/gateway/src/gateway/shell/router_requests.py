"""RouterRequests: questions ▶ the inbox of the router that speaks for their shard, or of all routers where
nobody knows which that is.

Nothing is repeated here: who asks asks again until it is answered; where the router that was asked is gone
the question goes to all. An inbox that owes its confirm holds up no question to the others. What waits and
what is under way is bounded: beyond it a question is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gateway.core.broker_presence import BrokerPresence
from warren import envelope
from warren.batch import BatchLimits
from warren.batcher import Batcher
from warren.bounded_overlap import BoundedOverlap
from warren.bus import Bus, Properties
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.metrics import GatewayMetrics
from warren.topology import ALL, Topology

WAITING_COUNT = 16_384
WAITING_BYTES = 8 * 1024 * 1024
# So long one publish is waited for before the next begins: in the 10 s for which a confirm may be owed no
# more can be begun than may be under way.
CONFIRMED_S = 0.1
UNDER_WAY = 128

Answer = envelope.Progress | envelope.Counts
Question = (
    envelope.Number
    | envelope.Read
    | envelope.HistoryQuery
    | envelope.PresenceQuery
    | envelope.AccessQuery
    | Answer
)

_PROPERTIES = Properties(content_type=envelope.CONTENT_TYPE)


class RouterRequests:
    """The gateway's questions to routers."""

    def __init__(
        self, bus: Bus, topology: Topology, presence: BrokerPresence, metrics: GatewayMetrics
    ) -> None:
        """``presence`` knows who speaks for which shard."""
        self._bus = bus
        self._exchange = topology.routers
        self._presence = presence
        self._metrics = metrics
        limits = BatchLimits(waiting_count=WAITING_COUNT, waiting_bytes=WAITING_BYTES)
        self._overlap = BoundedOverlap("questions", CONFIRMED_S, UNDER_WAY)
        self._batcher: Batcher[tuple[str, Question]] = Batcher(self._send, limits)

    def ask(self, shard: int, question: Question, *, everyone: bool = False) -> None:
        """Ask the speaker of a shard; ``everyone``: all routers, whatever is known."""
        key = ALL if everyone else self._presence.router_of(shard)
        if not self._batcher.offer((key, question), envelope.size_of(question)):
            self._metrics.drops("question_overflow")

    def answer(self, router: str, said: Answer) -> None:
        """Answer a router that has asked us."""
        if not self._batcher.offer((router, said), envelope.size_of(said)):
            self._metrics.drops("question_overflow")

    async def close(self) -> None:
        """Ask no more."""
        await self._batcher.close()
        await self._overlap.close()

    async def _send(self, questions: Sequence[tuple[str, Question]]) -> None:
        bodies: dict[str, list[Question]] = {}
        for key, question in questions:
            bodies.setdefault(key, []).append(question)
        for key, asked in bodies.items():
            if not await self._overlap.run(partial(self._ask, key, asked)):
                self._metrics.drops("question_lost", len(asked))

    async def _ask(self, key: str, asked: Sequence[Question]) -> None:
        try:
            await self._publish(key, asked)
        except Unroutable:
            self._presence.router_gone(key)
            await self._publish(ALL, asked)

    async def _publish(self, key: str, asked: Sequence[Question]) -> None:
        try:
            await self._bus.publish(
                self._exchange,
                key,
                envelope.encode(asked),
                _PROPERTIES,
                mandatory=key != ALL,
                persistent=False,
            )
        except (BusUnavailable, NotConfirmed):
            self._metrics.drops("question_lost", len(asked))  # it is asked again
