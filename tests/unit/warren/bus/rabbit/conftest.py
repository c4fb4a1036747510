"""A server that speaks AMQP as it is told, and a connection to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from tests.support.amqp_server import AmqpServer

from warren.bus.rabbit.connection import RabbitConnection


@pytest_asyncio.fixture
async def server() -> AsyncIterator[AmqpServer]:
    async with AmqpServer() as server:
        yield server


@pytest_asyncio.fixture
async def connection(server: AmqpServer) -> AsyncIterator[RabbitConnection]:
    connection = RabbitConnection(server.url)
    await connection.connect()
    await connection.connected.wait()
    yield connection
    await connection.close()
