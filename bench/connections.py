"""Memory of an idle connection at a gateway.

    python -m bench.connections [--count 5000] [--repeats 3]

One gateway, one router and the broker, restarted for each repeat. The RSS of the gateway's process before and
after all connections are open and have joined their rooms, divided by their number; then the CPU of the
gateway while they are idle. Medians. The command fails if a connection costs more than 14 KiB.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import sys
from dataclasses import dataclass

import uvloop

from bench.installation import Installation
from bench.socket_client import SocketClient

MOST_KIB = 14.0
WARM = 100  # one-time allocations are not part of a connection's cost


@dataclass(frozen=True, slots=True)
class Cost:
    """One measurement: KiB for each connection, and CPU µs for each connection and second."""

    gateway_kib: float
    router_kib: float
    cpu_us: float
    rss_mib: float


async def open_all(url: str, count: int) -> list[SocketClient]:
    joined = 0

    def on_text(_: SocketClient, data: bytes) -> None:
        nonlocal joined
        joined += data.count(b'"JOINED"')

    clients = [await SocketClient.connect(url, on_text) for _ in range(count)]
    while joined < 2 * count:  # the default room, and the user's own
        await asyncio.sleep(0.05)
    return clients


async def measure(count: int, idle_s: float) -> Cost:
    with Installation(gateways=1, routers=1) as installation:
        gateway, router = installation.gateways[0], installation.routers[0]
        clients = await open_all(installation.urls[0], WARM)
        before, router_before = gateway.rss_bytes(), router.rss_bytes()
        clients += await open_all(installation.urls[0], count)
        await asyncio.sleep(2)
        used, router_used = gateway.rss_bytes() - before, router.rss_bytes() - router_before
        cpu_s = gateway.cpu_s()
        await asyncio.sleep(idle_s)
        cpu_us = (gateway.cpu_s() - cpu_s) * 1e6 / idle_s / (count + WARM)
        for client in clients:
            client.close()
        return Cost(used / count / 1024, router_used / count / 1024, cpu_us, gateway.rss_bytes() / 2**20)


def main() -> int:
    """Print the medians; return 1 if a connection costs too much."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--idle", type=float, default=5.0, metavar="SECONDS", help="for which the CPU is measured"
    )
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(options.count + 1000, hard), hard))
    costs = [uvloop.run(measure(options.count, options.idle)) for _ in range(options.repeats)]
    kib = statistics.median(cost.gateway_kib for cost in costs)
    print(
        f"{options.count} idle connections, each in its user's room and in one more; medians of {options.repeats}"
    )
    print(
        f"gateway {kib:.1f} KiB a connection (RSS {statistics.median(cost.rss_mib for cost in costs):.0f} MiB in all)"
    )
    print(f"gateway {statistics.median(cost.cpu_us for cost in costs):.1f} µs of CPU a connection and second")
    print(f"router  {statistics.median(cost.router_kib for cost in costs):.1f} KiB a connection")
    if kib > MOST_KIB:
        print(f"MISSED: more than {MOST_KIB:.0f} KiB a connection")
    return int(kib > MOST_KIB)


if __name__ == "__main__":
    sys.exit(main())
