"""CloseGuard: what aiormq writes for one channel, up to the frame that ends the channel and no further.

A broker ends the whole connection (504) for anything that comes behind that frame, a second one like it too;
aiormq ends a channel for each call that is cancelled, the call that ends it among them. Only our own end may
be followed by the answer to the broker's, where the two have crossed. It knows no frame but the ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiormq.abc import ChannelFrame

from warren.bus.rabbit import frames as frames


class CloseGuard:
    """Takes the place of the connection's queue of frames in one aiormq channel."""

    def __init__(self, queue: asyncio.Queue[ChannelFrame], before_end: Callable[[], None]) -> None:
        """``before_end`` is called before the frame that ends the channel goes, whoever ends it and why."""
        self._queue = queue
        self._before_end = before_end
        self._end = 0  # the method that has ended the channel

    async def put(self, frame: ChannelFrame) -> None:
        """Write a frame, where it may still go."""
        if self._goes(frame):
            await self._queue.put(frame)

    def put_nowait(self, frame: ChannelFrame) -> None:
        """Write a frame at once, where it may still go. Raises QueueFull."""
        if self._goes(frame):
            self._queue.put_nowait(frame)

    def _goes(self, frame: ChannelFrame) -> bool:
        """Say whether a frame may still go."""
        end = frames.end_of(frame.payload)
        if self._end and (self._end, end) != (frames.CHANNEL_CLOSE, frames.CHANNEL_CLOSE_OK):
            return False
        if end:
            self._before_end()
            self._end = end
        return True
