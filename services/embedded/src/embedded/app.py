"""The composition root of embedded mode: two gateways and a router in one process, and the demo page on the gateways' ports.

They talk through a bus exactly as separate processes do: inside the process, or by the RabbitMQ that was named. It decides
nothing. ``__main__`` and the tests of the page build it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from embedded.page import Page, find_clients
from embedded.settings import EmbeddedSettings
from gateway.app import Gateway
from router.app import Router
from warren.bus import Bus
from warren.bus.memory import MemoryBus
from warren.bus.memory_broker import MemoryBroker
from warren.bus.rabbit import RabbitBus
from warren.lifecycle import Part
from warren.settings import EVERY_ADDRESS
from warren.telemetry import Tracing


class Embedded:
    """All parts of one run, in the order of their birth."""

    def __init__(self, settings: EmbeddedSettings, clients: Path | None = None) -> None:
        """``clients``: the folder with the page's files (None: the checkout's). Raises SettingsError."""
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
        )
        self._router_tracing = self._tracing("router")
        self.router = Router(settings.router, self._bus("router"), tracing=self._router_tracing)
        self.gateways = [
            Gateway(gateway, self._bus("gateway"), tracing=self._tracing("gateway"), routes=page.routes())
            for gateway in settings.gateways
        ]

    @property
    def addresses(self) -> list[str]:
        """Each gateway's host and port."""
        host = self.settings.host
        shown = {EVERY_ADDRESS: "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(  # noqa: S104 - what one types to reach it
            host, f"[{host}]" if ":" in host else host
        )
        return [f"{shown}:{port}" for port in self.settings.ports]

    def parts(self) -> list[Part]:
        """Return the lifecycle's parts; a gateway ends its own tracing."""
        return [
            Part.of("tracing", self._router_tracing),
            Part.of("router", self.router),
            Part("page", self.page_bus.start, self.page_bus.close),
            *(Part.of("gateway", gateway) for gateway in self.gateways),
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
