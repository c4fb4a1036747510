"""broker_call: what is an end, what is a cancellation, and errors in one line."""

import asyncio

import pytest

from warren.bus.rabbit.broker_call import broker_call, describe
from warren.errors import BusUnavailable


async def test_a_cancellation_that_nobody_asked_for_is_an_end() -> None:
    """A CancelledError without a cancelled task, as aiormq raises it when a connection ends, becomes
    BusUnavailable.
    """
    with pytest.raises(BusUnavailable, match="looking: the connection ended"), broker_call("looking"):
        raise asyncio.CancelledError


@pytest.mark.parametrize("way", ["kept", "replaced", "swallowed"])
async def test_a_cancellation_that_was_asked_for_is_never_lost(way: str) -> None:
    """A real cancellation goes on, whether aiormq passes it, raises something else in its place, or swallows
    it.
    """

    async def call() -> None:
        with broker_call("waiting"):
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                if way == "kept":
                    raise
                if way == "replaced":
                    raise ConnectionError("gone") from None

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_task_that_was_cancelled_before_can_still_clean_up() -> None:
    """In a task that was cancelled earlier, an end of the connection is BusUnavailable and no second
    cancellation.
    """

    async def work() -> str:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            try:
                with broker_call("closing"):
                    raise ConnectionError("gone")
            except BusUnavailable as error:
                return str(error)
        return ""

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "closing: ConnectionError: gone"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TimeoutError(), "no answer in time"),
        (ConnectionError(111, "refused\nby peer"), "ConnectionError: 111 refused by peer"),
        (ValueError(), "ValueError"),
        (None, "NoneType"),
        (Exception, "Exception"),
    ],
)
def test_an_error_is_one_line(error: BaseException | type[BaseException] | None, text: str) -> None:
    """Whatever is raised becomes one line of text."""
    assert describe(error) == text
