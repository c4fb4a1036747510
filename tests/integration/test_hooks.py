"""Backends decide, with everything real: gateways and routers as processes, RabbitMQ, and backends on plain
aio-pika.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.client import Client, connect
from tests.support.eventually import eventually, stretched
from tests.support.hook_backend import ALLOW, HookBackend, Question
from tests.support.pods import ROOT, Gateway, Pods
from tests.support.rabbit import Rabbit

from warren.topology import Topology

pytestmark = pytest.mark.rabbit

NAMESPACES = """
namespaces:
  - {name: chat, pattern: "chat:*", publish: members, hooks: [join, publish]}
  - {name: asked, pattern: "asked:*", hooks: [join]}
  - {name: watched, pattern: "watched:*", hooks: [publish]}
"""
ENV = {
    "WARREN_GATEWAY_RATE": "0",
    "WARREN_NAMESPACES": NAMESPACES,
    "WARREN_GATEWAY_GRANT_KEYS": "a-key-for-grants-of-32-characters",
    "WARREN_GATEWAY_HOOK_TIMEOUT_MS": str(round(stretched(1.0) * 1_000)),
}
CONNECT = ENV | {"WARREN_NAMESPACES": "hooks: [connect]" + NAMESPACES}


@pytest_asyncio.fixture
async def gateways(pods: Pods) -> AsyncIterator[list[Gateway]]:
    """Two gateways and a router, whose namespaces ask for hooks; no backend is there yet."""
    front, _ = await pods.installation(2, 1, ENV)
    yield front


@pytest_asyncio.fixture
async def patient(pods: Pods) -> AsyncIterator[list[Gateway]]:
    """The same, where a backend may take as long as a busy machine takes for hundreds of clients at once."""
    front, _ = await pods.installation(2, 1, ENV | {"WARREN_GATEWAY_HOOK_TIMEOUT_MS": "30000"})
    yield front


async def ask_to_join(client: Client, room: str, **payload: object) -> dict:
    """Ask to join, and return what comes of it."""
    ref = f"h{len(client.received)}-{room}"
    await client.send("JOIN", room, payload or None, id=ref)
    return await eventually(
        lambda: next((each for each in client.received if each.get("ref") == ref), None), 30.0
    )


# ── the worked example ──────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def example(url: str) -> AsyncIterator[None]:
    """The backend of docs/hooks.md, as a process."""
    program = str(ROOT / "docs/examples/hooks_aio_pika.py")
    child = await asyncio.create_subprocess_exec(sys.executable, program, url, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    try:
        assert await asyncio.wait_for(child.stdout.readline(), stretched(20.0)) == b"deciding\n"
        yield
    finally:
        child.kill()
        await child.wait()


async def test_the_example_decides(rabbit: Rabbit, tmp_path: Path):
    """Who may connect, who may join, and what may be said, as its page tells."""
    url = rabbit.vhost()  # the example names Warren's own exchanges, so it gets a virtual host of its own
    own = Pods(url, "warren", 4, tmp_path)
    try:
        (first, second), _ = await own.installation(2, 1, CONNECT)
        async with example(url):
            await follow_the_page(first.url, second.url)
    finally:
        own.close()


async def follow_the_page(first: str, second: str) -> None:
    """Do what docs/hooks.md tells of its example."""
    async with await connect(first, user="mallory", welcome=False) as mallory:
        error = await mallory.expect("ERROR")
        assert error["payload"]["message"] == "This account is blocked"
        assert (await mallory.closed())[0] == 4001
    async with await connect(first, user="ann") as ann, await connect(second, user="bob") as bob:
        grant = (await ann.join("chat:team"))["payload"]["grant"]
        await bob.join("chat:team")
        await bob.publish("chat:team", {"text": "that damn bug"})
        heard = await ann.expect("CHAT", room="chat:team")
        assert heard["payload"] == {"text": "that **** bug"}
        await bob.send("CHAT", "chat:team", "no object", id="m")
        refused = await bob.expect("ERROR", ref="m")
        assert (refused["payload"]["code"], refused["payload"]["message"]) == (
            "forbidden", "A message needs a text"
        )  # fmt: skip
        async with await connect(second, user="eve") as eve:
            told = (await ask_to_join(eve, "chat:team"))["payload"]
            assert (told["code"], told["message"]) == ("forbidden", "You are not invited")
            told = (await ask_to_join(eve, "chat:team", grant=grant))["payload"]
            assert told["code"] == "forbidden"


# ── storms ──────────────────────────────────────────────────────────────────────────────────────────────────

CLIENTS, USERS = 240, 60


async def storm(url: str, grants: dict[str, str]) -> dict[str, str]:
    """Let all clients come at once and join a room; return each user's grant."""
    found: dict[str, str] = {}

    async def one(number: int) -> None:
        user = f"u{number % USERS}"
        async with await connect(f"{url}?join=manual", user=user) as client:
            payload = {"grant": grants[user]} if user in grants else {}
            joined = await ask_to_join(client, "asked:a", **payload)
            assert joined["type"] == "JOINED", joined
            if "grant" in joined["payload"]:
                found[user] = joined["payload"]["grant"]

    await asyncio.gather(*(one(number) for number in range(CLIENTS)))
    return found


async def test_a_storm_asks_once_for_each_user_and_with_grants_nobody(
    patient: list[Gateway], rabbit: Rabbit, topology: Topology
):
    """First all come to one gateway, then with their grants to another that has never heard of them."""

    async def answers(_: Question) -> list[bytes]:
        await asyncio.sleep(0.01)
        return [b'{"allow":true,"ttl":600}']

    async with HookBackend(rabbit.url, topology.hooks, answers) as backend:
        grants = await storm(patient[0].url, {})
        asked = Counter(question["user"] for question in backend.questions)
        assert len(grants) == USERS
        assert asked == {f"u{number}": 1 for number in range(USERS)}
        backend.questions.clear()
        await storm(patient[1].url, grants)
        assert backend.questions == []
        assert await patient[1].metric("warren_gateway_hook_sources_total", source="grant") == CLIENTS


# ── a backend that is away, slow, or mad ────────────────────────────────────────────────────────────────────


async def test_without_a_backend_it_is_closed_and_with_one_it_opens(
    pods: Pods, rabbit: Rabbit, topology: Topology
):
    """Who wants to connect is to come again (1013, never 4001); what was refused goes through once one is
    there.
    """
    (gateway,), _ = await pods.installation(1, 1, CONNECT)
    async with await connect(gateway.url, user="ann", welcome=False) as ann:
        error = (await ann.expect("ERROR"))["payload"]
        assert (error["code"], error["close"], error["reconnect"]) == ("overloaded", 1013, "yes")
        assert error["retry_after_ms"] > 0
        assert (await ann.closed())[0] == 1013
    async with (
        HookBackend(rabbit.url, topology.hooks, keys=("connect",)),
        await connect(gateway.url, user="ann") as ann,
    ):
        for _ in range(3):
            told = (await ask_to_join(ann, "asked:a"))["payload"]
            assert (told["code"], told["retry"]) == ("unavailable", True)
            assert told["retry_after_ms"] > 0
        await ann.send("CHAT", "watched:a", 1, id="m")
        assert (await ann.expect("ERROR", ref="m"))["payload"]["code"] == "unavailable"
        async with HookBackend(rabbit.url, topology.hooks, keys=("join.*", "publish.*")):
            assert (await ask_to_join(ann, "asked:a"))["type"] == "JOINED"
            await ann.publish("watched:a", 1)


async def test_answers_that_are_late_double_or_mad_decide_nothing(
    gateways: list[Gateway], rabbit: Rabbit, topology: Topology
):
    """Each question is answered once and closed; the next one is asked as if nothing had been."""
    late = asyncio.Event()

    async def answers(question: Question) -> list[bytes]:
        match question["room"]:
            case "asked:never":
                return []
            case "asked:late":
                await late.wait()
                return [ALLOW]
            case "asked:twice":
                return [b'{"allow":false,"reason":"no"}', b'{"allow":true,"ttl":60}']
            case "asked:garbage":
                return [b"\xff\xfe{"]
            case _:
                return [ALLOW]

    async with (
        HookBackend(rabbit.url, topology.hooks, answers),
        await connect(gateways[0].url, user="ann") as ann,
        await connect(gateways[0].url, user="bob") as bob,
    ):
        rooms = ("asked:never", "asked:late", "asked:twice", "asked:garbage")
        told = await asyncio.gather(*(ask_to_join(ann, room) for room in rooms))
        assert [each["payload"]["code"] for each in told] == [
            "unavailable", "unavailable", "forbidden", "unavailable"
        ]  # fmt: skip
        late.set()
        assert (await ask_to_join(bob, "asked:twice"))["type"] == "ERROR"
        assert (await ask_to_join(bob, "asked:fine"))["type"] == "JOINED"
        await ann.settle()
        assert ann.of_type("JOINED", room="asked:late") == []


async def test_order_holds_while_a_hook_runs(gateways: list[Gateway], rabbit: Rabbit, topology: Topology):
    """Two hundred messages to two rooms, each decided after a time of its own, some changed and some denied:
    members hear them in the order in which they were said.
    """

    async def answers(question: Question) -> list[bytes]:
        number = question["payload"]
        await asyncio.sleep((number * 7 % 5) / 1_000)
        if number % 10 == 3:
            return [b'{"allow":false}']
        return [json.dumps({"allow": True} | ({"payload": -number} if number % 10 == 4 else {})).encode()]

    async with (
        HookBackend(rabbit.url, topology.hooks, answers, keys=("publish.*",)),
        await connect(gateways[0].url, user="ann") as ann,
        await connect(gateways[1].url, user="bob") as bob,
    ):
        rooms = ("watched:a", "watched:b")
        for room in rooms:
            await bob.join(room)
        for number in range(200):
            await ann.send("CHAT", rooms[number % 2], number, id=str(number))
        for which, room in enumerate(rooms):
            said = [
                -number if number % 10 == 4 else number for number in range(which, 200, 2) if number % 10 != 3
            ]
            heard = await bob.expect_all("CHAT", len(said), room=room)
            assert [message["payload"] for message in heard] == said
        denied = [error["ref"] for error in ann.of_type("ERROR")]
        assert denied == [str(number) for number in range(200) if number % 10 == 3]


async def test_a_slow_backend_is_asked_no_faster_than_it_answers(
    gateways: list[Gateway], rabbit: Rabbit, topology: Topology
):
    """A hundred users come at once to one that takes its time for each: hardly a question is too old when it
    is answered, and everybody gets in.
    """
    turn = asyncio.Lock()

    async def answers(_: Question) -> list[bytes]:
        async with turn:
            await asyncio.sleep(0.02)
        return [b'{"allow":true,"ttl":60}']

    async def one(user: str) -> None:
        async with await connect(f"{gateways[0].url}?join=manual", user=user) as client:

            async def joined() -> bool:
                return (await ask_to_join(client, "asked:a"))["type"] == "JOINED"

            await eventually(joined, 30.0, every_s=1.0)

    async with HookBackend(rabbit.url, topology.hooks, answers) as backend:
        await asyncio.gather(*(one(f"u{number}") for number in range(100)))
        assert len({question["user"] for question in backend.questions}) == 100
        assert len(backend.questions) < 130


async def test_one_user_s_storm_of_rooms_does_not_hold_up_others(
    gateways: list[Gateway], rabbit: Rabbit, topology: Topology
):
    """While a client asks for room after room, of which none is answered, another joins at once."""

    async def answers(question: Question) -> list[bytes]:
        if question["user"] == "mallory":
            await asyncio.sleep(3_600)
        return [ALLOW]

    async with HookBackend(rabbit.url, topology.hooks, answers) as backend:
        storming = [await connect(gateways[0].url, user="mallory") for _ in range(12)]
        for which, client in enumerate(storming):
            for number in range(8):
                await client.send("JOIN", f"asked:{which}-{number}", id=str(number))
        await eventually(lambda: backend.questions)
        async with await connect(gateways[0].url, user="ann") as ann:
            assert (await ask_to_join(ann, "asked:ann"))["type"] == "JOINED"
        overloaded = [
            error for client in storming for error in client.of_type("ERROR", payload__code="overloaded")
        ]
        assert len(overloaded) >= 12 * 8 - 64
        for client in storming:
            await client.close()
