"""``GET /sse`` before there is a session."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.event_stream import Response
from tests.support.eventually import eventually
from tests.support.gateways import gateway_settings, house
from tests.support.raw import ask

from gateway.shell.event_streams import EventStreams


@pytest.mark.parametrize("part", ["Session", "EventStreamTransport", "Connection"])
async def test_a_fault_of_ours_leaves_no_place_and_no_socket(part: str, monkeypatch: pytest.MonkeyPatch):
    """Behind the head the socket is ours: nobody else would close it."""

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no such thing")

    async with house() as home:
        gateway = await home.gateway(gateway_settings(limits={"connections": 1}))
        monkeypatch.setattr(f"gateway.shell.event_streams.{part}", fails)
        await ask(gateway.port, b"GET /sse?user=ann HTTP/1.1\r\nHost: h\r\n\r\n")
        assert len(gateway.connections) == 0
        monkeypatch.undo()
        response = await Response.of(home.url(path="/sse?user=ann", scheme="http"))
        assert response.status == 200
        await eventually(lambda: len(gateway.connections) == 1)
        response.close()


async def test_who_has_gone_before_the_answer_takes_no_place():
    """However many of them."""
    async with house() as home:
        gateway = await home.gateway()
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(b"GET /sse?user=ann HTTP/1.1\r\nHost: h\r\n\r\n")
            writer.transport.abort()
        response = await Response.of(home.url(path="/sse?user=ann", scheme="http"))
        await eventually(lambda: len(gateway.connections) == 1)
        response.close()


async def test_each_stream_has_a_secret_of_its_own(monkeypatch: pytest.MonkeyPatch):
    """That nobody can guess; what is kept of it is a digest."""
    async with house() as home:
        gateway = await home.gateway()
        responses = [await Response.of(home.url(path="/sse?user=ann", scheme="http")) for _ in range(2)]
        await eventually(lambda: len(gateway.connections.all()) == 2)
        digests = {one.transport.post_digest for one in gateway.connections.all()}  # type: ignore[attr-defined]
        assert len(digests) == 2
        assert {len(digest) for digest in digests} == {32}
        for response in responses:
            response.close()


def test_nothing_is_served_where_it_is_switched_off():
    """No path of it."""

    class Off:
        by_http = False

    streams = EventStreams.__new__(EventStreams)
    streams._admission = Off()  # type: ignore[assignment]
    assert tuple(streams.routes) == ()
