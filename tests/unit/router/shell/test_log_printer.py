"""LogPrinter: from where a log is read for a person, and how far."""

import asyncio

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.log_stream import RULES, LogStream
from tests.support.scripted_bus import ManualClock

from router.shell import log_printer, shard_log
from router.shell.log_printer import PREFETCH, LogPrinter, Look, Nothing
from router.shell.shard_log import ShardLog
from warren.bus import Timestamp
from warren.envelope import Batch, Hello, Mark, Publish
from warren.errors import BusUnavailable
from warren.topology import Topology

NOW_MS = 1_764_000_000_000
AT = NOW_MS * 1_000


@pytest_asyncio.fixture
async def log(monkeypatch: pytest.MonkeyPatch):
    for module, name in ((shard_log, "EMPTY_S"), (shard_log, "PATIENCE_S"), (log_printer, "FIRST_S")):
        monkeypatch.setattr(module, name, 0.05)
    monkeypatch.setattr(log_printer, "SILENCE_S", 0.05)
    monkeypatch.setattr(log_printer, "PAUSE_S", 0.01)
    made = LogStream()
    made.now_ms = NOW_MS - 3_600_000
    return made


def viewing(log, lines):
    return LogPrinter(ShardLog(log, Topology(shards=1), 0, prefetch=PREFETCH), ManualClock(AT), lines.extend)


async def shown(log, begin, **more):
    """Return what is shown: the offset and what became of the message, of each line that has one."""
    lines = []
    await viewing(log, lines).show(Look(begin, **more))
    return lines


def seqs(lines):
    return [(int(line[:10]), line.split("  seq=")[1].split()[0]) for line in lines if "  seq=" in line]


def chat(log, number, room="a"):
    return log.put(
        Batch("g1", 1, number, AT), Publish(room, "CHAT", b"secret", AT, "g1~1", "ann", f"m{number}")
    )


def begun(log):
    log.put(RULES)
    log.put(Batch("g1", 1, 1, AT), Hello())


async def test_a_log_is_shown_up_to_its_end(log):
    """From its first entry on, with the seqs, and without what messages say."""
    begun(log)
    for number in (2, 3):
        chat(log, number)
    lines = await shown(log, "first")
    assert [int(line[:10]) for line in lines] == [0, 1, 1, 2, 2, 3, 3]
    assert seqs(lines) == [(2, "1"), (3, "2")]
    assert "secret" not in "".join(lines)
    assert "secret" in "".join(await shown(log, 3, payloads=True))


async def test_what_is_shown_begins_at_an_offset_and_seqs_are_known_there(log):
    """What stands before it is read, and not shown."""
    begun(log)
    places = [chat(log, number) for number in range(2, 6)]
    assert seqs(await shown(log, places[2])) == [(places[2], "3"), (places[3], "4")]


async def test_seqs_are_known_from_a_checkpoint_where_the_beginning_is_gone(log):
    """And unknown where there is none before the place that is shown."""
    begun(log)
    early = chat(log, 2)
    log.marked()
    late = chat(log, 3)
    log.drop(early)
    assert seqs(await shown(log, late)) == [(late, "2")]
    assert seqs(await shown(log, early)) == [(early, "?"), (late, "?")]


async def test_a_time_back_shows_what_was_written_since(log):
    """Nothing older, and the checkpoint before it is found."""
    begun(log)
    chat(log, 2)
    log.marked()
    log.now_ms = NOW_MS - 60_000
    late = chat(log, 3)
    lines = await shown(log, 300.0)
    assert (seqs(lines), len(lines)) == ([(late, "2")], 2)
    assert Timestamp(NOW_MS - 300_000) in log.starts


async def test_one_room_alone(log):
    """Entries without it are left out."""
    begun(log)
    chat(log, 2, "a")
    place = chat(log, 3, "b")
    lines = await shown(log, "first", room="b")
    assert [int(line[:10]) for line in lines] == [place, place]


@pytest.mark.parametrize(
    ("begin", "said"),
    [
        (900, "offset 900 is beyond the end: the last entry of warren.log.0 is at 2"),
        (300.0, "ask for --from 2"),
    ],
)
async def test_where_there_is_nothing_it_says_what_to_ask_for(log, begin, said):
    """Beyond the end, and since a time."""
    begun(log)
    chat(log, 2)
    with pytest.raises(Nothing, match=said):
        await shown(log, begin)


async def test_an_empty_log_is_said_to_be_empty(log):
    """It does not wait for ever for what nobody writes."""
    with pytest.raises(Nothing, match=r"warren\.log\.0 is empty"):
        await shown(log, "first")


@pytest.mark.parametrize("begin", ["first", 300.0])
@pytest.mark.parametrize("empty", [True, False])
async def test_following_shows_what_is_written_from_now_on(log, begin, empty):
    """Also in a log that is empty, and where nothing was written for long; a lost connection is begun again
    without a line twice.
    """
    if not empty:
        begun(log)
    lines = []
    task = asyncio.get_running_loop().create_task(viewing(log, lines).show(Look(begin, follow=True)))
    try:
        if begin == "first" and not empty:
            await eventually(lambda: len(lines) == 3, what="all is shown")
        else:  # having looked for the end, and for a first entry where there is an end
            await eventually(
                lambda: len(log.starts) == (2 if empty else 4), what="it waits for the next entry"
            )
        log.now_ms = NOW_MS
        if empty:
            begun(log)
        chat(log, 2)
        await eventually(lambda: "CHAT" in "".join(lines), what="the first is shown")
        had = len(lines)
        log.cut()
        chat(log, 3)
        await eventually(lambda: len(lines) == had + 2, what="the second is shown, once")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_log_that_is_another_one_after_a_break_is_not_mixed_with_the_first(log):
    """The entry that was read last has to be there."""
    begun(log)
    lines = []
    task = asyncio.get_running_loop().create_task(viewing(log, lines).show(Look("first", follow=True)))
    await eventually(lambda: len(lines) == 3, what="all is shown")
    log.made_anew()
    log.put(Mark("r", 1))
    log.put(Mark("r", 2))
    log.cut()
    with pytest.raises(Nothing, match="another one now"):
        await task


async def test_a_broker_that_is_away_is_said_at_once(log):
    """It is no reason to wait, unless it is followed."""
    log.breaks = 9
    with pytest.raises(BusUnavailable):
        await shown(log, "first")
