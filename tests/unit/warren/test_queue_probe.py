"""QueueProbe: a queue is unreachable when nobody had it twice in a row."""

import pytest
from tests.support.scripted_bus import ScriptedBus

from warren.envelope import decode
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.queue_probe import QueueProbe


async def test_an_empty_batch_goes_to_its_own_key():
    """Mandatory and not persistent; one that arrives shows that the queue is reached."""
    bus = ScriptedBus()
    assert not await QueueProbe(bus, "warren.egress", "g1").unreachable()
    (published,) = bus.published
    assert (published.exchange, published.key, published.mandatory) == ("warren.egress", "g1", True)
    assert (published.persistent, decode(published.body)) == (False, [])


@pytest.mark.parametrize("between", [BusUnavailable("?"), NotConfirmed("?")])
async def test_it_is_unreachable_when_two_probes_in_a_row_come_back(between):
    """What is not known says nothing; an answer begins the count anew, and so does having said it."""
    bus = ScriptedBus()
    nobody = Unroutable("?")
    bus.script("g1", nobody, None, nobody, between, nobody, nobody, nobody)
    queue_probe = QueueProbe(bus, "warren.egress", "g1")
    seen = [(await queue_probe.unreachable(), queue_probe.doubtful) for _ in range(8)]
    assert [unreachable for unreachable, _ in seen] == [
        False,
        False,
        False,
        False,
        True,
        False,
        True,
        False,
    ]
    assert [doubtful for _, doubtful in seen] == [True, False, True, True, False, True, False, False]
