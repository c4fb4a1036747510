"""presence_payloads: what is inside PRESENCE, and what a JOIN asks of presence."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.client_messages import ClientMessage
from gateway.core.presence_payloads import (
    INFO_AROUND,
    ChangeContacts,
    ReadCount,
    ReadPage,
    StopWatching,
    UpdateInfo,
    Watching,
    asked_of,
    shown_of,
    watching_of,
)
from warren.contract.presence import CONTACTS_MAX, INFO_MAX, PRESENCE_PAGE_MAX
from warren.errors import ErrorCode, ProtocolError
from warren.message_rules import MAX_DEPTH


def asked(payload: bytes):
    return asked_of(ClientMessage("PRESENCE", payload=payload))


def watching(payload: bytes):
    return watching_of(ClientMessage("JOIN", payload=payload))


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize("payload", [b"null", b"{}", b'{"since":null}', b'{"presence":null}'])
def test_a_join_may_ask_nothing_of_presence(payload):
    """Then nothing changes."""
    assert watching(payload) is None


@pytest.mark.parametrize(
    ("payload", "meaning"),
    [
        (b'{"presence":{}}', Watching()),
        (b'{"presence":{"watch":true}}', Watching(watch=True)),
        (b'{"presence":{"info":{"status":"away"}}}', Watching(info=b'{"status":"away"}')),
        (b'{"presence":{"info":null}}', Watching(info=b"")),
        (b'{"\\u0070resence":{"watch":true}}', Watching(watch=True)),
        (
            b'{"since":{"epoch":"e","seq":1},"presence":{"watch":true,"digest":"00ff00ff00ff00ff"}}',
            Watching(watch=True, digest="00ff00ff00ff00ff"),
        ),
    ],
)
def test_a_join_says_what_is_watched_and_shown(payload, meaning):
    """Info stays as it was written; null is the same as none."""
    assert watching(payload) == meaning


@pytest.mark.parametrize(
    "payload",
    [
        b'{"presence":true}',
        b'{"presence":{"watch":1}}',
        b'{"presence":{"digest":"xyz"}}',
        b'{"presence":{"digest":12}}',
        b'{"presence":{"info":"%s"}}' % (b"x" * INFO_MAX),
        b'{"presence":{"info":%s}}' % nested(MAX_DEPTH - INFO_AROUND + 1),
    ],
)
def test_what_a_join_may_not_ask_is_refused(payload):
    """With a reason for the developer."""
    with pytest.raises(ProtocolError) as caught:
        watching(payload)
    assert caught.value.code is ErrorCode.INVALID_MESSAGE


@pytest.mark.parametrize(
    ("payload", "meaning"),
    [
        (b"null", ReadPage()),
        (b"{}", ReadPage()),
        (b'{"limit":5}', ReadPage(5)),
        (b'{"after":"bob"}', ReadPage(after="bob")),
        (b'{"limit":%d,"after":"g~1"}' % PRESENCE_PAGE_MAX, ReadPage(PRESENCE_PAGE_MAX, "g~1")),
        (b'{"count":true}', ReadCount()),
        (b'{"update":{"a": 1}}', UpdateInfo(b'{"a": 1}')),
        (b'{"update":null}', UpdateInfo(b"")),
        (b'{"watch":["ann","bob"]}', ChangeContacts(("ann", "bob"))),
        (b'{"unwatch":["ann"]}', ChangeContacts((), ("ann",))),
        (b'{"watch":["ann"],"unwatch":["bob"]}', ChangeContacts(("ann",), ("bob",))),
        (b'{"watch":["ann"],"unwatch":true}', ChangeContacts(("ann",), None)),
        (b'{"watch":[],"unwatch":true}', ChangeContacts((), None)),
        (b'{"unwatch":true}', StopWatching()),
    ],
)
def test_a_presence_asks_for_one_thing(payload, meaning):
    """A page where it says nothing."""
    assert asked(payload) == meaning


@pytest.mark.parametrize(
    "payload",
    [
        b"5",
        b"[]",
        b'{"limit":0}',
        b'{"limit":%d}' % (PRESENCE_PAGE_MAX + 1),
        b'{"after":5}',
        b'{"count":1}',
        b'{"watch":true}',
        b'{"watch":"ann"}',
        b'{"watch":[""]}',
        b'{"watch":[5]}',
        json.dumps({"watch": ["a"] * (CONTACTS_MAX + 1)}).encode(),
        b'{"limit":5,"count":true}',
        b'{"update":1,"watch":["ann"]}',
        b'{"update":"%s"}' % (b"x" * INFO_MAX),
    ],
)
def test_what_a_presence_may_not_ask_is_refused(payload):
    """Also two things at once."""
    with pytest.raises(ProtocolError) as caught:
        asked(payload)
    assert caught.value.code is ErrorCode.INVALID_MESSAGE


def test_binary_payloads_ask_for_nothing_of_ours():
    """They are refused, whatever they hold."""
    for read in (asked_of, watching_of):
        with pytest.raises(ProtocolError):
            read(ClientMessage("PRESENCE", payload=b"{}", binary=True))


def test_what_is_shown_is_bounded_in_bytes_and_in_depth():
    """At most a kibibyte, and no deeper than that frames that show it can still be read."""
    assert shown_of(b'"%s"' % (b"x" * (INFO_MAX - 2))) is not None
    assert shown_of(b'"%s"' % (b"x" * (INFO_MAX - 1))) is None
    assert shown_of(nested(MAX_DEPTH - INFO_AROUND)) is not None
    assert shown_of(nested(MAX_DEPTH - INFO_AROUND + 1)) is None
    assert shown_of(b"null") == b""


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_an_answer_or_a_refusal(value):
    """Nothing else is ever raised."""
    for read, kind in ((asked_of, "PRESENCE"), (watching_of, "JOIN")):
        for payload in (value, {"presence": value}, {"watch": value, "update": value}):
            with contextlib.suppress(ProtocolError):
                read(ClientMessage(kind, payload=json.dumps(payload).encode()))
