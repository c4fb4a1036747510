"""What an application gets and gives."""

import dataclasses
import json
from typing import Any

import pytest

from warren_client.errors import InvalidError
from warren_client.messages import Accepted, Message, Position


def test_a_position_can_be_kept_as_json() -> None:
    """And comes back the same."""
    kept = json.dumps(dataclasses.asdict(Position("e1", 7)))
    assert Position.of(json.loads(kept)) == Position("e1", 7)
    assert Position.of(Position("e1", 7)) == Position("e1", 7)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"epoch": "e"},
        {"epoch": 1, "seq": 1},
        {"epoch": "e", "seq": True},
        {"epoch": "e", "seq": -1},
        7,
        "e",
    ],
)
def test_what_is_no_position_is_refused_with_the_rule(value: Any) -> None:
    """Before anything is asked for."""
    with pytest.raises(InvalidError, match="since"):
        Position.of(value)


def test_only_what_is_numbered_has_a_position() -> None:
    """An ephemeral message has none, and neither has its ACK."""
    assert Message("CHAT", 1, "r", seq=3, epoch="e").position == Position("e", 3)
    assert Message("TYPING", 1, "r").position is None
    assert Accepted("m", "r", None, None).position is None
    assert Accepted("m", "r", 3, "e").position == Position("e", 3)
