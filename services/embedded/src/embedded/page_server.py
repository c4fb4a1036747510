"""``python -m embedded.page_server PORT GATEWAY…``: the demo page in a process of its own, on 127.0.0.1, for
gateways in other processes, and the service ``echo`` that the page can ask.

It is for gateways as they ship, which serve no page. It holds no client's
connection; what the form publishes goes to the RabbitMQ of WARREN_AMQP_URL as a backend's message does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from embedded.echo_service import SERVICE, EchoService
from embedded.page import Page, find_clients
from router.settings import RouterSettings
from warren.bus import Bus
from warren.bus.rabbit.bus import RabbitBus
from warren.errors import SettingsError
from warren.lifecycle import Part, run, serve
from warren.logs import configure
from warren.settings import environment, read
from warren.topology import Topology

USAGE = "usage: python -m embedded.page_server PORT GATEWAY…    such as: 8082 127.0.0.1:8080 127.0.0.1:8081\n"
HOST = "127.0.0.1"
DEADLINE_S = 3.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until a signal; return the exit code: 0 as asked, 1 could not start, 2 wrong settings
    or arguments.
    """
    port, *gateways = list(sys.argv[1:] if arguments is None else arguments) or [""]
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535 and gateways):
        sys.stderr.write(USAGE)
        return 2
    try:
        settings = read(RouterSettings, environment())
        configure("page", settings.log)
        clients = find_clients(Path(__file__))
    except SettingsError as error:
        sys.stderr.writelines(f"page: {problem}\n" for problem in error.problems)
        return 2
    topology = settings.bus.topology
    bus = RabbitBus(settings.bus.amqp_urls, topology, name="warren-page")
    server = PageServer(clients, bus, topology, int(port), gateways)
    return run(lambda: serve([Part.of("page", server)], deadline_s=DEADLINE_S))


class PageServer:
    """The page on a port of its own (a lifecycle part). It owns the bus that it is given."""

    def __init__(
        self, clients: Path, bus: Bus, topology: Topology, port: int, gateways: Sequence[str]
    ) -> None:
        """``clients``: the checkout's folder of that name; ``gateways``: host:port of each."""
        self._bus = bus
        self._port = port
        self._echo = EchoService(bus, topology)
        self._runner: web.AppRunner | None = None
        # a page that was reached by another name may not publish, and no other one either
        origins = [f"http://{host}:{port}" for host in (HOST, "localhost")]
        self._page = Page(clients, bus, topology, gateways=gateways, origins=origins, services=[SERVICE])

    async def start(self) -> None:
        """Connect to the broker for as long as it takes, then listen. Raises OSError where the port can't be
        had.
        """
        await self._bus.start()
        await self._echo.start()
        app = web.Application()
        app.add_routes(self._page.routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self._port, reuse_address=True).start()

    async def stop(self) -> None:
        """Listen no more, and leave the broker."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        await self._echo.stop()
        await self._bus.close()


if __name__ == "__main__":
    raise SystemExit(main())
