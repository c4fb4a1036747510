"""An installation that the tests of one module share: a gateway and a router as real processes on the session's
RabbitMQ, under a prefix of their own. Nothing of it is left afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.pods import Gateway, Pods, Router
from tests.support.rabbit import Rabbit

from warren.topology import Topology

SHARDS = 2


@dataclass(frozen=True)
class Installation:
    """Where everything is."""

    url: str  # of the broker
    topology: Topology
    gateway: Gateway
    router: Router

    @property
    def prefix(self) -> str:
        return self.topology.prefix


@contextmanager
def installed(broker: Rabbit, folder: Path, env: Mapping[str, str]) -> Iterator[Installation]:
    """Start an installation, and remove it."""
    broker.heal()
    topology = Topology(prefix=broker.prefix(), shards=SHARDS)
    pods = Pods(broker.url, topology.prefix, SHARDS, folder)
    try:
        (gateway,), (router,) = asyncio.run(pods.installation(1, 1, env))
        yield Installation(broker.url, topology, gateway, router)
    finally:
        pods.close()
        broker.heal()
        broker.remove(topology)
