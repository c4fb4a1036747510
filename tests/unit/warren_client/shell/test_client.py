"""The client as an application has it, against a server that does what the test says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.client_stub import Stub
from tests.support.eventually import eventually

import warren_client
from warren_client import (
    ClosedError,
    ConnectError,
    InvalidError,
    Message,
    Notice,
    Options,
    RefusedError,
    StopConnecting,
)

FAST = Options(backoff=0.02, backoff_cap=0.05)


def connect(server: Stub, **more: Any) -> warren_client.Client:
    return warren_client.connect(server.url, **({"options": FAST} | more))


async def test_it_is_open_inside_of_async_with_and_closed_behind_it(server: Stub) -> None:
    """And says who it is."""
    server.welcome = {"limits": {"rate": 5, "rate_per_ms": 1_000}}
    async with connect(server, user="ann") as client:
        assert (client.state, client.user, client.connection_id) == ("open", "ann", "g1~1")
        assert client.limits is not None
        assert client.limits.rate == 5
        assert "open" in repr(client)
        assert server.query() == {"user": ["ann"]}
    assert client.state == "closed"
    await eventually(lambda: server.connections == [])
    with pytest.raises(ClosedError):
        await client.send("r", "CHAT")


async def test_a_refusal_that_will_not_pass_is_raised_at_once(server: Stub) -> None:
    """With what the server says."""
    server.refusal = (404, "no such path", {})
    with pytest.raises(ConnectError, match="no such path") as caught:
        async with connect(server):
            pass
    assert (caught.value.status, caught.value.retry) == (404, False)


async def test_a_server_that_is_full_is_tried_again(server: Stub) -> None:
    """As long as open_timeout says; the error then has the last reason."""
    server.refusal = (503, "the pod is full", {"Retry-After": "0"})
    with pytest.raises(ConnectError, match="the pod is full"):
        async with connect(server, open_timeout=0.3):
            pass
    assert len(server.requests) > 1
    server.refusal = None
    async with connect(server) as client:
        assert client.state == "open"


async def test_nothing_answers_there() -> None:
    """The reason is in the error."""
    with pytest.raises(ConnectError, match="no connection within"):
        async with warren_client.connect("ws://127.0.0.1:9/ws", options=FAST, open_timeout=0.2):
            pass


async def test_an_open_that_is_cancelled_leaves_nothing_behind(server: Stub) -> None:
    """No task, no socket."""
    server.ignored = {"WELCOME"}
    opening = asyncio.create_task(connect(server).open())
    await eventually(lambda: server.connections)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await eventually(lambda: server.connections == [])


@pytest.mark.parametrize("kind", ["text", "function", "coroutine", "awaitable"])
async def test_a_token_may_come_from_anywhere(server: Stub, kind: str) -> None:
    """A function that blocks does not hold up the loop."""

    async def later() -> str:
        return "t.o.k"

    tokens: dict[str, Any] = {
        "text": "t.o.k",
        "function": lambda: "t.o.k",
        "coroutine": later,
        "awaitable": lambda: later(),
    }
    async with connect(server, token=tokens[kind]):
        assert server.requests[0].headers["Authorization"] == "Bearer t.o.k"


async def test_a_token_callback_that_fails_is_asked_again(server: Stub) -> None:
    """Also if it gives no token."""
    given: list[Any] = [OSError("the login is away"), "", 7, "good"]

    def token() -> Any:
        found = given.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async with connect(server, token=token):
        assert server.requests[0].headers["Authorization"] == "Bearer good"
    assert given == []


async def test_a_token_callback_may_say_stop(server: Stub) -> None:
    """Then the client is closed for good, with its reason."""

    async def token() -> str:
        raise StopConnecting("logged out")

    with pytest.raises(ClosedError, match="logged out") as caught:
        async with connect(server, token=token):
            pass
    assert caught.value.code == "stopped"
    assert server.requests == []


async def test_what_is_no_token_is_refused_at_once(server: Stub) -> None:
    """Before anything is sent."""
    for token in ("", 7):
        with pytest.raises(InvalidError, match="token"):
            connect(server, token=token)


async def test_a_client_that_is_closed_for_good_says_why(server: Stub) -> None:
    """To whoever waits for anything."""
    async with connect(server) as client, client.room("r") as room:
        server.ignored = {"CHAT", "REQUEST"}
        waiting = [
            asyncio.ensure_future(room.send("CHAT", 1)),
            asyncio.ensure_future(client.request("s")),
            asyncio.ensure_future(room.receive()),
            asyncio.ensure_future(anext(aiter(client))),
        ]
        await eventually(lambda: server.of("REQUEST"))
        payload = {"code": "replaced", "message": "another one", "close": 4007, "reconnect": "no"}
        await server.say({"type": "ERROR", "payload": payload})
        await server.cut(4007, "replaced")
        for each in waiting:
            with pytest.raises(ClosedError, match="another one") as caught:
                await each
            assert (caught.value.code, caught.value.close_code) == ("replaced", 4007)


async def test_what_is_for_the_user_is_read_from_the_client(server: Stub) -> None:
    """Its own room and everyone's."""
    async with connect(server) as client:
        await eventually(lambda: server.members["@ann"])
        await server.publish("@ann", 1)
        await server.say({"type": "NOTIFICATION", "room": "*", "epoch": "b", "seq": 1, "payload": 2})
        found = [await anext(aiter(client)) for _ in range(2)]
        assert [each.payload for each in found if isinstance(each, Message)] == [1, 2]


async def test_a_room_that_the_server_has_joined_can_be_left(server: Stub) -> None:
    """And history be read without a room."""
    await server.publish("old", 1)
    async with connect(server) as client:
        await client.leave("@ann")
        assert server.frames[-1]["type"] == "LEAVE"
        assert [message.payload async for message in client.history("old")] == [1]
        messages, more = await client.history_page("old", limit=5)
        assert (len(messages), more) == (1, False)
        with pytest.raises(InvalidError):
            await client.history_page("a b")


async def test_a_request_has_its_answer_or_its_error(server: Stub) -> None:
    """With the service's code."""
    async with connect(server) as client:
        assert await client.request("orders.get", {"id": 7}, timeout=5) == {"id": 7}
        assert server.frames[-1]["timeout_ms"] == 5_000
        server.ignored = {"REQUEST"}
        asking = asyncio.ensure_future(client.request("orders.get", id="q1"))
        await eventually(lambda: len(server.of("REQUEST")) == 2)
        await server.say({"type": "ERROR", "ref": "q1", "payload": {"code": "sold_out", "message": "gone"}})
        with pytest.raises(RefusedError) as caught:
            await asking
        assert caught.value.code == "sold_out"


async def test_a_request_that_is_cancelled_tells_the_service(server: Stub) -> None:
    """By CANCEL."""
    server.ignored = {"REQUEST"}
    async with connect(server) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.request("slow", id="q1")
        await eventually(lambda: [frame["ref"] for frame in server.of("CANCEL")] == ["q1"])


async def test_contacts_are_watched(server: Stub) -> None:
    """And told when they change."""
    async with connect(server) as client:
        contacts = client.contacts(["bob"])
        changes = contacts.changes()
        await eventually(lambda: server.of("PRESENCE"))
        payload = {"version": 1, "count": {"users": 1, "connections": 1}, "digest": "0" * 16}
        await server.say({"type": "PRESENCE", "room": "@bob", "payload": payload})
        change = await anext(changes)
        assert (change.user, change.online, contacts.is_online("bob")) == ("bob", True, True)
        assert contacts.is_online("eve") is None


async def test_notices_say_what_happens_to_the_client(server: Stub) -> None:
    """To each reader of its own, and end with the client."""
    client = connect(server)
    first, second = client.notices(), client.notices()
    async with client:
        await server.say({"type": "DEGRADED"})
        await eventually(lambda: client.is_degraded)
    for reader in (first, second):
        kinds = [(notice.kind, notice.detail) async for notice in reader]
        assert kinds[:3] == [("state", "connecting"), ("state", "open"), ("degraded", "")]
    assert isinstance(Notice("state", "open"), Notice)


async def test_a_server_that_freezes_is_left(server: Stub) -> None:
    """Another connection is opened, although the old one says nothing."""
    options = Options(backoff=0.02, ping_every=0.05, pong_timeout=0.05)
    async with connect(server, options=options) as client:
        server.ignored = {"PING"}
        await eventually(lambda: len(server.requests) > 1)
        server.ignored = set()
        await eventually(lambda: client.state == "open")
        await client.request("s", 1)


async def test_a_fault_of_the_client_ends_it_with_the_reason(
    server: Stub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with its traceback, and nobody waits for ever."""
    async with connect(server) as client, client.room("r") as room:

        def broken(*_: object) -> None:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(client._driver.session, "received", broken)
        with pytest.raises(ClosedError, match="a bug") as caught:
            await client.send("r", "CHAT", 1)
        assert caught.value.code == "internal"
        with pytest.raises(ClosedError):
            await room.receive()
    assert "a fault in it" in caplog.text


async def test_waiting_is_how_many_frames_have_no_answer(server: Stub) -> None:
    """An application may show it."""
    async with connect(server) as client:
        await eventually(lambda: client.waiting == 0)
        server.ignored = {"CHAT"}
        sending = asyncio.ensure_future(client.send("r", "CHAT", 1))
        await eventually(lambda: server.of("CHAT"))
        assert client.waiting == 1
        sending.cancel()
