"""Plan: effects by destination, in order, and when one copy serves all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.effects import EVERY, Append, Deliver, Emit, Reject, Reply, Tell
from router.core.plan import plan
from warren import envelope as wire
from warren.position import Position

THREE = frozenset(("g1", "g2", "g3"))


def said(room, seq):
    return wire.Deliver(room, "e", seq, "CHAT", b"1", 1)


def joined(gateway, room):
    return Reply(gateway, wire.Joined(f"{gateway}~1", room, Position("e", 0), False))


def test_each_gateway_gets_its_own_in_order():
    """Messages and replies of one gateway keep the order of the effects; what can't be handled is apart."""
    ack = wire.Ack("g1~1", "a", "x", "e", 1)
    reject = Reject(ack, "why")
    made = plan([Deliver(("g1", "g2"), said("a", 1)), Reply("g1", ack), reject, Deliver(("g1",), said("b", 1))], THREE)
    assert made.each == {"g1": [said("a", 1), ack, said("b", 1)], "g2": [said("a", 1)]}
    assert (made.every, made.aside, made.copies) == ([], [reject], 3)


def test_everyone_and_questions_to_every_gateway_go_out_once():
    """Whoever lives, and however few."""
    ask = wire.Ask("r", 0, 1)
    made = plan([Tell(ask), Deliver(EVERY, said("*", 1))], frozenset())
    assert (made.every, made.each) == ([ask, said("*", 1)], {})


def test_a_room_on_every_living_gateway_goes_out_once():
    """From three gateways on, also if it has members on one that is not known to live."""
    made = plan([Deliver(("g3", "g1", "g2"), said("a", 1)), Deliver(("g1", "g2", "g3", "g4"), said("a", 2))], THREE)
    assert (made.every, made.each) == ([said("a", 1), said("a", 2)], {})


def test_with_two_gateways_each_gets_a_copy():
    """One copy for all saves nothing there."""
    made = plan([Deliver(("g1", "g2"), said("a", 1))], frozenset(("g1", "g2")))
    assert (made.every, set(made.each)) == ([], {"g1", "g2"})


def test_one_copy_is_not_used_when_it_is_not_trusted():
    """``whole`` False: each gateway gets its own; everyone's address goes out once all the same."""
    made = plan([Deliver(("g1", "g2", "g3"), said("a", 1)), Deliver(EVERY, said("*", 1))], THREE, whole=False)
    assert made.every == [said("*", 1)]
    assert set(made.each) == THREE


def test_a_batch_that_moves_members_of_a_room_keeps_its_messages_with_them():
    """JOINED and LEFT must not change places with messages of that room; other rooms are not held to that."""
    effects = [
        joined("g1", "a"),
        Deliver(("g1", "g2", "g3"), said("a", 1)),
        Deliver(("g1", "g2", "g3"), said("b", 1)),
        Reply("g1", wire.Left("g1~1", "a", "r")),
    ]
    made = plan(effects, THREE)
    assert made.every == [said("b", 1)]
    assert made.each["g1"] == [effects[0].message, said("a", 1), effects[3].message]


RESYNC = wire.Resync("a", Position("e", 3))


@pytest.mark.parametrize("told", [RESYNC, said("a", 1), wire.Left("g1~1", "a", "r"), joined("g1", "a").message])
def test_what_one_gateway_is_told_of_a_room_by_itself_is_not_overtaken(told):
    """Joined, Left, Resync and messages that are sent again: what follows them in that room takes the same way."""
    made = plan([Reply("g1", told), Deliver(("g1", "g2", "g3"), said("a", 4))], THREE)
    assert made.every == []
    assert made.each["g1"] == [told, said("a", 4)]


@pytest.mark.parametrize(
    "told", [wire.Ack("g1~1", "a", "x", "e", 1), wire.HistoryPage("g1~1", "a", "r", (), False), wire.Ask("r", 0, 1)]
)
def test_what_has_no_place_among_the_messages_does_not_split_them(told):
    """An answer that may come before or after them is no reason for a copy to each gateway."""
    made = plan([Reply("g1", told), Deliver(("g1", "g2", "g3"), said("a", 4))], THREE)
    assert made.every == [said("a", 4)]


def test_everyone_s_address_goes_to_whom_it_may_overtake_a_second_time():
    """It goes to all at once in any case; a gateway that is catching up with it gets it in order too, and drops the repeat."""
    resync = wire.Resync("*", Position("e", 3))
    made = plan([Reply("g1", resync), Deliver(EVERY, said("*", 4))], frozenset())
    assert (made.every, made.each) == ([said("*", 4)], {"g1": [resync, said("*", 4)]})
    assert made.copies == 2


def test_what_is_for_the_log_and_for_backends_is_apart_and_in_order():
    """Entries and checkpoints in the order in which they must be written, events in the order in which they happened."""
    checkpoint = wire.Checkpoint(1, 1, 1, ())
    events = [Emit("room.joined", "a", 1, "g1~1", "u"), Emit("room.left", "a", 2, "g1~1", "u", "left")]
    made = plan([Append(checkpoint), events[0], Append(said("a", 1)), Deliver(("g1",), said("a", 1)), events[1]], THREE)
    assert made.log == [checkpoint, said("a", 1)]
    assert made.events == events
    assert (made.every, made.each, made.aside) == ([], {"g1": [said("a", 1)]}, [])


@given(
    st.lists(
        st.one_of(
            st.builds(
                lambda room, targets: ("say", room, tuple(targets)),
                st.sampled_from("ab"),
                st.lists(st.sampled_from(["g1", "g2", "g3", "g4"]), min_size=1, unique=True),
            ),
            st.builds(
                lambda room, gateway: ("join", room, gateway), st.sampled_from("ab"), st.sampled_from(["g1", "g2"])
            ),
        ),
        max_size=12,
    )
)
def test_order_within_a_room_is_the_same_on_every_way(script):
    """What a gateway hears of one room in one batch comes by one way only (so in order), and nothing is lost or doubled."""
    effects = []
    for seq, (kind, room, where) in enumerate(script, 1):
        effects.append(Deliver(where, said(room, seq)) if kind == "say" else joined(where, room))
    made = plan(effects, THREE)
    for room in "ab":
        whole = [message for message in made.every if message.room == room]
        for gateway in ("g1", "g2", "g3", "g4"):
            own = [message for message in made.each.get(gateway, []) if message.room == room]
            expected = [
                effect.message
                for effect in effects
                if effect.message.room == room
                and gateway in (effect.gateways if isinstance(effect, Deliver) else (effect.gateway,))
            ]
            heard = own or whole
            assert not (own and whole)
            assert heard == expected or (whole and gateway == "g4")
