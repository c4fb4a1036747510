"""Questions to the routers."""

from __future__ import annotations

import pytest
from tests.support.eventually import eventually
from tests.support.scripted_bus import ScriptedBus

from gateway.core.broker_presence import BrokerPresence
from gateway.shell.router_requests import WAITING_COUNT, RouterRequests
from warren import envelope
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.metrics import GatewayMetrics
from warren.topology import ALL, Topology


class Rig:
    """A link on a scripted bus."""

    def __init__(self) -> None:
        self.bus, self.metrics, self.presence = ScriptedBus(), GatewayMetrics(), BrokerPresence("g", 4, 0.0)
        self.link = RouterRequests(self.bus, Topology(shards=4), self.presence, self.metrics)

    def asked(self) -> list[tuple[str, bool, list[int]]]:
        """Return what was asked: the key, whether it was mandatory, the refs."""
        return [
            (
                one.key,
                one.mandatory,
                [item.ref for item in envelope.decode(one.body) if isinstance(item, envelope.Read)],
            )
            for one in self.bus.published
            if (one.exchange, one.persistent) == ("warren.routers", False)
        ]


def read(ref: int) -> envelope.Read:
    return envelope.Read("g", 0, "r", "e", 0, 9, ref)


@pytest.fixture
async def rig():
    made = Rig()
    yield made
    await made.link.close()


async def test_a_speaker_is_asked_and_all_where_nobody_knows_it(rig: Rig):
    """The last one that was heard; everyone where that is wanted."""
    rig.presence.speaks(envelope.Speaker("r1", 1), 0.0)
    rig.presence.speaks(envelope.Speaker("r2", 1), 0.0)
    rig.link.ask(0, read(1))
    await eventually(lambda: rig.asked() == [(ALL, False, [1])])
    rig.link.ask(1, read(2))
    await eventually(lambda: rig.asked()[1:] == [("r2", True, [2])])
    rig.link.ask(1, read(3), everyone=True)
    await eventually(lambda: rig.asked()[2:] == [(ALL, False, [3])])
    assert [rig.presence.router_of(shard) for shard in (0, 1)] == [ALL, "r2"]


async def test_what_is_asked_together_goes_together(rig: Rig):
    """In one body for each router, in its order."""
    rig.presence.speaks(envelope.Speaker("r1", 1), 0.0)
    rig.link.ask(0, read(1))
    for ref in range(2, 6):
        rig.link.ask(ref % 2, read(ref))
    await eventually(lambda: rig.asked() == [(ALL, False, [1, 2, 4]), ("r1", True, [3, 5])])


async def test_a_router_that_is_gone_is_forgotten_and_all_are_asked(rig: Rig):
    """What goes to others keeps its speaker."""
    rig.presence.speaks(envelope.Speaker("r1", 0), 0.0)
    rig.presence.speaks(envelope.Speaker("r1", 1), 0.0)
    rig.presence.speaks(envelope.Speaker("r2", 2), 0.0)
    rig.bus.script("r1", Unroutable("?"))
    rig.link.ask(0, read(1))
    await eventually(lambda: (ALL, False, [1]) in rig.asked())
    assert [rig.presence.router_of(shard) for shard in range(3)] == [ALL, ALL, "r2"]


@pytest.mark.parametrize("error", [BusUnavailable("?"), NotConfirmed("?")])
async def test_what_is_lost_is_counted(rig: Rig, error: Exception):
    """Whoever asked asks again."""
    rig.bus.script(ALL, error)
    rig.link.ask(0, read(1))
    rig.link.ask(0, read(2))
    await eventually(lambda: b'drops_total{reason="question_lost"} 2.0' in rig.metrics.render()[0])
    rig.link.ask(0, read(3))
    await eventually(lambda: rig.asked()[-1:] == [(ALL, False, [3])])


async def test_what_waits_is_bounded(rig: Rig):
    """Beyond it questions are dropped and counted."""
    for ref in range(WAITING_COUNT + 2):
        rig.link.ask(0, read(ref))
    assert b'drops_total{reason="question_overflow"} 2.0' in rig.metrics.render()[0]


async def test_an_inbox_that_owes_its_confirm_holds_up_no_other_question(rig: Rig):
    """Nor one to the same router; what is under way is bounded, and what is dropped beyond it counted."""
    for shard, router in enumerate(("r1", "r2")):
        rig.presence.speaks(envelope.Speaker(router, shard), 0.0)
    rig.bus.held = True
    rig.link.ask(0, read(1))
    await eventually(lambda: rig.asked() == [("r1", True, [1])])
    rig.link.ask(1, read(2))
    rig.link.ask(0, read(3))
    await eventually(lambda: rig.asked()[1:] == [("r2", True, [2]), ("r1", True, [3])])
    rig.link._overlap._most = 3
    rig.link.ask(1, read(4))
    await eventually(lambda: b'drops_total{reason="question_lost"} 1.0' in rig.metrics.render()[0])
    rig.bus.release()
    await eventually(lambda: not rig.link._overlap._under_way)
    rig.link.ask(1, read(5))
    await eventually(lambda: rig.asked()[3:] == [("r2", True, [5])])
