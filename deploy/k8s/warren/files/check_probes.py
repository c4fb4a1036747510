"""Asks every pod behind two names whether it lives and is ready (`helm test`). GATEWAYS and ROUTERS are
host:port.
"""

import asyncio
import os
import socket
import sys

import aiohttp


async def main() -> int:
    """Ask each address behind both names; return the exit code."""
    failures = 0
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
        for name in ("GATEWAYS", "ROUTERS"):
            host, port = os.environ[name].split(":")
            found = await asyncio.get_running_loop().getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
            for address in sorted({entry[4][0] for entry in found}):
                shown = f"[{address}]" if ":" in address else address
                for path in ("/healthz", "/readyz"):
                    async with http.get(f"http://{shown}:{port}{path}") as response:
                        print(host, address, path, response.status, await response.text(), flush=True)
                        failures += response.status != 200
    return 1 if failures else 0


sys.exit(asyncio.run(main()))
