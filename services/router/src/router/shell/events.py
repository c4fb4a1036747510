"""Events: what backends are told of clients, rooms and messages of one shard, on the topic exchange.

Each event is one AMQP message of JSON, persistent, in the order of the shard's log, with an id that is the
same whoever sends it: so what is sent again, by us or by the next speaker, counts once. Its headers are those
of the AMQP binding of CloudEvents 1.0 (binary mode), by names that RabbitMQ 4 hands on to AMQP 1.0 consumers
as application properties (which it does not with names that begin with ``x-``). Where the broker does
not confirm one, that one and those behind it are sent again, a few times: a backend whose queue refuses must
not hold up a shard, so while it refuses one event after the other each has one try. What is given up is
counted. While the broker is away it waits. Who does not speak only remembers what is not said to be
confirmed. It does not decide what is due (``core/event_backlog.py``).
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from router.core.effects import BackendEvent
from router.core.event_backlog import Due, EventBacklog
from router.shell.retrying_publisher import FIRST_PAUSE_S, LONGEST_PAUSE_S
from router.shell.router_context import RouterContext
from warren import envelope as wire
from warren.bus import HeaderValue, Outgoing, Properties
from warren.contract.events import MembershipEvent, MessageEvent
from warren.errors import BusUnavailable, Nacked
from warren.logs import event, get_logger
from warren.retry import Backoff
from warren.supervision import supervised

AT_ONCE = 256
TRIES = 4
_encoder = msgspec.json.Encoder()
_logger = get_logger("router.events")


class Events:
    """The way of one shard's events to the backends."""

    def __init__(
        self,
        context: RouterContext,
        shard: int,
        kinds: frozenset[str],
        progressed: Callable[[], None],
    ) -> None:
        """``kinds``: what backends are told of; ``progressed`` is called when some were confirmed."""
        self.backlog = EventBacklog(shard, kinds)
        self._bus = context.bus
        self._topology = context.topology
        self._publisher = context.publisher
        self._metrics = context.metrics
        self._shard = shard
        self._source = f"{context.topology.prefix}/{shard}"
        self._progressed = progressed
        self._speaks = False
        self._refusing = False  # one event was refused at each of its tries, and none since was taken
        self._task: asyncio.Task[None] | None = None

    def speak(self) -> None:
        """Send from now on, beginning with what waits."""
        self._speaks = True
        self._begin()

    def silence(self) -> asyncio.Task[None] | None:
        """Send no more; return the task that ends by it."""
        self._speaks = False
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        return task

    async def close(self) -> None:
        """End."""
        task = self.silence()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def take(self, life: str, offset: int, emits: Sequence[BackendEvent]) -> None:
        """Take what an entry has brought about."""
        lost = self.backlog.lost
        self.backlog.take(life, offset, emits, keep=self._speaks)
        if self.backlog.lost > lost:
            self._metrics.rejected("event_forgotten", self.backlog.lost - lost)
        if emits and self._speaks:
            self._begin()

    def _begin(self) -> None:
        if self._task is None and len(self.backlog):
            self._task = supervised(
                asyncio.get_running_loop().create_task(self._run(), name=f"events-{self._shard}")
            )

    async def _run(self) -> None:
        try:
            while self._speaks and (due := self.backlog.next(AT_ONCE)):
                await self._send(due)
                self._progressed()
        finally:
            if self._task is asyncio.current_task():
                self._task = None

    async def _send(self, waiting: Sequence[Due]) -> None:
        """Publish in order; return once all are confirmed or given up."""
        backoff, tries = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S), 0
        while waiting and self._speaks:
            outcomes = await self._bus.publish_all(self._topology.events, list(map(self._message, waiting)))
            failed = {at: outcome for at, outcome in enumerate(outcomes) if outcome is not None}
            # What was cut off, or found no broker, has not been refused: it is sent again.
            if not failed or (self._refusing and all(isinstance(each, Nacked) for each in failed.values())):
                if failed:
                    self._give_up([waiting[at] for at in failed], failed[min(failed)])
                self._refusing = len(failed) == len(waiting)
                self.backlog.done(waiting)
                return
            first = min(failed)
            self.backlog.done(waiting[:first])
            waiting, failure = waiting[first:], failed[first]
            if first:
                backoff.reset()
                tries = 0
            if not isinstance(failure, BusUnavailable):
                tries += 1
                if tries >= TRIES:
                    self._give_up(waiting[:1], failure)
                    self._refusing = isinstance(failure, Nacked)
                    self.backlog.done(waiting[:1])
                    backoff.reset()
                    waiting, tries = waiting[1:], 0
                    continue
            await self._publisher.wait(backoff.next())

    def _give_up(self, events: Sequence[Due], failure: BaseException) -> None:
        """Count and tell what is not sent again."""
        self._metrics.rejected("event_not_confirmed", len(events))
        event(
            _logger,
            "event_given_up",
            level=logging.WARNING,
            id=events[0].id,
            count=len(events),
            reason=str(failure),
        )

    def _message(self, due: Due) -> Outgoing:
        emit = due.emit
        said: MembershipEvent | MessageEvent
        if emit.message is not None:
            topology = self._topology
            spelled = topology.message_event if emit.kind == "message" else topology.undelivered_event
            key, said = spelled(emit.message.type, emit.room), _message(due.id, emit, emit.message)
        else:
            key, said = self._topology.event(emit.kind), _membership(due.id, emit)
        body = _encoder.encode(said)
        properties = Properties(
            content_type="application/json", message_id=due.id, headers=_cloud_event(due, self._source)
        )
        return Outgoing(key, body, properties)


def _cloud_event(due: Due, source: str) -> dict[str, HeaderValue]:
    emit = due.emit
    headers: dict[str, HeaderValue] = {
        "cloudEvents_specversion": "1.0",
        "cloudEvents_id": due.id,
        "cloudEvents_source": source,
        "cloudEvents_type": _name(emit),
        "cloudEvents_subject": emit.room,
    }
    if time := _time(emit.at_us // 1_000):
        headers["cloudEvents_time"] = time
    return headers


@lru_cache(maxsize=256)
def _time(at_ms: int) -> str:
    """Return a time as CloudEvents spells it; empty where what a gateway's clock said is no time at all."""
    try:
        at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _name(emit: BackendEvent) -> str:
    return "message.undelivered" if emit.kind == "undelivered" else emit.kind


def _membership(id: str, emit: BackendEvent) -> MembershipEvent:  # noqa: A002 - the event's own
    return MembershipEvent(
        event_id=id,
        event=emit.kind,
        connection=emit.conn,
        user=emit.user,
        room=emit.room,
        gateway=emit.gateway,
        generation=emit.generation,
        connections=emit.connections,
        members=emit.members,
        at=emit.at_us // 1_000,
        reason=emit.reason,
    )


def _message(id: str, emit: BackendEvent, message: wire.Deliver) -> MessageEvent:  # noqa: A002 - as above
    payload = message.payload
    if message.binary:
        payload = b'"' + b64encode(payload) + b'"'
    return MessageEvent(
        event_id=id,
        event=_name(emit),
        room=emit.room,
        type=message.type,
        epoch=message.epoch,
        seq=message.seq,
        connection=message.conn,
        user=message.user,
        id="" if message.id.startswith(wire.INTERNAL_ID) else message.id,
        at=message.at_us // 1_000,
        encoding="base64" if message.binary else "",
        payload=msgspec.Raw(payload),
        reason=emit.reason,
    )
