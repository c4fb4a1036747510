"""hub: who is where, and who gets what."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.core.client_limits import OutboxLimits
from gateway.core.hub import Gap, Hub, Member
from gateway.core.outbox import Outbox
from gateway.core.recent_messages import RecentMessages
from gateway.core.websocket.frames import JSON, MSGPACK, FrameSet
from warren.envelope import Counts, CountsQuery, Deliver, spared_of, sparing
from warren.namespaces import Namespaces
from warren.position import Position

LIMITS = OutboxLimits(count=1_000_000, bytes=10**9, soft_bytes=10**9)
START = Position("e", 10)


def message(seq, room="r", conn="", epoch="e", **more) -> Deliver:
    """Return a message; seq 0 is one that is not numbered."""
    return Deliver(room, epoch if seq else "", seq, "CHAT", b"%d" % seq, 5_000, conn=conn, **more)


def hub_with(*conns: str, room: str = "r", position: Position = START) -> Hub:
    """Return a hub with these connections, all in one room."""
    hub = Hub()
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
    assert [taken(hub, conn) for conn in ("g~1", "g~2", "g~3")] == [
        b"",
        *[spelled(message(11, conn="g~1"))] * 2,
    ]


def test_a_users_connections_are_found_in_whatever_rooms_they_are():
    """Also in none."""
    hub = hub_with("g~1", "g~2")
    hub.add(Member("g~3", "g-1", JSON, Outbox(LIMITS)))
    assert [member.id for member in hub.of_user("g-1")] == ["g~1", "g~3"]
    assert hub.of_user("nobody") == []


def test_whom_a_backend_spares_does_not_get_its_message():
    """Whether it comes by the chain or is read later; others do."""
    hub = hub_with("g~1", "g~2")
    spared = message(11, id=sparing("r1.c1", "g~2"))
    hub.deliver([spared], 0)
    assert (taken(hub, "g~1"), taken(hub, "g~2")) == (spelled(spared), b"")
    late = Hub()
    for conn in ("g~1", "g~2"):
        late.add(Member(conn, conn, JSON, Outbox()))
        late.enter("r", conn, Position("e", 11))
        late.stand("r", conn, START)
    late.give("r", ["g~1", "g~2"], [spared], 0, 0)
    assert (taken(late, "g~1"), taken(late, "g~2")) == (spelled(spared), b"")
    assert (spared_of(spared.id), spared_of("~r1.c1"), spared_of("m1"), spared_of("")) == ("g~2", "", "", "")


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


def test_what_does_not_follow_leaves_members_where_they_are():
    """The gap names both ends; what comes behind it passes them by until they have been given what lies
    between.
    """
    hub = hub_with("g~1", "g~2")
    result = hub.deliver([message(11), message(14), message(15)], 0)
    assert result.gaps == [Gap("r", Position("e", 11), Position("e", 14))]
    assert (result.recipients, hub.position("r")) == ([2, 0, 0], Position("e", 15))
    assert hub.apart("r") == [("g~1", Position("e", 11)), ("g~2", Position("e", 11))]
    taken(hub, "g~1")
    run = [message(seq) for seq in (12, 13, 14, 15)]
    assert hub.give("r", ("g~1",), run, 0, 0).recipients == [1] * 4
    assert taken(hub, "g~1") == spelled(*run)
    assert hub.deliver([message(16)], 0).recipients == [1]


def test_a_new_epoch_leaves_members_in_the_old_one():
    """They are told where they stand, and go on from there."""
    hub = hub_with("g~1", "g~2")
    result = hub.deliver([message(1, epoch="f")], 0)
    assert (result.recipients, result.gaps) == ([0], [Gap("r", START, Position("f", 1))])
    assert hub.standing("r", "g~1") == START
    hub.stand("r", "g~1", Position("f", 1))
    assert hub.deliver([message(2, epoch="f")], 0).recipients == [1]


def test_who_enters_is_given_nothing_before_it_is_told_where_it_stands():
    """Nor what is not numbered; what is live passes it by."""
    hub = hub_with("g~1")
    hub.add(Member("g~2", "u", JSON, Outbox(LIMITS)))
    assert hub.enter("r", "g~2", START) is None
    assert (hub.standing("r", "g~2"), hub.members("r")) == (None, ("g~1", "g~2"))
    assert hub.deliver([message(0), message(11)], 0).recipients == [1, 1]
    hub.stand("r", "g~2", Position("e", 9))
    missed = [message(10, conn="g~2"), message(11, conn="g~2")]
    assert hub.deliver([message(0), message(12)], 0).recipients == [2, 1]
    assert hub.give("r", ("g~2",), [*missed, message(12)], 10, 0).recipients == [1, 0, 1]
    assert taken(hub, "g~2") == spelled(message(0), missed[0], message(12))
    assert hub.deliver([message(13)], 0).recipients == [2]


def test_who_is_a_member_and_enters_again_stays_where_it_stands():
    """It goes on getting what is live until it is told otherwise."""
    hub = hub_with("g~1")
    assert hub.enter("r", "g~1", START) is None
    assert hub.deliver([message(11)], 0).recipients == [1]
    hub.stand("r", "g~1", Position("e", 8))
    assert hub.deliver([message(12)], 0).recipients == [0]
    assert hub.apart("r") == [("g~1", Position("e", 8))]


def test_a_room_that_stands_elsewhere_goes_on_from_there_for_who_enters():
    """The chain had a hole: the others lack what lies between. It never goes back within an epoch."""
    hub = hub_with("g~1")
    hub.add(Member("g~2", "u", JSON, Outbox(LIMITS)))
    assert hub.join("r", "g~2", Position("e", 12)) == Gap("r", START, Position("e", 12))
    assert hub.deliver([message(13)], 0).recipients == [1]
    assert hub.enter("r", "g~2", START) is None
    assert hub.position("r") == Position("e", 13)
    assert hub.join("r", "g~2", Position("f", 0)) == Gap("r", Position("e", 13), Position("f", 0))
    assert hub.deliver([message(1, epoch="f")], 0).recipients == [1]
    assert hub.standing("r", "g~1") == START


def test_a_room_fills_the_memory_and_its_last_member_takes_it_along():
    """Only numbered messages of rooms that have members here; a hole empties it."""
    recent = RecentMessages(Namespaces(), 10**6, 10**6)
    hub = Hub(recent=recent)
    for conn in ("g~1", "g~2"):
        hub.add(Member(conn, "u", JSON, Outbox(LIMITS)))
        hub.join("r", conn, START)
    run = [message(11), message(0), message(11), message(12, expires_ms=1), message(1, room="nobody")]
    hub.deliver(run, 5)
    assert recent.between("r", START, 12) == [run[0], run[3]]
    hub.leave("r", "g~1")
    assert len(recent) == 1
    hub.enter("r", "g~1", Position("e", 13))
    assert len(recent) == 0
    hub.deliver([message(14), message(17), message(18)], 0)
    assert recent.between("r", Position("e", 16), 18) == [message(17), message(18)]
    hub.leave("r", "g~1")
    hub.remove("g~2")
    assert len(recent) == 0


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
    """Numbered: the first position is taken as it comes, repeats are dropped, and what does not follow leaves
    everyone behind.
    """
    hub = hub_with("g~1", "g~2")
    result = hub.deliver(
        [message(7, room="*"), message(7, room="*"), message(8, room="*"), message(10, room="*")], 0
    )
    assert (result.recipients, result.repeats) == ([2, 0, 2, 0], 1)
    assert result.gaps == [Gap("*", Position("e", 8), Position("e", 10))]
    hub.add(Member("g~3", "u", JSON, Outbox(LIMITS)))
    hub.remove("g~2")
    assert hub.apart("*") == [("g~1", Position("e", 8))]
    assert hub.deliver([message(11, room="*")], 0).recipients == [1]
    missed = [message(seq, room="*") for seq in (9, 10, 11)]
    assert hub.give("*", ("g~1",), missed, 0, 0).recipients == [1, 1, 1]
    assert hub.deliver([message(12, room="*")], 0).recipients == [2]


def test_everyones_position_is_taken_as_it_comes_while_nobody_is_here():
    """Nobody can have missed anything."""
    hub = Hub()
    assert hub.position("*") is None
    for one in (message(9, room="*"), message(20, room="*"), message(1, room="*", epoch="f")):
        assert hub.deliver([one], 0).gaps == []
    assert hub.position("*") == Position("f", 1)


def test_everyones_room_goes_on_from_where_the_chain_says_it_stands():
    """Who is here lacks what lies between; nothing is lacking at the first position, nor at what has come,
    nor while nobody is here.
    """
    hub = hub_with("g~1")
    assert hub.everyone_at(Position("e", 7)) is None
    assert hub.deliver([message(8, room="*")], 0).recipients == [1]
    assert [hub.everyone_at(Position("e", seq)) for seq in (7, 8)] == [None, None]
    assert hub.position("*") == Position("e", 8)
    assert hub.everyone_at(Position("e", 10)) == Gap("*", Position("e", 8), Position("e", 10))
    hub.add(Member("g~2", "u", JSON, Outbox(LIMITS)))
    assert (hub.apart("*"), hub.position("*")) == ([("g~1", Position("e", 8))], Position("e", 10))
    assert hub.deliver([message(11, room="*")], 0).recipients == [1]
    assert hub.everyone_at(Position("f", 0)) == Gap("*", Position("e", 11), Position("f", 0))
    hub.remove("g~1")
    hub.remove("g~2")
    assert hub.everyone_at(Position("f", 5)) is None
    assert hub.position("*") == Position("f", 5)


def test_a_message_for_a_room_without_members_here_is_passed_over():
    """Rooms on most gateways come to all of them."""
    hub = hub_with("g~1")
    result = hub.deliver([message(1, room="nobody"), message(11)], 0)
    assert (result.recipients, hub.rooms) == ([0, 1], 1)


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


def test_a_router_is_told_for_how_many_a_message_was_what():
    """And up to where the room has come; what is not kept is not known."""
    namespaces = Namespaces()
    hub = Hub(namespaces, RecentMessages(namespaces, 1 << 20, 1 << 20))
    for conn in ("g~1", "g~2"):
        hub.add(Member(conn, "u", JSON, Outbox()))
        hub.join("r", conn, START)

    def told(seq: int, room: str = "r", epoch: str = "e") -> Counts:
        return hub.counts(CountsQuery("R", 3, room, epoch, seq), "g")

    seq = START.seq + 1
    hub.deliver([message(seq, expires_ms=5), message(seq + 1, conn="g~1")], 10)
    assert told(seq) == Counts("g", 3, "r", "e", seq, seq + 1, True, 0, 0, 2)
    assert told(seq + 1) == Counts("g", 3, "r", "e", seq + 1, seq + 1, True, 1, 0, 0)
    assert told(seq + 2) == Counts("g", 3, "r", "e", seq + 2, seq + 1)
    assert told(seq, epoch="f") == Counts("g", 3, "r", "f", seq, -1)
    assert told(seq, room="s") == Counts("g", 3, "s", "e", seq, -1)
    assert Hub().counts(CountsQuery("R", 3, "r", "e", 1), "g") == Counts("g", 3, "r", "e", 1, -1)


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
    assert hub.join("r", "g~9", Position("e", 12)) is None
    hub.stand("r", "g~9", START)
    hub.stand("nobody", "g~1", START)
    assert hub.give("nobody", ("g~1",), [message(1)], 0, 0).recipients == [0]
    assert not hub.leave("r", "g~9")
    assert (hub.members("r"), hub.rooms_of("g~9")) == (("g~1",), ())


CONNS = st.sampled_from([f"g~{number}" for number in range(4)])
ROOMS = st.sampled_from(["a", "b"])


class AgainstOneByOne(RuleBasedStateMachine):
    """A hub, and a model that hands each message to each connection one by one: N to whoever
    stands at N-1.
    """

    def __init__(self):
        super().__init__()
        self.hub = Hub()
        self.got: dict[str, bytes] = {}  # connection ▶ all that it was sent since it was last looked at
        self.stands: dict[str, dict[str, tuple[str, int] | None]] = {
            "a": {},
            "b": {},
        }  # room ▶ connection ▶ where it stands
        self.at: dict[str, tuple[str, int]] = {}  # room ▶ where it stands
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
        ahead=st.sampled_from([0, 0, 0, 2, -1]),
        epoch=st.sampled_from(["", "", "e", "f"]),
    )
    def enter(self, conn, room, ahead, epoch):
        if conn not in self.got:
            return
        at = self.at.get(room, ("e", 0))
        epoch = epoch or at[0]
        if epoch < at[0]:
            return  # an epoch that is over never comes back
        position = (epoch, max(0, (at[1] if epoch == at[0] else 0) + ahead))
        gap = self.hub.enter(room, conn, Position(*position))
        assert (gap is not None) == (room in self.at and (epoch != at[0] or position[1] > at[1]))
        if room not in self.at or gap is not None:
            self.at[room] = position
        self.stands[room].setdefault(conn, None)

    @rule(conn=CONNS, room=ROOMS, behind=st.integers(0, 3))
    def stand(self, conn, room, behind):
        if conn in self.stands[room]:
            epoch, seq = self.at[room]
            self.stands[room][conn] = (epoch, max(0, seq - behind))
            self.hub.stand(room, conn, Position(*self.stands[room][conn]))

    @rule(
        room=ROOMS,
        steps=st.lists(
            st.tuples(
                st.sampled_from([1, 1, 1, -1, 0, 3]), CONNS, st.booleans(), st.booleans(), st.booleans()
            ),
            min_size=1,
            max_size=6,
        ),
        foreign=st.sampled_from([False, False, False, True]),
    )
    def deliver(self, room, steps, foreign):
        epoch, seq = self.at.get(room, ("e", 0))
        run, recipients = [], []
        for step, conn, include_sender, ephemeral, is_expired in steps:
            self.sent += 1
            number = 0 if ephemeral else max(1, seq + step)
            one = message(
                number,
                room,
                conn,
                "z" if foreign else epoch,
                id=str(self.sent),
                include_sender=include_sender,
                expires_ms=1 if is_expired else 0,
            )
            run.append(one)
            recipients.append(0)
            seq = max(seq, number)
            if number and room in self.at and one.epoch == self.at[room][0] and number <= self.at[room][1]:
                continue  # a repeat, also for who stands lower: it is given what it lacks apart
            for member, stands in self.stands[room].items():
                if stands is None or (number and stands != (one.epoch, number - 1)):
                    continue
                if number:
                    self.stands[room][member] = (one.epoch, number)
                if is_expired or (member == conn and not include_sender):
                    continue
                self.got[member] += spelled(one, variant=self.hub.find(member).variant)
                recipients[-1] += 1
            if room in self.at and number and (one.epoch != self.at[room][0] or number > self.at[room][1]):
                self.at[room] = (one.epoch, number)
        assert self.hub.deliver(run, 1_000).recipients == recipients

    @rule(
        room=ROOMS,
        conns=st.lists(CONNS, unique=True),
        seq=st.integers(0, 6),
        count=st.integers(1, 3),
        own_upto=st.integers(0, 9),
    )
    def give(self, room, conns, seq, count, own_upto):
        epoch, end = self.at.get(room, ("e", 0))
        run = [message(number, room, "g~0", epoch) for number in range(seq + 1, min(end, seq + count) + 1)]
        recipients = [0] * len(run)
        for conn in conns if run else ():
            if self.stands[room].get(conn) != (epoch, seq):
                continue
            self.stands[room][conn] = (epoch, run[-1].seq)
            for index, one in enumerate(run):
                if conn != "g~0" or one.seq <= own_upto:
                    self.got[conn] += spelled(one, variant=self.hub.find(conn).variant)
                    recipients[index] += 1
        assert self.hub.give(room, conns, run, own_upto, 0).recipients == recipients

    @invariant()
    def agree(self):
        for conn, expected in self.got.items():
            assert taken(self.hub, conn) == expected
            self.got[conn] = b""
        assert self.hub.connections == len(self.got)
        for room, members in self.stands.items():
            assert self.hub.members(room) == tuple(members)
            assert self.hub.position(room) == (Position(*self.at[room]) if members else None)
            apart = {}
            for conn, stands in members.items():
                assert self.hub.standing(room, conn) == (None if stands is None else Position(*stands))
                if stands != self.at[room]:
                    apart[conn] = self.hub.standing(room, conn)
            assert dict(self.hub.apart(room)) == apart
        for conn in self.got:
            assert set(self.hub.rooms_of(conn)) == {
                room for room, members in self.stands.items() if conn in members
            }
        assert self.hub.rooms == sum(1 for members in self.stands.values() if members)

    def _out(self, room, conn):
        self.stands[room].pop(conn, None)
        if not self.stands[room]:
            self.at.pop(room, None)


TestHubAgainstOneByOne = AgainstOneByOne.TestCase
TestHubAgainstOneByOne.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
