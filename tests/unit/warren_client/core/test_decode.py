"""What the server sends has the meaning of the vectors; whatever else arrives is an InvalidError."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.client_scene import Scene
from tests.support.vectors import vectors

from warren_client.core.decode import error_of, message_of, page_of, payload_of, read_frame, welcome_of
from warren_client.errors import InvalidError


@pytest.mark.parametrize("vector", vectors("server"), ids=lambda vector: str(vector["name"]))
def test_a_frame_has_the_meaning_that_a_vector_says(vector: dict[str, Any]) -> None:
    """Messages with all their fields, who we are, and errors with what to do."""
    frame, fields = read_frame(vector["frame"]), vector["fields"]
    plain = json.loads(vector["frame"])
    if "payload_base64" in fields:
        assert frame["payload"] == base64.b64decode(fields["payload_base64"])
    else:
        assert frame.get("payload") == plain.get("payload")
    match vector["struct"]:
        case "Deliver":
            message = message_of(frame)
            assert (message.room, message.sender) == (fields["room"], fields.get("user") or None)
            assert message.seq == (fields.get("seq") or None)
            assert message.traceparent == (fields.get("trace") or None)
            assert (message.position is None) == (message.seq is None)
        case "Welcome":
            welcome = welcome_of(frame)
            assert (welcome.connection, welcome.user) == (fields["connection"], fields["user"])
            assert welcome.limits.rate == fields["rate"]
        case "Error":
            error = error_of(frame)
            assert (error.code, error.message, error.ref) == (
                fields["code"],
                plain["payload"]["message"],
                plain.get("ref"),
            )
            after = plain["payload"].get("retry_after_ms")
            assert error.retry_after == (after / 1_000 if after is not None else None)
            assert error.retry == plain["payload"]["retry"]
        case "History":
            messages, more = page_of(frame)
            assert [each.seq for each in messages] == [each["seq"] for each in plain["payload"]["messages"]]
            assert more == plain["payload"]["more"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"type": 7}',
        "[" * 100_000,
        '{"type": "CHAT", "room": 7}',
        '{"type": "CHAT", "seq": "7"}',
        '{"type": "CHAT", "seq": 7}',
        '{"type": "CHAT", "encoding": "base64", "payload": "%"}',
        '{"type": "CHAT", "encoding": "base64", "payload": 7}',
        '{"type": "CHAT", "encoding": "base64"}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_frame_is_an_error(text: str | bytes) -> None:
    """One that says what is wrong."""
    with pytest.raises(InvalidError, match="the server sent an invalid frame"):
        read_frame(text)


def test_a_payload_that_should_be_an_object_is_an_error_if_it_is_none() -> None:
    """Null counts as an empty one."""
    assert payload_of({"type": "LEFT", "payload": None}) == {}
    with pytest.raises(InvalidError):
        payload_of({"type": "LEFT", "payload": [1]})
    with pytest.raises(InvalidError):
        page_of({"type": "HISTORY", "payload": {}})
    with pytest.raises(InvalidError):
        welcome_of({"type": "WELCOME", "payload": {"connection": "c", "user": "u", "limits": {"rate": "x"}}})


TYPES = sorted({json.loads(vector["frame"])["type"] for vector in vectors("server")} - {"WELCOME"})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NAMES = [
    "epoch",
    "seq",
    "recovered",
    "missed",
    "count",
    "version",
    "digest",
    "page",
    "joined",
    "left",
    "users",
]
PAYLOADS = st.dictionaries(st.sampled_from([*NAMES, "seen", "level", "code", "messages", "close"]), VALUES)


@given(
    kind=st.sampled_from(TYPES),
    payload=PAYLOADS | VALUES,
    ref=VALUES,
    room=st.sampled_from(["r", "@ann", "*", 7]),
)
def test_no_frame_of_the_server_is_a_fault_of_the_client(
    kind: str, payload: Any, ref: Any, room: Any
) -> None:
    """Whatever it says, it is taken or reported, and the next message arrives."""
    scene = Scene()
    scene.open()
    state = scene.room("r", presence=True)
    scene.say({"type": kind, "room": room, "ref": ref, "payload": payload})
    is_moving = kind == "RECONNECT"
    if (
        scene.state == "open"
        and not is_moving
        and scene.session.rooms.get("r") is state
        and not state.position.asked
    ):
        before = len(state.inbox.items)
        scene.say({"type": "TYPING", "room": "r", "payload": None})
        assert len(state.inbox.items) == before + 1
