"""``python -m embedded`` as a process: what it says, how it ends, and what it says when it can't begin."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from urllib.request import Request, urlopen

import orjson
import pytest
from tests.support.client import Client, connect
from tests.support.eventually import eventually, stretched
from tests.support.ports import free_port
from tests.support.rabbit import Rabbit

from embedded.__main__ import USAGE, main
from embedded.settings import API_PORT_ABOVE
from rabbit_nodes.child import Child
from warren.topology import Topology

ROOT = Path(__file__).parents[3]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def environment(**more: str) -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith(("WARREN_", "OTEL_"))}
    return {**given, **more}


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, which must come by itself."""
    command = [sys.executable, "-m", "embedded", *arguments]
    return subprocess.run(
        command, env=environment(**env), cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def port() -> int:
    """A free port whose neighbour, and the HTTP API's, is free too."""
    for _ in range(50):
        found = free_port()
        with socket.socket() as one, socket.socket() as two, socket.socket() as three:
            try:  # not only listeners take a port: the last socket of a finished test may keep it for a while
                one.bind(("127.0.0.1", found))
                two.bind(("127.0.0.1", found + 1))
                three.bind(("127.0.0.1", found + API_PORT_ABOVE))
            except OSError:
                continue
            return found
    raise RuntimeError("no free ports side by side")


@asynccontextmanager
async def running(log: Path, port: int, **env: str) -> AsyncIterator[Child]:
    """Run it, greeting said, until the end of the block."""
    with log.open("wb") as output:
        command = [sys.executable, "-m", "embedded"]
        child = Child(command, env=environment(PORT=str(port), **env), output=output, cwd=ROOT)
    try:
        await eventually(lambda: "Ctrl-C ends it" in said(log) or not child.running, timeout_s=30)
        assert child.running, said(log)
        yield child
    finally:
        child.kill()


def said(log: Path) -> str:
    """Return what it has said so far."""
    return log.read_text()


async def _two(port: int, room: str) -> tuple[Client, Client]:
    ann = await connect(f"ws://127.0.0.1:{port}/ws?user=ann")
    bob = await connect(f"ws://127.0.0.1:{port + 1}/ws?user=bob")
    for client in (ann, bob):
        await client.send("JOIN", room, id="j")
        await client.expect("JOINED", room=room, timeout_s=15)
    return ann, bob


async def test_two_gateways_one_conversation(tmp_path: Path, port: int):
    """What one says on the first gateway the other hears on the second, with its seq and its trace; Ctrl-C
    ends it in time.
    """
    log = tmp_path / "log"
    async with running(log, port) as child:
        written = said(log)
        assert f"open http://127.0.0.1:{port} in two windows" in written
        assert f"ws://127.0.0.1:{port + 1}/ws" in written
        probes = re.findall(
            r"(router|gateway [12]) +http://(127\.0\.0\.1:\d+)/metrics, /readyz, /healthz", written
        )
        assert [name for name, _ in probes] == ["router", "gateway 1", "gateway 2"]
        for _, address in probes:
            assert await asyncio.to_thread(_status, f"http://{address}/readyz") == 200
        ann, bob = await _two(port, "chat:x")
        await ann.send("CHAT", "chat:x", {"text": "hi"}, id="1", traceparent=TRACE)
        heard = await bob.expect("CHAT", room="chat:x")
        assert (heard["seq"], heard["sender"], heard["payload"]) == (1, "ann", {"text": "hi"})
        assert heard["traceparent"].startswith(TRACE[:35])
        child.send(signal.SIGINT)
        assert await asyncio.to_thread(child.wait, stretched(5.0)) == 0
        await ann.close()
        await bob.close()
    assert "Traceback" not in said(log)
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


async def test_what_it_says_to_type_reaches_a_client(tmp_path: Path, port: int):
    """The line with curl is whole: address, key and body."""
    log = tmp_path / "log"
    async with running(log, port):
        words = shlex.split(said(log)[said(log).index("curl ") :].partition("\n\n")[0])
        address, header, body = words[1], words[words.index("-H") + 1], words[words.index("--json") + 1]
        client = await connect(f"ws://127.0.0.1:{port}/ws?user=ann")
        await client.send("JOIN", "default", id="j")
        await client.expect("JOINED", room="default", timeout_s=15)
        name, _, value = header.partition(": ")
        request = Request(
            address, body.encode(), {"Content-Type": "application/json", name: value}, method="POST"
        )
        answer = await asyncio.to_thread(lambda: urlopen(request).read())
        assert orjson.loads(answer)["address"] == "room.default"
        heard = await client.expect("NOTIFICATION", room="default")
        assert heard["payload"] == {"text": "hello from a backend"}
        await client.close()


@pytest.mark.rabbit
async def test_the_same_on_a_real_rabbitmq(tmp_path: Path, port: int, rabbit: Rabbit, topology: Topology):
    """With WARREN_AMQP_URL messages and notifications take the way through that broker."""
    env = {
        "WARREN_AMQP_URL": rabbit.url,
        "WARREN_PREFIX": topology.prefix,
        "WARREN_SHARDS": str(topology.shards),
    }
    log = tmp_path / "log"
    async with running(log, port, **env) as child:
        assert "on the RabbitMQ of WARREN_AMQP_URL" in said(log)
        ann, bob = await _two(port, "chat:x")
        await ann.send("CHAT", "chat:x", "hi", id="1")
        assert (await bob.expect("CHAT"))["seq"] == 1
        status = await asyncio.to_thread(_notify, port, {"to": "user", "name": "bob", "payload": {"n": 1}})
        assert status == 200
        assert (await bob.expect("NOTIFICATION"))["payload"] == {"n": 1}
        child.send(signal.SIGINT)
        assert await asyncio.to_thread(child.wait, 5.0) == 0
        await ann.close()
        await bob.close()


def _status(url: str) -> int:
    with urlopen(url, timeout=10) as answer:
        return int(answer.status)


def _notify(port: int, body: object) -> int:
    request = Request(
        f"http://127.0.0.1:{port}/demo/notify", orjson.dumps(body), {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=10) as answer:
        return int(answer.status)


def test_a_broker_that_is_not_there_is_one_clear_line(port: int):
    """The variable, the host and the reason are named, the password is not; nothing is started, and the exit
    code is 1.
    """
    ended = run(PORT=str(port), WARREN_AMQP_URL=f"amqp://u:s3cret@127.0.0.1:{free_port()}/")
    assert ended.returncode == 1
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert "WARREN_AMQP_URL can't be reached: 127.0.0.1:" in line
    assert "s3cret" not in line


@pytest.mark.parametrize("which", [0, 1])
def test_a_port_that_is_taken_is_one_clear_line(port: int, which: int):
    """Whichever of the two is taken is named, with what to do; nothing is started, and the exit code is 1."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port + which))
        other.listen()
        ended = run(PORT=str(port))
    assert ended.returncode == 1
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert f"port {port + which} of 127.0.0.1 is taken" in line
    assert "PORT=" in line


def test_wrong_settings_are_all_named():
    """Each problem is a line with the variable's name; the exit code is 2 and there is no traceback."""
    ended = run(PORT="http", WARREN_SHARDS="none", WARREN_GATEWAY_HOSTT="x")
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    assert [
        any(name in line for line in lines) for name in ("PORT:", "WARREN_SHARDS:", "WARREN_GATEWAY_HOSTT:")
    ] == [
        True,
        True,
        True,
    ]
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("-h", 0), ("--port", 2)])
def test_arguments(capsys: pytest.CaptureFixture[str], argument: str, code: int):
    """--help prints the usage; whatever else is refused with it."""
    assert main([argument]) == code
    printed = capsys.readouterr()
    assert USAGE in (printed.out if code == 0 else printed.err)
