"""One port: what is no HTTP, too long or too slow, and what all answers have in common."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from tests.support.eventually import MS, eventually, stretched
from tests.support.gateways import logged
from tests.support.raw import ask

from warren import http_server
from warren.http_server import BODY_MAX_BYTES, HEAD_MAX_BYTES, LINE_MAX_BYTES, Head, HttpLimits, HttpServer

HEAD = b"GET /page HTTP/1.1\r\nHost: h\r\n"


@given(
    st.integers(0, 3),
    st.text("ab \r\n", max_size=30).map(str.encode),
    st.binary(max_size=20),
    st.lists(st.integers(1, 9), max_size=30),
)
def test_the_head_of_a_request_is_measured_in_whatever_pieces_it_comes(
    empty: int, text: bytes, rest: bytes, cuts: list[int]
):
    """Up to its end, behind empty lines; what follows is not counted, and nothing but those lines is taken
    away.
    """
    request = b"G" + text
    sent = b"\r\n" * empty + request + b"\r\n\r\n" + rest
    head, passed, at = Head(), b"", 0
    for cut in [*cuts, len(sent)]:
        piece, at = sent[at : at + cut], at + cut
        if not piece:
            break
        passed += piece if head.whole else head.feed(piece)
    assert passed == request + b"\r\n\r\n" + rest
    assert head.whole
    assert head.size == (request + b"\r\n\r\n").index(b"\r\n\r\n")
    assert head.line == (request + b"\r\n").index(b"\r\n")


def test_a_head_that_has_not_come_whole_counts_as_it_came():
    """Its line too."""
    head = Head()
    for piece in (b"\r\n", b"GET ", b"/ HTTP/1.1\r", b"\nHost: h\r\n", b"X: a"):
        head.feed(piece)
    assert (head.size, head.whole, head.line) == (len(b"GET / HTTP/1.1\r\nHost: h\r\nX: a"), False, 14)


class Port:
    """A server under test, and what it has counted."""

    def __init__(
        self,
        *,
        one_request: bool = False,
        request_timeout_s: float = 60.0,
        function: bool = False,
        posts: bytes = b"",
        post_max_bytes: int = 0,
    ) -> None:
        self.refused: Counter[str] = Counter()
        app = web.Application()
        app.add_routes(
            [web.get("/page", self._page), web.post("/page", self._page), web.get("/fault", self._fault)]
        )
        self.server = HttpServer(
            self._answer if function else app,
            HttpLimits(request_timeout_s, 0.1, posts=posts, post_max_bytes=post_max_bytes),
            one_request=one_request,
            refused=lambda reason: self.refused.update([reason]),
            hint="Mind the limit.",
        )
        self.port = 0

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/fault":
            raise RuntimeError("a fault of ours")
        size = 0
        while chunk := await request.content.readany():
            await asyncio.sleep(0)  # so that more comes than is read
            size += len(chunk)
        return web.Response(text=f"{size} bytes to {request.path}")

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=request.path)

    async def _fault(self, _: web.Request) -> web.Response:
        raise RuntimeError("a fault of ours")

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, data: bytes) -> str:
        """Send this, and return all that comes until the server closes."""
        return await ask(self.port, data)


@asynccontextmanager
async def port(**kw: object) -> AsyncIterator[Port]:
    made = Port(**kw)  # type: ignore[arg-type]
    made.port = await made.server.start("127.0.0.1", 0)
    try:
        yield made
    finally:
        await made.server.stop()


NO_HTTP = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    b"SSH-2.0-client\r\n\r\n",
    b"GET /page HTTP/9.9\r\nHost: h\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    HEAD + b"no header\r\n\r\n",
    HEAD + b"X: a\nb\r\n\r\n",
    HEAD + b"Content-Length: many\r\n\r\n",
    HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET /page?\xff HTTP/1.1\r\nHost: h\r\n\r\n",
]


@pytest.mark.parametrize("sent", NO_HTTP)
async def test_what_is_no_http_is_one_sentence_and_one_line(sent: bytes, caplog: pytest.LogCaptureFixture):
    """The answer is 400 and tells nothing of what was sent; the log has no traceback, and counts what it
    leaves out.
    """
    async with port() as here:
        answers = [await here.ask(sent) for _ in range(3)]
        assert here.refused == {"malformed": 3}
    for answer in answers:
        assert answer.split("\r\n")[0].split(" ", 1)[1] == "400 Bad Request"
        assert answer.endswith(".\n")
        assert answer.count("\n") == 7  # four headers, and one sentence
        assert not any(word in answer for word in ("SSH", "PRI", "many", "9.9", "a\nb"))
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO] == [
        "http_malformed"
    ]
    (line,) = logged(caplog.records, "http_malformed")
    assert line["ip"] == "127.0.0.1"
    assert not any(record.exc_info for record in caplog.records)


async def test_a_body_that_cannot_be_read_is_no_traceback(caplog: pytest.LogCaptureFixture):
    """A request that was answered may have a broken body behind it."""
    async with port() as here:
        reader, writer = await here.connect()
        writer.write(b"POST /page HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"no size\r\n")
        async with asyncio.timeout(5):
            await reader.read()
        writer.close()
    assert not any(record.exc_info for record in caplog.records)


async def test_lines_that_were_left_out_are_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """The next line says how many there were since the last one."""
    async with port() as here:
        for _ in range(4):
            await here.ask(NO_HTTP[1])
        monkeypatch.setattr(http_server, "LOG_EVERY_S", 0.0)
        await here.ask(NO_HTTP[1])
    assert [line.get("more") for line in logged(caplog.records, "http_malformed")] == [None, 3]


async def test_a_fault_of_ours_is_logged_whole_and_told_without_details(caplog: pytest.LogCaptureFixture):
    """The traceback goes to the log, not to the peer, HTML or not."""
    async with port() as here:
        answer = await here.ask(b"GET /fault HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\n\r\n")
        assert here.refused == {}
    assert " 500 Internal Server Error\r\n" in answer
    assert answer.endswith("\r\n\r\nInternal error.\n")
    (record,) = (record for record in caplog.records if record.getMessage() == "request_failed")
    assert record.exc_info is not None


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"\r\n",
        HEAD + b"Expect: nonsense\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n",
        b"DELETE /page HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        b"GET /fault HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /page?" + b"a" * (LINE_MAX_BYTES + 100) + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        HEAD + b"X: aaaaaaaaaaaaaa\r\n" * 3_000 + b"\r\n",
        *NO_HTTP,
    ],
)
async def test_no_answer_tells_a_version(sent: bytes):
    """Neither of Python nor of aiohttp, whatever the status, and whoever made the answer."""
    async with port(one_request=True) as here:
        answer = await here.ask(sent)
    assert answer.startswith("HTTP/1.")
    assert "\r\nServer: warren\r\n" in answer
    assert "python" not in answer.lower()
    assert "aiohttp" not in answer.lower()


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (
            b"GET /page?" + b"a" * (LINE_MAX_BYTES + 100) + b" HTTP/1.1\r\nHost: h\r\n\r\n",
            f"The request line is longer than {LINE_MAX_BYTES}",
        ),
        (
            HEAD + b"X-Token: " + b"a" * (LINE_MAX_BYTES + 100) + b"\r\n\r\n",
            f"A header is longer than {LINE_MAX_BYTES}",
        ),
        (
            HEAD + b"X: aaaaaaaaaaaaaa\r\n" * (HEAD_MAX_BYTES // 19 + 1) + b"\r\n",
            f"together are longer than {HEAD_MAX_BYTES}",
        ),
    ],
)
async def test_what_is_too_long_is_named(sent: bytes, said: str, caplog: pytest.LogCaptureFixture):
    """The answer says which part, and its limit, also where the bytes come one by one; nothing of it is
    logged.
    """
    async with port() as here:
        assert " 431 Request Header Fields Too Large\r\n" in (answer := await here.ask(sent))
        assert answer.endswith(" bytes. Mind the limit.\n")
        assert said in answer
        reader, writer = await here.connect()
        for at in range(0, len(sent), 1_000):
            writer.write(sent[at : at + 1_000])
            await writer.drain()
        async with asyncio.timeout(5):
            assert said.encode() in await reader.read()
        writer.close()
        assert here.refused == {"too_long": 2}
        assert len(here.server.waiting) == 0
    assert "aaaa" not in caplog.text


async def test_what_is_within_the_limits_is_taken():
    """A line of nearly 20 KiB beside other headers; a body does not count, nor do empty lines before the
    request.
    """
    async with port(one_request=True) as here:
        long = b"a" * (LINE_MAX_BYTES - 100)
        for sent in (
            b"GET /page?" + long + b" HTTP/1.1\r\nHost: h\r\n\r\n",
            HEAD + b"X: " + long + b"\r\nY: " + b"b" * 8_000 + b"\r\n\r\n",
            b"\r\n" * 40_000 + HEAD + b"\r\n",
            b"POST /page HTTP/1.1\r\nHost: h\r\nContent-Length: 15000\r\n\r\n" + b"c" * 15_000,
        ):
            assert (await here.ask(sent)).startswith("HTTP/1.1 200 OK\r\n")


async def test_a_connection_serves_one_request_where_that_was_asked_for():
    """Elsewhere it stays for the next one."""
    async with port(one_request=True) as here:
        answer = await here.ask(HEAD + b"\r\n" + HEAD + b"\r\n")
        assert answer.count("200 OK") == 1
        assert "\r\nConnection: close\r\n" in answer
    async with port() as here:
        reader, writer = await here.connect()
        for _ in range(3):
            writer.write(HEAD + b"\r\n")
            assert b"200 OK" in await reader.readuntil(b"/page")
        writer.close()


@pytest.mark.parametrize(
    "sent", [b"", b"GET /pa", HEAD, b"\r\n\r\n", b"POST /page HTTP/1.1\r\nHost: h\r\nX: "]
)
async def test_a_peer_that_does_not_come_to_an_end_has_its_time(sent: bytes):
    """Whatever part of a request has come, and however steadily the next byte does, it is cut when the time
    for a request is over.
    """
    limit = 10 * MS * 30
    async with port(request_timeout_s=limit) as here:
        began = asyncio.get_running_loop().time()
        reader, writer = await here.connect()
        writer.write(sent)
        ended = asyncio.ensure_future(reader.read())
        dribble = b"\r\n" if sent == b"\r\n\r\n" else b"a"
        while not ended.done():
            if sent:
                writer.write(dribble)
            await asyncio.wait([ended], timeout=limit / 20)
            assert asyncio.get_running_loop().time() - began < limit + stretched(5)
        assert asyncio.get_running_loop().time() - began >= limit * 0.9
        writer.close()
        assert len(here.server.waiting) == 0


async def test_the_oldest_of_too_many_that_wait_goes(monkeypatch: pytest.MonkeyPatch):
    """In number and in bytes; who has sent a request does not wait any more."""
    monkeypatch.setattr(http_server, "WAITING_MAX", 3)
    async with port() as here:
        served, served_writer = await here.connect()
        served_writer.write(HEAD + b"\r\n")
        await served.readuntil(b"/page")
        peers = []
        for count in range(1, 4):
            peers.append(await here.connect())
            await eventually(lambda count=count: len(here.server.waiting) == count)
        peers.append(await here.connect())
        async with asyncio.timeout(5):
            assert await peers[0][0].read() == b""
        assert here.refused == {"too_many_waiting": 1}
        monkeypatch.setattr(http_server, "WAITING_MAX_BYTES", 2_000)
        for _, writer in peers[1:]:
            writer.write(HEAD + b"X: " + b"a" * 800)
        async with asyncio.timeout(5):
            done, _ = await asyncio.wait(
                [asyncio.ensure_future(reader.read()) for reader, _ in peers[1:]],
                return_when=asyncio.FIRST_COMPLETED,
            )
        assert len(done) == 1
        assert len(here.server.waiting) == 2
        served_writer.write(HEAD + b"\r\n")
        assert b"200 OK" in await served.readuntil(b"/page")
        for _, writer in (*peers, (served, served_writer)):
            writer.close()
        await eventually(lambda: len(here.server.waiting) == 0)


async def test_a_port_that_is_taken_is_named():
    """The error of the start says which address."""
    async with port() as here:
        other = HttpServer(web.Application(), HttpLimits(1.0, 0.1))
        with pytest.raises(OSError, match=str(here.port)):
            await other.start("127.0.0.1", here.port)
        await other.stop()


@pytest.mark.parametrize("size", [1, 1_000])
async def test_a_body_ends_its_connection_beyond_a_bound_however_it_is_cut(size: int):
    """On a port that serves one request each; what follows an answer is not looked at."""
    chunk = b"%x\r\n%b\r\n" % (size, b"x" * size)
    body = chunk * (4 * BODY_MAX_BYTES // len(chunk))
    async with port(one_request=True) as here:
        answer = await here.ask(
            b"POST /page HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + body
        )
        assert " 413 " in answer.split("\r\n")[0]
        assert here.refused == {"too_long": 1}
    async with port(one_request=True) as here:
        head = b"POST /page HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % BODY_MAX_BYTES
        answer = await here.ask(head + b"x" * BODY_MAX_BYTES)
        assert " 200 " in answer.split("\r\n")[0]


@pytest.mark.parametrize("cut", [1, 3, 1_000])
async def test_some_requests_may_have_a_longer_body(cut: int):
    """Those whose line begins as was said, however it comes; others have the bound of all."""
    async with port(one_request=True, posts=b"POST /page", post_max_bytes=2 * BODY_MAX_BYTES) as here:
        for size, line, status in (
            (2 * BODY_MAX_BYTES, b"POST /page", b"200"),
            (2 * BODY_MAX_BYTES + 1, b"POST /page", b"413"),
            (BODY_MAX_BYTES + 1, b"POST /fault", b"413"),
        ):
            head = b"\r\n" + line + b" HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size
            reader, writer = await here.connect()
            for at in range(0, len(head) - 1, cut):
                writer.write(head[at : min(at + cut, len(head) - 1)])
                await writer.drain()
                await asyncio.sleep(0)
            writer.write(head[-1:] + b"x" * size)
            assert (await asyncio.wait_for(reader.readline(), 5)).split()[1] == status
            writer.close()


async def test_a_function_answers_as_an_application_does(caplog: pytest.LogCaptureFixture):
    """What all answers have in common, faults, and the end of a connection are the same."""
    async with port(function=True) as here:
        reader, writer = await here.connect()
        for _ in range(2):
            writer.write(HEAD + b"\r\n")
            assert b"\r\nServer: warren\r\n" in await reader.readuntil(b"/page")
        writer.close()
        answer = await here.ask(b"GET /fault HTTP/1.1\r\nHost: h\r\n\r\n")
        assert answer.endswith("\r\n\r\nInternal error.\n")
        assert "\r\nServer: warren\r\n" in answer
        assert "aiohttp" not in answer
        assert " 400 " in (await here.ask(NO_HTTP[1]))
    assert len([record for record in caplog.records if record.getMessage() == "request_failed"]) == 1
    async with port(function=True, one_request=True) as here:
        assert (await here.ask(HEAD + b"\r\n" + HEAD + b"\r\n")).count("200 OK") == 1


async def test_a_body_is_read_whole_however_often_reading_stops():
    """It is larger than what is read ahead of whoever reads it, in one piece or in many, and others come
    behind it.
    """
    size = 2_000_000
    head = b"POST /page HTTP/1.1\r\nHost: h\r\n"
    whole = head + b"Content-Length: %d\r\n\r\n" % size + b"x" * size
    pieces = (
        head + b"Transfer-Encoding: chunked\r\n\r\n" + b"3e8\r\n%b\r\n" % (b"x" * 1_000) * (size // 1_000)
    )
    last = head + b"Content-Length: 3\r\nConnection: close\r\n\r\nabc"
    async with port(function=True) as here:
        answer = await here.ask(whole + pieces + b"0\r\n\r\n" + last)
    assert answer.count(f"{size} bytes to /page") == 2
    assert answer.endswith("3 bytes to /page")


async def test_a_body_that_has_come_is_not_looked_for_again(monkeypatch: pytest.MonkeyPatch):
    """The parser is given each byte once, and nothing else, where nothing has stopped it."""
    seen: list[bytes] = []
    receive = web.RequestHandler.data_received
    monkeypatch.setattr(
        web.RequestHandler, "data_received", lambda self, data: (seen.append(data), receive(self, data))[1]
    )
    sent = b"POST /page HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
    async with port(function=True) as here:
        assert (await here.ask(sent)).endswith("3 bytes to /page")
    assert b"".join(seen) == sent
    assert b"" not in seen
