"""Events are handed over one by one, once each, and what fails for good is set aside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.eventually import eventually
from tests.support.scripted_channel import ScriptedChannel, turns

from warren_backend.core.event import Event
from warren_backend.core.queues import Queue
from warren_backend.core.routes import EventRoute
from warren_backend.shell import event_consumer
from warren_backend.shell.event_consumer import EventConsumer

QUEUE = Queue(name="q", exchange="e", keys=("#",))


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_consumer, "FIRST_PAUSE_S", 0.001)


@asynccontextmanager
async def serving(consumer: EventConsumer, channel: ScriptedChannel) -> AsyncIterator[Callable[..., Any]]:
    task = asyncio.create_task(consumer.consumer.serve(channel, lambda: None))  # type: ignore[arg-type]
    await turns()

    async def event(ident: str, **fields: Any) -> int:
        body = {"event_id": ident, "event": "message", "at": 1} | fields
        return await channel.deliver("q", json.dumps(body).encode())

    try:
        yield event
    finally:
        channel.end()
        await asyncio.gather(task, return_exceptions=True)


def consumer_of(call: Callable[[Event], Any], **how: Any) -> EventConsumer:
    return EventConsumer("e", EventRoute(keys=("#",), call=call, **how), lambda: QUEUE)


async def test_each_is_handled_once_in_order_and_acknowledged_then() -> None:
    """A repeat is acknowledged, and not handled."""
    heard: list[str] = []
    gate = asyncio.Event()

    async def hear(event: Event) -> None:
        await gate.wait()
        heard.append(event.id)

    consumer, channel = consumer_of(hear), ScriptedChannel()
    consumer.start()
    async with serving(consumer, channel) as event:
        for ident in ("1", "2", "1", "3"):
            await event(ident)
        await turns()
        assert channel.settled == []
        gate.set()
        await eventually(lambda: len(channel.settled) == 4)
        await consumer.stop(1)
    assert heard == ["1", "2", "3"]
    assert channel.settled == [("ack", number) for number in (1, 2, 3, 4)]


async def test_what_fails_is_tried_again_in_its_place_and_then_set_aside() -> None:
    """What can't be read goes at once; one that hangs has failed, too."""
    heard: list[str] = []

    async def hear(event: Event) -> None:
        heard.append(event.id)
        if event.id == "bad" or (event.id == "shaky" and heard.count("shaky") < 3):
            raise ValueError
        if event.id == "hangs":
            await asyncio.Event().wait()

    consumer, channel = consumer_of(hear, tries=3, timeout_s=0.02), ScriptedChannel()
    consumer.start()
    async with serving(consumer, channel) as event:
        for ident in ("bad", "shaky", "hangs", "good"):
            await event(ident)
        await channel.deliver("q", b"{")
        await eventually(lambda: len(channel.settled) == 5)
        await consumer.stop(1)
    assert heard == ["bad"] * 3 + ["shaky"] * 3 + ["hangs"] * 3 + ["good"]
    assert [how for how, _ in channel.settled] == ["set aside", "ack", "set aside", "ack", "set aside"]


async def test_what_is_handled_while_its_channel_ends_is_not_handled_again() -> None:
    """It comes again by the next one, with those that waited behind it."""
    heard: list[str] = []
    gate = asyncio.Event()

    async def hear(event: Event) -> None:
        heard.append(event.id)
        await gate.wait()

    consumer, first, second = consumer_of(hear), ScriptedChannel(), ScriptedChannel()
    consumer.start()
    async with serving(consumer, first) as event:
        await event("1")
        await event("2")
        await turns()
    async with serving(consumer, second) as event:
        await event("1")
        await event("2")
        gate.set()
        await eventually(lambda: len(second.settled) == 2)
        await consumer.stop(1)
    assert heard == ["1", "2"]
    assert (first.settled, second.settled) == ([], [("ack", 1), ("ack", 2)])


async def test_at_the_end_the_open_one_is_finished_and_the_others_go_back_with_the_channel() -> None:
    """Nothing is said of them, nor of one that takes too long: so they keep their order."""
    gate = asyncio.Event()

    async def hear(_: Event) -> None:
        await gate.wait()

    consumer, channel = consumer_of(hear), ScriptedChannel()
    consumer.start()
    async with serving(consumer, channel) as event:
        await event("1")
        await event("2")
        await turns()
        stopping = asyncio.create_task(consumer.stop(5))
        await turns()
        gate.set()
        await stopping
    assert (channel.settled, channel.cancelled) == ([("ack", 1)], [])
    gate.clear()
    slow, channel = consumer_of(hear), ScriptedChannel()
    slow.start()
    async with serving(slow, channel) as event:
        await event("1")
        await turns()
        await slow.stop(0.01)
    assert channel.settled == []
