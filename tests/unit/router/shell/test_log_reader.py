"""LogReader: entry by entry, from a checkpoint on; it sees when the log is not the one that it was."""

import asyncio

import msgspec
import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.log_stream import RULES, LogStream
from tests.support.router_context import router_context

from router.core import checkpoint
from router.core.fold import FOLD_VERSION
from router.shell import log_reader, retrying_publisher, shard_log
from router.shell.log_reader import LogReader
from router.shell.shard_log import ShardLog
from warren.envelope import Batch, Gone, Hello, Mark, Rules, decode, encode
from warren.retry import Backoff
from warren.topology import Topology


class Shard:
    """Applies what it is given, and remembers what it was told."""

    def __init__(self):
        self.fold = None
        self.begins = []
        self.entries = []
        self.catches = []  # how many entries had come each time
        self.where = ()
        self.others_know = False
        self.unknowns = []
        self.on_entry = lambda record: None

    def begun(self, fold):
        self.fold = fold
        self.begins.append(fold.offset)

    def entry(self, record):
        self.on_entry(record)
        self.fold.apply(record.offset, record.body)
        self.entries.append(record.offset)

    def caught_up(self):
        self.catches.append(len(self.entries))

    def hints(self):
        return self.where

    def known(self):
        return self.others_know

    def unknown(self, reason):
        self.unknowns.append(reason)


class Harness:
    def __init__(self):
        self.log, self.shard = LogStream(), Shard()
        self.reader = LogReader(
            ShardLog(self.log, Topology(shards=1), 0, prefetch=8), router_context(self.log), self.shard
        )

    def fill(self, count=3):
        """Write a log's beginning and some entries; return the last offset."""
        self.log.put(RULES)
        return [self.log.put(Gone(f"g{number}", 1, 1)) for number in range(count)][-1]

    async def read(self, upto):
        await eventually(lambda: self.shard.entries and self.shard.entries[-1] == upto)


@pytest_asyncio.fixture
async def harness(monkeypatch: pytest.MonkeyPatch):
    for module in (shard_log, log_reader):
        monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    monkeypatch.setattr(shard_log, "EMPTY_S", 0.02)
    for module in (retrying_publisher, log_reader):
        monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    harness = Harness()
    yield harness
    task = harness.reader.stop()
    if task is not None:
        await asyncio.gather(task, return_exceptions=True)


async def test_an_empty_log_is_read_as_it_grows(harness):
    """It is caught up with at once, and again nothing has to be said of that."""
    harness.reader.start()
    await eventually(lambda: harness.shard.catches == [0])
    await harness.read(harness.fill())
    assert (harness.shard.entries, harness.shard.begins, harness.shard.catches) == ([0, 1, 2, 3], [-1], [0])


async def test_it_has_caught_up_when_it_has_read_to_where_the_log_ended(harness):
    """Once, after the last entry that stood there when it began."""
    last = harness.fill(5)
    harness.reader.start()
    await harness.read(last)
    await eventually(lambda: harness.shard.catches == [6])
    harness.log.put(Gone("g", 1, 1))
    await harness.read(last + 1)
    assert harness.shard.catches == [6]


async def test_it_begins_at_a_checkpoint(harness):
    """What lies before it is not read; the entries after it are."""
    harness.fill()
    mark = harness.log.marked()
    last = harness.log.put(Gone("g", 1, 1))
    harness.reader.start()
    await harness.read(last)
    assert harness.shard.begins == [mark]
    assert harness.shard.entries == list(range(mark + 1, last + 1))


async def test_after_a_lost_connection_it_goes_on_and_applies_nothing_twice(harness):
    """It asks for the entry that it has read last, not for the one after that."""
    last = harness.fill()
    harness.reader.start()
    await harness.read(last)
    harness.log.breaks = 2
    harness.log.cut()
    await eventually(lambda: harness.log.breaks == 0)
    harness.log.put(Gone("g", 1, 1))
    await harness.read(last + 1)
    assert harness.shard.entries == list(range(last + 2))
    assert harness.log.starts[-1] == last
    assert len(harness.shard.begins) == 1


async def test_a_jump_in_the_numbering_is_none_in_the_log(harness):
    """The last entry is seen to be still there, so nothing was dropped; it goes on behind the jump."""
    last = harness.fill()
    harness.reader.start()
    await harness.read(last)
    jumped = harness.log.put(Gone("g", 1, 1), at=last + 5)
    harness.log.put(Gone("h", 1, 1))
    await harness.read(jumped + 1)
    assert harness.shard.entries == [*range(last + 1), jumped, jumped + 1]
    assert len(harness.shard.begins) == 1
    assert harness.log.starts.count(last) == 1


async def test_what_was_dropped_unread_has_it_begin_at_a_checkpoint(harness):
    """The last entry is not there any more: what is known is thrown away."""
    last = harness.fill()
    harness.reader.start()
    await harness.read(last)
    harness.log.cut()
    lost = harness.log.put(Batch("g1", 1, 1, 1), Hello())
    mark = harness.log.marked()
    after = harness.log.put(Gone("g", 1, 1))
    harness.log.drop(lost + 1)
    await harness.read(after)
    assert harness.shard.begins == [-1, mark]
    assert set(harness.shard.fold.gateways) == {"g1"}


async def test_another_entry_in_the_last_ones_place_is_another_log(harness):
    """Its end was lost and grew again."""
    last = harness.fill()
    harness.reader.start()
    await harness.read(last)
    harness.log.cut()
    harness.log.entries[last] = encode([Gone("other", 1, 1)])
    await eventually(lambda: len(harness.shard.begins) == 2)
    assert harness.shard.begins == [-1, -1]


async def test_a_log_made_anew_is_begun_anew(harness):
    """Deleted and declared again its numbers begin at 0; at the old number nothing comes."""
    last = harness.fill(9)
    harness.reader.start()
    await harness.read(last)
    harness.log.made_anew()
    harness.log.cut()
    first = harness.log.put(Rules("second", 1, 9, 9, 9, 1))
    await eventually(lambda: harness.shard.fold.life == "second")
    assert harness.shard.entries[-1] == first
    assert harness.shard.begins == [-1, -1]


async def test_a_node_that_stands_still_is_left_for_the_next(harness, monkeypatch):
    """On an open connection nothing comes, and asked by another way the log has more: it goes on there, and
    has lost nothing.
    """
    monkeypatch.setattr(log_reader, "GRACE_S", 0.01)
    last = harness.fill()
    harness.reader.start()
    await harness.read(last)
    harness.log.frozen = True
    harness.log.put(Gone("g", 1, 1))
    await harness.read(last + 1)
    assert (harness.log.moves, harness.shard.begins, harness.shard.entries) == (
        1,
        [-1],
        list(range(last + 2)),
    )


async def test_a_node_that_stands_still_as_reading_begins_again_is_left_for_the_next(harness):
    """What was read last does not come, and nobody says that it is gone: that is no reason to begin anew."""
    last = harness.fill()
    harness.reader.start()
    await harness.read(last)
    harness.log.frozen = True
    harness.log.cut()
    await eventually(lambda: harness.log.moves == 1)
    harness.log.put(Gone("g", 1, 1))
    await harness.read(last + 1)
    assert harness.shard.begins == [-1]


async def test_silence_is_no_proof_of_an_empty_log(harness):
    """While a stream has no leader it is served, and gives nothing. Who knows of entries, by itself or by
    others, waits for them as it is.
    """
    entries = harness.log.entries
    last = harness.fill()
    harness.shard.others_know = True
    harness.log.entries = {}
    harness.reader.start()
    await eventually(lambda: len(harness.log.starts) >= 3)
    assert harness.shard.begins == []
    harness.log.entries = entries
    await harness.read(last)
    harness.log.entries, asked = {}, harness.log.asked
    harness.log.cut()
    await eventually(lambda: harness.log.asked >= asked + 5)
    assert (harness.shard.begins, harness.log.moves) == ([-1], 0)
    harness.log.entries = entries
    await harness.read(harness.log.put(Gone("g", 1, 1)))
    assert harness.shard.begins == [-1]


async def test_a_log_in_which_nothing_is_written_is_asked_more_and_more_seldom(harness, monkeypatch):
    """And is left alone: nothing is overdue there."""
    monkeypatch.setattr(log_reader, "PATIENCE_S", 60.0)
    monkeypatch.setattr(harness.reader, "_quiet", Backoff(120.0, 200.0))
    last = harness.fill()
    harness.reader.start()
    await harness.read(last)
    for seconds, asked in ((0.0, 1), (119.0, 1), (1.0, 2), (199.0, 2), (1.0, 3), (200.0, 4)):
        harness.reader._clock.advance(seconds)
        assert not await harness.reader._overdue()
        assert harness.log.asked == asked
    await harness.read(harness.log.put(Gone("g", 1, 1)))
    for asked in (5, 5):  # something was written: it is soon asked again
        assert not await harness.reader._overdue()
        assert harness.log.asked == asked
    assert harness.log.moves == 0


async def test_a_lost_log_means_nothing_until_a_life_begins_anew(harness):
    """Not even rules without that word; it says so meanwhile, and is caught up all the same."""
    harness.fill()
    harness.log.drop(1)
    harness.reader.start()
    await eventually(lambda: harness.shard.catches)
    assert harness.reader.lost
    harness.log.put(Rules("life", 1, 50, 50, 50, 1))
    anew = harness.log.put(Rules("second", 1, 9, 9, 9, 1, anew=True))
    after = harness.log.put(Gone("g", 1, 1))
    await harness.read(after)
    assert harness.shard.entries == [anew, after]
    assert harness.log.remade == [harness.reader._log.name]
    assert not harness.reader.lost
    assert harness.shard.fold.life == "second"


async def test_paused_it_reads_no_further(harness):
    """Until it may go on, from where it was."""
    harness.shard.on_entry = lambda record: harness.reader.pause() if record.offset == 1 else None
    last = harness.fill()
    harness.reader.start()
    await eventually(lambda: harness.shard.entries == [0, 1])
    harness.log.put(Gone("g", 1, 1))
    for _ in range(20):
        await asyncio.sleep(0)
    assert harness.shard.entries == [0, 1]
    harness.reader.go_on()
    await harness.read(last + 1)
    assert harness.shard.entries == list(range(last + 2))


@pytest.mark.parametrize("marked", [False, True])
async def test_a_log_for_newer_routers_is_read_no_further(harness, marked):
    """Whether its Rules say so or the checkpoint where the reading would begin: it is told once, nothing is
    applied after it, and no task fails.
    """
    last = harness.fill()
    if marked:
        harness.log.checkpoint(*newer_state(), harness.log.put(Mark("r1", 1)))
    else:
        harness.log.put(Rules("life", FOLD_VERSION + 1, 100, 100, 100, 1))
        harness.log.put(Gone("g", 1, 1))
    harness.reader.start()
    await eventually(lambda: harness.reader._task is not None and harness.reader._task.done())
    assert harness.reader._task.exception() is None
    assert ["update it" in reason for reason in harness.shard.unknowns] == [True]
    assert harness.shard.entries == ([] if marked else list(range(last + 1)))


def newer_state():
    """Return the parts and the digest of what a newer fold knows."""
    state = checkpoint.empty(Rules("life", FOLD_VERSION + 1, 100, 100, 100, 1))
    bodies = checkpoint.encoded(0, 1, state, 1_000)
    return bodies, checkpoint.digest_of(bodies)


async def test_an_exception_that_nobody_foresaw_ends_the_router(harness):
    """One line says where; nothing is applied after it. Here the task ends by it, and whoever watches hears
    it.
    """
    error = ZeroDivisionError("foreseen by nobody")

    def fail(record):
        if record.offset == 2:
            raise error

    faults = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: faults.append(context["fault"].error))
    harness.shard.on_entry = fail
    harness.fill()
    harness.reader.start()
    await eventually(lambda: faults == [error])
    loop.set_exception_handler(None)
    assert harness.shard.entries == [0, 1]


async def test_poison_is_passed_over(harness):
    """It is applied like any other entry, to no effect."""
    harness.fill()
    poison = harness.log.raw(b"\xc1")
    harness.reader.start()
    await harness.read(poison)
    assert harness.shard.fold.skipped == 1


@pytest.mark.parametrize("near", [False, True])
async def test_a_lost_log_is_begun_at_a_checkpoint_that_is_written_later(harness, near, monkeypatch):
    """By who knows what the log was: nothing else would ever tell, and a life begun anew would throw away
    what there is. So too where the log's end is only told to be near.
    """
    mark, parts = lost_log(harness)
    harness.reader.start()
    await eventually(lambda: harness.shard.catches)
    assert harness.reader.lost
    if near:
        monkeypatch.setattr(harness.reader._log, "end", lambda: answered(mark))
    for part in parts:
        harness.log.raw(part)
    await eventually(lambda: harness.shard.begins == [-1, mark])
    assert not harness.reader.lost
    await harness.read(harness.log.put(Gone("g", 1, 1)))
    assert harness.shard.fold.life == "life"


async def test_a_lost_logs_spoilt_checkpoint_is_tried_once(harness):
    """Else it would read the log again and again; the next one, which its writer tells of, is begun at."""
    mark, parts = lost_log(harness)
    (part,) = decode(parts[0])
    harness.log.put(msgspec.structs.replace(part, body=b"spoilt", parts=1))
    harness.reader.start()
    await eventually(lambda: harness.shard.begins == [-1, -1] and harness.shard.catches)
    for _ in range(50):
        await asyncio.sleep(0)
    assert (harness.shard.begins, harness.reader.lost) == ([-1, -1], True)
    later = harness.log.put(Mark("r1", 2))
    harness.shard.where = (later,)
    for each in parts:
        harness.log.put(msgspec.structs.replace(decode(each)[0], offset=later))
    await eventually(lambda: harness.shard.begins[2:] == [later])
    assert not harness.reader.lost
    assert mark < later


async def answered(value):
    return value


def lost_log(harness):
    """Write a log whose beginning is gone, up to a Mark; return its offset and the parts of its checkpoint,
    which are still to be written.
    """
    harness.fill()
    mark = harness.log.marked()
    parts = [harness.log.entries.pop(offset) for offset in range(mark + 1, harness.log.end)]
    harness.log.end = mark + 1
    harness.log.drop(1)
    return mark, parts
