"""RouterLeases: leases that heartbeats renew."""

from router.core.router_leases import RouterLeases
from warren.envelope import RouterHeartbeat, Spoken


def test_a_router_lives_until_its_lease_ends():
    """It is new once, its heartbeats renew the lease, and it is gone once."""
    routers = RouterLeases(1.5)
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
    routers = RouterLeases()
    routers.heartbeat(RouterHeartbeat("a", 1), 0.0)
    assert routers.leaving("a")
    assert not routers.leaving("a")
    assert routers.living == frozenset()


def test_no_lease_ends_for_what_could_not_be_heard():
    """When heartbeats can be heard again each has a whole lease, and none is shortened."""
    routers = RouterLeases(1.5)
    routers.heartbeat(RouterHeartbeat("a", 1), 0.0)
    routers.heartbeat(RouterHeartbeat("b", 1), 9.0)
    routers.listen(8.0)
    assert routers.expire(9.4) == []
    assert routers.expire(9.5) == ["a"]
    assert routers.living == {"b"}


def test_how_far_a_speaker_had_got_outlives_it():
    """The next one goes on from there; what a slower one says takes nothing back, and another life of the log
    counts anew.
    """
    routers = RouterLeases()
    routers.heartbeat(RouterHeartbeat("a", 1, shards=(Spoken(3, "x", 10, 5),)), 0.0)
    routers.heartbeat(RouterHeartbeat("b", 1, shards=(Spoken(3, "x", 8, 7),)), 0.0)
    assert routers.speaking(3) == {"a", "b"}
    routers.heartbeat(RouterHeartbeat("b", 1), 0.0)
    routers.leaving("a")
    assert routers.speaking(3) == frozenset()
    assert routers.spoken(3) == routers.spoken(3, "x") == Spoken(3, "x", 10, 7)
    assert routers.spoken(3, "y") is None
    assert routers.spoken(4) is None
    routers.heartbeat(RouterHeartbeat("b", 1, shards=(Spoken(3, "y", 1, -1),)), 0.0)
    assert routers.spoken(3) == Spoken(3, "y", 1, -1)


def test_all_know_what_the_one_that_knows_least_knows():
    """One of an older version that says nothing of it knows the first; who is gone does not count."""
    routers = RouterLeases()
    assert routers.know(3, ()) == 3
    routers.heartbeat(RouterHeartbeat("a", 1, knows=2), 0.0)
    routers.heartbeat(RouterHeartbeat("b", 1), 0.0)
    assert routers.know(3, {"a"}) == 2
    assert routers.know(1, {"a"}) == 1
    assert routers.know(3, {"a", "b", "gone"}) == 1
