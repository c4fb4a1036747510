"""Routers: leases that heartbeats renew."""

from router.core.routers import Routers
from warren.envelope import RouterHeartbeat


def test_a_router_lives_until_its_lease_ends():
    """It is new once, its heartbeats renew the lease, and it is gone once."""
    routers = Routers(1.5)
    assert routers.heartbeat(RouterHeartbeat("a", 1), 0.0)
    assert not routers.heartbeat(RouterHeartbeat("a", 1), 1.0)
    assert routers.expire(2.4) == []
    assert routers.living == {"a"}
    assert routers.expire(2.5) == ["a"]
    assert routers.expire(2.5) == []
    assert routers.living == frozenset()
    assert routers.heartbeat(RouterHeartbeat("a", 1), 3.0)


def test_who_says_goodbye_is_gone_at_once():
    """And nobody can leave twice."""
    routers = Routers()
    routers.heartbeat(RouterHeartbeat("a", 1), 0.0)
    assert routers.bye("a")
    assert not routers.bye("a")
    assert routers.living == frozenset()


def test_no_lease_ends_for_what_could_not_be_heard():
    """When heartbeats can be heard again each has a whole lease, and none is shortened."""
    routers = Routers(1.5)
    routers.heartbeat(RouterHeartbeat("a", 1), 0.0)
    routers.heartbeat(RouterHeartbeat("b", 1), 9.0)
    routers.listen(8.0)
    assert routers.expire(9.4) == []
    assert routers.expire(9.5) == ["a"]
    assert routers.living == {"b"}
