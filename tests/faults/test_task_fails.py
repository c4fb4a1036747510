"""A task of a service fails: the process ends in order and says so, where it would go on half dead otherwise."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.support.eventually import eventually

from embedded.app import Embedded
from embedded.settings import read_embedded
from warren.bus import Properties
from warren.lifecycle import serve


class Broken(Exception):
    """What nobody foresaw."""


def breaking(*_: Any, **__: Any) -> Any:
    raise Broken


def _router_ticker(warren: Embedded) -> None:
    warren.router.outlet.tidy = breaking


def _shard(warren: Embedded) -> None:
    warren.router.workers[0]._next = breaking
    warren.router.workers[0]._wake.set()


def _seat(warren: Embedded) -> None:
    warren.router.workers[0].seat._wanted = breaking
    warren.router.workers[0].seat._news.set()


async def _intake(warren: Embedded) -> None:
    warren.router.intake._take = breaking
    await warren.page_bus.publish(warren.topology.notify, "all", b"1", Properties())


async def _intake_batch(warren: Embedded) -> None:
    warren.router.intake._send = breaking
    await warren.page_bus.publish(warren.topology.notify, "all", b"1", Properties())


def _lobby_ticker(warren: Embedded) -> None:
    warren.gateways[0].uplink.expire = breaking


def _heartbeat(warren: Embedded) -> None:
    warren.gateways[1]._announcer._pulse = breaking
    warren.gateways[1]._announcer._beat_now.set()


def _announcer(warren: Embedded) -> None:
    warren.gateways[0]._announcer._tell_one = breaking
    warren.gateways[0]._announcer.tell(0)


@pytest.mark.parametrize(
    ("name", "inject"),
    [
        ("router-ticker", _router_ticker),
        ("shard-0", _shard),
        ("seat-", _seat),
        ("intake", _intake),
        ("batcher", _intake_batch),
        ("lobby-ticker", _lobby_ticker),
        ("announcer-heartbeat", _heartbeat),
        ("announcer", _announcer),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_task_that_fails_ends_the_process_with_code_1(
    name: str, inject: Callable[[Embedded], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the task and has the traceback, and all parts are stopped within the deadline."""
    settings = read_embedded({})
    free = tuple(
        gateway.model_copy(update={"listen": gateway.listen.model_copy(update={"port": 0})})
        for gateway in settings.gateways
    )
    warren = Embedded(replace(settings, gateways=free))
    stop = asyncio.Event()
    life = asyncio.create_task(serve(warren.parts(), deadline_s=20, stop=stop))
    try:
        await eventually(lambda: warren.gateways[1].bus.up and warren.router.workers[0].possession.live, timeout_s=30)
        found = inject(warren)
        if asyncio.iscoroutine(found):
            await found
        assert await asyncio.wait_for(asyncio.shield(life), 30) == 1
    finally:
        stop.set()
        await life
    told = [line for line in caplog.records if line.getMessage() == "fault"]
    assert name in [
        line.warren_fields["task"][: len(name)] for line in told
    ]  # what is broken may end another task first
    assert all(line.exc_info[0] is Broken for line in told)
    assert not [
        line for line in caplog.records if line.levelno >= logging.ERROR and line.getMessage() == "stop_deadline_passed"
    ]
