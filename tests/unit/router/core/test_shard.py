"""Shard: scripts of envelopes and the exact effects; the random walk is in test_shard_walk.py."""

import msgspec
import pytest

from router.core.effects import EVERY, Deliver, Reject, Reply, Tell
from router.core.shard import Shard, ShardLimits
from warren import envelope as wire
from warren.address import gateway_of, shard_of
from warren.envelope import Announce, Ask, Join, Leave, Members, Publish
from warren.position import Position

NOW = 1_764_000_000_000_000
TERM = 0xABC


def make(limits=None):
    return Shard(0, 1, TERM, limits or ShardLimits(), "r1")


def say(room="a", id="", conn="g1~1", payload=b"1", **more):  # noqa: A002
    return Publish(room, "CHAT", payload, 7, conn, "u" if conn else "", id, **more)


def members_of(shard, room="a"):
    return sorted(conn for gateway in shard.rooms.targets(room) for conn in shard.rooms.members(room, gateway))


def joined(conn, room, epoch, seq, recovered=False, ref=""):
    return Reply(gateway_of(conn), wire.Joined(conn, room, Position(epoch, seq), recovered, 0, ref, TERM))


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_is_numbered_delivered_and_acknowledged():
    """The delivery has all that the sender gave, the seq, the epoch and the term; the ACK goes to the sender's gateway."""
    shard = make()
    shard.apply(Join("a", "g1~1", "u"), NOW)
    shard.apply(Join("a", "g2~1", "v"), NOW)
    message = Publish("a", "deal", b"\xff", 7, "g1~1", "u", "m1", True, True, False, "k", 0, "trace")
    deliver, ack = shard.apply(message, NOW)
    assert deliver == Deliver(
        ("g1", "g2"),
        wire.Deliver("a", "abc-1", 1, "deal", b"\xff", 7, TERM, "g1~1", "u", "m1", True, True, "k", 0, "trace"),
    )
    assert ack == Reply("g1", wire.Ack("g1~1", "a", "m1", "abc-1", 1, TERM))


def test_each_field_of_a_message_reaches_its_delivery():
    """No field that both have is lost or mixed up, also when the wire gets new ones."""
    values = {
        field.name: {"str": f"x-{field.name}", "bytes": b"p", "int": index + 1, "bool": True}[field.type.__name__]
        for index, field in enumerate(msgspec.structs.fields(Publish))
    } | {"room": "a", "conn": "g1~1", "expires_ms": 1 << 50, "ephemeral": False}
    shard = make()
    shard.apply(Join("a", "g1~1", "u"), NOW)
    deliver, _ = shard.apply(Publish(**values), NOW)
    for name in deliver.message.__struct_fields__:
        if name in values:
            assert getattr(deliver.message, name) == values[name], name


def test_no_id_no_ack_and_no_sender_no_ack():
    """An ACK needs both: somebody who asked for it, and somebody to tell."""
    shard = make()
    assert shard.apply(say(), NOW) == []
    assert shard.apply(say(id="m1", conn=""), NOW) == []
    assert shard.apply(say(id="m1"), NOW) == [Reply("g1", wire.Ack("g1~1", "a", "m1", "abc-1", 3, TERM))]


def test_a_room_without_members_is_numbered_all_the_same():
    """Who joins afterwards is told the position."""
    shard = make()
    shard.apply(say(), NOW)
    shard.apply(say(), NOW)
    assert shard.apply(Join("a", "g1~1", "u", "r"), NOW) == [joined("g1~1", "a", "abc-1", 2, ref="r")]


def test_a_repeat_gets_the_first_answer_and_is_not_delivered():
    """Also from another connection of the same user; another user's same id is another message."""
    shard = make()
    shard.apply(Join("a", "g1~1", "u"), NOW)
    shard.apply(say(id="m1"), NOW)
    shard.apply(say(), NOW)
    assert shard.apply(say(id="m1", conn="g2~5"), NOW) == [Reply("g2", wire.Ack("g2~5", "a", "m1", "abc-1", 1, TERM))]
    assert shard.apply(say(id="m1", conn=""), NOW)[0].message.seq == 3
    assert shard.apply(say(id="m1", conn=""), NOW) == []
    assert shard.duplicates == 2


def test_an_ephemeral_message_is_delivered_without_a_number():
    """It takes no seq, but an id of its own counts once."""
    shard = make()
    shard.apply(Join("a", "g1~1", "u"), NOW)
    deliver, ack = shard.apply(say(id="t", ephemeral=True), NOW)
    assert (deliver.message.epoch, deliver.message.seq, ack.message.seq) == ("", 0, 0)
    assert shard.apply(say(id="t", ephemeral=True), NOW) == [ack]
    assert shard.apply(say(), NOW)[0].message.seq == 1


def test_an_expired_message_is_answered_and_not_delivered():
    """At its very millisecond it is expired, before it is not; it takes no seq."""
    shard = make()
    shard.apply(Join("a", "g1~1", "u"), NOW)
    (ack,) = shard.apply(say(id="late", expires_ms=NOW // 1_000), NOW)
    assert (ack.message.id, ack.message.seq) == ("late", 0)
    assert shard.apply(say(expires_ms=NOW // 1_000 + 1), NOW)[0].message.seq == 1


def test_a_connection_s_address_goes_to_its_gateway_unnumbered():
    """The router keeps no entry for it."""
    shard = make()
    deliver, ack = shard.apply(say("g7~1f", id="m1"), NOW)
    assert deliver.gateways == ("g7",)
    assert (deliver.message.epoch, deliver.message.seq, ack.message.seq) == ("", 0, 0)
    assert shard.remembered == 0


def test_everyone_s_address_goes_to_every_gateway_numbered():
    """Whoever lives."""
    shard = make()
    first, second = shard.apply(say("*"), NOW) + shard.apply(say("*"), NOW)
    assert first.gateways == EVERY
    assert (first.message.seq, second.message.seq) == (1, 2)


@pytest.mark.parametrize("room", ["", "no room", "@", "**", "a~", "a" * 129, "@a b"])
def test_an_address_that_is_none_is_refused(room):
    """Its sender is told; a backend's is set aside; nothing is kept of it."""
    shard = make()
    (refused,) = shard.apply(say(room, id="m1"), NOW)
    assert (refused.gateway, refused.message.code, refused.message.ref) == ("g1", "invalid_room", "m1")
    message = say(room, conn="")
    assert shard.apply(message, NOW) == [Reject(message, "invalid_room")]
    assert shard.remembered == 0


def test_what_belongs_to_another_shard_is_refused_and_set_aside():
    """Two owners that number one room would tear its order."""
    room = next(name for name in "abcdefgh" if shard_of(name, 2) == 1)
    shard = Shard(0, 2, TERM, ShardLimits())
    message = say(room)
    refused, reject = shard.apply(message, NOW)
    assert (refused.message.code, reject) == ("internal", Reject(message, "internal"))
    assert [type(effect) for effect in shard.apply(Join(room, "g1~1", "u"), NOW)] == [Reply, Reject]
    assert len(shard.rooms) == 0


@pytest.mark.parametrize("stranger", [wire.Heartbeat("g1", 1), wire.Ack("g1~1", "a", "x", "e", 1), Ask("r", 0, 1)])
def test_an_envelope_of_another_kind_is_set_aside(stranger):
    """It has no business in a shard's queue."""
    assert make().apply(stranger, NOW) == [Reject(stranger, "not a shard's envelope")]


def test_a_forgotten_id_counts_again():
    """Bounded in count and age, as the limits say."""
    shard = make(ShardLimits(dedup_count=1, dedup_age_us=100))
    seqs = [
        shard.apply(say(id=name), NOW + late)[-1].message.seq
        for name, late in [("x", 0), ("x", 100), ("x", 201), ("y", 201), ("x", 201)]
    ]
    assert seqs == [1, 1, 2, 3, 4]


# ── members ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("since", "recovered"),
    [(None, False), (Position("abc-1", 1), True), (Position("abc-1", 0), False), (Position("xyz-1", 1), False)],
)
def test_recovered_means_that_nothing_was_missed(since, recovered):
    """Without a log that is so only for the very position."""
    shard = make()
    shard.apply(say(), NOW)
    assert shard.apply(Join("a", "g1~1", "u", "r", since), NOW) == [joined("g1~1", "a", "abc-1", 1, recovered, "r")]


def test_a_second_join_is_answered_again_and_changes_nothing():
    """A gateway sends it again where it does not know its fate."""
    shard = make()
    for _ in range(2):
        assert shard.apply(Join("a", "g1~1", "u"), NOW) == [joined("g1~1", "a", "abc-1", 0)]
    assert shard.rooms.memberships == 1


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


@pytest.mark.parametrize("envelope", [Join("a", "nobody", "u"), Leave(("a",), "nobody", "r")])
def test_a_connection_that_is_none_can_t_be_answered(envelope):
    """So it is set aside."""
    assert make().apply(envelope, NOW) == [Reject(envelope, "invalid connection")]


def test_a_users_own_room_is_a_room():
    """With names as identity providers give them."""
    assert make().apply(Join("@auth0|x", "g1~1", "u"), NOW) == [joined("g1~1", "@auth0|x", "abc-1", 0)]


def test_a_room_keeps_its_position_while_it_is_empty():
    """A member that comes back to it has missed nothing if nothing was said."""
    shard = make()
    shard.apply(Join("a", "g1~1", "u"), NOW)
    shard.apply(say(), NOW)
    shard.apply(Leave(("a",), "g1~1"), NOW)
    (back,) = shard.apply(Join("a", "g1~1", "u", since=Position("abc-1", 1)), NOW)
    assert back.message.recovered


# ── gateways ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def announce(ref, *rooms, gateway="g1", term=TERM, last=True, shard=0):
    return Announce(gateway, shard, term, tuple(rooms), last, ref)


def has(room, *conns, at=None):
    return Members(room, tuple((conn, "u") for conn in conns), at)


def test_a_new_owner_asks_every_gateway_and_tells_their_members_the_new_life():
    """Each member whose gateway has got to another position is told; the ask carries router, shard, term and number."""
    shard = make()
    assert shard.ask_every(["g1"], NOW) == [Tell(Ask("r1", 0, TERM, 1))]
    effects = shard.announced(announce(1, has("a", "g1~1", "g1~2", at=Position("old-1", 9))), NOW)
    assert effects == [joined("g1~1", "a", "abc-1", 0), joined("g1~2", "a", "abc-1", 0)]
    assert shard.announced(announce(1, has("a", "g2~1", at=Position("abc-1", 0)), gateway="g2"), NOW) == []
    assert members_of(shard) == ["g1~1", "g1~2", "g2~1"]
    assert shard.answered == {"g1", "g2"}


def test_an_answer_replaces_the_members_of_its_gateway_and_of_no_other():
    """Who is not named has left; what was applied since the ask counts more."""
    shard = make()
    for conn in ("g1~1", "g1~2", "g2~1"):
        shard.apply(Join("a", conn, "u"), NOW)
    (question,) = shard.ask("g1", NOW)
    shard.apply(Join("a", "g1~3", "u"), NOW)
    shard.apply(Leave(("a",), "g1~4"), NOW)
    at = Position("abc-1", 0)
    assert shard.announced(announce(question.message.ref, has("a", "g1~2", "g1~4", at=at), has("b", "g1~5")), NOW) == [
        joined("g1~5", "b", "abc-2", 0)
    ]
    assert members_of(shard) == ["g1~2", "g1~3", "g2~1"]
    assert members_of(shard, "b") == ["g1~5"]


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
    shard = make()
    shard.ask_every(["g1"], NOW)
    shard.open()
    assert shard.announced(announce(1, has("a", "g2~1"), gateway="g2"), NOW) == [Reply("g2", Ask("r1", 0, TERM, 2))]
    assert shard.announced(announce(2, has("a", "g2~1"), gateway="g2"), NOW) == [joined("g2~1", "a", "abc-1", 0)]


def test_who_does_not_answer_is_asked_again():
    """With a new number, and only those that were asked before the given moment."""
    shard = make()
    shard.ask_every(["g1", "g2"], NOW)
    shard.announced(announce(1, gateway="g2"), NOW)
    assert shard.ask_overdue(NOW, NOW + 5) == []
    assert shard.ask_overdue(NOW + 1, NOW + 5) == [Reply("g1", Ask("r1", 0, TERM, 2))]


def test_an_answer_can_t_name_what_is_not_the_gateway_s():
    """Members of other gateways, connections that are none, rooms that are none or of another shard are passed over."""
    shard = make()
    shard.ask_every(["g1"], NOW)
    shard.announced(announce(1, has("a", "g2~1", "nobody"), has("no room", "g1~1"), has("*", "g1~1")), NOW)
    assert len(shard.rooms) == 0


def test_a_gateway_that_is_gone_has_no_members():
    """Its rooms keep their positions; it says in how many rooms it had members."""
    shard = make()
    for room, conn in [("a", "g1~1"), ("b", "g1~1"), ("a", "g2~1")]:
        shard.apply(Join(room, conn, "u"), NOW)
    assert shard.drop_gateway("g1") == 2
    assert (members_of(shard), members_of(shard, "b")) == (["g2~1"], [])
    assert shard.remembered == 2
    assert shard.drop_gateway("g1") == 0


def test_what_broke_something_is_refused_as_our_fault():
    """Whoever sent it is told under its own id, and it is set aside with the reason."""
    shard = make()
    for envelope, ref in [(say(id="m1"), "m1"), (Join("a", "g1~1", "u", "r"), "r"), (Leave(("a",), "g1~1", "r"), "r")]:
        refused, reject = shard.refuse_internal(envelope, "internal: X")
        assert (refused.message.code, refused.message.ref) == ("internal", ref)
        assert reject == Reject(envelope, "internal: X")
    assert shard.refuse_internal(say(conn=""), "why") == [Reject(say(conn=""), "why")]
