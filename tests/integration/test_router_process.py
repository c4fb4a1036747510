"""``python -m router`` as a process: its settings, its ends, and a broker that is not there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from tests.support.eventually import eventually
from tests.support.pods import Pod, Pods
from tests.support.ports import free_port
from tests.support.rabbit import Rabbit

from warren.topology import Topology

NOWHERE = f"amqp://guest:guest@127.0.0.1:{free_port()}/"


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run it until it ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "router", *arguments],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    """Pods whose broker nobody runs."""
    pods = Pods(NOWHERE, "warren", 4, tmp_path, fresh=True)
    yield pods
    pods.close()


def test_settings_are_printed_and_secrets_are_not() -> None:
    """--settings names every variable with its value, source and meaning; the broker's password is hidden."""
    done = run("--settings", WARREN_AMQP_URL="amqp://me:very-secret@host/", WARREN_ROUTER_PREFETCH="7")
    assert done.returncode == 0
    assert "WARREN_ROUTER_PREFETCH=7" in done.stdout
    assert "very-secret" not in done.stdout + done.stderr


def test_wrong_settings_are_all_named_and_nothing_starts() -> None:
    """Exit code 2, one line for each problem, no traceback."""
    done = run(WARREN_ROUTER_PREFETCH="many", WARREN_ROUTER_NONSENSE="1", WARREN_SHARDS="0")
    assert done.returncode == 2
    for name in ("WARREN_ROUTER_PREFETCH", "WARREN_ROUTER_NONSENSE", "WARREN_SHARDS"):
        assert name in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_an_unknown_argument_gets_the_usage() -> None:
    """Exit code 2."""
    done = run("--port", "1")
    assert (done.returncode, "usage: python -m router" in done.stderr) == (2, True)


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    """Exit code 1, with the port in the line, no traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run(
            WARREN_AMQP_URL=NOWHERE, WARREN_ROUTER_INTERNAL_HOST="127.0.0.1", WARREN_ROUTER_INTERNAL_PORT=port
        )
    assert done.returncode == 1
    assert port in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


async def test_without_a_broker_it_lives_is_not_ready_and_can_be_ended(pods: Pods) -> None:
    """/healthz is 200, /readyz 503 with the reason, the log has a line and no traceback; SIGTERM ends it in
    time.
    """
    router = await pods.router(start=False)
    router.launch()

    async def alive() -> bool:
        try:
            return (await router.get("/healthz"))[0] == 200
        except aiohttp.ClientError:
            return False

    await eventually(alive, 20.0)
    status, text = await router.get("/readyz")
    assert (status, "the broker is away" in text) == (503, True)
    assert await router.terminate() == 0
    assert "Traceback" not in router.log()


@pytest.mark.rabbit
async def test_two_routers_run_side_by_side_and_end_in_order(
    rabbit: Rabbit, topology: Topology, tmp_path: Path
) -> None:
    """Both get ready on a real broker; SIGTERM ends each with exit code 0."""
    pods = Pods(rabbit.url, topology.prefix, topology.shards, tmp_path, fresh=True)
    try:
        _, routers = await pods.installation(gateways=0, routers=2)
        for router in routers:
            assert await router.terminate() == 0, router.log()
            assert '"event":"stopped"' in router.log()
    finally:
        pods.close()


@pytest.mark.rabbit
async def test_a_router_that_starts_again_and_again_loses_no_connection(
    rabbit: Rabbit, tmp_path: Path
) -> None:
    """With many shards many readings begin and end at once; the broker finds nothing behind the end of any
    channel.
    """
    topology = Topology(prefix=rabbit.prefix(), shards=16)
    pods = Pods(rabbit.url, topology.prefix, topology.shards, tmp_path, fresh=True)
    try:
        staying, restarted = await pods.router(), await pods.router(start=False)
        for _ in range(4):
            await restarted.start()
            await eventually(lambda: _has_a_shard(restarted), 30.0, every_s=0.1)
            assert await restarted.terminate() == 0
        for router in (staying, restarted):
            assert "is gone (" not in router.log(10_000)
    finally:
        pods.close()
        rabbit.remove(topology)


async def _has_a_shard(router: Pod) -> bool:
    return await router.metric("warren_router_shards_active") > 0
