"""Outcomes: what they say beyond their fields."""

import pytest

from router.core.effects import BackendEvent


@pytest.mark.parametrize(
    ("conn", "gateway", "generation"),
    [("g1~1f", "g1", 31), ("", "", 0), ("g1", "g1", 0), ("g1~xyz", "g1", 0)],
)
def test_an_event_names_the_gateway_and_the_number_of_its_connection(conn, gateway, generation):
    """Backends compare the generations of a user's connections."""
    emit = BackendEvent(1, "room.joined", "a", 1, conn, "ann")
    assert (emit.gateway, emit.generation) == (gateway, generation)
