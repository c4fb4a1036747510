"""The kit's sockets on real TCP, with the standard client of the package websockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from warren_conformance.server import TcpListener, TcpSocket
from warren_conformance.sockets import Incoming


@pytest_asyncio.fixture
async def listener() -> AsyncIterator[TcpListener]:
    found = TcpListener()
    await found.listen()
    yield found
    await found.close()


async def opened(listener: TcpListener, *offered: str) -> tuple[TcpSocket, ClientConnection]:
    dialling = asyncio.create_task(
        connect(
            listener.url, subprotocols=[Subprotocol(each) for each in offered] or None, proxy=None
        ).__aenter__()
    )
    upgrade = await listener.upgrade()
    socket = await upgrade.accept()
    return socket, await dialling


async def test_messages_go_both_ways_and_the_first_known_subprotocol_is_taken(listener: TcpListener) -> None:
    """A token among the subprotocols is shown and never chosen."""
    socket, client = await opened(listener, "bearer.t1", "warren.v1.msgpack", "warren.v1")
    assert (socket.subprotocol, client.subprotocol) == ("warren.v1.msgpack",) * 2
    await socket.send("text")
    await socket.send(b"bytes")
    assert [await client.recv(), await client.recv()] == ["text", b"bytes"]
    await client.send("up")
    assert await socket.receive() == Incoming("message", "up")
    event, _ = await asyncio.gather(socket.receive(), client.close(1001))
    assert event == Incoming("closed", code=1001)


async def test_fragments_come_with_pings_between_them(listener: TcpListener) -> None:
    """The client gets one message, and its pongs come back."""
    socket, client = await opened(listener)
    await socket.send_fragments(["ä".encode()[:1], "ä".encode()[1:], b"!"], text=True, ping=b"p")
    assert await client.recv() == "ä!"
    assert await socket.receive() == Incoming("pong", b"p")
    assert await socket.receive() == Incoming("pong", b"p")
    await client.send(["a", "b"])
    assert await socket.receive() == Incoming("message", "ab")
    assert socket.compressed
    client.transport.abort()


async def test_a_frozen_socket_reads_and_answers_nothing(listener: TcpListener) -> None:
    """Not even a ping, and the connection stays open."""
    socket, client = await opened(listener)
    reading = asyncio.create_task(socket.receive())
    socket.freeze()
    await socket.send("never")
    pong = await client.ping()
    done, _ = await asyncio.wait([pong, asyncio.ensure_future(reading)], timeout=0.2)
    assert not done
    reading.cancel()
    socket.cut()
    with pytest.raises(ConnectionClosed):
        await client.recv()
    client.transport.abort()


async def test_a_cut_has_no_close_frame_and_a_close_has_its_code(listener: TcpListener) -> None:
    """As the client sees it."""
    socket, client = await opened(listener)
    socket.cut()
    with pytest.raises(ConnectionClosed) as cut:
        await client.recv()
    assert cut.value.rcvd is None
    socket, client = await opened(listener)
    answered = asyncio.create_task(socket.receive())
    await socket.close(4006, "bye")
    with pytest.raises(ConnectionClosed) as closed:
        await client.recv()
    assert await answered == Incoming("closed", code=4006)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4006, "bye")


async def test_upgrades_are_refused_and_ports_come_back(listener: TcpListener) -> None:
    """With a status; and nobody listens between."""
    dialling = asyncio.create_task(connect(listener.url, proxy=None).__aenter__())
    await (await listener.upgrade()).refuse(503, "full", 7)
    with pytest.raises(InvalidStatus) as refused:
        await dialling
    assert refused.value.response.status_code == 503
    assert refused.value.response.headers["Retry-After"] == "7"
    await listener.stop_listening()
    with pytest.raises(OSError, match="Connect call failed"):
        await connect(listener.url, proxy=None)
    url = listener.url
    await listener.listen()
    assert listener.url == url
    _, client = await opened(listener)
    client.transport.abort()


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"\x81\x02hi", "mask"),
        (b"\x83\x80\x00\x00\x00\x00", "opcode"),
        (b"\x81\x82\x00\x00\x00\x00\xff\xfe", "UTF-8"),
        (b"\x09\x80\x00\x00\x00\x00", "fragmented"),
    ],
)
async def test_frames_that_break_the_rules_are_named(listener: TcpListener, frame: bytes, words: str) -> None:
    """A client that writes its own frames is told which rule it broke."""
    host, port = "127.0.0.1", int(listener.url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    socket = await (await listener.upgrade()).accept()
    assert b"101" in await reader.readline()
    writer.write(frame)
    event = await socket.receive()
    assert event.kind == "closed"
    assert words in event.fault
    writer.close()


async def test_what_is_no_websocket_is_no_client(listener: TcpListener) -> None:
    """Neither rubbish nor a connection that says nothing becomes an upgrade, and the next one is served."""
    port = int(listener.url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
    for rubbish in (b"\x00\x01\r\n\r\n", b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(rubbish)
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            assert b"101" not in await reader.read()
        writer.close()
    _, client = await opened(listener)
    client.transport.abort()
