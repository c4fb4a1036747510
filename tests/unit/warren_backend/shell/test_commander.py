"""Commands are carried, and repeated while Warren says that they may be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.eventually import eventually
from tests.support.scripted_channel import ScriptedChannel, turns

from warren_backend.core.errors import CommandFailed, CommandUnanswered
from warren_backend.core.names import Names
from warren_backend.shell.commander import AmqpCommander

ANSWERS = "amq.rabbitmq.reply-to"


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[AmqpCommander, ScriptedChannel]]:
    commander, channel = AmqpCommander(Names()), ScriptedChannel(confirms=True)
    task = asyncio.create_task(commander.publisher.serve(channel, lambda: None))  # type: ignore[arg-type]
    await turns()
    try:
        yield commander, channel
    finally:
        commander.stop()
        channel.end()
        await asyncio.gather(task, return_exceptions=True)


async def answer(channel: ScriptedChannel, at: int, body: Any, kind: str = "result") -> None:
    await eventually(lambda: len(channel.published) > at)
    ident = channel.published[at].properties.correlation_id
    await channel.deliver(ANSWERS, json.dumps(body).encode(), correlation_id=ident, message_type=kind)


async def test_a_command_is_answered() -> None:
    """Its key is the verb and the address, its id the message's."""
    async with serving() as (commander, channel):
        asked = asyncio.create_task(
            commander("remove", {"user": "ann"}, address="room.a", ident="i", timeout_s=5)
        )
        await answer(channel, 0, {"id": "i"})
        assert await asked == {"id": "i"}
        (sent,) = channel.published
        assert (sent.exchange, sent.key, sent.properties.message_id) == (
            "warren.control",
            "remove.room.a",
            "i",
        )


async def test_a_problem_that_may_pass_is_tried_again_under_the_same_id() -> None:
    """A late answer to the first attempt counts for nothing."""
    async with serving() as (commander, channel):
        asked = asyncio.create_task(commander("count", {}, address="room.a", ident="i", timeout_s=5))
        await answer(channel, 0, {"code": "overloaded", "retry": True, "retry_after_ms": 1}, "problem")
        await eventually(lambda: len(channel.published) > 1)
        await answer(channel, 0, {"users": 9})
        await answer(channel, 1, {"users": 1})
        assert await asked == {"users": 1}
        assert {each.properties.message_id for each in channel.published} == {"i"}


async def test_a_problem_that_stays_is_raised() -> None:
    """At once; and one that lasts beyond the time, at its end."""
    async with serving() as (commander, channel):
        asked = asyncio.create_task(commander("count", {}, address="room.a", ident=None, timeout_s=5))
        await answer(channel, 0, {"code": "not_found", "detail": "x"}, "problem")
        with pytest.raises(CommandFailed, match="not_found: x"):
            await asked
        asked = asyncio.create_task(commander("count", {}, address="room.a", ident=None, timeout_s=0.5))
        problem = {"code": "overloaded", "retry": True, "retry_after_ms": 60_000}
        await answer(channel, 1, problem, "problem")
        with pytest.raises(CommandFailed, match="overloaded"):
            await asked


async def test_silence_is_an_error_that_names_the_id() -> None:
    """It may have been done."""
    async with serving() as (commander, _):
        with pytest.raises(CommandUnanswered, match=r"\(i\)"):
            await commander("count", {}, address="room.a", ident="i", timeout_s=0.02)
