"""What clients of the Pusher protocol are told of presence, carried out."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from tests.support.scripted_bus import ManualClock

from gateway.core.actions import Follow
from gateway.core.client_limits import OutboxLimits
from gateway.core.frame_batch import Member
from gateway.core.hub import Hub
from gateway.core.inputs import EndRequested, MembersListed
from gateway.core.outbox import Outbox
from gateway.core.websocket.frames import PUSHER, PUSHER_DEFLATE
from gateway.shell.pusher_presence import PusherPresence
from warren.envelope import PresenceDiff, PresenceMember, PresencePage
from warren.metrics import GatewayMetrics

ROOM, SHARD, OWN = "pusher:shop:presence-a", 2, "g~0"
ANN, BOB = (PresenceMember(f"pusher:shop:{n}", f"pusher:shop:{n}", b'{"n":1}', n) for n in (1, 2))


class Listener(Member):
    """A connection that keeps what it is told."""

    def __init__(self, name: str, variant: int = PUSHER, limits: OutboxLimits | None = None) -> None:
        super().__init__(name, "", variant, Outbox(limits or OutboxLimits()))
        self.told: list[Any] = []
        self.flushed = 0

    def put(self, item: Any, *, write: bool = True) -> None:
        self.told.append(item)

    def flush(self) -> None:
        self.flushed += 1

    def frames(self) -> list[dict[str, Any]]:
        data, found = b"".join(self.outbox.take(1_000_000)), []
        while data:
            size, start = data[1], 2
            if size == 126:
                size, start = int.from_bytes(data[2:4], "big"), 4
            found.append(json.loads(data[start : start + size]))
            data = data[start + size :]
        return found


class Rig:
    def __init__(self) -> None:
        self.hub, self.asked, self.watched, self.takes = Hub(), list[Any](), list[Any](), True
        self.presence = SimpleNamespace(watch=self._watch, unwatch=self._unwatch, follower=None)
        routers = SimpleNamespace(ask=lambda shard, query: self.asked.append((shard, query)))
        self.told = PusherPresence(
            OWN,
            self.presence,
            self.hub,
            routers,
            ManualClock(5, now=1.0),
            GatewayMetrics(),  # type: ignore[arg-type]
        )

    def _watch(self, room: str, shard: int, conn: str, *, contact: bool) -> bool:
        self.watched.append((room, shard, conn, contact))
        return self.takes

    def _unwatch(self, room: str, conn: str, *, contact: bool) -> None:
        self.watched.append((room, conn, contact))

    def follow(self, listener: Listener, user: str) -> None:
        if self.hub.find(listener.id) is None:
            self.hub.add(listener)
        self.told.follow(listener.id, "presence-a", Follow(ROOM, SHARD, True, user, b"", 100))

    def answer(self, *members: PresenceMember) -> None:
        _, query = self.asked.pop(0)
        digest = sum(member.proof for member in members)
        count = len(members)
        self.told.page(PresencePage(OWN, ROOM, query.ref, 5, count, count, digest, members))


def diff(
    version: int, digest: int, joined: tuple[PresenceMember, ...] = (), left: tuple[str, ...] = ()
) -> PresenceDiff:
    return PresenceDiff(ROOM, version, 1, 1, digest, joined, left)


def test_a_room_is_watched_and_read_once_for_all_who_follow_it() -> None:
    """In the name of a connection that there never is; the list comes as an input."""
    rig = Rig()
    one, other = Listener("g~1"), Listener("g~2")
    rig.follow(one, ANN.key)
    rig.follow(other, BOB.key)
    assert rig.presence.follower is rig.told
    assert rig.watched == [(ROOM, SHARD, OWN, False)]
    assert len(rig.asked) == 1
    rig.answer(ANN)
    assert [type(item) for item in one.told + other.told] == [MembersListed, MembersListed]
    assert json.loads(other.told[0].data)["presence"]["ids"] == ["1", "2"]
    rig.told.follow("g~1", "presence-a", Follow(ROOM, SHARD, on=False))
    rig.told.follow("g~2", "presence-a", Follow(ROOM, SHARD, on=False))
    assert rig.watched[1:] == [(ROOM, OWN, False)]


def test_each_who_comes_and_goes_is_a_frame() -> None:
    """In the words of the protocol, for each variant."""
    rig = Rig()
    plain, small = Listener("g~1"), Listener("g~2", PUSHER_DEFLATE)
    rig.follow(plain, ANN.key)
    rig.follow(small, ANN.key)
    rig.answer(ANN)
    rig.told.diff(diff(6, 3, (BOB,)))
    for listener in (plain, small):
        (frame,) = listener.frames()
        assert (frame["event"], frame["channel"], json.loads(frame["data"]), listener.flushed) == (
            "pusher_internal:member_added", "presence-a", {"user_id": "2", "user_info": {"n": 1}}, 1,
        )  # fmt: skip
    rig.told.diff(diff(7, 1, left=(BOB.key,)))
    (frame,) = plain.frames()
    assert (frame["event"], json.loads(frame["data"])) == ("pusher_internal:member_removed", {"user_id": "2"})


def test_nothing_is_withheld_from_who_reads_too_slowly() -> None:
    """It is closed, since it could not ask for what it missed."""
    rig = Rig()
    slow = Listener("g~1", limits=OutboxLimits(count=1, bytes=10, soft_bytes=5))
    rig.follow(slow, ANN.key)
    rig.answer(ANN)
    slow.outbox.put(b"12345678")
    rig.told.diff(diff(6, 3, (BOB,)))
    assert isinstance(slow.told[-1], EndRequested)


def test_a_watch_without_place_is_tried_again() -> None:
    """And what is not answered is asked again."""
    rig = Rig()
    rig.takes = False
    rig.follow(Listener("g~1"), ANN.key)
    rig.told.tick(1.1)
    assert len(rig.watched) == 2
    rig.takes = True
    rig.told.tick(1.2)
    rig.told.tick(1.3)
    assert len(rig.watched) == 3
    rig.told.tick(100.0)
    assert len(rig.asked) == 2
    rig.told.renew(SHARD)
    rig.told.doubt(SHARD)
    assert len(rig.asked) == 3
