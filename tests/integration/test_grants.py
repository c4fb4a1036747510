"""Grants, with everything real: two gateways and routers as processes, RabbitMQ, a backend that decides, and
one that revokes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import pytest
import pytest_asyncio
from tests.support.buses import through
from tests.support.client import Client, connect
from tests.support.eventually import eventually, stretched
from tests.support.hook_backend import HookBackend, Question
from tests.support.js_client import run_script
from tests.support.pods import Gateway, Pods
from tests.support.proxy import Proxy
from tests.support.rabbit import Rabbit
from tests.support.tokens import SECRET, Signer

from warren.topology import Topology

pytestmark = pytest.mark.rabbit

ENV = {
    "WARREN_GATEWAY_AUTH": "jwt",
    "WARREN_GATEWAY_JWT_SECRET": SECRET,
    "WARREN_GATEWAY_RATE": "0",
    "WARREN_NAMESPACES": "namespaces: [{name: asked, pattern: 'asked:*', hooks: [join]}]",
    "WARREN_GATEWAY_GRANT_KEYS": "a-key-for-grants-of-32-characters",
    "WARREN_GATEWAY_HOOK_TIMEOUT_MS": str(round(stretched(1.0) * 1_000)),
}


def token(number: int, user: str = "ann") -> str:
    """Return a user's token of this number."""
    return Signer().token(user, jti=f"t{number}")


class Decider:
    """A backend that says the same to all."""

    def __init__(self) -> None:
        self.says: dict[str, Any] = {"allow": True, "ttl": 3_600}

    async def __call__(self, _: Question) -> list[bytes]:
        return [json.dumps(self.says).encode()]


@pytest_asyncio.fixture
async def gateways(pods: Pods) -> AsyncIterator[list[Gateway]]:
    front, _ = await pods.installation(2, 1, ENV)
    yield front


async def command(rabbit: Rabbit, topology: Topology, key: str, **body: Any) -> dict[str, Any]:
    """Have Warren do something, and return what it says of that."""
    async with await aio_pika.connect(rabbit.url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        control = await channel.get_exchange(topology.control)
        message = aio_pika.Message(json.dumps(body).encode(), correlation_id="c", reply_to=queue.name)
        await control.publish(message, key)

        async def told() -> aio_pika.abc.AbstractIncomingMessage | None:
            return await queue.get(no_ack=True, fail=False)

        found: dict[str, Any] = json.loads((await eventually(told, 15.0)).body)
        return found


async def ask_to_join(client: Client, **payload: object) -> dict:
    """Ask to join the room, and return what comes of it."""
    ref = f"h{len(client.received)}"
    await client.send("JOIN", "asked:a", payload or None, id=ref)
    return await eventually(
        lambda: next((each for each in client.received if each.get("ref") == ref), None), 10.0
    )


# ── to connect ──────────────────────────────────────────────────────────────────────────────────────────────

CLIENTS, USERS = 200, 50
CONNECT = ENV | {
    "WARREN_NAMESPACES": "hooks: [connect]\nnamespaces: [{name: vip, pattern: 'vip:*', join: token}]",
    "WARREN_GATEWAY_HOOK_CLAIMS": "plan",
}


def gold(number: int, user: str) -> str:
    """Return a user's token of this number, of which backends are shown a part."""
    return Signer().token(user, jti=f"t{number}", plan="gold")


async def let_in(gateway: Gateway, user: str, number: int = 1) -> str:
    """Have a user let in, and return the grant."""
    async with await connect(gateway.url, token=gold(number, user)) as client:
        return client.welcome["payload"]["grant"]


async def test_clients_that_come_back_with_grants_ask_nobody(pods: Pods, rabbit: Rabbit, topology: Topology):
    """Two hundred of them, to a gateway that has never heard of them, with fresh tokens and in each way to show
    one: they are let in as the backend said, although it is not there any more.
    """
    (first, second), _ = await pods.installation(2, 1, CONNECT)
    decider = Decider()
    decider.says |= {"rooms": ["vip:a"], "info": {"n": 1}}
    async with HookBackend(rabbit.url, topology.hooks, decider) as backend:
        users = [f"u{number}" for number in range(USERS)]
        grants = dict(zip(users, await asyncio.gather(*(let_in(first, user) for user in users)), strict=True))
        assert sorted(question["user"] for question in backend.questions) == sorted(users)

    async def comes_back(number: int) -> None:
        user = users[number % USERS]
        fresh, grant = gold(2, user), grants[user]
        match number // USERS:
            case 0:
                client = await connect(second.url, token=fresh, grant=grant)
            case 1:
                client = await connect(second.url, token=fresh, grant=grant, token_in="subprotocol")
            case 2:
                client = await connect(second.url, token=fresh, grant=grant, token_in="header")
            case _:
                client = await connect(second.url, welcome=False)
                await client.send("AUTH", payload={"token": fresh, "grant": grant})
                client.welcome = await client.expect("WELCOME")
        async with client:
            assert client.user == user
            assert "vip:a" in client.welcome["payload"]["rooms"]
            assert "grant" not in client.welcome["payload"]
            await client.expect("JOINED", room="vip:a")

    await asyncio.gather(*(comes_back(number) for number in range(CLIENTS)))
    assert await second.metric("warren_gateway_hook_sources_total", source="grant") == CLIENTS
    for source in ("backend", "cache"):
        assert await second.metric("warren_gateway_hook_sources_total", source=source) == 0


async def test_a_grant_to_connect_that_does_not_hold_is_asked_about(
    pods: Pods, rabbit: Rabbit, topology: Topology
):
    """One that was signed by a key that is not known here, another user's, one for other claims, one whose time
    is over, rubbish.
    """
    (gateway, other), _ = await pods.installation(2, 1, CONNECT)
    strange = await pods.gateway(
        CONNECT | {"WARREN_GATEWAY_GRANT_KEYS": "another-key-of-32-characters-or-more"}
    )
    decider = Decider()
    async with HookBackend(rabbit.url, topology.hooks, decider) as backend:
        signed, bobs = await let_in(strange, "ann"), await let_in(gateway, "bob")
        silver = Signer().token("bob", plan="silver")
        decider.says["ttl"] = 1
        expired = await let_in(gateway, "eve")
        over = time.time() + 1
        backend.questions.clear()
        for token_, grant in (
            (gold(1, "ann"), signed),
            (gold(1, "kim"), bobs),
            (silver, bobs),
            (gold(1, "liz"), "rubbish"),
            (gold(1, "mia"), "rub.bish"),
        ):
            async with await connect(other.url, token=token_, grant=grant) as client:
                assert client.welcome["payload"]["grant"]
        await eventually(lambda: time.time() > over)
        async with await connect(other.url, token=gold(1, "eve"), grant=expired) as client:
            assert client.welcome["payload"]["grant"]
        assert [question["user"] for question in backend.questions] == [
            "ann", "kim", "bob", "liz", "mia", "eve"
        ]  # fmt: skip
        async with await connect(other.url, token=gold(2, "bob"), grant=bobs) as client:
            assert "grant" not in client.welcome["payload"]
        assert len(backend.questions) == 6


async def test_who_connects_by_a_grant_of_before_a_revocation_is_asked_about(
    pods: Pods, rabbit: Rabbit, topology: Topology
):
    """On the gateway on which it was not connected then; who is denied now is closed with 4001, and who is not
    stays.
    """
    (first, second), _ = await pods.installation(2, 1, CONNECT)
    decider = Decider()
    async with HookBackend(rabbit.url, topology.hooks, decider) as backend:
        grant = await let_in(first, "ann")
        assert "id" in await command(rabbit, topology, "revoke.user.ann", token_id="t1")
        backend.questions.clear()
        async with await connect(second.url, token=gold(2, "ann"), grant=grant) as ann:
            await eventually(lambda: backend.questions)
            assert [question["hook"] for question in backend.questions] == ["connect"]
            await ann.publish("default", "stays")
        decider.says = {"allow": False, "reason": "Not any more"}
        async with await connect(first.url, token=gold(2, "ann"), grant=grant, welcome=False) as ann:
            assert (await ann.closed())[0] == 4001
            assert ann.of_type("ERROR")[-1]["payload"]["message"] == "Not any more"


COMES_BACK = """
import { WarrenClient } from "%(client)s";

const sockets = [];
const client = new WarrenClient("%(url)s", { backoffMs: 10, WebSocket: class extends WebSocket {
  constructor(...all) { super(...all); sockets.push(this); }
} });
const opened = [];
const back = new Promise((resolve) => client.on("open", (welcome) => opened.push(welcome) === 3 && resolve()));
client.on("open", () => opened.length < 3 && setTimeout(() => sockets.at(-1).close()));
await client.connect();
await back;
console.log(JSON.stringify({ users: opened.map(({ user }) => user), grants: opened.map(({ grant }) => !!grant) }));
client.close();
"""


async def test_the_javascript_client_comes_back_by_its_grant(pods: Pods, rabbit: Rabbit, topology: Topology):
    """By itself, as often as it has to: a backend that names nobody is asked once, though the client comes
    back by the name that was made up for it.
    """
    (gateway,), _ = await pods.installation(1, 1, CONNECT | {"WARREN_GATEWAY_AUTH": "anonymous"})
    async with HookBackend(rabbit.url, topology.hooks, Decider()) as backend:
        found = await run_script(COMES_BACK, url=gateway.url)
        assert found["grants"] == [True, False, False]
        assert len(set(found["users"])) == 1
        assert len(backend.questions) == 1
        assert "user" not in backend.questions[0]


# ── a revocation ────────────────────────────────────────────────────────────────────────────────────────────


async def granted_and_revoked(rabbit: Rabbit, topology: Topology, gateway: Gateway) -> str:
    """Have Ann be granted her room, go, and have her first token revoked; return her grant. What was revoked
    may be forgotten at once, as the token has expired: what was granted by it lives longer.
    """
    async with await connect(gateway.url, token=token(1)) as ann:
        grant = (await ask_to_join(ann))["payload"]["grant"]
    done = await command(
        rabbit, topology, "revoke.user.ann", token_id="t1", until_ms=int(time.time() * 1_000) + 1
    )
    assert "id" in done
    return grant


async def test_a_grant_of_before_a_revocation_is_void_where_nobody_was(
    gateways: list[Gateway], rabbit: Rabbit, topology: Topology
):
    """The gateway at which the user was not connected hears of it, and asks; the user of another name still
    shows her grant.
    """
    decider = Decider()
    async with HookBackend(rabbit.url, topology.hooks, decider) as backend:
        async with await connect(gateways[0].url, token=token(9, "bob")) as bob:
            others = (await ask_to_join(bob))["payload"]["grant"]
        grant = await granted_and_revoked(rabbit, topology, gateways[0])
        backend.questions.clear()
        async with await connect(gateways[1].url, token=token(2)) as ann:
            await ann.expect("JOINED", room="@ann")
            assert (await ask_to_join(ann, grant=grant))["type"] == "JOINED"
            assert [question["user"] for question in backend.questions] == ["ann"]
        assert await gateways[1].metric("warren_gateway_hook_sources_total", source="grant") == 0
        decider.says = {"allow": False, "reason": "You were taken off the list"}
        async with await connect(gateways[0].url, token=token(2)) as ann:
            await ann.expect("JOINED", room="@ann")
            told = await ask_to_join(ann, grant=grant)
            assert (told["payload"]["code"], told["payload"]["message"]) == (
                "forbidden", "You were taken off the list"
            )  # fmt: skip
        async with await connect(gateways[1].url, token=token(9, "bob")) as bob:
            assert (await ask_to_join(bob, grant=others))["type"] == "JOINED"
        assert len(backend.questions) == 2


async def test_who_has_joined_before_its_gateway_heard_of_a_revocation_does_not_stay(
    gateways: list[Gateway], rabbit: Rabbit, topology: Topology
):
    """Forty connections join as soon as they are welcomed, so some of them sooner than word of it comes: all
    are asked about, none is left in the room, and each hears it.
    """
    decider = Decider()
    async with HookBackend(rabbit.url, topology.hooks, decider) as backend:
        grant = await granted_and_revoked(rabbit, topology, gateways[0])
        backend.questions.clear()
        decider.says = {"allow": False}

        async def comes(gateway: Gateway) -> None:
            async with await connect(f"{gateway.url}?join=manual", token=token(2)) as ann:
                await ann.send("JOIN", "asked:a", {"grant": grant}, id="j")
                await eventually(
                    lambda: ann.of_type("LEFT", room="asked:a") or ann.of_type("ERROR", ref="j"), 10.0
                )
                await ann.settle()
                await ann.send("HISTORY", "asked:a", id="h")
                assert (await ann.expect("ERROR", ref="h"))["payload"]["code"] == "not_joined"

        await asyncio.gather(*(comes(gateways[number % 2]) for number in range(40)))
        assert backend.questions


async def test_a_gateway_that_was_cut_off_meanwhile_asks_about_members_that_came_by_a_grant(
    pods: Pods, rabbit: Rabbit, topology: Topology
):
    """It was declared gone, so the revocation was told to nobody there; it hears of it when its clients join
    again, and who must not be in the room is out while its connection stays.
    """
    await pods.router(ENV)
    decider = Decider()
    async with (
        Proxy(rabbit.host, rabbit.port) as proxy,
        HookBackend(rabbit.url, topology.hooks, decider) as backend,
    ):
        far = await pods.gateway(ENV)
        near = await pods.gateway(ENV | {"WARREN_AMQP_URL": through(rabbit, proxy)})
        async with await connect(far.url, token=token(1)) as ann:
            grant = (await ask_to_join(ann))["payload"]["grant"]
        async with await connect(near.url, token=token(2)) as ann:
            await ann.expect("JOINED", room="@ann")
            assert (await ask_to_join(ann, grant=grant))["type"] == "JOINED"
            assert len(backend.questions) == 1
            await proxy.cut()

            async def gone() -> bool:
                return (await command(rabbit, topology, "count.user.ann"))["connections"] == 0

            await eventually(gone, 20.0)
            assert "id" in await command(rabbit, topology, "revoke.user.ann", token_id="t1")
            decider.says = {"allow": False}
            await proxy.restore()
            await ann.expect("LEFT", room="asked:a", payload__reason="forbidden", timeout_s=20.0)
            assert len(backend.questions) == 2
            await ann.publish("default", "stays")
