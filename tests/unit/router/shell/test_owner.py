"""Owner: speaks when it has listened for long enough, and places the shards anew when a router comes or goes."""

import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.scripted_bus import ManualClock, ScriptedBus

from router.core.placement import Place, places
from router.core.routers import Routers
from router.shell.owner import Owner
from warren.envelope import RouterBye, RouterHeartbeat, decode
from warren.errors import BusUnavailable, Unroutable
from warren.topology import Topology

EVERY_S = 0.02


class Stand:
    def __init__(self):
        self.bus = ScriptedBus()
        self.routers = Routers(1.5)
        self.listening_s = 9.0
        self.changes = self.shuts = 0
        self.owner = Owner(
            self.bus, Topology(shards=16), "r1", ManualClock(7), self.routers,
            every_s=EVERY_S, listening_s=lambda: self.listening_s, listen_s=1.0, queue=lambda: "q", on_shut=self._shut,
        )  # fmt: skip
        self.owner.connect(self._change)

    def _change(self):
        self.changes += 1

    def _shut(self):
        self.shuts += 1

    def said(self):
        assert {(each.exchange, each.key, each.persistent) for each in self.bus.published} <= {
            ("warren.routers", "all", False), ("warren.routers", "r1", False)
        }  # fmt: skip
        return [envelope for published in self.bus.published for envelope in decode(published.body)]


@pytest_asyncio.fixture
async def stand():
    stand = Stand()
    yield stand
    await stand.owner.stop()


async def test_it_says_that_it_lives_and_then_places(stand):
    """Not before the others had the time to say so too; alone it owns everything."""
    stand.owner.start()
    await eventually(lambda: stand.said() == [RouterHeartbeat("r1", 7, "q")], every_s=0)
    assert (stand.owner.place(0), stand.owner.routers) == (Place(""), frozenset())
    await eventually(lambda: stand.changes == 1)
    assert [stand.owner.place(shard) for shard in range(16)] == [Place("r1")] * 16
    await eventually(lambda: len(stand.said()) >= 3)


async def test_it_knocks_at_its_own_door(stand):
    """With each heartbeat; where nobody is behind the door it says so."""
    stand.bus.script("r1", Unroutable("?"), None, Unroutable("?"), Unroutable("?"))
    stand.owner.start()
    await eventually(lambda: stand.bus.keys().count("r1") == 3)
    assert stand.shuts == 0
    await eventually(lambda: stand.shuts == 1)


async def test_it_is_silent_until_it_has_listened_for_long_enough(stand):
    """Nobody gives it a shard that it can't take yet."""
    stand.listening_s = 0.0
    stand.owner.start()
    stand.owner.look()
    await eventually(lambda: stand.owner._task is not None)
    assert (stand.said(), stand.changes) == ([], 0)
    stand.listening_s = 1.0
    await eventually(lambda: stand.said())


async def test_the_places_change_with_the_routers_and_only_then(stand):
    """As for everyone else who knows the same routers."""
    stand.owner.start()
    await eventually(lambda: stand.changes == 1)
    stand.routers.heartbeat(RouterHeartbeat("r1", 7), 0.0)
    stand.owner.look()
    assert stand.changes == 1
    stand.routers.heartbeat(RouterHeartbeat("r2", 8), 0.0)
    stand.owner.look()
    assert stand.changes == 2
    assert [stand.owner.place(shard) for shard in range(16)] == places(16, ["r1", "r2"])
    assert stand.owner.routers == {"r1", "r2"}


async def test_goodbye_is_the_last_word(stand):
    """And this router wants nothing any more, so that it does not claim what it has let go."""
    stand.routers.heartbeat(RouterHeartbeat("r2", 8), 0.0)
    stand.owner.start()
    await eventually(lambda: stand.changes == 1)
    await stand.owner.leave()
    said = stand.said()
    assert said[-1] == RouterBye("r1")
    stand.bus.tell(True)
    assert stand.said() == said
    stand.routers.heartbeat(RouterHeartbeat("r1", 7), 0.0)  # its own, heard late
    stand.owner.look()
    assert {stand.owner.place(shard) for shard in range(16)} == {Place("r2")}


async def test_who_never_spoke_says_no_goodbye(stand):
    """Nor who can't be heard."""
    stand.listening_s = 0.0
    stand.owner.start()
    await stand.owner.leave()
    assert stand.said() == []


async def test_a_word_that_gets_lost_comes_again(stand):
    """With the next heartbeat, which comes at once when the broker is back."""
    stand.owner._every_s = 60.0
    stand.bus.script("all", BusUnavailable())
    stand.owner.start()
    await eventually(lambda: len(stand.said()) == 1)
    stand.bus.tell(True)
    await eventually(lambda: len(stand.said()) == 2)
