"""Inbox: heartbeats, goodbyes and answers, to whom they concern."""

from tests.support.eventually import eventually
from tests.support.router_ground import ground
from tests.support.scripted_bus import Delivered, ScriptedBus

from router.core.effects import Reply
from router.core.takeover import State
from router.shell.doors import Doors
from router.shell.inbox import Inbox
from router.shell.possession import Possession
from warren.envelope import Ack, Announce, Bye, Heartbeat, Members, RouterBye, RouterHeartbeat, decode, encode


class Stand:
    def __init__(self):
        self.bus = ScriptedBus()
        self.ground = ground(bus=self.bus, routers=(), listening_s=lambda: self.inbox.listening_s())
        self.clock, self.gateways, self.routers = self.ground.clock, self.ground.gateways, self.ground.routers
        self.moved = 0
        self.doors = Doors(self.bus, self.ground.topology)
        self.inbox = Inbox(
            self.bus, self.ground.topology, "r1", self.clock, self.gateways, self.routers, self.doors,
            self.ground.metrics,
        )  # fmt: skip
        self.possession = Possession(0, self.ground, lambda: None, lambda: None, lambda: 0)
        self.inbox.connect([self.possession], self._move)

    def _move(self):
        self.moved += 1

    async def start(self):
        await self.inbox.start()
        (self.subscription,) = self.bus.subscriptions
        return self

    def hear(self, *envelopes, body=None):
        delivery = Delivered(body if body is not None else encode(envelopes))
        self.subscription.deliver(delivery)
        assert delivery.fate == "acked"

    async def live(self, *conns):
        """Make the shard live with g1's answer."""
        self.hear(Heartbeat("g1", 1))
        self.clock.advance(1.0)
        self.possession.opened(await self.bus.lane(lambda: None))
        self.possession.consuming()
        (claim,) = await eventually(lambda: [decode(each.body)[0] for each in self.bus.published])
        self.possession.claimed(claim)
        (tell,) = self.possession.taken()
        rooms = (Members("a", tuple((conn, "u") for conn in conns)),) if conns else ()
        self.hear(Announce("g1", 0, tell.message.term, rooms, True, tell.message.ref))
        await eventually(lambda: self.possession.state is State.LIVE)
        self.possession.taken()

    def asked(self):
        return [effect.gateway for effect in self.possession.taken() if isinstance(effect, Reply)]

    def rejected(self):
        return self.ground.metrics.registry.get_sample_value("warren_router_rejected_total", {"reason": "inbox"})


async def test_it_listens_from_when_its_queue_is_consumed():
    """The time counts anew after each loss; a lost inbox does not listen."""
    stand = Stand()
    assert stand.inbox.listening_s() < 0
    await stand.start()
    stand.clock.advance(2.0)
    assert stand.inbox.listening_s() == 2.0
    stand.subscription.lose()
    assert stand.inbox.listening_s() < 0
    stand.subscription.start()
    assert stand.inbox.listening_s() == 0.0


async def test_its_queue_has_a_new_name_each_time():
    """An old one may be locked by a broker node that is down; both are reached by the router's key and by all."""
    stand = await Stand().start()
    one, two = stand.subscription.source(), stand.subscription.source()
    assert one.queue.name != two.queue.name
    assert {binding.key for binding in one.bindings} == {"r1", "all"}


async def test_a_lease_that_ends_takes_the_members_with_it():
    """Once, and not while nothing can be heard."""
    stand = await Stand().start()
    await stand.live("g1~1")
    stand.subscription.lose()
    stand.clock.advance(60.0)
    stand.inbox.tick()
    assert "a" in stand.possession.live.rooms
    stand.subscription.start()
    stand.inbox.tick()
    assert "a" in stand.possession.live.rooms
    stand.clock.advance(5.0)
    stand.inbox.tick()
    assert "a" not in stand.possession.live.rooms
    assert stand.gateways.living == frozenset()


async def test_no_lease_ends_while_the_broker_holds_publishers_back():
    """Nobody's heartbeat can come then; afterwards each has a whole lease."""
    stand = await Stand().start()
    stand.hear(Heartbeat("g1", 1), RouterHeartbeat("r2", 1))
    stand.bus.blocked = True
    for _ in range(10):
        stand.clock.advance(4.0)
        stand.inbox.tick()
    stand.bus.blocked = False
    stand.clock.advance(1.4)
    stand.inbox.tick()
    assert (stand.gateways.living, stand.routers.living) == ({"g1"}, {"r2"})
    stand.clock.advance(4.0)
    stand.inbox.tick()
    assert (stand.gateways.living, stand.routers.living) == (frozenset(), frozenset())


async def test_the_doors_of_the_dead_are_closed():
    """Of a gateway and of a router whose lease has ended, and of a gateway's former life; a late word of it names no door."""
    stand = await Stand().start()
    gateway, router = (stand.ground.topology.gateway_queue, stand.ground.topology.router_queue)
    first, second, third = gateway("g1", "1")[0].name, gateway("g1", "2")[0].name, router("r2", "1")[0].name
    stand.hear(Heartbeat("g1", 1, queue=first), RouterHeartbeat("r2", 1, third))
    stand.hear(Heartbeat("g1", 2, queue=second), Heartbeat("g1", 1, queue=first))
    await eventually(lambda: stand.bus.retired == [first])
    stand.clock.advance(5.0)
    stand.inbox.tick()
    await eventually(lambda: sorted(stand.bus.retired[1:]) == sorted([second, third]))


async def test_a_router_that_nothing_reaches_listens_anew():
    """Renewed it consumes another queue; nobody's lease ends for what could not be heard, and its own door is not another's to close."""
    stand = await Stand().start()
    former = stand.inbox.queue
    stand.hear(RouterHeartbeat("r1", 1, former), Heartbeat("g1", 1))
    stand.inbox.renew()
    assert stand.inbox.queue not in ("", former)
    assert stand.inbox.listening_s() == 0.0
    stand.clock.advance(4.9)
    stand.inbox.tick()
    assert (stand.routers.living, stand.gateways.living) == (frozenset(), {"g1"})
    assert stand.bus.retired == []


async def test_a_gateway_that_says_bye_is_gone_at_once():
    """And its members with it."""
    stand = await Stand().start()
    await stand.live("g1~1")
    stand.hear(Heartbeat("g1", 1, queue=stand.ground.topology.gateway_queue("g1", "1")[0].name))
    stand.hear(Bye("g1"))
    assert len(stand.possession.live.rooms) == 0
    assert stand.doors._known == {}


async def test_a_gateway_is_asked_when_it_is_new_reborn_or_back():
    """New: it may have been given up; reborn: the members of the former life are dropped; back: something was lost."""
    stand = await Stand().start()
    await stand.live("g1~1")
    stand.hear(Heartbeat("g1", 1))
    assert stand.asked() == []
    stand.hear(Heartbeat("g2", 1))
    assert stand.asked() == ["g2"]
    stand.inbox.suspect("g1")
    stand.inbox.suspect("g1")
    assert stand.asked() == ["g1"]
    stand.hear(Heartbeat("g1", 1))
    assert stand.asked() == ["g1"]
    stand.hear(Heartbeat("g1", 2))
    assert stand.asked() == ["g1"]
    assert len(stand.possession.live.rooms) == 0


async def test_routers_come_and_go():
    """Whoever places the shards is told each time; a heartbeat of one that is known is nothing new."""
    stand = await Stand().start()
    stand.hear(RouterHeartbeat("r1", 1), RouterHeartbeat("r2", 1), RouterHeartbeat("r1", 1))
    assert (stand.routers.living, stand.moved) == ({"r1", "r2"}, 2)
    stand.hear(RouterBye("r2"), RouterBye("r2"))
    assert (stand.routers.living, stand.moved) == ({"r1"}, 3)
    stand.clock.advance(1.5)
    stand.inbox.tick()
    stand.inbox.tick()
    assert (stand.routers.living, stand.moved) == (frozenset(), 4)


async def test_no_routers_lease_ends_while_nothing_can_be_heard():
    """When it can be heard again each has a whole one."""
    stand = await Stand().start()
    stand.hear(RouterHeartbeat("r2", 1))
    stand.subscription.lose()
    stand.clock.advance(60.0)
    stand.inbox.tick()
    stand.subscription.start()
    stand.clock.advance(1.4)
    stand.inbox.tick()
    assert stand.routers.living == {"r2"}


async def test_what_does_not_belong_here_is_counted_and_hurts_nothing():
    """Bytes that are no batch, another kind, a shard that does not exist."""
    stand = await Stand().start()
    stand.hear(body=b"\xc1")
    stand.hear(Ack("g1~1", "a", "x", "e", 1), Heartbeat("g1", 1))
    stand.hear(Announce("g2", 99, 1, ()), Announce("g2", -1, 1, ()))
    assert stand.rejected() == 2
    assert stand.gateways.living == {"g1", "g2"}


async def test_an_exception_does_not_end_the_listening(monkeypatch):
    """What comes after it is heard."""
    stand = await Stand().start()
    monkeypatch.setattr(stand.possession, "announced", lambda part: 1 / 0)
    stand.hear(Announce("g1", 0, 1, ()), Heartbeat("g2", 1))
    assert stand.rejected() == 1
    assert "g2" in stand.gateways.living


async def test_stopped_it_listens_no_more():
    """Its subscription is closed."""
    stand = await Stand().start()
    await stand.inbox.stop()
    assert not stand.subscription.active
    assert stand.inbox.listening_s() < 0
