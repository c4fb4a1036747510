"""Adapters as programs, and over a WebSocket."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from unittest.mock import AsyncMock, Mock

import psutil
import pytest
from tests.support.eventually import eventually
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from warren_conformance import adapters
from warren_conformance.adapters import ProcessAdapter, ProcessSource, SocketSource, parsed
from warren_conformance.verdicts import Broken

ECHO = """
import sys
print('{"event": "ready"}', flush=True)
for line in sys.stdin:
    print('{"event": "echo", "line": ' + line.strip() + '}', flush=True)
sys.stderr.write("so long")
sys.exit(3)
"""


@pytest.mark.parametrize("line", ["", "7", "{", '{"event": 7}', "[]", b"\xff"])
def test_what_is_no_event_is_named(line: str | bytes) -> None:
    """It is the adapter's fault, not the client's."""
    with pytest.raises(Broken, match="what is no event"):
        parsed(line)


async def test_a_program_is_spoken_to_by_lines() -> None:
    """Commands go in, events come out, and its last words are kept."""
    adapter = await ProcessSource(
        f"{sys.executable} -c '{ECHO.replace(chr(39), chr(39) + chr(34) + chr(39) + chr(34) + chr(39))}'"
    ).start()
    assert await adapter.event() == {"event": "ready"}
    await adapter.send({"do": "join"})
    assert await adapter.event() == {"event": "echo", "line": {"do": "join"}}
    await adapter.stop(10.0)
    assert await adapter.event() is None
    assert "exit code 3; so long" in adapter.last_words()


async def test_what_it_wrote_last_is_kept_though_its_end_is_known_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that has ended may have words in its pipe that nobody has read yet."""
    stderr = asyncio.StreamReader()

    def ended(*_: int) -> None:
        stderr.feed_data(b"so long")
        stderr.feed_eof()

    monkeypatch.setattr(os, "killpg", ended)
    process = Mock(pid=1, returncode=3, stderr=stderr, wait=AsyncMock(return_value=3))
    adapter = ProcessAdapter(process)
    await adapter.stop(10.0)
    assert adapter.last_words() == "exit code 3; so long"


async def test_one_that_holds_stderr_for_ever_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that left the process group is not killed with it, and may never close what it inherited."""
    monkeypatch.setattr(os, "killpg", Mock())
    monkeypatch.setattr(adapters, "_LAST_WORDS_S", 0.01)
    process = Mock(pid=1, returncode=3, stderr=asyncio.StreamReader(), wait=AsyncMock(return_value=3))
    adapter = ProcessAdapter(process)
    async with asyncio.timeout(10.0):
        await adapter.stop(10.0)
    assert adapter.last_words() == "exit code 3; "


def is_gone(pid: int) -> bool:
    """Say whether a process runs no more, whoever has to collect it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_a_program_that_does_not_end_is_killed_with_its_children() -> None:
    """Nothing is left of it."""
    adapter = await ProcessSource(
        'sh -c \'sleep 600 & echo "{\\"event\\": \\"ready\\", \\"pid\\": $!}"; wait\''
    ).start()
    ready = await adapter.event()
    assert ready is not None
    await adapter.stop(0.05)
    await eventually(lambda: is_gone(ready["pid"]))


async def test_a_program_that_is_not_there_is_named() -> None:
    """The kit says so and judges nobody."""
    with pytest.raises(Broken, match="can't be started"):
        await ProcessSource("no-such-program-anywhere").start()


async def test_an_adapter_may_come_by_itself() -> None:
    """A WebSocket serves one client, and is closed after its scenario."""
    source = SocketSource()
    async with serve(source.serve, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/", proxy=None) as page:
            await page.send('{"event": "ready"}')
            adapter = await source.start()
            assert await adapter.event() == {"event": "ready"}
            await adapter.send({"do": "close"})
            assert json.loads(await page.recv()) == {"do": "close"}
            await adapter.stop(5.0)
            assert await adapter.event() is None
            assert "1000" in adapter.last_words()
