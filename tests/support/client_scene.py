"""A Python client's core on fakes: a clock that moves only when told to, and a server that is the test itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from warren_client.core.effects import Dial, FetchToken, HangUp, Write
from warren_client.core.encode import Draft
from warren_client.core.entry import Entry
from warren_client.core.link import Credentials
from warren_client.core.rooms import RoomState
from warren_client.core.session import Session
from warren_client.messages import Gap, Item, Message, Notice, Overflow, Position
from warren_client.options import Options

T = TypeVar("T")
EPOCH = 1_764_000_000_000
Frame = dict[str, Any]


class FakeSocket:
    """What the client has sent on one connection, and with what it was closed."""

    def __init__(self, dial: Dial) -> None:
        self.dial = dial
        self.sent: list[Frame] = []
        self.closed: tuple[int, str] | None = None

    def of(self, kind: str) -> list[Frame]:
        return [frame for frame in self.sent if frame["type"] == kind]

    @property
    def last(self) -> Frame:
        return self.sent[-1]


class Scene:
    """A session and everything that it does. By default ``random`` is 0.5: half of each back-off."""

    def __init__(
        self,
        *,
        random: Callable[[], float] = lambda: 0.5,
        who: Credentials | None = None,
        url: str = "ws://warren.test/ws",
        **options: Any,
    ) -> None:
        self.options = Options(**options)
        self.session = Session(url, self.options, who or Credentials(), random)
        self.now = 0.0
        self.sockets: list[FakeSocket] = []
        self.fetches: list[FetchToken] = []
        self.notices: list[Notice] = []
        self._feed = self.session.listen()

    @property
    def socket(self) -> FakeSocket:
        return self.sockets[-1]

    @property
    def state(self) -> str:
        return self.session.link.state

    def do(self, what: Callable[[], T]) -> T:
        self.session.tell(self.now, EPOCH + int(self.now))
        try:
            return what()
        finally:
            self._follow()

    def wait(self, ms: float) -> None:
        """Let time pass: each timer fires at its own time."""
        end = self.now + ms
        while (deadline := self.session.deadline) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.do(lambda: None)
        self.now = end
        self.do(lambda: None)

    def connect(self) -> None:
        self.do(self.session.link.connect)

    def open(self, **welcome: Any) -> FakeSocket:
        """Connect and say WELCOME."""
        self.connect()
        self.welcome(**welcome)
        return self.socket

    def again(self, code: int = 1006, **welcome: Any) -> FakeSocket:
        """Lose the connection, wait for the next one and say WELCOME."""
        before = len(self.sockets)
        self.drop(code)
        while len(self.sockets) == before:
            self.wait(500)
        self.welcome(**welcome)
        return self.socket

    def welcome(self, **payload: Any) -> None:
        standard = {
            "connection": "g1~1",
            "user": "ann",
            "heartbeat_ms": 30_000,
            "rooms": ["@ann"],
            "limits": {},
        }
        self.say({"type": "WELCOME", "payload": standard | {"expires_at": None} | payload})

    def say(self, frame: Frame | str) -> None:
        text = frame if isinstance(frame, str) else json.dumps(frame)
        life = self.socket.dial.life
        self.do(lambda: self.session.received(life, text))

    def drop(self, code: int = 1006, reason: str = "") -> None:
        life = self.socket.dial.life
        self.do(lambda: self.session.link.lost(life, code, reason))

    def token(self, token: str) -> None:
        life = self.fetches[-1].life
        self.do(lambda: self.session.token(life, token))

    def room(
        self,
        name: str = "r",
        *,
        since: Position | None = None,
        overflow: Overflow = "catch_up",
        limit: int = 1_000,
        presence: bool = False,
        joined: bool = True,
        **payload: Any,
    ) -> RoomState:
        """Join a room, and have the server confirm it."""
        room = self.session.room(name, since, overflow, limit)
        if presence:
            self.session.watch(room, None, False)
        self.do(lambda: self.session.join(room))
        if joined:
            self.joined(name, **payload)
        return room

    def joined(self, room: str = "r", **payload: Any) -> None:
        """Answer the last JOIN for a room, or say that the server has joined it."""
        asked = [frame["id"] for frame in self.socket.of("JOIN") if frame["room"] == room]
        standard = {"epoch": "e1", "seq": 0, "recovered": False, "missed": 0}
        about = {"ref": asked[-1]} if asked else {}  # for a room that it has joined by itself
        self.say({"type": "JOINED", "room": room, "payload": standard | payload} | about)

    def joins(self, room: str = "r") -> list[Frame]:
        return [frame for frame in self.socket.of("JOIN") if frame["room"] == room]

    def chat(self, seq: int, room: str = "r", **more: Any) -> None:
        frame = {
            "type": "CHAT",
            "room": room,
            "seq": seq,
            "epoch": "e1",
            "payload": f"m{seq}",
            "sender": "bob",
        }
        self.say(frame | more)

    def send(self, payload: Any = None, room: str | None = "r", **more: Any) -> Entry:
        draft = Draft(type="CHAT", payload=payload, room=room, **more)
        return self.do(lambda: self.session.send(draft))[0]

    def ack(self, frame: Frame, seq: int | None = None, epoch: str = "e1") -> None:
        payload = {"seq": seq, "epoch": epoch} if seq else {}
        self.say({"type": "ACK", "ref": frame["id"], "room": frame.get("room"), "payload": payload})

    def refuse(self, frame: Frame | None, code: str, **payload: Any) -> None:
        said: Frame = {"type": "ERROR", "payload": {"code": code, "message": code, "retry": False} | payload}
        self.say(said | ({"ref": frame["id"]} if frame else {}))

    def presence(self, room: str = "r", ref: str | None = None, **payload: Any) -> None:
        standard = {"version": 1, "count": {"users": 1, "connections": 1}, "digest": "0" * 16}
        frame: Frame = {"type": "PRESENCE", "room": room, "payload": standard | payload}
        self.say(frame | ({"ref": ref} if ref else {}))

    def errors(self) -> list[str]:
        return [notice.detail for notice in self.notices if notice.kind == "error"]

    def states(self) -> list[str]:
        return [notice.detail for notice in self.notices if notice.kind == "state"]

    def _follow(self) -> None:
        for effect in list(self.session.effects):
            match effect:
                case Dial():
                    self.sockets.append(FakeSocket(effect))
                case Write():
                    assert effect.life == self.socket.dial.life
                    assert self.socket.closed is None
                    self.socket.sent.append(json.loads(effect.text))
                case HangUp():
                    assert effect.life == self.socket.dial.life
                    self.socket.closed = (effect.code, effect.reason)
                case FetchToken():
                    self.fetches.append(effect)
        self.session.effects.clear()
        while (notice := self._feed.take()) is not None:
            self.notices.append(notice)


def taken(room: RoomState) -> list[Item]:
    """Take everything that waits of a room, as an application does, and go on reading."""
    found: list[Item] = []
    while (item := room.inbox.take()) is not None:
        found.append(item)
    return found


def read(scene: Scene, room: RoomState) -> list[Any]:
    """Take everything that waits: payloads of messages, and ``(since, to)`` of gaps."""
    found: list[Any] = []
    while (item := room.inbox.take()) is not None:
        if room.inbox.is_read:
            scene.do(room.inbox.on_space)
        if isinstance(item, Message):
            found.append(item.payload)
        elif isinstance(item, Gap):
            found.append((item.since.seq if item.since else None, item.position.seq))
        else:
            found.append(item)
    return found
