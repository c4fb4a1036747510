"""Where a reader stands, as its event ids say it: exact wherever the stream is cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.event_stream import EventParser

from gateway.core.client_messages import Joined, Left, Welcome
from gateway.core.sse import events
from gateway.core.sse.position_vector import NOTHING, SHOWN_MAX, PositionVector, Shown, read, size_of
from warren.envelope import Deliver
from warren.position import Position

ROOMS = ("a", "b", "@ann")


def run(room: str, *seqs: int) -> bytes:
    """Return a chunk of messages of one room, 0: an ephemeral one."""
    made = [Deliver(room, "e" if seq else "", seq, "CHAT", b"%d" % seq, 1) for seq in seqs]
    return b"".join(events.delivery(one, b'{"seq":%d}' % one.seq) for one in made)


def joined(room: str, seq: int) -> bytes:
    """Return a JOINED."""
    return events.private(Joined(room, "e", seq, recovered=True), b"{}")


def ids(vector: PositionVector, *chunks: bytes) -> list[str]:
    """Return the last event id behind each event."""
    parser = EventParser()
    return [
        event.last_event_id
        for chunk in chunks
        for event in parser.feed(vector.address(chunk).decode())
    ]  # fmt: skip


def test_each_event_has_the_whole_vector():
    """What moved last stands last."""
    vector = PositionVector()
    assert ids(vector, joined("a", 1), joined("b", 7), run("a", 2, 0, 3), run("b", 8)) == [
        "a~e~1",
        "a~e~1,b~e~7",
        "b~e~7,a~e~2",
        "b~e~7,a~e~2",
        "b~e~7,a~e~3",
        "a~e~3,b~e~8",
    ]
    assert bytes(vector) == b"a~e~3,b~e~8"


def test_what_nobody_needs_to_add_to_is_shared_as_it_is():
    """A run of the only room, and what moves nobody, is not copied."""
    vector = PositionVector()
    vector.address(joined("a", 1))
    for chunk in (run("a", 2, 3), run("a", 0), events.HEARTBEAT):
        assert vector.address(chunk) is chunk


def test_a_run_may_begin_with_what_moves_nobody():
    """The id comes with the first that does."""
    vector = PositionVector()
    assert ids(vector, joined("b", 1), run("a", 0, 0, 4)) == ["b~e~1", "b~e~1", "b~e~1", "b~e~1,a~e~4"]


def test_a_room_that_was_left_is_remembered_where_it_would_be_joined_again():
    """Those of the address, those that everybody joins, and those that the id said were left."""
    vector = PositionVector(Shown(left=frozenset({"old"})), ("a",))
    vector.address(events.private(Welcome("g~1", "ann", 1, ("@ann",), 1, 1, 1, 1), b"{}"))
    for room in ("a", "b", "@ann", "old"):
        vector.address(joined(room, 1))
    left = [events.private(Left(room), b"{}") for room in ("a", "b", "@ann", "old")]
    assert ids(vector, *left)[-1] == "old~,a~,@ann~"
    assert ids(vector, joined("a", 5)) == ["old~,@ann~,a~e~5"]
    assert bytes(vector) == b"old~,a~e~5,@ann~"


def test_it_goes_on_from_what_was_shown():
    """Also before anything has come: the WELCOME says it again."""
    vector = PositionVector(Shown({"a": Position("e", 3)}, frozenset({"b"})), ("a", "b"))
    welcome = events.private(Welcome("g~1", "ann", 1, (), 1, 1, 1, 1), b"{}")
    assert ids(vector, welcome, joined("c", 1)) == ["a~e~3,b~", "a~e~3,b~,c~e~1"]


def test_a_position_may_go_back_where_the_server_says_so():
    """JOINED sets it."""
    vector = PositionVector()
    assert ids(vector, joined("a", 9), joined("a", 4), run("a", 5)) == ["a~e~9", "a~e~4", "a~e~5"]


STEP = st.tuples(st.sampled_from(ROOMS), st.sampled_from(["run", "join", "leave"]), st.integers(1, 4))


@given(st.lists(STEP, max_size=12), st.data())
def test_the_id_is_exact_wherever_the_stream_is_cut(steps: list[tuple[str, str, int]], data: st.DataObject):
    """After whatever part of the bytes has come: it is the position behind the last event that was
    dispatched, and reads back as that.
    """
    vector, stream = PositionVector(named=("a",)), b""
    stands: dict[str, int | None] = {}
    after: list[dict[str, int | None]] = []
    for room, what, count in steps:
        at = stands.get(room) or 0
        if what == "join":
            stream += vector.address(joined(room, at + count))
            stands[room] = at + count
            after.append(dict(stands))
        elif what == "leave":
            stream += vector.address(events.private(Left(room), b"{}"))
            stands.pop(room, None)
            if room == "a":
                stands[room] = None
            after.append(dict(stands))
        else:
            seqs = [at + number for number in range(1, count + 1)]
            stream += vector.address(run(room, *seqs))
            for seq in seqs:
                stands[room] = seq
                after.append(dict(stands))
    cut = data.draw(st.integers(0, len(stream)))
    parser = EventParser()
    found = parser.feed(stream[:cut].decode())
    shown = read(parser.last_event_id)
    told: dict[str, int | None] = {room: position.seq for room, position in shown.since.items()}
    told |= dict.fromkeys(shown.left)
    assert told == (after[len(found) - 1] if found else {})
    assert all(json.loads(event.data) is not None for event in found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rubbish",
        "a~e",
        "a~e~",
        "a~e~x",
        "a~e~-1",
        "a~e~+1",
        "a~e~٣",
        "a~e~1~2",
        "a~~1",
        "~e~1",
        "a~E~1",
        "a~e~1,",
        ",a~e~1",
        "a~e~1,a~e~2",
        "a~,a~e~2",
        "a~e~1, b~e~1",
        "*~e~1",
        "g~1~e~1",
        "@~e~1",
        "a\n~e~1",
        "é~e~1",
        f"a~{'e' * 41}~1",
        "a~e~" + "9" * 20,
        ",".join(f"r{number}~e~1" for number in range(SHOWN_MAX // 6)),
    ],
)
def test_what_was_not_made_here_says_nothing(text: str):
    """All of it: a part could be wrong too."""
    assert read(text) == NOTHING


def test_what_was_made_here_is_read():
    """Rooms, a user's own, and those that were left."""
    text = "chat:a/b.c-d_e@f~k3f9-1~12,@a|b+=%!$&'?^`{}~l1~0,gone~"
    shown = read(text)
    assert shown.since == {
        "chat:a/b.c-d_e@f": Position("k3f9-1", 12),
        "@a|b+=%!$&'?^`{}": Position("l1", 0),
    }
    assert shown.left == {"gone"}
    assert bytes(PositionVector(shown)).decode() == text
    assert shown.but(["gone", "x"]) == Shown(shown.since)


@given(st.text(max_size=60))
def test_anything_is_read_without_a_fault(text: str):
    """What is accepted says the same once more."""
    shown = read(text)
    assert read(bytes(PositionVector(shown)).decode()) == shown


def test_how_much_a_room_takes():
    """At least what it takes in a vector."""
    assert size_of(["a" * 10]) >= len(b"a" * 10 + b"~" + b"e" * 18 + b"~" + b"9" * 19 + b",")
    assert size_of(["a", "bb"]) == size_of(["a"]) + size_of(["bb"])
