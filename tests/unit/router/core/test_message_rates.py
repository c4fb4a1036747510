"""MessageRates: rates from the counters in heartbeats."""

from router.core.gateway_leases import GatewayLeases
from router.core.message_rates import NO_RATES, MessageRates, Rates
from warren.envelope import Heartbeat


def beat(gateway="g1", started=1, counted=(0, 0, 0)):
    messages_in, messages_out, errors = counted
    return Heartbeat(gateway, started, 1, messages_in, messages_out, errors)


def test_a_rate_is_that_between_two_heartbeats_by_when_they_came():
    """Whenever somebody looks; before there are two it is none."""
    gateways, rates = GatewayLeases(5.0), MessageRates()
    gateways.heartbeat(beat(counted=(10, 20, 0)), 1.0)
    rates.look(gateways)
    assert rates.of("g1") == NO_RATES
    gateways.heartbeat(beat(counted=(30, 100, 2)), 3.0)
    rates.look(gateways)
    assert rates.of("g1") == Rates(10.0, 40.0, 1.0)
    rates.look(gateways)  # it was not heard meanwhile
    assert rates.of("g1") == Rates(10.0, 40.0, 1.0)


def test_a_new_life_begins_at_nothing():
    """Its counters are lower, and make no rate below zero."""
    gateways, rates = GatewayLeases(5.0), MessageRates()
    gateways.heartbeat(beat(counted=(1_000, 1_000, 0)), 1.0)
    rates.look(gateways)
    gateways.heartbeat(beat(started=2, counted=(10, 10, 0)), 2.0)
    rates.look(gateways)
    assert rates.of("g1") == NO_RATES
    gateways.heartbeat(beat(started=2, counted=(5, 20, 0)), 3.0)
    rates.look(gateways)
    assert rates.of("g1") == Rates(0.0, 10.0, 0.0)


def test_who_is_gone_is_forgotten_and_the_others_are_summed():
    """It holds no more than there are living gateways."""
    gateways, rates = GatewayLeases(5.0), MessageRates()
    for at in (1.0, 2.0):
        for number, name in enumerate(("g1", "g2"), 1):
            gateways.heartbeat(beat(name, counted=(int(at) * number, 0, 0)), at)
        rates.look(gateways)
    assert rates.total() == Rates(3.0, 0.0, 0.0)
    gateways.end("g2")
    rates.look(gateways)
    assert (rates.total(), rates.of("g2")) == (Rates(1.0, 0.0, 0.0), NO_RATES)
