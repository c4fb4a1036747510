"""HTTP success: answers of status 200 to requests of an API, each written to its socket as one byte string.

What is the same in all of them is made once, and the date once a second. aiohttp makes each response's
headers anew, which costs about a third of what a short request does. Where the answer has to say more of its
connection (an older version, one that ends) or has no body (HEAD), it is aiohttp's own. It knows no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate

from aiohttp import HttpVersion11, hdrs, web


class HttpSuccess:
    """Those with the same headers."""

    def __init__(self, server: str, content_type: str, headers: Mapping[str, str]) -> None:
        """``headers`` are those besides the names given, the date and the length."""
        self._headers = {hdrs.CONTENT_TYPE: content_type, hdrs.SERVER: server, **headers}
        self._second = -1
        self._head = b""

    def response(self, request: web.BaseRequest, body: bytes, now_s: int) -> web.StreamResponse:
        """Return the response with this body; ``now_s`` are whole seconds since the Unix epoch."""
        if request.version != HttpVersion11 or not request.keep_alive or request.method == hdrs.METH_HEAD:
            return web.Response(body=body, headers=self._headers)
        if now_s != self._second:
            self._second, self._head = now_s, self._made(now_s)
        return _Whole(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))

    def _made(self, now_s: int) -> bytes:
        """Return all up to the number of bytes that follow."""
        fields = {**self._headers, hdrs.DATE: formatdate(now_s, usegmt=True)}
        lines = [f"{name}: {value}\r\n" for name, value in fields.items()]
        return f"HTTP/1.1 200 OK\r\n{''.join(lines)}{hdrs.CONTENT_LENGTH}: ".encode()


class _Whole(web.StreamResponse):
    """A response that is at hand as it goes over the wire, to a request that keeps its connection."""

    _keep_alive = True

    def __init__(self, whole: bytes) -> None:
        super().__init__()
        self._whole = whole

    async def prepare(self, request: web.BaseRequest) -> None:
        await request.writer.write(self._whole)
        await request.writer.drain()  # who does not read its answers gets no more of them

    async def write_eof(self, data: bytes = b"") -> None:
        pass
