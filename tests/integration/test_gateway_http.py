"""The HTTP side of a gateway's ports: upgrades that are none, tokens of every length, and what is told to
strangers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import msgspec
import pytest
from tests.support.gateways import House, gateway_settings, house, logged
from tests.support.raw import ask
from tests.support.tokens import SECRET, Signer
from websockets.asyncio.client import connect as websocket
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from gateway.shell.auth import MAX_TOKEN_BYTES

GET = b"GET /ws HTTP/1.1\r\nHost: h\r\n"
UPGRADE = (
    GET + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.fixture
async def home() -> AsyncIterator[House]:
    async with house() as built:
        yield built


@pytest.mark.parametrize("path", [b"/ws", b"/ws/echo"])
@pytest.mark.parametrize(
    ("request_head", "said"),
    [
        (UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"), "HTTP/1.1"),
        (UPGRADE + b"Content-Length: 5\r\n\r\nhello", "no body"),
        (UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "no body"),
        (UPGRADE.replace(b"Host: h\r\n", b""), "Host"),
        (UPGRADE + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "Sec-WebSocket-Key"),
        (UPGRADE + b"Sec-WebSocket-Version: 8\r\n", "Sec-WebSocket-Version"),
        (GET, "WebSockets only"),
    ],
)
async def test_an_upgrade_that_is_none_is_refused(
    home: House, path: bytes, request_head: bytes, said: str
) -> None:
    """It is 400 with the reason, no place is taken, and the connection ends."""
    gateway = await home.gateway()
    if b"\r\n\r\n" not in request_head:
        request_head += b"\r\n"
    answer = await ask(gateway.port, request_head.replace(b"/ws", path))
    assert " 400 Bad Request\r\n" in answer
    assert said in answer.partition("\r\n\r\n")[2]
    assert len(gateway.connections) == 0


def frame(first: int, *rest: bytes) -> bytes:
    return bytes([first]) + b"".join(rest)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (frame(0x81, b"\xfe", struct.pack("!H", 5), b"\0\0\0\0hello"), "as few bytes"),
        (frame(0x81, b"\xff", struct.pack("!Q", 5), b"\0\0\0\0hello"), "as few bytes"),
        (frame(0x81, b"\xff", struct.pack("!Q", 2**63), b"\0\0\0\0"), "63 bits"),
        (frame(0x89 | 0x40, b"\x80\0\0\0\0"), "reserved bit"),
        (frame(0x8A | 0x40, b"\x80\0\0\0\0"), "reserved bit"),
        (frame(0x88 | 0x40, b"\x80\0\0\0\0"), "reserved bit"),
    ],
)
@pytest.mark.parametrize("deflate", [False, True])
async def test_a_frame_that_breaks_the_protocol_is_closed_with_1002(
    home: House, sent: bytes, said: str, deflate: bool
) -> None:
    """Whether deflate was negotiated or not; the close frame says what was wrong."""
    gateway = await home.gateway()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else b""
    writer.write(UPGRADE.replace(b"/ws", b"/ws/echo") + offer + b"\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    writer.write(sent)
    async with asyncio.timeout(5):
        head = await reader.readexactly(2)
        payload = await reader.readexactly(head[1])
    assert (head[0], payload[:2]) == (0x88, struct.pack("!H", 1002))
    assert said in payload[2:].decode()
    writer.close()


def token_of(size: int) -> str:
    """Return a good token of exactly this length."""
    signer, exp = Signer(), int(time.time()) + 3_600
    bare = len(signer.token(exp=exp, expires_in_s=None, padding=""))
    for padding in range((size - bare) * 3 // 4 - 20, (size - bare) * 3 // 4 + 4):
        for pad in range(4):
            token = signer.token(exp=exp, expires_in_s=None, padding="x" * padding, headers={"p": "y" * pad})
            if len(token) == size:
                return token
    raise AssertionError(f"no token of {size} bytes")


@pytest.mark.parametrize("size", [8_190, 8_191, 12_000, MAX_TOKEN_BYTES])
@pytest.mark.parametrize("way", ["query", "header", "subprotocol"])
async def test_a_token_up_to_the_limit_is_taken_at_the_upgrade(home: House, size: int, way: str) -> None:
    """In whichever of the three ways it comes, beside an ordinary set of other headers."""
    await home.gateway(gateway_settings(auth={"auth": "jwt", "jwt_secret": SECRET}))
    token = token_of(size)
    reader, writer = await asyncio.open_connection("127.0.0.1", home.gateways[0].port)
    request = UPGRADE + b"Cookie: " + b"c" * 4_000 + b"\r\n"
    if way == "query":
        request = request.replace(b"/ws", f"/ws?token={token}".encode())
    elif way == "header":
        request += f"Authorization: Bearer {token}\r\n".encode()
    else:
        request += f"Sec-WebSocket-Protocol: warren.v1, bearer.{token}\r\n".encode()
    writer.write(request + b"\r\n")
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        assert b'"user":"ann"' in await reader.readuntil(b'"expires_at"')
    writer.close()


@pytest.mark.parametrize("way", ["query", "header"])
async def test_a_token_beyond_all_limits_is_told_so(
    home: House, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer says what was too long and how long a token may be; neither answer nor log repeats any of
    it.
    """
    gateway = await home.gateway(gateway_settings(auth={"auth": "jwt", "jwt_secret": SECRET}))
    token = b"e30." + b"a" * 40_000
    if way == "query":
        answer = await ask(gateway.port, UPGRADE.replace(b"/ws", b"/ws?token=" + token) + b"\r\n")
    else:
        answer = await ask(gateway.port, UPGRADE + b"Authorization: Bearer " + token + b"\r\n\r\n")
    assert " 431 " in answer.split("\r\n")[0]
    assert f"A token may have at most {MAX_TOKEN_BYTES} bytes." in answer
    assert "aaaa" not in answer + caplog.text
    metrics, _ = gateway.metrics.render()
    assert b'warren_gateway_upgrades_refused_total{reason="too_long"} 1.0' in metrics


@pytest.mark.parametrize("which", ["external", "internal"])
async def test_no_page_of_a_gateway_tells_a_version(
    home: House, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Found or not, allowed or not, readable or not, on both ports; what can't be read is one line in the
    log, without a traceback.
    """
    caplog.set_level(logging.INFO)
    gateway = await home.gateway()
    port = gateway.port if which == "external" else gateway.probes.port
    for sent in (
        b"GET /websocket-stats HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        b"DELETE /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        b"POST /ws HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        GET + b"Expect: nonsense\r\nConnection: close\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\n\r\n",
    ):
        answer = await ask(port, sent)
        assert answer.startswith("HTTP/1.")
        assert "python" not in answer.lower()
        assert "aiohttp" not in answer.lower()
    assert len(logged(caplog.records, "http_malformed")) == 1
    assert not any(record.exc_info or record.name.startswith("aiohttp") for record in caplog.records)


@pytest.mark.parametrize("subprotocol", ["warren.v1", "warren.v1.msgpack"])
async def test_who_asks_for_a_small_window_gets_one(home: House, subprotocol: str) -> None:
    """Each client in a room reads the same message in the window that it asked for, and sends compressed ones
    itself.
    """
    await home.gateway()
    text = " ".join(f"word{n}" for n in range(2_000))
    async with AsyncExitStack() as stack:
        clients = []
        for bits in (9, 12, 15, None):
            factory = ClientPerMessageDeflateFactory(server_max_window_bits=bits, client_max_window_bits=True)
            socket = await stack.enter_async_context(
                websocket(
                    home.url(), proxy=None, compression=None, extensions=[factory], subprotocols=[subprotocol]
                )
            )
            answer = socket.response.headers["Sec-WebSocket-Extensions"]
            assert (
                f"server_max_window_bits={bits}" in answer if bits else "server_max_window_bits" not in answer
            )
            clients.append(socket)
        join = {"type": "JOIN", "room": "x", "payload": {"text": text}, "id": "j"}
        for socket in clients:
            await socket.send(
                json.dumps(join) if subprotocol == "warren.v1" else msgspec.msgpack.encode(join)
            )
            async with asyncio.timeout(5):
                while b"JOINED" not in (got := await socket.recv(decode=False)) or b"ref" not in got:
                    pass
        home.publish("x", json.dumps(text))
        for socket in clients:
            async with asyncio.timeout(5):
                while text.encode() not in await socket.recv(decode=False):
                    pass
