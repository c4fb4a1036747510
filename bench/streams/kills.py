"""One of three nodes is killed or frozen under load, and all three are killed at once."""

from __future__ import annotations

import asyncio
import time

from bench.streams.clients import Reader
from bench.streams.stage import NODES, Run, Stage, told

# shorter than the client's heartbeat notices, and longer
FROZEN_S = (14.0, 25.0)
RETURNING_S = 30.0


async def node_killed(stage: Stage) -> None:
    """The leader's node is killed, then another one; each is back before the next is killed."""
    queue = await stage.declare("killed")
    run = Run(stage, queue)
    await run.open()
    careful = Reader("a reader that compares", stage.urls, await stage.leader(queue), queue, compare=True)
    careful.start()
    for what in ("leader's node", "another node"):
        leader = await stage.leader(queue)
        victim = leader if what == "leader's node" else (leader + 1) % NODES
        await asyncio.sleep(stage.seconds / 4)
        run.forget()
        await asyncio.to_thread(stage.cluster.kill, victim)
        await run.through()
        await asyncio.sleep(stage.seconds / 4)
        stage.say(f"killed, {what}: {run.silences()}")
        run.forget()
        await asyncio.to_thread(stage.cluster.start, victim)
        await stage.together()
        await asyncio.sleep(2.0)
        stage.say(f"  back, {what}: {run.silences()}")
    await careful.stop()
    await run.close("killed")
    stage.say(f"  {told([*run.clients, careful])}")
    await stage.delete(queue)


async def leader_frozen(stage: Stage) -> None:
    """The leader's node is frozen for a while, then restarted (RabbitMQ 3.10 would stay partitioned)."""
    for frozen_s in FROZEN_S:
        await _frozen(stage, frozen_s)


async def _frozen(stage: Stage, frozen_s: float) -> None:
    queue = await stage.declare("frozen")
    run = Run(stage, queue)
    await run.open()
    victim = await stage.leader(queue)
    await asyncio.sleep(stage.seconds / 4)
    run.forget()
    await asyncio.to_thread(stage.cluster.pause, victim)
    await asyncio.sleep(frozen_s)
    await asyncio.to_thread(stage.cluster.resume, victim)
    try:
        await run.through(RETURNING_S)
    except TimeoutError:
        stage.say(
            f"  {RETURNING_S:.0f} s after the node goes on, not everybody runs: {[(one.name, round(one.silence.so_far_s, 1)) for one in run.clients]}; {told(run.clients)}"
        )
    stage.say(f"frozen for {frozen_s:.0f} s, leader's node {victim + 1}: {run.silences()}")
    await asyncio.to_thread(stage.cluster.restart, victim)
    await stage.together()
    await run.through()
    await run.close("frozen")
    stage.say(f"  {told(run.clients)}")
    await stage.delete(queue)


async def all_killed(stage: Stage, times: int = 5) -> None:
    """All three nodes get SIGKILL at once, under load, and are restarted."""
    queue = await stage.declare("all-killed")
    run = Run(stage, queue)
    await run.open()
    for number in range(times):
        await asyncio.sleep(stage.seconds / 6 + 0.37 * number)
        for node in stage.cluster.nodes:
            node.kill()
        before = {writer.number: writer.confirmed for writer in run.writers}
        tops = [reader.last for reader in run.readers]
        began = time.monotonic()
        for node in stage.cluster.nodes:
            await asyncio.to_thread(node.launch)
        for node in stage.cluster.nodes:
            await asyncio.to_thread(node.wait, 120.0)
        up = time.monotonic() - began
        took = await run.through()
        stage.say(
            f"all killed, {number + 1}: confirmed {sum(before.values())}, readers stood at {tops}; nodes answer after {up:.1f} s, writers and readers run {took:.1f} s later"
        )
        await stage.together()
    await run.close("all killed")
    stage.say(f"  {told(run.clients)}")
    await stage.delete(queue)
