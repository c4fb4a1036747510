"""RouterLeases: what the living routers say. (What every lease keeps is in the test of Leases.)"""

from router.core.router_leases import RouterLeases
from warren.envelope import RouterHeartbeat, SpeakerProgress


def test_a_heartbeat_renews_the_lease():
    """It is new once."""
    routers = RouterLeases(1.5)
    assert routers.heartbeat(RouterHeartbeat("a", 1), 0.0)
    assert not routers.heartbeat(RouterHeartbeat("a", 1), 1.0)
    assert routers.expire(2.4) == []
    assert routers.expire(2.5) == ["a"]


def test_how_far_a_speaker_had_got_outlives_it():
    """The next one goes on from there; what a slower one says takes nothing back, and another life of the log
    counts anew.
    """
    routers = RouterLeases(1.5)
    routers.heartbeat(RouterHeartbeat("a", 1, shards=(SpeakerProgress(3, "x", 10, 5),)), 0.0)
    routers.heartbeat(RouterHeartbeat("b", 1, shards=(SpeakerProgress(3, "x", 8, 7),)), 0.0)
    assert routers.speaking(3) == {"a", "b"}
    routers.heartbeat(RouterHeartbeat("b", 1), 0.0)
    routers.end("a")
    assert routers.speaking(3) == frozenset()
    assert routers.progress(3) == routers.progress(3, "x") == SpeakerProgress(3, "x", 10, 7)
    assert routers.progress(3, "y") is None
    assert routers.progress(4) is None
    routers.heartbeat(RouterHeartbeat("b", 1, shards=(SpeakerProgress(3, "y", 1, -1),)), 0.0)
    assert routers.progress(3) == SpeakerProgress(3, "y", 1, -1)


def test_all_know_what_the_one_that_knows_least_knows():
    """One of an older version that says nothing of it knows the first; who is gone does not count."""
    routers = RouterLeases(1.5)
    assert routers.common_version(3, ()) == 3
    routers.heartbeat(RouterHeartbeat("a", 1, fold_version=2), 0.0)
    routers.heartbeat(RouterHeartbeat("b", 1), 0.0)
    assert routers.common_version(3, {"a"}) == 2
    assert routers.common_version(1, {"a"}) == 1
    assert routers.common_version(3, {"a", "b", "gone"}) == 1
