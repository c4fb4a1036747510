"""The contract suite's fixtures: each of its tests runs on the memory broker and on a real RabbitMQ."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.support.buses import ContractTopology, MemoryWorld, NewBus, RabbitWorld, World

from warren.bus import Bus


@pytest_asyncio.fixture(params=["memory", pytest.param("rabbit", marks=pytest.mark.rabbit)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    world = MemoryWorld() if request.param == "memory" else RabbitWorld(request.getfixturevalue("rabbit"))
    yield world
    await world.close()


@pytest.fixture
def topology(world: World) -> ContractTopology:
    return world.topology


@pytest.fixture
def bus_factory(world: World) -> NewBus:
    async def make() -> Bus:
        bus = await world.bus()
        await bus.start()
        return bus

    return make


@pytest_asyncio.fixture
async def bus(bus_factory: NewBus) -> Bus:
    return await bus_factory()
