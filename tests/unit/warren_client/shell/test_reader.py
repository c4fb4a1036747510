"""A queue as an asynchronous iterator."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.client_stub import Stub
from tests.support.eventually import eventually

import warren_client
from warren_client.core.feed import Feed
from warren_client.errors import ClosedError
from warren_client.shell.reader import Reader


async def test_items_come_before_the_end(server: Stub) -> None:
    """And then its error, each time."""
    async with warren_client.connect(server.url) as client:
        feed: Feed[int] = Feed(5)
        reader = Reader(feed, client._driver)
        feed.put(1)
        feed.end(ClosedError("over"))
        assert await anext(reader) == 1
        for _ in range(2):
            with pytest.raises(ClosedError):
                await anext(reader)


async def test_each_item_goes_to_one_of_several_who_wait(server: Stub) -> None:
    """Nobody is forgotten, and who was cancelled takes nothing."""
    async with warren_client.connect(server.url) as client:
        feed: Feed[int] = Feed(5)
        reader = Reader(feed, client._driver)
        waiting = [asyncio.ensure_future(anext(reader)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        feed.put(1)
        feed.put(2)
        assert await asyncio.gather(*waiting[1:]) == [1, 2]
        last = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0)
        feed.end()
        await eventually(last.done)
        assert isinstance(last.exception(), StopAsyncIteration)
