"""Backends command, while clients come and reconnect on two gateways, and the router that speaks for them dies:
nobody is in who should be out, and nobody is out who should be in.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count

import pika
import pytest
import pytest_asyncio
from tests.support.client import Client, connect
from tests.support.eventually import eventually
from tests.support.pods import Gateway, Pods, Router
from tests.support.rabbit import Rabbit

from warren.address import shard_of
from warren.envelope import CONTENT_TYPE, Command, Commanded, encode
from warren.topology import Topology

pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.timeout(300)]

MOST = 6  # connections of one user
ENV = {
    "WARREN_GATEWAY_RATE": "0",
    "WARREN_GATEWAY_ROOMS": "-",
    "WARREN_AMQP_HEARTBEAT_S": "5",
    "WARREN_GATEWAY_CONNECTIONS_PER_USER": str(MOST),
}
COMERS = 4  # of each user, on each gateway


class Backend:
    """One that writes commands into the log as a router does."""

    def __init__(self, url: str, topology: Topology) -> None:
        self._topology = topology
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self._ids = count()

    def command(self, verb: str, room: str, **more: object) -> None:
        """Return once it is in the log."""
        command = Command(f"c{next(self._ids)}", verb, room, **more)  # type: ignore[arg-type]
        shard = shard_of(room, self._topology.shards)
        self._channel.basic_publish(
            self._topology.ingress,
            self._topology.shard_key(shard),
            encode([Commanded("a backend", time.time_ns() // 1_000), command]),
            pika.BasicProperties(content_type=CONTENT_TYPE),
            mandatory=True,
        )

    def close(self) -> None:
        self._connection.close()


class Crowd:
    """Clients that connect, stay a while, and connect again on the other gateway, hostile ones: they join
    nothing by themselves, and come back whatever they are told.
    """

    def __init__(self, urls: list[str]) -> None:
        self._urls = urls
        self.there: dict[str, set[Client]] = {}
        self.codes: dict[str, list[int]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.moving = True

    def come(self, user: str) -> None:
        for number in range(COMERS):
            for url in range(len(self._urls)):
                self._tasks.append(asyncio.create_task(self._run(user, url + number)))

    async def _run(self, user: str, turn: int) -> None:
        for at in count(turn):
            url = self._urls[at % len(self._urls)] + ("?join=manual" if at % 3 else "")
            try:
                client = await connect(url, user=user)
            except Exception:  # noqa: BLE001 - it was closed before its WELCOME, or a gateway is busy
                await asyncio.sleep(0.05)
                continue
            self.there.setdefault(user, set()).add(client)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3 + 0.1 * (at % 5) if self.moving else None):
                    code, _ = await client.closed(600)
                    self.codes.setdefault(user, []).append(code)
            await client.close()
            self.there[user].discard(client)
            await asyncio.sleep(0.05)

    def open(self, user: str) -> list[Client]:
        return [client for client in self.there.get(user, ()) if client.socket.close_code is None]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await asyncio.gather(*(client.close() for each in self.there.values() for client in each))


@pytest.fixture
def backend(rabbit: Rabbit, topology: Topology) -> Iterator[Callable[[], Backend]]:
    """Make a backend, once the topology is declared."""
    made: list[Backend] = []

    def make() -> Backend:
        made.append(Backend(rabbit.url, topology))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest_asyncio.fixture
async def installation(pods: Pods) -> AsyncIterator[tuple[list[Gateway], list[Router]]]:
    """Two gateways, and two routers of which each speaks for something."""
    front, back = await pods.installation(2, 2, ENV)

    async def shared() -> bool:
        return all([await each.metric("warren_router_shards_active") for each in back])

    await eventually(shared, 30.0, every_s=0.1, what="both routers speak")
    yield front, back


async def test_a_blocked_user_is_out_and_stays_out_though_routers_die(
    installation: tuple[list[Gateway], list[Router]], backend: Callable[[], Backend]
) -> None:
    """All its connections, however they come back, on both gateways; another user notices nothing. Once the
    block is lifted it is in again.
    """
    front, back = installation
    boss, crowd = backend(), Crowd([gateway.url for gateway in front])
    for user in ("ann", "eve"):
        crowd.come(user)
    try:
        await eventually(lambda: crowd.open("ann") and crowd.open("eve"), 20.0, what="they are there")
        for victim in (0, 1):
            boss.command("block", "@ann")
            back[victim].kill()
            await asyncio.sleep(0.2)
            await back[victim].start()
            # A connection is there until the log has judged it; a block that was forgotten would let some stay.
            await settled_out(crowd, "ann")
            crowd.codes["ann"].clear()
        assert set(crowd.codes.get("eve", ())) <= {4007}, "who was not blocked may be too many, no more"
        boss.command("unblock", "@ann")
        crowd.codes["ann"].clear()
        await eventually(lambda: len(crowd.open("ann")) >= 2, 20.0, what="ann is in again")
        await asyncio.sleep(1.0)
        assert 4006 not in crowd.codes["ann"][COMERS * 2 :]
    finally:
        await crowd.close()


async def settled_out(crowd: Crowd, user: str) -> None:
    """Wait until every connection that the user has had for a second is closed, and that stays so."""
    for _ in range(3):
        before = set(crowd.open(user))
        await eventually(
            lambda before=before: not before & set(crowd.open(user)), 20.0, what=f"{user} is put out"
        )
    await eventually(
        lambda: set(crowd.codes.get(user, ())[-COMERS:]) == {4006}, 20.0, what="each hears that it is blocked"
    )


async def test_a_kick_meets_all_who_came_before_it_and_none_after(
    installation: tuple[list[Gateway], list[Router]], backend: Callable[[], Backend]
) -> None:
    """With the speaker killed behind it; the one who comes afterwards stays."""
    front, back = installation
    boss = backend()
    for number in range(4):
        user = f"kicked{number}"
        before = [await connect(gateway.url + mode, user=user) for gateway in front for mode in ("", MANUAL)]
        await asyncio.gather(*(client.join("hall") for client in before))  # behind the entry, on some shard
        await entered(front[0], user)
        boss.command("disconnect", f"@{user}", reason="Out")
        if number % 2:
            back[number // 2].kill()
        after = await connect(front[number % 2].url, user=user)
        assert [await client.closed(30.0) for client in before] == [(4006, "Out")] * 4
        if number % 2:
            await back[number // 2].start()
        await after.join(f"@{user}")
        assert after.socket.close_code is None
        await after.close()


MANUAL = "?join=manual"


async def entered(gateway: Gateway, user: str) -> None:
    """Return once what came to a user's shard before is in its log and told: a connection of the user that
    joins by itself is answered behind it.
    """
    async with await connect(gateway.url, user=user) as probe:
        await probe.expect("JOINED", room=f"@{user}", timeout_s=20.0)


async def test_no_user_has_more_connections_than_it_may(
    installation: tuple[list[Gateway], list[Router]],
) -> None:
    """Over both gateways, though the router dies that counts them: the latest ones stay."""
    front, back = installation
    clients: list[Client] = []
    for number in range(12):
        if number in (4, 8):
            back[number // 8].kill()
        mode = MANUAL if number % 3 == 0 else ""
        clients.append(await connect(front[number % 2].url + mode, user="ann"))
        # Each has its place before the next one comes.
        await clients[-1].join("@ann")
        if number in (5, 9):
            await back[number // 8].start()
    assert [(await client.closed(30.0))[0] for client in clients[:-MOST]] == [4007] * (12 - MOST)
    assert [client.socket.close_code for client in clients[-MOST:]] == [None] * MOST
    await asyncio.gather(*(client.close() for client in clients))
