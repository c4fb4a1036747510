"""Memory of an idle connection at a gateway.

    python -m bench.connections [--count 5000]

One gateway, one router, the broker. RSS of the gateway's process before and after the connections are open and have joined their rooms, divided by their number.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys

import uvloop

from bench.installation import Installation
from bench.socket_client import SocketClient


async def open_all(url: str, count: int) -> list[SocketClient]:
    joined = 0

    def on_text(_: SocketClient, data: bytes) -> None:
        nonlocal joined
        joined += b'"JOINED"' in data

    clients = [await SocketClient.connect(url, on_text) for _ in range(count)]
    while joined < 2 * count:  # the room joined at connect, and the user's own
        await asyncio.sleep(0.05)
    return clients


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    count = parser.parse_args().count
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (min(count + 1000, 20_000), resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )

    async def run() -> None:
        with Installation(gateways=1, routers=1) as installation:
            gateway, router = installation.gateways[0], installation.routers[0]
            first = await open_all(installation.urls[0], 100)  # what is made once is not a connection's
            before, router_before = gateway.rss_bytes(), router.rss_bytes()
            clients = await open_all(installation.urls[0], count)
            await asyncio.sleep(2)
            used, router_used = gateway.rss_bytes() - before, router.rss_bytes() - router_before
            print(f"{count} idle connections, each in its user's room and in one more")
            print(
                f"gateway {used / count / 1024:.1f} KiB a connection (RSS {gateway.rss_bytes() / 2**20:.0f} MiB in all)"
            )
            print(f"router  {router_used / count / 1024:.1f} KiB a connection")
            for client in (*first, *clients):
                client.close()

    uvloop.run(run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
