"""A backend that floods the routers with notifications, and one that fills a room before an attack.

Only the broker slows a flood down, by not reading from a publisher that is too fast. Filling a room confirms
message by message.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import pika

from bench.attack.plans import Flood
from warren.topology import Topology

WINDOW = 64  # published between two checks of the broker's answers
PURGE_S = 10.0


def flood(url: str, plan: Flood, begin: Callable[[], float]) -> dict[str, Any]:
    """Publish; ``begin`` returns when the attack begins, with its duration in seconds. Return what was sent."""
    properties = properties_of(plan)
    exchange, sent, number = Topology().notify, 0, 0
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        end = begin() + time.monotonic()
        began = time.monotonic()
        for body in itertools.cycle(plan.bodies):
            now = time.monotonic()
            if now >= end or (plan.count and number >= plan.count):
                break
            if plan.per_s and (wait := began + number / plan.per_s - now) > 0:
                connection.sleep(wait)
            channel.basic_publish(exchange, plan.key, body, properties)
            sent, number = sent + len(body), number + 1
            if number % WINDOW == 0:
                connection.process_data_events()
        connection.sleep(max(0.0, end - time.monotonic()))
    return {"sent": sent, "received": 0, "messages": 0, "opened": number, "ends": {}, "first_end": None}


def properties_of(plan: Flood) -> pika.BasicProperties:
    """Return the AMQP properties of a plan's notifications."""
    headers: dict[str, Any] = {f"h{number}": number for number in range(plan.width)}
    if plan.depth:
        inner: dict[str, Any] = {}
        for _ in range(plan.depth):
            inner = {"a": inner}
        headers["deep"] = inner
        sys.setrecursionlimit(10_000)  # for the encoder in this process
    return pika.BasicProperties(
        content_type="application/json",
        delivery_mode=1,
        headers=headers or None,
        timestamp=plan.timestamp,
        message_id=b"\xff\xfe" if plan.broken else None,
    )


def publish(url: str, room: str, bodies: Iterable[bytes]) -> None:
    """Publish notifications to a room, each confirmed."""
    properties = pika.BasicProperties(content_type="application/json")
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for body in bodies:
            channel.basic_publish(Topology().notify, f"room.{room}", body, properties)


def purge(url: str) -> None:
    """Discard notifications that no router has handled, once the routers that consumed them are gone: their
    unacknowledged ones are requeued then.
    """
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel, end = connection.channel(), time.monotonic() + PURGE_S
        while (
            channel.queue_declare(Topology().notify, passive=True).method.consumer_count
            and time.monotonic() < end
        ):
            connection.sleep(0.1)
        channel.queue_purge(Topology().notify)
