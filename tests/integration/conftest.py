"""Which event loops integration tests run on: the gateway's sockets on both uvloop, as in a pod, and the
standard library's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
import uvloop
from tests.support.gateways import House, house

Factory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Factory]:
    """Return the loops of one test."""
    plain: dict[str, Factory] = {"asyncio": asyncio.new_event_loop}
    name = item.path.name
    both = name.startswith("test_gateway") and name != "test_gateway_process.py"
    return plain | {"uvloop": uvloop.new_event_loop} if both else plain


@pytest_asyncio.fixture
async def home() -> AsyncIterator[House]:
    """An installation without gateways yet."""
    async with house() as built:
        yield built
