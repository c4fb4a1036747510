"""What joins and leaves that wait make of each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.batch_numbers import BatchNumbers, Entry
from gateway.core.unsent_joins import UnsentJoins
from warren.envelope import Join, Leave


class Harness:
    """One shard's batches, and what a session and a fold would know."""

    def __init__(self) -> None:
        self.batches: BatchNumbers[Entry] = BatchNumbers(3, 1_000)
        self.joins: UnsentJoins[Entry] = UnsentJoins(self.batches)
        hello = self.batches.next()
        assert hello is not None
        self.batches.confirmed(hello)
        self.held: dict[tuple[str, str], set[str]] = {}  # what sessions are in, with the refs that they await
        self.members: set[tuple[str, str]] = set()  # what the fold holds
        self.sent: list[Join | Leave] = []
        self.told: list[str] = []  # refs of leaves that the gateway answers by itself

    def join(self, room: str = "r", ref: str = "", conn: str = "g~1") -> None:
        up = Join(room, conn, "ann", ref)
        first = (conn, room) not in self.held
        self.held.setdefault((conn, room), set()).add(ref)
        self.joins.join(up, Entry(up, 1, kept=False, charged=False), first=first)

    def leave(self, *rooms: str, ref: str = "", conn: str = "g~1") -> None:
        for room in rooms:
            self.held.pop((conn, room), None)
        up = Leave(rooms, conn, ref)
        rest = self.joins.leave(up)
        if rest is None:
            self.told.append(ref)
            return
        self.joins.left(rest, Entry(rest, 1, kept=bool(ref), charged=False, awaited=bool(ref)))

    def send(self) -> bool:
        """Send and count a batch, as the uplink does; False where nothing waits."""
        batch = self.batches.next()
        if batch is None:
            return False
        self.joins.sent(batch.entries)
        for entry in batch.entries:
            up = entry.envelope
            assert isinstance(up, Join | Leave)
            self.sent.append(up)
            if isinstance(up, Join):
                self.members.add((up.conn, up.room))
            else:
                self.members -= {(up.conn, room) for room in up.rooms}
        self.batches.confirmed(batch)
        self.batches.count(1, batch.number)
        return True

    def flush(self) -> list[Join | Leave]:
        """Send all that waits and return it."""
        before = len(self.sent)
        while self.send():
            pass
        assert len(self.joins) == 0
        return self.sent[before:]


def test_a_leave_takes_back_a_join_that_was_not_sent():
    """Nothing of both is sent, and the gateway answers by itself."""
    harness = Harness()
    harness.join(ref="j")
    harness.leave("r", ref="l")
    assert (harness.flush(), harness.told) == ([], ["l"])


def test_a_leave_of_a_member_is_sent_whatever_was_asked_meanwhile():
    """It takes back the joins behind it, and a second one is of no use."""
    harness = Harness()
    harness.join()
    harness.flush()
    harness.join(ref="again")
    harness.leave("r", ref="l1")
    harness.join(ref="anew")
    harness.leave("r", ref="l2")
    assert (harness.flush(), harness.told) == ([Leave(("r",), "g~1", "l1")], ["l2"])
    assert harness.members == set()


def test_a_join_takes_back_a_leave_whose_answer_nobody_awaits():
    """The member stays one; where its answer is awaited the leave goes first."""
    for ref, left in (("", []), ("l", [Leave(("r",), "g~1", "l")])):
        harness = Harness()
        harness.join()
        harness.flush()
        harness.leave("r", ref=ref)
        harness.join(ref="j")
        assert harness.flush() == [*left, Join("r", "g~1", "ann", "j")]
        assert harness.members == {("g~1", "r")}


def test_a_member_that_left_and_joined_unsent_leaves_for_good():
    """The leave that was taken back comes again with the next one."""
    harness = Harness()
    harness.join()
    harness.flush()
    harness.leave("r")
    harness.join()
    harness.leave("r")
    assert harness.flush() == [Leave(("r",), "g~1")]


def test_joins_with_other_refs_are_all_sent_and_one_with_the_same_replaces_it():
    """Each ref is a question with an answer of its own."""
    harness = Harness()
    for ref in ("a", "b", "a"):
        harness.join(ref=ref)
    assert [up.ref for up in harness.flush() if isinstance(up, Join)] == ["b", "a"]


def test_what_has_a_number_is_not_taken_back():
    """It may be in the log already."""
    harness = Harness()
    harness.join()
    harness.send()
    harness.leave("r")
    assert harness.flush() == [Leave(("r",), "g~1")]


def test_a_connection_that_ends_leaves_what_it_may_be_in_alone():
    """The rooms that it asked for in vain are taken out of its leave; its user's own is told to backends."""
    harness = Harness()
    harness.join("in")
    harness.flush()
    for room in ("@ann", "new"):
        harness.join(room)
    harness.leave("in", "@ann", "new")
    assert harness.flush() == [Join("@ann", "g~1", "ann"), Leave(("in", "@ann"), "g~1")]


def test_the_same_question_of_a_users_own_room_waits_once():
    """Its last form goes; a leave takes it back no more than another."""
    harness = Harness()
    for _ in range(3):
        harness.join("@ann", "~@")
    harness.join("@ann", "j1")
    harness.leave("@ann")
    assert harness.flush() == [
        Join("@ann", "g~1", "ann", "~@"),
        Join("@ann", "g~1", "ann", "j1"),
        Leave(("@ann",), "g~1"),
    ]


def test_after_the_end_of_a_life_nothing_is_taken_back():
    """What waited then was dropped."""
    harness = Harness()
    harness.join()
    harness.batches.end(1, 0)
    harness.joins.clear()
    harness.leave("r")
    assert len(harness.joins) == 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.sampled_from("rs"), st.sampled_from(["", "a", "b"])),
        st.tuples(st.just("leave"), st.sampled_from("rs"), st.sampled_from(["", "l"])),
        st.just(("send",)),
    ),
    max_size=40,
)


@given(STEPS)
def test_the_log_ends_where_the_sessions_are(steps: list[tuple[str, ...]]):
    """Whatever is asked and sent in whatever order: members are who is in a room, each JOIN that is awaited
    was sent, and a loop takes no place.
    """
    harness = Harness()
    for step, *what in steps:
        if step == "send":
            harness.send()
        elif step == "join":
            harness.join(what[0], what[1])
        elif ("g~1", what[0]) in harness.held:  # a session leaves what it holds alone
            harness.leave(what[0], ref=what[1])
        # for each room: a leave that is sent, one behind it that is awaited, and a join for each ref
        assert harness.batches.controls <= 2 * (1 + 1 + 3) + 3
    harness.flush()
    assert harness.members == harness.held.keys()
    asked = {(up.conn, up.room, up.ref) for up in harness.sent if isinstance(up, Join)}
    assert {(*key, ref) for key, refs in harness.held.items() for ref in refs} <= asked
    assert harness.batches.controls == 0
