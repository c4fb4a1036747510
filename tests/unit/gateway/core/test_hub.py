"""hub: who is where, and who gets what."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.core.frames import JSON, MSGPACK, FrameSet
from gateway.core.hub import Gap, Hub, Member
from gateway.core.limits import OutboxLimits
from gateway.core.outbox import Outbox
from warren.address import shard_of
from warren.envelope import Deliver, Members
from warren.position import Position

SHARDS = 4
LIMITS = OutboxLimits(count=1_000_000, bytes=10**9, soft_bytes=10**9)
START = Position("e", 10)


def message(seq, room="r", conn="", epoch="e", **more) -> Deliver:
    """Return a message; seq 0 is one that is not numbered."""
    return Deliver(room, epoch if seq else "", seq, "CHAT", b"%d" % seq, 5_000, conn=conn, **more)


def hub_with(*conns: str, room: str = "r", position: Position = START) -> Hub:
    """Return a hub with these connections, all in one room."""
    hub = Hub(SHARDS)
    for conn in conns:
        hub.add(Member(conn, conn.replace("~", "-"), JSON, Outbox(LIMITS)))
        hub.join(room, conn, position)
    return hub


def taken(hub: Hub, conn: str) -> bytes:
    """Return all that waits for a connection."""
    member = hub.find(conn)
    assert member is not None
    return b"".join(member.outbox.take(10**9))


def spelled(*messages: Deliver, variant: int = JSON) -> bytes:
    """Return the frames of messages, one after the other."""
    return b"".join(FrameSet(one).bytes(variant) for one in messages)


def test_members_get_a_message_and_its_sender_does_not():
    """And the number of recipients is told."""
    hub = hub_with("g~1", "g~2", "g~3")
    result = hub.deliver([message(11, conn="g~1")], 0)
    assert result.recipients == [2]
    assert [member.id for member in result.woken] == ["g~2", "g~3"]
    assert [taken(hub, conn) for conn in ("g~1", "g~2", "g~3")] == [b"", *[spelled(message(11, conn="g~1"))] * 2]


def test_the_sender_gets_its_own_message_where_it_says_so():
    """include_sender."""
    hub = hub_with("g~1", "g~2")
    assert hub.deliver([message(11, conn="g~1", include_sender=True)], 0).recipients == [2]


def test_a_sender_that_is_no_member_here_changes_nothing():
    """It may sit on another gateway, or only publish."""
    hub = hub_with("g~1")
    assert hub.deliver([message(11, conn="other~9")], 0).recipients == [1]


def test_a_run_of_a_room_is_one_chunk_for_each_member():
    """The same object for all who get all of it; a sender's lacks its own message."""
    hub = hub_with("g~1", "g~2", "g~3")
    run = [message(11), message(12, conn="g~1"), message(13)]
    result = hub.deliver(run, 0)
    assert result.recipients == [3, 2, 3]
    chunks = {conn: hub.find(conn).outbox.take(10**9) for conn in ("g~1", "g~2", "g~3")}
    assert chunks["g~2"][0] is chunks["g~3"][0]
    assert chunks["g~2"] == [spelled(*run)]
    assert chunks["g~1"] == [spelled(run[0], run[2])]


def test_runs_of_several_rooms_stay_in_order():
    """A member of both rooms gets them as they came."""
    hub = hub_with("g~1")
    hub.join("s", "g~1", START)
    run = [message(11), message(11, room="s"), message(12), message(13)]
    assert hub.deliver(run, 0).recipients == [1] * 4
    assert taken(hub, "g~1") == spelled(*run)


def test_each_member_gets_its_own_spelling():
    """JSON and MessagePack in one room."""
    hub = hub_with("g~1")
    hub.add(Member("g~2", "u", MSGPACK, Outbox(LIMITS)))
    hub.join("r", "g~2", START)
    hub.deliver([message(11)], 0)
    assert taken(hub, "g~2") == spelled(message(11), variant=MSGPACK)


def test_a_repeat_is_dropped():
    """A seq at or below the room's position, in the same epoch."""
    hub = hub_with("g~1")
    result = hub.deliver([message(10), message(11), message(11), message(3)], 0)
    assert (result.recipients, result.repeats) == ([0, 1, 0, 0], 3)
    assert hub.position("r") == Position("e", 11)


def test_a_jump_is_told_and_what_came_is_delivered():
    """The gap names both ends."""
    hub = hub_with("g~1")
    result = hub.deliver([message(14)], 0)
    assert result.gaps == [Gap("r", START, Position("e", 14))]
    assert (result.recipients, hub.position("r")) == ([1], Position("e", 14))


def test_a_new_epoch_that_nobody_was_told_of_is_a_gap():
    """Nobody knows how much was missed."""
    hub = hub_with("g~1")
    result = hub.deliver([message(11), message(1, epoch="f"), message(2, epoch="f")], 0)
    assert result.gaps == [Gap("r", Position("e", 11), Position("f", 1))]
    assert result.recipients == [1, 1, 1]


def test_a_joined_of_a_new_epoch_moves_the_room():
    """Then the first message of that epoch is no gap, and its seq no repeat."""
    hub = hub_with("g~1", "g~2")
    assert hub.join("r", "g~1", Position("f", 0)) is None
    result = hub.deliver([message(1, epoch="f")], 0)
    assert (result.recipients, result.gaps, result.repeats) == ([2], [], 0)


def test_who_joined_later_gets_nothing_from_before():
    """The others do, when it comes late after all; and the hole is told at once."""
    hub = hub_with("g~1")
    hub.add(Member("g~2", "u", JSON, Outbox(LIMITS)))
    assert hub.join("r", "g~2", Position("e", 12)) == Gap("r", START, Position("e", 12))
    result = hub.deliver([message(11), message(12), message(13)], 0)
    assert (result.recipients, result.gaps) == ([1, 1, 2], [])
    assert taken(hub, "g~1") == spelled(message(11), message(12), message(13))
    assert taken(hub, "g~2") == spelled(message(13))
    assert hub.deliver([message(14)], 0).recipients == [2]


@pytest.mark.parametrize("together", [True, False])
def test_a_start_counts_in_its_own_epoch_alone(together):
    """Also where both lives of the log come in one batch: what is before the start is withheld, what is of the new life is not."""
    hub = hub_with("g~1")
    hub.add(Member("g~2", "u", JSON, Outbox(LIMITS)))
    hub.join("r", "g~2", Position("e", 12))
    old, new = message(11), message(1, epoch="f")
    for batch in [[old, new]] if together else [[old], [new]]:
        hub.deliver(batch, 0)
    assert (taken(hub, "g~1"), taken(hub, "g~2")) == (spelled(old, new), spelled(new))


def test_an_ephemeral_message_reaches_also_who_is_ahead():
    """It has no place in time."""
    hub = hub_with("g~1")
    hub.add(Member("g~2", "u", JSON, Outbox(LIMITS)))
    hub.join("r", "g~2", Position("e", 12))
    result = hub.deliver([message(0), message(11), message(0)], 0)
    assert (result.recipients, result.repeats) == ([2, 1, 2], 0)
    assert hub.position("r") == Position("e", 11)


def test_the_only_member_may_move_its_room_without_a_gap():
    """Nobody else has missed anything."""
    hub = hub_with("g~1")
    assert hub.join("r", "g~1", Position("e", 20)) is None
    assert hub.deliver([message(20), message(21)], 0).recipients == [0, 1]


def test_joining_again_at_an_older_position_does_not_bring_repeats():
    """The room's position never goes back within an epoch."""
    hub = hub_with("g~1", "g~2")
    hub.join("r", "g~1", Position("e", 3))
    assert hub.deliver([message(4)], 0).repeats == 1


def test_an_expired_message_counts_for_the_seq_and_reaches_nobody():
    """So that the next one is no gap."""
    hub = hub_with("g~1")
    run = [message(11, expires_ms=999), message(12, expires_ms=1_000), message(13, expires_ms=0)]
    result = hub.deliver(run, 1_000)
    assert (result.recipients, result.expired, result.gaps) == ([0, 1, 1], 1, [])


def test_a_connections_address_reaches_that_connection_alone():
    """Whichever rooms it is in."""
    hub = hub_with("g~1", "g~2")
    result = hub.deliver([message(0, room="g~2"), message(0, room="g~9")], 0)
    assert result.recipients == [1, 0]
    assert (taken(hub, "g~1"), taken(hub, "g~2")) == (b"", spelled(message(0, room="g~2")))


def test_everyones_address_reaches_all_connections_once():
    """Numbered: repeats are dropped, a jump is told, and a new epoch is taken as it comes, for nobody joins it."""
    hub = hub_with("g~1", "g~2")
    hub.add(Member("g~3", "u", JSON, Outbox(LIMITS)))
    result = hub.deliver([message(7, room="*"), message(7, room="*"), message(8, room="*"), message(10, room="*")], 0)
    assert (result.recipients, result.repeats) == ([3, 0, 3, 3], 1)
    assert result.gaps == [Gap("*", Position("e", 8), Position("e", 10))]
    assert hub.deliver([message(1, room="*", epoch="f")], 0).gaps == []


def test_a_message_for_a_room_without_members_here_is_passed_over():
    """Rooms on most gateways come to all of them."""
    hub = hub_with("g~1")
    result = hub.deliver([message(1, room="nobody"), message(11)], 0)
    assert (result.recipients, hub.rooms) == ([0, 1], 1)


def test_what_an_older_term_sends_is_dropped():
    """On its shard alone; a newer term than the fence becomes the fence."""
    hub = hub_with("g~1")
    shard = shard_of("r", SHARDS)
    assert hub.fence(shard, 5)
    assert not hub.fence(shard, 4)
    result = hub.deliver([message(11, term=4), message(11, term=5), message(12, term=6), message(13, term=5)], 0)
    assert (result.recipients, result.fenced) == ([0, 1, 1, 0], 2)
    assert (hub.term(shard), hub.term((shard + 1) % SHARDS)) == (6, 0)
    assert not hub.admits("r", 5)
    assert hub.admits("r", 7)


def test_who_reads_too_slowly_is_told_and_holds_up_nobody():
    """It is not among those to flush."""
    hub = hub_with("g~1", "g~2")
    slow = Member("g~3", "u", JSON, Outbox(OutboxLimits(count=1, bytes=10**6, soft_bytes=10**6)))
    hub.add(slow)
    hub.join("r", "g~3", START)
    hub.join("s", "g~3", START)
    result = hub.deliver([message(11, room="s"), message(11)], 0)
    assert result.too_slow == [slow]
    assert [member.id for member in result.woken] == ["g~1", "g~2"]


def test_an_empty_room_is_forgotten():
    """With its position: who comes next brings a new one."""
    hub = hub_with("g~1")
    assert hub.leave("r", "g~1")
    assert not hub.leave("r", "g~1")
    assert (hub.rooms, hub.members("r"), hub.position("r"), hub.rooms_of("g~1")) == (0, (), None, ())


def test_a_connection_that_goes_leaves_all_its_rooms():
    """And the rooms are told."""
    hub = hub_with("g~1", "g~2")
    hub.join("s", "g~1", START)
    assert hub.remove("g~1") == ("r", "s")
    assert hub.remove("g~1") == ()
    assert (hub.members("r"), hub.rooms, hub.connections) == (("g~2",), 1, 1)


def test_a_connection_that_is_not_here_joins_nothing():
    """Its Joined came after it went."""
    hub = hub_with("g~1")
    assert hub.join("r", "g~9", START) is None
    assert not hub.leave("r", "g~9")
    assert (hub.members("r"), hub.rooms_of("g~9")) == (("g~1",), ())


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_snapshot_has_each_room_of_the_shard_with_its_members_and_position(shard):
    """And no other room."""
    hub = hub_with("g~1", "g~2")
    for number in range(20):
        hub.join(f"room:{number}", "g~1", Position("e", number))
    expected = [
        Members(room, tuple((conn, conn.replace("~", "-")) for conn in hub.members(room)), hub.position(room))
        for room in ("r", *(f"room:{number}" for number in range(20)))
        if shard_of(room, SHARDS) == shard
    ]
    assert list(hub.snapshot(shard)) == expected


CONNS = st.sampled_from([f"g~{number}" for number in range(4)])
ROOMS = st.sampled_from(["a", "b"])


class AgainstOneByOne(RuleBasedStateMachine):
    """A hub, and a model that hands each message to each connection one by one."""

    def __init__(self):
        super().__init__()
        self.hub = Hub(SHARDS)
        self.got: dict[str, bytes] = {}  # connection ▶ all that it was sent since it was last looked at
        self.members: dict[str, dict[str, tuple[str, int]]] = {"a": {}, "b": {}}  # room ▶ connection ▶ its start
        self.at: dict[str, tuple[str, int]] = {}  # room ▶ position
        self.sent = 0

    @rule(conn=CONNS, variant=st.sampled_from([JSON, MSGPACK]))
    def add(self, conn, variant):
        if conn not in self.got:
            self.hub.add(Member(conn, "u", variant, Outbox(LIMITS)))
            self.got[conn] = b""

    @rule(conn=CONNS)
    def remove(self, conn):
        rooms = {room for room, members in self.members.items() if conn in members}
        assert set(self.hub.remove(conn)) == rooms
        self.got.pop(conn, None)
        for room in rooms:
            self._out(room, conn)

    @rule(conn=CONNS, room=ROOMS)
    def leave(self, conn, room):
        assert self.hub.leave(room, conn) == (conn in self.members[room])
        self._out(room, conn)

    @rule(conn=CONNS, room=ROOMS, ahead=st.integers(0, 3), epoch=st.sampled_from(["", "e", "f"]))
    def join(self, conn, room, ahead, epoch):
        if conn not in self.got:
            return
        at = self.at.get(room, ("e", 0))
        epoch = epoch or at[0]
        position = (epoch, (at[1] if epoch == at[0] else 0) + ahead)
        others = set(self.members[room]) - {conn}
        gap = self.hub.join(room, conn, Position(*position))
        assert (gap is not None) == (bool(others) and position[0] == at[0] and position[1] > at[1])
        self.members[room][conn] = position
        if not others or position[0] != at[0]:
            self.at[room] = position

    @rule(
        room=ROOMS,
        steps=st.lists(
            st.tuples(st.integers(-1, 3), CONNS, st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=6
        ),
    )
    def deliver(self, room, steps):
        epoch, seq = self.at.get(room, ("e", 0))
        run, recipients, repeats, gaps, expired = [], [], 0, 0, 0
        for step, conn, include_sender, ephemeral, is_expired in steps:
            self.sent += 1
            number = 0 if ephemeral else max(1, seq + step)
            one = message(
                number,
                room,
                conn,
                epoch,
                id=str(self.sent),
                include_sender=include_sender,
                expires_ms=1 if is_expired else 0,
            )
            run.append(one)
            recipients.append(0)
            if not self.members[room]:
                continue
            if number and number <= seq:
                repeats += 1
                continue
            if number:
                gaps += number != seq + 1
                seq = number
                self.at[room] = (epoch, seq)
            if is_expired:
                expired += 1
                continue
            for member, (start_epoch, start) in self.members[room].items():
                came_later = number and start_epoch == epoch and start >= number
                if (member == conn and not include_sender) or came_later:
                    continue
                self.got[member] += spelled(one, variant=self.hub.find(member).variant)
                recipients[-1] += 1
        result = self.hub.deliver(run, 1_000)
        assert result.recipients == recipients
        assert (result.repeats, len(result.gaps), result.expired) == (repeats, gaps, expired)

    @invariant()
    def agree(self):
        for conn, expected in self.got.items():
            assert taken(self.hub, conn) == expected
            self.got[conn] = b""
        assert self.hub.connections == len(self.got)
        for room, members in self.members.items():
            assert self.hub.members(room) == tuple(members)
            assert self.hub.position(room) == (Position(*self.at[room]) if members else None)
        for conn in self.got:
            assert set(self.hub.rooms_of(conn)) == {room for room, members in self.members.items() if conn in members}
        assert self.hub.rooms == sum(1 for members in self.members.values() if members)

    def _out(self, room, conn):
        self.members[room].pop(conn, None)
        if not self.members[room]:
            self.at.pop(room, None)


TestHubAgainstOneByOne = AgainstOneByOne.TestCase
TestHubAgainstOneByOne.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
