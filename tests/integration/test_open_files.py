"""A gateway with few open files: it says so, refuses whom it can't take, and its internal port answers all
the while.
"""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.eventually import eventually, stretched
from tests.support.gateways import get
from tests.support.ports import free_port
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import InvalidStatus

from gateway.core.file_descriptor_capacity import FileDescriptorCapacity

SOFT, HARD = 64, 128
ROOM = FileDescriptorCapacity.of(10_000, HARD)


class Gateway:
    """A process and where it listens."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, internal: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.internal = internal
        self.log = log

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return what it has logged of an event."""
        found = [orjson.loads(line) for line in self.log.read_bytes().splitlines()]
        return [line for line in found if line["event"] == event]

    async def ask(self, path: str) -> tuple[int, Any]:
        """Ask the internal port."""
        status, body, _ = await get(f"http://127.0.0.1:{self.internal}{path}")
        return status, body

    async def lacks(self, *names: str) -> bool:
        """Say whether it is not ready for each of these reasons."""
        status, body = await self.ask("/readyz")
        return status == 503 and set(names) <= set(body["reasons"])

    async def sockets(self, count: int) -> list[asyncio.StreamWriter]:
        """Open so many at once that send nothing."""
        opened = await asyncio.gather(
            *(asyncio.open_connection("127.0.0.1", self.port) for _ in range(count))
        )
        return [writer for _, writer in opened]


def few() -> None:
    """Limit the process that is about to begin."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT, HARD))


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[Gateway]:
    """Run one without a broker: it is never ready, and its reasons are told apart."""
    port, internal, log = free_port(), free_port(), folder / "gateway.log"
    env = {
        "WARREN_GATEWAY_AUTH": "anonymous",
        "WARREN_GATEWAY_HOST": "127.0.0.1",
        "WARREN_GATEWAY_PORT": str(port),
        "WARREN_GATEWAY_INTERNAL_HOST": "127.0.0.1",
        "WARREN_GATEWAY_INTERNAL_PORT": str(internal),
        "WARREN_GATEWAY_DRAIN_MS": "0",
        "WARREN_GATEWAY_DRAIN_DEADLINE_MS": "1000",  # there is no broker to wait for
        "WARREN_AMQP_URL": "amqp://127.0.0.1:1/",
        "WARREN_LOG_FILE": str(log),
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "gateway", env=env, preexec_fn=few)
    made = Gateway(process, port, internal, log)

    async def lives() -> bool:
        try:
            return (await made.ask("/healthz"))[0] == 200
        except OSError:
            return False

    try:
        await eventually(lives, timeout_s=20)
        yield made
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), stretched(20))


async def test_the_limit_is_raised_and_what_it_does_not_allow_is_said(tmp_path: Path):
    """The soft limit becomes the hard one, and fewer places than asked for are one warning with
    what to mend.
    """
    async with gateway(tmp_path) as there:
        (limit,) = there.lines("open_files")
        (capped,) = there.lines("places_capped")
        _, metrics = await there.ask("/metrics")
    assert (limit["soft"], limit["hard"], limit["before"]) == (HARD, HARD, SOFT)
    assert (capped["level"], capped["wanted"], capped["places"]) == ("warning", 10_000, ROOM.connections)
    assert "WARREN_GATEWAY_CONNECTIONS" in capped["hint"]
    assert f"process_max_fds {HARD}.0" in str(metrics)
    assert f"warren_gateway_connection_limit {ROOM.connections}.0" in str(metrics)


@pytest.mark.parametrize("kind", ["idle", "websocket"])
async def test_too_many_clients_cost_readiness_and_never_liveness(tmp_path: Path, kind: str):
    """Whether they send a request or not: one too many gets 503, the internal port answers, the log says so
    once, and it is over when they go.
    """
    async with gateway(tmp_path) as there:
        assert not await there.lacks("open_files")
        held: list[Any] = []
        if kind == "idle":
            held = await there.sockets(4 * HARD)
            await eventually(lambda: there.lacks("open_files"), timeout_s=10)
            reader, writer = await asyncio.open_connection("127.0.0.1", there.port)
            assert (await reader.read()).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            writer.close()
            await eventually(lambda: there.lines("no_more_connections"), timeout_s=10)
            assert len(there.lines("no_more_connections")) == 1
        else:
            held = [await websocket(f"ws://127.0.0.1:{there.port}/ws") for _ in range(ROOM.connections)]
            assert await there.lacks("load")
            for _ in range(5):
                with pytest.raises(InvalidStatus) as refused:
                    await websocket(f"ws://127.0.0.1:{there.port}/ws")
                assert refused.value.response.status_code == 503
                assert refused.value.response.headers["Retry-After"] == "5"
        for _ in range(20):
            assert (await there.ask("/healthz"))[0] == 200
            assert (await there.ask("/metrics"))[0] == 200
        if kind == "idle":
            for writer in held:
                writer.close()
        else:
            await asyncio.gather(*(socket.close() for socket in held))

        async def recovered() -> bool:
            status, body = await there.ask("/readyz")
            return status == 503 and set(body["reasons"]) == {"bus", "log"}

        await eventually(recovered, timeout_s=10)
        async with websocket(f"ws://127.0.0.1:{there.port}/ws") as socket:
            assert "WELCOME" in str(await socket.recv())
        assert there.lines("no_file_for_a_connection") == []
    assert there.process.returncode == 0
