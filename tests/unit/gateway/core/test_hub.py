"""hub: who is where, and who gets what."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.core.frames import JSON, MSGPACK, FrameSet
from gateway.core.hub import Gap, Hub, Late, Member
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


def test_what_comes_after_a_gap_waits_for_what_is_missing():
    """The gap names both ends; nobody gets anything out of order, and the room is late until all of it has come."""
    hub = hub_with("g~1")
    result = hub.deliver([message(11), message(14), message(15)], 0)
    assert result.gaps == [
        Gap("r", Position("e", 11), Position("e", 14)),
        Gap("r", Position("e", 11), Position("e", 15)),
    ]
    assert (result.recipients, result.early, hub.position("r")) == ([1, 0, 0], 2, Position("e", 11))
    assert list(hub.late()) == [Late("r", Position("e", 11))]
    taken(hub, "g~1")
    run = [message(seq) for seq in (12, 13, 14)]
    hub.deliver(run, 0)
    assert list(hub.late()) == [Late("r", Position("e", 14))]
    hub.deliver([message(15)], 0)
    assert (taken(hub, "g~1"), list(hub.late())) == (spelled(*run, message(15)), [])


def test_an_epoch_that_nobody_was_told_of_is_a_gap():
    """Nobody knows how much was missed, so nothing of it is delivered before a Resync says from where."""
    hub = hub_with("g~1", "g~2")
    result = hub.deliver([message(11), message(1, epoch="f"), message(2, epoch="f")], 0)
    assert result.gaps[0] == Gap("r", Position("e", 11), Position("f", 1))
    assert (result.recipients, result.early) == ([2, 0, 0], 2)
    assert list(hub.late()) == [Late("r", Position("e", 11))]
    assert hub.resync("r", Position("f", 2)) == ("g~1", "g~2")
    assert (list(hub.late()), hub.deliver([message(3, epoch="f")], 0).recipients) == ([], [2])


def test_a_resync_tells_only_those_who_stand_elsewhere():
    """Who joined at just that position has lost nothing; a room without members here needs none."""
    hub = hub_with("g~1")
    hub.add(Member("g~2", "u", JSON, Outbox(LIMITS)))
    hub.join("r", "g~2", Position("e", 15))
    assert hub.resync("r", Position("e", 15)) == ("g~1",)
    assert hub.resync("nobody", Position("e", 15)) == ()
    assert hub.deliver([message(16)], 0).recipients == [2]


def test_a_joined_of_a_new_epoch_begins_the_room_anew():
    """The others are named, for they have to be told; then the first message of that epoch is no gap, and its seq no repeat."""
    hub = hub_with("g~1", "g~2")
    assert hub.join("r", "g~1", Position("f", 0)) == ("g~2",)
    result = hub.deliver([message(1, epoch="f")], 0)
    assert (result.recipients, result.gaps, result.repeats) == ([2], [], 0)


def test_who_joined_later_gets_nothing_from_before():
    """The others do, when it comes late after all; until then the room is late."""
    hub = hub_with("g~1")
    hub.add(Member("g~2", "u", JSON, Outbox(LIMITS)))
    assert hub.join("r", "g~2", Position("e", 12)) == ()
    assert list(hub.late()) == [Late("r", START)]
    assert hub.deliver([message(13)], 0).recipients == [1]
    result = hub.deliver([message(11), message(12), message(13)], 0)
    assert result.recipients == [1, 1, 1]
    assert taken(hub, "g~1") == spelled(message(11), message(12), message(13))
    assert taken(hub, "g~2") == spelled(message(13))
    assert hub.deliver([message(14)], 0).recipients == [2]
    assert list(hub.late()) == []


def test_catching_up_reaches_that_member_alone():
    """Its own messages too, for it was told how many come; the room does not move, and what is live comes after them."""
    hub = hub_with("g~1")
    hub.add(Member("g~2", "u", JSON, Outbox(LIMITS)))
    hub.join("r", "g~2", Position("e", 8), missed=2)
    assert hub.standing("r", "g~2") == Position("e", 8)
    missed = [message(9, to="g~2", conn="g~2"), message(10, to="g~2")]
    result = hub.deliver([*missed, message(11)], 0)
    assert (result.recipients, hub.position("r"), list(hub.late())) == ([1, 1, 2], Position("e", 11), [])
    assert (taken(hub, "g~1"), taken(hub, "g~2")) == (spelled(message(11)), spelled(*missed, message(11)))


def test_a_member_whose_catching_up_was_lost_gets_nothing_out_of_order():
    """What is live passes it by; it is late, and goes on from where it stands once the missed ones come."""
    hub = hub_with("g~1")
    hub.add(Member("g~2", "u", JSON, Outbox(LIMITS)))
    hub.join("r", "g~2", Position("e", 8), missed=2)
    assert hub.deliver([message(9, to="g~2"), message(11)], 0).recipients == [1, 1]
    assert list(hub.late()) == [Late("r", None, (("g~2", Position("e", 9)),))]
    again = [message(seq, to="g~2") for seq in (9, 10, 11)]
    assert hub.deliver(again, 0).repeats == 1
    assert taken(hub, "g~2") == spelled(*again)
    assert list(hub.late()) == []


def test_the_only_member_takes_its_room_along():
    """Also while it catches up, so that the room is announced from where it stands; what never comes makes the room late."""
    hub = hub_with("g~1", position=Position("e", 5))
    hub.join("r", "g~1", Position("e", 5), missed=3)
    assert list(hub.late()) == [Late("r", Position("e", 5))]
    hub.deliver([message(6, to="g~1")], 0)
    assert (hub.position("r"), list(hub.late())) == (Position("e", 6), [Late("r", Position("e", 6))])
    hub.deliver([message(7), message(8)], 0)
    assert list(hub.late()) == []


def test_what_has_expired_counts_while_catching_up():
    """Else the next one would be a gap."""
    hub = hub_with("g~1")
    hub.join("r", "g~1", Position("e", 8), missed=2)
    result = hub.deliver([message(9, to="g~1", expires_ms=1), message(10, to="g~1")], 1_000)
    assert (result.recipients, result.expired, list(hub.late())) == ([0, 1], 1, [])


def test_an_ephemeral_message_reaches_also_who_is_ahead():
    """It has no place in time."""
    hub = hub_with("g~1")
    hub.add(Member("g~2", "u", JSON, Outbox(LIMITS)))
    hub.join("r", "g~2", Position("e", 12))
    result = hub.deliver([message(0), message(11), message(0)], 0)
    assert (result.recipients, result.repeats) == ([2, 1, 2], 0)
    assert hub.position("r") == Position("e", 11)
    assert hub.standing("r", "g~2") == Position("e", 12)


def test_the_only_member_may_move_its_room_without_a_gap():
    """Nobody else has missed anything."""
    hub = hub_with("g~1")
    assert hub.join("r", "g~1", Position("e", 20)) == ()
    assert hub.deliver([message(20), message(21)], 0).recipients == [0, 1]


def test_joining_again_at_an_older_position_replays_for_that_member_alone():
    """A client that noticed a gap of its own; the room's position never goes back within an epoch."""
    hub = hub_with("g~1", "g~2")
    hub.join("r", "g~1", Position("e", 8), missed=2)
    result = hub.deliver([message(9, to="g~1"), message(10), message(10, to="g~1"), message(11)], 0)
    assert (result.recipients, result.repeats) == ([1, 1, 0, 2], 1)
    assert taken(hub, "g~2") == spelled(message(11))


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
    """Numbered: the first position is taken as it comes, repeats are dropped, and what is missing is waited for."""
    hub = hub_with("g~1", "g~2")
    hub.add(Member("g~3", "u", JSON, Outbox(LIMITS)))
    result = hub.deliver([message(7, room="*"), message(7, room="*"), message(8, room="*"), message(10, room="*")], 0)
    assert (result.recipients, result.repeats) == ([3, 0, 3, 0], 1)
    assert result.gaps == [Gap("*", Position("e", 8), Position("e", 10))]
    assert list(hub.late()) == [Late("*", Position("e", 8))]
    assert hub.deliver([message(1, room="*", epoch="f")], 0).recipients == [0]
    assert hub.resync("*", Position("f", 1)) == ("g~1", "g~2", "g~3")
    assert hub.deliver([message(2, room="*", epoch="f")], 0).recipients == [3]


def test_everyones_position_is_taken_as_it_comes_while_nobody_is_here():
    """Nobody can have missed anything; the first Resync tells nobody either."""
    hub = Hub(SHARDS)
    assert hub.position("*") is None
    assert hub.resync("*", Position("e", 3)) == ()
    assert hub.deliver([message(9, room="*")], 0).gaps == []
    assert hub.position("*") == Position("e", 9)


def test_everyones_position_is_announced_with_its_shard():
    """Without members, and also where there is none yet."""
    hub = Hub(SHARDS)
    shard = shard_of("*", SHARDS)
    assert list(hub.snapshot(shard)) == [Members("*", (), None)]
    hub.resync("*", Position("e", 3))
    assert list(hub.snapshot(shard)) == [Members("*", (), Position("e", 3))]
    assert list(hub.snapshot((shard + 1) % SHARDS)) == []


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


def test_what_is_made_for_a_room_is_counted_once():
    """``spelled`` grows by the bytes of a message's frames, not by what each member gets."""
    hub = hub_with("g~1", "g~2")
    hub.deliver([message(11)], 0)
    (first,) = hub.find("g~1").outbox.take(10_000)
    assert hub.spelled == len(first)


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
    assert hub.join("r", "g~9", START) == ()
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
    found = [members for members in hub.snapshot(shard) if members.room != "*"]
    assert found == expected


CONNS = st.sampled_from([f"g~{number}" for number in range(4)])
ROOMS = st.sampled_from(["a", "b"])


class AgainstOneByOne(RuleBasedStateMachine):
    """A hub, and a model that hands each message to each connection one by one: N to whoever stands at N-1."""

    def __init__(self):
        super().__init__()
        self.hub = Hub(SHARDS)
        self.got: dict[str, bytes] = {}  # connection ▶ all that it was sent since it was last looked at
        self.stands: dict[str, dict[str, int]] = {"a": {}, "b": {}}  # room ▶ connection ▶ its seq
        self.at: dict[str, tuple[str, int]] = {}  # room ▶ where those stand who are not apart
        self.known: dict[str, int] = {}
        self.sent = 0

    @rule(conn=CONNS, variant=st.sampled_from([JSON, MSGPACK]))
    def add(self, conn, variant):
        if conn not in self.got:
            self.hub.add(Member(conn, "u", variant, Outbox(LIMITS)))
            self.got[conn] = b""

    @rule(conn=CONNS)
    def remove(self, conn):
        rooms = {room for room, members in self.stands.items() if conn in members}
        assert set(self.hub.remove(conn)) == rooms
        self.got.pop(conn, None)
        for room in rooms:
            self._out(room, conn)

    @rule(conn=CONNS, room=ROOMS)
    def leave(self, conn, room):
        assert self.hub.leave(room, conn) == (conn in self.stands[room])
        self._out(room, conn)

    @rule(
        conn=CONNS,
        room=ROOMS,
        ahead=st.integers(-3, 3),
        missed=st.integers(0, 3),
        epoch=st.sampled_from(["", "e", "f"]),
    )
    def join(self, conn, room, ahead, missed, epoch):
        if conn not in self.got:
            return
        at = self.at.get(room, ("e", 0))
        epoch = epoch or at[0]
        seq = max(0, (at[1] if epoch == at[0] else 0) + ahead)
        told = self.hub.join(room, conn, Position(epoch, seq), missed)
        members = self.stands[room]
        others = {other for other in members if other != conn}
        if room not in self.at:
            self.at[room], self.known[room] = (epoch, seq), seq
        elif epoch != at[0]:
            assert set(told) == others
            self.at[room], self.known[room] = (epoch, seq + missed), seq + missed
            members.update(dict.fromkeys(others, seq + missed))
        else:
            assert told == ()
        members[conn] = seq
        self.known[room] = max(self.known[room], seq + missed)
        self._alone(room)

    @rule(room=ROOMS, ahead=st.integers(0, 3), epoch=st.sampled_from(["", "f"]))
    def resync(self, room, ahead, epoch):
        if room not in self.at:
            return
        position = (epoch or self.at[room][0], self.at[room][1] + ahead)
        same = position[0] == self.at[room][0]
        moved = {conn for conn, seq in self.stands[room].items() if not same or seq != position[1]}
        assert set(self.hub.resync(room, Position(*position))) == moved
        self.at[room], self.known[room] = position, position[1]
        self.stands[room] = dict.fromkeys(self.stands[room], position[1])

    @rule(
        room=ROOMS,
        to=st.just("") | CONNS,
        steps=st.lists(
            st.tuples(st.integers(-1, 3), CONNS, st.booleans(), st.booleans(), st.booleans(), st.booleans()),
            min_size=1,
            max_size=6,
        ),
    )
    def deliver(self, room, to, steps):
        members = self.stands[room]
        if to and to not in members:
            return
        epoch, run, recipients = self.at.get(room, ("e", 0))[0], [], []
        seq = members[to] if to else self.at.get(room, ("e", 0))[1]
        for step, conn, include_sender, ephemeral, is_expired, foreign in steps:
            self.sent += 1
            number = 0 if ephemeral and not to else max(1, seq + step)
            seq = max(seq, number)
            one = message(
                number,
                room,
                conn,
                "z" if foreign else epoch,
                id=str(self.sent),
                include_sender=include_sender,
                expires_ms=1 if is_expired else 0,
                to=to,
            )
            run.append(one)
            recipients.append(0)
            for member in [to] if to else list(members):
                if number and (foreign or members[member] != number - 1):
                    continue
                if number:
                    members[member] = number
                if is_expired or (member == conn and not include_sender and not to):
                    continue
                self.got[member] += spelled(one, variant=self.hub.find(member).variant)
                recipients[-1] += 1
            if members and not to and number and not foreign:
                self.known[room] = max(self.known[room], number)
                if self.at[room][1] == number - 1:
                    self.at[room] = (epoch, number)
        if to:
            self.known[room] = max(self.known[room], members[to])
            self._alone(room)
        assert self.hub.deliver(run, 1_000).recipients == recipients

    @invariant()
    def agree(self):
        for conn, expected in self.got.items():
            assert taken(self.hub, conn) == expected
            self.got[conn] = b""
        assert self.hub.connections == len(self.got)
        late = {one.room: one for one in self.hub.late()}
        for room, members in self.stands.items():
            assert self.hub.members(room) == tuple(members)
            assert self.hub.position(room) == (Position(*self.at[room]) if members else None)
            for conn, seq in members.items():
                assert self.hub.standing(room, conn) == Position(self.at[room][0], seq)
            lagging = {conn for conn, seq in members.items() if seq < self.at[room][1]}
            if lagging:
                assert {conn for conn, _ in late[room].members} == lagging
            if members and self.known[room] > self.at[room][1]:
                assert late[room].position == Position(*self.at[room])
        for conn in self.got:
            assert set(self.hub.rooms_of(conn)) == {room for room, members in self.stands.items() if conn in members}
        assert self.hub.rooms == sum(1 for members in self.stands.values() if members)

    def _alone(self, room):
        """The room goes with its only member, but never back."""
        if len(self.stands[room]) == 1:
            epoch, at = self.at[room]
            self.at[room] = (epoch, max(at, *self.stands[room].values()))

    def _out(self, room, conn):
        self.stands[room].pop(conn, None)
        if not self.stands[room]:
            self.at.pop(room, None)
            self.known.pop(room, None)


TestHubAgainstOneByOne = AgainstOneByOne.TestCase
TestHubAgainstOneByOne.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
