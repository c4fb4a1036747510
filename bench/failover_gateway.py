"""How long clients are without messages when their gateway is killed: ``python -m bench.failover
--gateway-kills N``.

The second gateway, which has all the members, is killed (SIGKILL) under load. Each member connects to the
first one as soon as its socket is closed, with `?join=manual`, and sends JOIN with its position. Measured for
each member: from the open socket (the answer to the upgrade) to the first message after JOINED with
`recovered: true`, missed or new. Then a gateway is started again and the members move to it, again with their
positions: that is not timed, but the messages are counted too.
"""

from __future__ import annotations

import asyncio
import signal
import time

from bench.failover_load import SHARDS, Load, Room, Tally, line
from bench.installation import Installation

PATIENCE_S = 30.0


async def _back(room: Room, url: str) -> float | None:
    """Wait until the member's socket is closed, then reconnect; return the seconds to the first message, or
    None if the position was not recovered.
    """
    assert room.member is not None
    await asyncio.shield(room.member.closed)
    room.arrivals.clear()
    opened = await room.enter(url)
    await asyncio.wait_for(room.joined.wait(), PATIENCE_S)
    while not room.arrivals:
        if time.monotonic() > opened + PATIENCE_S:
            raise RuntimeError(f"{room.name}: nothing within {PATIENCE_S:.0f} s of the reconnect")
        await asyncio.sleep(0.005)
    return room.arrivals[0][0] - opened if room.recovered else None


async def _kill(load: Load) -> tuple[list[float], list[float]]:
    """Kill the members' gateway; return for each room the seconds from the reconnect, and the longest silence
    after the kill.
    """
    warren = load.warren
    victim = warren.gateways.pop(1)
    warren.urls.pop(1)
    waiting = [asyncio.create_task(_back(room, warren.urls[0])) for room in load.rooms]
    began = load.forget()
    victim.child.send(signal.SIGKILL)
    took = [seconds for seconds in await asyncio.gather(*waiting) if seconds is not None]
    first = [room.arrivals[0][0] - began for room in load.rooms]
    process = await asyncio.to_thread(warren.start_gateway)
    await asyncio.to_thread(process.wait_ready)
    for room in load.rooms:
        assert room.member is not None
        room.member.close()
        await room.enter(warren.urls[1])
        await asyncio.wait_for(room.joined.wait(), PATIENCE_S)
    await load.shared()
    return took, first


async def gateway_kills(kills: int, routers: int) -> Tally:
    """Measure and print; return what became of the messages."""
    took: list[float] = []
    first: list[float] = []
    with Installation(gateways=2, routers=routers, env={"WARREN_SHARDS": str(SHARDS)}) as warren:
        load = Load(warren)
        await load.open()
        for number in range(kills):
            one, from_kill = await _kill(load)
            took += one
            first += from_kill
            print(line(f"gateway kill {number + 1}", one), flush=True)
        tally = await load.close()
    print(line("gateway SIGKILL, from the reconnect to the first message", took) + " (aim: max under 3 s)")
    print(line("gateway SIGKILL, from the kill to the first message", first))
    print(f"gateway: {tally}\n", flush=True)
    return tally
