"""The official libraries as they are, on two gateways and two routers with a real RabbitMQ: pusher-js and
laravel-echo as clients, the server libraries for Node.js and Python as backends; through a rolling restart.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.faults.balancer import PLACES, Balancer
from tests.support.eventually import TIME_FACTOR, eventually
from tests.support.pods import Gateway, Pods
from tests.support.ports import free_ports
from tests.support.pusher import APPS, KEY
from tests.support.pusher_libraries import Clients, PythonBackend, fetched
from tests.support.webhooks import WebhookBackend

# on one worker, which fetches the libraries
pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.xdist_group("pusher")]


class Deployment:
    """Gateways, and the ports of the routers' APIs."""

    def __init__(self, gateways: list[Gateway], ports: list[int], home: Path) -> None:
        self.gateways = gateways
        self.ports = ports
        self.home = home


async def deploy(pods: Pods, folder: Path, webhook: str = "", **env: str) -> Deployment:
    home = fetched()
    apps = folder / "apps.yaml"
    hooks = f"    client_events: true\n    webhooks: [{{url: '{webhook}'}}]\n"
    apps.write_text(APPS.replace("    client_events: true\n", hooks) if webhook else APPS)
    shared = {"WARREN_PUSHER_APPS_FILE": str(apps), **env}
    ports = free_ports(2)
    for port in ports:
        api = {"WARREN_ROUTER_API_HOST": "127.0.0.1", "WARREN_ROUTER_API_PORT": str(port)}
        await pods.router(shared | api)
    return Deployment([await pods.gateway(shared) for _ in range(2)], ports, home)


async def test_the_libraries_work_as_they_are(pods: Pods, tmp_path: Path) -> None:
    """Public, private, presence, encrypted and cache channels, client events, users, batches, exclusion of
    the sender, reads: each by the library's own call, over two gateways.
    """
    backend = WebhookBackend()
    networks = "127.0.0.0/8"
    deployed = await deploy(pods, tmp_path, backend.url, WARREN_ROUTER_WEBHOOK_NETWORKS=networks)
    left, right = (gateway.port for gateway in deployed.gateways)
    async with (
        backend,
        Clients(deployed.home, deployed.ports[0]) as node,
        PythonBackend(deployed.home, deployed.ports[1]) as python,
    ):
        ann = await node.connected("ann", left, "1")
        await node.connected("bob", right, "2")
        for channel in ("news", "private-a", "private-encrypted-x", "cache-price"):
            for name in ("ann", "bob"):
                await node.do("subscribe", name=name, channel=channel)

        # events, by both libraries
        assert (
            await node.do("trigger", channels=["news", "private-a"], event="App.Sold", data={"n": 1}) == 200
        )
        for name in ("ann", "bob"):
            assert (await node.expect(name, 2, event="App.Sold"))["data"] == {"n": 1}
        assert await python.call("trigger", ["news"], "from-python", {"text": "größe"}) == {}
        assert (await node.expect("bob", event="from-python"))["data"] == {"text": "größe"}
        assert await python.call("trigger", "news", "spared", "text", ann) == {}
        batch = [{"channel": "news", "name": "batch", "data": {"n": number}} for number in range(10)]
        assert await python.call("trigger_batch", batch) in ({}, {"batch": {}})
        await node.expect("ann", 10, event="batch")
        assert await node.do("triggerBatch", batch=batch) == 200
        await node.expect("bob", 20, event="batch")
        assert [told["data"]["n"] for told in node.of("bob", event="batch")] == list(range(10)) * 2
        assert (node.of("bob", event="spared")[0]["data"], node.of("ann", event="spared")) == ("text", [])
        assert "10240" in await python.call("trigger", "news", "large", "x" * 10_300)

        await node.do("trigger", channels=["private-encrypted-x"], event="sealed", data={"n": 5})
        for name in ("ann", "bob"):
            assert (await node.expect(name, opened="sealed"))["data"] == {"n": 5}

        # presence
        joined = await node.do("subscribe", name="ann", channel="presence-room")
        assert joined == {"me": {"id": "1", "info": {"name": "ann"}}, "members": ["1"]}
        joined = await node.do("subscribe", name="bob", channel="presence-room")
        assert joined["members"] == ["1", "2"]
        added = await node.expect("ann", event="pusher:member_added", channel="presence-room")
        assert (added["id"], added["info"]) == ("2", {"name": "bob"})
        await node.do("say", name="bob", channel="presence-room", event="client-typing", data={"on": True})
        assert (await node.expect("ann", event="client-typing"))["data"] == {"on": True}
        assert await python.call("users_info", "presence-room") == {"users": [{"id": "1"}, {"id": "2"}]}
        assert await python.call("channels_info", "presence-", ["user_count"]) == {
            "channels": {"presence-room": {"user_count": 2}}
        }
        assert (await node.do("get", path="/channels/news", params={}))["occupied"] is True
        await node.do("unsubscribe", name="bob", channel="presence-room")
        assert (await node.expect("ann", event="pusher:member_removed"))["id"] == "2"

        # the last event of a cache channel
        await node.expect("ann", event="pusher:cache_miss")
        assert await python.call("trigger", "cache-price", "price", {"n": 7}) == {}
        await node.connected("cid", left, "3")
        await node.do("subscribe", name="cid", channel="cache-price")
        assert (await node.expect("cid", event="price"))["data"] == {"n": 7}

        # users
        await node.do("signIn", name="ann")
        await node.expect("ann", event="pusher:signin_success")
        await eventually(lambda: sent(node), 20)
        assert await node.do("sendToUser", user="1", event="hello", data={"n": 1}) == 200
        assert (await node.expect("ann", own="hello"))["data"] == {"n": 1}
        assert await python.call("terminate_user_connections", "1") == {}
        await node.expect("ann", state="disconnected")
        assert any(
            told["error"] == {"code": 4009, "message": told["error"]["message"]}
            for told in errors(node, "ann")
        )

        # webhooks: the libraries find them right
        headers, text = backend.requests[0]
        told = await node.do(
            "webhook", headers={name.lower(): value for name, value in headers.items()}, body=text
        )
        assert told["valid"] is True
        assert {"name": "channel_occupied", "channel": "news"} in told["events"]
        signature = headers["X-Pusher-Signature"]
        assert (
            await python.call("validate_webhook", headers["X-Pusher-Key"], signature, text)
        ) == json.loads(text)
        assert (await python.call("validate_webhook", KEY, signature, text + " ")) is None

        # Laravel Echo
        await node.connected("dan", left, "4")
        await node.connected("eve", right, "5")
        for name in ("dan", "eve"):
            await node.do("echo", name=name, channel="presence-chat", event=".MessageSent", whisper="typing")
        here = await node.expect("eve", echo="here")
        assert sorted(member["name"] for member in here["data"]) == ["dan", "eve"]
        assert (await node.expect("dan", echo="joining"))["data"] == {"name": "eve"}
        assert await python.call("trigger", "presence-chat", "MessageSent", {"text": "hi"}) == {}
        assert (await node.expect("dan", echo="listen"))["data"] == {"text": "hi"}
        await node.do("whisper", name="eve", event="typing", data={"on": 1})
        assert (await node.expect("dan", echo="whisper"))["data"] == {"on": 1}
        await node.do("disconnect", name="eve")
        assert (await node.expect("dan", echo="leaving"))["data"] == {"name": "eve"}


async def sent(node: Clients) -> bool:
    """Say whether the user's own channel is subscribed to: then what is sent there comes."""
    await node.do("sendToUser", user="1", event="probe", data=0)
    return bool(node.of("ann", own="probe"))


def errors(node: Clients, name: str) -> list[dict[str, Any]]:
    """Return the errors that one was told."""
    return [told for told in node.told if told.get("name") == name and "error" in told]


async def test_they_come_through_a_rolling_restart(pods: Pods, tmp_path: Path) -> None:
    """Both gateways are replaced one after the other behind a load balancer: each client is back by itself,
    presence is whole and nobody was seen to leave, and no event comes twice.
    """
    deployed = await deploy(
        pods,
        tmp_path,
        WARREN_GATEWAY_GRACE_MS=str(round(5_000 * TIME_FACTOR)),
        WARREN_GATEWAY_DRAIN_MS="500",
        WARREN_GATEWAY_DRAIN_DEADLINE_MS=str(round(15_000 * TIME_FACTOR)),
    )
    balancer = Balancer("nginx", (deployed.gateways * PLACES)[:PLACES], tmp_path)
    names = [f"c{number}" for number in range(8)]
    users = sorted(f"u{number}" for number in range(8))
    try:
        async with (
            Clients(deployed.home, deployed.ports[0]) as node,
            PythonBackend(deployed.home, deployed.ports[1]) as python,
        ):
            for number, name in enumerate(names):
                await node.connected(name, balancer.port, f"u{number}")
                await node.do("subscribe", name=name, channel="presence-room")
            for round_ in range(2):
                gateway = deployed.gateways[round_]
                before = connects(node, names)
                assert await python.call("trigger", "presence-room", "before", round_) == {}
                held = await gateway.metric("warren_gateway_connections")
                assert await gateway.terminate() == 0
                await back(node, names, before + int(held))
                await gateway.start()
            for name in names:
                await eventually(lambda name=name: everyone(node, name, users), 20)

            async def all_have() -> bool:
                await python.call("trigger", "presence-room", "probe", 0)
                return all(node.of(name, event="probe") for name in names)

            await eventually(all_have, 20, every_s=0.2)
            for number in range(20):
                assert await python.call("trigger", "presence-room", "after", number) == {}
            for name in names:
                await node.expect(name, 20, event="after")
                assert [told["data"] for told in node.of(name, event="after")] == list(range(20))
                assert len(node.of(name, event="before")) <= 2
                assert node.of(name, event="pusher:member_removed") == [], json.dumps(node.told[-30:])
    finally:
        balancer.close()


def connects(node: Clients, names: list[str]) -> int:
    """Return how often all of these have connected."""
    return sum(len(node.of(name, state="connected")) for name in names)


async def back(node: Clients, names: list[str], count: int) -> None:
    """Wait until they have connected so often."""
    await eventually(lambda: connects(node, names) >= count, 30)


async def everyone(node: Clients, name: str, users: list[str]) -> bool:
    """Say whether a client sees all of these."""
    return bool(await node.do("members", name=name, channel="presence-room") == users)
