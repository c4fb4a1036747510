"""The proxy that misbehaves on demand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.support.eventually import MS, eventually
from tests.support.proxy import Proxy


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy in front of an echo server."""
    links: set[asyncio.Task[None]] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        links.add(task)
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
            links.discard(task)

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    server.close()
    await eventually(lambda: not links)


async def dial(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(proxy.host, proxy.port)


async def test_forwards_both_ways(proxy: Proxy) -> None:
    """What goes in comes out, also more than any buffer, and the end of one side reaches the other."""
    reader, writer = await dial(proxy)
    data = bytes(range(256)) * 8_192
    sending = asyncio.create_task(_send(writer, data))
    assert await reader.read(-1) == data
    await sending
    assert proxy.forwarded_bytes == 2 * len(data)
    writer.close()
    await eventually(lambda: proxy.connections == 0)


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()
    writer.write_eof()


async def test_cut_resets_and_refuses_until_restored(proxy: Proxy) -> None:
    """After a cut open connections are reset and new ones refused; after restore the same port works."""
    reader, writer = await dial(proxy)
    writer.write(b"a")
    assert await reader.readexactly(1) == b"a"
    port = proxy.port
    await proxy.cut()
    assert proxy.connections == 0
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    with pytest.raises(ConnectionRefusedError):
        await dial(proxy)
    await proxy.restore()
    assert proxy.port == port
    again_reader, again_writer = await dial(proxy)
    again_writer.write(b"b")
    assert await again_reader.readexactly(1) == b"b"
    writer.close()
    again_writer.close()


async def test_reset_still_accepts(proxy: Proxy) -> None:
    """A reset drops what is open and lets new connections in."""
    reader, writer = await dial(proxy)
    await eventually(lambda: proxy.connections == 1)
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()
    again_reader, again_writer = await dial(proxy)
    again_writer.write(b"b")
    assert await again_reader.readexactly(1) == b"b"
    again_writer.close()


async def test_a_stalled_proxy_accepts_and_forwards_nothing(proxy: Proxy) -> None:
    """While stalled nothing comes through, and nothing is lost once it flows again."""
    reader, writer = await dial(proxy)
    await eventually(lambda: proxy.connections == 1)
    proxy.stall()
    writer.write(b"held back")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(50 * MS):
            await reader.readexactly(1)
    proxy.slow()
    assert await reader.readexactly(9) == b"held back"
    writer.close()


async def test_slow_limits_the_rate(proxy: Proxy) -> None:
    """20 kB at 100 kB a second take at least 0.2 s, however fast the peers are."""
    proxy.slow(bytes_per_s=100_000)
    reader, writer = await dial(proxy)
    started = time.monotonic()
    writer.write(bytes(20_000))
    await reader.readexactly(20_000)
    assert time.monotonic() - started >= 0.2
    writer.close()


async def test_a_dead_target_ends_the_connection() -> None:
    """Where nobody listens behind the proxy, a client is accepted and dropped."""
    async with Proxy("127.0.0.1", 1) as proxy:
        reader, writer = await dial(proxy)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
