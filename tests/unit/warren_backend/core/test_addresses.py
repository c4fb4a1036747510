"""Addresses are those that Warren takes, and say what is wrong with others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.notification_parser import address_of
from warren_backend.core import addresses


def test_each_kind_is_written_as_a_routing_key() -> None:
    """A room, a user, a connection."""
    assert addresses.room("chat:a") == "room.chat:a"
    assert addresses.user("ann@example.com") == "user.ann@example.com"
    assert addresses.connection("g1~5f") == "conn.g1~5f"
    assert addresses.checked(addresses.EVERYONE) == "all"


@pytest.mark.parametrize(
    "address", ["", "all.", "room", "room.", "room.a b", "user.@a", "conn.g1", "@ann", "topic.x"]
)
def test_what_is_none_is_refused_with_the_rule(address: str) -> None:
    """The text names the address, and how one is written."""
    with pytest.raises(ValueError, match="is no address: ") as refused:
        addresses.checked(address)
    assert repr(address) in str(refused.value)


@given(st.sampled_from(["room.", "user.", "conn.", "", "all"]), st.text(max_size=200))
def test_it_is_the_rule_of_the_router(kind: str, name: str) -> None:
    """Whatever a router takes is taken here, and nothing else."""
    address = kind + name
    try:
        addresses.checked(address)
    except ValueError:
        assert address_of(address) is None
    else:
        assert address_of(address) is not None
