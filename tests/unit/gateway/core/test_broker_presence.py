"""broker_presence: scripts of events, and the exact steps that follow."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.core.broker_presence import (
    HEAL_S,
    ROUTERS_S,
    AskAgain,
    BrokerPresence,
    BrokerState,
    Counted,
    Dropped,
    EndLife,
    GapFound,
    GiveOut,
    RejoinMembers,
    RenewReads,
    ResetTaken,
    SayNumber,
    TellClients,
)
from gateway.core.feed_timeouts import AGAIN_FIRST_S, BARREN_FIRST_S, SILENCE_S
from warren.envelope import Bodies, Deliver, Feed, LifeEnded, Named, Number, Reset, Speaker
from warren.position import LogPosition
from warren.topology import ALL

SHARDS = 3


def presence(*, begun: bool = True) -> BrokerPresence:
    """Return that of a gateway whose queue is consumed, and whose lives have begun on all shards."""
    made = BrokerPresence("g", SHARDS, 0.0)
    made.bus_changed(up=True, blocked=False)
    made.queue_consumed(0.0)
    for shard in range(SHARDS):
        made.life(shard, 1, 0.0, begun=begun)
    return made


def message(seq: int) -> Deliver:
    return Deliver("r", "e", seq, "CHAT", b"1", 5)


def place(offset: int, life: str = "l") -> LogPosition:
    return LogPosition(life, offset, 0)


def feed(after: int | None, upto: int, *seqs: int, **fields: Any) -> Feed:
    """Return a feed of shard 1, with a message at each of these offsets."""
    made = {
        "router": "r1",
        "shard": 1,
        "life": 1,
        "counted": 7,
        "after": None if after is None else place(after),
        "upto": place(upto),
        "items": tuple((seq, 0, message(seq)) for seq in seqs),
    }
    return Feed(**(made | fields))


# ── the broker ──────────────────────────────────────────────────────────────────────────────────────────────


def test_clients_are_told_when_the_broker_takes_nothing_and_when_it_does_again():
    """Once each: one that is away and one that holds publishers back are the same to them."""
    made = BrokerPresence("g", SHARDS, 0.0)
    script = [(True, False), (True, True), (False, True), (True, True), (True, False), (True, False)]
    found = [made.bus_changed(up=up, blocked=blocked) for up, blocked in script]
    assert found == [[TellClients(True)], [TellClients(False)], [], [], [TellClients(True)], []]


def test_it_says_what_is_lacking():
    """The broker or our queue, an alarm, and the shards of which nothing was told in our present life."""
    made = BrokerPresence("g", SHARDS, 0.0)
    assert (made.state, made.is_up, made.bus_lacking()) == (BrokerState.DOWN, False, "the broker is away")
    made.bus_changed(up=True, blocked=False)
    assert (made.is_up, made.bus_lacking()) == (True, "the broker is away")
    made.queue_consumed(0.0)
    assert made.bus_lacking() is None
    made.bus_changed(up=True, blocked=True)
    assert made.bus_lacking() == "the broker holds back what is published (a memory or disk alarm)"
    made.bus_changed(up=True, blocked=False)
    made.queue_lost()
    assert made.bus_lacking() == "the broker is away"
    assert made.log_lacking() == "no router has told of shard 0, 1, 2 yet"
    for shard in range(SHARDS):
        made.feed(feed(None, 9, shard=shard), 1.0)
    assert made.log_lacking() is None
    made.life(2, 2, 1.0, begun=False)
    assert made.log_lacking() == "no router has told of shard 2 yet"


def test_a_new_queue_has_everyone_told_where_we_stand():
    """On those shards on which our life is known to have begun: what the old one held is lost."""
    made = presence(begun=False)
    assert made.queue_consumed(1.0) == []
    made.life(2, 1, 1.0, begun=True)
    assert made.queue_consumed(1.0) == [SayNumber(2, everyone=True)]


# ── the chain ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_feed_that_comes_next_is_given_out_and_then_counts():
    """What one router says is said by the one that speaks; a repeat is passed over, and counts too."""
    made = presence()
    assert made.router_of(1) == ALL
    first = feed(None, 9, 3, 4)
    assert made.feed(first, 1.0) == [GiveOut(1, (message(3), message(4))), Counted(1, 1, 7)]
    assert made.feed(first, 1.0) == [Dropped("repeat", 2), Counted(1, 1, 7)]
    assert made.feed(feed(9, 12), 1.0) == [Counted(1, 1, 7)]
    assert (made.router_of(1), made.router_of(0)) == ("r1", ALL)
    assert made.number(1) == Number("g", 1, 1, place(12))


def test_a_gap_is_asked_for_at_once_and_again_while_it_lasts():
    """Nothing behind it is given out, and nothing counts."""
    made = presence()
    made.feed(feed(None, 9), 1.0)
    assert made.feed(feed(12, 15, 13), 1.0) == [GapFound(1, "r1", news=True), SayNumber(1)]
    assert made.feed(feed(15, 16, 16), 1.0) == [GapFound(1, "r1", news=False)]
    assert made.tick(1.0 + AGAIN_FIRST_S) == [SayNumber(1)]
    made.feed(feed(9, 16, 13, 16), 1.2)
    assert made.tick(1.3) == []


def test_what_stands_before_a_message_that_is_not_at_hand_is_given_out():
    """A feed may name messages that went to all gateways; one that has not come is a gap."""
    made = presence()
    made.feed(feed(None, 9), 1.0)
    made.bodies(Bodies(1, "l", ((10, 0, message(1)),)))
    named = feed(9, 12, items=((10, 0, Named()), (11, 0, Named())))
    assert made.feed(named, 1.0) == [GiveOut(1, (message(1),)), GapFound(1, "r1", news=True), SayNumber(1)]
    assert made.number(1).mine == place(10)


def test_what_could_not_be_given_out_is_mended_a_moment_later():
    """Once: our number is past it, so no feed brings it again."""
    made = presence()
    for now in (1.0, 1.5):
        made.spoilt(1, now)
    found = [
        [step for step in made.tick(now) if not isinstance(step, SayNumber)]
        for now in (0.9 + HEAL_S, 1.0 + HEAL_S, 9.0)
    ]
    assert found == [[], [AskAgain(1), RejoinMembers(1)], []]


def test_a_reset_goes_on_from_another_place_and_members_join_again():
    """Once; one of another life of ours is dropped, one of another life of the log ends ours."""
    made = presence()
    made.feed(feed(None, 9), 1.0)
    reset = Reset("r2", 1, 1, place(50), 9)
    assert made.reset(reset, 1.0) == [
        ResetTaken(1, "r2"),
        Counted(1, 1, 9),
        AskAgain(1),
        RejoinMembers(1),
    ]
    assert made.reset(reset, 1.0) == []
    assert made.reset(Reset("r2", 1, 2, place(60), 9), 1.0) == [Dropped("other_life")]
    assert made.reset(Reset("r2", 1, 1, place(1, "m"), 0), 1.0) == [EndLife(1, 1, 0)]


# ── our lives ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_life_that_a_router_has_ended_is_ended_here_once():
    """Then whoever sends says which one we are in, and the members join again there."""
    made = presence()
    made.feed(feed(None, 9), 1.0)
    ended = LifeEnded(1, 1, 5)
    assert made.life_ended(ended) == [EndLife(1, 1, 5)]
    assert made.life(1, 2, 1.0, begun=False) == [RejoinMembers(1)]
    assert made.life(1, 2, 1.0, begun=True) == []
    assert made.life_ended(ended) == []
    assert made.feed(feed(9, 12), 1.0) == [Dropped("other_life")]
    assert made.number(1) == Number("g", 1, 2, None)
    assert made.feed(feed(None, 20, life=2, counted=1), 1.0) == [Counted(1, 2, 1)]


def test_another_life_of_the_log_ends_ours():
    """Nothing of ours is in it."""
    made = presence()
    made.feed(feed(None, 9), 1.0)
    assert made.feed(msgspec.structs.replace(feed(9, 12), upto=place(1, "m")), 1.0) == [EndLife(1, 1, 0)]


def test_a_life_of_which_nobody_has_heard_is_ended():
    """After long, on those shards alone of which nothing was told, and only while there are routers."""
    made = presence()
    steps = []
    for second in range(int(BARREN_FIRST_S) + 2):
        now = float(second)
        made.heard(now)
        made.feed(feed(None, 9), now)
        steps += made.tick(now)
    assert [step for step in steps if isinstance(step, EndLife)] == [EndLife(0, 1, None), EndLife(2, 1, None)]
    alone = presence()
    alone.heard(0.0)
    late = [step for second in range(200) for step in alone.tick(ROUTERS_S + second)]
    assert not [step for step in late if isinstance(step, EndLife)]


# ── routers ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_silence_is_asked_about():
    """Of everyone, where our life has begun and our queue is consumed."""
    made = presence(begun=False)
    made.life(2, 1, 0.0, begun=True)
    assert made.tick(SILENCE_S) == [SayNumber(2, everyone=True)]
    assert made.tick(SILENCE_S + 0.1) == []
    made.queue_lost()
    assert made.tick(10 * SILENCE_S) == []


@pytest.mark.parametrize("begun", [True, False])
def test_a_router_that_speaks_is_told_where_we_stand(begun: bool):
    """And what the last one was asked is asked again, whether our life has begun there or not."""
    made = presence(begun=begun)
    steps = made.speaks(Speaker("r2", 1), 1.0)
    assert steps == ([SayNumber(1), RenewReads(1)] if begun else [RenewReads(1)])
    assert made.router_of(1) == "r2"


def test_a_router_that_is_gone_speaks_for_nothing():
    """Others go on."""
    made = presence()
    for shard, router in enumerate(("r1", "r2", "r1")):
        made.speaks(Speaker(router, shard), 1.0)
    made.router_gone("r1")
    assert [made.router_of(shard) for shard in range(SHARDS)] == [ALL, "r2", ALL]


def test_there_are_only_so_many_shards():
    """Whatever names another one is misplaced."""
    made = presence()
    assert [made.knows(shard) for shard in (-1, 0, SHARDS - 1, SHARDS)] == [False, True, True, False]
