"""Notifications are sent, and their receipts are waited for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.scripted_channel import ScriptedChannel, turns

from warren_backend.core.errors import InvalidNotification, NotificationRefused, ReceiptUnknown, Stopped
from warren_backend.core.names import Names
from warren_backend.core.notification import Notification
from warren_backend.shell.notifier import Notifier

ANSWERS = "amq.rabbitmq.reply-to"
HELLO = Notification(address="room.a", payload="hello", id="h")


@asynccontextmanager
async def serving(confirms: bool = True) -> AsyncIterator[tuple[Notifier, ScriptedChannel]]:
    notifier, channel = Notifier(Names()), ScriptedChannel(confirms=confirms)
    task = asyncio.create_task(notifier.publisher.serve(channel, lambda: None))  # type: ignore[arg-type]
    await turns()
    try:
        yield notifier, channel
    finally:
        await notifier.stop()
        channel.end()
        await asyncio.gather(task, return_exceptions=True)


async def answer(channel: ScriptedChannel, payload: Any) -> None:
    ident = channel.published[-1].properties.correlation_id
    await channel.deliver(ANSWERS, json.dumps(payload).encode(), correlation_id=ident)


async def test_without_a_receipt_nothing_is_awaited() -> None:
    """And asking for one says so."""
    async with serving() as (notifier, channel):
        sent = await notifier.send(HELLO)
        assert (sent.id, sent.address) == ("h", "room.a")
        assert channel.published[0].properties.reply_to is None
        with pytest.raises(ValueError, match="no receipt was asked for"):
            await sent.receipt()


async def test_a_receipt_may_be_asked_for_any_number_of_times() -> None:
    """It is the same each time."""
    async with serving() as (notifier, channel):
        sent = await notifier.send(HELLO, "written")
        assert channel.published[0].properties.headers == {"receipt": "written"}
        waiting = asyncio.create_task(sent.receipt())
        await turns()
        await answer(channel, {"id": "h", "complete": True, "users": 2})
        assert (await waiting).users == 2
        assert await sent.receipt() == await waiting


async def test_a_refusal_and_a_missing_receipt_are_errors() -> None:
    """Whoever does not ask is not disturbed by them."""
    async with serving() as (notifier, channel):
        sent = await notifier.send(HELLO, "accepted")
        await answer(channel, {"complete": True, "refused": "too large: 1 bytes"})
        with pytest.raises(NotificationRefused, match="too large"):
            await sent.receipt()
        sent = await notifier.send(HELLO, "accepted", receipt_timeout_s=0.01)
        with pytest.raises(ReceiptUnknown, match=r"within 0\.01 s"):
            await sent.receipt()
        await notifier.send(HELLO, "accepted", receipt_timeout_s=0.0)
        sent = await notifier.send(HELLO, "seen")
    with pytest.raises((Stopped, ReceiptUnknown)):
        await sent.receipt()


async def test_many_go_in_as_few_messages_as_will_do() -> None:
    """One that is invalid keeps all of them back."""
    async with serving() as (notifier, channel):
        many = [Notification(address="room.a", payload=number) for number in range(1_500)]
        assert await notifier.send_many(many) == [each.id for each in many]
        assert [len(json.loads(each.body)) for each in channel.published] == [1_000, 500]
        with pytest.raises(InvalidNotification):
            await notifier.send_many([HELLO, Notification(address="room.a", payload=object())])
        assert len(channel.published) == 2
        assert await notifier.send_many([]) == []
