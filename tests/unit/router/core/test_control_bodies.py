"""Bodies of commands: their patterns are those of addresses, and their schemas can be made."""

import msgspec
import pytest

from router.core import control_bodies as bodies
from router.core.commands import CLOSES
from router.core.notification_parser import address_of

ADDRESSES = [
    "all", "room.chat:a", "room.a.b", "user.ann", "user.auth0|5", "user.a@b.c", "conn.g-1~5f",
    "", "room.", "user.", "conn.g1", "room.@ann", "room.*", "user.@ann", "roomx", "conn.g1~5F", "ALL",
    f"room.{'a' * 128}", f"room.{'a' * 129}", f"user.{'a' * 127}", f"user.{'a' * 128}",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_pattern_of_addresses_is_the_rule_of_addresses(address):
    """What the document promises is what the parser takes."""
    text = msgspec.json.encode({"address": address, "payload": 1})
    try:
        msgspec.json.decode(text, type=bodies.Publish)
    except msgspec.ValidationError:
        assert address_of(address) is None
    else:
        assert address_of(address) is not None


def test_a_body_takes_no_field_that_it_does_not_know():
    """A typo is told, not passed over."""
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(b'{"address": "all", "payload": 1, "tpye": "x"}', type=bodies.Publish)


def test_the_close_codes_are_those_that_the_fold_takes():
    """No other would be done."""
    schema = msgspec.json.schema(bodies.CloseCode)
    assert set(schema["enum"]) == {int(code) for code in CLOSES}
