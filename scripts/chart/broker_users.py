"""Broker users: which rights each kind of backend needs in RabbitMQ, and no more.

RabbitMQ has three rights, each a pattern of names (rabbitmq.com/docs/access-control): ``configure`` to
declare and delete, ``write`` to publish to an exchange and to bind a queue, ``read`` to consume, and to bind
to an exchange. The names come from ``warren.topology``. This module connects to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from warren.topology import Topology

# What the names of a backend's own queues begin with, before a dot.
OWN_PREFIX = "app"
NOTHING = "^$"
# As RabbitMQ calls the default exchange in permissions.
DEFAULT_EXCHANGE = "amq.default"


@dataclass(frozen=True, slots=True)
class Rights:
    """One kind of user: what it does, and exact names that it needs. ``own``: it has queues of its own."""

    kind: str
    does: str
    write: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    own: str = ""

    @property
    def permissions(self) -> dict[str, str]:
        """The three patterns, as RabbitMQ's definitions have them."""
        own = (rf"{re.escape(self.own)}\.",) if self.own else ()
        return {
            "configure": _pattern(own),
            "write": _pattern([*map(_exactly, self.write), *own]),
            "read": _pattern([*map(_exactly, self.read), *own]),
        }


def service_permissions(prefix: str) -> dict[str, str]:
    """Return the three patterns that a gateway or a router needs: its own queues are declared, and gone, with
    its connection. It answers backends at the queues that they name, by the default exchange.
    """
    own = rf"{re.escape(prefix)}\."
    return {
        "configure": _pattern([own]),
        "write": _pattern([own, _exactly(DEFAULT_EXCHANGE)]),
        "read": _pattern([own]),
    }


def backends(topology: Topology, own: str = OWN_PREFIX) -> tuple[Rights, ...]:
    """Return every kind of backend; their own queues begin with ``own``."""
    answers = (topology.replies,)
    return (
        Rights("notifier", "publishes notifications, and gets receipts", write=(topology.notify,)),
        Rights("events", "receives events", read=(topology.events,), own=own),
        Rights("rpc", "answers REQUESTs of clients", write=answers, read=(topology.rpc,), own=own),
        Rights("hooks", "decides about joins and messages", write=answers, read=(topology.hooks,), own=own),
        Rights("control", "commands, and reads who is there", write=(topology.control,)),
    )


def together(kinds: Iterable[Rights]) -> Rights:
    """Return what a backend needs that is of several kinds."""
    every = tuple(kinds)
    return Rights(
        "-".join(each.kind for each in every),
        "; ".join(each.does for each in every),
        tuple(dict.fromkeys(name for each in every for name in each.write)),
        tuple(dict.fromkeys(name for each in every for name in each.read)),
        next((each.own for each in every if each.own), ""),
    )


def _exactly(name: str) -> str:
    return f"{re.escape(name)}$"


def _pattern(names: Iterable[str]) -> str:
    """Return the pattern of any of these; each is a pattern from the beginning of a name on."""
    every = list(names)
    if not every:
        return NOTHING
    return f"^{every[0]}" if len(every) == 1 else f"^({'|'.join(every)})"
