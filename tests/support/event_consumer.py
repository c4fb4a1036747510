"""A backend that is told all that happens: it binds ``#`` on the events' exchange, and keeps each event once,
by its id, as backends are to do.

What stands under two ids though it happened once is found by ``check``. It is on the stock ``pika`` package:
nothing of Warren's code is in it.
"""

from __future__ import annotations

import json
from collections import Counter
from types import TracebackType
from typing import Any, Self

import pika
from tests.support.rabbit import Rabbit

from warren.topology import Topology

Event = dict[str, Any]


class EventConsumer:
    """Use it by ``with``, or ``close`` it."""

    def __init__(self, rabbit: Rabbit, topology: Topology) -> None:
        """Everything that is told from now on is heard."""
        self._connection = pika.BlockingConnection(pika.URLParameters(rabbit.url))
        self._channel = self._connection.channel()
        self._queue = self._channel.queue_declare("", exclusive=True).method.queue
        # no service may have been started yet
        self._channel.exchange_declare(topology.events, "topic", durable=True)
        self._channel.queue_bind(self._queue, topology.events, "#")
        self._events: dict[str, tuple[str, Event]] = {}
        self.repeats = 0  # events that came again, under their id

    def of(self, key: str) -> list[Event]:
        """Return the events under a routing key so far, in the order in which they came."""
        self._take()
        return [event for each, event in self._events.values() if each == key]

    def told(self, event: str) -> Counter[tuple[Any, ...]]:
        """Return what has happened so far, by kind, and under how many ids each: (room, connection), or
        (room, epoch, seq) of a message.
        """
        self._take()
        names = ("room", "epoch", "seq") if event == "message" else ("room", "connection")
        return Counter(
            tuple(each.get(name) for name in names)
            for _, each in self._events.values()
            if each["event"] == event
        )

    def close(self) -> None:
        """End."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _take(self) -> None:
        while (got := self._channel.basic_get(self._queue, auto_ack=True))[0] is not None:
            ident = got[1].message_id
            self.repeats += ident in self._events
            self._events.setdefault(ident, (got[0].routing_key, json.loads(got[2])))
