"""`make run-rabbit` as a developer types it: four processes on a private broker, and nothing left
afterwards.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
import pytest
from tests.support.client import connect
from tests.support.eventually import eventually, stretched
from tests.support.ports import free_beside

from rabbit_nodes.child import Child
from rabbit_nodes.ports import PORTS_VARIABLE
from warren.topology import DEFAULT_SHARDS

pytestmark = pytest.mark.rabbit
ROOT = Path(__file__).parents[2]
# As from a terminal: what is started in the background (a test run may be) ignores Ctrl-C, and so does all
# that it starts.
_COMMAND = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("scripts.dev.run_rabbit", run_name="__main__")
"""


class Run:
    """One run of the command, with a folder for temporary files of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_beside(1, 2, 10, 11)
        self.folder = folder / "temporary"
        self.folder.mkdir()
        self.output = folder / "output"
        env = {
            name: value
            for name, value in os.environ.items()
            if name == PORTS_VARIABLE or not name.startswith(("WARREN_", "OTEL_"))
        }
        with self.output.open("wb") as output:
            self.child = Child(
                [sys.executable, "-c", _COMMAND],
                env=env | {"PORT": str(self.port), "TMPDIR": str(self.folder), "PYTHONUNBUFFERED": "1"},
                output=output,
                cwd=ROOT,
            )

    def text(self) -> str:
        return self.output.read_text()

    def processes(self) -> list[psutil.Process]:
        return psutil.Process(self.child.pid).children(recursive=True)

    async def up(self) -> None:
        def told() -> bool:
            if not self.child.running:
                pytest.fail(f"ended with {self.child.exit_code}:\n{self.text()}", pytrace=False)
            return "Ctrl-C ends it." in self.text()

        await eventually(told, timeout_s=60, every_s=0.1)

    def url(self, number: int) -> str:
        return f"ws://127.0.0.1:{self.port + number - 1}/ws"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """The command, started."""
    run = Run(tmp_path)
    try:
        yield run
    finally:
        run.child.kill()
        sys.stdout.write(run.text())


def gone(processes: list[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


async def test_two_gateways_talk_and_ctrl_c_ends_all_in_five_seconds(run: Run) -> None:
    """A message crosses from one gateway to the other; after SIGINT every process and every temporary file is
    gone within 5 s.
    """
    await run.up()
    async with await connect(run.url(1), user="ann") as ann, await connect(run.url(2), user="bob") as bob:
        await ann.expect("JOINED", room="default")
        await bob.expect("JOINED", room="default")
        await ann.publish("default", {"text": "hello"})
        assert (await bob.expect("CHAT", room="default"))["payload"] == {"text": "hello"}
        processes = run.processes()
        assert len(processes) >= 7  # four services, the page, the broker and its epmd
        began = time.monotonic()
        run.child.send(signal.SIGINT)
        assert await asyncio.to_thread(run.child.wait, stretched(10)) == 0
        assert time.monotonic() - began < stretched(5)
    assert gone(processes)
    assert list(run.folder.iterdir()) == []


async def test_the_page_has_all_that_it_can_show(run: Run) -> None:
    """Rooms tell who is there and who has seen what, and the service that the page offers answers."""
    await run.up()
    async with await connect(run.url(1), user="ann") as ann, await connect(run.url(2), user="bob") as bob:
        await bob.expect("JOINED", room="default")
        await ann.send("JOIN", "chat:lobby", {"presence": {"watch": True}}, id="j")
        joined = await ann.expect("JOINED", room="chat:lobby")
        assert joined["payload"]["presence"]["watching"] is True
        await ann.send("CHAT", "chat:lobby", 1, id="c", receipt="written")
        assert (await ann.expect("RECEIPT", room="chat:lobby"))["payload"]["complete"] is True
        await bob.send("REQUEST", payload={"how": "are you?"}, id="r", service="echo")
        assert (await bob.expect("RESPONSE"))["payload"] == {"how": "are you?"}


async def test_what_it_prints_is_true(run: Run) -> None:
    """When it says that it runs, every shard is spoken for; the command that it prints notifies a client; the
    page may connect.
    """
    await run.up()
    lines = run.text().splitlines()
    owned: list[int] = []
    for line in lines:
        if line.startswith("router-"):
            address = line.split("http://")[1].split("/")[0]
            owned += (await _json(f"http://{address}/websocket-stats"))["router"]["shards"]
    assert sorted(owned) == list(range(DEFAULT_SHARDS))
    page = next(line for line in lines if line.startswith("page")).split("open ")[1]
    assert (await _json(page.split("?")[0] + "demo/config.json"))["gateways"] == [
        f"127.0.0.1:{run.port}",
        f"127.0.0.1:{run.port + 1}",
    ]
    key = run.text().split("with the key ")[1].split()[0]
    for number in (10, 11):
        router = f"http://127.0.0.1:{run.port + number}"
        assert f"{router}/admin/" in run.text()
        asked = Request(f"{router}/v1/overview", headers={"Authorization": f"Bearer {key}"})
        assert (await _json(asked))["gateways"] == 2
    origin = page.split("/?")[0]
    async with await connect(run.url(1), user="ann", origin=origin) as ann:
        await ann.expect("JOINED", room="default")
        command = lines[lines.index("Notify as a backend does:") + 1]
        process = await asyncio.create_subprocess_shell(command, cwd=ROOT)
        assert await process.wait() == 0
        assert (await ann.expect("NOTIFICATION", room="default"))["payload"] == {"text": "from the backend"}


async def _json(url: str | Request) -> Any:
    return json.loads(await asyncio.to_thread(lambda: urlopen(url, timeout=10).read()))


async def test_a_killed_command_takes_its_processes_along(run: Run) -> None:
    """After SIGKILL no service and no broker is left running."""
    await run.up()
    processes = run.processes()
    run.child.send(signal.SIGKILL)
    await eventually(lambda: gone(processes))


async def test_a_service_that_dies_is_told_and_the_others_go_on(run: Run) -> None:
    """When one gateway is killed the command says so, and the other one still serves."""
    await run.up()
    line = next(line for line in run.text().splitlines() if line.startswith("gateway-1"))
    os.kill(int(line.split("pid ")[1].split(",")[0]), signal.SIGKILL)
    await eventually(lambda: "gateway-1 ended with -9; 4 left" in run.text())
    async with await connect(run.url(2)) as client:
        await client.settle()
