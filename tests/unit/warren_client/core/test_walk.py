"""The promise, against a correct server: connections are cut at any moment, with frames in flight in both
directions, and answers overtake messages. In the end each message of others was read once and in order, and each own
message is in the room once and in order.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.client_scene import FakeSocket, Scene, read

from warren_client.core.rooms import RoomState
from warren_client.messages import Gap, Message

ROOM = "r"


@dataclass
class Server:
    """One room with its whole log, and the frames in flight on the client's current connection."""

    at_connect: bool = False  # it joins the client's room
    keeps: int | None = None  # messages that can be asked for; None: all
    log: list[dict[str, Any]] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    down: deque[dict[str, Any]] = field(default_factory=deque)  # to the client, in order
    acks: deque[dict[str, Any]] = field(default_factory=deque)  # to the client, in order among themselves
    socket: FakeSocket | None = None
    heard: int = 0
    is_live: bool = False
    lost: int = 0

    def connect(self, socket: FakeSocket) -> None:
        self.socket, self.heard, self.is_live = socket, 0, False
        self.down.clear()
        self.acks.clear()
        self.is_live = self.at_connect and "join=manual" not in socket.dial.url
        rooms = [ROOM] if self.is_live else []
        payload = {"connection": "g~1", "user": "ann", "rooms": rooms, "limits": {}}
        self.down.append({"type": "WELCOME", "payload": payload})
        if self.is_live:
            at = {"epoch": "e", "seq": len(self.log), "recovered": False, "missed": 0}
            self.down.append({"type": "JOINED", "room": ROOM, "payload": at})

    def publish(self, message: dict[str, Any]) -> int:
        self.log.append(message)
        seq = len(self.log)
        if self.is_live and (message["sender"] != "ann" or message.get("include_sender")):
            self.down.append(self.frame(seq))
        return seq

    def frame(self, seq: int) -> dict[str, Any]:
        message = self.log[seq - 1]
        return {
            "type": "CHAT",
            "room": ROOM,
            "epoch": "e",
            "seq": seq,
            "id": message["id"],
            "sender": message["sender"],
            "payload": message["payload"],
        }

    @property
    def is_deaf(self) -> bool:
        return self.socket is None or self.socket.closed is not None or self.heard >= len(self.socket.sent)

    def hear(self) -> None:
        """Handle the next frame from the client."""
        assert self.socket is not None
        frame = self.socket.sent[self.heard]
        self.heard += 1
        match frame["type"]:
            case "CHAT":
                seq = self.ids.get(frame["id"]) or self.publish({**frame, "sender": "ann"})
                self.ids[frame["id"]] = seq
                payload = {"seq": seq, "epoch": "e"}
                self.acks.append({"type": "ACK", "ref": frame["id"], "room": ROOM, "payload": payload})
            case "JOIN" if frame["room"] == ROOM:
                self.join(frame)
            case "JOIN":
                payload = {"epoch": "o", "seq": 0, "recovered": False, "missed": 0}
                said = {"type": "JOINED", "room": frame["room"], "ref": frame["id"], "payload": payload}
                self.down.append(said)
            case "PING":
                self.down.append({"type": "PONG", "ref": frame["id"]})

    def join(self, frame: dict[str, Any]) -> None:
        self.is_live = True
        since = (frame.get("payload") or {}).get("since")
        end = len(self.log)
        first = end - self.keeps if self.keeps is not None else 0
        is_recovered = since is not None and since["seq"] >= first
        at = since["seq"] if is_recovered else end
        missed = end - at if is_recovered else 0
        payload = {"epoch": "e", "seq": at, "recovered": is_recovered, "missed": missed}
        self.down.append({"type": "JOINED", "room": ROOM, "ref": frame["id"], "payload": payload})
        self.down.extend(self.frame(seq) for seq in range(at + 1, end + 1))


class Walk:
    """A client and a server, and everything that can happen between them."""

    def __init__(self, random: Random, *, copies: bool, limit: int, keeps: int | None, who: str) -> None:
        self.random = random
        self.copies = copies
        self.scene = Scene(random=random.random, outbox_limit=1_000)
        self.server = Server(who != "client", keeps)
        self.room = self.scene.room(ROOM, joined=False, limit=limit) if who != "server" else None
        self.inbox = self.room.inbox if self.room else self.scene.session.mailbox
        self.items: list[Message | Gap] = []
        self.own: list[Any] = []
        self.others = 0
        self.scene.connect()

    @property
    def state(self) -> RoomState:
        found = self.room or self.scene.session.rooms.get(ROOM)
        assert found is not None
        return found

    def step(self) -> None:
        getattr(self, self.random.choice(["move", "other", "send", "hear", "say", "say", "cut", "read"]))()

    def move(self) -> None:
        is_fresh = self.scene.socket is not self.server.socket and self.scene.state == "connecting"
        if is_fresh:
            self.server.connect(self.scene.socket)
        else:
            self.scene.wait(200)

    def other(self) -> None:
        self.others += 1
        self.server.publish({"sender": "bob", "id": f"b{self.others}", "payload": self.others})

    def send(self) -> None:
        copy = self.copies and self.random.random() < 0.5
        self.own.append(self.scene.send(len(self.own) + 1, ROOM, include_sender=copy))

    def hear(self) -> None:
        if not self.server.is_deaf:
            self.server.hear()

    def say(self) -> None:
        server = self.server
        if server.socket is None or server.socket.closed or server.socket is not self.scene.socket:
            return
        queue = server.acks if self.random.random() < 0.5 and server.acks else server.down
        if queue is server.acks and any(frame["type"] == "WELCOME" for frame in server.down):
            return
        if queue:
            self.scene.say(json.dumps(queue.popleft()))

    def cut(self) -> None:
        if self.random.random() < 0.12 and self.server.socket and not self.server.socket.closed:
            self.server.socket.closed = (1006, "")
            if self.server.socket is self.scene.socket:
                self.scene.drop()

    def read(self) -> None:
        for _ in range(self.random.randrange(1, 4)):
            item = self.inbox.take()
            if item is None:
                return
            assert isinstance(item, Message | Gap)
            self.items.append(item)
            if self.inbox.is_read:
                self.scene.do(self.inbox.on_space)

    def rest(self) -> None:
        """No more cuts: everything comes to rest."""
        for _ in range(20_000):
            self.move()
            self.hear()
            self.say()
            self.read()
            is_quiet = self.server.is_deaf and not self.server.down and not self.server.acks
            is_done = not len(self.scene.session.outbox) and not self.inbox.items
            if is_quiet and is_done and self.scene.state == "open" and not self.state.position.lacks:
                return
        raise AssertionError("it does not come to rest")


def walked(seed: int, **options: Any) -> Walk:
    walk = Walk(Random(seed), **options)
    for _ in range(300):
        walk.step()
    walk.rest()
    return walk


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize(("who", "limit"), [("client", 1_000), ("client", 4), ("server", 1_000), ("both", 4)])
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_whatever_is_cut_each_message_is_read_once_and_in_order(
    copies: bool, who: str, limit: int, seed: int
) -> None:
    """Nothing is lost, doubled or out of order, however slowly the application reads; no gap is told."""
    walk = walked(seed, copies=copies, limit=limit, keeps=None, who=who)
    log = walk.server.log
    assert [each["payload"] for each in log if each["sender"] == "ann"] == list(range(1, len(walk.own) + 1))
    assert all(entry.outcome.value.seq for entry in walk.own)
    began = walk.state.began_at
    assert began is not None
    first = began.seq
    if who == "both" and walk.items and isinstance(walk.items[0], Message):
        first = min(first, (walk.items[0].seq or 0) - 1)  # the server's own JOIN came first
    expected = [
        seq
        for seq, each in enumerate(log, 1)
        if seq > first and (each["sender"] == "bob" or each.get("include_sender"))
    ]
    assert [item.seq if isinstance(item, Message) else item for item in walk.items] == expected


@pytest.mark.parametrize(("who", "limit"), [("client", 1_000), ("client", 4), ("server", 1_000)])
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_what_the_server_has_no_more_is_told_as_a_gap(who: str, limit: int, seed: int) -> None:
    """With a log that forgets, each message of others is read once and in order, or a gap covers it."""
    walk = walked(seed, copies=False, limit=limit, keeps=3, who=who)
    began = walk.state.began_at
    assert began is not None
    at = began.seq
    for item in walk.items:
        if isinstance(item, Gap):
            assert item.position.seq >= at
            at = item.position.seq
            continue
        assert isinstance(item, Message)
        assert item.seq is not None
        assert item.seq > at
        skipped = [walk.server.log[seq - 1]["sender"] for seq in range(at + 1, item.seq)]
        assert set(skipped) <= {"ann"}
        at = item.seq
    assert {each["sender"] for each in walk.server.log[at:]} <= {"ann"}
    assert read(walk.scene, walk.state) == []
