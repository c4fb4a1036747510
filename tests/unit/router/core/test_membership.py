"""Membership: who is where, and what backends are told of it: once, and never too little."""

from router.core.census import Answer
from router.core.effects import Emit
from router.core.lives import Lives
from router.core.membership import GATEWAYS_GONE, MEMBERS_LOST, Membership
from warren.envelope import Members

BOTH = frozenset(("client", "room"))


class Ground:
    """A Membership with positions beside it."""

    def __init__(self, events=BOTH):
        self.lives = Lives(10, lambda _: True, checkpoint_count=100, checkpoint_bytes=100)
        self.lives.begin(1)
        self.of = Membership(frozenset(events))

    def enter(self, room, conn, user="u", again=False):
        return self.of.enter(self.lives, room, conn, user, 7, again=again)

    def leave(self, room, conn, user="", again=False):
        return self.of.leave(self.lives, room, conn, user, 7, again=again)

    def answer(self, gateway, *rooms):
        answer = Answer(1, 0)
        answer.rooms = [Members(room, tuple((conn, "u") for conn in conns)) for room, *conns in rooms]
        return self.of.replace(self.lives, gateway, answer, lambda room: room != "foreign", 7)

    def drop(self, gateway):
        return self.of.drop(self.lives, gateway, 7)


def joined(room, conn, user="u"):
    return Emit("room.joined", room, 7, conn, user)


def left(room, conn, user="u", reason="left"):
    return Emit("room.left", room, 7, conn, user, reason)


def test_coming_and_going_are_events_once():
    """A second join of a member is none."""
    ground = Ground()
    assert ground.enter("a", "g1~1") == [joined("a", "g1~1")]
    assert ground.enter("a", "g1~1") == []
    assert ground.leave("a", "g1~1") == [left("a", "g1~1")]
    assert ground.of.rooms.memberships == 0


def test_being_in_one_s_own_room_is_being_there():
    """Backends are told of clients, not of that room."""
    ground = Ground()
    assert ground.enter("@ann", "g1~1", "ann") == [Emit("client.connected", "@ann", 7, "g1~1", "ann")]
    assert ground.leave("@ann", "g1~1") == [Emit("client.disconnected", "@ann", 7, "g1~1", "ann", "left")]


def test_backends_are_told_only_of_what_is_asked_for():
    """Neither, or one of both."""
    for events, expected in ((set(), 0), ({"client"}, 1), ({"room"}, 1), ({"message"}, 0)):
        ground = Ground(events)
        assert len(ground.enter("a", "g1~1") + ground.enter("@u", "g1~1")) == expected
        assert len(ground.drop("g1")) == expected


def test_what_a_former_owner_may_have_told_nobody_is_told_again():
    """A join or leave that the broker gives again is an event, whether it changes anything or not."""
    ground = Ground()
    ground.enter("a", "g1~1")
    assert ground.enter("a", "g1~1", again=True) == [joined("a", "g1~1")]
    ground.drop("g1")
    assert ground.leave("a", "g1~1", "u", again=True) == [left("a", "g1~1")]


def test_a_leave_of_someone_unknown_is_an_event():
    """It left while the shard had no owner; its name is what the leave says, or that of its own room."""
    ground = Ground()
    assert ground.leave("a", "g1~1", "bob") == [left("a", "g1~1", "bob")]
    assert ground.leave("@ann", "g1~1") == [Emit("client.disconnected", "@ann", 7, "g1~1", "ann", "left")]


def test_the_members_of_a_gateway_that_is_gone_leave_once():
    """A late leave of one of them is none; one of another gateway's members is."""
    ground = Ground()
    for room, conn in (("a", "g1~1"), ("b", "g1~1"), ("a", "g1~2"), ("a", "g2~1")):
        ground.enter(room, conn)
    events = ground.drop("g1")
    assert sorted(events, key=lambda event: (event.room, event.conn)) == [
        left("a", "g1~1", reason="gone"),
        left("a", "g1~2", reason="gone"),
        left("b", "g1~1", reason="gone"),
    ]
    assert ground.drop("g1") == []
    assert ground.leave("a", "g1~1") == []
    assert ground.leave("a", "g2~1") == [left("a", "g2~1")]


def test_whom_a_gateway_names_at_first_had_come_before():
    """A new owner of a shard tells nobody that they have come; what changes from then on is told."""
    ground = Ground()
    assert ground.answer("g1", ("a", "g1~1", "g1~2"), ("foreign", "g1~3"), ("a", "g2~1", "nobody")) == []
    assert ground.of.rooms.members("a", "g1") == {"g1~1": "u", "g1~2": "u"}
    assert ground.of.rooms.memberships == 2
    assert ground.answer("g1", ("a", "g1~2"), ("b", "g1~4")) == [
        left("a", "g1~1", reason="lost"),
        joined("b", "g1~4"),
    ]


def test_a_member_that_its_gateway_did_not_know_has_left_once():
    """Its own leave comes later; when it has come again in between, that leave counts."""
    ground = Ground()
    ground.enter("a", "g1~1")
    ground.enter("a", "g1~2")
    assert len(ground.answer("g1")) == 2
    assert ground.leave("a", "g1~1") == []
    assert ground.leave("a", "g1~1") == [left("a", "g1~1", "")]
    ground.enter("a", "g1~2")
    assert ground.leave("a", "g1~2") == [left("a", "g1~2")]


def test_a_gateway_that_is_back_brings_its_members_back():
    """Backends were told that they had left, so they are told that they have come."""
    ground = Ground()
    ground.answer("g1", ("a", "g1~1"))
    ground.drop("g1")
    assert ground.answer("g1", ("a", "g1~1")) == [joined("a", "g1~1")]
    assert ground.leave("a", "g1~1") == [left("a", "g1~1")]


def test_those_whom_a_gateway_named_before_the_shard_began_leave_with_it():
    """Its answer tells who they are."""
    answer = Answer(1, 0)
    answer.rooms = [Members("a", (("g1~1", "u"), ("nobody", "u"))), Members("foreign", (("g1~2", "u"),))]
    ground = Ground()
    assert ground.of.gone(answer, lambda room: room != "foreign", 7) == [left("a", "g1~1", reason="gone")]


def test_rooms_with_members_are_awake():
    """From the first join until the last member has left, in whatever way."""
    ground = Ground()
    for end in (lambda: ground.leave("a", "g1~1"), lambda: ground.answer("g1"), lambda: ground.drop("g1")):
        ground.enter("a", "g1~1")
        ground.lives.advance("a")
        assert ground.lives.get("a").awake
        end()
        assert not ground.lives.get("a").awake


def test_departures_are_remembered_within_bounds():
    """The oldest is forgotten: then its late leave is an event a second time."""
    ground = Ground()
    for number in range(GATEWAYS_GONE + 1):
        ground.drop(f"g{number}")
    assert ground.leave("a", "g0~1") != []
    assert ground.leave("a", "g1~1") == []
    for number in range(MEMBERS_LOST + 1):
        ground.enter("a", f"h~{number:x}")
    ground.answer("h")
    assert ground.leave("a", "h~0") != []
    assert ground.leave("a", "h~1") == []
