"""How many replicas a stream has by default, where its leader is placed, which arguments are accepted, and
what reading from a replica costs.
"""

from __future__ import annotations

import asyncio
import time

from bench.streams.clients import FAULTS, Reader, Writer, eventually
from bench.streams.stage import NODES, Stage

LOCATORS = ("client-local", "balanced", "least-leaders", "random", "nonsense")


async def placement(stage: Stage) -> None:
    """Replicas by default, with arguments, and with a node down; leaders by locator."""
    queue = await stage.declare("placed")
    leader, members, online = await stage.replicas(queue)
    stage.say(
        f"placed without arguments through node 1: {len(members)} members, {len(online)} online, leader on node {1 + [node.name for node in stage.cluster.nodes].index(leader)}"
    )
    await stage.delete(queue)
    for size in (1, 3, 5):
        await _try(stage, f"x-initial-cluster-size {size}", x_initial_cluster_size=size)
    for locator in LOCATORS:
        leaders = [
            await _try(stage, "", node=1, count=index, x_queue_leader_locator=locator) for index in range(6)
        ]
        stage.say(f"placed by x-queue-leader-locator {locator}, six through node 2: leaders on {leaders}")
        for index in range(6):
            await stage.delete(f"placed-{index}")
    await stage.declare("twice", x_queue_leader_locator="least-leaders")
    for what, arguments in (
        ("the same", {"x_queue_leader_locator": "least-leaders"}),
        ("without the locator", {}),
        ("with another locator", {"x_queue_leader_locator": "client-local"}),
        ("with a maximum size", {"x_queue_leader_locator": "least-leaders", "x_max_length_bytes": 1_000_000}),
        ("with a cluster size", {"x_queue_leader_locator": "least-leaders", "x_initial_cluster_size": 3}),
    ):
        try:
            await stage.declare("twice", **arguments)
            stage.say(f"declared again {what}: accepted")
        except FAULTS as fault:
            stage.say(f"declared again {what}: {fault}"[:180])
    await stage.delete("twice")


async def _try(stage: Stage, what: str, *, node: int = 0, count: int = 0, **arguments: object) -> str:
    queue = f"placed-{count}"
    try:
        await stage.declare(queue, node=node, **arguments)
    except FAULTS as fault:
        if what:
            stage.say(f"placed with {what}: refused: {fault}"[:200])
        return f"refused: {fault}"[:120]
    leader, members, online = await stage.replicas(queue)
    home = 1 + [each.name for each in stage.cluster.nodes].index(leader)
    if what:
        stage.say(f"placed with {what}: {len(members)} members, {len(online)} online, leader on node {home}")
        await stage.delete(queue)
    return str(home)


async def node_down(stage: Stage) -> None:
    """A stream declared while a node is down: how many members it has, whether anything is confirmed, whether
    the node becomes a member when it comes back; and confirms without a majority.
    """
    stage.cluster.kill(2)
    await asyncio.sleep(3.0)
    queue = "declared-short"
    began = time.monotonic()
    try:
        await stage.declare(queue)
        stage.say(f"declared with a node down: accepted after {time.monotonic() - began:.1f} s")
    except FAULTS as fault:
        stage.say(
            f"declared with a node down: {type(fault).__name__} after {time.monotonic() - began:.1f} s: {fault}"[
                :200
            ]
        )
    writer = Writer(1, stage.urls, 0, queue)
    writer.start()
    try:
        took = await eventually(lambda: writer.confirmed > 20, 20.0, "confirms")
        stage.say(
            f"  20 confirms {took:.1f} s later; members, online: {[len(each) for each in (await stage.replicas(queue))[1:]]}"
        )
    except TimeoutError as late:
        stage.say(f"  {late}; told {writer.told()}")
    await asyncio.to_thread(stage.cluster.start, 2)
    await stage.together()
    await asyncio.sleep(8.0)
    _, members, online = await stage.replicas(queue)
    stage.say(
        f"  8 s after the node is back: {len(members)} members, {len(online)} online; a reader there: {await _reads(stage, queue, 2)}"
    )
    await writer.stop()
    await stage.delete(queue)

    queue = await stage.declare("minority")
    leader = await stage.leader(queue)
    writer = Writer(1, [stage.urls[leader]], 0, queue)
    reader = Reader("reader", [stage.urls[leader]], 0, queue)
    for client in (writer, reader):
        client.start()
    await eventually(lambda: writer.confirmed > 20 and reader.last > 20, 20.0, "confirms")
    for other in range(NODES):
        if other != leader:
            stage.cluster.kill(other)
    await asyncio.sleep(2.0)
    confirmed, read, at = writer.confirmed, reader.last, time.time()
    await asyncio.sleep(6.0)
    stage.say(
        f"two of three nodes dead: confirmed in 6 s {writer.confirmed - confirmed}, read {reader.last - read}; told {writer.told(at - 2.0)}, {reader.told(at - 2.0)}"
    )
    for other in range(NODES):
        if other != leader:
            stage.cluster.nodes[other].launch()
    for other in range(NODES):
        await asyncio.to_thread(stage.cluster.nodes[other].wait, 120.0)
    confirmed = writer.confirmed
    took = await eventually(lambda: writer.confirmed > confirmed + 5, 60.0, "confirms again")
    stage.say(f"  confirms again {took:.1f} s after they answer")
    await stage.together()
    for client in (writer, reader):
        await client.stop()
    await stage.delete(queue)


async def _reads(stage: Stage, queue: str, node: int) -> str:
    reader = Reader("there", stage.urls, node, queue, stay=True)
    reader.start()
    try:
        await eventually(lambda: bool(reader.seen), 5.0, "an entry")
        return f"reads, {len(reader.seen)} at once"
    except TimeoutError:
        return f"nothing; told {reader.told()}"
    finally:
        await reader.stop()
