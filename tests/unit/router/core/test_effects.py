"""Effects are plain frozen values."""

import pytest

from router.core.effects import EVERY, Append, Deliver, Emit, Reject, Reply, Tell
from warren import envelope as wire

ASK = wire.Ask("r1", 0, 5)
MESSAGE = wire.Deliver("lobby", "e", 1, "CHAT", b"1", 1)


def test_effects_compare_by_value():
    """Two effects that ask for the same are equal, whatever objects they are."""
    assert Deliver(("g1",), MESSAGE) == Deliver(("g1",), wire.Deliver("lobby", "e", 1, "CHAT", b"1", 1))
    assert Reply("g1", ASK) != Reply("g2", ASK)


@pytest.mark.parametrize(
    ("effect", "field"),
    [
        (Append(MESSAGE), "entry"),
        (Deliver(EVERY, MESSAGE), "message"),
        (Reply("g1", ASK), "message"),
        (Tell(ASK), "message"),
        (Emit("room.left", "a", 1), "message"),
        (Reject(ASK, "no"), "message"),
    ],
)
def test_effects_are_frozen(effect, field):
    """Nobody between the shard and the worker can change one."""
    with pytest.raises(AttributeError):
        setattr(effect, field, None)


@pytest.mark.parametrize(("conn", "generation"), [("g-1~1f", 31), ("g-1~zz", 0), ("", 0)])
def test_an_event_tells_the_gateway_and_the_number_of_its_connection(conn, generation):
    """Both stand in the connection's id; an id that is none has no number."""
    event = Emit("client.connected", "@u", 1, conn, "u")
    assert (event.gateway, event.generation) == (conn.partition("~")[0], generation)


def test_every_is_no_gateway_s_name():
    """What stands for every gateway can't be mistaken for one: ``*`` is not allowed in a gateway's id."""
    assert EVERY == ("*",)
