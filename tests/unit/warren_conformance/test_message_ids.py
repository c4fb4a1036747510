"""Ids of messages."""

from __future__ import annotations

from warren_conformance.message_ids import MessageIds


def chat(room: str, ref: str | None, payload: object, kind: str = "CHAT") -> dict[str, object]:
    return {"type": kind, "room": room, "id": ref, "payload": payload}


def test_an_id_is_one_messages_own() -> None:
    """A repeat is the same message; another message, or another type, under its id is lost."""
    ids = MessageIds()
    assert ids.problem(chat("r", "1", {"a": 1})) is None
    assert ids.problem(chat("r", "1", {"a": 1})) is None
    assert ids.problem(chat("other", "1", 2)) is None
    assert "'1'" in (ids.problem(chat("r", "1", {"a": 2})) or "")
    assert ids.problem(chat("r", "1", {"a": 1}, "NOTIFICATION")) is not None


def test_frames_that_are_no_messages_may_share_ids() -> None:
    """And what has no id has none to share."""
    ids = MessageIds()
    for kind in ("JOIN", "PING"):
        assert ids.problem(chat("r", "1", kind, kind)) is None
    assert ids.problem(chat("r", None, 1)) is None
    assert ids.problem(chat("r", None, 2)) is None
