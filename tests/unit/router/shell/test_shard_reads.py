"""ShardReads: each question is answered at once, or asked again."""

import asyncio

import msgspec
import pytest
from tests.support.eventually import eventually
from tests.support.router_context import router_context
from tests.support.scripted_bus import ManualClock, ScriptedBus

from router.core import control_reads as reads
from router.core import room_index
from router.core.explanations import trace
from router.core.feeds import Feeds
from router.core.fold import Fold
from router.core.history import History
from router.shell.shard_reads import KEPT_S, ShardReads
from warren.contract.queries import Explained, PresencePage, RoomsPage, Statuses
from warren.envelope import Batch, Counts, CountsQuery, Hello, Join, Notified, Publish, Rules, encode

NOW_US = 1_764_000_000_000_000


class Filling:
    """A history that is still being read, or is not."""

    filling = False

    def asked(self, read, fold):
        return None

    def trace(self, read, fold, feeds):
        return (
            None if self.filling else trace(read, fold, History(1 << 20, 1 << 20, 0), feeds) or reads.NOTHING
        )


class Harness:
    def __init__(self):
        self.clock, self.history = ManualClock(), Filling()
        self.asked = []
        context = router_context(ScriptedBus(), clock=self.clock)
        self.router = context.id
        self.reads = ShardReads(0, context, self.history, lambda *asked: self.asked.append(asked))
        self.fold, self.offset, self.number = Fold(0, 1), 0, 0
        self.write(Rules("k3f9", 2, 100, 100, 10, NOW_US))
        self.batch(Hello())

    def write(self, *envelopes):
        for effect in self.fold.apply(self.offset, encode(envelopes)):
            if hasattr(effect, "kind") and effect.message is None:
                self.reads.note(effect)
        self.offset += 1

    def batch(self, *envelopes):
        self.number += 1
        self.write(Batch("g1", 1, self.number, NOW_US), *envelopes)

    def join(self, *rooms):
        self.batch(*(Join(room, "g1~1", "ann") for room in rooms))

    def ask(self, read, kind=None):
        answer = self.reads.answer(reads.encoded(read), self.fold, Feeds("r1", 0, 1 << 20))
        return answer if answer is None or kind is None else msgspec.json.decode(answer, type=kind)


@pytest.fixture
def harness():
    return Harness()


def test_who_is_where_is_told_at_once(harness):
    """And since when, where it was seen."""
    harness.join("@ann", "a")
    assert harness.ask(reads.MembersRead("a", 5, ""), PresencePage).connections == 1
    (ann,) = harness.ask(reads.StatusRead(("ann",)), Statuses).users
    assert (ann.online, ann.since) == (True, NOW_US // 1_000)
    harness.reads.begin()
    (ann,) = harness.ask(reads.StatusRead(("ann",)), Statuses).users
    assert (ann.online, ann.since) == (True, None)


def test_what_can_not_be_told_yet_is_asked_again(harness):
    """A history that is being read; a question of a newer router."""
    assert harness.ask(reads.HistoryRead("a", 0, 5)) is None
    assert harness.ask(reads.ExplainRead("a", "", "m")) == reads.NOTHING
    harness.history.filling = True
    assert harness.ask(reads.ExplainRead("a", "", "m")) is None
    assert harness.reads.answer(b"\xc1", harness.fold, Feeds("r1", 0, 1)) is None


def test_of_a_message_gateways_are_asked_too(harness):
    """Each once; it is answered when all have answered, and counts as waiting until then."""
    harness.join("a")
    harness.write(Notified("r1", NOW_US), Publish("a", "X", b"1", NOW_US, id="m"))
    read = reads.ExplainRead("a", "", "m")
    assert (harness.ask(read), harness.ask(read), harness.reads.waiting) == (None, None, 1)
    assert harness.asked == [("g1", CountsQuery(harness.router, 0, "a", "k3f9-1", 1))]
    harness.reads.counted(Counts("g1", 0, "a", "k3f9-1", 1, 1, True, 7))
    assert (harness.ask(read, Explained).written, harness.reads.waiting) == (7, 0)
    assert harness.ask(read) is None
    assert len(harness.asked) == 2
    harness.reads.begin()
    assert harness.reads.waiting == 0


async def test_many_rooms_are_put_in_order_while_others_have_their_turns(harness, monkeypatch):
    """Until that is done it is asked again; then pages are of the same moment for a while."""
    monkeypatch.setattr(room_index, "RUN", 2)
    harness.join(*"gfedcba")
    read = reads.RoomsRead("", 3, "")
    assert harness.ask(read) is None
    page = await eventually(lambda: harness.ask(read, RoomsPage))
    assert ([room.room for room in page.rooms], page.next) == (["a", "b", "c"], "c")
    harness.join("bb")
    page = harness.ask(reads.RoomsRead("", 9, "a"), RoomsPage)
    assert [room.room for room in page.rooms] == list("bcdefg")
    harness.clock.advance(KEPT_S)
    harness.ask(read)
    page = await eventually(lambda: harness.ask(reads.RoomsRead("", 9, "a"), RoomsPage))
    assert page.rooms[1].room == "bb"


async def test_lists_that_are_being_made_are_few(harness, monkeypatch):
    """However many prefixes are asked for."""
    monkeypatch.setattr(room_index, "RUN", 1)
    harness.join("a", "b", "c")
    for number in range(20):
        assert harness.ask(reads.RoomsRead(f"{number}", 3, "")) is None
    await eventually(lambda: harness.ask(reads.RoomsRead("0", 3, ""), RoomsPage) is not None)
    harness.reads.begin()
    await asyncio.sleep(0)
