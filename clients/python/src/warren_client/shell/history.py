"""What was said in a room before, as an asynchronous iterator."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Self

from warren_client.core.encode import check_room
from warren_client.messages import Message
from warren_client.shell.driver import Driver

Page = tuple[list[Message], bool]


class History:
    """Messages from the newest to the oldest, as far as the room's log reaches. A wait for a page may be
    cancelled: the next one asks for it again.
    """

    def __init__(self, room: str, driver: Driver, before: int | None, page: int) -> None:
        """``before`` is a seq, or None for the latest message; ``page`` is how many are asked for at a
        time.
        """
        self._room = room
        self._driver = driver
        self._before = before
        self._page = page
        self._found: deque[Message] = deque()
        self._more = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        if not self._found and self._more:
            messages, more = await history_page(self._room, self._driver, self._before, self._page)
            oldest = messages[0].seq if messages else None
            self._found.extend(reversed(messages))
            self._more = more and oldest is not None
            self._before = oldest
        if not self._found:
            raise StopAsyncIteration
        return self._found.popleft()


async def history_page(room: str, driver: Driver, before: int | None, limit: int) -> Page:
    """Return a page, oldest first, and whether there are older messages."""
    check_room(room)
    entry = driver.do(lambda: driver.session.history(room, before, limit))
    try:
        page: Page = await driver.settled(entry.outcome)
    except asyncio.CancelledError:
        driver.do(lambda: driver.session.withdraw(entry))
        raise
    return page
