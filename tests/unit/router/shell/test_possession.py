"""Possession: from the call to own a shard until its lane is gone."""

import logging

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.gateways import logged
from tests.support.router_ground import ground

from router.core.effects import Append, Emit, Reply, Tell
from router.core.placement import Place
from router.core.takeover import State
from router.shell import follower
from router.shell.possession import Possession
from warren.envelope import Announce, Ask, Claim, Heartbeat, Join, Marker, Members, RouterHeartbeat, decode, encode
from warren.errors import BusUnavailable, NotConfirmed

MINE, THEIRS, STANDBY = Place("r1", "r2"), Place("r2", "r3"), Place("r2", "r1")


class Stand:
    def __init__(self, *living, place=MINE, **more):
        self.places = [place]
        self.ground = ground(place=self.places, **more)
        self.bus = self.ground.bus
        self.clock = self.ground.clock
        self.woken = self.left = self.held = 0
        self.possession = Possession(0, self.ground, self._wake, self._leave, lambda: self.held)
        for gateway in living:
            self.ground.gateways.heartbeat(Heartbeat(gateway, 1), 0.0)

    def _wake(self):
        self.woken += 1

    def _leave(self):
        self.left += 1

    @property
    def state(self):
        return self.possession.state

    async def sit(self):
        """Open a lane and consume it."""
        self.lane = await self.bus.lane(self.possession.lost)
        self.possession.opened(self.lane)
        await eventually(lambda: self.possession._follower.caught_up)
        self.possession.consuming()

    async def claims(self, count=1):
        """Return the claims that went into the shard's queue, once there are so many."""
        return await eventually(lambda: found if len(found := self._claims()) >= count else [])

    def _claims(self):
        return [
            envelope
            for published in self.bus.published
            if published.exchange == "warren.ingress"
            for envelope in decode(published.body)
        ]

    async def own(self):
        """Read our own claim; return the Ask that goes to every gateway."""
        claim = (await self.claims())[-1]
        assert self.possession.claimed(claim)
        assert self.state is State.ASKING
        (tell,) = self.possession.taken()
        assert isinstance(tell, Tell)
        return tell.message

    def answer(self, ask, gateway="g1", *rooms, term=0):
        self.possession.announced(Announce(gateway, 0, term or ask.term, rooms, True, ask.ref))

    async def live(self, *rooms):
        """Go the whole way with one gateway's answer."""
        await self.sit()
        ask = await self.own()
        self.answer(ask, "g1", *rooms)
        await eventually(lambda: self.possession.live)
        return ask


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(follower, "EMPTY_S", 0.01)


@pytest_asyncio.fixture
async def stand():
    stand = Stand("g1")
    yield stand
    await stand.possession.close()


async def test_the_whole_way(stand):
    """Claim, ask, mark when all have answered, read, live; the log begins with our marker, and its first checkpoint is an effect."""
    await stand.sit()
    assert stand.state is State.CLAIMING
    (claim,) = await stand.claims()
    assert claim == Claim("r1", stand.clock.wall_us() // 1_000)
    ask = await stand.own()
    assert (ask.router, ask.shard, ask.term) == ("r1", 0, claim.term)
    assert not any(stand.bus.streams.values())
    stand.answer(ask)
    assert stand.state is State.MARKING
    shard = stand.possession.shard
    await eventually(lambda: stand.possession.live is shard)
    assert [decode(body) for body in stand.bus.streams["warren.history.0"]] == [[Marker("r1", claim.term)]]
    assert isinstance(stand.possession.taken()[0], Append)
    assert stand.woken
    value = stand.ground.metrics.registry.get_sample_value
    assert value("warren_router_takeovers_total") == 1


async def test_the_log_says_what_a_take_over_has_waited_for(stand, caplog):
    """Each step's time stands beside the whole: whether the owner before, a gateway or the log was late."""
    caplog.set_level(logging.INFO)
    await stand.sit()
    stand.clock.now += 1.0
    ask = await stand.own()
    stand.clock.now += 2.0
    stand.answer(ask)
    await eventually(lambda: stand.possession.live)
    [taken] = logged(caplog.records, "shard_taken")
    assert (taken["ms"], taken["claiming_ms"], taken["asking_ms"]) == (3_000.0, 1_000.0, 2_000.0)
    assert (taken["marking_ms"], taken["reading_ms"]) == (0.0, 0.0)


async def test_a_standby_claims_when_it_is_given_something_and_not_before():
    """The broker has moved the queue to it."""
    stand = Stand("g1", place=STANDBY)
    await stand.sit()
    stand.possession.tick()
    assert (stand.state, stand.possession.wanted) == (State.IDLE, True)
    stand.held = 1
    stand.possession.given()
    assert stand.state is State.CLAIMING
    await stand.claims()
    await stand.possession.close()


async def test_a_router_that_is_neither_wants_no_lane_once_it_has_let_go(stand):
    """As long as it works on the shard it goes on, until the owner claims it."""
    await stand.live()
    stand.places.append(THEIRS)
    assert stand.possession.wanted
    stand.possession.lost()
    assert not stand.possession.wanted


async def test_an_owner_calls_only_after_it_has_listened_for_long_enough():
    """Before that it could not take the shard, and would take it away from who can."""
    heard = [0.5]
    stand = Stand("g1", listening_s=lambda: heard[0])
    await stand.sit()
    assert stand.state is State.IDLE
    heard[0] = 1.0
    stand.possession.tick()
    assert stand.state is State.CLAIMING
    await stand.possession.close()


async def test_an_owner_calls_only_when_it_has_caught_up_with_the_log(stand):
    """Whoever has the shard keeps it meanwhile; a router that is alone has nobody to wait for."""
    stand.bus.up = False  # what is read comes late
    stand.bus.reading.extend([BusUnavailable()] * 1_000)
    stand.possession.opened(await stand.bus.lane(lambda: None))
    stand.possession.consuming()
    stand.possession.tick()
    assert stand.state is State.IDLE
    stand.ground.routers.bye("r2")
    stand.possession.tick()
    assert stand.state is State.CLAIMING


async def test_the_log_is_followed_where_the_shard_may_come_to_us_and_only_there(stand):
    """Not while it is live here, nor when neither owner nor standby."""
    await stand.live()
    assert stand.possession._follower is None
    stand.places.append(STANDBY)
    stand.lane.lose()
    stand.possession.tick()
    assert stand.possession._follower is not None
    stand.places.append(THEIRS)
    stand.possession.tick()
    assert stand.possession._follower is None


async def test_a_new_router_calls_for_no_shard_before_it_has_read_them_all():
    """While it reads other logs, the owner before serves; where it is alone nobody does, and it waits for nothing."""
    stand = Stand("g1")
    stand.ground.beginning.reads(7, stand.clock.monotonic())
    await stand.sit()
    stand.possession.tick()
    assert stand.state is State.IDLE
    stand.ground.beginning.has_read(7)
    stand.possession.tick()
    assert stand.state is State.CLAIMING
    await stand.possession.close()
    alone = Stand("g1")
    for other in alone.ground.routers.living - {"r1"}:
        alone.ground.routers.bye(other)
    alone.ground.beginning.reads(7, alone.clock.monotonic())
    await alone.sit()
    assert alone.state is State.CLAIMING
    await alone.possession.close()


async def test_a_log_that_is_not_wanted_any_more_is_waited_for_by_nobody(stand):
    """A router that is neither owner nor standby any more before it has read the log."""
    stand.possession.tick()
    assert not stand.ground.beginning._over
    stand.places.append(THEIRS)
    stand.possession.tick()
    assert stand.ground.beginning.over(stand.clock.monotonic())


async def test_an_owner_waits_for_its_turn_and_a_standby_that_is_given_something_does_not(stand):
    """Shards that move by placement do so a few at a time; one that nobody serves can't wait."""
    for other in (7, 8):
        stand.ground.turns.take(other, lambda: None)
    await stand.sit()
    assert stand.state is State.IDLE
    stand.ground.turns.give_back(7)
    assert stand.state is State.CLAIMING
    stand.lane.lose()
    stand.ground.turns.take(7, lambda: None)
    await stand.sit()
    assert stand.state is State.IDLE
    stand.held = 1
    stand.possession.given()
    assert stand.state is State.CLAIMING


async def test_it_says_when_nothing_is_live_here(stand):
    """A router that goes waits for that."""
    assert stand.possession.released.is_set()
    ask = await stand.live()
    assert not stand.possession.released.is_set()
    stand.possession.claimed(Claim("r2", ask.term + 1))
    assert not stand.possession.released.is_set()
    stand.possession.finished()
    assert stand.possession.released.is_set()


async def test_a_claim_that_does_not_come_back_is_made_again_with_a_higher_term(stand):
    """Any of them proves that the queue is ours; the last one's term counts."""
    await stand.sit()
    (first,) = await stand.claims()
    stand.clock.advance(1.0)
    stand.possession.tick()
    (_, second) = await stand.claims(2)
    assert second.term > first.term
    assert stand.possession.claimed(first)
    assert stand.state is State.ASKING
    assert stand.possession.shard.term == second.term


async def test_who_is_not_the_owner_any_more_lets_its_claim_be(stand):
    """It leaves the queue instead of claiming again."""
    await stand.sit()
    await stand.claims()
    stand.places.append(THEIRS)
    stand.clock.advance(1.0)
    stand.possession.tick()
    assert (stand.state, stand.left) == (State.IDLE, 1)


async def test_a_full_window_is_as_good_as_the_claim(stand):
    """The claim lies behind what we hold, and can't come before that is done."""
    await stand.sit()
    stand.held = 7
    stand.possession.given()
    assert stand.state is State.CLAIMING
    stand.held = 8
    stand.possession.given()
    assert stand.state is State.ASKING


async def test_not_before_each_gateway_that_lives_has_answered():
    """No time makes up for an answer; the end of its lease does. Who is silent is asked again."""
    stand = Stand("g1", "g2")
    await stand.sit()
    ask = await stand.own()
    stand.answer(ask)
    stand.clock.advance(1.1)
    stand.possession.tick()
    assert stand.state is State.ASKING
    assert [effect.message.ref for effect in stand.possession.taken()] == [2]
    stand.ground.gateways.bye("g2")
    stand.possession.drop_gateway("g2")
    assert stand.state is State.MARKING
    await stand.possession.close()


async def test_a_loss_throws_all_away_and_the_next_possession_has_a_higher_term(stand):
    """What was to be said is not said any more, and what was decided before is of an older generation."""
    first = await stand.live()
    generation = stand.possession.generation
    stand.possession.ask("g1")
    stand.lane.lose()
    possession = stand.possession
    assert (possession.taken(), possession.shard, possession.log, possession.state) == ([], None, None, State.IDLE)
    assert possession.generation == generation + 1
    stand.bus.published.clear()
    await stand.sit()
    assert (await stand.claims())[0].term > first.term


async def test_a_marker_that_is_not_confirmed_has_the_shard_left(stand):
    """Nobody knows whether it stands in the log."""
    await stand.sit()
    ask = await stand.own()
    stand.lane.appends.append(NotConfirmed())
    stand.answer(ask)
    await eventually(lambda: stand.left == 1)
    assert stand.state is State.IDLE


async def test_a_reading_that_is_cut_off_goes_on(stand):
    """The lane still lives."""
    await stand.sit()
    ask = await stand.own()
    stand.bus.reading.append(BusUnavailable())
    stand.answer(ask)
    await eventually(lambda: stand.possession.live)


async def test_a_gateway_that_knows_a_higher_term_has_us_claim_again_under_a_higher_one(stand):
    """Its answer to our ask says so, before we are live: our clock is behind."""
    await stand.sit()
    ask = await stand.own()
    stand.answer(ask, term=ask.term + 1_000)
    assert (stand.state, stand.left) == (State.CLAIMING, 0)
    assert (await stand.claims(2))[-1].term == ask.term + 1_001


async def test_a_live_shard_that_is_outrun_is_left(stand):
    """Another owner has fenced it; what it has not acknowledged goes to whoever is next."""
    ask = await stand.live()
    stand.possession.ask("g1")
    (again,) = [effect.message for effect in stand.possession.taken() if isinstance(effect, Reply)]
    stand.possession.announced(Announce("g1", 0, ask.term + 1_000, (), True, again.ref))
    assert (stand.state, stand.left) == (State.IDLE, 1)


async def test_a_log_that_knows_another_owner_of_our_term_has_us_claim_again(stand):
    """Terms are of one owner each."""
    await stand.sit()
    ask = await stand.own()
    stand.bus.streams["warren.history.0"].append(encode([Marker("r9", ask.term)]))
    stand.answer(ask)
    assert (await stand.claims(2))[-1].term > ask.term


async def test_an_unasked_word_of_a_higher_term_changes_nothing_now_but_is_remembered(stand):
    """There may be another owner, and our loss not known yet; our next term is higher than that one's."""
    ask = await stand.live()
    stand.possession.taken()
    stand.possession.announced(Announce("g1", 0, ask.term + 1_000, (), True, 0))
    assert (stand.state, stand.possession.taken()) == (State.LIVE, [])
    stand.lane.lose()
    stand.bus.published.clear()
    await stand.sit()
    assert (await stand.claims())[0].term == ask.term + 1_001


async def test_a_higher_claim_of_a_living_router_is_given_way_to(stand):
    """What was begun is finished first; then the lane is left with the claim unacknowledged, and for a while we don't claim unasked."""
    ask = await stand.live()
    assert not stand.possession.claimed(Claim("r2", ask.term + 1))
    assert (stand.possession.yielding, stand.possession.live, stand.left) == (True, None, 0)
    stand.possession.finished()
    assert (stand.state, stand.left) == (State.IDLE, 1)
    await stand.sit()
    assert stand.state is State.IDLE
    stand.clock.advance(1.5)
    stand.possession.tick()
    assert stand.state is State.CLAIMING


async def test_a_claim_is_given_way_to_at_once_while_nothing_has_been_applied(stand):
    """In the middle of taking over."""
    await stand.sit()
    ask = await stand.own()
    assert not stand.possession.claimed(Claim("r2", ask.term + 1))
    assert (stand.state, stand.left) == (State.IDLE, 1)


async def test_of_two_claims_with_one_term_one_comes_first(stand):
    """The same for both, so that they don't both give way."""
    await stand.sit()
    ask = await stand.own()
    assert stand.possession.claimed(Claim("r0", ask.term))
    assert stand.state is State.ASKING
    stand.ground.routers.heartbeat(RouterHeartbeat("r0", 1), 0.0)
    assert stand.possession.claimed(Claim("r0", ask.term))
    assert not stand.possession.claimed(Claim("r2", ask.term))


async def test_claims_that_count_for_nothing_are_done_with(stand):
    """Lower than our term, of a router that is dead, or an old one of ours."""
    ask = await stand.live()
    for claim in (Claim("r2", ask.term - 1), Claim("dead", ask.term + 9), Claim("r1", ask.term - 5)):
        assert stand.possession.claimed(claim)
    assert stand.state is State.LIVE


async def test_a_claim_that_comes_back_after_we_gave_way_is_done_with():
    """Its router has no lane, or the broker would have given it there."""
    stand = Stand("g1", place=STANDBY)
    await stand.sit()
    assert not stand.possession.claimed(Claim("r2", 10))
    assert stand.left == 1
    await stand.sit()
    assert stand.possession.claimed(Claim("r2", 10))
    assert not stand.possession.claimed(Claim("r2", 11))
    await stand.possession.close()


async def test_a_standby_that_has_begun_nothing_gives_way_to_the_owner_whatever_its_term():
    """The owner would claim again with a higher one anyway."""
    stand = Stand("g1", place=STANDBY)
    await stand.sit()
    stand.held = 1
    stand.possession.given()
    assert not stand.possession.claimed(Claim("r2", 1))
    assert stand.left == 1
    await stand.possession.close()


async def test_an_append_that_failed_has_the_shard_left(stand):
    """Its state may be ahead of the log."""
    await stand.live()
    stand.possession.failed()
    assert (stand.state, stand.possession.shard, stand.left) == (State.IDLE, None, 1)


async def test_a_gateway_is_asked_only_where_that_makes_sense(stand):
    """By a live shard; and, where only members count, only if the shard has some of its."""
    stand.possession.ask("g1")
    assert stand.possession.taken() == []
    ask = await stand.live(Members("a", (("g1~1", "u"),)))
    stand.possession.taken()
    stand.possession.ask("g2", members_only=True)
    assert stand.possession.taken() == []
    stand.possession.ask("g1", members_only=True)
    stand.possession.ask("g2")
    assert stand.possession.taken() == [Reply("g1", Ask("r1", 0, ask.term, 2)), Reply("g2", Ask("r1", 0, ask.term, 3))]


async def test_members_of_a_gateway_that_is_gone_leave_with_events(stand):
    """Once."""
    await stand.live(Members("a", (("g1~1", "u"),)))
    stand.possession.taken()
    stand.possession.drop_gateway("g1")
    (left,) = stand.possession.taken()
    assert isinstance(left, Emit)
    assert (left.kind, left.conn, left.reason) == ("room.left", "g1~1", "gone")
    stand.possession.drop_gateway("g1")
    assert stand.possession.taken() == []


async def test_a_member_of_an_unknown_gateway_gives_it_a_lease(stand):
    """So that members of a gateway that was never heard do not stay for ever."""
    await stand.live()
    stand.possession.live.apply(Join("a", "g9~1", "u"), 0)
    stand.possession.tick()
    assert "g9" in stand.ground.gateways.living
