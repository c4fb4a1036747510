"""Notification list: each entry is what it would be as a single notification; a body that is no list has a
reason.
"""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.cost import STEP, is_linear, lines

from router.core.notification_list_parser import (
    MAX_ENTRIES,
    Parsed,
    is_list,
    max_list_bytes,
    parse_entry,
    split_list,
)
from router.core.notification_parser import Notification, parse
from warren.envelope import Publish

NOW = 1_764_000_000_000_000


def judge(entry, max_bytes=100):
    return parse_entry(
        entry if isinstance(entry, bytes) else json.dumps(entry).encode(), now_us=NOW, max_bytes=max_bytes
    )


def reason(entry):
    made = judge(entry).made
    assert isinstance(made, str)
    return made.partition(":")[0]


def test_a_list_is_known_by_its_content_type():
    """Case and parameters do not matter; anything else is a single notification."""
    assert is_list("Application/vnd.warren.notifications+JSON; charset=utf-8")
    assert not any(
        is_list(other) for other in (None, "", "application/json", "application/vnd.warren.notifications")
    )


def test_a_list_opens_into_its_entries_bytes():
    """In order, each as it stood there, whatever it is."""
    assert split_list(b' [ {"a": [1]} ,2,"\xff", null ] ', max_bytes=100) == [
        b'{"a": [1]}',
        b"2",
        b'"\xff"',
        b"null",
    ]
    assert split_list(b"[]", max_bytes=100) == []


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"1", b"null", b"[", b"[1,]", b"[1] 2", b"\xff", b"[" * 100_000]
)
def test_what_is_no_array_has_a_reason(body):
    """And is not opened in part."""
    assert (
        split_list(body, max_bytes=100)
        == "invalid list: no JSON array, or one that nests too deep to be read"
    )


def test_a_list_is_bounded_in_entries_and_bytes():
    """A thousand and 4 MiB pass, one more does not; the payload's limit raises that of the bytes."""
    assert len(split_list(b"[" + b"1," * (MAX_ENTRIES - 1) + b"1]", max_bytes=100)) == MAX_ENTRIES
    for more in (MAX_ENTRIES, 10 * MAX_ENTRIES):
        assert (
            split_list(b"[" + b"1," * more + b"1]", max_bytes=100)
            == "too many: a list has at most 1000 notifications"
        )
    limit = 4 * 1024 * 1024
    assert split_list(b"[]".ljust(limit), max_bytes=100) == []
    assert (
        split_list(b"[]".ljust(limit + 1), max_bytes=100)
        == f"too large: a list of {limit + 1} bytes, at most {limit}"
    )
    assert max_list_bytes(limit) == 2 * limit


def test_every_field_is_carried():
    """As the properties of a single notification are."""
    entry = {
        "address": "user.ann", "type": "deal", "id": "m1", "payload": "AP8=", "encoding": "base64", "key": "EURUSD",
        "expiration": 1_500, "traceparent": "t", "unknown": [1],
    }  # fmt: skip
    made = Publish(
        "@ann", "deal", b"\x00\xff", NOW, id="m1", binary=True, key="EURUSD", expires_ms=NOW // 1_000 + 1_500
    )
    assert judge(entry) == Parsed(made, "t")


def test_a_bare_entry_has_the_defaults():
    """The payload's bytes are those that stand in the list."""
    assert judge(b'{"address":"room.a","payload": {"n" :1} }') == Parsed(
        Publish("a", "NOTIFICATION", b'{"n" :1}', NOW), ""
    )


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (b"1", "invalid entry"),
        (b"", "invalid entry"),
        ({}, "invalid entry"),
        ({"address": "room.a"}, "invalid entry"),
        ({"payload": 1}, "invalid entry"),
        ({"address": 1, "payload": 1}, "invalid entry"),
        ({"address": "room.a", "payload": 1, "expiration": "1"}, "invalid entry"),
        ({"address": "room.a", "payload": 1, "key": 1}, "invalid entry"),
        (b'{"address":"room.a","payload":"\xff"}', "invalid entry"),
        ({"address": "rooms.a", "payload": 1}, "invalid address"),
        ({"address": "room.a", "payload": 1, "type": "JOIN"}, "reserved type"),
        ({"address": "room.a", "payload": 1, "id": "~1"}, "reserved message_id"),
        ({"address": "room.a", "payload": 1, "key": "k" * 129}, "invalid header key"),
        ({"address": "room.a", "payload": 1, "expiration": -1}, "invalid expiration"),
        ({"address": "room.a", "payload": "x" * 100}, "too large"),
        ({"address": "room.a", "payload": "A" * 136, "encoding": "base64"}, "too large"),
        ({"address": "room.a", "payload": "A", "encoding": "base64"}, "invalid payload"),
        ({"address": "room.a", "payload": "A A=", "encoding": "base64"}, "invalid payload"),
        ({"address": "room.a", "payload": "é", "encoding": "base64"}, "invalid payload"),
        ({"address": "room.a", "payload": 1, "encoding": "base64"}, "invalid payload"),
        ({"address": "room.a", "payload": 1, "encoding": "hex"}, "invalid encoding"),
    ],
)
def test_what_is_invalid_has_a_reason(entry, expected):
    """The part before the colon is one of a few words, so that it can be counted."""
    assert reason(entry) == expected


def test_a_payload_nests_as_deep_as_a_single_ones():
    """128 levels, not counting those of the list; one more makes that entry invalid, and no other."""
    entries = [
        b'{"address":"room.a","payload":' + b"[" * depth + b"]" * depth + b"}" for depth in (128, 129, 400)
    ]
    assert split_list(b"[" + b",".join(entries) + b"]", max_bytes=1_000) == entries
    first, *deeper = [judge(entry, 1_000).made for entry in entries]
    assert first.payload == b"[" * 128 + b"]" * 128
    assert [made.partition(":")[0] for made in deeper] == ["invalid payload"] * 2


def test_an_entry_is_judged_in_linear_time():
    """No backend can keep a router from its work."""
    small, large = (
        b'{"address":"room.a","payload":[' + b"[]," * size + b"1]}" for size in (5_000, 5_000 * STEP)
    )
    assert lines(lambda: judge(large, 400_000)) == lines(lambda: judge(small, 400_000))
    assert is_linear(lambda entry: judge(entry, 400_000), small, large)
    assert is_linear(lambda body: split_list(body, max_bytes=1), b"[" + small + b"]", b"[" + large + b"]")


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda inner: b"[" + inner + b"]"))
def test_no_bytes_raise(body):
    """There are entries that are judged, or a reason."""
    entries = split_list(body, max_bytes=30)
    if isinstance(entries, str):
        assert entries
    else:
        assert all(judge(entry, 30).made for entry in entries)
    assert judge(body, 30).made


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["room.a", "room.b", "user.ann", "conn.g1~1", "all", "rooms.a", "room."]) | st.text(
    max_size=6
)
PAYLOADS = JSON.map(lambda value: (json.dumps(value).encode(), None)) | st.binary(max_size=40).map(
    lambda value: (value, "base64")
)
OPTIONS = st.fixed_dictionaries(
    {}, optional={"type": st.sampled_from(["deal", "JOIN", "CHAT", ""]), "id": st.text(max_size=5),
                  "key": st.text(max_size=5), "expiration": st.integers(-1, 2**33)},
)  # fmt: skip


@given(st.lists(st.tuples(NAMES, PAYLOADS, OPTIONS), max_size=5))
def test_a_list_gives_what_its_entries_give_one_by_one(entries):
    """The same envelope, or the same reason, in the same order."""
    single, parts = [], []
    for address, (payload, encoding), options in entries:
        content_type = "application/octet-stream" if encoding else "application/json"
        notification = Notification(
            address, payload, content_type, options.get("type"), options.get("id"), options.get("expiration"),
            options.get("key"),
        )  # fmt: skip
        single.append(parse(notification, now_us=NOW, max_bytes=30))
        text = json.dumps(base64.b64encode(payload).decode()).encode() if encoding else payload
        rest = json.dumps(
            {"address": address, **options, **({"encoding": encoding} if encoding else {})}
        ).encode()
        parts.append(rest[:-1] + b', "payload": ' + text + b"}")
    opened_ones = split_list(b"[" + b", ".join(parts) + b"]", max_bytes=30)
    assert [judge(entry, 30).made for entry in opened_ones] == single
