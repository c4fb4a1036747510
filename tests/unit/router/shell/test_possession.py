"""Possession: from the first delivery until the loss."""

from tests.support.router_ground import ground

from router.core.effects import Reply, Tell
from router.core.takeover import State
from router.shell.possession import Possession
from warren.envelope import Announce, Ask, Heartbeat, Join, Members


class Stand:
    def __init__(self, *living):
        self.ground = ground()
        self.woken = 0
        self.possession = Possession(0, self.ground, self._wake)
        for gateway in living:
            self.ground.gateways.heartbeat(Heartbeat(gateway, 1), 0.0)

    def _wake(self):
        self.woken += 1

    def taken(self):
        return self.possession.taken()

    def ask(self):
        """Let a delivery come; return the Ask that goes to every gateway."""
        self.possession.delivered()
        (tell,) = self.taken()
        assert isinstance(tell, Tell)
        return tell.message

    def live(self, *rooms):
        """Go live with one gateway's answer."""
        ask = self.ask()
        self.possession.announced(Announce("g1", 0, ask.term, rooms, True, ask.ref))
        assert self.possession.state is State.LIVE
        self.taken()
        return ask


async def test_the_first_delivery_asks_and_the_answers_make_it_live():
    """Not before each gateway that lives has answered; then the worker is woken."""
    stand = Stand("g1", "g2")
    ask = stand.ask()
    assert ask.term == stand.ground.clock.wall_us() // 1_000
    stand.possession.announced(Announce("g1", 0, ask.term, (), True, ask.ref))
    assert stand.possession.live is None
    woken = stand.woken
    stand.possession.announced(Announce("g2", 0, ask.term, (), True, ask.ref))
    assert stand.possession.live is stand.possession.shard is not None
    assert stand.woken > woken


async def test_more_deliveries_ask_nobody_again():
    """One possession, one ask."""
    stand = Stand("g1")
    stand.ask()
    stand.possession.delivered()
    assert stand.taken() == []


async def test_the_time_for_answers_ends():
    """A tick after the time makes it live without those that said nothing; they are asked again."""
    stand = Stand("g1")
    stand.ask()
    stand.ground.clock.advance(2.9)
    stand.possession.tick()
    assert stand.possession.live is None
    stand.ground.clock.advance(0.2)
    stand.possession.tick()
    assert stand.possession.state is State.LIVE
    assert [effect.message.ref for effect in stand.taken()] == [2]


async def test_a_loss_throws_all_away_and_the_next_possession_has_a_higher_term():
    """What was to be said is not said any more, and what was decided before is of an older generation."""
    stand = Stand("g1")
    first = stand.live()
    stand.possession.ask("g1")
    stand.possession.lost()
    assert stand.taken() == []
    assert (stand.possession.shard, stand.possession.state, stand.possession.generation) == (None, State.IDLE, 1)
    assert stand.ask().term > first.term


async def test_a_gateway_that_knows_a_higher_term_makes_it_ask_under_a_higher_one():
    """It answers our ask, so nobody else owns the shard: our clock is behind."""
    stand = Stand("g1")
    ask = stand.ask()
    stand.possession.announced(Announce("g1", 0, ask.term + 1_000, (), True, ask.ref))
    (tell,) = stand.taken()
    assert tell.message.term == ask.term + 1_001


async def test_an_unasked_word_of_a_higher_term_changes_nothing_now_but_is_remembered():
    """There may be another owner, and our loss not known yet; our next term is higher than that one's."""
    stand = Stand("g1")
    ask = stand.live()
    stand.possession.announced(Announce("g1", 0, ask.term + 1_000, (), True, 0))
    assert (stand.possession.state, stand.taken()) == (State.LIVE, [])
    stand.possession.lost()
    assert stand.ask().term == ask.term + 1_001


async def test_a_gateway_is_asked_only_where_that_makes_sense():
    """By a live shard; and, where only members count, only if the shard has some of its."""
    stand = Stand("g1")
    stand.possession.ask("g1")
    assert stand.taken() == []
    ask = stand.live(Members("a", (("g1~1", "u"),)))
    stand.possession.ask("g2", members_only=True)
    assert stand.taken() == []
    stand.possession.ask("g1", members_only=True)
    stand.possession.ask("g2")
    assert stand.taken() == [Reply("g1", Ask("r1", 0, ask.term, 2)), Reply("g2", Ask("r1", 0, ask.term, 3))]


async def test_a_gateway_that_is_gone_is_not_waited_for():
    """Its members leave; if it was the last that had not answered, the shard goes live."""
    stand = Stand("g1", "g2")
    ask = stand.ask()
    stand.possession.announced(Announce("g1", 0, ask.term, (Members("a", (("g1~1", "u"),)),), True, ask.ref))
    stand.ground.gateways.bye("g2")
    stand.possession.drop_gateway("g2")
    assert stand.possession.live is not None
    stand.possession.drop_gateway("g1")
    assert len(stand.possession.live.rooms) == 0


async def test_a_member_of_an_unknown_gateway_gives_it_a_lease():
    """So that members of a gateway that was never heard do not stay for ever."""
    stand = Stand("g1")
    stand.live()
    stand.possession.live.apply(Join("a", "g9~1", "u"), 0)
    stand.possession.tick()
    assert "g9" in stand.ground.gateways.living
