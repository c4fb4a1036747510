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


def test_a_change_has_no_members_and_a_page_may_have_none():
    """An empty page is told from a change by its list."""
    count = presence.PresenceCount(0, 0)
    assert (
        msgspec.json.encode(presence.PresencePayload(1, count))
        == b'{"version":1,"count":{"users":0,"connections":0}}'
    )
    assert b'"members":[]' in msgspec.json.encode(presence.PresencePayload(1, count, members=()))
