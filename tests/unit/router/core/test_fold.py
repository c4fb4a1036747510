"""Fold: entries in, outcomes out, exactly."""

import pytest

from router.core import checkpoint, unseen_messages
from router.core import fold as fold_module
from router.core.effects import (
    Accepted,
    BackendEvent,
    BatchRefused,
    Began,
    Ended,
    FeedItem,
    Marked,
    Part,
    PresenceChanged,
    Ruled,
    SeenChanged,
)
from router.core.fold import FOLD_VERSION, Fold, UnknownVersion
from warren import envelope as wire
from warren.address import ROOM_RULE, shard_of
from warren.envelope import (
    Ack,
    Batch,
    Checkpoint,
    Deliver,
    Entered,
    Gone,
    Hello,
    Inform,
    Join,
    Leave,
    Left,
    Mark,
    Notified,
    Publish,
    Refused,
    Rules,
    Seen,
    Watch,
)
from warren.errors import MalformedEnvelope
from warren.log_entries import PRESENCE_USERS, RECEIPT_ACCEPTED, RECEIPT_SEEN, RECEIPT_WRITTEN
from warren.position import Position

AT = 1_764_000_000_000_000
RULES = Rules("life", 1, 100, 100, 100, AT)


class Log:
    """A fold, and the next free offset."""

    def __init__(self, rules=RULES, shard=0, shards=1):
        self.fold = Fold(shard, shards)
        if rules is not None:
            self.append(rules)

    def append(self, *envelopes):
        return self.apply(wire.encode(envelopes))

    def apply(self, record):
        return self.fold.apply(self.fold.offset + 1, record)

    def hello(self, gateway, *envelopes, life=1):
        return self.append(Batch(gateway, life, 1, AT), Hello(), *envelopes)

    def batch(self, gateway, *envelopes, life=1):
        number = self.fold.gateways.get(gateway, (life, 0))[1] + 1
        return self.append(Batch(gateway, life, number, AT), *envelopes)


def two_gateways():
    """Return a log with ann on g1 and bob on g2, both in room a."""
    log = Log()
    log.hello("g1", Join("a", "g1~1", "ann"))
    log.hello("g2", Join("a", "g2~1", "bob"))
    return log


def chat(ident="", room="a", conn="g1~1", user="ann", **more):
    return Publish(room, "CHAT", b"1", AT + 1, conn, user, ident, **more)


def told(seq, ident="", room="a", conn="g1~1", user="ann", epoch="life-1", **more):
    return Deliver(room, epoch, seq, "CHAT", b"1", AT + 1, conn, user, ident, **more)


# ── messages ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_is_numbered_delivered_acknowledged_and_told_to_backends():
    """In this order, and each has its index in the entry."""
    log = two_gateways()
    assert log.batch("g1", chat("m1"), chat("m2")) == [
        FeedItem(1, ("g1", "g2"), told(1, "m1")),
        FeedItem(2, ("g1",), Ack("g1~1", "a", "m1", "life-1", 1)),
        BackendEvent(3, "message", "a", AT + 1, "g1~1", "ann", "", told(1, "m1")),
        FeedItem(4, ("g1", "g2"), told(2, "m2")),
        FeedItem(5, ("g1",), Ack("g1~1", "a", "m2", "life-1", 2)),
        BackendEvent(6, "message", "a", AT + 1, "g1~1", "ann", "", told(2, "m2")),
    ]
    assert log.fold.position("a") == Position("life-1", 2)


def test_when_the_last_entry_was_made_is_known_where_it_says_so():
    """By its writer's clock: a gateway's batches and what routers write."""
    log = two_gateways()
    assert log.fold.written_us == AT
    log.append(Mark("r1", AT + 7))
    assert log.fold.written_us == AT + 7
    log.apply(b"garbage")
    assert log.fold.written_us == 0


def test_everything_that_a_message_says_is_passed_on():
    """The trace goes out to the gateways, and is not kept."""
    log = two_gateways()
    more = {"binary": True, "include_sender": True, "key": "k", "expires_ms": 5}
    out, _, emit = log.batch("g1", chat("m1", trace="00-1-2-01", **more))
    assert out.item == told(1, "m1", trace="00-1-2-01", **more)
    assert emit.message == told(1, "m1", **more)
    assert log.batch("g1", chat(ephemeral=True, trace="00-1-2-01"))[0].item == told(
        0, epoch="", trace="00-1-2-01"
    )


def test_a_message_without_an_id_is_not_acknowledged():
    """And it is a new message each time."""
    log = two_gateways()
    assert [type(each) for each in log.batch("g1", chat(), chat())] == [
        FeedItem,
        BackendEvent,
        FeedItem,
        BackendEvent,
    ]
    assert log.fold.position("a").seq == 2


def test_a_room_without_members_is_numbered_too():
    """Nobody is reached, and backends hear it: the message is to be kept."""
    log = two_gateways()
    assert log.batch("g1", chat(room="empty")) == [
        BackendEvent(1, "message", "empty", AT + 1, "g1~1", "ann", "", told(1, room="empty"))
    ]


def test_a_repeat_is_acknowledged_with_its_first_position_and_not_delivered():
    """The same id of another user, or in another room, is another message."""
    log = two_gateways()
    log.batch("g1", chat("m1"), chat("m2"))
    assert log.batch("g1", chat("m1", conn="g1~2")) == [
        FeedItem(1, ("g1",), Ack("g1~2", "a", "m1", "life-1", 1))
    ]
    assert log.fold.duplicates == 1
    assert [each.item.seq for each in log.batch("g1", chat("m1", user="bob"))[:2]] == [3, 3]
    assert [each.item.seq for each in log.batch("g1", chat("m1", room="b"))[:1]] == [1]
    assert log.fold.duplicates == 1


def test_a_repeat_keeps_the_epoch_of_its_first_position():
    """Though the room's epoch has changed since."""
    log = Log(Rules("life", 1, 100, 0, 100, AT))
    log.hello("g1")
    log.batch("g1", chat("m1", room="b"))
    log.batch("g1")
    assert log.fold.position("b") == Position("life-2", 0)
    assert log.batch("g1", chat("m1", room="b")) == [
        FeedItem(1, ("g1",), Ack("g1~1", "b", "m1", "life-1", 1))
    ]


def test_an_id_that_a_gateway_gave_counts_once_and_is_not_acknowledged():
    """It is no word of the sender's."""
    log = two_gateways()
    assert [type(each) for each in log.batch("g1", chat("~1"))] == [FeedItem, BackendEvent]
    assert log.batch("g1", chat("~1")) == []
    assert (log.fold.duplicates, log.fold.position("a").seq) == (1, 1)


def test_ids_of_senders_and_of_gateways_do_not_push_each_other_out():
    """Each kind has its own bound."""
    log = Log(Rules("life", 1, 1, 100, 100, AT))
    log.hello("g1", chat("m1"), chat("~1"), chat("~2"))
    assert log.batch("g1", chat("m1"))[0].item == Ack("g1~1", "a", "m1", "life-1", 1)
    log.batch("g1", chat("m2"))
    assert log.batch("g1", chat("m1"))[0].item == Ack("g1~1", "a", "m1", "life-1", 5)


def test_an_ephemeral_message_is_not_numbered():
    """Backends are not told; a sender that gave an id has its answer, and a repeat counts once."""
    log = two_gateways()
    assert log.batch("g1", chat("m1", ephemeral=True), chat("m1", ephemeral=True)) == [
        FeedItem(1, ("g1", "g2"), told(0, "m1", epoch="")),
        FeedItem(2, ("g1",), Ack("g1~1", "a", "m1", "", 0)),
        FeedItem(3, ("g1",), Ack("g1~1", "a", "m1", "", 0)),
    ]
    assert log.fold.position("a") == Position("life-1", 0)


def test_an_ephemeral_message_with_a_gateways_id_is_not_remembered():
    """Nobody minds a second TYPING."""
    log = two_gateways()
    log.batch("g1", chat("~1", ephemeral=True))
    assert log.batch("g1", chat("~1", ephemeral=True)) == [FeedItem(1, ("g1", "g2"), told(0, "~1", epoch=""))]


def test_a_message_for_one_connection_goes_to_its_gateway():
    """Unnumbered; to a gateway that is not there it goes nowhere, and the sender is answered all the same."""
    log = two_gateways()
    assert log.batch("g1", chat("m1", room="g2~7")) == [
        FeedItem(1, ("g2",), told(0, "m1", room="g2~7", epoch="")),
        FeedItem(2, ("g1",), Ack("g1~1", "g2~7", "m1", "", 0)),
    ]
    assert log.batch("g1", chat("m1", room="g3~7")) == [
        FeedItem(1, ("g1",), Ack("g1~1", "g3~7", "m1", "", 0))
    ]


def test_everyone_is_all_living_gateways():
    """Also those without a member anywhere."""
    log = two_gateways()
    log.hello("g3")
    log.append(Gone("g2", 1, AT))
    assert log.append(Notified("r", AT), Publish("*", "NEWS", b"1", AT, id="n1")) == [
        FeedItem(1, ("g1", "g3"), Deliver("*", "life-1", 1, "NEWS", b"1", AT, id="n1")),
        BackendEvent(2, "message", "*", AT, message=Deliver("*", "life-1", 1, "NEWS", b"1", AT, id="n1")),
    ]


def test_an_expired_message_is_numbered_and_delivered():
    """The fold knows no clock: gateways leave it out."""
    log = two_gateways()
    assert log.batch("g1", chat(expires_ms=1))[0] == FeedItem(1, ("g1", "g2"), told(1, expires_ms=1))


def test_backends_messages_are_not_answered_and_count_once():
    """Nobody waits for their ACK, and nobody is told of one that can't be."""
    log = two_gateways()
    entry = [
        Notified("r", AT),
        Publish("a", "N", b"1", AT, id="n1"),
        Publish("no room", "N", b"1", AT, id="n2"),
    ]
    assert log.append(*entry) == [
        FeedItem(1, ("g1", "g2"), Deliver("a", "life-1", 1, "N", b"1", AT, id="n1")),
        BackendEvent(2, "message", "a", AT, message=Deliver("a", "life-1", 1, "N", b"1", AT, id="n1")),
    ]
    assert log.fold.skipped == 1
    assert log.append(*entry[:2]) == []
    assert log.fold.duplicates == 1


@pytest.mark.parametrize("room", ["", "no room", "@", "@@a", "**", "a" * 129, "~1"])
def test_a_message_for_no_address_is_refused(room):
    """Its sender is told by which id it knows it, and nothing changes."""
    log, plain = two_gateways(), two_gateways()
    refused = Refused("g1~1", "m1", "invalid_room", ROOM_RULE)
    assert log.batch("g1", chat("m1", room=room)) == [FeedItem(1, ("g1",), refused)]
    assert log.batch("g1", chat("~1", room=room))[0].item.ref == ""
    for _ in range(2):
        plain.batch("g1")
    assert log.fold.parts() == plain.fold.parts()


def test_a_gateway_may_ask_where_everyones_room_stands():
    """Nobody is a member of it, and no backend hears of one; it changes nothing. Another shard than its own
    refuses.
    """
    log, plain = two_gateways(), two_gateways()
    for each in (log, plain):
        each.append(Notified("r", AT), Publish("*", "NEWS", b"1", AT, id="n1"))
    asked = Join("*", "g1~0", "", "~*")
    assert log.batch("g1", asked) == [FeedItem(1, ("g1",), Entered("g1~0", "*", Position("life-1", 1), "~*"))]
    plain.batch("g1")
    assert log.fold.parts() == plain.fold.parts()
    elsewhere = Log(shard=1 - shard_of("*", 2), shards=2)
    refused = Refused("g1~0", "~*", "internal", "Sent to the wrong shard")
    assert elsewhere.hello("g1", asked)[1:] == [FeedItem(2, ("g1",), refused)]


def test_an_address_of_another_shard_is_refused():
    """A message as well as a JOIN."""
    shard = 1 - shard_of("a", 2)
    log = Log(shard=shard, shards=2)
    refused = Refused("g1~1", "r", "internal", "Sent to the wrong shard")
    assert log.hello("g1", chat("r"), Join("a", "g1~1", "ann", "r"))[1:] == [
        FeedItem(2, ("g1",), refused),
        FeedItem(3, ("g1",), refused),
    ]
    assert (len(log.fold.rooms), log.fold.remembered) == (0, shard == shard_of("*", 2))


# ── members ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_join_has_its_place_among_the_messages():
    """What was said before it does not reach the member, which hears where it came in."""
    log = two_gateways()
    since = Position("life-0", 7)
    outcomes = log.append(
        Batch("g3", 1, 1, AT), Hello(), Join("a", "g3~1", "eve", "r1", since), chat(conn="g3~1", user="eve")
    )
    assert outcomes == [
        Began(1, "g3", 1),
        FeedItem(2, ("g3",), Entered("g3~1", "a", Position("life-1", 0), "r1", since)),
        BackendEvent(3, "room.joined", "a", AT, "g3~1", "eve", connections=1, members=3),
        FeedItem(4, ("g1", "g2", "g3"), told(1, conn="g3~1", user="eve")),
        BackendEvent(5, "message", "a", AT + 1, "g3~1", "eve", "", told(1, conn="g3~1", user="eve")),
    ]


def test_a_member_that_joins_again_is_answered_and_no_event():
    """It may want to know where the room stands."""
    log = two_gateways()
    log.batch("g1", chat())
    assert log.batch("g1", Join("a", "g1~1", "ann", "r")) == [
        FeedItem(1, ("g1",), Entered("g1~1", "a", Position("life-1", 1), "r"))
    ]


def test_a_leave_is_answered_where_it_asks():
    """An event only where a member has left; a room that nobody knows is answered like any other."""
    log = two_gateways()
    log.batch("g1", Join("b", "g1~1", "ann"))
    assert log.batch("g1", Leave(("a", "b", "no room"), "g1~1", "r")) == [
        FeedItem(1, ("g1",), Left("g1~1", "a", "r")),
        BackendEvent(2, "room.left", "a", AT, "g1~1", "ann", "left", members=1),
        FeedItem(3, ("g1",), Left("g1~1", "b", "r")),
        BackendEvent(4, "room.left", "b", AT, "g1~1", "ann", "left"),
        FeedItem(5, ("g1",), Left("g1~1", "no room", "r")),
    ]
    assert log.batch("g1", Leave(("a",), "g1~1")) == []
    assert log.fold.rooms.targets("a") == ("g2",)


def test_a_users_own_room_tells_of_the_client():
    """Its members are the user's connections."""
    log = Log()
    joined = log.hello("g1", Join("@ann", "g1~1", "ann"))
    left = log.batch("g1", Leave(("@ann",), "g1~1"))
    assert (joined[2].kind, left[0].kind) == ("client.connected", "client.disconnected")


@pytest.mark.parametrize("room", ["", "**", "no room", "@", "g1~1"])
def test_what_nobody_can_join_is_refused(room):
    """Single connections have no members."""
    log = Log()
    assert log.hello("g1", Join(room, "g1~1", "ann", "r"))[1:] == [
        FeedItem(2, ("g1",), Refused("g1~1", "r", "invalid_room", ROOM_RULE))
    ]


def test_a_room_keeps_its_position_while_it_has_members():
    """However many others are forgotten; without members it is forgotten when its turn comes."""
    log = Log(Rules("life", 1, 100, 1, 100, AT))
    log.hello("g1", Join("a", "g1~1", "ann"), chat(), *(chat(room=f"r{number}") for number in range(9)))
    assert log.fold.position("a") == Position("life-1", 1)
    assert log.fold.position("r8") == Position("life-1", 1)
    assert log.fold.position("r7") == Position("life-2", 0)
    log.batch("g1", Leave(("a",), "g1~1"))
    assert (log.fold.position("a"), log.fold.position("r8")) == (Position("life-1", 1), Position("life-3", 0))


# ── gateways ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_batch_counts_once():
    """One that comes again, also after later ones, is passed over; a number may be left out."""
    log = two_gateways()
    assert log.append(Batch("g1", 1, 5, AT), chat("m1")) != []
    for number in (5, 4, 1):
        assert log.append(Batch("g1", 1, number, AT), chat("m2")) == []
    assert log.append(Batch("g1", 1, 1, AT), Hello(), chat("m2")) == []
    assert (log.fold.gateways["g1"], log.fold.skipped, log.fold.duplicates) == ((1, 5), 0, 0)


def test_a_gateway_goes_with_its_members():
    """By name, and the rooms that nobody is in any more may be forgotten."""
    log = Log()
    log.hello("g1", Join("b", "g1~2", "bob"), Join("a", "g1~2", "bob"), Join("b", "g1~1", "ann"))
    assert log.append(Gone("g1", 1, AT + 9)) == [
        BackendEvent(1, "room.left", "a", AT + 9, "g1~2", "bob", "gone"),
        BackendEvent(2, "room.left", "b", AT + 9, "g1~1", "ann", "gone"),
        BackendEvent(3, "room.left", "b", AT + 9, "g1~2", "bob", "gone"),
        Ended(4, "g1", 1, 1),
    ]
    assert (log.fold.gateways, log.fold.ended, len(log.fold.rooms)) == ({}, {"g1": (1, 1)}, 0)
    assert log.append(Gone("g1", 1, AT)) == []


def test_a_gateway_that_was_declared_gone_hears_what_counted():
    """Nothing that it sends in that life counts; the next life begins with a Hello."""
    log = two_gateways()
    log.batch("g1", chat())
    log.append(Gone("g1", 2, AT))  # another life: not the one that is there
    log.append(Gone("g1", 1, AT))
    assert log.append(Batch("g1", 1, 3, AT), chat()) == [BatchRefused(1, "g1", 1, 2)]
    assert log.append(Batch("g1", 1, 1, AT), Hello()) == [BatchRefused(1, "g1", 1, 2)]
    assert log.append(Batch("g1", 2, 3, AT), chat()) == [BatchRefused(1, "g1", 2, 0)]
    assert log.hello("g1", life=2) == [Began(1, "g1", 2)]
    assert log.append(Batch("g1", 1, 3, AT), chat()) == [BatchRefused(1, "g1", 1, 2)]
    assert log.fold.position("a").seq == 1


def test_a_new_life_ends_the_one_before():
    """Its members are to join again; what they were is over first."""
    log = two_gateways()
    assert log.hello("g2", Join("a", "g2~1", "bob"), life=4) == [
        BackendEvent(1, "room.left", "a", AT, "g2~1", "bob", "gone", members=1),
        Ended(2, "g2", 1, 1),
        Began(3, "g2", 4),
        FeedItem(4, ("g2",), Entered("g2~1", "a", Position("life-1", 0))),
        BackendEvent(5, "room.joined", "a", AT, "g2~1", "bob", connections=1, members=2),
    ]
    assert (log.fold.gateways["g2"], log.fold.ended) == ((4, 1), {"g2": (1, 1)})


def test_only_so_many_ended_lives_are_remembered():
    """Of one that is forgotten no batch is known to have counted."""
    log = Log(Rules("life", 1, 100, 100, 1, AT))
    for gateway in ("g1", "g2"):
        log.hello(gateway)
        log.append(Gone(gateway, 1, AT))
    assert log.append(Batch("g1", 1, 2, AT)) == [BatchRefused(1, "g1", 1, 0)]
    assert log.append(Batch("g2", 1, 2, AT)) == [BatchRefused(1, "g2", 1, 1)]


# ── the log's life ──────────────────────────────────────────────────────────────────────────────────────────


def test_before_the_rules_nothing_counts():
    """An entry means nothing without the state before it."""
    log = Log(rules=None)
    assert (log.fold.offset, log.fold.life, log.fold.version, log.fold.rules) == (-1, "", 0, None)
    for entry in (
        [Mark("r", AT)],
        [Gone("g1", 1, AT)],
        [Notified("r", AT), chat(conn="", user="")],
        [],
        [chat()],
    ):
        assert log.append(*entry) == []
    assert (log.fold.skipped, log.fold.offset, log.fold.gateways, log.fold.remembered) == (0, 4, {}, 0)
    assert log.append(RULES) == [Ruled(1, RULES, True)]
    assert (log.fold.life, log.fold.version, log.fold.rules) == ("life", 1, RULES)


def test_a_gateway_that_began_before_the_log_did_hears_so():
    """Nothing of its life counts, so it is to begin another one, and need not wait for a feed that never
    comes.
    """
    log = Log(rules=None)
    assert log.hello("g1", Join("a", "g1~1", "ann")) == []
    assert log.append(Batch("g1", 1, 2, AT), chat()) == []
    assert log.append(Batch("g2", 3, 1, AT), Hello()) == []
    assert log.append(Batch("no name", 1, 1, AT), Hello()) == []
    bodies, digest = log.fold.parts()
    for fold in (log.fold, Fold.restored(0, 1, log.fold.offset, bodies)):
        assert fold.parts() == (bodies, digest)
        assert fold.apply(9, wire.encode([RULES])) == [
            Ruled(1, RULES, True),
            BatchRefused(2, "g1", 1, 0),
            BatchRefused(3, "g2", 3, 0),
        ]
        assert (fold.gateways, fold.ended) == ({}, {"g1": (1, 0), "g2": (3, 0)})
        assert fold.apply(10, wire.encode([Batch("g1", 1, 3, AT)])) == [BatchRefused(1, "g1", 1, 0)]
        assert fold.apply(11, wire.encode([Batch("g1", 2, 1, AT), Hello()])) == [Began(1, "g1", 2)]


def test_rules_that_begin_anew_know_nothing_of_what_was_before():
    """Not all who read them have read that."""
    log = Log(rules=None)
    log.hello("g1")
    anew = Rules("life", 1, 100, 100, 100, AT, anew=True)
    assert log.append(anew) == [Ruled(1, anew, True)]
    assert log.fold.ended == {}


def test_rules_of_the_same_life_change_the_bounds():
    """What is too much by them is forgotten with the entry."""
    log = Log()
    log.hello("g1", chat("m1"), chat("m2", room="b"))
    for gateway in ("g2", "g3"):
        log.hello(gateway)
        log.append(Gone(gateway, 1, AT))
    less = Rules("life", 1, 1, 1, 1, AT, anew=True)
    assert log.append(less) == [Ruled(1, less, False)]
    assert (log.fold.position("a"), log.fold.position("b")) == (Position("life-2", 0), Position("life-1", 1))
    assert log.fold.ended == {"g3": (1, 1)}
    assert [type(each) for each in log.batch("g1", chat("m2", room="b"))] == [FeedItem]
    assert [type(each) for each in log.batch("g1", chat("m1"))] == [FeedItem, BackendEvent]
    assert log.fold.rules == less


def test_another_life_needs_to_say_so():
    """Two routers may begin at once: the first one counts, until one begins anew."""
    log = two_gateways()
    other = Rules("other", 1, 100, 100, 100, AT)
    assert log.append(other) == []
    assert (log.fold.life, log.fold.skipped) == ("life", 0)
    anew = Rules("other", 1, 100, 100, 100, AT, anew=True)
    assert log.append(anew) == [Ruled(1, anew, True)]
    assert (log.fold.gateways, len(log.fold.rooms), log.fold.position("a")) == ({}, 0, Position("other-1", 0))


def test_a_newer_version_of_the_fold_is_not_guessed_at():
    """The reader stops where it is; a life that does not count asks for nothing."""
    log = two_gateways()
    before, offset = log.fold.parts(), log.fold.offset
    with pytest.raises(UnknownVersion, match=f"version {FOLD_VERSION + 1}"):
        log.append(Rules("life", FOLD_VERSION + 1, 9, 9, 9, AT))
    assert (log.fold.parts(), log.fold.offset) == (before, offset)
    assert log.append(Rules("other", FOLD_VERSION + 1, 9, 9, 9, AT)) == []
    with pytest.raises(UnknownVersion):
        Log(Rules("life", FOLD_VERSION + 1, 9, 9, 9, AT))


def test_everyones_room_is_never_forgotten_on_its_shard():
    """Its position is told to nobody by a JOIN, so it must not change its epoch."""
    log = Log(Rules("life", 1, 9, 0, 9, AT))
    log.hello("g1", chat(room="b"))
    log.batch("g1")
    assert (log.fold.position("*"), log.fold.position("b")) == (Position("life-1", 0), Position("life-2", 0))


def test_marks_and_parts_are_told_and_change_nothing():
    """They are for those who make and look for checkpoints."""
    log = two_gateways()
    part = Checkpoint("r", 3, 0, 1, b"d", b"b")
    before = log.fold.parts()
    assert log.append(Mark("r", AT)) == [Marked(1, "r", AT)]
    assert log.append(part) == [Part(1, part)]
    assert log.fold.parts() == before


def test_offsets_grow():
    """They may jump, and an entry is never taken twice."""
    fold = Fold(0, 1)
    fold.apply(7, wire.encode([RULES]))
    for offset in (7, 6):
        with pytest.raises(RuntimeError, match=f"{offset} comes after 7"):
            fold.apply(offset, wire.encode([Mark("r", AT)]))
    assert fold.apply(99, wire.encode([Mark("r", AT)])) == [Marked(1, "r", AT)]


POISON = [
    b"",
    b"\xc1",
    wire.encode([]),
    wire.encode([Hello()]),
    wire.encode([chat()]),
    wire.encode([Batch("g1", 1, 2, AT), Hello()]),
    wire.encode([Batch("g1", 1, 2, AT), chat(), Hello()]),
    wire.encode([Batch("g9", 1, 1, AT), Hello(), Hello()]),
    wire.encode([Batch("g1", 1, 2, AT), Batch("g1", 1, 3, AT)]),
    wire.encode([Batch("g1", 1, 2, AT), chat(), Mark("r", AT)]),
    wire.encode([Batch("g1", 1, 2, AT), chat("ok"), chat("m", conn="g2~1")]),
    wire.encode([Batch("g1", 1, 2, AT), chat("m", conn="")]),
    wire.encode([Batch("g1", 1, 2, AT), chat("m", conn="g1~A")]),
    wire.encode([Batch("g1", 1, 2, AT), Join("a", "g2~1", "u")]),
    wire.encode([Batch("g1", 1, 2, AT), Leave(("a",), "g2~1")]),
    wire.encode([Batch("g1", 1, 2, AT), Join("a", "g1", "u")]),
    wire.encode([Batch("g1", 1, 0, AT)]),
    wire.encode([Batch("g1", 0, 2, AT)]),
    wire.encode([Batch("g 1", 1, 1, AT), Hello()]),
    wire.encode([Batch("", 1, 1, AT), Hello()]),
    wire.encode([Notified("r", AT), chat()]),
    wire.encode([Notified("r", AT), Publish("a", "N", b"1", AT), Join("a", "g1~1", "u")]),
    wire.encode([Gone("g1", 1, AT), Mark("r", AT)]),
    wire.encode([Mark("r", AT), Mark("r", AT)]),
    wire.encode([RULES, Mark("r", AT)]),
    wire.encode([Rules("LIFE", 1, 9, 9, 9, AT, anew=True)]),
    wire.encode([Rules("", 1, 9, 9, 9, AT, anew=True)]),
    wire.encode([Rules("life", 0, 9, 9, 9, AT)]),
    wire.encode([Rules("life", 1, 0, 9, 9, AT)]),
    wire.encode([Rules("life", 1, 9, -1, 9, AT)]),
    wire.encode([Rules("life", 1, 9, 9, -1, AT)]),
    wire.encode([wire.Heartbeat("g1", 1)]),
    wire.encode([Batch("g1", 1, 2, AT), chat("m")])[:-1],
    b"\x92\x02" + wire.encode([Batch("g1", 1, 2, AT), chat("m")])[2:],
]


@pytest.mark.parametrize("record", POISON, ids=range(len(POISON)))
def test_poison_is_passed_over_whole(record):
    """It is counted, and nothing of it comes into the state; the log goes on behind it."""
    log = two_gateways()
    before = log.fold.parts()
    assert log.apply(record) == []
    assert (log.fold.skipped, log.fold.parts(), log.fold.offset) == (1, before, 3)
    assert log.batch("g1", chat("m1"))[0].item == told(1, "m1")


# ── receipts ────────────────────────────────────────────────────────────────────────────────────────────────

NEWER = Rules("life", 2, 100, 100, 100, AT)


def asked(ident="m1", room="a", receipt=RECEIPT_WRITTEN):
    return Publish(room, "CHAT", b"1", AT, id=ident, receipt=receipt, asker="r1")


def test_who_asks_for_a_receipt_is_told_the_place_and_who_is_there():
    """As of this entry: a user counts once; a repeat is told the place of the first."""
    log = Log(NEWER)
    log.hello("g1", Join("a", "g1~1", "ann"), Join("a", "g1~2", "ann"))
    log.hello("g2", Join("a", "g2~1", "bob"))
    accepted = Accepted(
        3, "r1", "m1", "a", "life-1", 1, False, ("g1", "g2"), 2, 3, RECEIPT_WRITTEN, readers=2
    )
    assert log.append(Notified("r1", AT), asked())[-1] == accepted
    log.batch("g1", Leave(("a",), "g1~1"))
    repeat = Accepted(1, "r1", "m1", "a", "life-1", 1, True, ("g1", "g2"), 2, 2, RECEIPT_ACCEPTED, readers=2)
    assert log.append(Notified("r1", AT), asked(receipt=RECEIPT_ACCEPTED)) == [repeat]


@pytest.mark.parametrize(("room", "gateways"), [("*", ("g1",)), ("g1~1", ("g1",)), ("g2~1", ())])
def test_of_everyone_and_of_one_connection_only_the_gateways_are_known(room, gateways):
    """Who is there, other shards or the gateway know."""
    log = Log(NEWER)
    log.hello("g1")
    told = log.append(Notified("r1", AT), asked(room=room))[-1]
    assert (told.gateways, told.users, told.connections) == (gateways, -1, -1)


def test_that_nobody_was_there_is_told_to_backends():
    """Behind the message's own event; not of what is not numbered."""
    log = Log(NEWER)
    log.hello("g1")
    kinds = [(each.index, each.kind, each.message.seq) for each in log.batch("g1", chat()) if each.index]
    assert kinds == [(1, "message", 1), (2, "undelivered", 1)]
    assert log.batch("g1", chat())[-1].reason == "nobody"
    assert log.batch("g1", chat(ephemeral=True)) == []


def test_a_client_is_told_of_its_own_message():
    """By its connection; it is no reader of its own message, and a repeat knows who has seen the first."""
    log = Log(NEWER)
    log.hello("g1", Join("a", "g1~1", "ann"))
    log.hello("g2", Join("a", "g2~1", "bob"))
    told = log.batch("g1", chat("m1", receipt=RECEIPT_SEEN))[-1]
    assert (told.asker, told.conn, told.user, told.readers, told.seen) == ("", "g1~1", "ann", 1, 0)
    log.batch("g1", Seen("a", "g1~1", "life-1", 1))
    log.batch("g2", Seen("a", "g2~1", "life-1", 1))
    repeat = log.batch("g1", chat("m1", receipt=RECEIPT_SEEN))[-1]
    assert (repeat.duplicate, repeat.readers, repeat.seen) == (True, 1, 1)


# ── what is seen ────────────────────────────────────────────────────────────────────────────────────────────


def seen_by_two():
    """Return a log of the newer rules with ann and bob in room a, which stands at 2."""
    log = Log(NEWER)
    log.hello("g1", Join("a", "g1~1", "ann"))
    log.hello("g2", Join("a", "g2~1", "bob"))
    log.batch("g1", chat("m1"), chat("m2"))
    return log


def test_what_a_member_has_seen_is_told_where_it_is_news():
    """What is not there nobody can have seen."""
    log = seen_by_two()
    assert log.batch("g2", Seen("a", "g2~1", "life-1", 1)) == [SeenChanged(1, "a", "life-1", "bob", 0, 1)]
    assert log.batch("g2", Seen("a", "g2~1", "life-1", 1)) == []
    assert log.batch("g2", Seen("a", "g2~1", "life-1", 99)) == [SeenChanged(1, "a", "life-1", "bob", 1, 2)]
    assert dict(log.fold.seen.users("a", log.fold.generation("a"))) == {"bob": 2}


@pytest.mark.parametrize(
    "said",
    [
        Seen("a", "g2~9", "life-1", 1),
        Seen("b", "g2~1", "life-1", 1),
        Seen("a", "g2~1", "life-2", 1),
        Seen("a", "g2~1", "life-1", 0),
        Seen("a", "g2~1", "life-1", -5),
    ],
)
def test_what_means_nothing_is_passed_over(said):
    """Of others' rooms, of another epoch, of nothing."""
    log = seen_by_two()
    assert log.batch("g2", said) == []
    assert len(log.fold.seen) == 0


def test_a_gateway_says_nothing_for_others_connections():
    """Its whole entry does not count."""
    log = seen_by_two()
    skipped = log.fold.skipped
    assert log.batch("g1", Seen("a", "g2~1", "life-1", 1)) == []
    assert log.fold.skipped == skipped + 1


def test_before_its_version_nothing_is_seen():
    """As an older router has it."""
    log = two_gateways()
    log.batch("g1", chat("m1"))
    assert log.batch("g2", Seen("a", "g2~1", "life-1", 1)) == []


def wanted(ident, ms, room="a"):
    return Publish(room, "NOTIFICATION", b"1", AT, id=ident, unseen_ms=ms)


def test_what_nobody_has_seen_in_time_is_told_to_backends():
    """By the first entry of a router behind that time; a gateway's clock says nothing."""
    log = seen_by_two()
    log.append(Notified("r1", AT), wanted("w1", 1_000), wanted("w2", 2_000), wanted("w3", 3_000))
    assert log.fold.unseen_us == AT + 1_000_000
    number = log.fold.gateways["g1"][1] + 1
    assert log.append(Batch("g1", 1, number, AT + 9_000_000)) == []
    (told,) = log.append(Notified("r1", AT + 1_000_000))
    assert (told.kind, told.reason, told.message.id, told.index) == ("undelivered", "unseen", "w1", 1)
    log.batch("g2", Seen("a", "g2~1", "life-1", 4))
    (told,) = log.append(Mark("r1", AT + 9_000_000))[1:]
    assert (told.message.id, told.reason) == ("w3", "unseen")
    assert log.fold.unseen_us is None


def test_what_nobody_is_there_for_is_told_at_once_and_once():
    """It does not wait to be seen."""
    log = seen_by_two()
    told = log.append(Notified("r1", AT), wanted("w1", 1_000, "b"))
    assert [each.kind for each in told] == ["message", "undelivered"]
    assert log.append(Notified("r1", AT + 9_000_000)) == []


def test_where_too_much_waits_to_be_seen_it_is_told_at_once(monkeypatch):
    """Too early rather than never."""
    monkeypatch.setattr(unseen_messages, "MOST", 1)
    log = seen_by_two()
    log.append(Notified("r1", AT), wanted("w1", 1_000))
    told = log.append(Notified("r1", AT), wanted("w2", 1_000))[-1]
    assert (told.kind, told.reason, told.message.id) == ("undelivered", "overloaded", "w2")


def test_a_client_asks_nobody_to_tell_that_it_was_not_seen():
    """That is for backends."""
    log = seen_by_two()
    log.batch("g1", chat("m3", unseen_ms=1_000))
    assert log.fold.unseen_us is None


def test_what_is_seen_and_to_be_seen_survives_a_checkpoint():
    """A restored fold tells the same."""
    log = seen_by_two()
    log.batch("g2", Seen("a", "g2~1", "life-1", 1))
    log.append(Notified("r1", AT), wanted("w1", 1_000))
    bodies, _ = log.fold.parts()
    twin = Log(None)
    twin.fold = Fold.restored(0, 1, log.fold.offset, bodies)
    for entry in (
        [Batch("g2", 1, log.fold.gateways["g2"][1] + 1, AT), Seen("a", "g2~1", "life-1", 2)],
        [Notified("r1", AT + 2_000_000)],
    ):
        assert twin.append(*entry) == log.append(*entry) != []


def test_before_its_version_of_the_rules_nothing_new_is_told():
    """An older router gives everything the index that we give it."""
    log = Log(Rules("life", 1, 100, 100, 100, AT))
    log.hello("g1")
    told = log.append(Notified("r1", AT), asked(), asked("m2"), asked("m1"))
    assert [(each.index, type(each), each.message.seq) for each in told] == [
        (1, BackendEvent, 1),
        (2, BackendEvent, 2),
    ]


# ── as a checkpoint ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_restored_fold_stands_where_the_other_stood():
    """With its offset, and it takes no entry again."""
    log = two_gateways()
    bodies, digest = log.fold.parts()
    fold = Fold.restored(0, 1, log.fold.offset, bodies)
    assert (fold.offset, fold.life, fold.rules, fold.gateways) == (
        2,
        "life",
        RULES,
        {"g1": (1, 1), "g2": (1, 1)},
    )
    assert fold.parts() == (bodies, digest)
    with pytest.raises(RuntimeError):
        fold.apply(2, wire.encode([Mark("r", AT)]))


def test_a_state_that_is_not_ours_is_refused():
    """Another shard's, one that is not whole, one of a newer fold."""
    log = two_gateways()
    bodies, _ = log.fold.parts()
    with pytest.raises(MalformedEnvelope):
        Fold.restored(0, 2, 1, bodies)
    with pytest.raises(MalformedEnvelope):
        Fold.restored(0, 1, 1, bodies[1:])
    newer = checkpoint.empty(Rules("life", FOLD_VERSION + 1, 1, 1, 1, 1))
    with pytest.raises(UnknownVersion):
        Fold.restored(0, 1, 1, checkpoint.encoded(0, 1, newer, 1_000))


# ── presence ────────────────────────────────────────────────────────────────────────────────────────────────

PRESENT = Rules("life", 2, 100, 100, 100, AT)


def shown(conn, user, info=b"", room="a", mode=PRESENCE_USERS):
    return Join(room, conn, user, info=info, presence=mode)


def watched():
    """Return a log in which bob watches room a, where he is no member."""
    log = Log(PRESENT)
    log.hello("g2", Watch("a", "g2~1", "bob", on=True))
    return log


def test_who_comes_and_goes_is_told_to_who_watches():
    """Behind the rest, with the revision that the name had before; a second connection changes the numbers
    alone.
    """
    log = watched()
    assert log.hello("g1", shown("g1~1", "ann", b"1"), shown("g1~2", "ann"))[1:] == [
        FeedItem(2, ("g1",), Entered("g1~1", "a", Position("life-1", 0), came_us=AT + 1)),
        BackendEvent(3, "room.joined", "a", AT, "g1~1", "ann", connections=1, members=1),
        PresenceChanged(4, "a", "ann", -1),
        FeedItem(5, ("g1",), Entered("g1~2", "a", Position("life-1", 0), came_us=AT + 2)),
        BackendEvent(6, "room.joined", "a", AT, "g1~2", "ann", connections=2, members=2),
        PresenceChanged(7, "a", "", -1),
    ]
    came = log.fold.offset
    assert log.batch("g1", Inform("a", "g1~2", b"2")) == [PresenceChanged(1, "a", "ann", came)]
    assert log.batch("g1", Leave(("a",), "g1~1"), Leave(("a",), "g1~2")) == [
        BackendEvent(1, "room.left", "a", AT, "g1~1", "ann", "left", connections=1, members=1),
        PresenceChanged(2, "a", "", -1),
        BackendEvent(3, "room.left", "a", AT, "g1~2", "ann", "left"),
        PresenceChanged(4, "a", "ann", came + 1),
    ]
    assert log.fold.presence.counts("a").connections == 0


def test_nothing_is_told_where_nobody_watches():
    """What is there is known all the same."""
    log = Log(PRESENT)
    assert len(log.hello("g1", shown("g1~1", "ann"))) == 3
    assert log.fold.presence.counts("a").users == 1


def test_a_watch_ends_by_itself_by_a_leave_and_with_its_gateway():
    """Whether or not who watches was ever a member."""
    for end in (
        lambda log: log.batch("g2", Watch("a", "g2~1", "bob", on=False)),
        lambda log: log.batch("g2", Leave(("a",), "g2~1")),
        lambda log: log.append(Gone("g2", 1, AT)),
    ):
        log = watched()
        assert "a" in log.fold.watchers
        end(log)
        assert "a" not in log.fold.watchers
    log = watched()
    log.batch("g2", Watch("a", "g2~2", "eve", on=True), Leave(("b",), "g2~1"), Leave(("a",), "g2~2"))
    assert log.fold.watchers.members("a", "g2") == {"g2~1": "bob"}


def test_a_gateway_goes_with_all_that_it_has_told_of_its_members():
    """As if they had left one after the other, by name."""
    log = watched()
    log.hello("g1", shown("g1~1", "ann"), shown("g1~2", "ann"), Join("a", "g1~3", "eve"))
    assert log.append(Gone("g1", 1, AT)) == [
        BackendEvent(1, "room.left", "a", AT, "g1~1", "ann", "gone", connections=1),
        PresenceChanged(2, "a", "", -1),
        BackendEvent(3, "room.left", "a", AT, "g1~2", "ann", "gone"),
        PresenceChanged(4, "a", "ann", log.fold.offset - 1),
        BackendEvent(5, "room.left", "a", AT, "g1~3", "eve", "gone"),
        Ended(6, "g1", 1, 1),
    ]
    assert (len(log.fold.presence), log.fold.presence.connections) == (0, 0)


def test_who_joins_again_stays_who_it_was():
    """Only what is shown may change; nobody takes over a connection by another name."""
    log = watched()
    log.hello("g1", shown("g1~1", "ann", b"1"))
    came = log.fold.offset
    assert log.batch("g1", shown("g1~1", "eve", b"2"))[1:] == [PresenceChanged(2, "a", "ann", came)]
    assert log.fold.presence.keys("a", "", 9) == ["ann"]


def test_an_info_counts_for_members_alone():
    """One who only watches shows nothing."""
    log = watched()
    assert log.batch("g2", Inform("a", "g2~1", b"1")) == []
    assert log.fold.presence.counts("a").connections == 0


@pytest.mark.parametrize("room", ["", "*", "no room", "@", "g1~1"])
def test_what_has_no_presence_is_not_watched(room):
    """Whoever asks hears so."""
    log = Log(PRESENT)
    refused = FeedItem(2, ("g1",), Refused("g1~1", "", "invalid_room", ROOM_RULE))
    assert log.hello("g1", Watch(room, "g1~1", "ann", on=True))[1:] == [refused]
    assert log.fold.watchers.memberships == 0


def test_those_who_watch_are_bounded(monkeypatch):
    """Beyond it who asks hears that it is too much; who watches already is not one more."""
    monkeypatch.setattr(fold_module, "MOST_WATCHERS", 1)
    log = watched()
    refused = log.batch("g2", Watch("b", "g2~1", "bob", on=True))[0].item
    assert (refused.conn, refused.code) == ("g2~1", "overloaded")
    log.batch("g2", Watch("a", "g2~1", "bob", on=False), Watch("b", "g2~1", "bob", on=True))
    assert list(log.fold.watchers.walk()) == [("b", "g2", {"g2~1": "bob"})]


def test_a_log_of_version_1_has_no_presence():
    """What comes of its entries is what routers of that version say; from the raised rules on it is kept."""
    log = Log()
    assert len(log.hello("g1", shown("g1~1", "ann"), Watch("a", "g1~1", "ann", on=True))) == 3
    assert (log.fold.presence.connections, log.fold.watchers.memberships) == (0, 0)
    log.append(PRESENT)
    assert log.fold.presence.connections == 0
    log.batch("g1", Watch("a", "g1~1", "ann", on=True))
    assert log.batch("g1", shown("g1~1", "ann"))[-1] == PresenceChanged(2, "a", "ann", -1)


def test_the_version_of_a_log_never_goes_down():
    """A speaker that has not read of the raise may still write the rules that it knows."""
    log = Log(PRESENT)
    log.hello("g1", shown("g1~1", "ann"))
    log.append(Rules("life", 1, 50, 100, 100, AT))
    assert (log.fold.version, log.fold.rules.ids) == (2, 50)
    bodies, _ = log.fold.parts()
    assert Fold.restored(0, 1, log.fold.offset, bodies).presence.connections == 1
