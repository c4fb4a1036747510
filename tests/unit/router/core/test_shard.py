"""Shard: scripts of envelopes and the exact effects; the random walk is in test_shard_walk.py."""

import msgspec
import pytest

from router.core.effects import Append, Deliver, Emit, Reject, Reply, Tell
from router.core.replay import Replay
from router.core.shard import Shard, ShardLimits
from warren import envelope as wire
from warren.address import gateway_of, shard_of
from warren.envelope import Announce, Ask, HistoryQuery, Join, Leave, Members, Publish, Resume, Resync
from warren.namespaces import HistoryPolicy, Namespaces, RoomPolicy
from warren.position import Position

NOW = 1_764_000_000_000_000
TERM = 0xABC
EPOCH = "24c-1"  # the first owner's term in base 36, and the first generation
OFF = Namespaces([RoomPolicy("off", "off:*", history=HistoryPolicy(0, 0))])


def closed(limits=None, events=()):
    return Shard(0, 1, TERM, limits or ShardLimits(), OFF, "r1", frozenset(events))


def make(limits=None, events=()):
    shard = closed(limits, events)
    shard.open(None, NOW)
    return shard


def do(shard, envelope, now_us=NOW, **more):
    """Apply, and return the effects without those for the log."""
    return [effect for effect in shard.apply(envelope, now_us, **more) if not isinstance(effect, Append)]


def say(room="a", id="", conn="g1~1", payload=b"1", **more):  # noqa: A002
    return Publish(room, "CHAT", payload, NOW, conn, "u" if conn else "", id, **more)


def members_of(shard, room="a"):
    return sorted(conn for gateway in shard.rooms.targets(room) for conn in shard.rooms.members(room, gateway))


def joined(conn, room, epoch, seq, recovered=False, ref=""):
    return Reply(gateway_of(conn), wire.Joined(conn, room, Position(epoch, seq), recovered, 0, ref, TERM))


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_is_logged_and_goes_to_the_gateways_that_have_members():
    """And its sender is told; what the ledger does with it is in test_ledger.py."""
    shard = make()
    shard.apply(Join("a", "g1~1", "u"), NOW)
    shard.apply(Join("a", "g2~1", "v"), NOW)
    append, deliver, ack = shard.apply(say(id="m1"), NOW)
    assert deliver == Deliver(("g1", "g2"), append.entry)
    assert ack == Reply("g1", wire.Ack("g1~1", "a", "m1", EPOCH, 1, TERM))


def test_nothing_is_applied_before_the_shard_is_open():
    """Its members and positions are not known yet."""
    with pytest.raises(RuntimeError, match="not open"):
        closed().apply(say(), NOW)


def test_the_log_is_told_before_what_it_must_know_is_used():
    """A checkpoint that is due stands first among the effects of whatever comes next, and a claim brings about nothing."""
    shard = make(ShardLimits(checkpoint_bytes=1))
    assert [type(effect.entry) for effect in shard.apply(say(), NOW)] == [wire.Deliver]
    assert [type(effect.entry) for effect in shard.apply(say(), NOW)] == [wire.Checkpoint, wire.Deliver]
    assert [type(effect.entry) for effect in shard.apply(wire.Claim("r2", 9), NOW)] == [wire.Checkpoint]
    assert shard.apply(wire.Claim("r2", 9), NOW) == []


@pytest.mark.parametrize("room", ["", "no room", "@", "**", "a~", "a" * 129, "@a b"])
def test_an_address_that_is_none_is_refused(room):
    """Its sender is told; a backend's is set aside; nothing is kept of it."""
    shard = make()
    (refused,) = shard.apply(say(room, id="m1"), NOW)
    assert (refused.gateway, refused.message.code, refused.message.ref) == ("g1", "invalid_room", "m1")
    message = say(room, conn="")
    assert shard.apply(message, NOW) == [Reject(message, "invalid_room")]
    assert shard.remembered == make().remembered


def test_an_id_that_its_gateway_gave_is_not_shown():
    """The sender does not know it."""
    (refused,) = make().apply(say("no room", id="~g1~1.1"), NOW)
    assert refused.message.ref == ""
    assert make().refuse_internal(say(id="~g1~1.1"), "why")[0].message.ref == ""


def test_what_belongs_to_another_shard_is_refused_and_set_aside():
    """Two owners that number one room would tear its order."""
    room = next(name for name in "abcdefgh" if shard_of(name, 2) == 1)
    shard = Shard(0, 2, TERM, ShardLimits(), OFF)
    shard.open(None, NOW)
    message = say(room)
    refused, reject = shard.apply(message, NOW)
    assert (refused.message.code, reject) == ("internal", Reject(message, "internal"))
    assert [type(effect) for effect in shard.apply(Join(room, "g1~1", "u"), NOW)] == [Reply, Reject]
    assert len(shard.rooms) == 0


@pytest.mark.parametrize("stranger", [wire.Heartbeat("g1", 1), wire.Ack("g1~1", "a", "x", "e", 1), Ask("r", 0, 1)])
def test_an_envelope_of_another_kind_is_set_aside(stranger):
    """It has no business in a shard's queue."""
    assert make().apply(stranger, NOW) == [Reject(stranger, "not a shard's envelope")]


# ── members ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def caught_up(conn, *seqs, epoch=EPOCH, room="a"):
    """What a connection gets by itself."""
    return [
        Reply(gateway_of(conn), wire.Deliver(room, epoch, seq, "CHAT", b"1", NOW, TERM, "g1~1", "u", to=conn))
        for seq in seqs
    ]


@pytest.mark.parametrize(
    ("since", "missed"),
    [
        (None, None),
        (Position(EPOCH, 3), ()),
        (Position(EPOCH, 1), (2, 3)),
        (Position(EPOCH, 0), (1, 2, 3)),
        (Position(EPOCH, 4), None),
        (Position("xyz-1", 1), None),
    ],
)
def test_who_joins_with_a_position_is_first_sent_what_it_has_not_seen(since, missed):
    """It stands where it says, and what follows is its alone; or it stands at the room's position and gets nothing of before."""
    shard = make()
    for _ in range(3):
        shard.apply(say(), NOW)
    first, *rest = do(shard, Join("a", "g1~1", "u", "r", since))
    if missed is None:
        assert first.message == wire.Joined("g1~1", "a", Position(EPOCH, 3), False, 0, "r", TERM)
    else:
        assert first.message == wire.Joined("g1~1", "a", since, True, len(missed), "r", TERM)
    assert rest == caught_up("g1~1", *(missed or ()))


def test_who_joins_gets_from_then_on_what_everybody_gets():
    """The next message follows the last one that it was sent."""
    shard = make()
    shard.apply(say(), NOW)
    joined, missed = do(shard, Join("a", "g2~1", "u", "", Position(EPOCH, 0)))
    (deliver,) = do(shard, say())
    assert deliver.gateways == ("g2",)
    assert deliver.message.seq == missed.message.seq + 1 == joined.message.position.seq + joined.message.missed + 1


def test_a_position_in_a_room_without_history_counts_only_where_nothing_was_missed():
    """Within the life of one owner."""
    shard = make()
    shard.apply(say("off:a"), NOW)
    at = shard.position("off:a")
    for since, recovered in ((at, True), (Position(at.epoch, 0), False)):
        (answer,) = do(shard, Join("off:a", "g1~1", "u", "", since))
        assert (answer.message.recovered, answer.message.position, answer.message.missed) == (recovered, at, 0)


def test_a_second_join_is_answered_again_and_changes_nothing():
    """A gateway sends it again where it does not know its fate, and a client where it has noticed a gap: then it is sent that again."""
    shard = make()
    for _ in range(2):
        assert shard.apply(Join("a", "g1~1", "u"), NOW) == [joined("g1~1", "a", EPOCH, 0)]
    shard.apply(say(), NOW)
    for _ in range(2):
        _, missed = do(shard, Join("a", "g1~1", "u", "", Position(EPOCH, 0)))
        assert [missed] == caught_up("g1~1", 1)
    assert shard.rooms.memberships == 1


def test_an_answer_that_was_lost_is_given_again():
    """A message that is known is acknowledged under its first seq and delivered to nobody; what is not known, has no id or comes from no
    connection is passed over.
    """
    shard = make()
    shard.apply(Join("a", "g1~1", "u"), NOW)
    (_, first) = do(shard, say(id="x", conn="g2~1"))
    assert isinstance(first.message, wire.Ack)
    asked = (("g2~1", "u", "y"), ("g2~1", "u", "x"), ("g2~1", "v", "x"), ("g2~1", "u", ""), ("nobody", "u", "x"))
    assert shard.apply(wire.Inquiry("a", asked), NOW) == [
        Reply("g2", msgspec.structs.replace(first.message, again=True))
    ]
    assert shard.apply(wire.Inquiry("b", asked), NOW) == []
    assert shard.duplicates == 0


def test_a_leave_is_answered_for_each_room_where_it_is_asked_for():
    """Whether the connection was a member or not; without a ref there is no answer."""
    shard = make()
    for room in "ab":
        shard.apply(Join(room, "g1~1", "u"), NOW)
    assert shard.apply(Leave(("a", "z"), "g1~1", "r"), NOW) == [
        Reply("g1", wire.Left("g1~1", room, "r", TERM)) for room in "az"
    ]
    assert shard.apply(Leave(("b",), "g1~1"), NOW) == []
    assert shard.rooms.memberships == 0


@pytest.mark.parametrize("room", ["*", "g1~1", "no room", "@"])
def test_what_can_t_be_joined_is_refused(room):
    """Everyone and connections have no members."""
    (refused,) = make().apply(Join(room, "g1~1", "u", "r"), NOW)
    assert (refused.message.code, refused.message.ref) == ("invalid_room", "r")


@pytest.mark.parametrize(
    "envelope", [Join("a", "nobody", "u"), Leave(("a",), "nobody", "r"), HistoryQuery("a", "nobody", "r")]
)
def test_a_connection_that_is_none_can_t_be_answered(envelope):
    """So it is set aside."""
    assert make().apply(envelope, NOW) == [Reject(envelope, "invalid connection")]


def test_a_users_own_room_is_a_room():
    """With names as identity providers give them."""
    assert make().apply(Join("@auth0|x", "g1~1", "u"), NOW) == [joined("g1~1", "@auth0|x", EPOCH, 0)]


def test_a_room_keeps_its_position_while_it_is_empty():
    """A member that comes back to it has missed nothing if nothing was said."""
    shard = make()
    shard.apply(Join("a", "g1~1", "u"), NOW)
    shard.apply(say(), NOW)
    shard.apply(Leave(("a",), "g1~1"), NOW)
    (back,) = shard.apply(Join("a", "g1~1", "u", since=Position(EPOCH, 1)), NOW)
    assert back.message.recovered


# ── gateways ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def announce(ref, *rooms, gateway="g1", term=TERM, last=True, shard=0):
    return Announce(gateway, shard, term, tuple(rooms), last, ref)


def resync(gateway, room, epoch, seq):
    return Reply(gateway, Resync(room, Position(epoch, seq), TERM))


def replayed(*entries):
    """What a log with these entries of an earlier owner tells."""
    replay = Replay(ShardLimits(), OFF, 1, 0)
    replay.take([wire.Marker("r0", 36), wire.Checkpoint(36, 1, 1, ()), *entries, wire.Marker("r1", TERM)])
    return replay.finish(TERM, NOW)


def has(room, *conns, at=None):
    return Members(room, tuple((conn, "u") for conn in conns), at)


def test_a_new_owner_asks_every_gateway_and_keeps_the_answers_until_it_is_open():
    """The ask carries router, shard, term and number; who has answered is known at once, members and positions count with the opening."""
    shard = closed()
    assert shard.ask_every(["g1"], NOW) == [Tell(Ask("r1", 0, TERM, 1))]
    assert shard.announced(announce(1, has("a", "g1~1", "g1~2", at=Position("old-1", 9))), NOW) == []
    assert shard.announced(announce(1, has("a", "g2~1", at=Position(EPOCH, 0)), gateway="g2"), NOW) == []
    assert shard.answered == {"g1", "g2"}
    assert (shard.opened, shard.rooms.memberships) == (False, 0)
    assert shard.open(None, NOW) == [Append(wire.Checkpoint(TERM, TERM, 1, ())), resync("g1", "a", EPOCH, 0)]
    assert members_of(shard) == ["g1~1", "g1~2", "g2~1"]


def test_a_new_owner_sends_each_gateway_what_it_lacks():
    """In order and under its own term, from where that gateway has got to; where the log does not go on from there: a Resync."""
    entries = [wire.Deliver("a", "1-1", seq, "CHAT", b"1", NOW, 36, "g9~1", "u", f"m{seq}") for seq in (1, 2, 3)]
    shard = closed()
    shard.ask_every((), NOW)
    for gateway, at in (("g1", ("1-1", 1)), ("g2", ("1-1", 3)), ("g3", ("0-9", 3)), ("g4", ("1-1", 0))):
        shard.announced(announce(1, has("a", f"{gateway}~1", at=Position(*at)), gateway=gateway), NOW)
    effects = shard.open(replayed(*entries), NOW)
    mine = [msgspec.structs.replace(entry, term=TERM) for entry in entries]
    assert effects == [
        *(Reply("g1", entry) for entry in mine[1:]),
        resync("g3", "a", "1-1", 3),
        *(Reply("g4", entry) for entry in mine),
    ]
    assert do(shard, say(id="m2", conn="g9~1"))[-1].message.seq == 2
    assert do(shard, say())[0].message.seq == 4


def test_a_busy_room_is_caught_up_whole_by_its_next_owner():
    """500 messages in one second, far more than the namespace's count of 100: a gateway that has got none of them gets them all, a moment or a
    minute later, and so does a member that comes back; what is read in pages stays within the count.
    """
    first = 1_764_000_000_000_000 - 60 * 1_000_000
    entries = [
        wire.Deliver("a", "1-1", seq, "CHAT", b"1", first + 2_000 * seq, 36, "g9~1", "u", f"m{seq}")
        for seq in range(1, 501)
    ]
    assert OFF.policy("a").history.count == 100
    shard = closed()
    shard.ask_every((), NOW)
    shard.announced(announce(1, has("a", "g1~1", at=Position("1-1", 0))), NOW)
    effects = shard.open(replayed(*entries), NOW)
    assert effects == [Reply("g1", msgspec.structs.replace(entry, term=TERM)) for entry in entries]
    joined, *missed = shard.apply(Join("a", "g1~2", "u", "j", Position("1-1", 7)), NOW)
    assert (joined.message.recovered, joined.message.missed, len(missed)) == (True, 493, 493)
    seen, before = [], 0
    while True:
        (answer,) = shard.apply(wire.HistoryQuery("a", "g1~1", "h", before, 60), NOW)
        seen = [said.seq for said in answer.message.messages] + seen
        if not answer.message.more:
            break
        before = seen[0]
    assert seen == list(range(401, 501))


def test_a_gateway_that_is_gone_before_the_opening_has_no_members():
    """Those whom its answer named have left, and backends are told."""
    shard = closed(events=("room",))
    shard.ask_every((), NOW)
    shard.announced(announce(1, has("a", "g1~1")), NOW)
    assert shard.drop_gateway("g1", NOW) == [Emit("room.left", "a", NOW, "g1~1", "u", "gone")]
    shard.open(None, NOW)
    assert shard.rooms.memberships == 0


def test_an_answer_replaces_the_members_of_its_gateway_and_of_no_other():
    """Who is not named has left; what was applied since the ask counts more, and is answered by itself alone."""
    shard = make()
    for conn in ("g1~1", "g1~2", "g2~1"):
        shard.apply(Join("a", conn, "u"), NOW)
    (question,) = shard.ask("g1", NOW)
    shard.apply(Join("a", "g1~3", "u"), NOW)
    shard.apply(Join("c", "g1~3", "u"), NOW)
    shard.apply(Leave(("a",), "g1~4"), NOW)
    at = Position(EPOCH, 0)
    assert shard.announced(announce(question.message.ref, has("a", "g1~2", "g1~4", at=at), has("b", "g1~5")), NOW) == [
        resync("g1", "b", EPOCH, 0)
    ]
    assert members_of(shard) == ["g1~2", "g1~3", "g2~1"]
    assert members_of(shard, "b") == ["g1~5"]
    assert members_of(shard, "c") == ["g1~3"]


def test_what_a_gateway_lacks_is_sent_once_however_many_members_it_names():
    """To the gateway, not to each of them; a room where it has none left is passed over, everyone's address is not."""
    shard = make()
    for room in ("a", "b", "*"):
        shard.apply(say(room), NOW)
    (question,) = shard.ask("g1", NOW)
    none_yet = Position(EPOCH, 0)
    answer = announce(
        question.message.ref, has("a", "g1~1", "g1~2", at=none_yet), has("b", at=none_yet), has("*", at=none_yet)
    )
    effects = shard.announced(answer, NOW)
    assert [(effect.gateway, effect.message.room, effect.message.seq, effect.message.to) for effect in effects] == [
        ("g1", "a", 1, ""),
        ("g1", "*", 1, ""),
    ]


def test_a_gateway_that_has_no_position_of_everyone_s_address_is_given_one():
    """From then on it notices what it misses."""
    shard = make()
    shard.apply(say("*"), NOW)
    (question,) = shard.ask("g1", NOW)
    assert shard.announced(announce(question.message.ref, has("*")), NOW) == [resync("g1", "*", EPOCH, 1)]


def test_a_gateway_that_noticed_a_gap_is_sent_what_it_lacks():
    """From the position that it names; or the position from which it must go on."""
    shard = make()
    for room in ("a", "a", "*"):
        shard.apply(say(room), NOW)
    assert [reply.message.seq for reply in do(shard, Resume("g1", "a", Position(EPOCH, 0)))] == [1, 2]
    assert [reply.message.seq for reply in do(shard, Resume("g1", "*", Position(EPOCH, 0)))] == [1]
    assert do(shard, Resume("g1", "a", Position(EPOCH, 2))) == []
    assert do(shard, Resume("g1", "a", Position("z-1", 2))) == [resync("g1", "a", EPOCH, 2)]


@pytest.mark.parametrize("resume", [Resume("", "a", Position(EPOCH, 0)), Resume("g1", "no room", Position(EPOCH, 0))])
def test_a_resume_that_makes_no_sense_is_set_aside(resume):
    """Nobody could be answered, or about nothing."""
    assert make().apply(resume, NOW) == [Reject(resume, "invalid resume")]


def test_a_gateway_that_is_ahead_of_the_log_ends_the_epoch():
    """The log has lost what was delivered. In a new epoch nothing of it can be taken for something else, and every gateway is told; the
    log is told before anything else.
    """
    shard = make()
    shard.apply(Join("a", "g2~1", "u"), NOW)
    shard.apply(say(), NOW)
    assert shard.apply(Resume("g1", "a", Position(EPOCH, 2)), NOW) == [
        Append(wire.Checkpoint(TERM, TERM, 2, (("*", EPOCH, 0),))),
        resync("g1", "a", "24c-2", 0),
        resync("g2", "a", "24c-2", 0),
    ]
    assert do(shard, say())[0].message.seq == 1
    assert not do(shard, Join("a", "g1~1", "u", "", Position(EPOCH, 1)))[0].message.recovered


def test_a_client_that_claims_to_be_ahead_changes_nothing():
    """Anyone can say so."""
    shard = make()
    assert not do(shard, Join("a", "g1~1", "u", "", Position(EPOCH, 9)))[0].message.recovered
    assert shard.position("a") == Position(EPOCH, 0)


def test_a_member_may_read_the_history():
    """In pages, as it was delivered; who is no member may not."""
    shard = make()
    for _ in range(3):
        shard.apply(say(), NOW)
    (refused,) = shard.apply(HistoryQuery("a", "g1~1", "q"), NOW)
    assert (refused.message.code, refused.message.ref) == ("not_joined", "q")
    shard.apply(Join("a", "g1~1", "u"), NOW)
    (page,) = shard.apply(HistoryQuery("a", "g1~1", "q", 3, 1), NOW)
    assert (page.gateway, page.message.ref, page.message.more, page.message.term) == ("g1", "q", True, TERM)
    assert [said.seq for said in page.message.messages] == [2]


def test_backends_are_told_of_members_and_messages():
    """After what the gateways are told; again where the broker gives an envelope again."""
    shard = make(events=("client", "room", "message"))
    assert shard.apply(Join("@u", "g1~1", "u"), NOW)[-1] == Emit("client.connected", "@u", NOW, "g1~1", "u")
    assert shard.apply(Join("a", "g1~1", "u"), NOW)[-1] == Emit("room.joined", "a", NOW, "g1~1", "u")
    assert isinstance(shard.apply(Join("a", "g1~1", "u"), NOW)[-1], Reply)
    assert shard.apply(Join("a", "g1~1", "u"), NOW, again=True)[-1] == Emit("room.joined", "a", NOW, "g1~1", "u")
    assert shard.apply(say(), NOW)[-1].kind == "message"
    assert shard.apply(Leave(("a",), "g1~1"), NOW) == [Emit("room.left", "a", NOW, "g1~1", "u", "left")]
    assert shard.apply(Leave(("a", "no room"), "g1~7", user="v"), NOW) == [
        Emit("room.left", "a", NOW, "g1~7", "v", "left")
    ]
    assert shard.drop_gateway("g1", NOW) == [Emit("client.disconnected", "@u", NOW, "g1~1", "u", "gone")]


def test_who_announces_unasked_is_asked():
    """Once for a whole announcement, whatever term it names below ours; of a higher term or another shard it is not ours."""
    shard = make()
    assert shard.announced(announce(0, has("a", "g1~1"), last=False), NOW) == []
    assert shard.announced(announce(0, has("a", "g1~2"), term=3), NOW) == [Reply("g1", Ask("r1", 0, TERM, 1))]
    assert shard.announced(announce(0, term=TERM + 1), NOW) == []
    assert shard.announced(announce(0, shard=1), NOW) == []
    assert shard.rooms.memberships == 0


def test_an_answer_under_another_term_is_none():
    """A gateway that answers for an earlier term has not seen our ask yet."""
    shard = make()
    shard.ask_every(["g1"], NOW)
    assert shard.announced(announce(1, has("a", "g1~1"), term=TERM - 1), NOW) == []
    assert shard.answered == set()


def test_an_unknown_gateway_that_answers_too_late_is_asked_by_itself():
    """Once the shard is live its joins and leaves must be noted from the ask on."""
    shard = closed()
    shard.ask_every(["g1"], NOW)
    shard.open(None, NOW)
    assert shard.announced(announce(1, has("a", "g2~1"), gateway="g2"), NOW) == [Reply("g2", Ask("r1", 0, TERM, 2))]
    assert shard.announced(announce(2, has("a", "g2~1"), gateway="g2"), NOW) == [resync("g2", "a", EPOCH, 0)]


def test_who_does_not_answer_is_asked_again():
    """With a new number, and only those that were asked before the given moment."""
    shard = make()
    shard.ask_every(["g1", "g2"], NOW)
    shard.announced(announce(1, gateway="g2"), NOW)
    assert shard.ask_overdue(NOW, NOW + 5) == []
    assert shard.ask_overdue(NOW + 1, NOW + 5) == [Reply("g1", Ask("r1", 0, TERM, 2))]


def test_an_answer_can_t_name_what_is_not_the_gateway_s():
    """Members of other gateways, connections that are none, rooms that are none or of another shard are passed over."""
    shard = closed()
    shard.ask_every(["g1"], NOW)
    shard.announced(announce(1, has("a", "g2~1", "nobody"), has("no room", "g1~1"), has("*", "g1~1")), NOW)
    shard.open(None, NOW)
    assert len(shard.rooms) == 0


def test_a_gateway_that_is_gone_has_no_members():
    """Its rooms keep their positions; that it is gone once more changes nothing."""
    shard = make()
    for room, conn in [("a", "g1~1"), ("b", "g1~1"), ("a", "g2~1")]:
        shard.apply(Join(room, conn, "u"), NOW)
        shard.apply(say(room), NOW)
    for _ in range(2):
        assert shard.drop_gateway("g1", NOW) == []
        assert (members_of(shard), members_of(shard, "b")) == (["g2~1"], [])
        assert (shard.position("a").seq, shard.position("b").seq) == (2, 1)


def test_what_broke_something_is_refused_as_our_fault():
    """Whoever sent it is told under its own id, and it is set aside with the reason."""
    shard = make()
    for envelope, ref in [(say(id="m1"), "m1"), (Join("a", "g1~1", "u", "r"), "r"), (Leave(("a",), "g1~1", "r"), "r")]:
        refused, reject = shard.refuse_internal(envelope, "internal: X")
        assert (refused.message.code, refused.message.ref) == ("internal", ref)
        assert reject == Reject(envelope, "internal: X")
    assert shard.refuse_internal(say(conn=""), "why") == [Reject(say(conn=""), "why")]


def test_what_has_aged_goes_though_nothing_is_said():
    """A silent shard keeps neither messages nor ids beyond their time; some of them go at each call."""
    shard = make()
    for number in range(150):
        shard.apply(say(room=f"r{number}", id="m"), NOW)
    before = shard.history_bytes
    shard.tidy(NOW)
    assert shard.history_bytes == before
    later = NOW + 3_600_000_000
    shard.tidy(later)
    assert before / 3 < shard.history_bytes < before
    shard.tidy(later)
    shard.tidy(later)
    assert shard.history_bytes == 0
