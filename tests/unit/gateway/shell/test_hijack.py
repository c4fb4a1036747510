"""A socket leaves aiohttp: on both kinds of event loop that a gateway may run on."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref

import pytest
import uvloop
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.web_protocol import RequestHandler
from tests.support.eventually import eventually

from gateway.shell.hijack import HijackedSocket, hijack

REQUEST = b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


class Successor(asyncio.Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.got = b""
        self.gone = False

    def data_received(self, data: bytes) -> None:
        self.got += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True


class Host:
    """A server whose route gives its socket away."""

    def __init__(self) -> None:
        self.successor = Successor()
        self.hijacked: HijackedSocket | None = None
        self.former: weakref.ref[web.Request] | None = None
        self.fault: Exception | None = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.former = weakref.ref(request)
        try:
            self.hijacked = hijack(request, self.successor)
        except ConnectionResetError as error:
            self.fault = error
            raise
        self.hijacked.transport.write(b"taken")
        return self.hijacked.response

    async def start(self) -> tuple[web.AppRunner, int]:
        app = web.Application()
        app.router.add_get("/ws", self.serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, runner.addresses[0][1]


async def walk() -> None:
    host = Host()
    runner, port = await host.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST + b"early")
    assert await asyncio.wait_for(reader.readexactly(5), 5) == b"taken"
    assert host.hijacked is not None
    assert (host.hijacked.rest, host.hijacked.blocked, host.hijacked.response.status) == (
        b"early",
        False,
        101,
    )
    writer.write(b"later")
    await eventually(lambda: host.successor.got == b"later")
    assert runner.server is not None
    assert runner.server.connections == []
    gc.collect()
    assert host.former is not None
    assert host.former() is None, "the request is kept"
    await runner.cleanup()  # which cuts what is aiohttp's
    writer.write(b".")
    await eventually(lambda: host.successor.got == b"later.")
    assert not host.successor.gone
    writer.close()
    await eventually(lambda: host.successor.gone)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_socket_stays_open_when_aiohttp_has_let_go_of_it(loop: str):
    """The successor gets what comes, aiohttp keeps nothing and closes nothing, and what came behind the
    request is handed over.
    """
    if loop == "uvloop":
        uvloop.run(walk())
    else:
        asyncio.run(walk())


async def test_a_peer_that_has_gone_is_an_error(monkeypatch: pytest.MonkeyPatch):
    """There is no socket to take, and the successor hears nothing."""
    host = Host()
    runner, port = await host.start()
    serve = host.serve

    async def late(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return await serve(request)

    monkeypatch.setattr(host, "serve", late)
    app = web.Application()
    app.router.add_get("/ws", late)
    second = web.AppRunner(app, access_log=None)
    await second.setup()
    await web.TCPSite(second, "127.0.0.1", 0).start()
    _, writer = await asyncio.open_connection("127.0.0.1", second.addresses[0][1])
    writer.write(REQUEST)
    await eventually(lambda: host.fault is not None)
    assert (host.successor.got, host.successor.gone) == (b"", False)
    writer.close()
    await second.cleanup()
    await runner.cleanup()
    assert port


def test_aiohttp_has_what_is_relied_on():
    """The names that aiohttp promises nobody are there, with these parameters and this meaning."""
    assert "transport" in BaseProtocol.__slots__
    assert isinstance(inspect.getattr_static(BaseProtocol, "writing_paused"), property)
    assert [*inspect.signature(RequestHandler.set_parser).parameters][:2] == ["self", "parser"]
    assert [*inspect.signature(RequestHandler.connection_lost).parameters] == ["self", "exc"]
    assert "parser.feed_data(self._message_tail)" in inspect.getsource(RequestHandler.set_parser)
    assert [*inspect.signature(web.StreamResponse.prepare).parameters] == ["self", "request"]
    assert [*inspect.signature(web.StreamResponse.write_eof).parameters] == ["self", "data"]
    assert isinstance(inspect.getattr_static(web.BaseRequest, "protocol"), property)
