"""CheckpointSearch: at a checkpoint, at the log's first entry, or nowhere."""

import asyncio

import pytest
import pytest_asyncio
from tests.support.log_stream import RULES, LogStream
from tests.support.scripted_bus import ManualClock

from router.shell import shard_log
from router.shell.checkpoint_search import BACK, CheckpointSearch
from router.shell.shard_log import ShardLog
from warren.bus import Record
from warren.envelope import Batch, Gone, Hello, Join, Mark, Rules
from warren.topology import Topology

MINUTE_MS = 60_000
NOW_MS = 1_000 * MINUTE_MS


@pytest_asyncio.fixture
async def log(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shard_log, "EMPTY_S", 0.02)
    monkeypatch.setattr(shard_log, "PATIENCE_S", 0.02)
    return LogStream()


def source(log):
    return ShardLog(log, Topology(shards=1), 0, prefetch=8)


def begin(log, **more):
    clock = ManualClock(NOW_MS * 1_000)
    return CheckpointSearch(source(log), clock).find(**{"hints": ()} | more)


def hello(log, gateway="g1"):
    log.put(Batch(gateway, 1, 1, 1), Hello())
    return log.put(Batch(gateway, 1, 2, 1), Join(f"room-{gateway}", f"{gateway}~1", "u"))


def more(log, count):
    """Write so many entries that matter to nobody."""
    for number in range(count):
        log.put(Gone(f"nobody{number}", 1, 1))


async def test_an_empty_log_begins_with_nothing(log):
    """And is read from its first entry on."""
    begun = await begin(log)
    assert (begun.start, begun.last, begun.tail, begun.lost) == ("first", None, -1, False)
    assert (begun.fold.offset, begun.fold.life) == (-1, "")


async def test_a_log_without_a_checkpoint_is_read_from_its_first_entry(log):
    """It is all there."""
    log.put(RULES)
    tail = hello(log)
    begun = await begin(log)
    assert (begun.start, begun.tail, begun.lost, begun.fold.offset) == ("first", tail, False, -1)


async def test_it_begins_at_the_newest_checkpoint(log):
    """Near the end of the log; what was before is not read. The entry there is to be compared."""
    log.put(RULES)
    hello(log)
    log.marked()
    hello(log, "g2")
    more(log, BACK[0])
    mark = log.marked()
    hello(log, "g3")
    begun = await begin(log)
    assert (begun.start, begun.last, begun.tail) == (mark, Record(mark, log.entries[mark]), log.end - 1)
    assert set(begun.fold.gateways) == {"g1", "g2"}
    assert (begun.fold.offset, begun.fold.life) == (mark, "life")
    assert log.starts == ["last", log.end - 1 - BACK[0]]


async def test_a_large_checkpoint_is_taken_a_little_in_each_turn(log):
    """What else this router does goes on meanwhile."""
    log.put(RULES)
    log.put(
        Batch("g1", 1, 1, 1),
        Hello(),
        *(Join(f"room{number}", f"g1~{number:x}", "u") for number in range(50_000)),
    )
    log.marked()
    progress, reading = [], asyncio.create_task(begin(log))
    while not reading.done():
        progress.append(len(log.starts))
        await asyncio.sleep(0)
    begun = await reading
    assert len(begun.fold.rooms) == 50_000
    assert progress.count(2) > 50_000 / 512


def looked_at(log, mark):
    """Return the places up to the first that lies before ``mark``."""
    tail = log.end - 1
    places = []
    for back in BACK:
        if back >= tail:
            return [*places, "first"]
        places.append(tail - back)
        if places[-1] <= mark:
            return places
    return [*places, "first"]


async def test_it_looks_further_and_further_back(log):
    """Each time twice as far, and no further than the log reaches. However long ago the last entry was,
    nothing has to be waited for.
    """
    log.put(RULES)
    more(log, BACK[1])
    mark = log.marked()
    more(log, BACK[1])
    assert (await begin(log)).start == mark
    assert log.starts == ["last", *looked_at(log, mark)]
    log.starts.clear()
    more(log, BACK[3])
    assert (await begin(log)).start == mark
    assert log.starts == ["last", *looked_at(log, mark)]
    assert log.starts[-1] == "first"


async def test_it_begins_where_others_say_that_the_newest_one_is(log):
    """Then nothing is looked for."""
    log.put(RULES)
    log.marked()
    hello(log)
    mark = log.marked()
    begun = await begin(log, hints=(mark,))
    assert begun.start == mark
    assert log.starts == ["last", mark]


async def test_a_place_at_which_there_is_none_is_passed_over(log):
    """A hint about another log, or one that lies beyond the end."""
    log.put(RULES)
    mark = log.marked()
    log.now_ms = NOW_MS
    hello(log)
    begun = await begin(log, hints=(log.end + 100, log.end - 1, -1))
    assert begun.start == mark
    assert log.starts[1] == log.end - 1


async def test_a_checkpoint_that_is_not_whole_or_spoilt_is_none(log):
    """The one before it is."""
    log.put(RULES)
    mark = log.marked()
    whole = {offset: body for offset, body in log.entries.items() if offset > mark}
    half = log.put(Mark("r2", 1))
    log.checkpoint([b"", b""], b"d", half, "r2")
    del log.entries[log.end - 1]
    log.now_ms = NOW_MS
    spoilt = log.put(Mark("r2", 1))
    log.checkpoint([b"\xc1"], b"d", spoilt, "r2")
    hello(log)
    begun = await begin(log)
    assert whole
    assert begun.start == mark


async def test_parts_whose_mark_lies_further_back_count_too(log):
    """The stretch began between the two, so a longer one is taken, that has both; the log is read from the
    Mark on.
    """
    log.put(RULES)
    mark = log.put(Mark("r1", 1))
    hello(log)
    more(log, BACK[0])
    parts = LogStream()
    parts.put(RULES)
    assert parts.marked() == mark
    log.now_ms = NOW_MS
    for offset in sorted(parts.entries)[2:]:
        log.raw(parts.entries[offset])
    begun = await begin(log)
    assert (begun.start, begun.last, begun.fold.offset) == (mark, Record(mark, log.entries[mark]), mark)


async def test_a_checkpoint_whose_mark_was_dropped_is_none(log):
    """What stood between it and its parts may be gone too: nobody could read on from there, however often he
    began.
    """
    log.put(RULES)
    hello(log)
    mark = log.marked()
    log.drop(mark + 1)
    begun = await begin(log)
    assert (begun.lost, begun.fold.life) == (True, "")


async def test_a_log_whose_beginning_is_gone_and_that_has_no_checkpoint_is_lost(log):
    """Nothing in it means anything."""
    log.put(RULES)
    hello(log)
    log.drop(2)
    begun = await begin(log)
    assert (begun.lost, begun.fold.life, begun.tail) == (True, "", log.end - 1)


async def test_a_life_that_began_anew_is_a_beginning(log):
    """As good as a checkpoint: all before it is void."""
    log.put(RULES)
    hello(log)
    anew = log.put(Rules("other", 1, 9, 9, 9, 1, anew=True))
    hello(log, "g2")
    log.drop(2)
    begun = await begin(log)
    assert (begun.start, begun.lost, begun.fold.offset, begun.fold.life) == (anew, False, -1, "")


async def test_what_the_broker_does_not_give_is_not_waited_for(log):
    """The next place is looked at."""
    log.put(RULES)
    mark = log.marked()
    begun = await begin(log)
    assert begun.start == mark
