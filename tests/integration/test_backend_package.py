"""The package ``warren_backend`` with everything real: notifications and receipts, services, events, hooks and
commands, on a gateway, a router and RabbitMQ.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aio_pika
import pytest
from tests.support.client import MSGPACK, connect
from tests.support.eventually import eventually, stretched
from tests.support.installation import Installation, installed
from tests.support.ports import free_port
from tests.support.rabbit import Rabbit

from router.core.api_keys import hash_of
from warren_backend import (
    EVERYONE,
    AllowConnect,
    AllowJoin,
    AllowPublish,
    Backend,
    BlockingBackend,
    CommandFailed,
    ConnectQuestion,
    Deny,
    Event,
    InvalidNotification,
    JoinQuestion,
    Last,
    Notification,
    NotificationRefused,
    PublishQuestion,
    Refused,
    Request,
    room,
    user,
)
from warren_backend.http_control import HttpControl

pytestmark = pytest.mark.rabbit

NAMESPACES = """
services: [{pattern: "*", timeout_ms: 20000}]
hooks: [connect]
namespaces:
  - {name: asked, pattern: "asked:*", publish: members, hooks: [join, publish]}
  - {name: read, pattern: "read:*", receipts: seen, history: {count: 50}}
  - {name: rest, pattern: "*", publish: members, history: {count: 50}}
"""
KEY = "a-key"


@pytest.fixture(scope="module")
def api_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def installation(
    _broker: Rabbit, tmp_path_factory: pytest.TempPathFactory, api_port: int
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("installation")
    keys = folder / "keys.yaml"
    keys.write_text(f'keys: [{{name: all, sha256: "{hash_of(KEY.encode())}", scopes: ["*"]}}]')
    env = {
        "WARREN_NAMESPACES": NAMESPACES,
        "WARREN_ROUTER_EVENTS": "client,room,message,undelivered",
        "WARREN_ROUTER_API_HOST": "127.0.0.1",
        "WARREN_ROUTER_API_PORT": str(api_port),
        "WARREN_ROUTER_API_KEYS_FILE": str(keys),
        "WARREN_ROUTER_NOTIFY_BYTES": "65536",
        "WARREN_GATEWAY_GRANT_KEYS": "a-key-for-grants-of-32-characters",
        "WARREN_GATEWAY_HOOK_TIMEOUT_MS": str(round(stretched(5.0) * 1_000)),
        "WARREN_GATEWAY_RATE": "0",
    }
    with installed(_broker, folder, env) as made:
        yield made


@pytest.fixture
async def doors(installation: Installation) -> AsyncIterator[Backend]:
    """A backend that lets everybody connect, but for mallory."""
    backend = Backend(installation.url, prefix=installation.prefix, own=f"{installation.prefix}.app")

    @backend.hook.connect
    async def connect(question: ConnectQuestion) -> AllowConnect | Deny:
        return Deny(reason="go away") if question.user == "mallory" else AllowConnect(ttl_s=60)

    yield backend
    await backend.stop()
    await removed(installation, backend)


async def removed(installation: Installation, backend: Backend) -> None:
    """Remove the queues that a backend has declared."""
    async with await aio_pika.connect(installation.url) as connection:
        channel = await connection.channel()
        names = [route.queue for route in (*backend.services, *backend.hooks)]
        names += [route.queue for route in backend.events if route.queue]
        for name in names:
            for each in (name, f"{name}.dead"):
                await channel.queue_delete(f"{installation.prefix}.app.{each}")
                await channel.exchange_delete(f"{installation.prefix}.app.{each}")


async def test_notifications_arrive_once_and_their_receipts_say_so(
    installation: Installation, doors: Backend
) -> None:
    """To a room, a user, a connection and all; JSON, bytes, batches; repeats; accepted, written and seen."""
    await doors.start()
    url = installation.gateway.url
    async with (
        await connect(url, user="ann", subprotocol=MSGPACK) as ann,
        await connect(url, user="bob") as bob,
    ):
        await ann.join("read:a")
        sent = await doors.notify(room("read:a"), {"text": "é"}, type="deal.done", id="n1", receipt="written")
        told = await sent.receipt()
        assert (told.id, told.room, told.users, told.connections) == ("n1", "read:a", 1, 1)
        assert (told.written, told.lost, told.complete, told.duplicate) == (1, 0, True, False)
        again = await (await doors.notify(room("read:a"), {}, id="n1", receipt="accepted")).receipt()
        assert (again.duplicate, again.seq) == (True, told.seq)
        heard = await ann.expect("deal.done")
        assert (heard["payload"], heard["id"], heard["seq"]) == ({"text": "é"}, "n1", told.seq)
        seen = await doors.notify(room("read:a"), b"\x00\xff", receipt="seen")
        message = await ann.expect("NOTIFICATION", room="read:a")
        assert message["payload"] == b"\x00\xff"
        await ann.send("SEEN", "read:a", {"epoch": told.epoch, "seq": message["seq"]})
        told = await seen.receipt()
        assert (told.readers, told.seen, told.complete) == (1, 1, True)
        many = [Notification(address=user("bob"), payload=number, id=f"m{number}") for number in range(2_500)]
        assert await doors.notify_many(many) == [f"m{number}" for number in range(2_500)]
        assert await doors.notify_many(many[:10]) == [f"m{number}" for number in range(10)]
        got = await bob.expect_all("NOTIFICATION", 2_500, room="@bob")
        assert [each["payload"] for each in got] == [*range(2_500)]
        await doors.notify(f"conn.{bob.id}", None, type="to.you")
        await doors.notify(EVERYONE, [1], type="to.all", expiration_ms=60_000)
        await bob.expect("to.you")
        await bob.expect("to.all")
        await ann.expect("to.all")
        nobody = await (await doors.notify(user("nobody"), 1, receipt="accepted")).receipt()
        assert (nobody.users, nobody.complete) == (0, True)
        assert len(bob.of_type("NOTIFICATION", room="@bob")) == 2_500
        with pytest.raises(NotificationRefused, match=r"too large.*WARREN_ROUTER_NOTIFY_BYTES"):
            await (await doors.notify("all", "x" * 70_000, receipt="accepted")).receipt()
        with pytest.raises(InvalidNotification, match="reserved type"):
            await doors.notify("all", 1, type="JOINED")


async def test_services_answer_in_one_piece_and_in_parts(installation: Installation, doors: Backend) -> None:
    """Answers, refusals, faults, time-outs, parts, cancels, bytes and durable requests; and a repeat is not asked
    twice.
    """
    asked: list[Request] = []
    cancelled = asyncio.Event()

    @doors.service("orders.get")
    async def get(request: Request) -> Any:
        asked.append(request)
        match request.payload:
            case {"id": 404}:
                raise Refused("not_found", "There is no such order.")
            case {"id": 500}:
                raise ZeroDivisionError
            case {"id": 408}:
                await asyncio.Event().wait()
        return request.payload

    @doors.service("orders.sync")
    def sync(request: Request) -> Any:
        return {"user": request.user}

    @doors.service("count.#")
    async def count(request: Request) -> AsyncIterator[Any]:
        try:
            for number in range(request.payload):
                yield number
            if request.service == "count.last":
                yield Last("done")
            elif request.service == "count.on":
                await asyncio.Event().wait()
        except (GeneratorExit, asyncio.CancelledError):
            cancelled.set()
            raise

    await doors.start()
    url = installation.gateway.url
    async with await connect(url, user="ann", subprotocol=MSGPACK) as ann:

        async def ask(service: str, ref: str, payload: Any = None, **fields: Any) -> None:
            await ann.send("REQUEST", service=service, id=ref, payload=payload, **fields)

        await ask("orders.get", "a", {"id": 7})
        assert (await ann.expect("RESPONSE", ref="a"))["payload"] == {"id": 7}
        assert (asked[0].user, asked[0].id, asked[0].connection) == ("ann", "ann~a", ann.id)
        await ask("orders.get", "a", {"id": 7})
        assert (await ann.expect("RESPONSE", ref="a"))["payload"] == {"id": 7}
        assert len(asked) == 1
        await ask("orders.get", "b", b"\x01\xfe")
        assert (await ann.expect("RESPONSE", ref="b"))["payload"] == b"\x01\xfe"
        await ask("orders.get", "c", {"id": 404})
        error = (await ann.expect("ERROR", ref="c"))["payload"]
        assert (error["code"], error["message"], error["retry"]) == (
            "not_found", "There is no such order.", False
        )  # fmt: skip
        await ask("orders.get", "d", {"id": 500})
        assert (await ann.expect("ERROR", ref="d"))["payload"]["code"] == "internal"
        await ask("orders.get", "e", {"id": 408}, timeout_ms=300)
        await ann.expect("ERROR", ref="e", payload__code="timeout")
        await ask("orders.sync", "f")
        assert (await ann.expect("RESPONSE", ref="f"))["payload"] == {"user": "ann"}
        await ask("count.to", "g", 300)
        parts = await ann.expect_all("RESPONSE", 301, ref="g")
        assert [part["payload"] for part in parts] == [*range(300), None]
        assert [part.get("n") for part in parts] == [*range(1, 302)]
        assert [part.get("more", False) for part in parts] == [True] * 300 + [False]
        await ask("count.last", "h", 2)
        assert [part["payload"] for part in await ann.expect_all("RESPONSE", 3, ref="h")] == [0, 1, "done"]
        cancelled.clear()
        await ask("count.on", "i", 1)
        await ann.expect("RESPONSE", ref="i")
        await ann.send("CANCEL", ref="i")
        await ann.expect("ERROR", ref="i", payload__code="cancelled")
        async with asyncio.timeout(stretched(5.0)):
            await cancelled.wait()
        await ask("orders.get", "j", {"id": 8}, durable=True)
        await ann.expect("ACCEPTED", ref="j")
        durable = await ann.expect("RESPONSE", ref="j")
        assert (durable["payload"], durable["room"]) == ({"id": 8}, "@ann")
        await ask("orders.get", "k", {"id": 404}, durable=True)
        told = (await ann.expect("RESPONSE", ref="k"))["payload"]
        assert told == {"error": {"code": "not_found", "message": "There is no such order."}}


async def test_events_are_heard_once_in_order_and_poison_is_set_aside(
    installation: Installation, doors: Backend
) -> None:
    """By a queue of the process, and by one that keeps what happens while nobody listens."""
    live: list[Event] = []
    kept: list[Any] = []
    tries = 0

    @doors.on("client.*", "room.*")
    async def hear(event: Event) -> None:
        live.append(event)

    @doors.on("message.CHAT.#", queue="audit", tries=3)
    def audit(event: Event) -> None:
        nonlocal tries
        if event.payload == "poison":
            tries += 1
            raise ValueError("can't")
        kept.append(event.payload)

    @doors.on("message.undelivered.#", queue="push")
    async def push(event: Event) -> None:
        kept.append((event.user, event.room, event.payload, event.reason))

    await doors.start()
    url = installation.gateway.url
    async with await connect(url, user="eve") as eve:
        await eve.join("talk.of.town")
        for number in range(3):
            await eve.publish("talk.of.town", number)
        await eve.publish("talk.of.town", "poison")
        await eve.publish("talk.of.town", "after")
        await eventually(lambda: kept == [0, 1, 2, "after"], 20.0)
        assert tries == 3
        await doors.notify(user("zoe"), "hello")
        await eventually(lambda: ("", "@zoe", "hello", "nobody") in kept)
        await doors.stop()
        await eve.publish("talk.of.town", "meanwhile")
    await doors.start()
    await eventually(lambda: kept[-1:] == ["meanwhile"])
    told = [(event.event, event.room, event.came) for event in live if event.user == "eve"]
    assert told.count(("client.connected", "@eve", True)) == 1
    assert told.count(("room.joined", "talk.of.town", True)) == 1
    assert len({event.key for event in live}) == len(live)
    async with await aio_pika.connect(installation.url) as connection:
        channel = await connection.channel()
        dead = await (await channel.get_queue(f"{installation.prefix}.app.audit.dead")).get(no_ack=True)
        assert b"poison" in dead.body
        assert dead.headers["x-first-death-reason"] == "rejected"


async def test_hooks_decide(installation: Installation, doors: Backend) -> None:
    """Who may connect, join and publish; what is changed; and a hook that fails allows nothing."""

    @doors.hook.join("asked")
    async def join(question: JoinQuestion) -> AllowJoin | Deny:
        if question.user == "bob":
            raise ZeroDivisionError
        if question.user == "eve":
            return Deny(reason="You are not invited")
        return AllowJoin(info={"name": question.user.title()}, ttl_s=60)

    @doors.hook.publish("asked")
    def publish(question: PublishQuestion) -> AllowPublish | bool:
        if question.payload == "no":
            return False
        return AllowPublish(payload={"was": question.payload})

    await doors.start()
    url = installation.gateway.url
    async with await connect(url, user="mallory", welcome=False) as mallory:
        assert (await mallory.expect("ERROR"))["payload"]["message"] == "go away"
        assert (await mallory.closed())[0] == 4001
    async with await connect(url, user="ann") as ann, await connect(url, user="eve") as eve:
        assert "grant" in (await ann.join("asked:a"))["payload"]
        await eve.send("JOIN", "asked:a", id="j")
        assert (await eve.expect("ERROR", ref="j"))["payload"]["message"] == "You are not invited"
        await ann.publish("asked:a", 7, include_sender=True)
        assert (await ann.expect("CHAT", room="asked:a"))["payload"] == {"was": 7}
        await ann.send("CHAT", "asked:a", "no", id="m")
        assert (await ann.expect("ERROR", ref="m"))["payload"]["code"] == "forbidden"
    async with await connect(url, user="bob") as bob:
        await bob.send("JOIN", "asked:a", id="j")
        error = (await bob.expect("ERROR", ref="j"))["payload"]
        assert (error["code"], error["retry"]) == ("unavailable", True)


@pytest.mark.parametrize("way", ["amqp", "http"])
async def test_every_verb_of_control_works(
    installation: Installation, doors: Backend, api_port: int, way: str
) -> None:
    """Over AMQP and over HTTP, with the results that the contract's types say."""
    await doors.start()
    url, place = installation.gateway.url, f"place.{way}"
    async with HttpControl(f"http://127.0.0.1:{api_port}", KEY) as http:
        control = doors.control if way == "amqp" else http
        async with await connect(url, user="ann") as ann, await connect(url, user="bob") as bob:
            await ann.join(place)
            assert await control.count(room(place)) == {"users": 1, "connections": 1}
            done = await control.add(user("bob"), [place])
            assert done["connections"] == 1
            assert (await bob.expect("JOINED", room=place))["room"] == place
            page = await control.presence(room(place), limit=1)
            assert [member["user"] for member in page["members"]] == ["ann"]
            assert [member["user"] async for member in control.members(room(place), page=1)] == ["ann", "bob"]
            published = await control.publish(
                room(place), {"x": 1}, id="p1", wait_ms=5_000, receipt="written"
            )
            assert (published["id"], published["users"], published["written"]) == ("p1", 2, 1)
            assert (await control.publish(room(place), {}, id="p1", wait_ms=5_000))["duplicate"] is True
            await ann.expect("NOTIFICATION", room=place)
            outcomes = await control.batch(
                [Notification(address=room(place), payload=b"\x01"), Notification(address="all", payload=2)]
            )
            assert (outcomes["failed"], [each["status"] for each in outcomes["results"]]) == (0, [200, 200])
            assert (await control.broadcast("bye", [room(place)], type="bye"))["failed"] == 0
            await ann.expect("bye", room=place)  # it is taken before it is in the log
            history = await control.history(room(place), limit=10)
            assert [message["payload"] for message in history["messages"]] == [{"x": 1}, "AQ==", "bye"]
            explained = await control.explain(room(place), "p1")
            assert (explained["id"], explained["seq"]) == ("p1", published["seq"])
            here = {"room": place, "connections": 2}
            # a list of rooms may be some seconds old, so the second way need not see this one yet
            assert here in (await control.rooms("place."))["rooms"] or way == "http"
            statuses = await control.status(["ann", "nobody"])
            assert [each["online"] for each in statuses["users"]] == [True, False]
            await control.remove(room(place), user="bob", reason="out")
            await bob.expect("LEFT", room=place)
            await control.block(room(place), user="bob")
            await bob.send("JOIN", place, id="j")
            assert (await bob.expect("ERROR", ref="j"))["payload"]["code"] == "blocked"
            block = {"address": room(place), "user": "bob"}
            assert (await control.blocks(place))["blocks"] == [block]
            assert (await control.unblock(**block))["lifted"] == 1
            await bob.join(place)
            assert "id" in await control.revoke(user("bob"), token_id="t1")
            first = await control.disconnect(user("bob"), reason="enough", id=f"d-{way}")
            assert first["connections"] == 1
            assert (await bob.closed()) == (4006, "enough")
            assert (await control.disconnect(user("bob"), id=f"d-{way}")).get("duplicate") is True
        with pytest.raises(CommandFailed, match="not_found") as failed:
            await control.explain(room(place), "never")
        assert (failed.value.code, failed.value.status) == ("not_found", 404)
        with pytest.raises(CommandFailed, match="/receipt"):
            await control.publish("all", 1, receipt="nonsense")  # type: ignore[arg-type]


async def test_the_blocking_one_does_the_same(installation: Installation, doors: Backend) -> None:
    """From any thread, without a loop of the caller's."""
    await doors.start()
    own = Backend(installation.url, prefix=installation.prefix)

    def work() -> tuple[Any, Any, Any]:
        with BlockingBackend(own) as blocking:
            receipt = blocking.notify(user("ann"), "hi", receipt="written").receipt()
            ids = blocking.notify_many([Notification(address="all", payload=1, id="x")])
            return receipt, ids, blocking.call(own.control.count, user("ann"))

    async with await connect(installation.gateway.url, user="ann") as ann:
        receipt, ids, counted = await asyncio.to_thread(work)
        assert (receipt.users, receipt.written, ids, counted["connections"]) == (1, 1, ["x"], 1)
        assert (await ann.expect("NOTIFICATION", room="@ann"))["payload"] == "hi"
