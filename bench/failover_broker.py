"""How long a room is silent when a node of the broker is killed: ``python -m bench.failover --broker-kills N
[--root FOLDER]``.

Three RabbitMQ nodes form a cluster; gateways and routers know all three addresses and start with different
ones. The nodes are killed (SIGKILL) in turn under load, and each has rejoined the cluster before the next one
is killed. Measured for each room: the longest silence at the member from the kill until 5 s after every room
has recovered, the first message that was sent after the kill, and the longest silence while the node rejoins.
"""

from __future__ import annotations

import asyncio

from bench.failover_load import SHARDS, Load, Tally, line
from bench.installation import Installation
from rabbit_nodes.debian import RabbitRoot

NODES = 3
AFTER_S = 5.0


async def _kill(load: Load, index: int) -> tuple[list[float], list[float], list[float]]:
    """Kill a node and restart it; return for each room the longest silence, the seconds to the first new
    message, and the longest silence while the node rejoins.
    """
    cluster = load.warren.cluster
    assert cluster is not None
    began = load.forget()
    await asyncio.to_thread(cluster.kill, index)
    first = await load.through(began, load.rooms)
    await asyncio.sleep(AFTER_S)
    silent = [room.silence(began) for room in load.rooms]
    returning = load.forget()
    await asyncio.to_thread(cluster.start, index)
    if not await asyncio.to_thread(cluster.together, 120.0):
        raise RuntimeError("the node is not one of the cluster again")
    await load.through(returning, load.rooms)
    await asyncio.sleep(AFTER_S)
    back = [room.silence(returning) for room in load.rooms]
    await load.shared()
    return silent, first, back


async def broker_kills(kills: int, routers: int, root: RabbitRoot | None) -> Tally:
    """Measure and print; return what became of the messages."""
    silent: list[float] = []
    first: list[float] = []
    back: list[float] = []
    with Installation(
        gateways=2, routers=routers, env={"WARREN_SHARDS": str(SHARDS)}, brokers=NODES, root=root
    ) as warren:
        load = Load(warren)
        await load.open()
        for number in range(kills):
            one, new, returned = await _kill(load, number % NODES)
            silent += one
            first += new
            back += returned
            print(
                f"{line(f'broker kill {number + 1}, longest silence', one)}; max to a new one {max(new):.1f} s",
                flush=True,
            )
        tally = await load.close()
    print(line("broker node SIGKILL, the longest silence of a room", silent) + " (aim: max under 5 s)")
    print(line("broker node SIGKILL, from the kill to the first message sent after it", first))
    print(line("broker node returns, the longest silence of a room", back))
    print(f"broker: {tally}\n", flush=True)
    return tally
