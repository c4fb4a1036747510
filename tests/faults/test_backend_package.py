"""The package ``warren_backend`` while its connection is cut again and again, and while the broker is restarted, all
under load: each notification arrives once and in order, each event is handled once, and each request is answered.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

import pytest
from tests.support.client import Client, connect
from tests.support.eventually import eventually, stretched
from tests.support.installation import Installation, installed
from tests.support.proxy import Proxy
from tests.support.rabbit import Rabbit

from warren_backend import Backend, Event, Request, room

pytestmark = [pytest.mark.rabbit, pytest.mark.slow]

NAMESPACES = """
services: [{pattern: "*", timeout_ms: 60000}]
namespaces: [{name: rest, pattern: "*", publish: members, history: {count: 5000}}]
"""
ENV = {
    "WARREN_NAMESPACES": NAMESPACES,
    "WARREN_ROUTER_EVENTS": "message",
    "WARREN_GATEWAY_RATE": "0",
}
ROOMS = ("one", "two", "three")
EACH = 210
ASKED = 80


@pytest.fixture(scope="module")
def installation(_broker: Rabbit, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(_broker, tmp_path_factory.mktemp("installation"), ENV) as made:
        yield made


class Load:
    """A backend at work, and a client that sees what comes of it."""

    def __init__(self, backend: Backend, client: Client, name: str) -> None:
        self.backend = backend
        self.client = client
        self.rooms = [f"{name}.{each}" for each in ROOMS]
        self.handled: Counter[str] = Counter()  # by the message's id
        self.asked: Counter[str] = Counter()  # by the request's id
        self.sent = 0

        @backend.service(f"{name}.double")
        async def double(request: Request) -> int:
            self.asked[request.id] += 1
            await asyncio.sleep(0.02)
            return 2 * int(request.payload)

        @backend.service(f"{name}.count")
        async def count(request: Request) -> AsyncIterator[int]:
            for number in range(20):
                await asyncio.sleep(0.01)
                yield number

        @backend.on(*(f"message.NOTIFICATION.{each}" for each in self.rooms), queue=f"{name}.audit")
        async def audit(event: Event) -> None:
            self.handled[event.message_id] += 1
            await asyncio.sleep(0.001)

    async def notify(self, name: str) -> None:
        """Send to one room, thirty at a time without waiting for the confirms."""
        for begin in range(0, EACH, 30):
            numbers = range(begin, begin + 30)
            sending = (
                self.backend.notify(room(name), number, id=f"{name}-{number}", timeout_s=stretched(60.0))
                for number in numbers
            )
            for _ in await asyncio.gather(*sending):
                self.sent += 1
            await asyncio.sleep(0.02)

    def ended(self, ref: str) -> bool:
        """Say whether a request has had its last word."""
        said = [each for each in self.client.received if each.get("ref") == ref]
        return any(each["type"] == "ERROR" or not each.get("more") for each in said)

    def errors(self, ref: str) -> list[object]:
        """Return what a request was refused with."""
        return [each["payload"] for each in self.client.of_type("ERROR") if each.get("ref") == ref]

    async def ask(self, service: str) -> None:
        """Ask one request after the other, and expect each answer."""
        for number in range(ASKED):
            ref = f"{service}-{number}"
            await self.client.send("REQUEST", service=service, id=ref, payload=number, timeout_ms=60_000)
            await eventually(lambda ref=ref: self.ended(ref), 60.0)
            assert self.errors(ref) == []
            answer = await self.client.expect("RESPONSE", ref=ref)
            assert answer["payload"] == 2 * number

    async def stream(self, service: str) -> None:
        """Ask for answers in parts, and expect each part once and in order."""
        for number in range(10):
            ref = f"{service}-{number}"
            await self.client.send("REQUEST", service=service, id=ref, timeout_ms=60_000)
            await eventually(lambda ref=ref: self.ended(ref), 60.0)
            assert self.errors(ref) == []
            parts = self.client.of_type("RESPONSE", ref=ref)
            assert [part["payload"] for part in parts] == [*range(20), None]

    async def run(self, name: str, disturb: Callable[[], Coroutine[None, None, None]]) -> None:
        """Put all of that under way, disturb it, and look at what has come of it."""
        for each in self.rooms:
            await self.client.join(each)
        async with asyncio.TaskGroup() as tasks:
            for each in self.rooms:
                tasks.create_task(self.notify(each))
            tasks.create_task(self.ask(f"{name}.double"))
            tasks.create_task(self.stream(f"{name}.count"))
            tasks.create_task(disturb())
        wanted = {f"{each}-{number}": 1 for each in self.rooms for number in range(EACH)}
        for each in self.rooms:
            heard = await self.client.expect_all("NOTIFICATION", EACH, room=each, timeout_s=30.0)
            assert [message["payload"] for message in heard] == [*range(EACH)]
        await eventually(lambda: self.handled.keys() == wanted.keys(), 30.0)
        await self.client.settle()
        assert self.handled == wanted
        assert self.asked == {f"ann~{name}.double-{number}": 1 for number in range(ASKED)}
        counted = Counter(
            (message["room"], message["seq"]) for message in self.client.of_type("NOTIFICATION")
        )
        assert set(counted.values()) == {1}


async def test_cut_again_and_again(installation: Installation, rabbit: Rabbit) -> None:
    """The backend's connection is reset six times, and once refused for a while."""
    async with Proxy(rabbit.host, rabbit.port) as proxy:
        url = installation.url.replace(f":{rabbit.port}", f":{proxy.port}")
        backend = Backend(url, prefix=installation.prefix, own=f"{installation.prefix}.app")
        client = await connect(installation.gateway.url, user="ann")
        load = Load(backend, client, "cut")

        async def disturb() -> None:
            for number in range(1, 7):
                await eventually(lambda number=number: load.sent >= number * 80, 60.0)
                if number == 3:
                    await proxy.cut()
                    await asyncio.sleep(0.3)
                    await proxy.restore()
                else:
                    proxy.reset()

        async with client, backend:
            await load.run("cut", disturb)
        assert proxy.accepted >= 7


async def test_the_broker_is_restarted(installation: Installation, rabbit: Rabbit) -> None:
    """Everybody loses the broker at the same time, in the middle of everything."""
    backend = Backend(installation.url, prefix=installation.prefix, own=f"{installation.prefix}.app")
    client = await connect(installation.gateway.url, user="ann")
    load = Load(backend, client, "restart")

    async def disturb() -> None:
        await eventually(lambda: load.sent >= 200, 60.0)
        await asyncio.to_thread(rabbit.stop)
        await asyncio.to_thread(rabbit.start)

    async with client, backend:
        await load.run("restart", disturb)


async def test_a_process_that_ends_finishes_what_is_open_and_gives_the_rest_to_another(
    installation: Installation,
) -> None:
    """Every request is answered, each by one of the two, and no event is lost or counted twice."""
    answered: list[tuple[str, int]] = []
    heard: list[tuple[str, int]] = []
    begun, gate = asyncio.Event(), asyncio.Event()

    def made(name: str) -> Backend:
        backend = Backend(installation.url, prefix=installation.prefix, own=f"{installation.prefix}.app")

        @backend.service("ending.slow", concurrency=1, prefetch=4)
        async def slow(request: Request) -> str:
            begun.set()
            await gate.wait()
            answered.append((name, request.payload))
            return name

        @backend.on("message.NOTIFICATION.ending", queue="ending.audit")
        async def audit(event: Event) -> None:
            heard.append((name, event.payload))
            await asyncio.sleep(0.005)

        return backend

    first, second = made("first"), made("second")
    async with await connect(installation.gateway.url, user="ann") as client, second:
        await first.start()
        try:
            for number in range(8):
                await client.send("REQUEST", service="ending.slow", id=f"e{number}", payload=number)
            await asyncio.gather(*(second.notify(room("ending"), number) for number in range(100)))
            await eventually(begun.is_set)
            stopping = asyncio.create_task(first.stop())
            gate.set()
            await stopping
        finally:
            await first.stop(0.0)
        answers = [await client.expect("RESPONSE", ref=f"e{number}") for number in range(8)]
        assert {answer["payload"] for answer in answers} == {"first", "second"}
        assert sorted(payload for _, payload in answered) == [*range(8)]
        await eventually(lambda: len(heard) >= 100, 20.0)
        assert [payload for _, payload in heard] == [*range(100)]
