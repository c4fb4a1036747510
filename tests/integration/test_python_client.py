"""The Python client against a real Warren in a process of its own: every program of its pages, what a rate and a token's
expiry do to it, and its package as somebody installs it.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
import websockets
from tests.support.eventually import eventually, stretched
from tests.support.pods import ROOT

import warren_client
from warren import __version__
from warren_client import Message, Notice, Options, sync, testing

PAGES = ("docs/clients/python.md", "clients/python/README.md")
SECRET = "0123456789abcdef0123456789abcdef"
WHO = {"mode": "users", "watch": "anyone"}
NAMESPACES = json.dumps(
    {
        "services": [{"pattern": "echo"}],
        "namespaces": [
            {"name": "quiet", "pattern": "quiet", "receipts": "written"},
            {"name": "all", "pattern": "*", "presence": WHO, "receipts": "seen"},
        ],
    }
)


def programs() -> list[tuple[str, str]]:
    """Return the name and text of each program of the pages."""
    return [
        (f"{Path(page).stem}-{number}", text)
        for page in PAGES
        for number, text in enumerate(
            re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
        )
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[testing.Server]:
    """One for all tests of this file."""
    with testing.server({"WARREN_NAMESPACES": NAMESPACES}, timeout=stretched(30.0)) as made:
        yield made


@pytest.mark.parametrize(("name", "text"), programs(), ids=lambda value: value if len(value) < 20 else "")
def test_every_program_of_the_pages_runs(
    name: str, text: str, server: testing.Server, tmp_path: Path
) -> None:
    """As it stands there, with the address of a server of our own."""
    file = tmp_path / f"{name.replace('-', '_').lower()}.py"
    file.write_text(text)
    if "def main" not in text:
        file = file.rename(tmp_path / "test_example.py")
        command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    else:
        address = r"wss?://(?:127\.0\.0\.1:8080|chat\.example\.org)/ws"
        file.write_text(re.sub(address, server.url, text))
        command = [str(file)]
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=stretched(60.0),
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


def test_there_are_programs() -> None:
    """The test above runs some, of each page."""
    assert len(programs()) >= 7


async def test_a_busy_client_that_refreshes_its_token_and_pings_is_not_too_fast() -> None:
    """Fifteen messages at 5 a second, with PINGs, typing and fresh tokens between them: nothing is closed."""
    env = {
        "WARREN_GATEWAY_AUTH": "jwt",
        "WARREN_GATEWAY_JWT_SECRET": SECRET,
        "WARREN_GATEWAY_JWT_LEEWAY_S": "0",
    }
    tokens = 0

    async def token() -> str:
        nonlocal tokens
        tokens += 1
        return jwt.encode({"sub": "ann", "exp": int(time.time()) + 5}, SECRET, "HS256")

    options = Options(refresh_before=4.0, ping_every=0.6, pong_timeout=5.0)
    notices: list[Notice] = []
    with testing.server(env, timeout=stretched(30.0)) as made:
        client = warren_client.connect(made.url, token=token, options=options)
        listening = asyncio.ensure_future(collect(client.notices(), notices))
        async with client, client.room("r") as room:
            sending = [asyncio.ensure_future(room.send("CHAT", number)) for number in range(15)]
            while not all(each.done() for each in sending):
                room.send_ephemeral("TYPING", True)
                await asyncio.sleep(0.1)
            acks = [await each for each in sending]
        await listening
    assert [ack.seq for ack in acks] == list(range(1, 16))
    assert [notice.detail for notice in notices] == ["connecting", "open", "closed"]
    assert tokens >= 2


async def collect(source: AsyncIterator[Notice], notices: list[Notice]) -> None:
    notices.extend([notice async for notice in source])


async def test_receipts_presence_and_what_is_seen_are_told(server: testing.Server) -> None:
    """Two users on two gateways."""
    async with (
        warren_client.connect(server.urls[0], user="ann") as ann,
        warren_client.connect(server.urls[1], user="bob") as bob,
        ann.room("chat:r", presence=True) as hers,
        bob.room("chat:r") as his,
    ):
        contacts = ann.contacts(["bob", "eve"])
        await eventually(lambda: contacts.online == {"bob": True, "eve": False}, 10.0)
        await eventually(lambda: "bob" in hers.presence and hers.presence.is_complete, 10.0)
        ack = await hers.send("CHAT", "hi", receipt="seen")
        assert (await ack.written()).complete
        item = await his.receive()
        assert isinstance(item, Message)
        his.seen()
        seen = await ack.seen()
        assert (seen.complete, seen.seen) == (True, 1)
        await eventually(lambda: hers.presence.seen_by(ack) == ["bob"], 10.0)
        async with ann.room("quiet") as quiet:
            with pytest.raises(warren_client.RefusedError) as caught:
                await quiet.send("CHAT", 1, receipt="seen")
            assert caught.value.code == "forbidden"
            assert (await (await quiet.send("CHAT", 1, receipt="written")).written()).complete


async def test_what_a_backend_says_to_a_user_and_to_everyone_is_read_from_the_client(
    server: testing.Server,
) -> None:
    """In their order."""
    async with warren_client.connect(server.url, user="carl") as client:
        api = Api(server)
        await api.post("publish", {"address": "user.carl", "payload": {"n": 1}})
        await api.post("publish", {"address": "all", "payload": {"n": 2}})
        items = aiter(client)
        found = [await asyncio.wait_for(anext(items), stretched(10.0)) for _ in range(2)]
        assert [each.payload["n"] for each in found if isinstance(each, Message)] == [1, 2]


class Api:
    """The HTTP API, as a backend calls it."""

    def __init__(self, server: testing.Server) -> None:
        self._server = server

    async def post(self, verb: str, body: dict[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {self._server.api_key}"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self._server.api_url}/v1/{verb}", json=body, headers=headers) as answer,
        ):
            assert answer.status == 200, await answer.text()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Build the wheel and install it, with what it needs, into an environment of its own; run code there."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
    ]
    subprocess.run([*build, str(ROOT / "clients/python")], check=True, capture_output=True)
    (wheel,) = folder.glob("warren_client-*.whl")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, str(packages), str(wheel)], check=True, capture_output=True)
    # nothing is fetched: websockets is the one that runs these tests
    (packages / "websockets").symlink_to(Path(websockets.__file__).parent)

    def run(code: str) -> str:
        python = environment / "bin/python"
        done = subprocess.run(
            [python, "-I", "-c", code], capture_output=True, text=True, check=False, cwd=folder
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_wheel_works_where_nothing_else_is_installed(
    installed: Callable[[str], str], server: testing.Server
) -> None:
    """It needs websockets alone, is typed, and has the version of everything."""
    code = (
        "import importlib.metadata, importlib.resources, sys, warren_client.sync as sync, warren_client.testing\n"
        f"with sync.connect({server.url!r}) as client, client.room('w') as room: print(room.send('CHAT', 1).seq)\n"
        "print(importlib.metadata.version('warren-client'), importlib.metadata.requires('warren-client'))\n"
        "print(importlib.resources.files('warren_client').joinpath('py.typed').is_file())\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'warren', 'msgspec', 'aiohttp', 'embedded'}))"
    )
    seq, version, typed, others = installed(code).splitlines()
    assert (seq, typed, others) == ("1", "True", "[]")
    assert version == f"{__version__} ['websockets>=13']"


def test_the_facade_reads_while_another_thread_sends(server: testing.Server) -> None:
    """Everything is waited for in the caller's thread."""
    with (
        sync.connect(server.urls[0], user="dan") as dan,
        sync.connect(server.urls[1], user="fay") as fay,
        dan.room("chat:t") as here,
        fay.room("chat:t") as there,
    ):
        sending = threading.Thread(target=lambda: [here.send("CHAT", number) for number in range(5)])
        sending.start()
        found = [next(there) for _ in range(5)]
        sending.join()
    assert [each.payload for each in found if isinstance(each, Message)] == list(range(5))
