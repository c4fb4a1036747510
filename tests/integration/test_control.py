"""Commands of backends, with everything real: each verb over HTTP and over AMQP by stock clients, on two
gateways and two routers; routers that are killed in between; keys that are replaced.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import aio_pika
import aiohttp
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from tests.support.client import Client, connect
from tests.support.eventually import eventually
from tests.support.pods import Gateway, Pods, Router
from tests.support.ports import free_ports
from tests.support.rabbit import Rabbit

from router.core.api_keys import hash_of
from warren.topology import Topology

pytestmark = pytest.mark.rabbit

ROOT = Path(__file__).parents[2]
KEYS = f"""
keys:
  - {{name: all, sha256: "{hash_of(b"all")}", scopes: ["*"]}}
  - {{name: chat, sha256: "{hash_of(b"chat")}", scopes: ["publish:chat:*"]}}
  - {{name: old, sha256: "{hash_of(b"old")}", scopes: ["*"], expires: 2020-01-01}}
"""


class Installation:
    """Two gateways, and two routers with an HTTP API each."""

    def __init__(self, gateways: list[Gateway], routers: list[Router], ports: list[int], keys: Path) -> None:
        self.gateways = gateways
        self.routers = routers
        self.urls = [f"http://127.0.0.1:{port}/v1" for port in ports]
        self.keys = keys

    async def client(self, gateway: int, user: str, *rooms: str) -> Client:
        client = await connect(self.gateways[gateway].url, user=user)
        for room in rooms:
            await client.join(room)
        return client


class Backend(Protocol):
    """Whoever commands."""

    async def __call__(self, verb: str, address: str = "", **body: Any) -> dict[str, Any]:
        """Return the result, or the problem."""
        ...


@pytest_asyncio.fixture
async def installation(pods: Pods, tmp_path: Path) -> Installation:
    keys = tmp_path / "keys.yaml"
    keys.write_text(KEYS)
    ports = free_ports(2)
    routers = [
        await pods.router(
            {
                "WARREN_ROUTER_API_HOST": "127.0.0.1",
                "WARREN_ROUTER_API_PORT": str(port),
                "WARREN_ROUTER_API_KEYS_FILE": str(keys),
            }
        )
        for port in ports
    ]
    gateways = [await pods.gateway({"WARREN_GATEWAY_GRACE_MS": "0"}) for _ in range(2)]
    return Installation(gateways, routers, ports, keys)


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def ask(
    session: aiohttp.ClientSession, url: str, body: dict[str, Any] | None, key: str = "all", ident: str = ""
) -> tuple[int, dict[str, Any]]:
    """Return the status and the answer of a POST."""
    headers = {"Authorization": f"Bearer {key}"} | ({"Idempotency-Key": ident} if ident else {})
    async with session.post(url, json=body, headers=headers) as response:
        return response.status, await response.json(content_type=None)


class Answers:
    """A queue for answers, by their correlation ids."""

    def __init__(self, control: AbstractExchange, queue: str) -> None:
        self._control = control
        self._queue = queue
        self._came: dict[str | None, AbstractIncomingMessage] = {}
        self._number = 0

    async def take(self, message: AbstractIncomingMessage) -> None:
        self._came[message.correlation_id] = message

    async def ask(self, key: str, body: bytes) -> dict[str, Any]:
        self._number += 1
        ident = f"c{self._number}"
        message = aio_pika.Message(body, correlation_id=ident, reply_to=self._queue, app_id="test")
        await self._control.publish(message, key)
        await eventually(lambda: ident in self._came, timeout_s=15)
        found: dict[str, Any] = json.loads(self._came.pop(ident).body)
        return found


@pytest_asyncio.fixture
async def answers(rabbit: Rabbit, topology: Topology, installation: Installation) -> AsyncIterator[Answers]:
    async with await aio_pika.connect(rabbit.url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        made = Answers(await channel.get_exchange(topology.control), queue.name)
        await queue.consume(made.take, no_ack=True)
        yield made


@pytest.fixture(params=["http", "amqp"])
def backend(
    request: pytest.FixtureRequest,
    installation: Installation,
    session: aiohttp.ClientSession,
    answers: Answers,
) -> Backend:
    async def over_http(verb: str, address: str = "", **body: Any) -> dict[str, Any]:
        full = body | ({"address": address} if address else {})
        return (await ask(session, f"{installation.urls[0]}/{verb}", full))[1]

    async def over_amqp(verb: str, address: str = "", **body: Any) -> dict[str, Any]:
        return await answers.ask(f"{verb}.{address}" if address else verb, json.dumps(body).encode())

    return over_http if request.param == "http" else over_amqp


async def test_messages_reach_those_they_are_for(installation: Installation, backend: Backend):
    """One, many, and one for many; each is told where it stands."""
    async with (
        await installation.client(0, "ann", "a") as ann,
        await installation.client(1, "bob", "b") as bob,
    ):
        waits = {"wait_ms": 5_000, "receipt": "written"}
        told = await backend("publish", "room.a", payload={"x": 1}, type="deal", id="m1", **waits)
        heard = await ann.expect("deal", room="a")
        assert (heard["payload"], heard["id"]) == ({"x": 1}, "m1")
        assert (told["epoch"], told["seq"], told["duplicate"]) == (heard["epoch"], heard["seq"], False)
        assert (told["users"], told["gateways"], told["written"], told["lost"]) == (1, 1, 1, 0)
        again = await backend("publish", "room.a", payload={"x": 1}, type="deal", id="m1", wait_ms=5_000)
        assert (again["seq"], again["duplicate"]) == (heard["seq"], True)
        messages = [
            {"address": "room.b", "payload": 1},
            {"address": "user.ann", "payload": 2},
            {"address": "nowhere", "payload": 3},
        ]
        batch = await backend("batch", messages=messages)
        assert [each["status"] for each in batch["results"]] == [200, 200, 400]
        assert batch["failed"] == 1
        assert (await bob.expect("NOTIFICATION", room="b"))["payload"] == 1
        assert (await ann.expect("NOTIFICATION", room="@ann"))["payload"] == 2
        await backend("broadcast", payload="all", type="news")
        await backend("broadcast", payload="some", type="news", addresses=["user.ann", "user.bob"])
        for client in (ann, bob):
            assert (await client.expect("news", room="*"))["payload"] == "all"
            assert (await client.expect("news", room=f"@{client.user}"))["payload"] == "some"
        assert len(ann.of_type("deal")) == 1


async def test_a_user_is_disconnected_but_for_the_connections_that_are_spared(
    installation: Installation, backend: Backend
):
    """On each gateway, with code and reason; who comes after it is let in."""
    first, tablet = await installation.client(0, "ann"), await installation.client(1, "ann")
    spared = await installation.client(1, "ann")
    done = await backend("disconnect", "user.ann", **{"except": [spared.id], "reason": "go"})
    assert done["connections"] == 2
    for client in (first, tablet):
        assert (await client.closed())[0] == 4006
    async with await installation.client(0, "ann") as back:
        await back.settle()
        one = await backend("disconnect", f"conn.{spared.id}", code=4001)
        assert one["connections"] == 1
        assert (await spared.closed())[0] == 4001
        await back.settle()


async def test_a_user_is_taken_out_of_a_room_and_put_into_others(
    installation: Installation, backend: Backend
):
    """It may join again; whom a backend puts in is asked for no right."""
    async with (
        await installation.client(0, "ann", "a") as ann,
        await installation.client(1, "bob", "a") as bob,
    ):
        assert (await backend("remove", "room.a", user="ann"))["connections"] == 1
        await ann.expect("LEFT", room="a")
        await backend("publish", "room.a", payload=1)
        await bob.expect("NOTIFICATION", room="a")
        assert ann.of_type("NOTIFICATION", room="a") == []
        assert (await backend("add", "user.ann", rooms=["a", "c"]))["connections"] == 1
        for room in ("a", "c"):
            await ann.expect("JOINED", room=room)


async def test_one_connection_is_taken_out_of_a_room_and_put_into_others(
    installation: Installation, backend: Backend
):
    """The user's others stay as they are."""
    async with (
        await installation.client(0, "ann", "a") as phone,
        await installation.client(1, "ann", "a") as tablet,
    ):
        removed = await backend("remove", "room.a", connection=phone.id, id="r1")
        assert removed["connections"] == 1
        assert (await phone.expect("LEFT", room="a"))["payload"] == {"reason": "removed"}
        await backend("publish", "room.a", payload=1)
        await tablet.expect("NOTIFICATION", room="a")
        assert phone.of_type("NOTIFICATION", room="a") == []
        assert (await backend("remove", "room.a", connection=phone.id))["connections"] == 0
        assert (await backend("remove", "room.a", connection=phone.id, id="r1"))["duplicate"]
        assert (await backend("add", f"conn.{phone.id}", rooms=["a", "c"]))["connections"] == 1
        for room in ("a", "c"):
            await phone.expect("JOINED", room=room)
        await tablet.settle()
        assert tablet.of_type("LEFT") == []
        assert (await backend("count", "room.c"))["connections"] == 1


async def test_who_is_blocked_is_kept_out(installation: Installation, backend: Backend):
    """Of one room, or of everything; until that is lifted."""
    ann = await installation.client(0, "ann", "a")
    assert (await backend("block", "room.a", user="ann"))["connections"] == 1
    await ann.expect("LEFT", room="a")
    await ann.send("JOIN", "a", id="again")
    assert (await ann.expect("ERROR"))["payload"]["code"] == "blocked"
    assert (await backend("blocks"))["blocks"] == [{"address": "room.a", "user": "ann"}]
    assert (await backend("blocks", room="b"))["blocks"] == []
    assert (await backend("unblock", "room.a", user="ann"))["lifted"] == 1
    await ann.join("a")
    until_ms = int(time.time() * 1_000) + 600_000
    assert (await backend("block", "user.ann", until_ms=until_ms))["connections"] == 1
    (block,) = (await backend("blocks", user="ann"))["blocks"]
    assert block == {"address": "user.ann", "until_ms": until_ms}
    assert (await ann.closed())[0] == 4006
    late = await connect(installation.gateways[1].url, user="ann")
    assert (await late.closed())[0] == 4006
    assert (await backend("unblock", "user.ann"))["lifted"] == 1
    async with await installation.client(1, "ann", "a"):
        pass
    assert "id" in await backend("revoke", "user.ann", token_id="t1")


async def test_who_is_where_is_told(installation: Installation, backend: Backend):
    """From the logs, whichever router is asked: by pages where there are more."""
    async with (
        await installation.client(0, "ann", "a", "b") as ann,
        await installation.client(1, "ann", "a"),
        await installation.client(1, "bob", "a") as bob,
    ):
        page = await backend("presence", "room.a", limit=1)
        assert (page["users"], page["connections"]) == (2, 3)
        assert [each["user"] for each in page["members"]] == ["ann"]
        assert ann.id in page["members"][0]["connections"]
        rest = await backend("presence", "room.a", cursor=page["next"])
        assert [each["user"] for each in rest["members"]] == ["bob"]
        assert "next" not in rest
        assert await backend("count", "room.a") == {"users": 2, "connections": 3}
        assert await backend("count", "user.ann") == {"users": 1, "connections": 2}
        rooms = await backend("rooms", limit=2)
        assert [each["room"] for each in rooms["rooms"]] == ["a", "b"]
        users = await backend("rooms", prefix="@")
        assert [each["room"] for each in users["rooms"]] == ["@ann", "@bob"]
        await bob.close()

        async def seen() -> bool:
            found = (await backend("status", users=["bob", "ann", "cid"]))["users"]
            bob_is, ann_is, cid_is = found
            assert (ann_is["online"], ann_is["connections"], cid_is) == (
                True,
                2,
                {"user": "cid", "online": False},
            )
            return not bob_is["online"] and abs(bob_is["last_seen"] / 1_000 - time.time()) < 60

        await eventually(seen)


async def test_what_was_said_is_told(installation: Installation, backend: Backend):
    """And what became of it."""
    async with await installation.client(0, "ann", "a") as ann, await installation.client(1, "bob", "a"):
        for number in range(3):
            await backend("publish", "room.a", payload=number, id=f"m{number}")
        await ann.send("CHAT", "a", {"text": "hi"}, id="mine")
        await ann.expect("ACK")
        page = await backend("history", "room.a", limit=2)
        assert ([each["seq"] for each in page["messages"]], page["seq"], page["more"]) == ([3, 4], 4, True)
        assert page["messages"][1]["sender"] == "ann"
        older = await backend("history", "room.a", before=3)
        assert [each["payload"] for each in older["messages"]] == [0, 1]
        told = await backend("explain", "room.a", id="m2")
        assert (told["address"], told["seq"], len(told["gateways"])) == ("room.a", 3, 2)
        mine = await backend("explain", "room.a", id="mine", user="ann")
        assert mine["seq"] == 4
        assert (await backend("explain", "room.a", id="never"))["code"] == "not_found"


async def test_what_is_wrong_is_told(backend: Backend):
    """In the same words over both."""
    problem = await backend("block", "room.a", until_ms=-1, resaon="x")
    assert (problem["code"], problem["status"], problem["retry"]) == ("invalid_message", 400, False)
    pointers = [each["pointer"] for each in problem["errors"]]
    assert sorted(pointers) == ["/resaon", "/until_ms"]


async def test_only_a_key_that_is_in_the_file_now_lets_in(
    installation: Installation, session: aiohttp.ClientSession
):
    """A wrong one, one without the scope, an expired one; a file that is replaced counts, a broken one does
    not, and says so.
    """
    url, body = f"{installation.urls[0]}/publish", {"address": "room.a", "payload": 1}
    assert [(await ask(session, url, body, key))[0] for key in ("all", "x", "old", "chat")] == [
        200,
        401,
        401,
        403,
    ]
    new = installation.keys.with_name("new")
    new.write_text(KEYS.replace("name: all", "name: other").replace(hash_of(b"all"), hash_of(b"new")))
    new.replace(installation.keys)

    async def replaced() -> bool:
        return [(await ask(session, url, body, key))[0] for key in ("new", "all")] == [200, 401]

    await eventually(replaced)
    installation.keys.write_text("keys: [{name: broken")
    await eventually(lambda: "api_keys_failed" in installation.routers[0].log())
    assert (await ask(session, url, body, "new"))[0] == 200
    lines = installation.routers[0].log(10_000)
    assert "Bearer" not in lines
    assert "broken" not in lines


async def test_one_idempotency_key_counts_once_on_two_routers(
    installation: Installation, session: aiohttp.ClientSession
):
    """Both are told the same place; one of them that it was a repeat."""
    async with await installation.client(0, "ann", "a") as ann:
        body = {"address": "room.a", "payload": 1, "wait_ms": 5_000}
        found = await asyncio.gather(
            *(ask(session, f"{url}/publish", body, ident="once") for url in installation.urls)
        )
        assert [status for status, _ in found] == [200, 200]
        assert {answer["seq"] for _, answer in found} == {1}
        assert sorted(answer["duplicate"] for _, answer in found) == [False, True]
        block = {"address": "user.bob"}
        done = await asyncio.gather(
            *(ask(session, f"{url}/block", block, ident="once") for url in installation.urls)
        )
        assert sorted(answer.get("duplicate", False) for _, answer in done) == [False, True]
        await ann.settle()
        assert len(ann.of_type("NOTIFICATION", room="a")) == 1


async def test_a_router_that_dies_between_command_and_answer(
    installation: Installation, session: aiohttp.ClientSession
):
    """The other one answers: the command is written again under its id, and counts once. A read is answered
    by the next speaker.
    """
    first, _ = installation.routers
    async with await installation.client(0, "ann", "a"):
        killed = asyncio.create_task(asyncio.sleep(0.05))
        killed.add_done_callback(lambda _: first.kill())
        url = installation.urls[1]
        asked = [
            ask(session, f"{url}/block", {"address": f"user.u{number}"}, ident=f"b{number}")
            for number in range(40)
        ]
        reads = [ask(session, f"{url}/count", {"address": f"room.r{number}"}) for number in range(20)]
        found = await asyncio.gather(*asked, *reads)
        assert {status for status, _ in found} == {200}
        again = await asyncio.gather(
            *(
                ask(session, f"{url}/block", {"address": f"user.u{number}"}, ident=f"b{number}")
                for number in range(40)
            )
        )
        assert all(answer["duplicate"] for _, answer in again)


async def test_a_command_that_is_invalid_is_set_aside(
    installation: Installation, answers: Answers, rabbit: Rabbit, topology: Topology
):
    """With its reason, in the queue of what could not be handled; those behind it are done."""
    problem = await answers.ask("dance.room.a", b"{")
    assert problem["code"] == "invalid_message"
    assert (await answers.ask("count.room.a", b""))["connections"] == 0
    async with await aio_pika.connect(rabbit.url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(topology.dead)

        async def dead() -> AbstractIncomingMessage | None:
            return await queue.get(fail=False, no_ack=True)

        message = await eventually(dead)
        assert str(message.headers["x-warren-reason"]).startswith("invalid_message")
        assert message.headers["x-warren-routing-key"] == "dance.room.a"


@pytest.mark.parametrize("example", ["control_aio_pika.py", "control_pika.py"])
async def test_the_examples_command_what_they_say(
    installation: Installation, rabbit: Rabbit, topology: Topology, tmp_path: Path, example: str
):
    """Both print the result, and fail with the problem."""
    program = tmp_path / example
    text = (ROOT / "docs/examples" / example).read_text()
    program.write_text(text.replace('"warren.control"', repr(topology.control)))

    async def run(*arguments: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(program), rabbit.url, *arguments, stdout=PIPE, stderr=PIPE
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    async with await installation.client(0, "ann", "a") as ann:
        code, out, err = await run("count.room.a")
        assert (code, json.loads(out)) == (0, {"users": 1, "connections": 1}), err
        code, out, err = await run("remove.room.a", '{"user": "ann"}')
        assert json.loads(out)["connections"] == 1, err
        await ann.expect("LEFT", room="a")
        code, out, err = await run("remove.room.a")
        assert code != 0
        assert "invalid_message" in err
