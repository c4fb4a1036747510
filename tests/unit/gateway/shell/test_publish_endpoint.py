"""What of a post is read, and when."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.eventually import MS, eventually
from tests.support.gateways import gateway_settings, house
from tests.support.raw import ask
from tests.support.tokens import SECRET

from gateway.shell import publish_endpoint
from gateway.shell.publish_endpoint import AROUND_BYTES, post_max_bytes
from warren.http_server import BODY_MAX_BYTES

HEAD = "POST /publish{query} HTTP/1.1\r\nHost: h\r\n"


def test_a_body_may_be_as_long_as_a_message_and_what_is_around_it():
    """A post of several small ones too."""
    assert post_max_bytes(1_000) == 1_000 + AROUND_BYTES


async def test_a_strangers_body_is_not_read():
    """The answer comes with the head alone: no secret, no token, too long, no length, another origin."""
    async with house() as home:
        gateway = await home.gateway(gateway_settings(auth={"auth": "jwt", "jwt_secret": SECRET}))
        long = "Content-Length: 900000\r\n"
        for query, headers, status in (
            ("?connection=x~1", long, 401),
            (f"?connection={gateway.id}~1&post=x", long, 410),
            ("?connection=h~1&post=x", long, 410),
            ("", long, 401),
            ("?connection=x~1&post=x", "Content-Length: 90000000\r\n", 413),
            ("?connection=x~1&post=x", "Transfer-Encoding: chunked\r\n", 411),
            ("", f"Origin: https://evil.test\r\n{long}", 403),
        ):
            answer = await ask(gateway.port, f"{HEAD.format(query=query)}{headers}\r\n".encode())
            assert f" {status} " in answer.split("\r\n")[0], (query, headers)


async def test_bodies_that_are_being_read_are_bounded(monkeypatch: pytest.MonkeyPatch):
    """In bytes and in time; what was reserved is given back."""
    monkeypatch.setattr(publish_endpoint, "BODIES_BYTES", 1_500)
    monkeypatch.setattr(publish_endpoint, "BODY_S", 300 * MS)
    async with house() as home:
        gateway = await home.gateway()
        message = b'{"type":"CHAT","room":"a","id":"m"}'
        head = HEAD.format(query="?user=ann")
        slow = asyncio.create_task(ask(gateway.port, f"{head}Content-Length: 1000\r\n\r\n[".encode()))
        half = message + b" " * (1_000 - len(message))
        await asyncio.sleep(0)

        async def refused() -> bool:
            answer = await ask(gateway.port, f"{head}Content-Length: 1000\r\n\r\n".encode() + half)
            return " 503 " in answer and "Retry-After: 1" in answer

        await eventually(refused)
        assert " 408 " in await slow
        answer = await ask(gateway.port, f"{head}Content-Length: 1000\r\n\r\n".encode() + half)
        assert " 200 " in answer


async def test_only_a_post_to_it_may_have_a_long_body():
    """It is asked for its length; whatever else has a body on this port ends as before."""
    async with house() as home:
        gateway = await home.gateway()
        size = BODY_MAX_BYTES + 1
        for line, statuses in (
            ("POST /ws", ("405", "413")),
            ("PUT /publish", ("405", "413")),
            ("POST /publish", ("411",)),
        ):
            chunked = f"{line} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n"
            answer = await ask(gateway.port, chunked.encode() + b"x" * size)
            assert answer.split()[1] in statuses, line
