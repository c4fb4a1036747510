"""Answers of status 200: on the wire as aiohttp would write them, whatever their connection is like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import pytest_asyncio
from aiohttp import web
from tests.support.eventually import eventually
from tests.support.raw import ask

from warren.http_server import HttpLimits, HttpServer
from warren.http_success import HttpSuccess

NOW_S = 1_796_000_000
BODY = b'{"text":"\xc3\xa9"}'


class Port:
    """A server that answers everything with success, and its clock."""

    def __init__(self) -> None:
        self.now_s = NOW_S
        self.body = BODY
        self.asked = 0
        self.success = HttpSuccess("warren", "application/json", {"Cache-Control": "no-store"})
        self.server = HttpServer(self._answer, HttpLimits(60.0, 0.1))
        self.port = 0

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked += 1
        return self.success.response(request, self.body, self.now_s)

    def connections(self) -> list[web.RequestHandler]:
        runner = self.server._runner
        assert runner is not None
        assert runner.server is not None
        return runner.server.connections

    async def ask(self, version: str, *headers: str, method: str = "POST", count: int = 1) -> list[str]:
        """Return all that comes for so many requests on one connection, the last of which ends it, by
        answer.
        """
        head = f"{method} / HTTP/{version}\r\nHost: h\r\n"
        last = "".join(f"{header}\r\n" for header in headers)
        answer = await ask(self.port, (f"{head}\r\n" * (count - 1) + f"{head}{last}\r\n").encode())
        return [f"HTTP/{each}" for each in answer.split("HTTP/")[1:]]


@pytest_asyncio.fixture
async def port() -> AsyncIterator[Port]:
    port = Port()
    port.port = await port.server.start("127.0.0.1", 0)
    yield port
    await port.server.stop()


def parts(answer: str) -> tuple[str, dict[str, str], str]:
    """Return the status line, the headers and the body."""
    head, _, body = answer.partition("\r\n\r\n")
    line, *fields = head.split("\r\n")
    return line, dict(field.split(": ", 1) for field in fields), body


async def test_an_answer_has_the_headers_that_aiohttp_would_write(port: Port):
    """The last one of the connection is aiohttp's, and says that it is the last one; date and order apart
    there is no other difference.
    """
    first, second, last = map(parts, await port.ask("1.1", "Connection: close", count=3))
    assert first == second
    assert first[0] == last[0] == "HTTP/1.1 200 OK"
    assert first[2].encode() == last[2].encode() == BODY
    assert parsedate_to_datetime(first[1].pop("Date")).timestamp() == NOW_S
    assert parsedate_to_datetime(last[1].pop("Date")) is not None
    assert last[1].pop("Connection") == "close"
    assert first[1] == last[1]
    assert first[1]["Content-Length"] == str(len(BODY))
    assert (first[1]["Server"], first[1]["Cache-Control"]) == ("warren", "no-store")


async def test_the_date_is_that_of_the_second(port: Port):
    """It is made anew when the second is another one."""
    dates = []
    for now_s in (NOW_S, NOW_S + 1):
        port.now_s = now_s
        first, _ = map(parts, await port.ask("1.1", "Connection: close", count=2))
        dates.append(parsedate_to_datetime(first[1]["Date"]).timestamp())
    assert dates == [NOW_S, NOW_S + 1]


async def test_an_older_client_is_told_that_its_connection_stays(port: Port):
    """Where it has asked for that."""
    (old,) = map(parts, await port.ask("1.0"))
    assert (old[0], old[2].encode()) == ("HTTP/1.0 200 OK", BODY)
    answers = await ask(
        port.port, b"POST / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + b"POST / HTTP/1.0\r\n\r\n"
    )
    assert answers.count(BODY.decode()) == 2
    assert answers.lower().count("connection: keep-alive\r\n") == 1


async def test_head_has_no_body(port: Port):
    """And says how long it would be."""
    (answer,) = map(parts, await port.ask("1.1", "Connection: close", method="HEAD"))
    assert answer[1]["Content-Length"] == str(len(BODY))
    assert answer[2] == ""


async def test_who_does_not_read_its_answers_gets_no_more_of_them(port: Port):
    """What waits for it is bounded: the next request is not looked at before the last answer has gone. All of
    them come when they are read.
    """
    port.body, count = b"x" * 60_000, 500
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port, limit=2**16)
    writer.write(b"POST / HTTP/1.1\r\nHost: h\r\n\r\n" * count)
    await eventually(lambda: port.asked)
    (connection,) = port.connections()
    await eventually(lambda: connection.writing_paused)
    before = port.asked
    for _ in range(20):
        await asyncio.sleep(0)
    assert port.asked == before < count
    for _ in range(count):
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(port.body)) == port.body
    assert port.asked == count
    writer.close()
