"""events: what backends hear, as structs."""

import msgspec
import pytest
from tests.support.contract_examples import through

from warren.contract import events


@pytest.mark.parametrize("struct", [*events.EVENTS, events.EventHeaders], ids=lambda struct: struct.__name__)
def test_what_is_read_is_written_as_it_came(struct):
    """Nothing is lost and nothing is added."""
    for example, written in through(struct):
        assert written == example


def test_what_is_empty_is_left_out():
    """An event of the life of a connection names no reason where there is none."""
    event = events.MembershipEvent(event_id="a.0.1.1", event="room.joined", room="r", generation=0, at=1)
    assert (
        msgspec.json.encode(event)
        == b'{"event_id":"a.0.1.1","event":"room.joined","room":"r","generation":0,"at":1}'
    )
