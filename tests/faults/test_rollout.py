"""A rollout that nobody notices: every gateway and every router is replaced while a thousand clients
publish through load balancers, half of them through each.

The balancers are nginx and HAProxy with the configurations of ``docs/examples``, side by side before the same
gateways; gateways and routers are real processes that get SIGTERM. Nothing acknowledged is lost or doubled,
nobody is away for longer than its slot and two seconds, and the clients come back spread over the drain
window (``pytest -s`` shows how).
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.faults.balancer import PLACES, Balancer, program
from tests.support.eventually import TIME_FACTOR, eventually
from tests.support.pods import ROOT, Gateway, Pods

from rabbit_nodes.child import Child

# in the group of the soaks, so that two of the heavy ones never meet
pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.xdist_group("soak")]

CLIENTS = 1_000
BALANCERS = ("nginx", "haproxy")
CROWDS = 4  # processes that the clients live in; each comes by one balancer
EVERY_S = 20.0  # from one message of a client to its next: 100 messages and 900 deliveries a second
WINDOW_S = 8.0 * TIME_FACTOR  # the drain window
AWAY_S = 2.0 * TIME_FACTOR  # how long after its slot a client is back at the latest
STEPS = 8  # parts of the window in the histogram
OPEN_FILES = 16_384
ENV = {
    "WARREN_GATEWAY_DRAIN_MS": str(round(WINDOW_S * 1_000)),
    "WARREN_GATEWAY_DRAIN_DEADLINE_MS": str(round(WINDOW_S * 1_000 + 8_000 * TIME_FACTOR)),
}


class Crowd:
    """All clients: several processes of ``tests.faults.crowd``."""

    def __init__(self, urls: Sequence[str], folder: Path) -> None:
        """They come in at once, as many by each of ``urls``; ``folder`` takes what they say."""
        self._files = [folder / f"crowd-{number}.log" for number in range(CROWDS)]
        self._children: list[Child] = []
        each = CLIENTS // CROWDS
        for number, file in enumerate(self._files):
            url = urls[number % len(urls)]
            options = ["--first", str(number * each), "--count", str(each), "--every", str(EVERY_S)]
            with file.open("wb") as output:
                self._children.append(
                    Child(
                        [sys.executable, "-m", "tests.faults.crowd", url, *options],
                        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
                        output=output,
                        cwd=ROOT,
                    )
                )

    async def ready(self) -> None:
        """Return when everybody is in its room."""
        await eventually(
            lambda: all("ready" in lines for lines in self._lines()),
            60.0,
            every_s=0.1,
            what="all clients are in",
        )

    async def quiet(self) -> list[dict[str, Any]]:
        """Have them publish no more, and return what each process has to say."""
        for child in self._children:
            child.send(signal.SIGUSR1)
        await eventually(
            lambda: all(lines and lines[-1].startswith("{") for lines in self._lines()),
            60.0,
            every_s=0.1,
            what="verdicts",
        )
        return [json.loads(lines[-1]) for lines in self._lines()]

    def close(self) -> None:
        """End what still runs."""
        for child in self._children:
            child.kill()

    def _lines(self) -> list[list[str]]:
        for child, file in zip(self._children, self._files, strict=True):
            if not child.running and child.exit_code:
                raise RuntimeError(f"a crowd ended with {child.exit_code}: {file.read_text()[-2_000:]}")
        return [file.read_text().splitlines() for file in self._files]


@pytest.fixture
def open_files() -> Iterator[None]:
    """Let the processes of this test open as many files as a thousand clients need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < OPEN_FILES:
        pytest.skip(
            f"this machine allows {hard} open files; a thousand clients behind a balancer need {OPEN_FILES}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, OPEN_FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def replace(old: Gateway, new: Gateway) -> None:
    """Start the new one, wait until it is ready, then send SIGTERM to the old one and wait for its end."""
    await new.start(timeout_s=40.0)
    assert await old.terminate(timeout_s=WINDOW_S + 15.0) == 0


def shown(moves: list[dict[str, Any]]) -> str:
    """Draw when the clients of each gateway that went came back, in parts of the drain window."""
    lines = []
    for gateway in dict.fromkeys(move["left"] for move in moves):
        own = [move for move in moves if move["left"] == gateway]
        began = min(move["told_at"] for move in own)
        parts = Counter(int((move["back_at"] - began) / (WINDOW_S / STEPS)) for move in own)
        late_ms = sorted((move["back_at"] - move["told_at"] - move["slot_s"]) * 1_000 for move in own)
        away_ms = sorted((move["back_at"] - move["gone_at"]) * 1_000 for move in own)
        lines.append(
            f"{gateway}: {len(own)} clients back, after their slot by {late_ms[len(late_ms) // 2]:.0f} ms "
            f"(median), {late_ms[-1]:.0f} ms "
            f"(longest); without a connection for {away_ms[len(away_ms) // 2]:.0f} and {away_ms[-1]:.0f} ms"
        )
        for part in range(max(parts) + 1):
            lines.append(f"  {part * WINDOW_S / STEPS:4.1f} s {parts[part]:5d} {'#' * (parts[part] // 5)}")
    return "\n".join(lines)


@pytest.mark.timeout(180 * TIME_FACTOR)
async def test_everything_is_replaced_while_all_publish(pods: Pods, tmp_path: Path, open_files: None):
    """Two gateways and two routers are replaced one by one (and nginx reloads amidst): nothing lost, nothing
    doubled, nobody long away.
    """
    for kind in BALANCERS:
        if program(kind) is None:
            pytest.skip(f"{kind} is not installed: scripts/dev/need {kind}")
    (first, second), (one, two) = await pods.installation(2, 2, ENV)
    third = await pods.gateway(ENV, start=False)
    assert len((first, second, third)) == PLACES
    with ExitStack() as running:
        balancers = {kind: Balancer(kind, (first, second, third), tmp_path) for kind in BALANCERS}
        for balancer in balancers.values():
            running.callback(balancer.close)
        crowd = Crowd([balancer.url for balancer in balancers.values()], tmp_path)
        running.callback(crowd.close)
        await crowd.ready()
        before = [await pod.metric("warren_gateway_connections") for pod in (first, second)]
        going = asyncio.create_task(replace(first, third))
        await eventually(lambda: "drain_begins" in first.log(), 40.0)
        await balancers["nginx"].reload()
        await going
        # the first one's place is free now; the second one goes when its successor is there
        await replace(second, first)
        for router in (one, two):
            successor = await pods.router(ENV, start=False)
            await successor.start(timeout_s=40.0)
            assert await router.terminate() == 0
        after = [await pod.metric("warren_gateway_connections") for pod in (first, third)]
        told = await crowd.quiet()
    moves = [move for part in told for move in part["moves"]]
    notices = {
        name: dict(sum((Counter(part[name]) for part in told), Counter()))
        for name in ("refused", "errors", "notices")
    }
    messages = sum(part["figures"]["messages"] for part in told)
    sys.stdout.write(
        f"── {CLIENTS} clients ({before} ▶ {after} connections), {messages} messages, "
        f"{sum(part['figures']['deliveries'] for part in told)} deliveries, "
        f"{sum(part['again'] for part in told)} sent again, {notices}\n"
        f"{shown([move for move in moves if move['slot_s'] is not None])}\n"
    )
    assert sum(before) == sum(after) == CLIENTS
    # the promise
    assert [fault for part in told for fault in part["faults"]] == []
    assert all(part["settled"] for part in told)
    assert messages > CLIENTS / 2
    assert sum(part["figures"]["repeats"] for part in told) == 0
    # nobody was sent away but by its own slot, and everybody is back in time
    assert [move for move in moves if move["slot_s"] is None] == []
    assert [move for move in moves if move["cause"] != "slot"] == []
    assert len({move["left"] for move in moves}) == 2
    assert [
        move for move in moves if not 0 < move["back_at"] <= move["told_at"] + move["slot_s"] + AWAY_S
    ] == []
    # spread: no part of the window has twice its share, and none a third of it
    for gateway in {move["left"] for move in moves}:
        own = [move["back_at"] for move in moves if move["left"] == gateway]
        began = min(move["told_at"] for move in moves if move["left"] == gateway)
        parts = Counter(int((back_at - began) / (WINDOW_S / STEPS)) for back_at in own)
        assert max(parts.values()) < 2 * len(own) / STEPS, parts
        assert all(parts[part] > len(own) / STEPS / 3 for part in range(STEPS - 1)), parts
