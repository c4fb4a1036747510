"""CloseGuard: a channel's frames up to its end."""

import asyncio

import pytest
from aiormq.abc import ChannelFrame
from pamqp import commands as spec

from warren.bus.rabbit.close_guard import CloseGuard

QOS, CLOSE, CLOSE_OK = (
    ChannelFrame.marshall(7, [frame])
    for frame in (
        spec.Basic.Qos(prefetch_count=1),
        spec.Channel.Close(504, "x", 0, 0),
        spec.Channel.CloseOk(),
    )
)


@pytest.mark.parametrize(
    ("given", "goes"),
    [
        ([QOS, QOS], [QOS, QOS]),
        ([QOS, CLOSE, QOS, CLOSE], [QOS, CLOSE]),
        ([CLOSE_OK, CLOSE, QOS, CLOSE_OK], [CLOSE_OK]),
        ([CLOSE, QOS, CLOSE_OK, CLOSE_OK, CLOSE], [CLOSE, CLOSE_OK]),  # the broker's end has crossed ours
    ],
)
async def test_nothing_goes_behind_the_end(given: list[ChannelFrame], goes: list[ChannelFrame]) -> None:
    """Whichever way it is written; and the last words are said before each end, not after it."""
    for write in ("put", "put_nowait"):
        queue: asyncio.Queue[ChannelFrame] = asyncio.Queue()
        words: list[int] = []
        outgoing = CloseGuard(queue, lambda queue=queue, words=words: words.append(queue.qsize()))
        for frame in given:
            if write == "put":
                await outgoing.put(frame)
            else:
                outgoing.put_nowait(frame)
        assert [queue.get_nowait() for _ in range(queue.qsize())] == goes
        assert words == [at for at, frame in enumerate(goes) if frame is not QOS]
