"""Hijack: take a socket away from aiohttp once its upgrade is to be answered.

aiohttp's request, its parser, its buffers and its two tasks for each connection are there for HTTP; a
WebSocket that stays for hours needs none of them. The transport gets another protocol, and aiohttp is told
that it has lost the connection, which frees all that it held. Nothing is written here, and nothing is
decided.

aiohttp has no call for this and promises none of what is relied on, which stands here alone: that
``request.protocol`` hands to ``set_parser`` what it has read beyond the request, tells by ``writing_paused``
whether the transport takes more, closes its ``transport`` where it still has one, and frees everything at
``connection_lost``; and that a route may give back a response that is never written. A test fails where a new
version changes one of these.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter


@dataclass(frozen=True, slots=True)
class HijackedSocket:
    """A socket that is aiohttp's no more. ``rest`` are bytes that came behind the request; ``blocked``: the
    transport takes no more at present; ``response`` is what the route gives back.
    """

    transport: asyncio.Transport
    rest: bytes
    blocked: bool
    response: web.StreamResponse


class _Remainder:
    """Keeps what aiohttp has read beyond the request."""

    def __init__(self) -> None:
        self.bytes = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.bytes += data
        return False, b""

    def feed_eof(self) -> None:
        pass


class _NoResponse(web.StreamResponse):
    """The response of a route whose socket is not aiohttp's any more: nothing is written."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        pass


def hijack(request: web.Request, successor: asyncio.Protocol) -> HijackedSocket:
    """Take the socket of a request away from aiohttp and give it to ``successor``, whose ``connection_made``
    is not called. Raises ConnectionResetError where the peer has gone.
    """
    former, transport = request.protocol, request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the peer has gone")
    blocked = former.writing_paused
    remainder = _Remainder()
    former.set_parser(remainder)  # type: ignore[arg-type]
    transport.set_protocol(successor)
    former.transport = None  # or it would be closed
    former.connection_lost(None)
    return HijackedSocket(transport, remainder.bytes, blocked, _NoResponse(status=101))
