"""A room as an application has it, and what cancellation does to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.support.client_stub import Stub
from tests.support.eventually import eventually

import warren_client
from warren_client import Client, InvalidError, LeftError, Message, Options, Position


@pytest_asyncio.fixture
async def client(server: Stub) -> AsyncIterator[Client]:
    """One that comes back fast."""
    async with warren_client.connect(server.url, options=Options(backoff=0.02, backoff_cap=0.05)) as made:
        yield made


async def receive(room: warren_client.Room, count: int) -> list[Any]:
    found = [await room.receive() for _ in range(count)]
    return [each.payload if isinstance(each, Message) else each for each in found]


async def test_messages_are_read_in_order_over_a_lost_connection(server: Stub, client: Client) -> None:
    """Each once, and what was sent meanwhile arrives once."""
    async with client.room("r") as room:
        await server.publish("r", 1)
        assert await receive(room, 1) == [1]
        await server.cut()
        await server.publish("r", 2)
        ack = await room.send("CHAT", "mine")
        assert (ack.seq, ack.position) == (3, Position("e1", 3))
        await server.publish("r", 4)
        assert await receive(room, 2) == [2, 4]
        assert room.position == Position("e1", 4)


async def test_a_loop_ends_when_the_room_is_left(server: Stub, client: Client) -> None:
    """Without an error if the application left it."""
    room = client.room("r")
    await room.join()
    await server.publish("r", 1)
    found = []
    async for item in room:
        found.append(item)
        await room.leave()
    assert len(found) == 1
    assert server.frames[-1]["type"] == "LEAVE"
    await room.leave()


async def test_who_is_taken_out_of_a_room_gets_the_reason(server: Stub, client: Client) -> None:
    """After what was there before."""
    async with client.room("r") as room:
        await server.publish("r", 1)
        await server.say({"type": "LEFT", "room": "r", "payload": {"reason": "blocked"}})
        assert await receive(room, 1) == [1]
        with pytest.raises(LeftError, match="blocked"):
            await room.receive()


async def test_a_read_that_is_cancelled_takes_nothing(server: Stub, client: Client) -> None:
    """The next one gets the message."""
    async with client.room("r") as room:
        for _ in range(20):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await room.receive()
        await server.publish("r", 1)
        assert await receive(room, 1) == [1]


async def test_a_join_that_is_cancelled_leaves_the_room(server: Stub, client: Client) -> None:
    """It can be opened again."""
    server.ignored = {"JOIN"}
    joining = asyncio.create_task(client.room("r").join())
    await eventually(lambda: [frame for frame in server.of("JOIN") if frame["room"] == "r"])
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    await eventually(lambda: server.of("LEAVE"))
    server.ignored = set()
    async with client.room("r") as room:
        assert room.name == "r"


async def test_a_send_that_is_cancelled_before_it_went_out_never_goes(server: Stub, client: Client) -> None:
    """The others do."""
    async with client.room("r") as room:
        server.refusal = (503, "later", {})
        await server.cut()
        await eventually(lambda: client.state == "waiting")
        first = asyncio.create_task(room.send("CHAT", 1))
        second = asyncio.create_task(room.send("CHAT", 2))
        await asyncio.sleep(0)
        first.cancel()
        server.refusal = None
        await second
    assert [frame["payload"] for frame in server.of("CHAT")] == [2]


async def test_a_send_that_is_cancelled_after_it_went_out_is_not_sent_again(
    server: Stub, client: Client
) -> None:
    """Another one who waits for the same id still gets the ACK."""
    server.ignored = {"CHAT"}
    async with client.room("r") as room:
        lost = asyncio.create_task(room.send("CHAT", 1))
        first = asyncio.create_task(room.send("CHAT", 2, id="m2"))
        second = asyncio.create_task(room.send("CHAT", 2, id="m2"))
        await eventually(lambda: len(server.of("CHAT")) == 2)
        lost.cancel()
        first.cancel()
        await asyncio.sleep(0)
        server.ignored = set()
        await server.cut()
        assert (await second).id == "m2"
    assert [frame["payload"] for frame in server.of("CHAT")] == [1, 2, 2]


async def test_a_room_goes_on_where_an_earlier_life_ended(server: Stub, client: Client) -> None:
    """Its position was kept as JSON."""
    for number in range(4):
        await server.publish("r", number)
    async with client.room("r", since={"epoch": "e1", "seq": 2}) as room:
        assert await receive(room, 2) == [2, 3]


async def test_a_reader_that_is_slow_catches_up(server: Stub, client: Client) -> None:
    """The queue is bounded, and nothing is lost."""
    async with client.room("r", queue_limit=4) as room:
        for number in range(50):
            await server.publish("r", number)
        assert await receive(room, 50) == list(range(50))


async def test_history_goes_back_page_by_page(server: Stub, client: Client) -> None:
    """Newest first; a page by itself is oldest first."""
    for number in range(7):
        await server.publish("r", number)
    async with client.room("r") as room:
        assert [message.payload async for message in room.history(page=3)] == list(range(6, -1, -1))
        messages, more = await room.history_page(before=4, limit=2)
        assert ([message.payload for message in messages], more) == ([1, 2], True)


async def test_presence_says_who_is_there(server: Stub, client: Client) -> None:
    """And what changes."""
    async with client.room("r", presence=True, info={"status": "here"}) as room:
        changes = room.presence.changes()
        await eventually(lambda: len(room.presence) == 1)
        assert server.of("JOIN")[-1]["payload"]["presence"] == {"watch": True, "info": {"status": "here"}}
        assert ("ann" in room.presence, "bob" in room.presence) == (True, False)
        assert [member.user for member in room.presence] == ["ann"]
        assert (room.presence.is_complete, room.presence.watching) == (True, True)
        assert (room.presence.count.users, room.presence.counts_only) == (1, False)
        await room.presence.update({"status": "away"})
        assert server.frames[-1]["payload"] == {"update": {"status": "away"}}
        payload = {"version": 2, "count": {"users": 2, "connections": 2}, "digest": "0" * 15 + "3"}
        joined = [{"user": "bob", "proof": "0" * 15 + "2"}]
        seen = {"epoch": "e1", "sum": 4, "users": {"bob": 4}}
        await server.say(
            {"type": "PRESENCE", "room": "r", "payload": payload | {"joined": joined, "seen": seen}}
        )
        kinds = [(await anext(changes)).kind for _ in range(3)]
        assert "joined" in kinds
        assert room.presence.seen_by(4) == ["bob"]
        assert room.presence.seen == {"bob": 4}
        assert room.presence.members["bob"].user == "bob"
    with pytest.raises(InvalidError, match="presence=True"):
        _ = client.room("other").presence


async def test_what_was_read_is_said_to_be_seen(server: Stub, client: Client) -> None:
    """By default the last message that was taken."""
    async with client.room("r") as room:
        room.seen()
        await server.publish("r", 1)
        await room.receive()
        room.seen()
        await eventually(lambda: server.of("SEEN"))
        assert server.of("SEEN")[0]["payload"] == {"epoch": "e1", "seq": 1}


async def test_receipts_come_with_the_ack(server: Stub, client: Client) -> None:
    """Those that were asked for."""
    async with client.room("r") as room:
        ack = await room.send("CHAT", 1, receipt="seen")
        for level in ("written", "seen"):
            payload = {"level": level, "complete": True, "readers": 1, "seen": 1}
            await server.say({"type": "RECEIPT", "ref": ack.id, "room": "r", "payload": payload})
        assert (await ack.written()).complete
        assert (await ack.seen()).seen == 1
        plain = await room.send("CHAT", 2)
        with pytest.raises(InvalidError, match="receipt"):
            await plain.written()
        assert "seq=2" in repr(plain)


async def test_ephemeral_messages_go_now(server: Stub, client: Client) -> None:
    """Without an id."""
    async with client.room("r") as room:
        assert room.send_ephemeral("TYPING", True)
        await eventually(lambda: server.of("TYPING"))
        assert "id" not in server.of("TYPING")[0]
        assert repr(room) == "Room('r')"


async def test_a_room_is_open_once(client: Client) -> None:
    """Whether it is opened anew or joined twice."""
    async with client.room("r") as room:
        with pytest.raises(InvalidError, match="share"):
            client.room("r")
        with pytest.raises(InvalidError, match="share"):
            await room.join()


async def test_nothing_that_can_not_be_meant_is_asked_for(client: Client) -> None:
    """Rooms, positions and queues are checked at once."""
    for wrong in ({"since": {"epoch": 1}}, {"overflow": "lose"}, {"queue_limit": 0}):
        with pytest.raises(InvalidError):
            client.room("r", **wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidError):
        client.room("a b")
