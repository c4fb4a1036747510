"""Messages are taken from queues that are declared anew on each channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiormq.exceptions import ChannelPreconditionFailed
from tests.support.scripted_channel import ScriptedChannel, turns

from warren_backend.core.errors import BrokerUnavailable, QueueMismatch
from warren_backend.core.queues import Queue
from warren_backend.shell.consumer import Consumer, Delivery, Intake


class Taken:
    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.made = 0
        self.consumer = Consumer("c", [Intake(self.queue, self.deliveries.append)], prefetch=7)

    def queue(self) -> Queue:
        self.made += 1
        return Queue(
            name=f"app.q{self.made}",
            exchange="warren.events",
            keys=("a.*", "b"),
            dead=f"app.q{self.made}.dead",
            arguments={"x-max-length": 1},
        )


@asynccontextmanager
async def serving(consumer: Consumer, channel: ScriptedChannel) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(consumer.serve(channel, lambda: None))  # type: ignore[arg-type]
    await turns()
    try:
        yield task
    finally:
        channel.end()
        await asyncio.gather(task, return_exceptions=True)


async def test_queues_are_declared_bound_and_consumed() -> None:
    """With where their dead letters go; anew, and under a new name, on each channel."""
    taken = Taken()
    for number in (1, 2):
        channel = ScriptedChannel()
        async with serving(taken.consumer, channel):
            await channel.deliver(f"app.q{number}", b"x", "a.b")
        assert channel.prefetch == 7
        assert [name for _, name, _ in channel.declared] == [f"app.q{number}.dead"] * 2 + [f"app.q{number}"]
        assert channel.declared[-1][2] == {"x-max-length": 1, "durable": True, "exclusive": False}
        assert channel.bound[1:] == [
            (f"app.q{number}", "warren.events", "a.*"), (f"app.q{number}", "warren.events", "b")
        ]  # fmt: skip
    assert [each.message.body for each in taken.deliveries] == [b"x", b"x"]


async def test_a_delivery_is_settled_once_and_only_while_its_channel_is_there() -> None:
    """Afterwards it comes again anyway."""
    taken, channel = Taken(), ScriptedChannel()
    async with serving(taken.consumer, channel):
        for _ in range(4):
            await channel.deliver("app.q1")
        one, two, three, four = taken.deliveries
        await one.ack()
        await one.requeue()
        await two.requeue()
        await three.set_aside()
    assert channel.settled == [("ack", 1), ("requeue", 2), ("set aside", 3)]
    assert not four.alive
    await four.ack()
    assert len(channel.settled) == 3


async def test_a_drained_one_takes_nothing_more_and_still_settles() -> None:
    """Neither on this channel nor on the next one."""
    taken, channel = Taken(), ScriptedChannel()
    async with serving(taken.consumer, channel):
        await channel.deliver("app.q1")
        await taken.consumer.drain()
        assert channel.cancelled == ["tag-app.q1"]
        await taken.deliveries[0].ack()
    assert channel.settled == [("ack", 1)]
    again = ScriptedChannel()
    async with serving(taken.consumer, again):
        assert again.consumers == {}


async def test_the_end_of_its_queue_or_channel_is_told() -> None:
    """The next channel is to come after a pause."""
    taken, channel = Taken(), ScriptedChannel()
    async with serving(taken.consumer, channel) as serve:
        (tell,) = channel.on_consumer_cancel_callbacks
        tell(None)
        with pytest.raises(BrokerUnavailable, match="was its queue deleted"):
            await serve
    channel = ScriptedChannel()
    async with serving(taken.consumer, channel) as serve:
        channel.end(ChannelPreconditionFailed("inequivalent arg"))
        with pytest.raises(QueueMismatch):
            await serve
