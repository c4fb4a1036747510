"""Plan: effects by destination, in order, and when one copy serves all."""

from hypothesis import given
from hypothesis import strategies as st

from router.core.effects import EVERY, Deliver, Reject, Reply, Tell
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
