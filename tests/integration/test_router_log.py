"""``python -m router.log`` on a real broker: what a gateway and a router have written is shown as it is."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest
from tests.support.client import connect
from tests.support.pods import Pods
from tests.support.rabbit import Rabbit

from warren.address import shard_of
from warren.topology import Topology

pytestmark = pytest.mark.rabbit


def look(rabbit: Rabbit, topology: Topology, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it until it ends by itself."""
    env = {
        "WARREN_AMQP_URL": rabbit.url,
        "WARREN_PREFIX": topology.prefix,
        "WARREN_SHARDS": str(topology.shards),
    }
    command = [sys.executable, "-m", "router.log", *arguments]
    return subprocess.run(
        command,
        env=os.environ | env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


async def test_a_log_is_shown_with_its_seqs_and_nothing_is_declared(
    rabbit: Rabbit, topology: Topology, pods: Pods
) -> None:
    """Where no Warren was there is nothing, said in a line, also the second time; then who joined, a message
    and its number.
    """
    for _ in range(2):
        before = await asyncio.to_thread(look, rabbit, topology, "--shard", "0")
        assert before.returncode == 1
        assert "Traceback" not in before.stderr
        assert topology.log(0).name in before.stderr
    (gateway,), _routers = await pods.installation(1, 1)
    async with await connect(gateway.url, user="ann") as ann:
        await ann.join("chat:lobby")
        ack = await ann.publish("chat:lobby", {"text": "hello there"})
    asked = ("--shard", str(shard_of("chat:lobby", topology.shards)), "--room", "chat:lobby")
    shown = await asyncio.to_thread(look, rabbit, topology, *asked, "--payloads")
    assert (shown.returncode, shown.stderr) == (0, "")
    (joined,) = (line for line in shown.stdout.splitlines() if "  join  " in line)
    (said,) = (line for line in shown.stdout.splitlines() if "  publish  " in line)
    assert joined.endswith(f"chat:lobby  from={ann.id}(ann)")
    assert f"chat:lobby  seq=1 epoch={ack['payload']['epoch']}  type=CHAT  id={ack['ref']}" in said
    assert said.endswith('payload={"text": "hello there"}')
    without = await asyncio.to_thread(look, rabbit, topology, *asked, "--from", "first")
    assert without.returncode == 0
    assert "hello there" not in without.stdout
    beyond = await asyncio.to_thread(look, rabbit, topology, *asked, "--from", "999999")
    assert beyond.returncode == 1
    assert "offset 999999 is beyond the end" in beyond.stderr
