"""Accession: one step at a time, as often as it takes, and nothing said of a step that was given up."""

import asyncio

import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.scripted_bus import ScriptedBus

from router.shell.accession import Accession
from router.shell.follower import Outrun
from router.shell.steady import Steady
from warren.envelope import Claim, decode
from warren.errors import BusUnavailable, NotConfirmed
from warren.topology import Topology


class Log:
    """A log and a follower whose steps do what a test says."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.calls = 0

    async def mark(self, term):
        await self._next()

    async def upto_marker(self):
        return await self._next()

    async def _next(self):
        self.calls += 1
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, asyncio.Event):
            await outcome.wait()
        elif isinstance(outcome, Exception):
            raise outcome
        return outcome


class Stand:
    def __init__(self):
        self.bus = ScriptedBus()
        self.said = []
        self.accession = Accession(3, "r1", Steady(self.bus), Topology())


@pytest_asyncio.fixture
async def stand():
    stand = Stand()
    yield stand
    stand.bus.release()
    await stand.accession.close()


async def test_a_claim_is_published_until_it_is_confirmed(stand):
    """Into the shard's queue, and the same each time."""
    stand.bus.script("3", NotConfirmed(), BusUnavailable(), None)
    stand.accession.claim(7)
    await eventually(lambda: len(stand.bus.published) == 3)
    assert {(each.exchange, each.key, each.mandatory) for each in stand.bus.published} == {
        ("warren.ingress", "3", True)
    }
    assert [decode(each.body) for each in stand.bus.published] == [[Claim("r1", 7)]] * 3


async def test_a_new_step_ends_the_one_before(stand):
    """A claim that the broker does not take is not repeated under the old term."""
    stand.bus.held = True
    stand.accession.claim(7)
    await eventually(lambda: len(stand.bus.published) == 1)
    stand.accession.claim(8)
    await eventually(lambda: len(stand.bus.published) == 2)
    stand.bus.release()
    assert decode(stand.bus.published[-1].body) == [Claim("r1", 8)]


async def test_a_marker_is_confirmed_or_not(stand):
    """And is never repeated: the shard is left then."""
    stand.accession.mark(Log(None), 7, stand.said.append)
    await eventually(lambda: stand.said == [True])
    for failure in (NotConfirmed(), BusUnavailable()):
        stand.said.clear()
        log = Log(failure)
        stand.accession.mark(log, 7, stand.said.append)
        await eventually(lambda: stand.said == [False])
        assert log.calls == 1


async def test_what_the_log_tells_is_handed_over(stand):
    """Whatever it is."""
    log = Log(Outrun(9))
    stand.accession.read(log, stand.said.append)
    await eventually(lambda: stand.said == [Outrun(9)])
    assert log.calls == 1


async def test_a_log_that_can_not_be_understood_is_told_so(stand, monkeypatch):
    """After a while, so that it is not read over and over."""
    monkeypatch.setattr("router.shell.accession.LONGEST_PAUSE_S", 0.01)
    stand.accession.read(Log(ZeroDivisionError()), stand.said.append)
    await eventually(lambda: stand.said == [None])


async def test_a_step_that_was_given_up_says_nothing(stand):
    """Its result could be of a possession that is over."""
    goes_on = asyncio.Event()
    log = Log(goes_on)
    stand.accession.mark(log, 7, stand.said.append)
    await eventually(lambda: log.calls == 1)
    stand.accession.cancel()
    goes_on.set()
    await stand.accession.close()
    assert stand.said == []


async def test_what_is_done_may_begin_the_next_step(stand):
    """A step begun by the answer to one is not ended with it."""
    stand.accession.mark(Log(None), 7, lambda _: stand.accession.read(Log(Outrun(9)), stand.said.append))
    await eventually(lambda: stand.said == [Outrun(9)])
