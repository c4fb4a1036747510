"""Webhooks: what a backend is told of channels, once or more, whoever dies."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.eventually import eventually
from tests.support.pods import Pods, Router
from tests.support.pusher import APPS, PusherClient, pusher_installation
from tests.support.webhooks import WebhookBackend
from websockets.asyncio.client import connect as websocket

ALL = "[channel_occupied, channel_vacated, member_added, member_removed, client_event, cache_miss]"


def apps(backend: WebhookBackend, events: str = ALL) -> str:
    hooks = f"    webhooks: [{{url: '{backend.url}', events: {events}}}]\n"
    return APPS.replace("    client_events: true\n", "    client_events: true\n" + hooks)


async def test_a_backend_is_told_what_happens(tmp_path: Path) -> None:
    """Each kind of event, signed, in batches; what ends and begins again within three seconds has not
    happened.
    """
    async with (
        WebhookBackend() as backend,
        pusher_installation(tmp_path, apps(backend), WARREN_ROUTER_WEBHOOK_NETWORKS="127.0.0.0/8") as house,
    ):
        async with await house.client(0) as ann, await house.client(1) as bob:
            await ann.subscribe("presence-room", "1")
            await bob.subscribe("presence-room", "1")  # the same member
            await ann.say("client-hi", {"n": 1}, "presence-room")
            await ann.subscribe("cache-a")
            await eventually(lambda: len(backend.events) == 5, 10, what=f"{backend.events}")
            assert backend.of("channel_occupied") == [
                {"name": "channel_occupied", "channel": "presence-room"},
                {"name": "channel_occupied", "channel": "cache-a"},
            ]
            assert backend.of("member_added") == [
                {"name": "member_added", "channel": "presence-room", "user_id": "1"}
            ]
            assert backend.of("client_event") == [
                {
                    "name": "client_event", "channel": "presence-room", "event": "client-hi", "data": '{"n": 1}',
                    "socket_id": ann.socket_id, "user_id": "1",
                }
            ]  # fmt: skip
            assert backend.of("cache_miss") == [{"name": "cache_miss", "channel": "cache-a"}]
            assert backend.requests[0][0]["X-Pusher-Key"] == ann.key
            # gone and back: nobody has left
            for client in (ann, bob):
                await client.say("pusher:unsubscribe", {"channel": "presence-room"})
            await ann.settle()
            await asyncio.gather(ann.subscribe_again("presence-room", "1"), ann.subscribe("other"))
            await eventually(lambda: len(backend.of("channel_occupied")) == 3)
        await eventually(lambda: len(backend.of("channel_vacated")) == 3, 15)
        assert {event["channel"] for event in backend.of("channel_vacated")} == {
            "presence-room", "cache-a", "other",
        }  # fmt: skip
        assert len(backend.of("member_removed")) == len(backend.of("member_added")) == 1
        assert len(backend.of("channel_occupied")) == 3


async def test_nothing_goes_where_webhooks_may_not(tmp_path: Path) -> None:
    """Not to this machine unless that is said, and not where a redirect leads."""
    async with WebhookBackend() as backend:
        async with (
            pusher_installation(tmp_path, apps(backend)) as house,
            await house.client(0) as ann,
        ):
            await ann.subscribe("news")
            metrics = house.embedded.router.metrics
            await eventually(lambda: b"webhook_not_taken" in metrics.render()[0], 10)
        assert backend.requests == []
        backend.status = 302
        async with (
            pusher_installation(
                tmp_path, apps(backend), WARREN_ROUTER_WEBHOOK_NETWORKS="127.0.0.0/8"
            ) as house,
            await house.client(0) as ann,
        ):
            await ann.subscribe("news")
            await eventually(lambda: len(backend.requests) >= 2, 10)
        assert all('"time_ms"' in text for _, text in backend.requests)


@pytest.mark.rabbit
@pytest.mark.slow
async def test_what_was_not_told_is_told_by_another_router(pods: Pods, tmp_path: Path) -> None:
    """A backend is away, and the router that would have told it is killed: the other one tells it, at least
    once, once the backend is back.
    """
    async with WebhookBackend() as backend:
        backend.status = 500
        file = tmp_path / "apps.yaml"
        file.write_text(apps(backend, "[channel_occupied, channel_vacated]"))
        env = {"WARREN_PUSHER_APPS_FILE": str(file), "WARREN_ROUTER_WEBHOOK_NETWORKS": "127.0.0.1/32"}
        gateways, routers = await pods.installation(1, 2, env)
        url = f"ws://127.0.0.1:{gateways[0].port}/app/278d425bdf160c739803?protocol=7"
        async with PusherClient(await websocket(url)) as ann:
            await ann.expect("pusher:connection_established")
            for number in range(5):
                await ann.subscribe(f"c{number}")
            await eventually(lambda: len(backend.requests) >= 2, 20)

            async def telling() -> Router | None:
                for router in routers:
                    if await router.metric("warren_router_waiting", buffer="pusher_webhooks"):
                        return router
                return None

            teller = await eventually(telling, 10)
            assert teller is not None
            teller.kill()
            await eventually(lambda: not teller.running)
            backend.status = 200
            await eventually(
                lambda: (
                    {event["channel"] for event in backend.events} == {f"c{number}" for number in range(5)}
                ),
                40,
            )
        await eventually(
            lambda: (
                {event["channel"] for event in backend.of("channel_vacated")} == {f"c{n}" for n in range(5)}
            ),
            40,
        )
