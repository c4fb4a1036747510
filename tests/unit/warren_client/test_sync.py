"""The client without asyncio, against a server in a loop of another thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from tests.support.client_stub import Stub, stub

from warren_client import ClosedError, ConnectError, InvalidError, Message, sync


class Elsewhere:
    """A stub in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.stub: Stub | None = None
        self._ready, self._end = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: self.loop.run_until_complete(self._live()))
        self._thread.start()
        assert self._ready.wait(10)

    def run(self, work: Callable[[Stub], Coroutine[Any, Any, Any]]) -> Any:
        assert self.stub is not None
        return asyncio.run_coroutine_threadsafe(work(self.stub), self.loop).result(10)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self.loop.close()

    @property
    def url(self) -> str:
        assert self.stub is not None
        return self.stub.url

    async def _live(self) -> None:
        async with stub() as self.stub:
            self._ready.set()
            await self._end.wait()


@pytest.fixture
def server() -> Iterator[Elsewhere]:
    """One that lives as long as the test."""
    made = Elsewhere()
    yield made
    made.close()


def test_everything_waits_for_its_result(server: Elsewhere) -> None:
    """Rooms, messages, history, presence, requests and streams."""
    with sync.connect(server.url, user="ann") as client:
        assert (client.state, client.user, client.is_degraded) == ("open", "ann", False)
        assert client.limits is not None
        notices = client.notices()
        with client.room("r", presence=True, info=1) as room:
            ack = room.send("CHAT", 1, receipt="seen")
            assert (ack.seq, ack.position, "seq=1" in repr(ack)) == (1, room.position, True)
            server.run(lambda stub: stub.publish("r", 2))
            item = room.receive(timeout=5)
            assert isinstance(item, Message)
            assert item.payload == 2
            assert room.receive(timeout=0.01) is None
            room.seen()
            assert room.send_ephemeral("TYPING")
            room.presence.update(2)
            assert room.presence.now.count.users == 1
            assert [message.payload for message in room.history()] == [2, 1]
            assert room.history_page(limit=1)[1]
        assert list(room) == []
        with pytest.raises(EOFError):
            room.receive()
        assert client.send("other", "CHAT", 3).seq == 1
        assert client.request("s", {"id": 7}, timeout=5) == {"id": 7}
        assert list(client.stream("parts")) == [1, 2, 3]
        client.stream("parts").close()
        assert client.contacts(["bob"]).is_online("bob") is None
    assert list(notices) == []


def test_receipts_are_waited_for(server: Elsewhere) -> None:
    """As long as it takes."""
    with sync.connect(server.url) as client, client.room("r") as room:
        ack = room.send("CHAT", 1, receipt="seen")

        def tell(level: str) -> None:
            payload = {"level": level, "complete": True}
            frame = {"type": "RECEIPT", "ref": ack.id, "room": "r", "payload": payload}
            server.run(lambda stub: stub.say(frame))

        tell("written")
        assert ack.written().complete
        tell("seen")
        assert ack.seen().complete


def test_what_is_for_the_user_is_read_from_messages(server: Elsewhere) -> None:
    """And changes of presence and contacts from theirs."""
    with sync.connect(server.url) as client, client.room("r", presence=True) as room:
        changes, contacts = room.presence.changes(), client.contacts(["bob"])
        watched = contacts.changes()
        server.run(lambda stub: stub.say({"type": "NOTIFICATION", "payload": 1}))
        item = client.messages.receive(timeout=5)
        assert isinstance(item, Message)
        payload = {"version": 2, "count": {"users": 2, "connections": 2}, "digest": "0" * 15 + "1"}
        for name in ("r", "@bob"):
            frame = {"type": "PRESENCE", "room": name, "payload": payload}
            server.run(lambda stub, frame=frame: stub.say(frame))
        assert changes.receive(timeout=5) is not None
        change = watched.receive(timeout=5)
        assert change is not None
        assert change.online


def test_errors_come_out_and_no_thread_is_left_behind(server: Elsewhere) -> None:
    """Whether it could not be opened, or is closed."""
    before = threading.active_count()
    with pytest.raises(InvalidError):
        sync.connect("nowhere")
    with pytest.raises(ConnectError), sync.connect("ws://127.0.0.1:9/ws", open_timeout=0.1):
        pass
    with sync.connect(server.url) as client, pytest.raises(InvalidError), client.room("a b"):
        pass
    with pytest.raises(ClosedError):
        client.request("s")
    assert threading.active_count() == before


def test_a_token_callback_can_not_use_the_client_that_waits_for_it(server: Elsewhere) -> None:
    """That would wait for ever; in a thread of its own it may."""
    faults: list[InvalidError] = []

    async def token() -> str:
        try:
            client.request("s")
        except InvalidError as fault:
            faults.append(fault)
        return "t"

    client = sync.connect(server.url, token=token)
    with client:
        assert [fault.code for fault in faults] == ["wrong_thread"]
