"""Events: what backends are told of clients, rooms and messages, on the topic exchange.

Each event is one AMQP message of JSON, persistent, in the order of its shard. A batch's events are under way together; where the broker does
not confirm one, that one and those behind it are sent again (so an event may come twice, never out of order), a few times: a backend whose
queue refuses must not hold up a shard. What is given up is counted. While the broker is away it waits. The worker calls it.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import Sequence

import orjson

from router.core.effects import Emit
from router.shell.steady import FIRST_PAUSE_S, LONGEST_PAUSE_S, Steady
from warren import envelope as wire
from warren.bus import Bus, Properties
from warren.errors import BusUnavailable
from warren.logs import event, get_logger
from warren.metrics import RouterMetrics
from warren.topology import Topology

AT_ONCE = 256
TRIES = 4
_PROPERTIES = Properties(content_type="application/json")
_logger = get_logger("router.events")

Published = tuple[str, bytes]  # routing key, body


class Events:
    """The way to the backends."""

    def __init__(self, bus: Bus, topology: Topology, steady: Steady, metrics: RouterMetrics) -> None:
        """One for all shards."""
        self._bus = bus
        self._topology = topology
        self._steady = steady
        self._metrics = metrics

    async def send(self, emits: Sequence[Emit]) -> None:
        """Publish in order; return once all are confirmed or given up."""
        for at in range(0, len(emits), AT_ONCE):
            await self._send([self._published(emit) for emit in emits[at : at + AT_ONCE]])

    async def _send(self, waiting: list[Published]) -> None:
        pause, tries = FIRST_PAUSE_S, 0
        while waiting:
            # Tasks made in one turn publish in their order.
            sending = (self._bus.publish(self._topology.events, key, body, _PROPERTIES) for key, body in waiting)
            outcomes = await asyncio.gather(*sending, return_exceptions=True)
            failures = [at for at, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)]
            if not failures:
                return
            first = failures[0]
            waiting, failure = waiting[first:], outcomes[first]
            tries = 0 if first else tries
            if not isinstance(failure, BusUnavailable):
                tries += 1
                if tries >= TRIES:
                    self._metrics.rejected("event_not_confirmed")
                    event(_logger, "event_given_up", level=logging.WARNING, key=waiting[0][0], reason=str(failure))
                    waiting, tries = waiting[1:], 0
                    continue
            await self._steady.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _published(self, emit: Emit) -> Published:
        if emit.message is not None:
            key = self._topology.message_event(emit.message.type, emit.room)
            return key, orjson.dumps(_said(_message(emit, emit.message)))
        return self._topology.event(emit.kind), orjson.dumps(_said(_membership(emit)))


def _membership(emit: Emit) -> dict[str, object]:
    return {
        "event": emit.kind,
        "connection": emit.conn,
        "user": emit.user,
        "room": emit.room,
        "gateway": emit.gateway,
        "generation": emit.generation,
        "at": emit.at_us // 1_000,
        "reason": emit.reason,
    }


def _message(emit: Emit, message: wire.Deliver) -> dict[str, object]:
    payload: object = b64encode(message.payload).decode() if message.binary else orjson.Fragment(message.payload)
    return {
        "event": emit.kind,
        "room": emit.room,
        "type": message.type,
        "epoch": message.epoch,
        "seq": message.seq,
        "connection": message.conn,
        "user": message.user,
        "id": "" if message.id.startswith(wire.INTERNAL_ID) else message.id,
        "at": message.at_us // 1_000,
        "encoding": "base64" if message.binary else "",
        "payload": payload,
    }


def _said(fields: dict[str, object]) -> dict[str, object]:
    """Leave out what is not known."""
    return {name: value for name, value in fields.items() if value != ""}
