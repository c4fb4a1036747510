"""GatewayLeases: whose heartbeat counts, and the sums. (What every lease keeps is in the test of Leases.)"""

from router.core.gateway_leases import NEW_ITEMS_VERSION, GatewayLeases, Heard, Totals
from warren.envelope import Heartbeat


def beat(gateway="g1", started_us=1, **figures):
    return Heartbeat(gateway, started_us, **figures)


def test_a_heartbeat_renews_the_lease():
    """It is new once."""
    gateways = GatewayLeases(5.0)
    assert gateways.heartbeat(beat(), 0.0) is Heard.NEW
    assert gateways.heartbeat(beat(), 4.0) is Heard.KNOWN
    assert gateways.expire(8.9) == []
    assert gateways.expire(9.0) == ["g1"]


def test_a_new_life_under_the_same_name_is_noticed():
    """Another start time is another life; a late heartbeat of the former life is not taken for a third one,
    and renews nothing.
    """
    gateways = GatewayLeases(5.0)
    gateways.heartbeat(beat(started_us=1), 0.0)
    assert gateways.heartbeat(beat(started_us=2), 1.0) is Heard.REBORN
    assert gateways.heartbeat(beat(started_us=1), 4.0) is Heard.LATE
    assert gateways.expire(6.0) == ["g1"]


def test_the_first_heartbeat_of_one_that_was_met_is_that_of_a_known_gateway():
    """Its Hello stood in the log before."""
    gateways = GatewayLeases(5.0)
    gateways.meet("g1", 0.0)
    assert gateways.heartbeat(beat(), 4.5) is Heard.KNOWN


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
    gateways.end("gone")
    assert gateways.totals() == Totals(3, 11, 22, 33, 44, 55, 66)


def test_a_version_with_new_items_waits_for_gateways_of_older_releases():
    """One that can't read an item would get nothing more of its shard; what it reads anyway waits for none."""
    gateways = GatewayLeases(5.0)
    assert [gateways.understood(version) for version in (1, 2, 3)] == [1, 2, 3]
    gateways.heartbeat(beat("new", fold_version=NEW_ITEMS_VERSION), 0.0)
    gateways.meet("met", 0.0)
    assert [gateways.understood(version) for version in (1, 2, 3)] == [1, 2, 3]
    gateways.heartbeat(beat("old"), 0.0)
    assert [gateways.understood(version) for version in (1, 2, 3)] == [1, 1, 1]
    gateways.end("old")
    assert gateways.understood(3) == 3
