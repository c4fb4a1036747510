"""presence: who is in a room."""

import msgspec
import pytest
from tests.support.contract_examples import through

from warren.contract import presence


@pytest.mark.parametrize("struct", [presence.PresenceMember], ids=lambda struct: struct.__name__)
def test_what_is_read_is_written_as_it_came(struct):
    """Nothing is lost and nothing is added."""
    for example, written in through(struct):
        assert written == example


def test_what_is_not_said_is_left_out():
    """An answer to an update is empty; what there is has three fields."""
    assert msgspec.json.encode(presence.PresencePayload()) == b"{}"
    count = presence.PresenceCount(0, 0)
    assert msgspec.json.encode(presence.PresencePayload(1, count)) == (
        b'{"version":1,"count":{"users":0,"connections":0}}'
    )


def test_info_may_be_null():
    """A member that says null of itself says something."""
    member = msgspec.json.decode(b'{"user":"a","proof":"00","info":null}', type=presence.PresenceMember)
    assert member.info is None
    assert b'"info":null' in msgspec.json.encode(member)
