"""RouterCalls: what is waited for comes, or is given up in time; a speaker that changes is survived."""

import asyncio

import msgspec
import pytest
import pytest_asyncio
from tests.support.eventually import MS, eventually
from tests.support.router_context import router_context
from tests.support.scripted_bus import ScriptedBus

from router.core.placement import Placement
from router.shell import router_calls
from router.shell.peer_messages import PeerMessages
from router.shell.router_calls import RouterCalls
from warren.envelope import CommandResult, ReadAnswer, ReadQuery, Receipt, decode
from warren.errors import Overloaded

RECEIPT = Receipt("m", "a", "e-1", 3, duplicate=False, users=1, connections=1, gateways=1, level=2)


class Here:
    """A shard's part in our router."""

    version = 2

    def __init__(self, answer=None):
        self.said = answer

    def answer(self, body):
        return self.said


class Harness:
    def __init__(self):
        self.bus = ScriptedBus()
        context = router_context(self.bus)
        self.metrics = context.metrics
        self.placement = Placement("r1", 1)
        self.placement.listened()
        self.outbox = PeerMessages(context)
        self.calls = RouterCalls("r1", self.placement, self.outbox, self.metrics)

    def place(self, *others):
        self.placement.update(frozenset(others))

    def asked(self):
        return [(each.key, said) for each in self.bus.published for said in decode(each.body)]

    @property
    def open(self):
        return self.metrics.registry.get_sample_value("warren_router_waiting", {"buffer": "router_calls"})


@pytest_asyncio.fixture
async def harness():
    harness = Harness()
    yield harness
    harness.bus.release()
    await harness.outbox.close()


async def test_who_speaks_here_is_asked_here(harness):
    """Nothing goes over the broker."""
    assert await harness.calls.ask(0, Here(b"answer"), b"?", 1.0) == b"answer"
    assert harness.asked() == []
    assert harness.open == 0


async def test_a_read_is_repeated_until_it_is_answered(harness, monkeypatch):
    """To the one whose turn it is by the placement, and where that is silent, to all."""
    monkeypatch.setattr(router_calls, "FIRST_AGAIN_S", 5 * MS)
    harness.place("r2", "r3", "r4", "r5", "r6", "r7", "r8")
    speaker = harness.placement.of(0).speaker
    asking = asyncio.create_task(harness.calls.ask(0, Here(), b"?", 5.0))
    await eventually(lambda: len(harness.asked()) >= 3)
    expected = [speaker, "all", speaker] if speaker != "r1" else ["all"] * 3
    assert [key for key, _ in harness.asked()[:3]] == expected
    (_, query) = harness.asked()[0]
    assert query == ReadQuery("r1", query.ref, 0, b"?")
    harness.calls.take(ReadAnswer(query.ref + 1, b"another's"))
    harness.calls.take(ReadAnswer(query.ref, b"answer"))
    harness.calls.take(ReadAnswer(query.ref, b"again"))
    assert await asking == b"answer"
    harness.calls.take(ReadAnswer(query.ref, b"late"))
    assert harness.open == 0


async def test_a_shard_that_comes_to_this_router_meanwhile_is_asked_here(harness, monkeypatch):
    """The speaker has died, and we are the next."""
    monkeypatch.setattr(router_calls, "FIRST_AGAIN_S", 5 * MS)
    here = Here()
    asking = asyncio.create_task(harness.calls.ask(0, here, b"?", 5.0))
    await eventually(harness.asked)
    here.said = b"mine"
    assert await asking == b"mine"


async def test_a_read_that_nobody_answers_is_given_up(harness):
    """When its time is over."""
    assert await harness.calls.ask(0, Here(), b"?", 5 * MS) is None
    assert harness.open == 0


async def test_receipts_and_results_go_to_who_waits_for_them_one_by_one(harness):
    """By room and id, each of an entry of its own: the second hears that it is a repeat. What nobody waits
    for is passed over.
    """
    calls = harness.calls
    receipts = [calls.receipt("a", "m", 2) for _ in range(2)]
    other, result = calls.receipt("b", "m", 2), calls.result("a", "m")
    repeat = msgspec.structs.replace(RECEIPT, duplicate=True)
    for said in (RECEIPT, repeat, repeat):
        calls.take(said)
    assert [await each for each in receipts] == [RECEIPT, repeat]
    assert not other.done()
    assert not result.done()
    calls.take(CommandResult("m", "a", b"{}"))
    assert await result == b"{}"
    other.cancel()
    await eventually(lambda: harness.open == 0)


async def test_who_waits_no_more_leaves_nothing_behind(harness):
    """What comes later for another who waits is given to that one."""
    calls = harness.calls
    gone, there = calls.receipt("a", "m", 2), calls.receipt("a", "m", 2)
    gone.cancel()
    calls.take(RECEIPT)
    assert await there == RECEIPT
    await eventually(lambda: harness.open == 0)


async def test_what_is_waited_for_is_bounded(harness, monkeypatch):
    """One more is refused at once."""
    monkeypatch.setattr(router_calls, "OPEN_MAX", 2)
    kept = [harness.calls.receipt("a", str(number), 2) for number in range(2)]
    with pytest.raises(Overloaded):
        harness.calls.result("a", "m")
    with pytest.raises(Overloaded):
        await harness.calls.ask(0, Here(b"x"), b"?", 1.0)
    for each in kept:
        each.cancel()
    await eventually(lambda: harness.open == 0)
    harness.calls.receipt("a", "m", 2).cancel()
