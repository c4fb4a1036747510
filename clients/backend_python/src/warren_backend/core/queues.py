"""Queues of a backend: what is declared for a service, a hook or a consumer of events, as data. It declares
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from warren_backend.core.names import Names, cancel_key, dead_of
from warren_backend.core.routes import EventRoute, HookRoute, ServiceRoute

# A process that dies with a message takes the message's next try with it; so often, and it is set aside.
DELIVERY_LIMIT: Final = 20
DEAD_BYTES: Final = 64 * 1024 * 1024

Argument = str | int | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One queue and the keys by which it is bound to ``exchange``. An ``exclusive`` one goes with its
    connection.

    ``dead``: an exchange and a queue of that name, to which goes what is set aside.
    """

    name: str
    exchange: str
    keys: tuple[str, ...]
    exclusive: bool = False
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    dead: str = ""
    dead_arguments: Mapping[str, Argument] = field(default_factory=dict)


def service_queue(names: Names, route: ServiceRoute) -> Queue:
    """Return the queue that all processes of a service share. Full, it refuses: clients are told at once."""
    return Queue(
        name=names.queue(route.queue),
        exchange=names.rpc,
        keys=(route.pattern,),
        arguments={
            "x-queue-type": "quorum",
            "x-max-length": route.waiting,
            "x-overflow": "reject-publish",
            "x-delivery-limit": DELIVERY_LIMIT,
        },
    )


def cancel_queue(names: Names, route: ServiceRoute, nonce: str) -> Queue:
    """Return this process's own queue for cancels: each process has to hear all of them."""
    return Queue(
        name=f"{names.queue(route.queue)}.cancel.{nonce}",
        exchange=names.rpc,
        keys=(cancel_key(route.pattern),),
        exclusive=True,
        arguments={"x-max-length": 10_000},
    )


def hook_queue(names: Names, route: HookRoute) -> Queue:
    """Return the queue that all processes which decide a hook share."""
    return Queue(
        name=names.queue(route.queue),
        exchange=names.hooks,
        keys=(route.key,),
        arguments={"x-max-length": route.waiting, "x-overflow": "reject-publish"},
    )


def event_queue(names: Names, route: EventRoute, nonce: str) -> Queue:
    """Return a queue for events: of this process alone, or one that keeps them and has one consumer at a
    time, so that their order holds however many processes there are.
    """
    if route.queue is None:
        return Queue(
            name=names.queue(f"events.{nonce}"),
            exchange=names.events,
            keys=route.keys,
            exclusive=True,
            arguments={"x-max-length": 100_000, "x-overflow": "drop-head"},
        )
    name = names.queue(route.queue)
    dead = dead_of(name)
    return Queue(
        name=name,
        exchange=names.events,
        keys=route.keys,
        arguments={
            "x-queue-type": "quorum",
            "x-single-active-consumer": True,
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": dead,
        },
        dead=dead,
        dead_arguments={
            "x-queue-type": "quorum",
            "x-max-length-bytes": DEAD_BYTES,
            "x-overflow": "drop-head",
        },
    )
