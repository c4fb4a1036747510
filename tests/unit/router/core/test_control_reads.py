"""Reads: what the fold, the history and the feeds tell of it, and nothing that they do not know."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from router.core import control_reads as reads
from router.core.blocks import Blocks
from router.core.feeds import Feeds
from router.core.fold import Fold
from router.core.history import History
from router.core.user_activity import UserActivity
from warren.address import shard_of, user_room
from warren.contract import queries
from warren.envelope import Batch, Hello, Join, Notified, Publish, Rules, encode
from warren.log_entries import PRESENCE_USERS
from warren.namespaces import HistoryPolicy

NOW_US = 1_764_000_000_000_000


class Log:
    """One shard's log, and what a speaker makes of it."""

    def __init__(self):
        self.fold = Fold(0, 1)
        self.feeds = Feeds("r1", 0, 1 << 20)
        self.history = History(1 << 20, 1 << 20, 0)
        self.offset = self.number = 0
        self.feeds.begin()
        self.write(Rules("k3f9", 2, 100, 100, 10, NOW_US))
        self.batch(Hello())

    def write(self, *envelopes):
        effects = self.fold.apply(self.offset, encode(envelopes))
        for effect in effects:
            message = getattr(effect, "message", None)
            if message is not None and effect.kind == "message":
                self.history.put(message, HistoryPolicy(), NOW_US)
        self.feeds.take(self.fold.life, self.offset, effects, self.fold.gateways, self.fold.ended)
        self.offset += 1

    def batch(self, *envelopes):
        self.number += 1
        self.write(Batch("g1", 1, self.number, NOW_US), *envelopes)

    def join(self, room, conn, user):
        self.batch(Join(room, conn, user))

    def publish(self, ident, payload=b"1", room="a", **more):
        self.write(Notified("r1", NOW_US), Publish(room, "X", payload, NOW_US, id=ident, **more))


@pytest.fixture
def log():
    return Log()


def test_a_question_crosses_as_it_is():
    """One of a newer router is none that is known."""
    for read in (
        reads.MembersRead("a", 5, ""),
        reads.HistoryRead("a", 0, 5),
        reads.RoomsRead("", 5, "x"),
        reads.BlocksRead("", "chat:", "ann", 5, "a ann"),
        reads.StatusRead(("ann",)),
        reads.ExplainRead("a", "", "m"),
    ):
        assert reads.decoded(reads.encoded(read)) == read
    assert reads.decoded(msgspec.msgpack.encode(["newer", 1])) is None
    assert reads.decoded(b"\xc1") is None


def test_members_are_told_by_user_in_order_and_by_pages(log):
    """Each with all of its connections."""
    for conn, user in (("g1~1", "cid"), ("g1~2", "ann"), ("g1~3", "bob"), ("g1~4", "ann")):
        log.join("a", conn, user)
    first = reads.members(reads.MembersRead("a", 2, ""), log.fold)
    assert [(each.user, each.connections) for each in first.members] == [
        ("ann", ["g1~2", "g1~4"]),
        ("bob", ["g1~3"]),
    ]
    assert (first.users, first.connections, first.next) == (3, 4, "bob")
    last = reads.members(reads.MembersRead("a", 2, "bob"), log.fold)
    assert ([each.user for each in last.members], last.next) == (["cid"], "")
    nobody = reads.members(reads.MembersRead("b", 2, ""), log.fold)
    assert (nobody.users, nobody.connections, nobody.members) == (0, 0, [])


def test_what_a_user_shows_of_itself_is_told(log):
    """In rooms whose presence tells of users."""
    log.batch(Join("a", "g1~1", "ann", info=b'{"name":"Ann"}', presence=PRESENCE_USERS))
    log.join("a", "g1~2", "bob")
    page = reads.members(reads.MembersRead("a", 5, ""), log.fold)
    shown = [b"" if each.info is msgspec.UNSET else bytes(each.info) for each in page.members]
    assert shown == [b'{"name":"Ann"}', b""]
    # it is told again by the router that was asked
    assert reads.joined(reads.MembersRead("a", 10, ""), [msgspec.json.encode(page)]) == page


def test_a_room_with_too_many_is_told_of_by_numbers(log, monkeypatch):
    """And where even counting the users would be too much, only connections are counted."""
    for number in range(4):
        log.join("a", f"g1~{number}", f"user{number}")
    monkeypatch.setattr(reads, "NAMED_MAX", 3)
    page = reads.members(reads.MembersRead("a", 2, ""), log.fold)
    assert (page.users, page.connections, page.members, page.counts_only) == (4, 4, [], True)
    monkeypatch.setattr(reads, "COUNTED_MAX", 3)
    assert reads.counted(log.fold.rooms, "a") == (None, 4)


def test_a_count_is_the_numbers_alone(log):
    """Made of the same answer."""
    log.join("a", "g1~1", "ann")
    read = reads.MembersRead("a", 0, "")
    answer = msgspec.json.encode(reads.members(read, log.fold))
    assert reads.joined(read, [answer]) == queries.Counted(users=1, connections=1)


def blocks(*names: tuple[str, str], until_ms: int = 0) -> Any:
    """Return what blocks_page looks at of a fold."""
    return SimpleNamespace(blocks=Blocks(dict.fromkeys(names, until_ms)))


EVERYWHERE = ("@bob", "bob")


def listed(page: Any) -> list[tuple[str, str | None]]:
    return [(each.address, each.user) for each in page.blocks]


def test_blocks_are_told_in_order_and_by_pages():
    """Those of everything under the user's address, as `unblock` takes it."""
    fold = blocks(("b", "eve"), ("a", "eve"), ("ab", "ann"), ("a", "ann"), EVERYWHERE)
    page = reads.blocks_page(reads.BlocksRead("", "", "", 3, ""), fold, 0)
    assert listed(page) == [("user.bob", None), ("room.a", "ann"), ("room.a", "eve")]
    assert page.next == "a eve"
    page = reads.blocks_page(reads.BlocksRead("", "", "", 3, page.next), fold, 0)
    assert (listed(page), page.next) == ([("room.ab", "ann"), ("room.b", "eve")], "")


@pytest.mark.parametrize(
    ("room", "prefix", "user", "found"),
    [
        ("a", "", "", [("room.a", "ann"), ("room.a", "eve")]),
        ("", "a", "", [("room.a", "ann"), ("room.a", "eve"), ("room.ab", "ann")]),
        ("", "@", "", [("user.bob", None)]),
        ("", "", "ann", [("room.a", "ann"), ("room.ab", "ann")]),
        ("a", "", "ann", [("room.a", "ann")]),
        ("x", "", "", []),
    ],
)
def test_blocks_of_a_room_of_rooms_or_of_a_user(room, prefix, user, found):
    """Nothing else is told."""
    fold = blocks(("b", "eve"), ("a", "eve"), ("ab", "ann"), ("a", "ann"), EVERYWHERE)
    page = reads.blocks_page(reads.BlocksRead(room, prefix, user, 9, ""), fold, 0)
    assert listed(page) == found


def test_a_block_that_has_ended_is_none():
    """Also while nothing has come that forgets it."""
    fold = blocks(("a", "ann"), until_ms=5_000)
    read = reads.BlocksRead("", "", "", 9, "")
    (block,) = reads.blocks_page(read, fold, 4_999).blocks
    assert block.until_ms == 5_000
    assert reads.blocks_page(read, fold, 5_000).blocks == []


def test_blocks_of_all_shards_make_one_page():
    """A room is asked about in its shard alone; the next page begins behind the last block."""
    read = reads.BlocksRead("", "", "", 3, "")
    assert set(reads.by_shard(read, 4)) == {0, 1, 2, 3}
    assert set(reads.by_shard(reads.BlocksRead("a", "", "", 3, ""), 4)) == {shard_of("a", 4)}
    pages = [
        reads.blocks_page(read, blocks(("a", "x"), ("d", "x"), ("f", "x"), ("g", "x")), 0),
        reads.blocks_page(read, blocks(("b", "x"), EVERYWHERE), 0),
        reads.blocks_page(read, blocks(), 0),
    ]
    joined = reads.joined(read, [msgspec.json.encode(page) for page in pages])
    assert isinstance(joined, queries.BlocksPage)
    assert listed(joined) == [("user.bob", None), ("room.a", "x"), ("room.b", "x")]
    assert joined.next == "b x"
    last = reads.joined(read, [msgspec.json.encode(page) for page in pages[1:]])
    assert isinstance(last, queries.BlocksPage)
    assert (len(last.blocks), last.next) == (2, "")


def test_users_are_online_or_were_seen(log):
    """Times are told where they are known, in ms."""
    activity = UserActivity()
    log.join("@ann", "g1~1", "ann")
    activity.came("ann", NOW_US, 1)
    activity.left("bob", NOW_US - 5_000_000, 0)
    answer = reads.status(reads.StatusRead(("ann", "bob", "cid")), log.fold, activity)
    assert answer.users == [
        queries.UserStatus(user="ann", online=True, connections=1, since=NOW_US // 1_000),
        queries.UserStatus(user="bob", online=False, last_seen=NOW_US // 1_000 - 5_000),
        queries.UserStatus(user="cid", online=False),
    ]


def test_users_are_asked_of_their_shards_and_told_in_the_order_asked():
    """One question for each shard."""
    users = ("ann", "bob", "cid", "dan", "eve")
    read = reads.StatusRead(users)
    asked = reads.by_shard(read, 4)
    assert sorted(user for part in asked.values() for user in part.users) == sorted(users)
    for shard, part in asked.items():
        assert {shard_of(user_room(user), 4) for user in part.users} == {shard}
    answers = [
        msgspec.json.encode(
            queries.Statuses(users=[queries.UserStatus(user=user, online=False) for user in part.users])
        )
        for part in asked.values()
    ]
    joined = reads.joined(read, answers)
    assert isinstance(joined, queries.Statuses)
    assert [each.user for each in joined.users] == list(users)


def test_rooms_of_all_shards_make_one_page(log):
    """The next one begins behind its last."""
    read = reads.RoomsRead("", 3, "")
    assert set(reads.by_shard(read, 4)) == {0, 1, 2, 3}

    def page(*names, more=""):
        rooms = [queries.RoomCount(room=name, connections=1) for name in names]
        return msgspec.json.encode(queries.RoomsPage(rooms=rooms, next=more))

    joined = reads.joined(read, [page("a", "d", "f", more="f"), page("b", "c"), page()])
    assert isinstance(joined, queries.RoomsPage)
    assert ([each.room for each in joined.rooms], joined.next) == (["a", "b", "c"], "c")
    last = reads.joined(read, [page("a"), page("b")])
    assert isinstance(last, queries.RoomsPage)
    assert ([each.room for each in last.rooms], last.next) == (["a", "b"], "")


def test_a_room_that_is_empty_by_now_is_left_out(log):
    """Names may be a moment old."""
    log.join("a", "g1~1", "ann")
    log.join("c", "g1~1", "ann")
    page = reads.rooms_page(iter(["a", "b", "c"]), 1, log.fold.rooms)
    assert (page.rooms, page.next) == ([queries.RoomCount(room="a", connections=1)], "a")
    page = reads.rooms_page(iter(["a", "b"]), 1, log.fold.rooms)
    assert page.next == ""


def test_history_is_told_as_clients_get_it(log):
    """Bytes as base64; ids that Warren has made are nobody's."""
    log.publish("m1", b'{"x":1}')
    log.publish("~r1.5", b"\x00\xff", binary=True)
    page = reads.history_page(reads.HistoryRead("a", 0, 10), log.fold, log.history, NOW_US)
    assert (page.epoch, page.seq, page.more) == ("k3f9-1", 2, False)
    told = [(each.seq, each.id, bytes(each.payload), each.encoding) for each in page.messages]
    assert told == [(1, "m1", b'{"x":1}', ""), (2, "", b'"AP8="', "base64")]
    older = reads.history_page(reads.HistoryRead("a", 2, 10), log.fold, log.history, NOW_US)
    assert [each.seq for each in older.messages] == [1]


def test_a_message_that_is_not_known_is_told_as_that():
    """By an answer without anything."""
    assert reads.joined(reads.ExplainRead("a", "", "m1"), [reads.NOTHING]) is None
