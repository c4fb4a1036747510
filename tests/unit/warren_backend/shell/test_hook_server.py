"""Questions of gateways are decided, and nothing is allowed by accident."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.support.eventually import eventually
from tests.support.scripted_channel import ScriptedChannel, turns

from warren_backend.core.decision import AllowJoin, Deny, JoinQuestion
from warren_backend.core.names import Names
from warren_backend.core.routes import HookRoute
from warren_backend.shell.hook_server import HookServer
from warren_backend.shell.publisher import Publisher

QUESTION = {"hook": "join", "connection": "g~1", "user": "ann", "room": "chat:a", "namespace": "chat"}


@asynccontextmanager
async def serving(
    call: Callable[[Any], Any], **how: Any
) -> AsyncIterator[tuple[HookServer, ScriptedChannel, ScriptedChannel]]:
    publisher = Publisher("replies", "warren.replies")
    server = HookServer(Names(), HookRoute(hook="join", call=call, queue="h", **how), publisher)
    channel, replies = ScriptedChannel(), ScriptedChannel(confirms=True)
    tasks = [
        asyncio.create_task(publisher.serve(replies, lambda: None)),  # type: ignore[arg-type]
        asyncio.create_task(server.consumer.serve(channel, lambda: None)),  # type: ignore[arg-type]
    ]
    await turns()
    try:
        yield server, channel, replies
    finally:
        await server.stop(0.01)
        publisher.stop()
        channel.end()
        replies.end()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask(channel: ScriptedChannel, body: Any = None, **properties: Any) -> int:
    return await channel.deliver(
        "app.h",
        json.dumps(QUESTION if body is None else body).encode(),
        **({"correlation_id": "c", "reply_to": "q", "expiration": "1000"} | properties),
    )


async def test_an_answer_goes_where_the_question_says() -> None:
    """And the question is acknowledged then."""

    async def decide(question: JoinQuestion) -> AllowJoin | Deny:
        return AllowJoin(ttl_s=5) if question.room == "chat:a" else Deny()

    async with serving(decide) as (_, channel, replies):
        await ask(channel)
        await eventually(lambda: channel.settled == [("ack", 1)])
        (reply,) = replies.published
        assert (reply.key, reply.properties.correlation_id) == ("q", "c")
        assert json.loads(reply.body) == {"allow": True, "ttl": 5}


async def test_what_fails_decides_nothing_and_the_gateway_is_told_at_once() -> None:
    """A fault, an answer of another kind, a question that can't be read, and one that takes too long."""

    async def decide(question: JoinQuestion) -> Any:
        match question.user:
            case "fault":
                raise ZeroDivisionError
            case "hang":
                await asyncio.Event().wait()
        return "yes"

    async with serving(decide) as (_, channel, replies):
        await ask(channel, QUESTION | {"user": "fault"})
        await ask(channel)
        await ask(channel, [])
        await ask(channel, QUESTION | {"user": "hang"}, expiration="5")
        await eventually(lambda: len(channel.settled) == 4)
        assert [reply.body for reply in replies.published] == [b"{}"] * 4


async def test_a_cancel_is_passed_over_and_no_more_are_decided_at_once_than_it_says() -> None:
    """The others wait."""
    open_, most, gate = 0, 0, asyncio.Event()

    async def decide(_: JoinQuestion) -> bool:
        nonlocal open_, most
        open_ += 1
        most = max(most, open_)
        await gate.wait()
        open_ -= 1
        return True

    async with serving(decide, concurrency=2) as (_, channel, replies):
        assert channel.prefetch == 4
        await ask(channel, message_type="CANCEL")
        for _number in range(5):
            await ask(channel)
        await turns()
        gate.set()
        await eventually(lambda: len(channel.settled) == 6)
        assert (most, len(replies.published)) == (2, 5)


async def test_at_the_end_what_is_open_is_given_back() -> None:
    """Somebody else decides it."""

    async def decide(_: JoinQuestion) -> bool:
        await asyncio.Event().wait()
        return True

    async with serving(decide) as (server, channel, replies):
        await ask(channel)
        await turns()
        await server.stop(0.01)
        assert (channel.settled, replies.published) == ([("requeue", 1)], [])
