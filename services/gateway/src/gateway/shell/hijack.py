"""Parting: a socket leaves aiohttp once its upgrade is to be answered.

aiohttp's request, its parser, its buffers and its two tasks for each connection are there for HTTP; a
WebSocket that stays for hours needs none of them. The transport gets another protocol, and aiohttp is told
that it has lost the connection, which frees all that it held. Nothing is written here, and nothing is
decided. ``websocket_transport.py`` calls it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter


@dataclass(frozen=True, slots=True)
class HijackedSocket:
    """What is left of an upgrade. ``rest`` are bytes that came behind the request; ``blocked``: the transport
    takes no more at present; ``response`` is what the route gives back.
    """

    transport: asyncio.Transport
    rest: bytes
    blocked: bool
    response: web.StreamResponse


class _Rest:
    """Takes what aiohttp has read beyond the request; it hands that to whatever parser follows."""

    def __init__(self) -> None:
        self.bytes = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.bytes += data
        return False, b""

    def feed_eof(self) -> None:
        pass


class _Nothing(web.StreamResponse):
    """The response of a route whose socket is not aiohttp's any more: there is nothing to write."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        pass


def part(request: web.Request, successor: asyncio.Protocol) -> HijackedSocket:
    """Take the socket of a request away from aiohttp and give it to ``successor``, whose ``connection_made``
    is not called. Raises ConnectionResetError where the peer has gone.
    """
    former, transport = request.protocol, request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the peer has gone")
    blocked = former.writing_paused
    rest = _Rest()
    former.set_parser(rest)  # type: ignore[arg-type]
    transport.set_protocol(successor)
    former.transport = None  # or it would be closed
    former.connection_lost(None)
    return HijackedSocket(transport, rest.bytes, blocked, _Nothing(status=101))
