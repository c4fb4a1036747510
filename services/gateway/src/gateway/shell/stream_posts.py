"""StreamPosts: what clients of event streams post, for the streams that are here and for those of other
gateways.

A post for a stream elsewhere goes to its gateway's own queue by the broker, and so does the answer; never
from pod to pod by HTTP. It is sent once, and its client repeats it under the same ids where nobody knows what
came of it. The secret crosses nothing: its digest does. What is under way is bounded in number and bytes. It
reads no frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from gateway.core.sse import post_body
from gateway.shell.connections import Connections
from gateway.shell.event_stream_transport import EventStreamTransport
from warren import envelope
from warren.address import gateway_of, is_connection
from warren.batch import BatchLimits
from warren.batcher import Batcher
from warren.bounded_overlap import BoundedOverlap
from warren.bus import Bus, Properties
from warren.clock import Clock
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.metrics import GatewayMetrics
from warren.topology import Topology

# How long another gateway has to answer.
ANSWER_S = 5.0
# Posts that wait for other gateways, and their bytes.
UNDER_WAY = 1_024
UNDER_WAY_BYTES = 32 * 1024 * 1024
# Answers that wait for the broker. One that is lost has its client repeat the post.
ANSWERS = BatchLimits(waiting_count=4_096, waiting_bytes=4 * 1024 * 1024)
CONFIRMED_S = 0.1
ANSWERS_UNDER_WAY = 128

_PROPERTIES = Properties(content_type=envelope.CONTENT_TYPE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a post, as an HTTP status and a sentence for the client's developer."""

    status: int
    says: str = ""


TAKEN = Outcome(HTTPStatus.ACCEPTED)
GONE = Outcome(HTTPStatus.GONE, "This connection is gone; open the stream again.")
FOREIGN = Outcome(HTTPStatus.FORBIDDEN, "This is not the secret of this connection, which its WELCOME tells.")
UNREADABLE = Outcome(HTTPStatus.BAD_REQUEST, post_body.SAYS)
BUSY = Outcome(
    HTTPStatus.TOO_MANY_REQUESTS, "The last post of this connection is not read yet; send this one again."
)
FULL = Outcome(HTTPStatus.SERVICE_UNAVAILABLE, "Too many posts wait; send this one again.")
UNKNOWN = Outcome(
    HTTPStatus.SERVICE_UNAVAILABLE, "Nobody knows what came of this post; send it again under the same ids."
)


class StreamPosts:
    """One gateway's."""

    def __init__(
        self, gateway: str, bus: Bus, topology: Topology, connections: Connections, clock: Clock,
        metrics: GatewayMetrics,
    ) -> None:  # fmt: skip
        """``connections`` has the streams that are here."""
        self._gateway = gateway
        self._bus = bus
        self._exchange = topology.egress
        self._connections = connections
        self._clock = clock
        self._metrics = metrics
        self._number = 0
        self._bytes = 0
        self._asked: dict[int, asyncio.Future[Outcome]] = {}
        self._overlap = BoundedOverlap("post answers", CONFIRMED_S, ANSWERS_UNDER_WAY)
        self._answers: Batcher[tuple[str, envelope.PostAnswer]] = Batcher(self._send, ANSWERS)
        metrics.waiting_from("posts", lambda: len(self._asked))

    def is_here(self, conn: str) -> bool:
        """Say whether a connection is this gateway's, or was."""
        return gateway_of(conn) == self._gateway

    async def post(self, conn: str, digest: bytes, body: bytes) -> Outcome:
        """Give a post to the stream that it is for, wherever that is; an empty one asks whether that may be
        done.
        """
        outcome = (
            self.take(conn, digest, body) if self.is_here(conn) else await self._pass(conn, digest, body)
        )
        if body or outcome is not TAKEN:
            self._metrics.posts(outcome.status)
        return outcome

    def take(self, conn: str, digest: bytes, body: bytes) -> Outcome:
        """Give a post to a stream that is here."""
        connection = self._connections.find(conn)
        transport = None if connection is None else connection.transport
        if not isinstance(transport, EventStreamTransport) or transport.ended:
            return GONE
        if not post_body.is_same(digest, transport.post_digest):
            return FOREIGN
        if not body:
            return TAKEN
        if transport.posted:
            return BUSY
        began = self._clock.thread()
        frames = post_body.split(body)
        transport.worked(self._clock.thread() - began)
        if frames is None:
            return UNREADABLE
        transport.post(frames)
        return TAKEN

    # ── between gateways ────────────────────────────────────────────────────────────────────────────────────

    async def _pass(self, conn: str, digest: bytes, body: bytes) -> Outcome:
        if not is_connection(conn):
            return GONE
        if len(self._asked) >= UNDER_WAY or self._bytes + len(body) > UNDER_WAY_BYTES:
            return FULL
        self._number += 1
        number = self._number
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._bytes += len(body)
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._publish(
                    gateway_of(conn), (envelope.Post(self._gateway, number, conn, digest, body),)
                )
                return await answer
        except Unroutable:  # that gateway is gone, and so are its streams
            return GONE
        except (BusUnavailable, NotConfirmed, TimeoutError):
            return UNKNOWN
        finally:
            del self._asked[number]
            self._bytes -= len(body)

    def passed(self, post: envelope.Post) -> None:
        """Take a post that another gateway has passed on, and answer it."""
        outcome = self.take(post.conn, post.digest, post.body)
        answer = envelope.PostAnswer(post.number, outcome.status, outcome.says)
        if not self._answers.offer((post.gateway, answer), envelope.size_of(answer)):
            self._metrics.drops("post_answer_overflow")

    def answered(self, answer: envelope.PostAnswer) -> None:
        """Another gateway says what came of a post; one that is not waited for any more was too late."""
        asked = self._asked.get(answer.number)
        if asked is not None and not asked.done():
            asked.set_result(TAKEN if answer.status == TAKEN.status else Outcome(answer.status, answer.says))

    async def close(self) -> None:
        """Pass on no more."""
        for asked in self._asked.values():
            if not asked.done():
                asked.set_result(UNKNOWN)
        await self._answers.close()
        await self._overlap.close()

    async def _send(self, answers: Sequence[tuple[str, envelope.PostAnswer]]) -> None:
        to: dict[str, list[envelope.PostAnswer]] = {}
        for gateway, answer in answers:
            to.setdefault(gateway, []).append(answer)
        for gateway, said in to.items():
            if not await self._overlap.run(partial(self._answer, gateway, said)):
                self._metrics.drops("post_answer_lost", len(said))

    async def _answer(self, gateway: str, said: Sequence[envelope.PostAnswer]) -> None:
        try:
            await self._publish(gateway, said)
        except (Unroutable, BusUnavailable, NotConfirmed):
            self._metrics.drops("post_answer_lost", len(said))

    async def _publish(self, gateway: str, said: Sequence[envelope.Envelope]) -> None:
        await self._bus.publish(
            self._exchange, gateway, envelope.encode(said), _PROPERTIES, mandatory=True, persistent=False
        )
