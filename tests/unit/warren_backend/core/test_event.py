"""Events, as routers publish them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from warren.contract.events import EVENTS
from warren.contract.examples import EXAMPLES
from warren_backend.core.event import Event, event_of
from warren_backend.core.messages import Incoming


def made(body: dict[str, Any], **headers: Any) -> Event:
    return event_of(Incoming(routing_key="k", body=json.dumps(body).encode(), headers=headers))


BASE = {"event_id": "1", "event": "client.connected", "at": 5}


def test_the_examples_of_the_contract_are_read() -> None:
    """Each field of each kind has a place."""
    names = {"event_id": "id", "id": "message_id"}
    for struct in EVENTS:
        for example in EXAMPLES[struct]:
            event = made(example)
            for name, value in example.items():
                if name not in ("payload", "encoding"):
                    assert getattr(event, names.get(name, name)) == value
            assert event.data == example


def test_a_repeat_has_the_same_key_and_another_shards_event_another() -> None:
    """An id is unique for its source."""
    one = made(BASE, cloudEvents_source="warren/1")
    other = made(BASE, cloudEvents_source="warren/2")
    assert (one.key, other.key) == ("warren/1#1", "warren/2#1")
    assert made(BASE).key == "1"


def test_who_really_comes_and_goes_is_told() -> None:
    """By how many connections there are then."""
    assert made(BASE | {"connections": 1}).came
    assert not made(BASE | {"connections": 2}).came
    assert made(BASE | {"event": "room.left", "connections": 0}).went
    assert not made(BASE | {"event": "room.left", "connections": 1}).went
    assert not made(BASE | {"event": "room.left"}).went


def test_bytes_are_bytes() -> None:
    """Base64 is the wire's business."""
    assert made(BASE | {"payload": "AP8=", "encoding": "base64"}).payload == b"\x00\xff"
    assert made(BASE | {"payload": "AP8="}).payload == "AP8="


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "no JSON"),
        (b"[" * 100_000, r"no JSON|too deep"),
        (b"[]", "no JSON object"),
        (b"{}", "no event_id"),
        (json.dumps(BASE | {"payload": "?", "encoding": "base64"}).encode(), "no base64"),
        (json.dumps(BASE | {"payload": 7, "encoding": "base64"}).encode(), "no base64"),
    ],
)
def test_what_is_none_says_why(body: bytes, said: str) -> None:
    """A ValueError, whatever came."""
    with pytest.raises(ValueError, match=said):
        event_of(Incoming(routing_key="k", body=body))
