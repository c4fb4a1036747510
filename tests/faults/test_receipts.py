"""Receipts, while a gateway and a router are killed: what they say is what the clients were given."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from tests.support.client import connect
from tests.support.eventually import eventually
from tests.support.pods import Pods
from tests.support.rabbit import Rabbit

from warren.topology import Topology

pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.timeout(300)]

MESSAGES = 200
EVERY_S = 0.02
ROOM = "r"
NAMESPACES = json.dumps([{"name": "all", "pattern": "*", "receipts": "seen"}])
Place = tuple[str, int]


class Reader:
    """A client that comes back with its position, to the next gateway, keeps the place of each message, and
    says that it has seen them.
    """

    def __init__(self, user: str, urls: list[str]) -> None:
        self._user = user
        self._urls = urls
        self._at: Place | None = None
        self._said: Place | None = None
        self.seen = 0  # the highest seq that it has said to have seen
        self.got: dict[Any, Place] = {}
        self.joined = False

    async def run(self) -> None:
        turn = 0
        while True:
            turn += 1
            with contextlib.suppress(Exception):  # whatever ends a connection: it comes back
                await self._stay(self._urls[turn % len(self._urls)])
            self.joined = False
            await asyncio.sleep(0.05)

    async def _stay(self, url: str) -> None:
        async with await connect(f"{url}?join=manual", user=self._user, listener=self._heard) as client:
            since = None if self._at is None else {"epoch": self._at[0], "seq": self._at[1]}
            await client.join(ROOM, since)
            self.joined, self._said = True, None
            closed = asyncio.create_task(client.closed(timeout_s=600.0))
            while not closed.done():
                if self._at is not None and self._said != self._at:
                    self._said, self.seen = self._at, self._at[1]
                    await client.send("SEEN", ROOM, {"epoch": self._at[0], "seq": self._at[1]})
                await asyncio.wait((closed,), timeout=0.1)

    def _heard(self, message: dict[str, Any]) -> None:
        if message.get("room") != ROOM or "seq" not in message:
            return
        place = (message["epoch"], message["seq"])
        assert self.got.setdefault(message["payload"], place) == place
        self._at = place


class Backend:
    """A backend that asks for a receipt of each of its notifications."""

    def __init__(self, notify: AbstractExchange, replies: str) -> None:
        self.level = "written"
        self._notify = notify
        self._replies = replies
        self.receipts: dict[int, list[dict[str, Any]]] = {}
        self.readers: list[Reader] = []
        self.untrue: list[dict[str, Any]] = []  # receipts that say that more have seen it than had said so

    async def publish(self, number: int) -> None:
        message = aio_pika.Message(
            json.dumps(number).encode(),
            message_id=f"m{number}",
            correlation_id=str(number),
            reply_to=self._replies,
            headers={"receipt": self.level},
        )
        await self._notify.publish(message, f"room.{ROOM}")

    async def take(self, message: AbstractIncomingMessage) -> None:
        receipt = json.loads(message.body)
        self.receipts.setdefault(int(message.correlation_id or ""), []).append(receipt)
        if receipt.get("seen", 0) > sum(reader.seen >= receipt["seq"] for reader in self.readers):
            self.untrue.append(receipt)

    def told(self, number: int) -> dict[str, Any] | None:
        """Return a receipt that says where the message stands, and all else that was asked; None where there
        is none yet.
        """
        return next(
            (
                each
                for each in self.receipts.get(number, ())
                if "seq" in each and (each["complete"] or self.level != "seen")
            ),
            None,
        )


@pytest_asyncio.fixture
async def backend(rabbit: Rabbit, topology: Topology, pods: Pods) -> AsyncIterator[Backend]:
    settings = {"WARREN_GATEWAY_RATE": "0", "WARREN_AMQP_HEARTBEAT_S": "5", "WARREN_NAMESPACES": NAMESPACES}
    await pods.installation(2, 2, settings)
    async with await aio_pika.connect(rabbit.url) as connection:
        channel = await connection.channel()
        replies = await channel.declare_queue(exclusive=True)
        made = Backend(await channel.get_exchange(topology.notify), replies.name)
        await replies.consume(made.take, no_ack=True)
        yield made


async def _published_while_pods_die(pods: Pods, backend: Backend, readers: list[Reader]) -> None:
    """Publish with a gateway and a router killed meanwhile, and ask again until each message has its receipt."""
    gateways, routers = pods.all[:2], pods.all[2:]
    for number in range(MESSAGES):
        await backend.publish(number)
        if number == MESSAGES // 4:
            gateways[1].kill()
        if number == MESSAGES // 2:
            await gateways[1].start()
            routers[0].kill()
        await asyncio.sleep(EVERY_S)
    await routers[0].start()

    async def all_told() -> bool:
        """Ask again for what has no receipt: its router died, or the one that spoke."""
        lacking = [number for number in range(MESSAGES) if backend.told(number) is None]
        for number in lacking:
            await backend.publish(number)
        await asyncio.sleep(0.5)
        return not lacking

    await eventually(all_told, timeout_s=60.0)
    await eventually(lambda: all(len(reader.got) == MESSAGES for reader in readers), timeout_s=30.0)
    for number in range(MESSAGES):
        places = {(each["epoch"], each["seq"]) for each in backend.receipts[number] if "seq" in each}
        assert places == {reader.got[number] for reader in readers}, number


@pytest_asyncio.fixture
async def readers(pods: Pods, backend: Backend) -> AsyncIterator[list[Reader]]:
    """Readers that come back to one gateway or the other, all of them joined."""
    urls = [each.url for each in pods.all[:2]]  # type: ignore[attr-defined]
    readers = backend.readers = [Reader(f"u{number}", urls) for number in range(6)]
    running = [asyncio.create_task(reader.run()) for reader in readers]
    await eventually(lambda: all(reader.joined for reader in readers), timeout_s=20.0)
    yield readers
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_receipts_say_where_messages_stand_whoever_dies(
    pods: Pods, backend: Backend, readers: list[Reader]
) -> None:
    """Each message's place is the one at which every client got it, in the first receipt and in that of a repeat;
    a gateway that was killed is told as lost, and never has a receipt wait until its time is over.
    """
    await _published_while_pods_die(pods, backend, readers)
    said = [each for answers in backend.receipts.values() for each in answers if "seq" in each]
    assert all(each["complete"] and each["written"] + each["lost"] == each["gateways"] for each in said)
    assert any(each["lost"] for each in said), "the gateway died while it was to be told"
    assert all(1 <= each["users"] <= len(readers) for each in said)


async def test_receipts_say_who_has_seen_what_whoever_dies(
    pods: Pods, backend: Backend, readers: list[Reader]
) -> None:
    """Never more than have said so by then, and in the end that all have: what was said once is in the log."""
    backend.level = "seen"
    await _published_while_pods_die(pods, backend, readers)
    assert backend.untrue == []

    async def all_seen() -> bool:
        await backend.publish(MESSAGES - 1)
        await asyncio.sleep(0.5)
        return any(each.get("seen") == len(readers) for each in backend.receipts[MESSAGES - 1])

    await eventually(all_seen, timeout_s=30.0)
    backend.receipts.clear()
    for number in range(MESSAGES):
        await backend.publish(number)
    await eventually(lambda: all(backend.told(number) for number in range(MESSAGES)), timeout_s=30.0)
    told = [backend.told(number) or {} for number in range(MESSAGES)]
    assert {(each["duplicate"], each["seen"], each["complete"]) for each in told} == {(True, 6, True)}
    assert backend.untrue == []
