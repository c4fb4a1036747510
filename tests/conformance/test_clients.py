"""Clients of others connect, join, send, are sent to, ping, and see why they were closed; those that compress
are given what they ask for.

The Python ones run everywhere. ``scripts/test/conformance`` (make conformance) builds the others and says where;
without that they are skipped.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.python_clients import by_aiohttp, by_websocket_client, by_websockets
from tests.support.eventually import stretched
from tests.support.gateways import House, gateway_settings, house

CLIENTS = Path(__file__).parent / "clients"
BUILT = os.environ.get("WARREN_TEST_CONFORMANCE", "")
PLAIN = "permessage-deflate; server_no_context_takeover"


@pytest.fixture
async def home() -> AsyncIterator[House]:
    async with house() as built:
        await built.gateway(gateway_settings(limits={"message_bytes": 200_000}))
        yield built


def right(seen: dict[str, Any], extensions: str) -> None:
    """See that a client has seen what it should."""
    assert seen == {
        "extensions": extensions,
        "subprotocol": "warren.v1",
        "ack": 2,
        "chat": 2,
        "pong": "p",
        "control": True,
        "code": 4003,
    }


@pytest.mark.parametrize(
    ("client", "extensions"),
    [
        (by_websockets, PLAIN),
        (by_aiohttp, PLAIN),
        (by_websocket_client, ""),
    ],
)
async def test_a_python_client_gets_on_with_a_gateway(
    home: House, client: Callable[[str], Awaitable[dict[str, Any]]], extensions: str
) -> None:
    """Libraries that are installed with the tests."""
    async with asyncio.timeout(stretched(20)):
        right(await client(home.url()), extensions)


def command(program: str) -> list[str]:
    """Return how a built client is begun."""
    match program:
        case "ws":
            return ["node", f"{BUILT}/node/client.js"]
        case "java":
            return ["java", str(CLIENTS / "java" / "Client.java")]
        case _:
            return [f"{BUILT}/{program}"]


@pytest.mark.conformance
@pytest.mark.skipif(not BUILT, reason="make conformance builds these clients first")
@pytest.mark.parametrize(
    ("program", "option", "extensions"),
    [
        ("ws", "true", PLAIN),
        ("ws", '{"clientNoContextTakeover":true}', f"{PLAIN}; client_no_context_takeover"),
        (
            "ws",
            '{"serverMaxWindowBits":10,"clientMaxWindowBits":9}',
            f"{PLAIN}; server_max_window_bits=10; client_max_window_bits=9",
        ),
        ("ws", '{"serverMaxWindowBits":8}', ""),
        ("ws", "false", ""),
        ("gorilla", None, f"{PLAIN}; client_no_context_takeover"),
        ("gorilla", "none", ""),
        ("coder", None, f"{PLAIN}; client_no_context_takeover"),
        ("coder", "takeover", PLAIN),
        ("coder", "none", ""),
        ("java", None, ""),
    ],
)
async def test_a_client_of_another_language_gets_on_with_a_gateway(
    home: House, program: str, option: str | None, extensions: str
) -> None:
    """The npm package ws, Go's gorilla and coder, and the JDK's, with each way of compressing
    that they have.
    """
    if program == "java" and not os.environ.get("WARREN_TEST_JAVA"):
        pytest.skip("no JDK 11 or later")
    arguments = [*command(program), home.url(), *([option] if option else [])]
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(stretched(60)):
            out, error = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, error.decode()
    if program == "ws" and extensions:
        seen = json.loads(out)
        assert seen.pop("extensions") == "permessage-deflate"  # all that the library shows
        right({"extensions": extensions, **seen}, extensions)
    else:
        right(json.loads(out), extensions)
