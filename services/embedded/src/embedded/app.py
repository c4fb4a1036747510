"""The composition root of embedded mode: two gateways and a router in one process, and the demo page on the
gateways' ports.

They talk through a bus exactly as separate processes do: inside the process, or by the RabbitMQ that was
named. It decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from embedded.echo_service import SERVICE, EchoService
from embedded.page import Page, find_clients
from embedded.settings import EmbeddedSettings
from embedded.trial_key import TrialKey
from gateway.app import Gateway
from router.app import Router
from warren.bus import Bus
from warren.bus.memory.broker import MemoryBroker
from warren.bus.memory.bus import MemoryBus
from warren.bus.rabbit.bus import RabbitBus
from warren.lifecycle import Part
from warren.settings import EVERY_ADDRESS
from warren.telemetry import Tracing

# How often it is asked whether everything works, at the start.
LOOK_S = 0.02


class Embedded:
    """All parts of one run, in the order of their birth."""

    def __init__(
        self, settings: EmbeddedSettings, clients: Path | None = None, *, open_files: int | None = None
    ) -> None:
        """``clients``: the folder with the page's files (None: the checkout's); ``open_files``: how many the
        process may have, which the gateways share (None: not known). Raises SettingsError.
        """
        self.settings = settings
        shared = settings.router.bus
        self.topology = shared.topology
        self._bus = self._buses()
        self.page_bus = self._bus("page")
        page = Page(
            clients or find_clients(Path(__file__)),
            self.page_bus,
            self.topology,
            gateways=self.addresses,
            origins=settings.origins,
            services=[SERVICE],
        )
        self._echo = EchoService(self.page_bus, self.topology)
        self._router_tracing = self._tracing("router")
        self.trial_key = TrialKey()
        self.router = Router(settings.router, self._bus("router"), tracing=self._router_tracing)
        api = self.router.http_api
        api.keys = self.trial_key if settings.trial_key else api.keys
        self.gateways = [
            Gateway(
                gateway,
                self._bus("gateway"),
                tracing=self._tracing("gateway"),
                routes=page.routes(),
                open_files=None if open_files is None else open_files // len(settings.gateways),
            )
            for gateway in settings.gateways
        ]

    @property
    def addresses(self) -> list[str]:
        """Each gateway's host and port."""
        host = self.settings.host
        return [f"{_shown(host)}:{port}" for port in self.settings.ports]

    @property
    def api(self) -> str:
        """The HTTP API's address; empty where it is off."""
        api = self.settings.router.api
        return f"http://{_shown(api.host)}:{api.port}" if api.port else ""

    @property
    def admin(self) -> str:
        """The admin page's address; empty where it is off."""
        return f"{self.api}/admin/" if self.api and self.settings.router.api.admin else ""

    @property
    def internal(self) -> list[tuple[str, str]]:
        """Each part's name and where its probes and metrics are; known once the parts have started."""
        router = (self.settings.router.probes.internal_host, self.router.probes.port)
        gateways = [(each.settings.probes.internal_host, each.probes.port) for each in self.gateways]
        named = zip(["router", "gateway 1", "gateway 2"], [router, *gateways], strict=True)
        return [(name, f"{_shown(host)}:{port}") for name, (host, port) in named]

    def lacking(self) -> str | None:
        """Return what a message would still have to wait for; None: it goes through at once."""
        for gateway in self.gateways:
            # what else it may lack (keys, places) is between it and its clients
            reasons = gateway.readiness.reasons()
            if reason := reasons.get("bus") or reasons.get("log"):
                return f"a gateway is not ready: {reason}"
        reason = self.router.readiness.reasons().get("shards")
        return f"the router is not ready: {reason}" if reason else None

    async def served(self) -> None:
        """Return once the router does its part: a gateway that came sooner would have to begin again."""
        while self.router.readiness.reasons().get("shards") is not None:  # noqa: ASYNC110 - as below
            await asyncio.sleep(LOOK_S)

    async def usable(self) -> None:
        """Return once a message goes through at once."""
        while self.lacking() is not None:  # noqa: ASYNC110 - several parts know, and each is asked, as their probes are
            await asyncio.sleep(LOOK_S)

    def parts(self) -> list[Part]:
        """Return the lifecycle's parts; a gateway ends its own tracing."""
        return [
            Part.of("tracing", self._router_tracing),
            Part.of("router", self.router),
            Part("logs", self.served, _nothing),
            Part("page", self.page_bus.start, self.page_bus.close),
            Part.of("echo", self._echo),
            *(Part.of("gateway", gateway) for gateway in self.gateways),
            Part("first message", self.usable, _nothing),
        ]

    def _buses(self) -> Callable[[str], Bus]:
        if self.settings.on_rabbit:
            urls = self.settings.router.bus.amqp_urls
            return lambda name: RabbitBus(urls, self.topology, name=f"warren-embedded-{name}")
        broker = MemoryBroker()
        return lambda _: MemoryBus(broker, self.topology)

    def _tracing(self, service: str) -> Tracing:
        # Contexts are carried though nobody collects spans, since the page shows them.
        return Tracing(f"warren-{service}", self.settings.env, topology=self.topology, carry=True)


async def _nothing() -> None:
    """Nothing to end."""


def _shown(host: str) -> str:
    """Return what one types to reach a server that listens on ``host``."""
    if host in (EVERY_ADDRESS, "0.0.0.0", "::"):  # noqa: S104
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
