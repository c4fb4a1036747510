"""Effects are plain frozen values."""

import pytest

from router.core.effects import EVERY, Deliver, Reject, Reply, Tell
from warren import envelope as wire

ASK = wire.Ask("r1", 0, 5)
MESSAGE = wire.Deliver("lobby", "e", 1, "CHAT", b"1", 1)


def test_effects_compare_by_value():
    """Two effects that ask for the same are equal, whatever objects they are."""
    assert Deliver(("g1",), MESSAGE) == Deliver(("g1",), wire.Deliver("lobby", "e", 1, "CHAT", b"1", 1))
    assert Reply("g1", ASK) != Reply("g2", ASK)


@pytest.mark.parametrize("effect", [Deliver(EVERY, MESSAGE), Reply("g1", ASK), Tell(ASK), Reject(ASK, "no")])
def test_effects_are_frozen(effect):
    """Nobody between the shard and the worker can change one."""
    with pytest.raises(AttributeError):
        effect.message = None


def test_every_is_no_gateway_s_name():
    """What stands for every gateway can't be mistaken for one: ``*`` is not allowed in a gateway's id."""
    assert EVERY == ("*",)
