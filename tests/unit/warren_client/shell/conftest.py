"""A server of one's own for each test of the shell."""

from collections.abc import AsyncIterator

import pytest_asyncio
from tests.support.client_stub import Stub, stub


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Stub]:
    """One that does what the test says."""
    async with stub() as made:
        yield made
