"""README's examples, as somebody would paste them: they are taken out of the document, and only the ports are
other ones.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from scripts.dev.run_rabbit import BROKER_PORT, DEFAULT_PORT, notify_command
from tests.support.client import connect
from tests.support.ports import embedded_port

from embedded.app import Embedded
from embedded.settings import read_embedded

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]


@asynccontextmanager
async def running() -> AsyncIterator[Embedded]:
    """What make run starts, on other ports."""
    embedded = Embedded(read_embedded({"PORT": str(embedded_port())}))
    begun = []
    try:
        for part in embedded.parts():
            begun.append(part)
            await part.start()
        yield embedded
    finally:
        for part in reversed(begun):
            await part.stop()


async def test_the_python_example_runs_with_what_make_run_installs(tmp_path: Path) -> None:
    """Saved and run by the environment's own interpreter, it prints WELCOME, JOINED and the ACK of its
    message.
    """
    [(_, text)] = [block for block in BLOCKS if block[0] == "python"]
    assert f"127.0.0.1:{DEFAULT_PORT}/ws" in text
    async with running() as embedded:
        (tmp_path / "hello.py").write_text(text.replace(f"127.0.0.1:{DEFAULT_PORT}", embedded.addresses[0]))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-u", "hello.py", cwd=tmp_path, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        heard: dict[str, dict[str, object]] = {}
        async with asyncio.timeout(60):
            while "ACK" not in heard or "JOINED" not in heard:
                frame = orjson.loads(await process.stdout.readline())
                heard[frame["type"]] = frame
        assert "WELCOME" in heard
        assert heard["ACK"]["ref"] == "1"
        process.kill()
        await process.wait()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing")
async def test_the_curl_lines_reach_a_client_tell_of_it_and_end_it() -> None:
    """With the key that make run prints, as they are written."""
    blocks = [text for kind, text in BLOCKS if kind == "sh" and "curl " in text]
    lines = "".join(blocks).replace("KEY=trial-…\n", "")

    async def run(embedded: Embedded, script: str) -> list[bytes]:
        text = script.replace("http://127.0.0.1:8090", embedded.api).replace("curl ", "curl -sS -w '\\n' ")
        process = await asyncio.create_subprocess_exec(
            "sh",
            "-ec",
            text,
            env={**os.environ, "KEY": embedded.trial_key.text},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err
        return out.splitlines()

    async with running() as embedded, await connect(f"ws://{embedded.addresses[0]}/ws?user=ann") as ann:
        await ann.join("default")
        told = [orjson.loads(line) for line in await run(embedded, lines.replace("user.USER", "user.ann"))]
        assert (await ann.expect("NOTIFICATION", room="default"))["payload"] == {
            "text": "hello from a backend"
        }
        published, presence, done = told
        assert published["address"] == "room.default"
        assert [each["user"] for each in presence["members"]] == ["ann"]
        assert done["connections"] == 1
        assert (await ann.closed())[0] == 4006


def test_what_the_python_example_imports_is_in_the_environment_of_make_run() -> None:
    """And so is what the publisher imports: requirements/run.lock has it."""
    locked = (ROOT / "requirements/run.lock").read_text()
    for package in ("aiohttp", "aio-pika"):
        assert re.search(rf"^{package}==", locked, re.MULTILINE)


def test_the_backend_command_is_the_one_that_run_rabbit_prints() -> None:
    """Word for word, with the port that its private node takes where nobody has it (test_run_rabbit runs what
    is printed).
    """
    [command] = [line for line in COMMANDS if "docs/examples" in line]
    printed = notify_command(f"amqp://guest:guest@127.0.0.1:{BROKER_PORT}/%2F")
    assert shlex.split(command)[1:] == shlex.split(printed)[1:]
    assert shlex.split(command)[0] == ".venv/bin/python"


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("make ")])
def test_the_make_targets_exist(command: str) -> None:
    """Each is known to the Makefile."""
    done = subprocess.run(
        [*shlex.split(command), "--dry-run"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_rate_limit_is_told() -> None:
    """Five messages in a second, and 4002 after that, as the settings have it."""
    settings = read_embedded({})
    limits = settings.gateways[0].limits
    assert (limits.rate, limits.rate_per_ms) == (5, 1_000)
    assert "**5 messages in a second**" in README
    assert "4002" in README
