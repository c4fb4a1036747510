"""Frames as server-sent events: what is shared, and that no text begins a line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.event_stream import EventParser

from gateway.core import codec_json
from gateway.core.client_messages import Acked, Dropped, Joined, Left, Pong, Welcome
from gateway.core.sse import events
from warren.address import EVERYONE
from warren.envelope import Deliver
from warren.errors import CloseCode

JSON_TEXT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def deliver(seq: int = 13, room: str = "chat:lobby", payload: bytes = b"1") -> Deliver:
    """Return a message."""
    return Deliver(room, "19ab-1" if seq else "", seq, "CHAT", payload, 1_000, id="m", user="ann")


def test_a_numbered_message_says_where_its_room_is():
    """Alone: what else stands in an id differs from reader to reader."""
    made = deliver()
    text = codec_json.encode_delivery(made)
    assert events.delivery(made, text) == b"id: chat:lobby~19ab-1~13\ndata: " + text + b"\n\n"


@pytest.mark.parametrize("made", [deliver(0), deliver(5, EVERYONE)])
def test_what_can_not_be_resumed_moves_nobody(made: Deliver):
    """Ephemeral messages, and those of everyone's room."""
    text = codec_json.encode_delivery(made)
    assert events.delivery(made, text) == b"data: " + text + b"\n\n"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (Joined("a", "e", 4, recovered=True), b"id: a~e~4\n"),
        (Joined(EVERYONE, "e", 4, recovered=False), b""),
        (Left("a"), b"id: a~\n"),
        (Left("a", reason="removed"), b"id: a~\n"),
        (Left("a", reason="unavailable"), b""),
        (Welcome("g~1", "ann", 1, ("a", "@ann"), 1, 1, 1, 1), b"id: a,@ann\n"),
        (Acked("m", "a", "e", 5), b""),
        (Dropped("a", 3, 9), b""),
        (Pong(), b""),
    ],
)
def test_what_moves_a_reader(message, line: bytes):
    """JOINED and LEFT do; an ACK does not, nor does DROPPED: the next message does."""
    assert events.private(message, b"{}") == line + b"data: {}\n\n"


@given(JSON_TEXT, st.sampled_from([None, 1, "\t", "\n "]))
def test_no_payload_begins_a_line(value: object, indent: int | str | None):
    """Whatever JSON it is, however it is broken into lines, one event with the same value comes out."""
    payload = json.dumps(value, indent=indent, ensure_ascii=False).replace("\n", "\r\n")
    try:
        encoded = payload.encode()
    except UnicodeEncodeError:
        return
    made = deliver(payload=encoded)
    sent = events.delivery(made, codec_json.encode_delivery(made))
    assert sent.count(b"\n") == 3
    (event,) = EventParser().feed(sent.decode())
    assert event.last_event_id == "chat:lobby~19ab-1~13"
    assert json.loads(event.data)["payload"] == value


@pytest.mark.parametrize("code", list(CloseCode))
def test_the_last_event_says_whether_to_come_back(code: CloseCode):
    """And has a browser that does not know it stay away for long where it should."""
    parser = EventParser()
    (event,) = parser.feed(events.close(int(code), "Why\nnot", 2_000).decode())
    said = json.loads(event.data)
    assert event.type == "close"
    assert (said["code"], said["reason"]) == (code, "Why\nnot")
    assert said["reconnect"] == {"yes": "yes", "no": "no", "fresh token": "token"}[code.reconnect]
    assert ("after_ms" in said) == (code.reconnect == "yes")
    assert parser.retry_ms == (2_000 if code.reconnect == "yes" else events.STAY_AWAY_MS)


def test_a_code_of_nobody_lets_come_back():
    """There is none today."""
    assert b'"reconnect":"yes"' in events.close(4999, "", 1)


def test_comments_and_times_are_no_events():
    """No page sees them."""
    parser = EventParser()
    assert parser.feed((events.HEARTBEAT + events.retry(700)).decode()) == []
    assert (parser.comments, parser.retry_ms) == (1, 700)
