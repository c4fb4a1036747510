"""The reference client as an adapter in the kit's own process, on a network in memory."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from tests.conformance_kit.memory_network import MemoryNetwork
from tests.conformance_kit.reference_client import CAPABILITIES, ReferenceClient
from tests.conformance_kit.reference_link import World

from warren_conformance.adapters import Event
from warren_conformance.runner import run_all
from warren_conformance.scenario import Scenario
from warren_conformance.trial import Result, Setting

EPOCH = 1_764_000_000.0


class MemoryAdapter:
    """One reference client."""

    def __init__(self, network: MemoryNetwork, chance: random.Random) -> None:
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        world = World(network.dial, self._tell, wall, chance, network.faults)
        self._client = ReferenceClient(world)
        self._tell("ready", name="reference client", capabilities=CAPABILITIES)

    async def send(self, command: dict[str, Any]) -> None:
        self._client.command(command)
        if command["do"] == "connect":
            self._client._live.add_done_callback(self._ended)

    async def event(self) -> Event | None:
        return await self._events.get()

    async def stop(self, within_s: float) -> None:
        await self._client.stop()
        self._events.put_nowait(None)

    def last_words(self) -> str:
        return repr(self._client.crash())

    def _tell(self, event: str, **fields: Any) -> None:
        self._events.put_nowait({"event": event, **fields})

    def _ended(self, _task: asyncio.Task[None]) -> None:
        if self._client.crash() is not None:
            self._events.put_nowait(None)


class MemorySource:
    """Makes reference clients with these faults."""

    def __init__(self, network: MemoryNetwork, seed: int) -> None:
        self._network = network
        self._chance = random.Random(seed)

    async def start(self) -> MemoryAdapter:
        return MemoryAdapter(self._network, random.Random(self._chance.random()))


def wall() -> float:
    """Return the time of the wall, which passes as the loop's does."""
    return EPOCH + asyncio.get_running_loop().time()


async def judged(
    scenarios: list[Scenario],
    faults: frozenset[str] = frozenset(),
    seed: int = 0,
    protocol: str = "warren.v1",
) -> dict[str, Result]:
    """Return what the kit says of a reference client with these faults, by scenario."""
    network = MemoryNetwork(faults)
    setting = Setting(MemorySource(network, seed), network.listener, seed=seed, wall=wall, protocol=protocol)
    results = await run_all(scenarios, setting, len(scenarios), lambda _result: None)
    return {result.name: result for result in results}
