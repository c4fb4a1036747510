"""lease: when the routers may still count on us, and what is taken when they may not."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.core.lease import Lease

SHARDS = 3
DURATION = 4.0


def test_it_holds_for_as_long_as_it_says_after_a_heartbeat_was_sent():
    """Not from when it was confirmed, for that may be much later."""
    lease = Lease(SHARDS, DURATION, 100.0)
    lease.renew(sent_at=102.0, now=103.0)
    assert not lease.lapses(106.0)
    assert lease.lapses(106.1)
    assert not lease.lapses(106.2)  # it is said once


def test_a_late_confirm_does_not_wake_it():
    """The heartbeat that it is for is too old itself."""
    lease = Lease(SHARDS, DURATION, 100.0)
    assert lease.lapses(110.0)
    lease.renew(sent_at=101.0, now=110.0)
    lease.asked(0)
    assert lease.suspended == {0, 1, 2}


def test_each_shard_comes_back_with_its_owners_ask():
    """Once a heartbeat is confirmed again; an Ask from before that may have lain in the queue for long."""
    lease = Lease(SHARDS, DURATION, 100.0)
    assert lease.lapses(110.0)
    lease.asked(1)
    lease.renew(sent_at=110.0, now=110.1)
    assert not any(lease.admits(shard) for shard in range(SHARDS))
    lease.asked(1)
    assert [lease.admits(shard) for shard in range(SHARDS)] == [False, True, False]


def test_it_can_end_again_before_all_have_come_back():
    """Then all are suspended again."""
    lease = Lease(SHARDS, DURATION, 100.0)
    lease.lapses(110.0)
    lease.renew(110.0, 110.0)
    lease.asked(1)
    assert lease.lapses(115.0)
    assert lease.suspended == {0, 1, 2}


class Against(RuleBasedStateMachine):
    """A lease, and what a router that drops a gateway a second later believes: never is anything admitted of a shard whose owner gave us
    up after it had last asked us.
    """

    def __init__(self):
        super().__init__()
        self.now = 100.0
        self.lease = Lease(SHARDS, DURATION, self.now)
        self.heard = self.now  # when the router heard us last
        self.asked = dict.fromkeys(range(SHARDS), True)  # since it gave us up

    @rule(passed=st.floats(0.1, 6.0))
    def time(self, passed):
        self.now += passed
        if self.now > self.heard + DURATION + 1.0:
            self.asked = dict.fromkeys(range(SHARDS), False)

    @rule(took=st.floats(0.0, 6.0), arrived=st.booleans())
    def beat(self, took, arrived):
        sent_at = self.now
        if arrived:
            self.heard = sent_at
        self.time(took)
        if arrived:
            self.lease.lapses(self.now)
            self.lease.renew(sent_at, self.now)

    @rule(shard=st.integers(0, SHARDS - 1))
    def ask(self, shard):
        self.lease.lapses(self.now)
        if self.now <= self.heard + DURATION:  # an owner that knows us
            self.asked[shard] = True
            self.lease.asked(shard)

    @invariant()
    def agree(self):
        self.lease.lapses(self.now)
        for shard in range(SHARDS):
            assert not self.lease.admits(shard) or self.asked[shard]


TestLeaseAgainstARouter = Against.TestCase
TestLeaseAgainstARouter.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
