"""room_catch_up: JOINED first, then what was missed, once and in order; or told that it can't be had."""

import re

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from gateway.core.client_limits import OutboxLimits
from gateway.core.hub import Hub, Member
from gateway.core.outbox import Outbox
from gateway.core.recent_messages import RecentMessages
from gateway.core.room_catch_up import AGAIN_FIRST_S, AGAIN_LAST_S, NEAR, Ask, Give, RoomCatchUp, Tell
from gateway.core.websocket.frames import JSON
from warren.address import shard_of
from warren.envelope import Deliver, Entered, Joined, Page, Read
from warren.namespaces import HistoryPolicy, Namespaces, RoomPolicy
from warren.position import Position

LIMITS = OutboxLimits(count=1_000_000, bytes=10**9, soft_bytes=10**9)
OFF = RoomPolicy("off", "off*", history=HistoryPolicy(0, 0))
SHARD = shard_of("r", 4)


def at(seq: int, epoch: str = "e") -> Position:
    return Position(epoch, seq)


def message(seq: int, room: str = "r", epoch: str = "e", **more) -> Deliver:
    return Deliver(room, epoch, seq, "CHAT", b"1", 5_000_000, **more)


def messages(first: int, last: int, epoch: str = "e") -> tuple[Deliver, ...]:
    return tuple(message(seq, epoch=epoch) for seq in range(first, last + 1))


def joined(
    conn: str, position: Position, missed: int | None = None, ref: str | None = None, room: str = "r"
) -> Tell:
    """Return what tells a member where it stands; ``missed`` None: it is told that there is a gap."""
    return Tell(
        Joined(conn, room, position, missed is not None, missed or 0, f"ref {conn}" if ref is None else ref)
    )


class Gateway:
    """A hub, its memory and its catching up; what is to be done is done, and noted in ``steps``."""

    def __init__(self, *conns: str, namespaces: Namespaces | None = None, room_bytes: int = 10**6) -> None:
        policies = namespaces or Namespaces([OFF])
        self.recent = RecentMessages(policies, room_bytes, 10**6)
        self.hub = Hub(recent=self.recent)
        self.catch_up = RoomCatchUp("g", self.hub, self.recent, policies)
        self.steps: list[Tell | Give | Ask] = []
        for conn in conns:
            self.hub.add(Member(conn, "u", JSON, Outbox(LIMITS)))

    def do(self, steps):
        self.steps += steps
        for step in steps:
            if isinstance(step, Give):
                self.hub.give(step.room, step.conns, step.messages, step.own_upto, 0)
        return steps

    def enter(self, conn, position, since=None, ref=None, *, quiet=False, room="r", now=0.0):
        ref = f"ref {conn}" if ref is None else ref
        return self.do(
            self.catch_up.entered(
                Entered(conn, room, position, ref, since), SHARD, now, 5_000_000, quiet=quiet
            )
        )

    def live(self, *seqs, epoch="e", room="r"):
        result = self.hub.deliver([message(seq, room, epoch) for seq in seqs], 0)
        return self.do(self.catch_up.behind(result.gaps, SHARD, 0.0, 5_000_000)) if result.gaps else []

    def page(self, read, run=(), *, kept=True, whole=True, now=0.0):
        page = Page(read.room, read.epoch, read.after, tuple(run), whole, kept, read.ref)
        return self.do(self.catch_up.page(page, now, 5_000_000))

    def got(self, conn):
        """Return the seqs that wait for a connection."""
        chunks = b"".join(self.hub.find(conn).outbox.take(10**9))
        return [int(seq) for seq in re.findall(rb'"seq":(\d+)', chunks)]


def asked(steps) -> Read:
    """Return the only question among steps."""
    (read,) = (step.read for step in steps if isinstance(step, Ask))
    return read


def test_who_gives_no_position_stands_where_the_room_stands():
    """As does who gives one that nobody can tell anything of."""
    gateway = Gateway("a")
    assert gateway.enter("a", at(7)) == [joined("a", at(7))]
    assert (gateway.live(8), gateway.got("a")) == ([], [8])


@pytest.mark.parametrize("since", [at(8), at(5, "f"), at(-1), at(10**30)])
def test_a_position_that_can_not_be_is_not_recovered(since):
    """Of the future, of another epoch, or none at all."""
    gateway = Gateway("a")
    assert gateway.enter("a", at(7), since) == [joined("a", at(7))]


def test_who_has_missed_nothing_is_told_so_at_once():
    """Also in a room without history, where who has missed something is told that it is lost."""
    gateway = Gateway("a", "b")
    assert gateway.enter("a", at(7), at(7)) == [joined("a", at(7), 0)]
    assert gateway.enter("a", at(7), at(7), room="off") == [joined("a", at(7), 0, room="off")]
    assert gateway.enter("b", at(7), at(6), room="off") == [joined("b", at(7), room="off")]
    assert len(gateway.catch_up) == 0


def test_what_is_in_memory_is_given_at_once():
    """JOINED says where the member stood and how many follow; nobody else is asked."""
    gateway = Gateway("a", "b")
    gateway.enter("a", at(7))
    gateway.live(8, 9)
    assert gateway.enter("b", at(9), at(7)) == [joined("b", at(7), 2), Give("r", ("b",), messages(8, 9), 9)]
    gateway.live(10)
    assert (gateway.got("a"), gateway.got("b")) == ([8, 9, 10], [8, 9, 10])
    assert len(gateway.catch_up) == 0


def test_what_is_not_in_memory_is_read():
    """JOINED waits for the first page; what is live waits for the last one, and is given from memory."""
    gateway = Gateway("a")
    assert gateway.enter("a", at(9), at(5)) == [Ask(Read("g", SHARD, "r", "e", 5, 9, 1))]
    gateway.live(10)
    assert gateway.got("a") == []
    steps = gateway.page(Read("g", SHARD, "r", "e", 5, 9, 1), messages(6, 7), whole=False)
    again = Read("g", SHARD, "r", "e", 7, 10, 2)
    assert steps == [joined("a", at(5), 4), Give("r", ("a",), messages(6, 7), 9), Ask(again)]
    gateway.live(11)
    steps = gateway.page(again, messages(8, 9))
    assert steps == [Give("r", ("a",), messages(8, 9), 9), Give("r", ("a",), messages(10, 11), 9)]
    gateway.live(12)
    assert (gateway.got("a"), len(gateway.catch_up)) == ([6, 7, 8, 9, 10, 11, 12], 0)


def test_a_storm_is_served_by_few_reads():
    """All who come while one is under way share it, and who comes after it is served from memory."""
    conns = [f"c{number}" for number in range(300)]
    gateway = Gateway(*conns, "late")
    for number, conn in enumerate(conns):
        gateway.enter(conn, at(100), at(90 + number % 7))
    read = asked(gateway.steps)
    assert read.after == 90
    gateway.page(read, messages(91, 100))
    assert not isinstance(gateway.steps[-1], Ask)
    assert gateway.enter("late", at(100), at(93)) == [
        joined("late", at(93), 7),
        Give("r", ("late",), messages(94, 100), 100),
    ]
    gives = [step for step in gateway.steps if isinstance(step, Give)]
    assert len(gives) == 8  # one for each position, whoever stands there
    for number, conn in enumerate(conns):
        assert gateway.got(conn) == list(range(91 + number % 7, 101))


def test_a_read_begins_where_the_lowest_stands_that_is_near():
    """One that stands far below takes its own turn; nobody waits for ever behind those who come later and
    lower.
    """
    gateway = Gateway(*"abcd")
    read = asked(gateway.enter("a", at(900), at(800)))
    gateway.enter("b", at(900), at(700))
    gateway.enter("c", at(900), at(650))
    gateway.enter("d", at(900), at(650 - NEAR))
    read = asked(gateway.page(read, messages(801, 900)))
    assert read.after == 650  # b is the eldest
    read = asked(gateway.page(read, messages(651, 660), whole=False))
    assert read.after == 700  # b's turn has come: it was passed once
    read = asked(gateway.page(read, messages(701, 900)))
    assert read.after == 394  # c went behind d with what it has got
    gateway.page(read, messages(395, 900))
    assert gateway.got("d") == list(range(395, 901))
    assert gateway.got("c") == list(range(651, 901))
    assert len(gateway.catch_up) == 0


def test_what_is_not_kept_is_lost_for_all_who_lack_it():
    """They stand where the room stands by now; who stands higher is asked for by itself."""
    gateway = Gateway(*"abc")
    read = asked(gateway.enter("a", at(9), at(2)))
    gateway.enter("b", at(9), at(1))
    gateway.enter("c", at(9), at(5))
    gateway.live(10)
    steps = gateway.page(read, kept=False)
    again = Read("g", SHARD, "r", "e", 5, 10, 2)
    assert steps == [joined("a", at(10)), joined("b", at(10)), Ask(again)]
    gateway.live(11)
    gateway.page(again, messages(6, 10))
    assert [gateway.got(conn) for conn in "abc"] == [[11], [11], [6, 7, 8, 9, 10, 11]]


def test_what_is_lost_on_the_way_is_told_by_a_second_joined():
    """It has no ref: nobody asked."""
    gateway = Gateway("a")
    gateway.enter("a", at(9), at(5))
    read = asked(gateway.page(asked(gateway.steps), messages(6, 7)))
    assert gateway.page(read, kept=False) == [joined("a", at(9), ref="")]
    assert (gateway.live(10), gateway.got("a")) == ([], [6, 7, 10])


@pytest.mark.parametrize(
    "page",
    [
        Page("r", "e", 5, messages(6, 9), True, True, 2),
        Page("r", "e", 6, messages(7, 9), True, True, 1),
        Page("r", "f", 5, messages(6, 9, "f"), True, True, 1),
        Page("s", "e", 5, messages(6, 9), True, True, 1),
        Page("r", "e", 5, (), True, True, 1),
        Page("r", "e", 5, messages(7, 9), True, True, 1),
        Page("r", "e", 5, (message(6), message(8)), True, True, 1),
        Page("r", "e", 5, messages(6, 9, "f"), True, True, 1),
        Page("r", "e", 5, (message(6, "s"),), True, True, 1),
    ],
)
def test_a_page_that_answers_nothing_open_or_has_a_hole_is_dropped(page):
    """What is asked stays asked."""
    gateway = Gateway("a")
    read = asked(gateway.enter("a", at(9), at(5)))
    assert gateway.catch_up.page(page, 0.0, 0) == []
    assert len(gateway.page(read, messages(6, 9))) == 2
    assert gateway.page(read, messages(6, 9)) == []


def test_a_page_gives_nothing_above_where_the_room_stands():
    """That comes by the chain."""
    gateway = Gateway("a")
    gateway.page(asked(gateway.enter("a", at(9), at(7))), messages(8, 12))
    assert gateway.live(10) == []
    assert gateway.got("a") == [8, 9, 10]


def test_a_read_is_repeated_until_it_is_answered():
    """Less and less often, with its ref; at once where the shard has another speaker."""
    gateway = Gateway("a")
    gateway.enter("a", at(9), at(5), now=0.0)
    read, now, waits = asked(gateway.steps), 0.0, []
    assert gateway.catch_up.tick(AGAIN_FIRST_S - 0.01) == []
    last = 0.0
    while len(waits) < 7:
        now += AGAIN_FIRST_S
        if gateway.catch_up.tick(now) == [Ask(read)]:
            waits.append(now - last)
            last = now
    assert waits == [AGAIN_FIRST_S, 1.0, 2.0, 4.0, AGAIN_LAST_S, AGAIN_LAST_S, AGAIN_LAST_S]
    assert gateway.catch_up.renew(SHARD + 1, now) == []
    assert gateway.catch_up.renew(SHARD, now) == [Ask(read)]
    assert gateway.catch_up.tick(now + AGAIN_FIRST_S) == [Ask(read)]
    gateway.catch_up.left("r", "a")
    assert gateway.catch_up.tick(now + 99) == gateway.catch_up.renew(SHARD, now) == []
    assert gateway.page(read, messages(6, 9)) == []


def test_who_leaves_is_given_nothing():
    """The others go on."""
    gateway = Gateway("a", "b")
    read = asked(gateway.enter("a", at(9), at(5)))
    gateway.enter("b", at(9), at(6))
    gateway.hub.leave("r", "a")
    gateway.catch_up.left("r", "a")
    assert gateway.page(read, messages(6, 9)) == [joined("b", at(6), 3), Give("r", ("b",), messages(7, 9), 9)]


def test_a_connection_that_has_gone_enters_nothing():
    """Its Leave is on the way."""
    gateway = Gateway()
    assert gateway.enter("a", at(9), at(5)) == []
    assert len(gateway.catch_up) == 0


def test_who_asks_again_behind_an_open_join_is_answered_behind_it():
    """Each JOIN once; a repeat of one that waits is no second one, and what is given begins at the last
    position.
    """
    gateway = Gateway("a")
    read = asked(gateway.enter("a", at(9), at(7), "1"))
    assert gateway.enter("a", at(9), at(7), "1") == []
    assert gateway.enter("a", at(9), at(8), "2") == []
    assert gateway.enter("a", at(9), at(8), "2") == []
    assert gateway.enter("a", at(9), None, "3") == []
    gateway.enter("a", at(9), at(6), "4")
    steps = gateway.page(read, messages(8, 9))
    assert steps[:3] == [
        joined("a", at(7), 2, "1"),
        joined("a", at(8), 1, "2"),
        joined("a", at(9), None, "3"),
    ]
    assert asked(steps).after == 6
    assert gateway.page(asked(steps), messages(7, 9)) == [
        joined("a", at(6), 3, "4"),
        Give("r", ("a",), messages(7, 9), 9),
    ]
    assert gateway.got("a") == [7, 8, 9]


def test_a_client_that_noticed_a_gap_is_given_all_again():
    """From where it says that it stands, whatever it was given before."""
    gateway = Gateway("a")
    gateway.enter("a", at(5))
    gateway.live(6, 7)
    gateway.enter("a", at(7), at(5))
    gateway.live(8)
    assert gateway.got("a") == [6, 7, 6, 7, 8]


def test_a_member_that_was_entered_again_by_its_gateway_is_given_nothing_twice():
    """It has got on since it was asked for; where it lacks something, that goes on as it is."""
    gateway = Gateway("a", "b")
    gateway.enter("a", at(5))
    gateway.live(6, 7)
    assert gateway.enter("a", at(7), at(5), quiet=True) == [joined("a", at(7), 0)]
    read = Read("g", SHARD, "r", "e", 7, 9, 1)
    assert gateway.enter("a", at(9), at(5), quiet=True) == [
        joined("a", at(7), 2),
        Ask(read),
    ]  # two were lost to the chain
    assert gateway.enter("a", at(9), at(5), "again", quiet=True) == [joined("a", at(7), 2, "again")]
    gateway.page(read, messages(8, 9))
    assert gateway.got("a") == [6, 7, 8, 9]


def test_a_hole_in_the_chain_is_read_for_all_members():
    """Behind a Reset; they are given no copy of their own."""
    gateway = Gateway("a", "b")
    gateway.enter("a", at(5))
    gateway.enter("b", at(5))
    read = asked(gateway.live(6, 9))
    assert (read.after, read.upto) == (6, 9)
    run = [message(7), message(8, conn="a"), message(9)]
    assert gateway.page(read, run) == [Give("r", ("a", "b"), tuple(run), 0)]
    gateway.live(10)
    assert (gateway.got("a"), gateway.got("b")) == ([6, 7, 9, 10], [6, 7, 8, 9, 10])


def test_everyones_hole_is_read_too():
    """Nobody enters there; what is not kept is told to each connection."""
    gateway = Gateway("a", "b")
    gateway.live(5, room="*")
    read = asked(gateway.live(8, room="*"))
    assert (read.room, read.after, read.upto) == ("*", 5, 8)
    steps = gateway.page(read, kept=False)
    assert steps == [joined(conn, at(8), ref="", room="*") for conn in "ab"]


def test_a_hole_in_a_room_without_history_is_told():
    """There is nothing to read."""
    gateway = Gateway("a")
    gateway.enter("a", at(5), room="off")
    assert gateway.live(8, room="off") == [joined("a", at(8), ref="", room="off")]
    assert gateway.live(9, room="off") == []


def test_a_new_epoch_ends_all_that_was_lacking():
    """Those who asked are answered, the others told; the same where an Entered says it first."""
    gateway = Gateway(*"abc")
    gateway.enter("a", at(5))
    gateway.enter("b", at(5), at(2))
    steps = gateway.live(1, epoch="f")
    assert steps == [joined("b", at(1, "f")), joined("a", at(1, "f"), ref="")]
    assert len(gateway.catch_up) == 0
    steps = gateway.enter("c", at(3, "h"), at(3, "h"))
    assert steps == [*(joined(conn, at(3, "h"), ref="") for conn in "ab"), joined("c", at(3, "h"), 0)]


def test_an_entered_behind_a_new_epoch_finds_nothing_old():
    """Though the gap was not reported yet."""
    gateway = Gateway("a", "b")
    gateway.enter("a", at(5), at(2))
    result = gateway.hub.deliver([message(1, epoch="f")], 0)
    run = tuple(messages(1, 1, "f"))
    steps = gateway.enter("b", at(1, "f"), at(0, "f"))
    assert steps == [joined("a", at(1, "f")), joined("b", at(0, "f"), 1), Give("r", ("b",), run, 1)]
    assert gateway.do(gateway.catch_up.behind(result.gaps, SHARD, 0.0, 0)) == []


CONNS = "abc"


class Promise(RuleBasedStateMachine):
    """A room's log, a router that keeps the last few of it and loses pages, and clients that keep count of
    what they are told.
    """

    @initialize(kept=st.integers(2, 9), room_messages=st.integers(1, 12))
    def begin(self, kept, room_messages):
        self.gateway = Gateway(*CONNS, room_bytes=room_messages * 400)
        self.kept = kept
        self.epoch, self.end = "e0", 0
        self.members = set()  # as the log has it
        self.open = {}  # ref ▶ (connection, since), of JOINs that the client has no answer to
        self.at = {}  # connection ▶ the position that its client has
        self.reads = []
        self.refs = 0

    def note(self, steps):
        """Do what is to be done, and have the clients check it as it comes."""
        for step in steps:
            self.take()
            if isinstance(step, Tell):
                self.told(step.joined)
            elif isinstance(step, Ask):
                self.reads.append(step.read)
            else:
                self.gateway.do([step])
        self.take()

    def told(self, said):
        if said.ref:
            conn, since = self.open.pop(said.ref)
            assert conn == said.conn
            if said.recovered and said.ref[0] == "~":
                # a session does not tell its client what that did not ask; it goes on from where it is
                return
            if said.recovered:
                assert said.position == since
        else:
            assert not said.recovered
        self.at[said.conn] = said.position
        assert said.recovered or said.position == self.gateway.hub.position("r")

    def take(self):
        for conn in CONNS:
            for seq in self.gateway.got(conn):
                assert seq == self.at[conn].seq + 1
                self.at[conn] = Position(self.at[conn].epoch, seq)

    @rule(conn=st.sampled_from(CONNS), back=st.sampled_from([None, -1, 0, 1, 2, 5, 9]))
    def join(self, conn, back):
        self.refs += 1
        ref = f"{self.refs}"
        since = None if back is None else Position(self.epoch, max(0, self.end - back))
        if len(self.open) < 5:
            self.members.add(conn)
            self.open[ref] = (conn, since)
            entered = Entered(conn, "r", Position(self.epoch, self.end), ref, since)
            self.note(self.gateway.catch_up.entered(entered, SHARD, 0.0, 5_000_000))

    @rule(conn=st.sampled_from(CONNS))
    def leave(self, conn):
        self.gateway.hub.leave("r", conn)
        self.gateway.catch_up.left("r", conn)
        self.members.discard(conn)
        self.at.pop(conn, None)
        self.open = {ref: question for ref, question in self.open.items() if question[0] != conn}

    @rule(
        count=st.integers(1, 4),
        lost=st.sampled_from([False, False, False, True]),
        anew=st.sampled_from([False] * 9 + [True]),
    )
    def say(self, count, lost, anew):
        if anew:
            self.epoch, self.end = f"e{int(self.epoch[1:]) + 1}", 0
        first = self.end + 1
        self.end += count
        if not lost and self.members:
            result = self.gateway.hub.deliver(messages(first, self.end, self.epoch), 0)
            self.take()
            self.note(self.gateway.catch_up.behind(result.gaps, SHARD, 0.0, 5_000_000))

    @rule(index=st.integers(0, 5), fits=st.integers(1, 4), lost=st.booleans())
    def answer(self, index, fits, lost):
        if not self.reads:
            return
        read = self.reads.pop(index % len(self.reads))
        if not lost:
            self._answer(read, fits)

    def _answer(self, read, fits):
        upto = min(read.upto, read.after + fits)
        kept = read.epoch == self.epoch and read.after >= self.end - self.kept
        run = messages(read.after + 1, upto, read.epoch) if kept else ()
        page = Page("r", read.epoch, read.after, run, upto == read.upto, kept, read.ref)
        self.note(self.gateway.catch_up.page(page, 0.0, 5_000_000))

    @rule(conn=st.sampled_from(CONNS))
    def enter_again(self, conn):
        """The gateway asks by itself, behind a Reset."""
        standing = self.gateway.hub.standing("r", conn)
        if conn in self.members and standing is not None:
            self.refs += 1
            ref = f"~{self.refs}"
            self.open[ref] = (conn, standing)
            entered = Entered(conn, "r", Position(self.epoch, self.end), ref, standing)
            self.note(self.gateway.catch_up.entered(entered, SHARD, 0.0, 5_000_000, quiet=True))

    @rule()
    def settle(self):
        """Once all that is asked is answered, everybody has been told everything and stands where the room
        stands.
        """
        for turn in range(1, 200):
            if not len(self.gateway.catch_up):
                break
            self.reads.clear()
            self.note(self.gateway.catch_up.tick(1_000.0 * turn))
            for read in self.reads[:]:
                self._answer(read, 50)
        assert len(self.gateway.catch_up) == 0
        assert self.open == {}
        where = self.gateway.hub.position("r")
        assert self.gateway.hub.apart("r") == []
        for conn in self.members:
            assert self.at[conn] == where


TestPromise = Promise.TestCase
TestPromise.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
