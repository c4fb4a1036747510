"""Who is in a room, kept right by the room's proof."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.client_scene import Scene

from warren_client.core.rooms import RoomState
from warren_client.core.roster import Roster
from warren_client.messages import Count, Member, PresenceChange


def proof(number: int) -> str:
    return f"{number % 2**64:016x}"


def member(user: str, number: int, **more: Any) -> dict[str, Any]:
    return {"user": user, "proof": proof(number)} | more


def watched(**options: Any) -> tuple[Scene, RoomState, Roster]:
    scene = Scene(ping_every=100_000, **options)
    scene.open()
    scene.joined("@ann")
    room = scene.room("r", presence=True, joined=False)
    scene.joined("r", presence={"watching": True})
    assert room.roster is not None
    return scene, room, room.roster


def first_page(scene: Scene, *members: dict[str, Any], **more: Any) -> None:
    digest = proof(sum(int(each["proof"], 16) for each in members))
    count = {"users": len(members), "connections": len(members)}
    page = {
        "page": True,
        "after": "",
        "more": False,
        "joined": list(members),
        "digest": digest,
        "count": count,
    }
    scene.presence("r", **(page | more))


def reads(scene: Scene) -> list[dict[str, Any]]:
    return [frame["payload"] for frame in scene.socket.of("PRESENCE")]


def test_a_join_watches_the_room_and_the_first_page_fills_the_roster() -> None:
    """The changes are told to whoever listens."""
    scene, _, roster = watched()
    assert scene.joins()[0]["payload"] == {"presence": {"watch": True}}
    feed = roster.listen()
    first_page(scene, member("bob", 1, info={"status": "here"}), member("eve", 2))
    assert roster.members == {"bob": Member("bob", {"status": "here"}), "eve": Member("eve")}
    assert (roster.count, roster.is_complete, roster.watching) == (Count(2, 2), True, True)
    assert [change.kind for change in feed.items] == ["joined", "joined", "count"]


def test_a_client_that_agrees_stays_silent() -> None:
    """Diffs set and remove members."""
    scene, _, roster = watched()
    first_page(scene, member("bob", 1), member("eve", 2))
    scene.presence(joined=[member("dan", 4)], left=["eve"], digest=proof(5), version=2)
    scene.presence(updated=[member("bob", 8, info=1)], digest=proof(12), version=3)
    scene.wait(60_000)
    assert roster.members == {"bob": Member("bob", 1), "dan": Member("dan")}
    assert reads(scene) == []


def test_a_client_that_differs_reads_the_room_after_a_random_delay_page_by_page() -> None:
    """What changes meanwhile counts where it is newer than its page."""
    scene, _, roster = watched()
    first_page(scene, member("bob", 1))
    scene.presence(digest=proof(15), version=5, count={"users": 4, "connections": 4})
    scene.wait(134)
    assert reads(scene) == []
    scene.wait(1)
    assert reads(scene) == [{"limit": 500, "after": ""}]
    page = {"page": True, "digest": proof(15), "version": 5, "count": {"users": 4, "connections": 4}}
    ref = scene.socket.last["id"]
    scene.presence(ref=ref, after="", more=True, joined=[member("bob", 1), member("dan", 2)], **page)
    assert reads(scene)[-1] == {"limit": 500, "after": "dan"}
    scene.presence(joined=[member("zoe", 16)], left=["dan"], digest=proof(29), version=6)
    late = page | {"digest": proof(29), "version": 7}
    ref = scene.socket.last["id"]
    rest = [member("eve", 4), member("fay", 8), member("zoe", 16)]
    scene.presence(ref=ref, after="dan", more=False, joined=rest, **late)
    assert sorted(roster.members) == ["bob", "eve", "fay", "zoe"]
    assert roster.is_complete


def test_a_later_diff_that_makes_it_agree_saves_the_read() -> None:
    """Its time was random."""
    scene, _, _ = watched()
    first_page(scene, member("bob", 1))
    scene.presence(digest=proof(3), version=2)
    scene.presence(joined=[member("eve", 2)], digest=proof(3), version=3)
    scene.wait(60_000)
    assert reads(scene) == []


def test_reads_that_do_not_help_become_rarer() -> None:
    """A room whose proof is never right does not keep its clients busy."""
    scene, _, _ = watched()
    first_page(scene, member("bob", 1))
    scene.presence(digest=proof(9), version=2)
    for _ in range(1_000):
        scene.wait(100)
        if len(scene.socket.of("PRESENCE")) and scene.session.outbox.get(scene.socket.last["id"]):
            first_page(scene, member("bob", 1), digest=proof(9), version=2)
            scene.say({"type": "PRESENCE", "ref": scene.socket.last["id"], "payload": {}})
    assert 5 < len(reads(scene)) < 40


@pytest.mark.parametrize("retry", [True, False])
def test_a_read_that_is_refused_is_repeated_only_if_the_server_says_so(retry: bool) -> None:
    """It may have forbidden it."""
    scene, _, _ = watched()
    first_page(scene, member("bob", 1))
    scene.presence(digest=proof(9), version=2)
    scene.wait(1_000)
    scene.refuse(scene.socket.last, "overloaded", retry=retry)
    scene.wait(10_000)
    assert len(reads(scene)) == (2 if retry else 1)


def test_a_reconnect_empties_nothing_and_says_what_is_known() -> None:
    """If it is still right, no names come."""
    scene, _, roster = watched()
    first_page(scene, member("bob", 1), member("eve", 2))
    feed = roster.listen()
    scene.again()
    assert scene.joins()[0]["payload"]["presence"] == {"watch": True, "digest": proof(3)}
    scene.joined("r", presence={"watching": True})
    scene.presence(digest=proof(3), version=9, count={"users": 2, "connections": 2})
    assert sorted(roster.members) == ["bob", "eve"]
    assert list(feed.items) == []


def test_a_room_with_too_many_members_tells_numbers_only() -> None:
    """And names again when there are fewer."""
    scene, _, roster = watched()
    first_page(scene, member("bob", 1))
    scene.presence(counts_only=True, count={"users": 6_000, "connections": 6_100}, version=2)
    assert (roster.counts_only, roster.members, roster.count.users) == (True, {}, 6_000)
    scene.wait(60_000)
    assert reads(scene) == []
    scene.presence(count={"users": 1, "connections": 1}, digest=proof(2), version=3)
    scene.wait(10_000)
    first_page(scene, member("eve", 2), version=3)
    assert list(roster.members) == ["eve"]


def test_connections_are_members_where_the_room_tells_of_them() -> None:
    """A user may be there twice."""
    scene, _, roster = watched()
    first_page(scene, member("ann", 1, connection="g1~1"), member("ann", 2, connection="g1~2"))
    scene.presence(left=["g1~1"], digest=proof(2), version=2)
    assert list(roster.members) == ["g1~2"]


def test_a_room_that_does_not_tell_says_so() -> None:
    """At the JOIN, or later."""
    scene, room, roster = watched()
    scene.presence(watching=False)
    assert roster.watching is False
    assert room.roster is roster


def test_an_update_is_sent_and_said_again_at_the_next_join() -> None:
    """A refused one tells its caller."""
    scene, room, _ = watched()
    outcome = scene.do(lambda: scene.session.update(room, {"status": "away"}))
    frame = scene.socket.last
    assert frame["payload"] == {"update": {"status": "away"}}
    scene.say({"type": "PRESENCE", "room": "r", "ref": frame["id"], "payload": {}})
    assert outcome.is_done
    scene.again()
    assert scene.joins()[0]["payload"]["presence"]["info"] == {"status": "away"}
    refused = scene.do(lambda: scene.session.update(room, 1))
    scene.refuse(scene.socket.last, "forbidden")
    assert refused.error is not None


def test_it_tells_who_has_seen_a_message_without_our_own_user() -> None:
    """Of the present epoch."""
    scene, _, roster = watched()
    seen = {"epoch": "e1", "sum": 20, "users": {"bob": 5, "eve": 6, "ann": 9}}
    first_page(scene, member("bob", 1), seen=seen)
    assert roster.tells_seen
    assert sorted(roster.seen_by("e1", 5)) == ["bob", "eve"]
    assert (roster.seen_by(None, 6), roster.seen_by("e0", 1)) == (["eve"], [])


def test_who_lacks_what_others_have_seen_reads_one_member_and_all_of_that() -> None:
    """The first page has it."""
    scene, _, roster = watched()
    first_page(scene, member("bob", 1), seen={"epoch": "e1", "sum": 5, "users": {"bob": 5}})
    news = {"epoch": "e1", "sum": 20, "users": {}}
    scene.presence(digest=proof(1), version=2, seen=news, count={"users": 1, "connections": 1})
    scene.wait(1_000)
    assert reads(scene) == [{"limit": 1, "after": ""}]
    all_seen = {"epoch": "e1", "sum": 20, "users": {"bob": 5, "eve": 15}}
    first_page(scene, member("bob", 1), seen=all_seen)
    assert roster.seen == {"bob": 5, "eve": 15}


def test_leaving_a_room_ends_its_changes() -> None:
    """Whoever reads them is told."""
    scene, room, roster = watched()
    feed = roster.listen()
    scene.do(lambda: scene.session.rooms.leave(room))
    assert (feed.is_ended, feed.error) == (True, None)


def test_a_reader_of_changes_that_is_too_slow_is_told_to_look_anew() -> None:
    """What waits is bounded."""
    scene, _, roster = watched()
    feed = roster.listen()
    for version in range(3_000):
        who = [member("bob", version + 1)]
        scene.presence(updated=who, digest=proof(version + 1), version=version + 2)
    assert len(feed.items) <= 1_000
    assert PresenceChange("reset") in feed.items


class Room:
    """A server's room: its members, and frames that are lost, repeated and reordered on their way."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.members: dict[str, int] = {}
        self.version = 0
        self.flying: deque[dict[str, Any]] = deque()

    def told(self) -> dict[str, Any]:
        count = {"users": len(self.members), "connections": len(self.members)}
        return {"version": self.version, "count": count, "digest": proof(sum(self.members.values()))}

    def change(self) -> None:
        self.version += 1
        user = self.random.choice("abcdefgh")
        if user in self.members and self.random.random() < 0.5:
            del self.members[user]
            self.flying.append(self.told() | {"left": [user]})
        else:
            kind = "updated" if user in self.members else "joined"
            self.members[user] = self.random.randrange(1, 2**64)
            self.flying.append(self.told() | {kind: [member(user, self.members[user])]})

    def page(self, after: str) -> dict[str, Any]:
        behind = sorted(user for user in self.members if user > after)
        found = [member(user, self.members[user]) for user in behind[:3]]
        return self.told() | {"page": True, "after": after, "more": len(behind) > 3, "joined": found}


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_whatever_is_lost_in_the_end_a_roster_has_just_who_is_there(seed: int) -> None:
    """Frames are lost and repeated, and connections; the proof brings it right."""
    random = Random(seed)
    scene, _, roster = watched(random=random.random)
    room = Room(random)
    answered: set[str] = set()

    def answer() -> None:
        for frame in scene.socket.of("PRESENCE"):
            if frame["id"] not in answered:
                answered.add(frame["id"])
                scene.presence(ref=frame["id"], **room.page(frame["payload"]["after"]))

    for _ in range(80):
        room.change()
        if random.random() < 0.6:
            said = room.flying.popleft()
            for _ in range(random.choice([0, 1, 1, 2])):
                scene.presence(**said)
        if random.random() < 0.05:
            scene.again()
            scene.joined("r", presence={"watching": True})
        if random.random() < 0.5:
            answer()
        scene.wait(random.choice([0, 100, 2_000]))
    scene.presence(**room.told())
    for _ in range(60):
        scene.wait(6_000)
        answer()
        scene.presence(**room.told())
    assert sorted(roster.members) == sorted(room.members)
    assert roster.is_complete
