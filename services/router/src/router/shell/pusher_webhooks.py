"""PusherWebhooks: tells the webhooks of Pusher apps what happens in their channels, from what comes on the
events exchange.

One router of an installation consumes the queue at a time, in order; what is not acknowledged when it dies
goes to the next one. The queue is there while an app has webhooks, and is bounded, as is what is taken from
it and not told yet (PREFETCH). What is told when, and again, is decided by ``core/webhooks.py``. A webhook is
a POST without redirects, to public addresses and named networks alone (``core/webhook_addresses.py``), of
whose answer nothing counts but whether it is a 2xx. No address's query, body or signature is logged.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from router.core.webhook_addresses import Network, is_allowed, literal_of
from router.core.webhooks import Post, Told, Webhooks
from router.shell.router_context import RouterContext
from warren.bus import Delivery, Source, Subscription
from warren.contract.events import MembershipEvent
from warren.logs import event, get_logger
from warren.pusher.gateway_events import GatewayEvent
from warren.pusher_apps import PusherAppsFile
from warren.supervision import cancel_and_wait, supervised

LOOK_S: Final = 0.25
PREFETCH: Final = 4_096
TIMEOUT_S: Final = 10.0
CONNECTIONS: Final = 64

_logger = get_logger("router.pusher_webhooks")
_membership: Final = msgspec.json.Decoder(MembershipEvent)
_gateway: Final = msgspec.json.Decoder(GatewayEvent)


class Forbidden(OSError):
    """A webhook leads where none may."""


class GuardedResolver(AbstractResolver):
    """Resolves names, and gives out those of their addresses alone that webhooks may go to."""

    def __init__(self, networks: Sequence[Network]) -> None:
        """``networks`` are allowed besides public addresses."""
        self._networks = networks
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host. Raises Forbidden where there are only others."""
        found = await self._resolver.resolve(host, port, family)
        allowed = [each for each in found if is_allowed(each["host"], self._networks)]
        if not allowed:
            raise Forbidden("leads to no address that webhooks may go to")
        return allowed

    async def close(self) -> None:
        """End."""
        await self._resolver.close()


class PusherWebhooks:
    """One router's."""

    def __init__(self, context: RouterContext, apps: PusherAppsFile, networks: Sequence[Network]) -> None:
        """``apps`` say what is told to whom; ``networks`` are those that it may go to besides public ones."""
        self._bus = context.bus
        self._topology = context.topology
        self._clock = context.clock
        self._metrics = context.metrics
        self._apps = apps
        self._networks = tuple(networks)
        self._webhooks = Webhooks()
        self._subscription: Subscription | None = None
        self._client: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._posting: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        context.metrics.waiting_from("pusher_webhooks", lambda: self._webhooks.waiting)

    async def start(self) -> None:
        """Begin to look whether there is anything to tell."""
        if self._apps:
            self._task = supervised(asyncio.get_running_loop().create_task(self._run(), name="webhooks"))

    async def stop(self) -> None:
        """Tell no more: what is not told goes to another router."""
        task, self._task = self._task, None
        await cancel_and_wait(task, *self._posting)
        await self._leave()

    async def _run(self) -> None:
        while True:
            self._webhooks.use(self._apps.apps)
            wanted = any(app.webhooks for app in self._apps.apps.by_id.values())
            if wanted and self._subscription is None:
                await self._begin()
            elif not wanted and self._subscription is not None:
                await self._leave()
            self._post()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def _begin(self) -> None:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, resolver=GuardedResolver(self._networks))
        self._client = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        queue, bindings = self._topology.webhooks_queue()
        self._subscription = await self._bus.subscribe(
            lambda: Source(queue, bindings), self._delivered, prefetch=PREFETCH, on_lost=self._webhooks.lost
        )

    async def _leave(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()
        self._webhooks.lost()
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    # ── what comes ──────────────────────────────────────────────────────────────────────────────────────────

    def _delivered(self, delivery: Delivery) -> None:
        told = _told(delivery)
        if told is None:
            self._metrics.rejected("webhook_event_malformed")
            delivery.ack()
            return
        before = self._webhooks.given_up
        self._webhooks.take(told, delivery.ack, self._clock.monotonic())
        self._count(before)
        self._wake.set()

    def _count(self, before: int) -> None:
        if self._webhooks.given_up > before:
            self._metrics.rejected("webhook_given_up", self._webhooks.given_up - before)

    # ── what goes ───────────────────────────────────────────────────────────────────────────────────────────

    def _post(self) -> None:
        for post in self._webhooks.due(self._clock.monotonic(), self._clock.wall_us() // 1_000):
            task = asyncio.get_running_loop().create_task(self._send(post), name="webhook")
            self._posting.add(task)
            task.add_done_callback(self._posting.discard)
            supervised(task)

    async def _send(self, post: Post) -> None:
        reason = await self._refusal(post)
        before = self._webhooks.given_up
        self._webhooks.posted(post.target, not reason, self._clock.monotonic())
        self._count(before)
        self._wake.set()
        if reason:
            self._metrics.rejected("webhook_not_taken")
            event(
                _logger,
                "webhook_not_taken",
                level=logging.WARNING,
                app=post.target[0],
                host=urlsplit(post.url).hostname,
                reason=reason,
            )

    async def _refusal(self, post: Post) -> str:
        """Send a webhook; return why it was not taken."""
        literal, client = literal_of(post.url), self._client
        if literal and not is_allowed(literal, self._networks):
            return "leads to no address that webhooks may go to: WARREN_ROUTER_WEBHOOK_NETWORKS names others"
        if client is None:
            return "the router stops"
        try:
            async with client.post(
                post.url, data=post.body, headers=post.headers, allow_redirects=False
            ) as response:
                return "" if 200 <= response.status < 300 else f"answered with {response.status}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return type(error).__name__


def _told(delivery: Delivery) -> Told | None:
    """Return what a delivery tells; None where it tells nothing that this version knows."""
    decoder: msgspec.json.Decoder[MembershipEvent] | msgspec.json.Decoder[GatewayEvent] = _membership
    if delivery.routing_key.startswith("pusher."):
        decoder = _gateway
    try:
        return decoder.decode(delivery.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
