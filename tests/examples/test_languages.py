"""The docs' examples in Go, Java and JavaScript, run as their heads say, before a real installation.

``scripts/test/languages`` builds them. What this machine has no compiler for is skipped.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import pytest
from tests.support.client import connect
from tests.support.eventually import stretched
from tests.support.pods import ROOT, Pods
from tests.support.proxy import Proxy
from tests.support.rabbit import Rabbit

BUILT = ROOT / ".cache" / "languages"
JAVA = ["java", "-cp", f"{BUILT}/java/classes:{BUILT}/java/lib/*"]
CHATS = {
    "coder": ("go", [f"{BUILT}/go/coder"]),
    "gorilla": ("go", [f"{BUILT}/go/gorilla"]),
    "java": ("java", [*JAVA, "warren.Chat"]),
}
BACKENDS = {
    "go": ([f"{BUILT}/go/notify"], [f"{BUILT}/go/events"]),
    "java": ([*JAVA, "warren.Notify"], [*JAVA, "warren.Events"]),
    "node": (["node", f"{BUILT}/node/notify.mjs"], ["node", f"{BUILT}/node/events.mjs"]),
}
SERVICES = {"go": [f"{BUILT}/go/serve"], "node": ["node", f"{BUILT}/node/serve.mjs"]}
# The examples name the default exchanges, so they get a virtual host of their own.
ENV = {"WARREN_NAMESPACES": "services: [{pattern: '*'}]", "WARREN_GATEWAY_RATE": "0"}

pytestmark = [pytest.mark.rabbit, pytest.mark.slow, pytest.mark.xdist_group("languages")]


@pytest.fixture(scope="session")
def languages() -> list[str]:
    """What this machine can build, built."""
    command = [str(ROOT / "scripts" / "test" / "languages"), str(BUILT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.fixture
def installation(rabbit: Rabbit, tmp_path: Path) -> Iterator[tuple[str, Pods]]:
    """A virtual host's URL, and pods on it."""
    url = rabbit.vhost()
    pods = Pods(url, "warren", 4, tmp_path)
    try:
        yield url, pods
    finally:
        pods.close()


def _need(language: str, languages: list[str]) -> None:
    if language not in languages:
        pytest.skip(f"this machine can't build the examples for {language}")


class Program:
    """A running example."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []

    @classmethod
    @asynccontextmanager
    async def run(cls, *command: str) -> AsyncIterator[Self]:
        """Run one, and end it."""
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        try:
            yield cls(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    def type(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def ended(self) -> int:
        """Close its input; return its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self.until(None)
        return await self._process.wait()

    async def until(self, *starts: str | None) -> None:
        """Read its lines until each of ``starts`` has begun one, or (None) to their end."""
        assert self._process.stdout is not None
        async with asyncio.timeout(stretched(20)):
            while not starts or not all(
                any(line.startswith(each or "\0") for line in self.lines) for each in starts
            ):
                line = (await self._process.stdout.readline()).decode()
                if not line:
                    assert starts == (None,), f"it ended with {self.lines}"
                    return
                self.lines.append(line.rstrip("\n"))

    def shown(self) -> list[str]:
        """Return the messages that it has shown, with their seqs."""
        return [line for line in self.lines if line.split(" ")[0].isdigit() and ": {" in line]


@pytest.mark.parametrize("program", CHATS)
async def test_a_chat_in_another_language_survives_a_cut(
    program: str, languages: list[str], installation: tuple[str, Pods]
) -> None:
    """What is said while it is cut off it shows once, in order, with what was said before; what is typed
    meanwhile is sent once; and with the end of its input it ends.
    """
    language, command = CHATS[program]
    _need(language, languages)
    (near, far), _ = await installation[1].installation(2, 1, ENV)
    async with Proxy("127.0.0.1", near.port) as proxy, await connect(far.url, user="bob") as bob:
        await bob.join("chat:lobby")
        url = f"ws://127.0.0.1:{proxy.port}/ws?user=ann"
        async with Program.run(*command, url, "chat:lobby") as ann:
            await ann.until("joined chat:lobby")
            ann.type("hello, ü 🐇")
            said = await bob.expect("CHAT", room="chat:lobby")
            assert (said["sender"], said["payload"]) == ("ann", {"text": "hello, ü 🐇"})
            await bob.publish("chat:lobby", {"text": "1"})
            await ann.until("sent 1", "2 bob: ")
            await proxy.cut()
            ann.type("while I was away")
            for text in ("2", "3"):
                await bob.publish("chat:lobby", {"text": text})
            await proxy.restore()
            said = await bob.expect("CHAT", room="chat:lobby", payload__text="while I was away")
            last = await bob.publish("chat:lobby", {"text": "4"})
            await ann.until(f"{last['payload']['seq']} bob: ")
            assert await ann.ended() == 0
    assert last["payload"]["seq"] == 6
    own = said["seq"]
    others = [line.partition(" bob: ") for line in ann.shown() if " bob: " in line]
    assert [int(seq) for seq, _, _ in others] == [seq for seq in range(2, 7) if seq != own]
    assert [json.loads(payload) for _, _, payload in others] == [{"text": text} for text in "1234"]
    mine = [message for message in bob.of_type("CHAT", room="chat:lobby") if message.get("sender") == "ann"]
    assert [message["seq"] for message in mine] == [1, own]


@pytest.mark.parametrize("language", BACKENDS)
async def test_a_backend_in_another_language_notifies_and_hears(
    language: str, languages: list[str], installation: tuple[str, Pods]
) -> None:
    """Its notification reaches a client, and it hears of the client's coming and going."""
    _need(language, languages)
    url, pods = installation
    notify, events = BACKENDS[language]
    (gateway,), _ = await pods.installation(1, 1, {**ENV, "WARREN_GATEWAY_GRACE_MS": "0"})
    keys = ("client.connected", "client.disconnected")
    async with Program.run(*events, url, "app.events", *keys) as listener:
        await listener.until("listening")
        async with await connect(gateway.url, user="ann") as ann:
            await ann.expect("JOINED", room="default")
            await listener.until("client.connected ")
            await _done(*notify, url, "room.default", '{"text": "ü 🐇"}')
            assert (await ann.expect("NOTIFICATION", room="default"))["payload"] == {"text": "ü 🐇"}
        await listener.until("client.disconnected ")
    told = [json.loads(line.partition(" ")[2]) for line in listener.lines[1:]]
    assert [(event["event"], event["user"]) for event in told] == [(key, "ann") for key in keys]


async def _done(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-2)
    said, _ = await asyncio.wait_for(process.communicate(), stretched(20))
    assert process.returncode == 0, said.decode()


@pytest.mark.parametrize("language", SERVICES)
async def test_a_service_in_another_language_answers(
    language: str, languages: list[str], installation: tuple[str, Pods]
) -> None:
    """One request at a time and many at once; a durable one comes as a message."""
    _need(language, languages)
    url, pods = installation
    (gateway,), _ = await pods.installation(1, 1, ENV)
    async with await connect(gateway.url, user="ann") as ann:
        await ann.send("REQUEST", service="echo", id="early")
        await ann.expect("ERROR", ref="early", payload__code="no_service")
        async with Program.run(*SERVICES[language], url, "echo") as service:
            await service.until("serving echo")
            for number in range(8):
                await ann.send("REQUEST", service="echo", id=f"r{number}", payload={"n": number, "ü": "🐇"})
            for number in range(8):
                answer = await ann.expect("RESPONSE", ref=f"r{number}")
                assert answer["payload"] == {"user": "ann", "payload": {"n": number, "ü": "🐇"}}
            await ann.send("REQUEST", service="echo", id="d", payload=1, durable=True)
            await ann.expect("ACCEPTED", ref="d")
            durable = await ann.expect("RESPONSE", ref="d", room="@ann")
            assert (durable["seq"], durable["payload"]) == (1, {"user": "ann", "payload": 1})
