"""The Python client as an application has it, while everything behind it is replaced, killed and cut.

Some members of some rooms publish through a load balancer. What was acknowledged is read by every other member once
and in order, with no gap: by the application, not by the wire.
``WARREN_TEST_PYTHON_CLIENT_S=300`` goes on with the faults for so long (otherwise a few seconds).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest
from tests.faults.balancer import Balancer, program
from tests.support.eventually import TIME_FACTOR, eventually
from tests.support.pods import Gateway, Pod, Pods

import warren_client
from warren_client import Client, Message, Options, Room, WarrenError

pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.xdist_group("soak")]

MEMBERS = 24
ROOMS = 6
EVERY_S = 0.25  # from one message of a member to its next
FAULTS_S = float(os.environ.get("WARREN_TEST_PYTHON_CLIENT_S", "8"))
DRAIN_MS = 2_000
ENV = {
    "WARREN_GATEWAY_RATE": "0",
    "WARREN_GATEWAY_DRAIN_MS": str(DRAIN_MS),
    "WARREN_GATEWAY_DRAIN_DEADLINE_MS": str(DRAIN_MS + round(8_000 * TIME_FACTOR)),
}
OPTIONS = Options(backoff=0.05, backoff_cap=0.5, ping_every=2.0, pong_timeout=4.0, ack_timeout=10.0)


class Member:
    """One application: it publishes to a room, and writes down what it reads there."""

    def __init__(self, name: str, room: str, url: str, random: Random) -> None:
        self.name, self.room = name, room
        self.read: list[int] = []
        self.faults: list[str] = []
        self.acked: dict[int, int] = {}  # payload ▶ seq
        self.began = 0
        self.publishing = True
        self.is_quiet = asyncio.Event()
        self._random = random
        self._number = 0
        # a small queue, so that slow readers have to catch up, too
        self.client = warren_client.connect(url, user=name, options=OPTIONS, open_timeout=60.0 * TIME_FACTOR)

    async def run(self, is_in: asyncio.Event, end: asyncio.Event) -> None:
        async with self.client as client, client.room(self.room, queue_limit=8) as room:
            position = room.position
            assert position is not None
            self.began = position.seq
            is_in.set()
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read(room))
                tasks.create_task(self._publish(client, room))
                await end.wait()
                reading.cancel()

    def drop(self) -> None:
        """Lose the connection, as in a tunnel."""
        for socket in list(self.client._driver._sockets.values()):
            socket._abort()

    async def _read(self, room: Room) -> None:
        async for item in room:
            if isinstance(item, Message):
                assert item.seq is not None
                self.read.append(item.seq)
            else:
                self.faults.append(f"{self.name}: {item}")
            if self._random.random() < 0.02:
                await asyncio.sleep(0.2)  # a reader that is slow for a while

    async def _publish(self, client: Client, room: Room) -> None:
        while self.publishing:
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * EVERY_S)
            self._number += 1
            try:
                ack = await room.send("CHAT", self._number)
            except WarrenError as error:
                self.faults.append(f"{self.name}: {error}")
                continue
            if ack.seq is not None:
                self.acked[self._number] = ack.seq
        self.is_quiet.set()


class Crowd:
    """All members."""

    def __init__(self, url: str) -> None:
        self.members = [
            Member(f"m{number}", f"room-{number % ROOMS}", url, Random(number)) for number in range(MEMBERS)
        ]
        self._end = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def come_in(self) -> None:
        entered = [asyncio.Event() for _ in self.members]
        self._tasks = [
            asyncio.create_task(member.run(is_in, self._end))
            for member, is_in in zip(self.members, entered, strict=True)
        ]
        await asyncio.gather(*(is_in.wait() for is_in in entered))

    async def settle(self) -> None:
        """Publish no more, and wait until everybody has read everything."""
        for member in self.members:
            member.publishing = False
        await asyncio.gather(*(member.is_quiet.wait() for member in self.members))
        await eventually(lambda: self.missing() == {} or None, 60.0, every_s=0.2, what="all is read")

    async def go(self) -> None:
        self._end.set()
        await asyncio.gather(*self._tasks)

    def log(self, room: str) -> dict[int, str]:
        """Return who has said what of a room: seq ▶ name."""
        return {
            seq: member.name
            for member in self.members
            if member.room == room
            for seq in member.acked.values()
        }

    def missing(self) -> dict[str, set[int]]:
        found = {}
        for member in self.members:
            log = self.log(member.room)
            wanted = {seq for seq, name in log.items() if name != member.name and seq > member.began}
            if wanted - set(member.read):
                found[member.name] = wanted - set(member.read)
        return found

    def verdict(self) -> list[str]:
        """Return everything that was not as promised."""
        found = [fault for member in self.members for fault in member.faults]
        for member in self.members:
            if sorted(set(member.read)) != member.read:
                disorder = [pair for pair in itertools.pairwise(member.read) if pair[0] >= pair[1]]
                found.append(f"{member.name} read twice or out of order: {disorder[:5]}")
            # what nobody has an ACK for was said by somebody who was cancelled; there is none here
            unknown = set(member.read) - set(self.log(member.room))
            own = set(member.read) & set(member.acked.values())
            if unknown or own:
                found.append(f"{member.name} read what nobody said {unknown}, or its own {own}")
        seqs = Counter((member.room, seq) for member in self.members for seq in member.acked.values())
        return found + [f"two ACKs for one message: {key}" for key, count in seqs.items() if count > 1]


async def replace(old: Pod, new: Pod) -> None:
    await new.start(timeout_s=40.0)
    assert await old.terminate(timeout_s=30.0) == 0


async def restart(pod: Pod) -> None:
    pod.kill()
    await pod.ended()
    await pod.start(timeout_s=40.0)


@pytest.mark.timeout((FAULTS_S + 120) * TIME_FACTOR)
async def test_an_application_reads_everything_once_and_in_order_whatever_dies(
    pods: Pods, tmp_path: Path
) -> None:
    """Through a rollout of gateways and routers, then through pods that are killed and connections that are cut:
    0 lost, 0 doubled, 0 out of order.
    """
    kind = next((each for each in ("haproxy", "nginx") if program(each) is not None), None)
    if kind is None:
        pytest.skip("neither haproxy nor nginx is installed: scripts/dev/need haproxy")
    (first, second), (one, two) = await pods.installation(2, 2, ENV)
    third = await pods.gateway(ENV, start=False)
    async with AsyncExitStack() as running:
        balancer = Balancer(kind, (first, second, third), tmp_path)
        running.callback(balancer.close)
        crowd = Crowd(balancer.url)
        await crowd.come_in()
        try:
            # the rollout
            await replace(first, third)
            await replace(second, first)
            successor = await pods.router(ENV, start=False)
            await replace(one, successor)
            # the faults
            random, end = Random(7), asyncio.get_running_loop().time() + FAULTS_S * TIME_FACTOR
            victims: list[Gateway | Pod] = [first, successor, third, two]
            for victim in itertools.cycle(victims):
                for member in random.sample(crowd.members, 6):
                    member.drop()
                await restart(victim)
                if asyncio.get_running_loop().time() > end and victim is two:
                    break
            await crowd.settle()
        finally:
            await crowd.go()
    read = sum(len(member.read) for member in crowd.members)
    said = sum(len(member.acked) for member in crowd.members)
    sys.stdout.write(f"── {MEMBERS} Python clients: {said} messages acknowledged, {read} read\n")
    assert crowd.verdict() == []
    assert crowd.missing() == {}
    assert said > 10 * MEMBERS
