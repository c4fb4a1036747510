"""A backend is what an application makes one of."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from warren_backend import Backend, Routes, Stopped
from warren_backend.core.errors import InvalidNotification, InvalidRoute
from warren_backend.testing import Recording


def made() -> Backend:
    return Backend("amqp://nobody.example/%2F")


async def test_nothing_can_be_sent_before_it_runs_and_after() -> None:
    """The error says how it is begun."""
    backend = made()
    for sending in (backend.notify("all", 1), backend.notify_many([])):
        with pytest.raises(Stopped, match="async with backend"):
            await sending
    with pytest.raises(Stopped):
        _ = backend.control
    with Recording(backend):
        async with backend:
            await backend.notify("all", 1)
            with pytest.raises(RuntimeError, match="runs already"):
                await backend.start()
        with pytest.raises(Stopped):
            await backend.notify("all", 1)
        await backend.stop()


async def test_a_notification_has_what_was_said() -> None:
    """And an id where none was."""
    backend = made()
    async with Recording(backend) as warren:
        await backend.notify(
            "user.ann",
            b"x",
            type="a.b",
            id="i",
            key="k",
            expiration_ms=5,
            seen_within_ms=1_000,
            persistent=False,
        )
        sent = await backend.notify("all", None)
        (first, second) = warren.notifications
        assert (first.type, first.id, first.key, first.expiration_ms, first.seen_within_ms, first.persistent) == (
            "a.b", "i", "k", 5, 1_000, False
        )  # fmt: skip
        assert sent.id == second.id != ""
        with pytest.raises(InvalidNotification):
            await backend.notify("room.@x", 1)


def test_routes_of_several_modules_come_together() -> None:
    """Each may have its own."""

    async def anything(_: Any) -> None:
        """Do nothing."""

    one, other = Routes(), Routes()
    one.service("a")(anything)
    other.service("a")(anything)
    assert [route.pattern for route in Backend("amqp://h/%2F", routes=[one]).services] == ["a"]
    with pytest.raises(InvalidRoute):
        Backend("amqp://h/%2F", routes=[one, other])


async def test_it_runs_until_a_signal_comes() -> None:
    """And stops in order then."""
    backend = made()
    with Recording(backend):
        begun = asyncio.Event()
        running = asyncio.create_task(backend.run(on_start=begun.set))
        await begun.wait()
        await backend.notify("all", 1)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running, 5)
        with pytest.raises(Stopped):
            await backend.notify("all", 1)


async def test_a_start_that_fails_can_be_tried_again() -> None:
    """It is as if it had not been begun."""
    backend = Backend("amqp://127.0.0.1:1/%2F")
    for _ in range(2):
        with pytest.raises(Exception, match="no broker listens"):
            await backend.start(0.05)
    backend.forget()
