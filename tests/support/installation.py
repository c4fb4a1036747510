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
    with _running(broker.url, topology, folder, env) as made:
        yield made
    broker.heal()
    broker.remove(topology)


@contextmanager
def installed_alone(broker: Rabbit, folder: Path, env: Mapping[str, str]) -> Iterator[Installation]:
    """Start one under the default prefix, in a virtual host of its own, and remove that."""
    broker.heal()
    name = broker.prefix()
    url = broker.node.add_vhost(name)
    try:
        with _running(url, Topology(shards=SHARDS), folder, env) as made:
            yield made
    finally:
        broker.heal()
        broker.node.delete_vhost(name)


@contextmanager
def _running(url: str, topology: Topology, folder: Path, env: Mapping[str, str]) -> Iterator[Installation]:
    pods = Pods(url, topology.prefix, topology.shards, folder)
    try:
        (gateway,), (router,) = asyncio.run(pods.installation(1, 1, env))
        yield Installation(url, topology, gateway, router)
    finally:
        pods.close()
