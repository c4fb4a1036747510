"""What words about presence that wait make of each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.batch_numbers import BatchNumbers, Entry
from gateway.core.unsent_watches import UnsentWatches
from warren.envelope import Inform, Watch


class Harness:
    """One shard's batches, and what a fold makes of them."""

    def __init__(self) -> None:
        self.batches: BatchNumbers[Entry] = BatchNumbers(2, 1_000)
        self.watches: UnsentWatches[Entry] = UnsentWatches(self.batches)
        hello = self.batches.next()
        assert hello is not None
        self.batches.confirmed(hello)
        self.wanted: set[str] = set()
        self.watched: set[str] = set()  # as the fold has it
        self.info: dict[str, bytes] = {}
        self.sent = 0

    def say(self, up: Watch | Inform) -> None:
        if not self.watches.take_back(up):
            self.watches.offer(up, Entry(up, 1, kept=False, charged=False))

    def turn(self, room: str) -> None:
        """Watch a room, or no more."""
        self.wanted ^= {room}
        self.say(Watch(room, "g~1", "", room in self.wanted))

    def send(self) -> bool:
        batch = self.batches.next()
        if batch is None:
            return False
        self.watches.sent(batch.entries)
        for entry in batch.entries:
            up = entry.envelope
            self.sent += 1
            if isinstance(up, Inform):
                self.info[up.room] = up.info
            else:
                assert isinstance(up, Watch)
                (self.watched.add if up.on else self.watched.discard)(up.room)
        self.batches.confirmed(batch)
        self.batches.count(1, batch.number)
        return True

    def send_all(self) -> None:
        while self.send():
            pass


def test_who_begins_and_stops_has_said_nothing():
    """However often, while nothing is sent; and after that nothing is kept."""
    harness = Harness()
    for _ in range(1_000):
        harness.turn("r")
    assert (harness.batches.waiting, len(harness.watches)) == (0, 0)
    harness.send_all()
    assert harness.sent == 0


def test_what_is_sent_is_not_taken_back():
    """The next word goes behind it."""
    harness = Harness()
    harness.turn("r")
    harness.send()
    harness.turn("r")
    harness.send()
    assert (harness.watched, harness.sent) == (set(), 2)


def test_of_several_infos_the_last_one_goes():
    """The others are never sent."""
    harness = Harness()
    for number in range(100):
        harness.say(Inform("r", "g~1", b"%d" % number))
    harness.say(Inform("s", "g~1", b"s"))
    harness.send_all()
    assert (harness.info, harness.sent) == ({"r": b"99", "s": b"s"}, 2)


def test_what_is_said_twice_goes_once():
    """As behind the end of a life, where all of it is said again."""
    harness = Harness()
    harness.say(Watch("r", "g~1", "", True))
    harness.say(Watch("r", "g~1", "", True))
    harness.send_all()
    assert (harness.watched, harness.sent) == ({"r"}, 1)


def test_the_end_of_a_life_forgets_it():
    """What waited was dropped with it."""
    harness = Harness()
    harness.turn("r")
    harness.batches.end(1, 0)
    harness.watches.clear()
    assert len(harness.watches) == 0


@given(st.lists(st.sampled_from(["a", "b", "c", "send"]), max_size=60))
def test_in_the_end_the_fold_knows_who_watches(script):
    """Whatever is sent when."""
    harness = Harness()
    for step in script:
        if step == "send":
            harness.send()
        else:
            harness.turn(step)
    harness.send_all()
    assert harness.watched == harness.wanted
