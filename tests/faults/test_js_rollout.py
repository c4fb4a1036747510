"""The JavaScript client through a rolling restart, as its applications see it: by WebSocket, by event stream,
and as pages with storage that are reloaded all the time.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.support.eventually import TIME_FACTOR, stretched
from tests.support.js_site import bundle_program
from tests.support.pods import Gateway, Pods, Router

import gateway.shell

pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.xdist_group("soak")]

SCRIPT = Path(__file__).parent / "js" / "rollout.ts"
HAS_STREAMS = (Path(gateway.shell.__file__).parent / "event_streams.py").exists()
KINDS = ["socket", "socket", "kept-socket", *(["stream", "kept-stream"] if HAS_STREAMS else [])]
ENV = {
    "WARREN_GATEWAY_DRAIN_MS": str(round(1_500 * TIME_FACTOR)),
    "WARREN_GATEWAY_DRAIN_DEADLINE_MS": str(round(6_000 * TIME_FACTOR)),
    "WARREN_GATEWAY_RATE": "100",
}


async def replace(old: Gateway | Router, new: Gateway | Router) -> None:
    """Start the new one, then send SIGTERM to the old one and wait for its end."""
    await new.start(timeout_s=40.0)
    assert await old.terminate(timeout_s=25.0 * TIME_FACTOR) == 0


def faults_of(one: dict[str, Any], everything: set[str]) -> list[str]:
    """Return what one application has to complain of."""
    seen = [payload for _, payload in one["seen"]]
    due = {payload for payload in everything if not payload.startswith(f"{one['name']}-")}
    seqs = [seq for seq, _ in one["seen"]]
    return [
        *one["faults"],
        *(f"lost: {payload}" for payload in sorted(due - set(seen))),
        *(f"doubled: {payload}" for payload in sorted(set(seen)) if seen.count(payload) > 1),
        *(f"its own: {payload}" for payload in seen if payload not in due),
        *(
            f"out of order: {seqs[at]} after {seqs[at - 1]}"
            for at in range(1, len(seqs))
            if seqs[at] <= seqs[at - 1]
        ),
    ]


@pytest.mark.timeout(180 * TIME_FACTOR)
async def test_applications_notice_nothing_of_a_rolling_restart(pods: Pods, tmp_path: Path):
    """Every gateway and every router is replaced while all talk: each application sees what the others said
    once and in order, and each message that it sent is acknowledged, over reloads too.
    """
    program = tmp_path / "rollout.mjs"
    bundle_program(SCRIPT, program)
    (first, second), (one, two) = await pods.installation(2, 2, ENV)
    third = await pods.gateway(ENV, start=False)
    node = shutil.which("node")
    assert node, "Node.js is missing: scripts/dev/need node"
    clients = await asyncio.create_subprocess_exec(
        node,
        "--experimental-websocket",
        "--no-warnings",
        program,
        ",".join(str(pod.port) for pod in (first, second, third)),
        ",".join(KINDS),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    assert clients.stdin is not None
    assert clients.stdout is not None
    try:
        async with asyncio.timeout(stretched(60)):
            assert await clients.stdout.readline() == b"ready\n"
        await replace(first, third)
        for router in (one, two):
            await replace(router, await pods.router(ENV, start=False))
        await replace(second, first)
        clients.stdin.close()
        async with asyncio.timeout(stretched(60)):
            found = json.loads(await clients.stdout.readline())
            await clients.wait()
    finally:
        if clients.returncode is None:
            clients.kill()
            await clients.wait()
    everything = {f"{each['name']}-{n}" for each in found for n in range(each["count"])}
    print(  # noqa: T201 - `pytest -s` shows it
        f"── {len(everything)} messages, "
        + ", ".join(f"{each['name']}: {len(each['seen'])} seen, {each['reloads']} reloads" for each in found)
    )
    assert {each["name"]: faults_of(each, everything) for each in found} == {
        each["name"]: [] for each in found
    }
    assert [each["name"] for each in found if each["acked"] != each["count"]] == []
    assert all(each["count"] > 20 for each in found)
    assert all(each["reloads"] > 2 for each in found if "kept" in each["name"])
