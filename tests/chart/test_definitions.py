"""The broker's side: definitions that declare what the services would, and a user whose rights are just
enough, on a real node.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker
from scripts.chart.amqp_definitions import USER, as_text, backend_definitions, definitions, main
from scripts.chart.broker_users import backends, service_permissions, together
from tests.support.client import connect
from tests.support.eventually import eventually
from tests.support.pods import Pods
from tests.support.rabbit import Rabbit

from warren.topology import Limits, Topology

SHARDS = 4
BACKEND, OWNER, FORMER, PASSWORD = "app", "owner", "former", "a-password"
README = Path(__file__).parents[2] / "deploy/k8s/rabbitmq/README.md"


def test_definitions_hold_the_whole_topology() -> None:
    """Every exchange, durable queue and binding of the topology is in the definitions, under the virtual host
    that was asked for.
    """
    topology = Topology("blue", 3)
    made = definitions(topology, "v")
    assert {each["name"] for each in made["exchanges"]} == {each.name for each in topology.exchanges()}
    assert {each["name"]: each["arguments"] for each in made["queues"]} == {
        each.name: {"x-queue-type": each.kind, **each.arguments} for each in topology.queues()
    }
    assert {(each["source"], each["destination"], each["routing_key"]) for each in made["bindings"]} == {
        (each.exchange, each.queue, each.key) for each in topology.bindings()
    }
    placed = [
        each["vhost"] for part in ("permissions", "exchanges", "queues", "bindings") for each in made[part]
    ]
    assert set(placed) == {"v"}


def test_the_user_of_the_definitions_cannot_log_in() -> None:
    """No password is in the file: an empty hash is one that none matches."""
    [user] = definitions(Topology())["users"]
    assert (user["password_hash"], user["tags"]) == ("", [])


def test_the_command_prints_what_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Prefix, shards, the logs' size and virtual host are arguments."""
    assert main(["--prefix", "blue", "--shards", "2", "--log-bytes", "64000000", "--vhost", "v"]) == 0
    topology = Topology("blue", 2, Limits(log_bytes=64_000_000))
    assert capsys.readouterr().out == as_text(definitions(topology, "v"))


def test_the_command_prints_one_user_for_all_that_a_backend_is(capsys: pytest.CaptureFixture[str]) -> None:
    """With the names of its own queues, and of this installation."""
    asked = ["--prefix", "blue", "--vhost", "v", "--own", "shop", "--backend", "rpc", "--backend", "notifier"]
    assert main(asked) == 0
    made = json.loads(capsys.readouterr().out)
    notifier, _, rpc, *_ = backends(Topology("blue"), "shop")
    assert made == backend_definitions([together([notifier, rpc])], "blue", "v")
    assert made["permissions"] == [
        {
            "user": "blue-notifier-rpc",
            "vhost": "v",
            "configure": r"^shop\.",
            "write": r"^(blue\.notify$|blue\.replies$|shop\.)",
            "read": r"^(blue\.rpc$|shop\.)",
        }
    ]
    assert [(user["name"], user["password_hash"]) for user in made["users"]] == [("blue-notifier-rpc", "")]


def test_the_readme_gives_the_rights_that_are_tested() -> None:
    """The command in the README sets the patterns that the tests below run with."""
    rights = service_permissions("warren")
    assert f"warren '{rights['configure']}' '{rights['write']}' '{rights['read']}'" in README.read_text()


def rights_of_a_backend() -> dict[str, str]:
    """Return those of a backend that notifies and receives events."""
    notifier, events, *_ = backends(Topology())
    return together([notifier, events]).permissions


@dataclass(frozen=True)
class Ground:
    """A virtual host where nothing is declared, with a user for the services, one for a backend and one that
    has all rights.
    """

    rabbit: Rabbit
    vhost: str

    def url(self, user: str) -> str:
        """Return where this user connects."""
        return f"amqp://{user}:{PASSWORD}@{self.rabbit.host}:{self.rabbit.port}/{quote(self.vhost, safe='')}"


@pytest.fixture
def ground(rabbit: Rabbit, tmp_path: Path) -> Iterator[Ground]:
    """All of it comes by one import (a call of ``rabbitmqctl`` takes a second); without their virtual host
    the users have no rights.
    """
    vhost = rabbit.prefix()
    users = {
        USER: service_permissions("warren"),
        BACKEND: rights_of_a_backend(),
        OWNER: dict.fromkeys(("configure", "write", "read"), ".*"),
        FORMER: dict.fromkeys(("configure", "write", "read"), r"^warren\."),
    }
    wanted = {
        "vhosts": [{"name": vhost}],
        "users": [{"name": user, "password": PASSWORD, "tags": ""} for user in users],
        "permissions": [{"user": user, "vhost": vhost, **permissions} for user, permissions in users.items()],
    }
    rabbit.node.import_definitions(wanted)
    try:
        yield Ground(rabbit, vhost)
    finally:
        rabbit.node.delete_vhost(vhost)


@pytest.fixture
async def services(ground: Ground, tmp_path: Path) -> AsyncIterator[Pods]:
    """Pods that connect as the user of least rights, in a virtual host where nothing is declared yet."""
    pods = Pods(ground.url(USER), "warren", SHARDS, tmp_path)
    try:
        yield pods
    finally:
        pods.close()


async def said_and_heard(pods: Pods, ground: Ground) -> None:
    """Start the services and send one message from a client on one gateway to one on another."""
    await pods.router()
    first, second = await pods.gateway(), await pods.gateway()
    async with await connect(first.url) as speaker, await connect(second.url) as listener:
        for client in (speaker, listener):
            await client.expect("JOINED")
        await speaker.send("CHAT", room="default", payload={"n": 1}, id="one")
        await speaker.expect("ACK", ref="one")
        assert (await listener.expect("CHAT"))["payload"] == {"n": 1}


@pytest.mark.rabbit
async def test_the_least_rights_are_enough(services: Pods, ground: Ground) -> None:
    """Gateways and routers declare, publish, consume, log, take over and end with rights on their own names
    alone.
    """
    router = await services.router()
    gateway = await services.gateway()
    async with await connect(gateway.url) as client:
        await client.expect("JOINED")
        await client.send("CHAT", room="default", payload={"n": 1}, id="one", include_sender=True)
        await client.expect("ACK", ref="one")
        second = await services.router()
        router.kill()  # the other one reads the logs and speaks for its shards
        await client.send("CHAT", room="default", payload={"n": 2}, id="two")
        await client.expect("ACK", timeout_s=30, ref="two")
    assert await gateway.terminate() == 0
    assert await second.terminate() == 0
    refusals = [pod for pod in (router, gateway, second) if "ACCESS_REFUSED" in pod.log(10_000)]
    assert refusals == []


@pytest.mark.rabbit
async def test_the_rights_end_at_warrens_names(ground: Ground) -> None:
    """The same user can't declare, read or write anything else, so the rights are no more than they say."""
    with pika.BlockingConnection(pika.URLParameters(ground.url(OWNER))) as owner:
        owner.channel().queue_declare("bookkeeping", durable=True)

    def refused() -> list[str]:
        said = []
        with pika.BlockingConnection(pika.URLParameters(ground.url(USER))) as connection:
            for attempt in (
                lambda channel: channel.queue_declare("bookkeeping2"),
                lambda channel: channel.exchange_declare("warrens.own"),
                lambda channel: channel.basic_get("bookkeeping"),
                lambda channel: channel.queue_delete("bookkeeping"),
                lambda channel: channel.queue_bind("bookkeeping", "amq.topic", "#"),
                lambda channel: (channel.confirm_delivery(), channel.basic_publish("amq.topic", "x", b"")),
            ):
                with pytest.raises(ChannelClosedByBroker) as closed:
                    attempt(connection.channel())
                said.append(str(closed.value.reply_code))
        return said

    assert await asyncio.to_thread(refused) == ["403"] * 6


@pytest.mark.rabbit
async def test_services_take_what_was_declared_by_hand(
    services: Pods, ground: Ground, tmp_path: Path
) -> None:
    """Imported definitions are what the services would declare: they start on them, talk, and nothing has
    been made besides.
    """
    topology = Topology("warren", SHARDS)
    made = definitions(topology, ground.vhost)
    made["users"], made["permissions"] = [], []  # those of the fixture have a password
    await asyncio.to_thread(ground.rabbit.node.import_definitions, made)

    def durable() -> set[str]:
        return set(
            ground.rabbit.ctl(
                "-q", "list_queues", "-p", ground.vhost, "--no-table-headers", "name", "durable"
            ).splitlines()
        )

    before = durable()
    assert {line.split()[0] for line in before} == {queue.name for queue in topology.queues()}
    await said_and_heard(services, ground)
    assert {line for line in durable() if line.endswith("true")} == before


@pytest.mark.rabbit
async def test_a_backends_rights_are_enough_for_a_backend(services: Pods, ground: Ground) -> None:
    """With the rights of both kinds, a backend notifies a room, gets a receipt, and hears events in a queue
    of its own.
    """
    await services.router()
    gateway = await services.gateway()
    topology = Topology("warren", SHARDS)

    def backend() -> list[str]:
        """Bind, notify, and return the keys of the events that came until the client had gone."""
        with pika.BlockingConnection(pika.URLParameters(ground.url(BACKEND))) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.queue_declare("app.events", exclusive=True)
            channel.queue_bind("app.events", topology.events, "client.#")
            listening.set()
            receipts: list[bytes] = []
            reply_to = "amq.rabbitmq.reply-to"
            channel.basic_consume(reply_to, lambda *delivery: receipts.append(delivery[3]), auto_ack=True)
            channel.basic_publish(
                topology.notify,
                "room.default",
                b'{"from":"backend"}',
                pika.BasicProperties(reply_to=reply_to, headers={"receipt": "written"}),
            )
            connection.process_data_events(15)
            assert [json.loads(receipt)["written"] for receipt in receipts] == [1]
            keys = []
            for method, _, _ in channel.consume("app.events", inactivity_timeout=15):
                if method is None:
                    break
                keys.append(method.routing_key)
                if method.routing_key == topology.event("client.disconnected"):
                    break
            return keys

    listening = asyncio.Event()
    async with await connect(gateway.url) as client:
        await client.expect("JOINED")
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(backend))
        await eventually(listening.is_set, 15)
        assert (await client.expect("NOTIFICATION", timeout_s=15))["payload"] == {"from": "backend"}
    assert "client.disconnected" in await task


@pytest.mark.rabbit
async def test_services_that_may_answer_nobody_deliver_all_the_same(ground: Ground, tmp_path: Path) -> None:
    """Those of a user from before there were answers: who asks for receipts gets none, and holds up nothing."""
    pods = Pods(ground.url(FORMER), "warren", SHARDS, tmp_path)

    def notify() -> None:
        with pika.BlockingConnection(pika.URLParameters(ground.url(OWNER))) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            replies = channel.queue_declare("", exclusive=True).method.queue
            for number in range(20):
                channel.basic_publish(
                    "warren.notify",
                    "room.default",
                    b"%d" % number,
                    pika.BasicProperties(reply_to=replies, headers={"receipt": "accepted"}),
                )

    try:
        router, gateway = await pods.router(), await pods.gateway()
        async with await connect(gateway.url) as client:
            await client.expect("JOINED")
            for _ in range(3):
                await asyncio.to_thread(notify)
            heard = [(await client.expect("NOTIFICATION", timeout_s=15))["payload"] for _ in range(60)]
            assert heard == [*range(20)] * 3
            await eventually(lambda: "amq.default" in router.log(10_000), 15)
            assert client.of_type("DEGRADED") == []
        assert "publishing waits" not in router.log(10_000)
    finally:
        pods.close()
