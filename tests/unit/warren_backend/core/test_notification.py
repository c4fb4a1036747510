"""Notifications are checked by Warren's rules before they are sent, and written as Warren reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.core.notification_list_parser import is_list, parse_entry, split_list
from router.core.notification_parser import Notification as Read
from router.core.notification_parser import parse
from warren.envelope import Publish
from warren_backend.core.errors import InvalidNotification
from warren_backend.core.notification import MAX_LIST_BYTES, Notification, lists

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def read(notification: Notification) -> Publish | str:
    """Return what a router makes of the message."""
    message = notification.message("written")
    said = Read(
        key=message.routing_key,
        body=message.body,
        content_type=message.content_type,
        type=message.type,
        id=message.message_id,
        expiration_ms=message.expiration_ms,
        latest_key=message.headers.get("key"),
        receipt=message.headers.get("receipt"),
        seen_within_ms=message.headers.get("seen_within_ms"),
    )
    return parse(said, now_us=1_000, max_bytes=1_000_000)


@pytest.mark.parametrize(
    "notification",
    [
        Notification(address="room.a", payload={"text": "é"}),
        Notification(address="user.ann", payload=b"\x00\xff", type="deal.done", id="x" * 255),
        Notification(address="conn.g1~5f", payload=None, key="k" * 128, expiration_ms=0),
        Notification(address="all", payload=[1], traceparent=TRACE, expiration_ms=4294967295),
        Notification(address="room.a", payload=1, seen_within_ms=1_000, persistent=False),
    ],
)
def test_what_may_be_sent_is_what_a_router_reads(notification: Notification) -> None:
    """As a message of its own, and as an entry of a list."""
    made = read(notification)
    assert isinstance(made, Publish)
    assert (made.type, made.id, made.key) == (notification.type, notification.id, notification.key or "")
    (message,) = lists([notification])
    assert is_list(message.content_type)
    entries = split_list(message.body, max_bytes=1_000_000)
    assert isinstance(entries, list)
    listed = parse_entry(entries[0], now_us=1_000, max_bytes=1_000_000)
    assert isinstance(listed.made, Publish)
    assert (listed.made.room, listed.made.payload, listed.made.binary, listed.made.expires_ms) == (
        made.room, made.payload, made.binary, made.expires_ms
    )  # fmt: skip
    assert listed.traceparent == (notification.traceparent or "")
    assert message.persistent == notification.persistent == notification.message().persistent


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"address": "room.@a"}, "is no address"),
        ({"type": "a b"}, "invalid type 'a b'"),
        ({"type": "JOINED"}, "reserved type 'JOINED'"),
        ({"type": ""}, "invalid type"),
        ({"id": ""}, "invalid id"),
        ({"id": "~a"}, "must not|does not begin with ~"),
        ({"id": "é" * 128}, "255"),
        ({"id": "a\n"}, "printable"),
        ({"key": "k" * 129}, "invalid key"),
        ({"expiration_ms": -1}, "invalid expiration_ms"),
        ({"expiration_ms": 1 << 32}, "invalid expiration_ms"),
        ({"seen_within_ms": 10}, "invalid seen_within_ms"),
        ({"seen_within_ms": 1_000, "address": "all"}, "only what goes to a room or a user"),
        ({"traceparent": "x"}, "invalid traceparent"),
    ],
)
def test_what_a_router_would_set_aside_is_refused_with_the_remedy(fields: dict[str, Any], said: str) -> None:
    """Nothing is sent."""
    with pytest.raises(InvalidNotification, match=said):
        Notification(**{"address": "room.a", "payload": 1} | fields)


def test_a_payload_that_is_none_is_refused_when_it_is_written() -> None:
    """As a message and as an entry."""
    notification = Notification(address="room.a", payload=object())
    with pytest.raises(InvalidNotification, match="no JSON"):
        notification.message()
    with pytest.raises(InvalidNotification, match="no JSON"):
        list(lists([notification]))


def test_each_has_an_id_of_its_own() -> None:
    """So sending the same one again counts once."""
    one, other = (Notification(address="room.a", payload=1) for _ in range(2))
    assert one.id != other.id
    assert one.message().message_id == one.id == json.loads(one.entry())["id"]


def test_lists_hold_a_thousand_and_four_mebibytes() -> None:
    """In the order of the notifications, and no message larger than Warren takes."""
    many = [Notification(address="room.a", payload=number) for number in range(2_100)]
    found = [json.loads(message.body) for message in lists(many)]
    assert [len(entries) for entries in found] == [1_000, 1_000, 100]
    assert [entry["payload"] for entries in found for entry in entries] == [*range(2_100)]
    large = [Notification(address="room.a", payload="x" * 1_500_000) for _ in range(5)]
    sizes = [len(message.body) for message in lists(large)]
    assert len(sizes) == 3
    assert max(sizes) <= MAX_LIST_BYTES
    with pytest.raises(InvalidNotification, match="too large for a list"):
        list(lists([Notification(address="room.a", payload="x" * MAX_LIST_BYTES)]))
    assert list(lists([])) == []
