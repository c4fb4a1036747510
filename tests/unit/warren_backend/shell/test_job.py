"""A request is answered once, to all who ask it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.support.scripted_channel import turns

from warren_backend.core.errors import NotConfirmed, Refused
from warren_backend.core.messages import Incoming
from warren_backend.core.request import Last, Part, Request, request_of
from warren_backend.shell import job as module
from warren_backend.shell.consumer import Delivery
from warren_backend.shell.job import Job


class Replies:
    """Keeps what was told to whom."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any, int | None, bool, str]] = []
        self.failing = False

    async def __call__(self, part: Part, asked: Incoming) -> None:
        if self.failing:
            raise NotConfirmed("the broker is away")
        self.told.append((asked.correlation_id or "", part.body, part.n, part.more, part.error))


def delivery(name: str = "c1", **fields: Any) -> Delivery:
    message = Incoming(routing_key="s", body=b"1", correlation_id=name, reply_to="q", **fields)
    return Delivery(message, None, 1)


def job_of(call: Callable[[Request], Any], replies: Replies, **fields: Any) -> Job:
    asked = delivery(**fields)
    job = Job(request_of(asked.message, "durable"), call, replies)
    job.deliveries.append(asked)
    return job


async def parts(_: Request) -> AsyncIterator[Any]:
    yield 1
    yield 2


async def test_an_answer_is_one_part() -> None:
    """It is kept for repeats."""
    replies = Replies()

    async def answer(request: Request) -> Any:
        return {"was": request.payload}

    job = job_of(answer, replies)
    await job.work()
    assert replies.told == [("c1", b'{"was":1}', 1, False, "")]
    assert job.kept is not None
    again = Replies()
    other = job_of(answer, again)
    await other.repeat(job.kept)
    assert again.told == replies.told


@pytest.mark.parametrize(("reply_to", "at_once"), [("q", 3), ("durable", 1)])
async def test_a_part_of_a_durable_answer_waits_until_the_broker_has_the_one_before(
    reply_to: str, at_once: int
) -> None:
    """Its queue may refuse one and take the next; other parts go without waiting."""
    begun: list[int | None] = []
    confirms = asyncio.Semaphore(0)

    async def publish(part: Part, _: Incoming) -> None:
        begun.append(part.n)
        await confirms.acquire()

    message = Incoming(routing_key="s", body=b"1", correlation_id="c1", reply_to=reply_to)
    job = Job(request_of(message, "durable"), parts, publish)
    job.deliveries.append(Delivery(message, None, 1))
    working = asyncio.create_task(job.work())
    await turns()
    assert begun == [*range(1, at_once + 1)]
    for _ in range(3):
        confirms.release()
        await turns()
    await working
    assert begun == [1, 2, 3]


async def test_parts_end_with_an_empty_one_or_with_the_last() -> None:
    """Each goes when it is there."""
    replies = Replies()
    await job_of(parts, replies).work()
    assert [each[1:4] for each in replies.told] == [(b"1", 1, True), (b"2", 2, True), (b"null", 3, False)]

    async def last(_: Request) -> AsyncIterator[Any]:
        yield 1
        yield Last({"sum": 1})
        yield "never"

    replies = Replies()
    await job_of(last, replies).work()
    assert [each[1:4] for each in replies.told] == [(b"1", 1, True), (b'{"sum":1}', 2, False)]


async def test_who_asks_while_it_is_answered_hears_what_was_said_and_what_comes() -> None:
    """The application is asked once."""
    replies, gate = Replies(), asyncio.Event()

    async def answer(_: Request) -> AsyncIterator[Any]:
        yield 1
        await gate.wait()
        yield Last(2)

    job = job_of(answer, replies)
    working = asyncio.create_task(job.work())
    await turns()
    job.join(delivery("c2"))
    assert job.names == {"c1", "c2"}
    gate.set()
    await working
    assert [each[1:3] for each in replies.told if each[0] == "c1"] == [(b"1", 1), (b"2", 2)]
    assert [each[1:3] for each in replies.told if each[0] == "c2"] == [(b"1", 1), (b"2", 2)]


async def test_refusals_and_faults_are_errors() -> None:
    """A fault says nothing of itself, and is not kept: the next attempt may do better."""

    async def refuse(_: Request) -> Any:
        raise Refused("not_found", "no such order")

    async def fail(_: Request) -> Any:
        raise ZeroDivisionError("secret")

    async def late(_: Request) -> AsyncIterator[Any]:
        yield 1
        raise TimeoutError("its own")

    async def unsayable(_: Request) -> Any:
        return object()

    found = []
    for call in (refuse, fail, late, unsayable):
        replies = Replies()
        job = job_of(call, replies)
        await job.work()
        found.append((replies.told[-1][4], replies.told[-1][1], job.kept is not None))
    internal = ("internal", b"The service has failed.", False)
    assert found == [("not_found", b"no such order", True), internal, internal, internal]


async def test_a_durable_request_is_refused_in_its_body() -> None:
    """Numbered, behind the parts that were said."""
    replies = Replies()

    async def answer(_: Request) -> AsyncIterator[Any]:
        yield 1
        raise Refused("gone")

    job = job_of(answer, replies)
    job.request = request_of(Incoming(routing_key="s", body=b"", reply_to="durable"), "durable")
    await job.work()
    assert replies.told[-1][1:] == (b'{"error":{"code":"gone","message":""}}', 2, False, "")


async def test_when_the_client_waits_no_longer_it_is_not_told() -> None:
    """The work is stopped."""
    replies, stopped = Replies(), asyncio.Event()

    async def hang(_: Request) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    job = job_of(hang, replies, expiration_ms=10)
    await job.work(0.01)
    assert (replies.told, job.kept, stopped.is_set()) == ([], None, True)
    job.request = request_of(Incoming(routing_key="s", body=b"", reply_to="durable"), "durable")
    await job.work(0.01)
    assert b'"code":"timeout"' in replies.told[0][1]


async def test_each_part_has_its_own_time() -> None:
    """An answer in parts may take longer than its client waits for the first one; but no part of it too long."""

    async def slow(_: Request) -> AsyncIterator[Any]:
        yield 1
        await asyncio.sleep(0.3)
        yield Last(2)

    replies = Replies()
    await job_of(slow, replies).work(0.2, 60)
    assert [each[1] for each in replies.told] == [b"1", b"2"]
    replies = Replies()
    await job_of(slow, replies).work(60, 0.01)
    assert [each[1] for each in replies.told] == [b"1"]


async def test_a_large_answer_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numbers go on."""
    monkeypatch.setattr(module, "KEPT_BYTES", 1)
    replies = Replies()
    job = job_of(parts, replies)
    await job.work()
    assert (job.whole, job.kept) == (False, None)
    assert [each[2] for each in replies.told] == [1, 2, 3]


async def test_an_answer_that_does_not_get_to_the_broker_is_noted() -> None:
    """A durable request is then to be answered by somebody else."""
    replies = Replies()
    replies.failing = True
    job = job_of(parts, replies)
    await job.work()
    assert job.undelivered
    await job.abandon()
