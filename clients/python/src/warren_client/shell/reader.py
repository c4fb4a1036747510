"""Reads one of the core's queues as an asynchronous iterator."""

from __future__ import annotations

import asyncio
from typing import Generic, Self, TypeVar

from warren_client.core.feed import Feed, Inbox
from warren_client.shell.driver import Driver

T = TypeVar("T")


class Reader(Generic[T]):
    """Each item is read once, whoever asks. A reader that is cancelled while it waits has taken nothing."""

    def __init__(self, feed: Feed[T], driver: Driver) -> None:
        """Whoever reads is woken when something is put into ``feed``."""
        self._feed = feed
        self._driver = driver
        self._news = asyncio.Event()
        feed.wake = self._news.set

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        feed = self._feed
        while (item := feed.take()) is None:
            if feed.is_ended:
                if feed.error is not None:
                    raise feed.error
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        if isinstance(feed, Inbox) and feed.is_read:
            self._driver.do(feed.on_space)
        return item
