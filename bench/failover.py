"""How long nothing is delivered when a router, a gateway or a node of the broker is killed, and when a router
shuts down in order.

    python -m bench.failover [--kills 5] [--leaves 5] [--gateway-kills 5] [--broker-kills 3 [--root FOLDER]]
    [--starts 5] [--full-log 256] [--routers 2]

Without options, all but ``--starts`` and ``--full-log`` are measured; with some of them, only those.
``failover_gateway``, ``failover_broker`` and ``startup_latency`` say what they measure. A router is killed
(SIGKILL) or stopped (SIGTERM), and started again, several times. Measured for each of its shards:

* killed: from the SIGKILL to the first message that was sent after it and reached the member;
* stopped: the longest silence at the member from the SIGTERM until a second after the router has exited.

Every message is counted: lost, doubled and out-of-order messages and interruptions are printed, and any of
them makes the command fail.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import statistics
import sys
import time
from pathlib import Path

import uvloop

from bench.failover_broker import broker_kills
from bench.failover_gateway import gateway_kills
from bench.failover_load import SHARDS, Load, Tally, line, owned, until
from bench.installation import Installation
from bench.startup_latency import full_log, starts
from rabbit_nodes.debian import RabbitRoot

# What is measured, and how often, without options.
USUAL = {"kills": 5, "leaves": 5, "gateway_kills": 5, "broker_kills": 3, "starts": 0, "full_log": 0}
# Routers started for --full-log, at each length of the log.
FRESH_ROUTERS = 5


async def _kill(load: Load) -> list[float]:
    """Kill a router; return the interruption of each of its shards in seconds."""
    victim = load.warren.routers.pop(0)
    rooms = [load.rooms[shard] for shard in await asyncio.to_thread(owned, victim)]
    began = load.forget()
    victim.child.send(signal.SIGKILL)
    took = await load.through(began, rooms)
    await _another(load)
    return took


async def _leave(load: Load) -> tuple[list[float], float]:
    """Stop a router in order; return the longest silence of each of its shards, and how long the router took
    to exit.
    """
    victim = load.warren.routers.pop(0)
    rooms = [load.rooms[shard] for shard in await asyncio.to_thread(owned, victim)]
    began = load.forget()
    victim.child.send(signal.SIGTERM)
    await until(lambda: not victim.child.running, 30, "the end of the router")
    took = time.monotonic() - began
    await asyncio.sleep(1.0)
    silences = [room.silence(began) for room in rooms]
    await _another(load)
    return silences, took


async def _another(load: Load) -> None:
    process = await asyncio.to_thread(load.warren.start_router)
    await asyncio.to_thread(process.wait_ready)
    await load.shared()


async def router_losses(kills: int, leaves: int, routers: int) -> Tally:
    """Measure and print; return what became of the messages."""
    killed: list[float] = []
    silences: list[float] = []
    per_shard: list[float] = []
    with Installation(gateways=2, routers=routers, env={"WARREN_SHARDS": str(SHARDS)}) as warren:
        load = Load(warren)
        await load.open()
        for number in range(kills):
            took = await _kill(load)
            killed += took
            print(line(f"router kill {number + 1}", took), flush=True)
        for number in range(leaves):
            quiet, took_s = await _leave(load)
            silences += quiet
            per_shard.append(took_s / max(1, len(quiet)))
            print(
                f"{line(f'router leave {number + 1}', quiet)}; gone after {1_000 * took_s:.0f} ms", flush=True
            )
        tally = await load.close()
    if killed:
        print(
            line("router SIGKILL to the first message again", killed) + " (aim: p50 under 2 s, max under 5 s)"
        )
    if silences:
        print(line("router in order, the longest silence of a shard", silences) + " (aim: under 200 ms)")
        print(f"router in order, the time to leave: {1_000 * statistics.mean(per_shard):.0f} ms a shard")
    print(f"router: {tally}\n", flush=True)
    return tally


async def run(options: argparse.Namespace) -> int:
    tally = Tally()
    if options.kills or options.leaves:
        tally += await router_losses(options.kills, options.leaves, options.routers)
    if options.gateway_kills:
        tally += await gateway_kills(options.gateway_kills, options.routers)
    if options.broker_kills:
        tally += await broker_kills(options.broker_kills, options.routers, options.root)
    good = tally.good
    if options.starts:
        await starts(options.starts)
    if options.full_log:
        good &= await full_log(options.full_log, FRESH_ROUTERS)
    return 0 if good else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, help="how often a router is killed")
    parser.add_argument("--leaves", type=int, help="how often a router leaves in order")
    parser.add_argument("--gateway-kills", type=int, help="how often a gateway is killed")
    parser.add_argument("--broker-kills", type=int, help="how often one of three RabbitMQ nodes is killed")
    parser.add_argument(
        "--starts", type=int, help="how often a gateway and a router begin on an empty broker"
    )
    parser.add_argument(
        "--full-log", type=int, metavar="MIB", help="how large the log is from which a router begins"
    )
    parser.add_argument(
        "--root",
        type=lambda path: RabbitRoot(Path(path)),
        help="the broker of --broker-kills: what scripts/dev/fetch-rabbitmq prints",
    )
    parser.add_argument("--routers", type=int, default=2)
    options = parser.parse_args()
    named = any(getattr(options, name) is not None for name in USUAL)
    for name, usual in USUAL.items():
        if getattr(options, name) is None:
            setattr(options, name, 0 if named else usual)
    return uvloop.run(run(options))


if __name__ == "__main__":
    sys.exit(main())
