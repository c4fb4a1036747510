"""Checkpoints: the state as of our Mark, encoded meanwhile, written once its events are confirmed, and
compared with what others wrote.
"""

import asyncio

import pytest_asyncio
from prometheus_client import CollectorRegistry
from tests.support.eventually import eventually

from router.core.effects import Marked
from router.core.fold import Fold
from router.shell.checkpoints import STEPS, Checkpoints
from warren.envelope import Batch, Checkpoint, Hello, Join, Mark, Rules, encode
from warren.metrics import RouterMetrics


class Writer:
    """Keeps what is to be written; ``confirm`` says that it stands in the log."""

    def __init__(self):
        self.put_in = []

    def put(self, entry, confirmed):
        self.put_in.append((entry, confirmed))

    def confirm(self):
        for _, confirmed in self.put_in:
            confirmed()


class Harness:
    def __init__(self):
        self.writer = Writer()
        self.metrics = RouterMetrics(CollectorRegistry())
        self.checkpoints = Checkpoints("r1", 0, self.writer, self.metrics)
        self.fold = Fold(0, 1)
        for offset, entry in enumerate(([Rules("life", 1, 9, 9, 9, 1)], [Batch("g1", 1, 1, 1), Hello()])):
            self.fold.apply(offset, encode(entry))

    def mark(self, router="r1", *, speaks=True):
        """Apply a Mark; return its offset and what the state is there."""
        offset = self.fold.offset + 1
        (marked,) = self.fold.apply(offset, encode([Mark(router, 7)]))
        assert marked == Marked(1, router, 7)
        self.checkpoints.marked(marked, offset, self.fold, speaks=speaks)
        return offset, *self.fold.parts()

    def many(self, number, members):
        """Apply a batch that makes the state larger."""
        joins = [Join(f"room:{each}", f"g1~{each:x}", "u") for each in range(members)]
        self.fold.apply(self.fold.offset + 1, encode([Batch("g1", 1, number, 1), *joins]))

    async def encoded(self):
        """Wait until what was begun is done."""
        await eventually(lambda: self.checkpoints._encoding is None)

    def written(self):
        return [entry for entry, _ in self.writer.put_in]

    @property
    def differing(self):
        return self.metrics.registry.get_sample_value(
            "warren_router_rejected_total", {"reason": "checkpoint_differs"}
        )


@pytest_asyncio.fixture
async def harness():
    harness = Harness()
    yield harness
    await harness.checkpoints.close()


async def test_our_checkpoint_is_written_once_the_events_up_to_it_are_confirmed(harness):
    """Whole, as the fold was at the Mark, though more has been applied since; another one is begun only when
    it stands in the log.
    """
    offset, bodies, digest = harness.mark()
    harness.fold.apply(3, encode([Batch("g2", 1, 1, 1), Hello()]))
    await harness.encoded()
    assert harness.checkpoints.bytes == sum(map(len, bodies))
    harness.checkpoints.write(1)
    assert harness.written() == []
    harness.checkpoints.write(2)
    harness.checkpoints.write(3)
    parts = [
        Checkpoint("r1", offset, number, len(bodies), digest, body) for number, body in enumerate(bodies)
    ]
    assert harness.written() == parts
    assert harness.checkpoints.pending
    harness.writer.confirm()
    assert not harness.checkpoints.pending


async def test_a_large_state_is_encoded_in_many_turns_and_is_that_of_the_mark(harness):
    """Entries are applied in each of them, which change what was encoded and what was not; a confirm from
    before its end is not forgotten.
    """
    harness.many(2, 20_000)
    offset, bodies, digest = harness.mark()
    harness.checkpoints.write(offset)
    progress = 0
    while harness.checkpoints._encoding is not None:
        progress += 1
        harness.many(2 + progress, progress)
        await asyncio.sleep(0)
    assert progress > 20_000 / 512 / STEPS
    assert [part.body for part in harness.written()] == bodies
    assert {part.digest for part in harness.written()} == {digest}
    assert harness.fold.parts()[0] != bodies


async def test_a_mark_of_another_router_or_of_a_former_life_of_ours_is_not_ours_to_follow(harness):
    """It is only remembered what the state was there."""
    harness.mark("r2")
    await harness.encoded()
    harness.mark("r1", speaks=False)
    await harness.encoded()
    harness.checkpoints.write(99)
    assert harness.written() == []
    assert not harness.checkpoints.pending


async def test_who_speaks_no_more_writes_none(harness):
    """What was to be written is dropped, encoded or not."""
    for waits in (True, False):
        harness.mark()
        if waits:
            await harness.encoded()
        harness.checkpoints.drop()
        harness.checkpoints.write(99)
        await harness.encoded()
    assert harness.written() == []


async def test_what_we_are_to_write_goes_before_what_is_only_to_be_compared(harness):
    """One is encoded at a time; where ours is under way another router's Mark is passed over."""
    harness.mark("r2")
    offset, bodies, _ = harness.mark("r1")
    harness.mark("r2")
    await harness.encoded()
    harness.checkpoints.write(offset)
    assert [(part.offset, part.body) for part in harness.written()] == [(offset, body) for body in bodies]
    assert list(harness.checkpoints._digests) == [offset]


async def test_what_is_read_anew_ends_what_was_being_encoded(harness):
    """Nothing of it is written, and the fold's rooms are its own again."""
    harness.mark()
    harness.checkpoints.begin(1)
    await asyncio.sleep(0)
    harness.checkpoints.write(99)
    assert (harness.written(), harness.checkpoints.pending, harness.fold.rooms._snapshots) == ([], False, 0)


async def test_the_newest_whole_one_is_where_others_may_begin(harness):
    """A part makes none; an older one takes nothing back."""
    assert harness.checkpoints.newest == -1
    assert harness.checkpoints.seen(Checkpoint("r2", 5, 0, 2, b"d", b"")) is None
    assert harness.checkpoints.newest == -1
    assert harness.checkpoints.seen(Checkpoint("r2", 5, 1, 2, b"d", b"")) == 5
    assert harness.checkpoints.seen(Checkpoint("r3", 4, 0, 1, b"d", b"")) == 4
    assert harness.checkpoints.newest == 5
    harness.checkpoints.begin(3)
    assert harness.checkpoints.newest == 3


async def test_a_checkpoint_that_differs_from_our_state_is_told(harness):
    """The same entries were applied differently, by one of the two; an equal one, and one of a place that we
    did not see, say nothing.
    """
    offset, _, digest = harness.mark("r2")
    await harness.encoded()
    for at, said in ((offset, digest), (1, b"unseen")):
        harness.checkpoints.seen(Checkpoint("r2", at, 0, 1, said, b""))
    assert harness.differing is None
    harness.checkpoints.seen(Checkpoint("r2", offset, 0, 1, b"other", b""))
    assert harness.differing == 1


async def test_one_that_comes_before_we_have_encoded_ours_is_compared_then(harness):
    """Its writer may be faster than we are."""
    offset, _, digest = harness.mark("r2")
    harness.checkpoints.seen(Checkpoint("r2", offset, 0, 1, digest, b""))
    await harness.encoded()
    assert harness.differing is None
    offset, _, _ = harness.mark("r2")
    harness.checkpoints.seen(Checkpoint("r2", offset, 0, 1, b"other", b""))
    assert harness.differing is None
    await harness.encoded()
    assert harness.differing == 1
