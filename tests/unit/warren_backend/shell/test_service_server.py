"""Requests are answered, a bounded number at a time; once each; and given back at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.eventually import eventually
from tests.support.scripted_channel import ScriptedChannel, turns

from warren_backend.core.answers import MemoryAnswers
from warren_backend.core.names import Names
from warren_backend.core.request import Part, Request
from warren_backend.core.routes import ServiceRoute
from warren_backend.shell.publisher import Publisher
from warren_backend.shell.service_server import ServiceServer


@dataclass
class Side:
    """A server, its requests and its answers."""

    server: ServiceServer
    channel: ScriptedChannel
    replies: ScriptedChannel

    async def ask(self, name: str, body: bytes = b"1", **properties: Any) -> int:
        properties = {"reply_to": "q", "message_id": f"ann~{name}", "expiration": "60000"} | properties
        return await self.channel.deliver("app.s", body, "s", correlation_id=name, **properties)

    async def cancel(self, name: str) -> None:
        queue = next(queue for queue in self.channel.consumers if ".cancel." in queue)
        await self.channel.deliver(queue, correlation_id=name, message_type="CANCEL")

    def told(self) -> list[tuple[str, bytes]]:
        return [(str(each.properties.correlation_id), each.body) for each in self.replies.published]


@asynccontextmanager
async def serving(call: Callable[[Request], Any], **how: Any) -> AsyncIterator[Side]:
    replies = Publisher("replies", "warren.replies")
    route = ServiceRoute(**{"pattern": "s", "call": call, "queue": "s"} | how)
    server = ServiceServer(Names(), route, replies, MemoryAnswers(time.monotonic))
    side = Side(server, ScriptedChannel(), ScriptedChannel(confirms=True))
    tasks = [
        asyncio.create_task(replies.serve(side.replies, lambda: None)),  # type: ignore[arg-type]
        asyncio.create_task(server.consumer.serve(side.channel, lambda: None)),  # type: ignore[arg-type]
    ]
    await turns()
    try:
        yield side
    finally:
        await server.stop(0.01)
        replies.stop()
        side.replies.end()
        side.channel.end()
        await asyncio.gather(*tasks, return_exceptions=True)


async def echo(request: Request) -> Any:
    return request.payload


async def test_a_request_is_answered_and_then_acknowledged() -> None:
    """Where it says."""
    async with serving(echo) as side:
        await side.ask("a", b'{"x":1}')
        await eventually(lambda: side.channel.settled == [("ack", 1)])
        assert side.told() == [("a", b'{"x":1}')]
        assert (side.replies.published[0].key, side.replies.published[0].mandatory) == ("q", False)


async def test_a_repeat_is_answered_as_before_and_asks_nobody() -> None:
    """Whether it comes while the first is open or later, and under whichever name."""
    asked: list[str] = []
    gate = asyncio.Event()

    async def slow(request: Request) -> Any:
        asked.append(request.id)
        await gate.wait()
        return "once"

    async with serving(slow) as side:
        await side.ask("a", message_id="ann~1")
        await turns()
        await side.ask("b", message_id="ann~1")
        gate.set()
        await eventually(lambda: len(side.channel.settled) == 2)
        await side.ask("c", message_id="ann~1")
        await eventually(lambda: len(side.channel.settled) == 3)
        assert sorted(side.told()) == [(name, b'"once"') for name in "abc"]
        assert asked == ["ann~1"]


async def test_who_asks_while_the_answer_is_put_away_is_answered_too() -> None:
    """And who asks again after a cancel is answered anew."""
    asked: list[str] = []
    gate = asyncio.Event()

    class Slow:
        async def get(self, request_id: str) -> list[Part] | None:
            return None

        async def put(self, request_id: str, parts: object) -> None:
            await gate.wait()

    async def answer(request: Request) -> Any:
        asked.append(request.id)
        if request.payload == "hang" and len(asked) == 1:
            await asyncio.Event().wait()
        return request.payload

    async with serving(answer, answers=Slow()) as side:
        await side.ask("x", b'"hang"')
        await turns()
        await side.cancel("x")
        await side.ask("y", b'"hang"', message_id="ann~x")
        await eventually(lambda: side.told() == [("y", b'"hang"')])
        await side.ask("a", message_id="ann~1")
        await eventually(lambda: len(side.told()) == 2)
        await side.ask("b", message_id="ann~1")
        gate.set()
        await eventually(lambda: len(side.channel.settled) == 4)
        assert side.told()[1:] == [("a", b"1"), ("b", b"1")]
        assert asked == ["ann~x", "ann~x", "ann~1"]


async def test_no_more_are_answered_at_once_than_it_says() -> None:
    """The others wait, and their time goes on."""
    open_, most, gate = 0, 0, asyncio.Event()

    async def slow(_: Request) -> Any:
        nonlocal open_, most
        open_ += 1
        most = max(most, open_)
        await gate.wait()
        open_ -= 1

    async with serving(slow, concurrency=3, prefetch=9) as side:
        assert side.channel.prefetch == 9
        for number in range(8):
            await side.ask(f"r{number}", expiration="60000")
        await side.ask("brief", expiration="1")
        await asyncio.sleep(0.01)
        gate.set()
        await eventually(lambda: len(side.channel.settled) == 9)
        assert most == 3
        assert "brief" not in dict(side.told())


async def test_a_cancel_stops_the_work() -> None:
    """Also one that overtakes its request; and one of two who ask leaves the other."""
    asked, stopped = [], []

    async def hang(request: Request) -> Any:
        asked.append(request.id)
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(request.id)

    async with serving(hang) as side:
        await side.ask("a")
        await turns()
        await side.cancel("a")
        await eventually(lambda: side.channel.settled == [("ack", 1)])
        assert stopped == ["ann~a"]
        await side.cancel("b")
        await side.ask("b")
        await eventually(lambda: len(side.channel.settled) == 2)
        assert asked == ["ann~a"]
        await side.ask("c", message_id="ann~c")
        await side.ask("d", message_id="ann~c")
        await turns()
        await side.cancel("c")
        await turns()
        assert stopped == ["ann~a"]
        assert side.told() == []


async def test_a_cancel_at_once_and_a_limit_of_the_service_end_the_work_too() -> None:
    """Nothing is left open."""
    asked = []

    async def hang(request: Request) -> Any:
        asked.append(request.id)
        await asyncio.Event().wait()

    async with serving(hang, timeout_s=0.02) as side:
        await side.ask("a")
        await side.cancel("a")  # before its task has run at all
        await eventually(lambda: side.channel.settled == [("ack", 1)])
        assert asked == []
        await side.ask("b")
        await eventually(lambda: side.channel.settled == [("ack", 1), ("ack", 3)])
        assert asked == ["ann~b"]


async def test_a_cancel_among_the_requests_is_passed_over() -> None:
    """A pattern like # hears them, too."""
    async with serving(echo) as side:
        await side.ask("a", message_type="CANCEL")
        await eventually(lambda: side.channel.settled == [("ack", 1)])
        assert side.told() == []


async def test_what_can_not_be_read_is_refused() -> None:
    """Nobody is asked."""
    async with serving(echo) as side:
        await side.ask("a", b"{")
        await eventually(lambda: side.channel.settled == [("ack", 1)])
        assert side.replies.published[0].properties.headers == {"error": "invalid_payload"}


async def test_a_large_answer_that_is_asked_for_again_is_given_from_the_beginning() -> None:
    """The work on it begins anew: it is too large to be kept."""
    begun = 0

    async def large(_: Request) -> AsyncIterator[Any]:
        nonlocal begun
        begun += 1
        yield "x" * 300_000
        if begun == 1:
            await asyncio.Event().wait()

    async with serving(large) as side:
        await side.ask("a", message_id="ann~1")
        await eventually(lambda: len(side.replies.published) == 1)
        await side.ask("b", message_id="ann~1")
        await eventually(lambda: len(side.channel.settled) == 2)
        assert [name for name, _ in side.told()] == ["a", "b", "b"]


async def test_at_the_end_what_is_open_is_finished_and_the_rest_given_back() -> None:
    """What takes too long is given back as well."""
    gate = asyncio.Event()

    async def slow(request: Request) -> Any:
        await (asyncio.Event() if request.payload == "hang" else gate).wait()

    async with serving(slow, concurrency=2) as side:
        await side.ask("open")
        await side.ask("hangs", b'"hang"')
        await side.ask("waits")
        await turns()
        stopping = asyncio.create_task(side.server.stop(0.3))
        await turns()
        gate.set()
        await side.ask("late")
        await stopping
        await eventually(lambda: len(side.channel.settled) == 4)
        assert sorted(side.channel.settled) == [("ack", 1), ("requeue", 2), ("requeue", 3), ("requeue", 4)]


async def test_a_store_that_fails_is_no_reason_not_to_answer() -> None:
    """It is the application's."""

    class Broken:
        async def get(self, request_id: str) -> list[Part] | None:
            raise OSError

        async def put(self, request_id: str, parts: object) -> None:
            raise OSError

    async with serving(echo, answers=Broken()) as side:
        await side.ask("a")
        await eventually(lambda: side.channel.settled == [("ack", 1)])
        assert side.told() == [("a", b"1")]


async def test_what_came_by_a_channel_that_is_gone_waits_for_its_next_coming() -> None:
    """Nobody is asked for it meanwhile."""
    asked: list[str] = []
    gate = asyncio.Event()

    async def slow(request: Request) -> Any:
        asked.append(request.id)
        await gate.wait()

    async with serving(slow, concurrency=1) as side:
        await side.ask("a")
        await side.ask("b")
        await turns()
        side.channel.end()
        gate.set()
        await eventually(lambda: len(side.told()) == 1)
        await turns()
        assert asked == ["ann~a"]
