"""RedeliveryScreening: first deliveries pass, what came before is tried, order is kept, and what is lost
meanwhile goes no further.
"""

import asyncio
import os

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.eventually import eventually
from tests.support.scripted_bus import Delivered

from router.shell.redelivery_screening import RedeliveryScreening
from router.shell.sandbox_process import SandboxProcess


def work(delivery):
    if delivery.body.startswith(b"poison"):
        os._exit(1)


class Harness:
    def __init__(self):
        self.handed, self.dead_letters = [], []
        self.hold = asyncio.Event()
        self.hold.set()
        self.screening = RedeliveryScreening(
            SandboxProcess(5.0), work, lambda delivery: self.handed.append(delivery.body), self.keep
        )

    async def keep(self, delivery, reason):
        await self.hold.wait()
        self.dead_letters.append((delivery.body, reason))
        delivery.ack()

    def give(self, body, *, again=False):
        self.screening.take(Delivered(body, redelivered=again))


@pytest_asyncio.fixture
async def harness():
    harness = Harness()
    yield harness
    await harness.screening.close()


async def test_first_deliveries_pass_at_once(harness):
    """Nothing is tried, whatever they are."""
    harness.give(b"1")
    harness.give(b"poison")
    assert (harness.handed, harness.screening.waiting) == ([b"1", b"poison"], 0)


async def test_what_comes_again_is_tried_and_everything_behind_it_waits(harness):
    """The one that fails is set aside, the others go on in their order."""
    harness.give(b"1", again=True)
    harness.give(b"poison", again=True)
    harness.give(b"2", again=True)
    harness.give(b"3")
    assert (harness.handed, harness.screening.waiting) == ([], 4)
    await eventually(lambda: harness.handed == [b"1", b"2", b"3"])
    assert harness.dead_letters == [(b"poison", "poison: it ends the process")]
    harness.give(b"4")
    await eventually(lambda: harness.handed[3:] == [b"4"])


@pytest.mark.parametrize("held", [True, False])
async def test_what_is_lost_meanwhile_goes_no_further(harness, held):
    """The next consumer gets it; what comes on the next channel is handed on."""
    if held:
        harness.hold.clear()
        harness.give(b"poison", again=True)
    harness.give(b"1", again=True)
    await asyncio.sleep(0)
    harness.screening.lost()
    assert harness.screening.waiting == 0
    harness.give(b"2", again=True)
    harness.hold.set()
    await eventually(lambda: harness.handed == [b"2"])


async def test_nothing_is_handed_on_after_the_end(harness):
    """Nor is anything tried on."""
    harness.give(b"1", again=True)
    await harness.screening.close()
    assert (harness.handed, harness.screening.waiting) == ([], 0)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12))
@settings(max_examples=25, deadline=None)
def test_exactly_the_poison_that_comes_again_is_set_aside(entries):
    """Whatever stands around it; all else is handed on once and in order."""
    bodies = [b"%s%d" % (b"poison" if poison else b"", number) for number, (poison, _) in enumerate(entries)]
    expected = [body for body, (poison, again) in zip(bodies, entries, strict=True) if not (poison and again)]

    async def run():
        harness = Harness()
        for body, (_, again) in zip(bodies, entries, strict=True):
            harness.give(body, again=again)
        await eventually(lambda: len(harness.handed) + len(harness.dead_letters) == len(entries))
        assert harness.handed == expected
        assert [body for body, _ in harness.dead_letters] == [body for body in bodies if body not in expected]
        await harness.screening.close()

    asyncio.run(run())
