"""Peers: who lives, as far as this router can hear."""

from router.core.peers import DEAF_BEATS, Gone, Peers, PeerTimes
from warren.envelope import Heartbeat, RouterHeartbeat

TIMES = PeerTimes(gateway_lease_s=5.0, router_lease_s=1.5, heartbeat_s=0.4)
NOBODY = Gone([], [])


def hearing(*routers):
    """Return peers that hear since 0 s, and have heard g1 and these routers."""
    peers = Peers("r1", TIMES)
    peers.begun(0.0)
    peers.gateways.heartbeat(Heartbeat("g1", 1), 0.0)
    for router in routers:
        peers.router_said(RouterHeartbeat(router, 1), 0.0)
    return peers


def test_it_listens_from_when_its_queue_is_consumed():
    """The time counts anew after each loss; who lost the queue does not listen."""
    peers = Peers("r1", TIMES)
    assert peers.listening_s(9.0) < 0
    peers.begun(10.0)
    assert peers.listening_s(12.0) == 2.0
    assert (peers.heard_every_gateway(14.9), peers.heard_every_gateway(15.0)) == (False, True)
    peers.lost()
    assert peers.listening_s(16.0) < 0
    assert not peers.heard_every_gateway(99.0)


def test_leases_end_for_those_who_could_be_heard():
    """Gateways and routers have leases of their own."""
    peers = hearing("r2")
    peers.heard(4.9)
    assert peers.expire(1.4, blocked=False) == NOBODY
    assert peers.expire(1.5, blocked=False) == Gone([], ["r2"])
    assert peers.expire(5.0, blocked=False) == Gone(["g1"], [])


def test_while_nothing_is_consumed_no_lease_ends():
    """And each has a whole one from when the listening begins again."""
    peers = hearing("r2")
    peers.lost()
    assert peers.expire(60.0, blocked=False) == NOBODY
    peers.begun(60.0)
    assert peers.expire(61.4, blocked=False) == NOBODY
    assert peers.expire(61.5, blocked=False) == Gone([], ["r2"])


def test_while_the_broker_takes_nothing_from_anyone_no_lease_ends():
    """The listening begins anew with the end of that: what was heard before proves nothing."""
    peers = hearing("r2")
    assert peers.expire(60.0, blocked=True) == NOBODY
    assert peers.listening_s(60.0) == 0.0
    assert peers.expire(61.4, blocked=False) == NOBODY
    assert peers.expire(61.5, blocked=False) == Gone([], ["r2"])


def test_who_does_not_hear_itself_takes_nobody_for_dead():
    """Its connection is open and carries nothing, or it stood still itself."""
    peers = hearing("r1", "r2")
    assert peers.expire(60.0, blocked=False) == NOBODY
    assert peers.listening_s(60.0) == 0.0
    peers.router_said(RouterHeartbeat("r1", 1), 61.5)
    peers.heard(61.5)
    assert peers.expire(61.5, blocked=False) == Gone([], ["r2"])


def test_who_never_heard_itself_is_not_taken_for_deaf():
    """It has just begun, and the others may all be gone."""
    peers = hearing("r2")
    later = DEAF_BEATS * TIMES.heartbeat_s + 1.0
    assert peers.expire(later, blocked=False) == Gone([], ["r2"])


def test_a_new_router_is_told_apart_from_a_known_one():
    """Also ourselves."""
    peers = hearing()
    assert peers.router_said(RouterHeartbeat("r1", 1), 0.0)
    assert not peers.router_said(RouterHeartbeat("r1", 1), 1.0)
    assert peers.routers.living == {"r1"}
