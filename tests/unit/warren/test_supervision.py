"""Fault: who is told of a task's end, and of which ends."""

import asyncio
from typing import Any

import pytest

from warren.supervision import Fault, cancel_and_wait, fault_in, supervised, tell


@pytest.fixture
async def told() -> list[dict[str, Any]]:
    """What the event loop tells its exception handler."""
    contexts: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))
    return contexts


async def test_a_watched_task_that_raises_is_a_fault(told: list[dict[str, Any]]) -> None:
    """It has the task's name and the exception."""
    error = KeyError("x")

    async def broken() -> None:
        raise error

    task = supervised(asyncio.get_running_loop().create_task(broken(), name="ticker"))
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert [fault_in(context) for context in told] == [Fault("ticker", error)]


async def test_a_watched_task_that_ends_or_is_cancelled_is_none(told: list[dict[str, Any]]) -> None:
    """That is how tasks should end."""
    done = supervised(asyncio.get_running_loop().create_task(asyncio.sleep(0)))
    cancelled = supervised(asyncio.get_running_loop().create_task(asyncio.Event().wait()))
    cancelled.cancel()
    await asyncio.wait({done, cancelled})
    await asyncio.sleep(0)
    assert told == []


async def test_a_fault_can_be_told_without_a_task(told: list[dict[str, Any]]) -> None:
    """By whoever finds that something is lost."""
    error = ValueError()
    tell("batcher", error)
    assert [fault_in(context) for context in told] == [Fault("batcher", error)]
    assert told[0]["exception"] is error  # asyncio's own handler logs it with its traceback


def test_other_news_of_the_event_loop_is_no_fault() -> None:
    """Whatever asyncio tells of callbacks and transports."""
    assert fault_in({"message": "Task was destroyed but it is pending!"}) is None


async def test_cancelled_tasks_have_ended_before_it_goes_on() -> None:
    """Also one that has ended before, one that raises at its end, and none at all."""
    ended: list[str] = []

    async def slow_to_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("slow")
            raise ValueError

    loop = asyncio.get_running_loop()
    done, slow = loop.create_task(asyncio.sleep(0)), loop.create_task(slow_to_end())
    await asyncio.wait({done})
    await cancel_and_wait(done, None, slow)
    assert ended == ["slow"]
    assert slow.done()
    await cancel_and_wait()
