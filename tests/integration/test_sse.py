"""Event streams with everything real: gateways and a router as processes, RabbitMQ, curl, and nginx with the
configuration of ``docs/examples``.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientError, ClientSession, ClientTimeout
from tests.faults.balancer import Balancer, program
from tests.support.event_stream import EventParser, EventSource
from tests.support.eventually import MS, eventually, stretched
from tests.support.pods import Gateway, Pods
from tests.support.recorder import Recorder

pytestmark = pytest.mark.rabbit

ENV = {
    "WARREN_GATEWAY_RATE": "0",
    "WARREN_GATEWAY_DRAIN_MS": "500",
    "WARREN_GATEWAY_DRAIN_DEADLINE_MS": "10000",
}
ROOMS = ("chat:1", "chat:2", "chat:3")
READERS = 6


@pytest_asyncio.fixture
async def gateways(pods: Pods) -> AsyncIterator[list[Gateway]]:
    """Two gateways and a router."""
    front, _ = await pods.installation(2, 1, ENV)
    yield front


class Talker:
    """Says numbers in all rooms, one message after the other, each by whichever gateway takes it: again under
    the same id until it is acknowledged.
    """

    def __init__(self, gateways: list[Gateway]) -> None:
        self._gateways = gateways
        self._turns = random.Random(7)
        self.sent = 0
        self.repeats = 0

    async def talk(self, ends: asyncio.Event) -> None:
        async with ClientSession(timeout=ClientTimeout(total=stretched(10.0))) as http:
            while not ends.is_set():
                for room in ROOMS:
                    await self._say(http, room, self.sent + 1)
                self.sent += 1
                await asyncio.sleep(5 * MS)

    async def _say(self, http: ClientSession, room: str, number: int) -> None:
        message = {"type": "CHAT", "room": room, "id": f"n{number}", "payload": {"n": number}}
        while True:
            gateway = self._turns.choice(self._gateways)
            try:
                async with http.post(f"{gateway.http_url}/publish?user=bob", json=message) as answer:
                    if answer.status == 200:
                        return
                    assert answer.status == 503, await answer.text()
            except (ClientError, TimeoutError):
                pass
            self.repeats += 1
            await asyncio.sleep(20 * MS)


async def test_streams_lose_nothing_over_deaths_and_rollouts(gateways: list[Gateway]) -> None:
    """A gateway is killed and comes back, all streams are cut and move there, it drains and comes back, while
    messages go on in three rooms: each reader has each message once and in order, by its last event id alone.
    """
    first, _ = gateways
    query = "&".join(f"room={room}" for room in ROOMS)
    recorders = [Recorder() for _ in range(READERS)]
    sources = [
        EventSource(
            [f"{one.http_url}/sse?{query}&user=u{number}" for one in (gateways if number % 2 else gateways[::-1])],
            listener=recorder,
            longest_retry_ms=round(20 * MS * 1_000),
        )
        for number, recorder in enumerate(recorders)
    ]  # fmt: skip
    talker, ends = Talker(gateways), asyncio.Event()
    talking = None
    try:
        for source in sources:
            for room in ROOMS:
                await source.expect("JOINED", room=room, timeout_s=10.0)
        talking = asyncio.create_task(talker.talk(ends))

        async def goes_on() -> None:
            upto = talker.sent + 15
            await eventually(lambda: talker.sent >= upto or talking.done(), 30.0)

        await goes_on()
        first.kill()
        await first.ended()
        await goes_on()
        await first.start()
        for source in sources:
            source.cut()
        await goes_on()
        assert await first.terminate() == 0
        await goes_on()
        await first.start()
        await goes_on()
        ends.set()
        await talking
        sent = talker.sent
        await eventually(
            lambda: all(one.delivered(room) >= sent for one in recorders for room in ROOMS), 20.0
        )
    finally:
        ends.set()
        if talking is not None:
            await talking
        for source in sources:
            await source.close()
    for recorder in recorders:
        for room in ROOMS:
            recorder.check(room, sent={"bob": sent})
    assert all(source.streams >= 3 for source in sources)
    assert all([close["code"] for close in source.closes] == [1012] for source in sources)
    assert talker.repeats


async def test_posts_and_streams_meet_at_different_gateways(gateways: list[Gateway]) -> None:
    """Posts go by RabbitMQ to the gateway that holds the stream; where that is killed the client is told."""
    first, second = gateways
    async with (
        EventSource([f"{first.http_url}/sse?room=chat:1&user=ann"], longest_retry_ms=60_000) as ann,
        ClientSession() as http,
    ):
        await ann.expect("JOINED", room="chat:1", timeout_s=10.0)
        url = f"{second.http_url}/publish?connection={ann.id}"
        bearer = {"Authorization": f"Bearer {ann.post}"}
        for number in range(20):
            frames = [{"type": "CHAT", "room": "chat:1", "payload": number, "id": f"m{number}"}]
            async with http.post(url, json=frames, headers=bearer) as answer:
                assert answer.status == 202
            await ann.expect("ACK", ref=f"m{number}")
        large = [{"type": "CHAT", "room": "chat:1", "payload": "x" * 500_000, "id": "large"}]
        async with http.post(url, json=large, headers=bearer) as answer:
            assert answer.status == 202
        await ann.expect("ACK", ref="large")
        async with http.post(url, json=large, headers={"Authorization": "Bearer x"}) as answer:
            assert answer.status == 403
        assert await second.metric("warren_gateway_posts_total", status="202") == 21
        first.kill()
        await first.ended()
        told: list[int] = []

        async def is_told() -> bool:
            async with http.post(url, json=frames, headers=bearer) as answer:
                told.append(answer.status)
            return told[-1] != 503  # nobody knows, until RabbitMQ has seen the death

        await eventually(is_told, 20.0)
        assert told[-1] == 410


async def test_curl_reads_a_stream(gateways: list[Gateway]) -> None:
    """``curl -N`` shows each event as it comes, and resumes with a header."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is missing")
    first, second = gateways
    parser, last = EventParser(), ""
    async with ClientSession() as http:
        for number, gateway in enumerate((first, second), 1):
            message = {"type": "CHAT", "room": "chat:1", "id": f"m{number}", "payload": {"n": number}}
            process = await asyncio.create_subprocess_exec(
                curl, "-sN", "-H", f"Last-Event-ID: {last}", f"{gateway.http_url}/sse?room=chat:1&user=ann",
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert process.stdout is not None
            got = list[dict[str, object]]()
            try:
                async with asyncio.timeout(stretched(10.0)):
                    while not any(one["type"] == "CHAT" for one in got):
                        events = parser.feed((await process.stdout.read(65_536)).decode())
                        got += [json.loads(event.data) for event in events]
                        if number == 1 and any(one.get("room") == "chat:1" for one in got):
                            async with http.post(f"{first.http_url}/publish?user=bob", json=message) as said:
                                assert said.status == 200
            finally:
                process.kill()
                await process.wait()
            assert [one["payload"] for one in got if one["type"] == "CHAT"] == [{"n": number}]
            if number == 1:
                last = parser.last_event_id
                message |= {"id": "m2", "payload": {"n": 2}}
                async with http.post(f"{first.http_url}/publish?user=bob", json=message) as said:
                    assert said.status == 200


async def test_a_stream_passes_nginx_as_it_comes(gateways: list[Gateway], tmp_path: Path) -> None:
    """With the configuration of ``docs/examples`` nothing is kept back, posts find their stream, and a
    gateway that goes is no error of the proxy's.
    """
    if program("nginx") is None:
        pytest.skip("nginx is missing: scripts/dev/need nginx")
    balancer = Balancer("nginx", (*gateways, gateways[0]), tmp_path)
    url = f"http://127.0.0.1:{balancer.port}"
    recorder = Recorder()
    try:
        async with (
            EventSource([f"{url}/sse?room=chat:1&user=ann"], listener=recorder) as ann,
            ClientSession() as http,
        ):
            await ann.expect("JOINED", room="chat:1", timeout_s=10.0)
            for number in range(1, 41):
                if number == 20:
                    held = next(gateway for gateway in gateways if ann.id.split("~")[0] in gateway.log(400))
                    ending = asyncio.create_task(held.terminate())
                frames = {"type": "CHAT", "room": "chat:1", "id": f"n{number}", "payload": {"n": number}}
                while True:
                    async with http.post(f"{url}/publish?user=bob", json=frames) as answer:
                        if answer.status == 200:
                            break
                    await asyncio.sleep(20 * MS)
                await ann.expect("CHAT", payload={"n": number}, timeout_s=10.0)
            assert await ending == 0
            assert ann.closes[0]["code"] == 1012
            post = f"{url}/publish?connection={ann.id}"
            async with http.post(
                post, json=[{"type": "PING", "id": "p"}], headers={"Authorization": f"Bearer {ann.post}"}
            ) as answer:
                assert answer.status == 202
            await ann.expect("PONG", ref="p")
        recorder.check("chat:1", sent={"bob": 40})
    finally:
        balancer.close()
