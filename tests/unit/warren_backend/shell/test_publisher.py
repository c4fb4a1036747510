"""What is published is told to be at the broker, or why not; in order, over any number of channels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiormq.exceptions import AMQPConnectionError, ChannelAccessRefused, ChannelPreconditionFailed
from tests.support.eventually import eventually
from tests.support.scripted_channel import ScriptedChannel, turns

from warren_backend.core.errors import (
    AccessRefused,
    BackendError,
    BrokerUnavailable,
    Expired,
    InvalidNotification,
    NotConfirmed,
    Overloaded,
    Stopped,
    Unroutable,
)
from warren_backend.core.messages import Incoming, Outgoing
from warren_backend.core.outbox import Limits
from warren_backend.shell import publisher as module
from warren_backend.shell.publisher import REFUSALS, Publisher

MESSAGE = Outgoing(routing_key="room.a", body=b"1")


def numbered(number: int) -> Outgoing:
    return replace(MESSAGE, body=str(number).encode())


def bodies(channel: ScriptedChannel) -> list[int]:
    return [int(each.body) for each in channel.published]


@asynccontextmanager
async def serving(publisher: Publisher, channel: ScriptedChannel) -> AsyncIterator[asyncio.Task[None]]:
    ready = asyncio.Event()
    task = asyncio.create_task(publisher.serve(channel, ready.set))  # type: ignore[arg-type]
    await ready.wait()
    await turns()
    try:
        yield task
    finally:
        channel.end()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_publish_returns_with_its_confirm() -> None:
    """And not before; with the life of its channel."""
    publisher, channel = Publisher("p", "ex"), ScriptedChannel()
    async with serving(publisher, channel):
        task = asyncio.create_task(publisher.publish(MESSAGE, 5))
        await turns()
        (sent,) = channel.published
        assert (sent.exchange, sent.key, sent.mandatory, task.done()) == ("ex", "room.a", True, False)
        sent.ack()
        life = await task
        assert not life.done()
    assert life.done()
    assert len(publisher) == 0


async def test_what_was_not_confirmed_goes_again_in_order_on_the_next_channel() -> None:
    """Before what came meanwhile."""
    publisher = Publisher("p", "ex")
    first, second = ScriptedChannel(), ScriptedChannel(confirms=True)
    tasks = [asyncio.create_task(publisher.publish(numbered(number), 5)) for number in range(4)]
    async with serving(publisher, first):
        first.published[1].ack()
        await turns()
    tasks.append(asyncio.create_task(publisher.publish(numbered(4), 5)))
    await turns()
    async with serving(publisher, second):
        await asyncio.gather(*tasks)
    assert bodies(first) == [0, 1, 2, 3]
    assert bodies(second) == [0, 2, 3, 4]


@pytest.mark.parametrize("after", range(8))
async def test_what_was_not_confirmed_goes_again_whenever_the_link_takes_the_channel_away(after: int) -> None:
    """A lost connection ends the channel, and some turns of the loop later has the serving cancelled."""
    publisher = Publisher("p", "ex")
    first, second = ScriptedChannel(), ScriptedChannel(confirms=True)
    tasks = [asyncio.create_task(publisher.publish(numbered(number), 5)) for number in range(3)]
    async with serving(publisher, first) as serve:
        first.published[0].ack()
        life = await tasks[0]
        first.end(AMQPConnectionError("reset"))
        await turns(after)
        serve.cancel()
        await asyncio.gather(serve, return_exceptions=True)
        assert life.done()
    tasks.append(asyncio.create_task(publisher.publish(numbered(3), 5)))
    await turns()
    async with serving(publisher, second):
        await asyncio.gather(*tasks)
    assert bodies(second) == [1, 2, 3]


async def test_what_is_not_confirmed_in_time_says_why_and_is_not_sent_later() -> None:
    """The trouble of the link is named."""
    publisher, channel = Publisher("p", "ex"), ScriptedChannel(confirms=True)
    publisher.trouble(BrokerUnavailable("no broker listens"))
    with pytest.raises(NotConfirmed, match="no broker listens"):
        await publisher.publish(MESSAGE, 0.01)
    async with serving(publisher, channel):
        await publisher.publish(numbered(2), 5)
    assert bodies(channel) == [2]


async def test_what_reaches_no_queue_and_what_can_not_be_written_are_told_at_once() -> None:
    """The others go on."""
    publisher, channel = Publisher("p", "ex"), ScriptedChannel()
    async with serving(publisher, channel) as task:
        one = asyncio.create_task(publisher.publish(MESSAGE, 5))
        await turns()
        channel.published[0].give_back()
        with pytest.raises(Unroutable):
            await one
        two = asyncio.create_task(publisher.publish(MESSAGE, 5))
        await turns()
        channel.published[1].outcome.set_exception(ValueError("too long"))
        with pytest.raises(InvalidNotification, match="too long"):
            await two
        assert not task.done()


async def test_what_a_full_queue_refuses_goes_again() -> None:
    """Where it is refused again and again, another channel is taken."""
    publisher, channel = Publisher("p", "ex"), ScriptedChannel()
    task = asyncio.create_task(publisher.publish(MESSAGE, 30))
    async with serving(publisher, channel) as serve:
        for number in range(REFUSALS):
            await eventually(lambda number=number: len(channel.published) > number)
            channel.published[number].nack()
        with pytest.raises(BrokerUnavailable, match="full"):
            await serve
    again = ScriptedChannel(confirms=True)
    async with serving(publisher, again):
        await task


async def test_what_is_refused_goes_again_before_what_came_after_it() -> None:
    """All of it in its order; one goes at a time until one is taken."""
    publisher, channel = Publisher("p", "ex", Limits(window=4), in_order=True), ScriptedChannel()
    tasks = [asyncio.create_task(publisher.publish(numbered(number), 30)) for number in range(6)]
    async with serving(publisher, channel):
        assert bodies(channel) == [0, 1, 2, 3]
        for number in (2, 3):
            channel.published[number].nack()
        await turns()
        channel.published[1].nack()
        await turns()
        assert bodies(channel) == [0, 1, 2, 3]
        channel.published[0].ack()
        await eventually(lambda: len(channel.published) == 8)
        assert bodies(channel)[4:] == [1, 2, 3, 4]
        channel.published[4].nack()
        for each in channel.published[5:]:
            each.nack()
        await turns()
    again = ScriptedChannel(confirms=True)
    async with serving(publisher, again):
        await asyncio.gather(*tasks)
    assert bodies(again) == [1, 2, 3, 4, 5]


async def test_while_the_broker_refuses_one_goes_at_a_time() -> None:
    """What waits behind it is not written before it is taken, so that nothing overtakes it."""
    publisher, channel = Publisher("p", "ex", in_order=True), ScriptedChannel()
    tasks = [asyncio.create_task(publisher.publish(numbered(0), 30))]
    async with serving(publisher, channel):
        channel.published[0].nack()
        await turns()
        tasks.append(asyncio.create_task(publisher.publish(numbered(1), 30)))
        await eventually(lambda: len(channel.published) == 2)
        await turns()
        assert bodies(channel) == [0, 0]
        channel.published[1].ack()
        await eventually(lambda: len(channel.published) == 3)
        channel.published[2].ack()
        await asyncio.gather(*tasks)
    assert bodies(channel) == [0, 0, 1]


async def test_what_one_queue_refuses_does_not_hold_up_what_goes_to_others() -> None:
    """Where not everything goes to one queue."""
    publisher, channel = Publisher("p", "ex"), ScriptedChannel()
    tasks = [asyncio.create_task(publisher.publish(numbered(0), 30))]
    async with serving(publisher, channel):
        channel.published[0].nack()
        await turns()
        tasks.append(asyncio.create_task(publisher.publish(numbered(1), 30)))
        await turns()
        assert bodies(channel) == [0, 1]
        channel.published[1].ack()
        await eventually(lambda: len(channel.published) == 3)
        channel.published[2].ack()
        await asyncio.gather(*tasks)
    assert bodies(channel) == [0, 1, 0]


async def test_what_was_refused_is_not_sent_twice_by_the_next_channel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pause after the refusal ends when it is under way there."""
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)
    publisher, first, second = Publisher("p", "ex"), ScriptedChannel(), ScriptedChannel()
    task = asyncio.create_task(publisher.publish(MESSAGE, 30))
    async with serving(publisher, first):
        first.published[0].nack()
        await turns()
    async with serving(publisher, second):
        assert len(second.published) == 1
        await asyncio.sleep(0.05)  # longer than the pause
        assert len(second.published) == 1
        second.published[0].ack()
        await task


async def test_a_pause_after_a_refusal_ends_with_its_channel() -> None:
    """The next channel begins at once."""
    publisher = Publisher("p", "ex", in_order=True)
    first, second = ScriptedChannel(), ScriptedChannel(confirms=True)
    task = asyncio.create_task(publisher.publish(MESSAGE, 30))
    async with serving(publisher, first):
        first.published[0].nack()
        await turns()
    async with serving(publisher, second):
        assert len(second.published) == 1
        await task


async def test_a_channel_that_owes_a_confirm_is_replaced_however_much_else_is_confirmed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it owes goes again by the next one."""
    monkeypatch.setattr(module, "CONFIRM_S", 0.02)
    publisher, channel = Publisher("p", "ex"), ScriptedChannel()
    owed = asyncio.create_task(publisher.publish(numbered(0), 30))
    async with serving(publisher, channel) as serve:
        while not serve.done():
            other = asyncio.create_task(publisher.publish(numbered(1), 30))
            await turns(5)
            for each in channel.published[1:]:
                if not each.outcome.done():
                    each.ack()
            await asyncio.sleep(0.001)
        with pytest.raises(BrokerUnavailable, match="confirms nothing"):
            await serve
    async with serving(publisher, ScriptedChannel(confirms=True)):
        await asyncio.gather(owed, other)


async def test_who_may_not_is_found_and_the_others_are_sent() -> None:
    """The broker ends the channel for one of three; that one is told, and no other."""
    publisher = Publisher("p", "ex")
    tasks = [asyncio.create_task(publisher.publish(numbered(number), 5)) for number in range(3)]
    refused = ChannelAccessRefused("ACCESS_REFUSED")
    first, second, third = ScriptedChannel(), ScriptedChannel(), ScriptedChannel(confirms=True)
    async with serving(publisher, first) as serve:
        first.end(refused)
        with pytest.raises(AccessRefused):
            await serve
    async with serving(publisher, second) as serve:
        second.published[0].ack()
        await turns()
        assert bodies(second) == [0, 1]
        second.end(refused)
        await serve  # found: the next channel is wanted at once
    async with serving(publisher, third):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(each, AccessRefused) for each in outcomes] == [False, True, False]
    assert bodies(third) == [2]


async def test_one_that_is_too_large_for_the_broker_is_told() -> None:
    """Its channel is ended for it."""
    publisher, channel = Publisher("p", "ex"), ScriptedChannel()
    task = asyncio.create_task(publisher.publish(MESSAGE, 5))
    async with serving(publisher, channel) as serve:
        channel.end(ChannelPreconditionFailed("message size 9 is larger than configured max size 8"))
        await serve
    with pytest.raises(BackendError, match="larger than configured"):
        await task


async def test_what_expires_before_the_broker_has_it_is_told() -> None:
    """And what is left of its time is what is sent."""
    publisher, channel = Publisher("p", "ex"), ScriptedChannel(confirms=True)
    loop = asyncio.get_running_loop()
    message = replace(MESSAGE, expiration_ms=60_000)
    over = asyncio.create_task(publisher.publish(message, 60, until=loop.time()))
    begun = asyncio.create_task(publisher.publish(message, 60, until=loop.time() + 50))
    fresh = asyncio.create_task(publisher.publish(message, 60))
    await turns()
    async with serving(publisher, channel):
        with pytest.raises(Expired):
            await over
        await asyncio.gather(begun, fresh)
    left = [int(str(sent.properties.expiration)) for sent in channel.published]
    assert 0 < left[0] <= 50_000 < left[1] <= 60_000


async def test_what_finds_no_place_waits_in_order_and_then_is_told() -> None:
    """Nothing of it is sent afterwards."""
    publisher = Publisher("p", "ex", Limits(messages=1, window=1))
    channel = ScriptedChannel()
    tasks = [asyncio.create_task(publisher.publish(numbered(number), 30)) for number in range(3)]
    await turns()
    with pytest.raises(Overloaded):
        await publisher.publish(numbered(9), 0.01)
    async with serving(publisher, channel):
        for number in range(3):
            await turns()
            channel.published[number].ack()
        await asyncio.gather(*tasks)
    assert bodies(channel) == [0, 1, 2]


async def test_one_can_wait_for_what_is_on_its_way() -> None:
    """For so long, and no longer; where there is nothing, not at all."""
    publisher, channel = Publisher("p", "ex"), ScriptedChannel()
    await publisher.emptied(60)
    task = asyncio.create_task(publisher.publish(MESSAGE, 60))
    await turns()
    await publisher.emptied(0.01)
    assert not task.done()
    async with serving(publisher, channel):
        waiting = asyncio.create_task(publisher.emptied(60))
        await turns()
        channel.published[0].ack()
        await waiting
        await task


async def test_at_the_end_all_who_wait_are_told() -> None:
    """And nobody may come later."""
    publisher = Publisher("p", "ex")
    task = asyncio.create_task(publisher.publish(MESSAGE, 5))
    await turns()
    publisher.stop()
    with pytest.raises(Stopped):
        await task
    with pytest.raises(Stopped):
        await publisher.publish(MESSAGE, 5)


async def test_replies_come_by_the_channels_direct_reply_to() -> None:
    """Whoever asked for them is given each."""
    heard: list[Incoming] = []
    publisher, channel = Publisher("p", "ex", on_reply=heard.append), ScriptedChannel()
    async with serving(publisher, channel):
        await channel.deliver("amq.rabbitmq.reply-to", b"x", correlation_id="c")
    assert [(each.correlation_id, each.body) for each in heard] == [("c", b"x")]
