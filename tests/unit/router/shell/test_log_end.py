"""LogEnd: a log that has lost its end is told from a reader that lags behind."""

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.log_stream import RULES, LogStream
from tests.support.scripted_bus import ManualClock

from router.shell import log_beginning
from router.shell.log_beginning import LogBeginning
from router.shell.log_end import PATIENCE_S, LogEnd
from warren.envelope import Gone


class Stand:
    def __init__(self):
        self.log = LogStream()
        self.log.put(RULES)
        self.end = LogEnd(0, LogBeginning(self.log, "log", ManualClock(), 0, 1, prefetch=8))

    async def asked(self):
        """Wait until the log has been asked."""
        await eventually(lambda: self.end._task is None)


@pytest_asyncio.fixture
async def stand(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(log_beginning, "EMPTY_S", 0.02)
    stand = Stand()
    yield stand
    await stand.end.close()


async def test_what_somebody_was_told_of_and_the_log_does_not_have_is_lost(stand):
    """After a while, for a reader that has read all there is, and not before two nodes more have said so: the first may be behind."""
    stand.end.heard(5, 10.0)
    stand.end.look(0, 10.0 + PATIENCE_S - 0.1)
    assert stand.log.starts == []
    stand.end.look(0, 10.0 + PATIENCE_S)
    await stand.asked()
    assert (stand.end.lost, stand.log.asked, stand.log.moves) == (False, 1, 1)
    stand.end.look(0, 10.0 + 2 * PATIENCE_S)
    await eventually(lambda: stand.end.lost)
    assert stand.log.asked == 2
    stand.end.begin()
    assert not stand.end.lost


async def test_a_reader_that_lags_behind_is_no_loss(stand):
    """The log has more than was read; later it has read what was told."""
    for _ in range(5):
        last = stand.log.put(Gone("g", 1, 1))
    stand.end.heard(last, 0.0)
    stand.end.look(2, PATIENCE_S)
    await stand.asked()
    assert not stand.end.lost
    assert stand.log.starts == ["last"]
    stand.end.look(last, 2 * PATIENCE_S)
    stand.end.look(0, 9 * PATIENCE_S)
    assert stand.log.starts == ["last"]


async def test_a_broker_that_does_not_answer_is_no_loss(stand):
    """It is asked again later."""
    stand.end.heard(5, 0.0)
    stand.log.breaks = 1
    stand.end.look(0, PATIENCE_S)
    await stand.asked()
    assert not stand.end.lost
    for times in (2, 3):
        stand.end.look(0, times * PATIENCE_S)
        await stand.asked()
    assert stand.end.lost


async def test_one_node_that_is_behind_is_no_loss(stand):
    """Asked by another way, the log has more."""
    stand.log.put(Gone("g", 1, 1))
    behind = stand.log.entries.pop(1)
    stand.end.heard(1, 0.0)
    stand.end.look(0, PATIENCE_S)
    await stand.asked()
    stand.log.entries[1] = behind
    stand.end.look(0, 2 * PATIENCE_S)
    await stand.asked()
    assert not stand.end.lost


async def test_an_empty_log_says_nothing(stand):
    """It may be slow; and where it is empty a life begins anyway."""
    stand.log.entries.clear()
    stand.end.heard(5, 0.0)
    stand.end.look(0, PATIENCE_S)
    await stand.asked()
    assert not stand.end.lost


async def test_another_entry_in_the_place_of_one_that_was_read_is_a_loss(stand):
    """At once."""
    stand.end.forked()
    assert stand.end.lost
