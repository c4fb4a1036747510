"""Ledger: what numbering a message brings about, what a repeat does, and what is given to those who missed something."""

import msgspec
import pytest

from router.core.effects import EVERY, Append, Deliver, Emit, Reply
from router.core.history import WINDOW_BYTES
from router.core.ledger import PAGE_COUNT, Ledger
from router.core.limits import ShardLimits
from router.core.replay import Replay
from warren import envelope as wire
from warren.envelope import Publish
from warren.namespaces import HistoryPolicy, Namespaces, RoomPolicy
from warren.position import Position
from warren.weights import kept_bytes

NOW = 1_764_000_000_000_000
TERM = 0xABC
EPOCH = "24c-1"
NAMESPACES = Namespaces(
    [
        RoomPolicy("off", "off:*", history=HistoryPolicy(0, 0)),
        RoomPolicy("long", "long:*", history=HistoryPolicy(1_000, 60)),
    ]
)
GATEWAYS = {"a": ("g1", "g2"), "off:a": ("g1",), "long:a": ("g1",)}


def make(limits=None, *, events=False, log=(), term=TERM):
    """Return a ledger whose first checkpoint is written."""
    replay = Replay(limits or ShardLimits(), NAMESPACES, 1, 0)
    replay.take(log)
    known = replay.finish(term, NOW)
    ledger = Ledger(term, known, NAMESPACES, lambda room: GATEWAYS.get(room, ()), events=events)
    ledger.upkeep()
    return ledger


def publish(ledger, message, now_us=NOW, *, again=False):
    effects = []
    ledger.publish(message, now_us, effects, again=again)
    return effects


def say(room="a", id="", conn="g1~1", payload=b"1", **more):  # noqa: A002
    return Publish(room, "CHAT", payload, NOW, conn, "u" if conn else "", id, **more)


def entry(seq, room="a", epoch=EPOCH, **more):
    return wire.Deliver(room, epoch, seq, "CHAT", b"1", NOW, TERM, "g1~1", "u", **more)


def test_a_message_is_logged_delivered_and_acknowledged_in_this_order():
    """The entry has all that the sender gave, the seq, the epoch and the term, but no trace; the ACK goes to the sender's gateway."""
    message = Publish("a", "deal", b"\xff", 7, "g1~1", "u", "m1", True, True, False, "k", 0, "trace")
    logged = wire.Deliver("a", EPOCH, 1, "deal", b"\xff", 7, TERM, "g1~1", "u", "m1", True, True, "k", 0, "")
    assert publish(make(), message) == [
        Append(logged),
        Deliver(("g1", "g2"), msgspec.structs.replace(logged, trace="trace")),
        Reply("g1", wire.Ack("g1~1", "a", "m1", EPOCH, 1, TERM)),
    ]


def test_each_field_of_a_message_reaches_its_delivery():
    """No field that both have is lost or mixed up, also when the wire gets new ones."""
    values = {
        field.name: {"str": f"x-{field.name}", "bytes": b"p", "int": index + 1, "bool": True}[field.type.__name__]
        for index, field in enumerate(msgspec.structs.fields(Publish))
    } | {"room": "a", "conn": "g1~1", "expires_ms": 1 << 50, "ephemeral": False}
    append, deliver, _ = publish(make(), Publish(**values))
    for name in deliver.message.__struct_fields__:
        if name in values:
            assert getattr(deliver.message, name) == values[name], name
            assert name == "trace" or getattr(append.entry, name) == values[name], name


def test_no_id_no_ack_and_no_sender_no_ack():
    """An ACK needs both: somebody who asked for it, and somebody to tell."""
    ledger = make()
    assert [type(effect) for effect in publish(ledger, say())] == [Append, Deliver]
    assert [type(effect) for effect in publish(ledger, say(id="m1", conn=""))] == [Append, Deliver]
    assert publish(ledger, say(id="m1"))[-1] == Reply("g1", wire.Ack("g1~1", "a", "m1", EPOCH, 3, TERM))


def test_a_room_without_members_is_numbered_and_logged_all_the_same():
    """Who joins afterwards is told the position."""
    ledger = make()
    assert publish(ledger, say("empty")) == [Append(entry(1, "empty"))]
    assert ledger.lives.position("empty") == Position(EPOCH, 1)


def test_a_repeat_gets_the_first_answer_and_is_delivered_again_under_its_seq():
    """Also from another connection of the same user; it is not logged again. Another user's same id is another message."""
    ledger = make()
    publish(ledger, say(id="m1"))
    publish(ledger, say())
    assert publish(ledger, say(id="m1", conn="g2~5")) == [
        Deliver(("g1", "g2"), entry(1, id="m1")),
        Reply("g2", wire.Ack("g2~5", "a", "m1", EPOCH, 1, TERM)),
    ]
    assert publish(ledger, say(id="m1", conn=""))[0].entry.seq == 3
    assert ledger.duplicates == 1


def test_a_repeat_of_what_is_not_kept_is_only_acknowledged():
    """Whoever missed it asks by its position."""
    ledger = make(ShardLimits(history_bytes=1_400))
    publish(ledger, say(id="m1"))
    publish(ledger, say())
    assert publish(ledger, say(id="m1")) == [Reply("g1", wire.Ack("g1~1", "a", "m1", EPOCH, 1, TERM))]


def test_a_repeat_of_what_a_former_owner_logged_is_delivered_under_the_new_term():
    """That owner may have died before it was on its way; nobody takes the old term any more."""
    log = [wire.Marker("r1", TERM), wire.Checkpoint(TERM, TERM, 1, ()), entry(1, id="m1")]
    deliver, ack = publish(make(log=log, term=TERM + 1), say(id="m1"), again=True)
    assert deliver == Deliver(("g1", "g2"), msgspec.structs.replace(entry(1, id="m1"), term=TERM + 1))
    assert (ack.message.seq, ack.message.term) == (1, TERM + 1)


def test_an_id_that_a_gateway_gave_counts_once_and_is_not_acknowledged():
    """So that what a gateway sends twice is not doubled; such ids don't drive out the senders' own."""
    ledger = make(ShardLimits(dedup_count=2))
    publish(ledger, say(id="m1"))
    for number in range(3):
        assert [type(effect) for effect in publish(ledger, say(id=f"~g1~1.{number}"))] == [Append, Deliver]
    assert publish(ledger, say(id="~g1~1.2")) == [Deliver(("g1", "g2"), entry(4, id="~g1~1.2"))]
    assert publish(ledger, say(id="m1"))[-1].message.seq == 1


def test_an_ephemeral_message_is_delivered_without_a_number():
    """It takes no seq and is not logged; an id of its own counts once, one that its gateway gave is not even remembered."""
    ledger = make()
    deliver, ack = publish(ledger, say(id="t", ephemeral=True, trace="x"))
    assert (deliver.message.epoch, deliver.message.seq, deliver.message.trace, ack.message.seq) == ("", 0, "x", 0)
    assert publish(ledger, say(id="t", ephemeral=True)) == [ack]
    for _ in range(2):
        assert [type(effect) for effect in publish(ledger, say(id="~g1~1.1", ephemeral=True))] == [Deliver]
    assert publish(ledger, say())[0].entry.seq == 1


def test_an_expired_message_is_answered_and_neither_numbered_nor_delivered():
    """At its very millisecond it is expired, before it is not; its id counts."""
    ledger = make()
    (ack,) = publish(ledger, say(id="late", expires_ms=NOW // 1_000))
    assert (ack.message.id, ack.message.seq) == ("late", 0)
    assert publish(ledger, say(id="late")) == [ack]
    assert publish(ledger, say(expires_ms=NOW // 1_000 + 1))[0].entry.seq == 1


def test_a_connection_s_address_goes_to_its_gateway_unnumbered():
    """It is not logged, and no entry is kept for it."""
    ledger = make()
    deliver, ack = publish(ledger, say("g7~1f", id="m1"))
    assert deliver.gateways == ("g7",)
    assert (deliver.message.epoch, deliver.message.seq, ack.message.seq) == ("", 0, 0)
    assert len(ledger.lives) == 0


def test_everyone_s_address_goes_to_every_gateway_numbered_and_logged():
    """Whoever lives."""
    ledger = make()
    for seq in (1, 2):
        append, deliver = publish(ledger, say("*"))
        assert (append.entry.seq, deliver.gateways, deliver.message.seq) == (seq, EVERY, seq)


def test_a_room_without_history_is_numbered_and_not_logged():
    """Its repeats are acknowledged for as long as this owner lives."""
    ledger = make()
    deliver, ack = publish(ledger, say("off:a", id="m1"))
    assert (deliver.message.epoch, deliver.message.seq) == ("24c.1", 1)
    assert publish(ledger, say("off:a", id="m1")) == [ack]
    assert ledger.missed("off:a", Position("24c.1", 1), NOW) == []
    assert ledger.missed("off:a", Position("24c.1", 0), NOW) is None


def test_a_forgotten_id_counts_again():
    """Bounded in count and age, as the limits say."""
    ledger = make(ShardLimits(dedup_count=1, dedup_age_us=100))
    seqs = [
        publish(ledger, say(id=name), NOW + late)[-1].message.seq
        for name, late in [("x", 0), ("x", 100), ("x", 201), ("y", 201), ("x", 201)]
    ]
    assert seqs == [1, 1, 2, 3, 4]


def test_what_was_missed_comes_in_order_under_the_present_term():
    """For one connection alone where one is named; what can't be told is None, and so is no position at all."""
    log = [wire.Marker("r1", TERM), wire.Checkpoint(TERM, TERM, 1, ()), entry(1), entry(2), entry(3)]
    ledger = make(log=log, term=TERM + 1)
    assert ledger.missed("a", Position(EPOCH, 1), NOW, to="g1~9") == [
        msgspec.structs.replace(entry(seq), term=TERM + 1, to="g1~9") for seq in (2, 3)
    ]
    assert ledger.missed("a", Position(EPOCH, 3), NOW) == []
    assert ledger.missed("a", Position("z-1", 3), NOW) is None
    assert ledger.missed("a", None, NOW) is None


def test_a_page_is_bounded_whatever_is_asked_for():
    """One message at least, and no more than the limit."""
    ledger = make()
    for _ in range(PAGE_COUNT + 20):
        publish(ledger, say("long:a"))
    for limit, count in ((0, 1), (-5, 1), (7, 7), (10_000, PAGE_COUNT)):
        messages, more = ledger.page("long:a", 0, limit, NOW)
        assert (len(messages), messages[-1].seq, more) == (count, PAGE_COUNT + 20, True)
    messages, more = ledger.page("long:a", -3, 5, NOW)
    assert messages[-1].seq == PAGE_COUNT + 20


def test_a_room_that_is_renounced_keeps_nothing_of_its_epoch():
    """The log is told before anything is numbered in the new one."""
    ledger = make()
    publish(ledger, say())
    ledger.renounce("a")
    assert ledger.upkeep() == [Append(wire.Checkpoint(TERM, TERM, 2, ()))]
    assert ledger.missed("a", Position(EPOCH, 0), NOW) is None
    assert publish(ledger, say())[0].entry == entry(1, epoch="24c-2")
    assert ledger.missed("a", Position("24c-2", 0), NOW) == [entry(1, epoch="24c-2")]


def test_upkeep_forgets_rooms_with_their_histories():
    """And says so to the log first; where there is nothing to do it says nothing."""
    ledger = make(ShardLimits(rooms_remembered=1))
    publish(ledger, say("x"))
    assert ledger.upkeep() == []
    publish(ledger, say("y"))
    assert ledger.upkeep() == [Append(wire.Checkpoint(TERM, TERM, 2, (("y", EPOCH, 1),)))]
    assert ledger.kept_bytes == WINDOW_BYTES + kept_bytes(entry(1, "y"))
    assert publish(ledger, say("x"))[0].entry.epoch == "24c-2"


@pytest.mark.parametrize("room", ["a", "off:a", "*"])
def test_backends_are_told_of_numbered_messages_where_they_ask_for_it(room):
    """Once for each, with what was numbered; not of ephemeral ones."""
    ledger = make(events=True)
    effects = publish(ledger, say(room, id="m1"))
    (told,) = [effect for effect in effects if isinstance(effect, Emit)]
    assert (told.kind, told.room, told.conn, told.user, told.message.seq) == ("message", room, "g1~1", "u", 1)
    assert not any(isinstance(effect, Emit) for effect in publish(ledger, say(room, id="m1")))
    assert not any(isinstance(effect, Emit) for effect in publish(ledger, say(room, ephemeral=True)))


def test_backends_are_told_again_of_what_a_former_owner_may_have_told_nobody():
    """Where the broker gives a message again and the log has it already."""
    log = [wire.Marker("r1", TERM), wire.Checkpoint(TERM, TERM, 1, ()), entry(1, id="m1")]
    effects = publish(make(log=log, term=TERM + 1, events=True), say(id="m1"), again=True)
    assert [effect.message for effect in effects if isinstance(effect, Emit)] == [entry(1, id="m1")]
