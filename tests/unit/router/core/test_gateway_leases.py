"""GatewayLeases: leases, lives, suspicion, and the sums."""

from router.core.gateway_leases import GatewayLeases, Heard, Totals
from warren.envelope import Heartbeat


def beat(gateway="g1", started_us=1, **figures):
    return Heartbeat(gateway, started_us, **figures)


def test_a_gateway_lives_as_long_as_its_heartbeats_come():
    """Each heartbeat renews the lease; when it ends the gateway is gone, once."""
    gateways = GatewayLeases(5.0)
    assert gateways.heartbeat(beat(), 0.0) is Heard.NEW
    assert gateways.heartbeat(beat(), 4.0) is Heard.KNOWN
    assert gateways.expire(8.9) == []
    assert gateways.living == {"g1"}
    assert gateways.expire(9.0) == ["g1"]
    assert gateways.expire(9.0) == []
    assert gateways.living == frozenset()


def test_a_new_life_under_the_same_name_is_noticed():
    """Another start time is another life; a late heartbeat of the former life is not taken for a
    third one.
    """
    gateways = GatewayLeases(5.0)
    gateways.heartbeat(beat(started_us=1), 0.0)
    assert gateways.heartbeat(beat(started_us=2), 1.0) is Heard.REBORN
    assert gateways.heartbeat(beat(started_us=1), 4.0) is Heard.LATE
    assert gateways.expire(6.0) == ["g1"]


def test_a_gateway_seen_in_another_way_gets_one_lease():
    """Meeting it again does not renew the lease; its first heartbeat is that of a known gateway."""
    gateways = GatewayLeases(5.0)
    assert gateways.meet("g1", 0.0)
    assert not gateways.meet("g1", 4.0)
    assert gateways.heartbeat(beat(), 4.5) is Heard.KNOWN
    assert gateways.meet("g2", 0.0)
    assert gateways.expire(5.0) == ["g2"]


def test_a_suspected_gateway_has_half_a_lease_and_a_heartbeat_clears_it():
    """It is suspected once; its next heartbeat tells that it is back."""
    gateways = GatewayLeases(4.0)
    gateways.heartbeat(beat(), 0.0)
    assert gateways.suspect("g1", 0.0)
    assert not gateways.suspect("g1", 1.0)
    assert not gateways.suspect("unknown", 1.0)
    assert gateways.heartbeat(beat(), 1.0) is Heard.BACK
    assert gateways.suspect("g1", 2.0)
    assert gateways.expire(4.0) == ["g1"]


def test_suspicion_never_lengthens_a_lease():
    """A lease that ends sooner than half of one keeps its end."""
    gateways = GatewayLeases(4.0)
    gateways.heartbeat(beat(), 0.0)
    gateways.suspect("g1", 3.0)
    assert gateways.expire(4.0) == ["g1"]


def test_no_lease_ends_for_what_could_not_be_heard():
    """When listening begins again every lease is whole."""
    gateways = GatewayLeases(5.0)
    gateways.heartbeat(beat(), 0.0)
    gateways.listen(100.0)
    assert gateways.expire(104.9) == []
    assert gateways.expire(105.0) == ["g1"]


def test_who_says_bye_is_gone_at_once():
    """And is told apart from one that nobody knew."""
    gateways = GatewayLeases(5.0)
    gateways.heartbeat(beat(), 0.0)
    assert gateways.leaving("g1")
    assert not gateways.leaving("g1")
    assert gateways.living == frozenset()


def test_the_sums_are_of_those_that_live():
    """A gateway that was only met counts as a gateway, without figures."""
    gateways = GatewayLeases(5.0)
    gateways.heartbeat(
        beat("g2", connections=1, messages_in=2, messages_out=3, errors=4, rss_bytes=5, uplink_bytes=6), 0.0
    )
    gateways.heartbeat(
        beat("g1", connections=10, messages_in=20, messages_out=30, errors=40, rss_bytes=50, uplink_bytes=60),
        0.0,
    )
    gateways.heartbeat(beat("gone", connections=1_000), 0.0)
    gateways.meet("g3", 0.0)
    gateways.leaving("gone")
    assert gateways.totals() == Totals(3, 11, 22, 33, 44, 55, 66)
    assert [said.gateway for said in gateways.said()] == ["g1", "g2"]


def test_uplinks_that_outgrow_a_log_are_told_once_and_so_is_their_end():
    """As much as the log surely keeps is not too much."""
    gateways = GatewayLeases(5.0)
    assert [gateways.outgrown(each, 100) for each in (100, 101, 200, 100, 0)] == [
        None,
        True,
        None,
        False,
        None,
    ]
