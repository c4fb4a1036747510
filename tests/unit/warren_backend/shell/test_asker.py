"""Questions are answered, or asked again under the same ids."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.scripted_channel import ScriptedChannel, turns

from warren_backend.core.errors import Overloaded, Stopped
from warren_backend.core.messages import Outgoing
from warren_backend.shell.asker import Asker, Asking

MESSAGE = Outgoing(routing_key="count.room.a", body=b"{}", message_id="m")
ANSWERS = "amq.rabbitmq.reply-to"


@asynccontextmanager
async def serving(asker: Asker, channel: ScriptedChannel) -> AsyncIterator[None]:
    task = asyncio.create_task(asker.publisher.serve(channel, lambda: None))  # type: ignore[arg-type]
    await turns()
    try:
        yield
    finally:
        channel.end()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_answer_is_that_of_the_question() -> None:
    """By its correlation id; one that nobody waits for is passed over."""
    asker, channel = Asker("a", "ex"), ScriptedChannel(confirms=True)
    async with serving(asker, channel):
        asking = Asking(asker, MESSAGE)
        await asking.send(5)
        properties = channel.published[0].properties
        assert (properties.reply_to, properties.message_id) == (ANSWERS, "m")
        await channel.deliver(ANSWERS, b"other", correlation_id="other")
        await channel.deliver(ANSWERS, b"it", correlation_id=properties.correlation_id)
        assert (await asking.answer(5, 5)).body == b"it"
        assert len(asker) == 1
        asking.close()
        assert len(asker) == 0


async def test_it_is_asked_again_where_the_answer_may_be_lost_with_the_channel() -> None:
    """Under the same ids, on the next one."""
    asker = Asker("a", "ex")
    first, second = ScriptedChannel(confirms=True), ScriptedChannel(confirms=True)
    asking = Asking(asker, MESSAGE)
    async with serving(asker, first):
        await asking.send(5)
        waiting = asyncio.create_task(asking.answer(5, 5))
        await turns()
    async with serving(asker, second):
        await turns()
        again = second.published[0].properties
        assert again.correlation_id == first.published[0].properties.correlation_id
        await second.deliver(ANSWERS, b"it", correlation_id=again.correlation_id)
        assert (await waiting).body == b"it"


async def test_it_is_asked_again_after_a_while_and_then_given_up() -> None:
    """The time is that of all attempts together."""
    asker, channel = Asker("a", "ex"), ScriptedChannel(confirms=True)
    async with serving(asker, channel):
        asking = Asking(asker, MESSAGE)
        with pytest.raises(TimeoutError):
            await asking.answer(0.5, 0.01)
        assert len(channel.published) > 1
        former = channel.published[0].properties.correlation_id
        asking.renew()
        await asking.send(5)
        assert channel.published[-1].properties.correlation_id != former
        assert len(asker) == 1


async def test_so_many_may_be_open_and_no_more() -> None:
    """And at the end all of them are told."""
    asker = Asker("a", "ex", limit=1)
    channel = ScriptedChannel(confirms=True)
    async with serving(asker, channel):
        asking = Asking(asker, MESSAGE)
        with pytest.raises(Overloaded):
            Asking(asker, MESSAGE)
        await asking.send(5)
        waiting = asyncio.create_task(asking.answer(5, 5))
        await turns()
        asker.stop()
        with pytest.raises(Stopped):
            await waiting
