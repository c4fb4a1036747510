"""A task of a service fails: the process ends in order and says so, where it would go on half
dead otherwise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.eventually import eventually

from embedded.app import Embedded
from embedded.settings import read_embedded
from router.core.effects import BackendEvent
from warren.bus import Properties
from warren.envelope import Mark, Number, Speaker
from warren.lifecycle import serve


class Broken(Exception):
    """What nobody foresaw."""


def breaking(*_: Any, **__: Any) -> Any:
    raise Broken


def _router_ticker(warren: Embedded) -> None:
    warren.router.egress.tick = breaking


async def _log_reader(warren: Embedded) -> None:
    warren.router.shards[0]._events.take = breaking
    await warren.page_bus.publish(warren.topology.ingress, "0", b"1")


def _log_writer(warren: Embedded) -> None:
    writer = warren.router.shards[0]._maintainer._writer
    writer._wants = breaking
    writer.put(Mark("r", 1))


def _events(warren: Embedded) -> None:
    shard = warren.router.shards[0]
    shard._events._send = breaking
    shard._events.take(shard.fold.life, shard.fold.offset, [BackendEvent(1, "client.connected", "@x", 1)])


def _egress(warren: Embedded) -> None:
    warren.router.egress._collect = breaking
    warren.router.egress.tell("all", Speaker("r", 0))


def _router_heartbeat(warren: Embedded) -> None:
    warren.router.heartbeat._own_queue._probe.unreachable = breaking
    warren.router.heartbeat.soon()


async def _notifications(warren: Embedded) -> None:
    warren.router.notifications._take = breaking
    await warren.page_bus.publish(warren.topology.notify, "all", b"1", Properties())


async def _intake_batch(warren: Embedded) -> None:
    warren.router.notifications._send = breaking
    await warren.page_bus.publish(warren.topology.notify, "all", b"1", Properties())


def _gateway_ticker(warren: Embedded) -> None:
    warren.gateways[0].uplink.expire = breaking


def _uplink(warren: Embedded) -> None:
    uplink = warren.gateways[0].uplink
    uplink._send = breaking
    uplink.life_ended(0, uplink.life(0))


def _gateway_heartbeat(warren: Embedded) -> None:
    heartbeat = warren.gateways[1]._link._ends.heartbeat
    heartbeat._send = breaking
    heartbeat.soon()


def _questions(warren: Embedded) -> None:
    routers = warren.gateways[0]._link._ends.routers
    routers._publish = breaking
    routers.ask(0, Number(warren.gateways[0].id, 0, 1, None))


def _rejoining(warren: Embedded) -> None:
    rejoining = warren.gateways[0]._link._rejoining
    rejoining._connections = SimpleNamespace(all=breaking)
    rejoining.begin(0)


@pytest.mark.parametrize(
    ("name", "inject"),
    [
        ("router-ticker", _router_ticker),
        ("log-0", _log_reader),
        ("log-writer-0", _log_writer),
        ("events-0", _events),
        ("egress", _egress),
        ("heartbeat", _router_heartbeat),
        ("intake", _notifications),
        ("batcher", _intake_batch),
        ("gateway-ticker", _gateway_ticker),
        ("uplink-0", _uplink),
        ("heartbeat", _gateway_heartbeat),
        ("questions", _questions),
        ("rejoining-0", _rejoining),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_task_that_fails_ends_the_process_with_code_1(
    name: str, inject: Callable[[Embedded], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the task and has the traceback, and all parts are stopped within the deadline."""
    settings = read_embedded({"WARREN_ROUTER_API_PORT": "0"})
    free = tuple(
        gateway.model_copy(update={"listen": gateway.listen.model_copy(update={"port": 0})})
        for gateway in settings.gateways
    )
    warren = Embedded(replace(settings, gateways=free))
    stop = asyncio.Event()
    life = asyncio.create_task(serve(warren.parts(), deadline_s=20, stop=stop))
    try:
        await eventually(lambda: warren.gateways[1].bus.up and warren.lacking() is None, timeout_s=30)
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
        line
        for line in caplog.records
        if line.levelno >= logging.ERROR and line.getMessage() == "stop_deadline_passed"
    ]
