"""``python -m gateway`` as a process: what it says and how it ends when something is wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from tests.support.eventually import eventually, stretched
from tests.support.gateways import get
from tests.support.ports import free_port

NOBODY = "amqp://guest:secret@127.0.0.1:1/"


@asynccontextmanager
async def gateway(*arguments: str, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start one with these ``WARREN_…`` variables; it is killed at the end where it still runs."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WARREN_", "OTEL_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        *arguments,
        env=clean | {f"WARREN_{name}": value for name, value in env.items()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def outcome(*arguments: str, **env: str) -> tuple[int | None, str, str]:
    """Return the exit code, the standard output and the standard error of one that ends by itself."""
    async with gateway(*arguments, **env) as process:
        out, err = await asyncio.wait_for(process.communicate(), stretched(20))
        return process.returncode, out.decode(), err.decode()


async def test_wrong_settings_are_all_named():
    """Every wrong variable is one line on standard error, without a traceback, and the exit code is 2."""
    code, _, err = await outcome(
        GATEWAY_AUTH="anonymous", GATEWAY_PORT="x", GATEWAY_ROOMS="a b", GATEWAY_NONSENSE="1"
    )
    assert code == 2
    for name in ("WARREN_GATEWAY_PORT", "WARREN_GATEWAY_ROOMS", "WARREN_GATEWAY_NONSENSE"):
        assert name in err
    assert "Traceback" not in err


async def test_keys_that_cannot_be_used_are_wrong_settings():
    """A secret that is too short and a key that is none are named, and never shown."""
    code, out, err = await outcome(GATEWAY_JWT_SECRET="sesame", GATEWAY_JWT_PUBLIC_KEY="none")
    assert code == 2
    assert "WARREN_GATEWAY_JWT_SECRET" in err
    assert "WARREN_GATEWAY_JWT_PUBLIC_KEY" in err
    assert "sesame" not in out + err


async def test_unknown_arguments_show_the_usage():
    """An argument that nobody knows is refused with the usage, and the exit code is 2."""
    code, _, err = await outcome("--port=1")
    assert code == 2
    assert "usage" in err


async def test_settings_are_printed():
    """``--settings`` prints every variable with its value and meaning, secrets hidden."""
    code, out, _ = await outcome("--settings", GATEWAY_JWT_SECRET="x" * 40, GATEWAY_PORT="1234")
    assert code == 0
    assert "WARREN_GATEWAY_PORT=1234" in out
    assert "x" * 40 not in out


async def test_a_port_that_is_taken_is_one_clear_line():
    """Where the port can't be had one line names it, without a traceback, and the exit code is 1."""
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = str(server.sockets[0].getsockname()[1])
    code, out, err = await outcome(
        GATEWAY_AUTH="anonymous",
        GATEWAY_HOST="127.0.0.1",
        GATEWAY_PORT=port,
        GATEWAY_INTERNAL_PORT="0",
        AMQP_URL=NOBODY,
    )
    server.close()
    await server.wait_closed()
    lines = [orjson.loads(line) for line in out.splitlines()]
    (failed,) = [line for line in lines if line["event"] == "start_failed"]
    assert code == 1
    assert port in failed["reason"]
    assert "exception" not in failed
    assert "Traceback" not in out + err


async def test_a_dead_broker_is_waited_for_and_a_signal_ends_it():
    """Without a broker it is alive but not ready, says so in clear lines without the password, and SIGTERM
    ends it with 0.
    """
    internal = free_port()
    async with gateway(
        GATEWAY_AUTH="anonymous",
        GATEWAY_HOST="127.0.0.1",
        GATEWAY_PORT="0",
        GATEWAY_INTERNAL_HOST="127.0.0.1",
        GATEWAY_INTERNAL_PORT=str(internal),
        AMQP_URL=NOBODY,
    ) as process:

        async def answer(path: str) -> int:
            try:
                return (await get(f"http://127.0.0.1:{internal}{path}"))[0]
            except OSError:
                return 0

        await eventually(lambda: answer("/healthz"), timeout_s=20)
        assert await answer("/healthz") == 200
        assert await answer("/readyz") == 503
        process.send_signal(signal.SIGTERM)
        out, err = await asyncio.wait_for(process.communicate(), stretched(10))
    assert process.returncode == 0
    events = [orjson.loads(line)["event"] for line in out.splitlines()]
    assert any("127.0.0.1:1" in name for name in events)
    assert "secret" not in out.decode()
    assert b"Traceback" not in out + err
