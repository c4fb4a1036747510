"""Records of messages."""

from __future__ import annotations

from warren_backend.core.messages import Incoming, Outgoing


def test_a_header_that_is_no_text_is_none() -> None:
    """Strangers write headers, too."""
    message = Incoming(routing_key="", body=b"", headers={"a": "x", "b": 1, "c": b"y"})
    assert [message.text(name) for name in "abcd"] == ["x", "", "", ""]


def test_a_message_is_as_large_as_its_body_and_a_little() -> None:
    """Empty ones are not free."""
    assert Outgoing(routing_key="a", body=b"x" * 100).size > 100
    assert Outgoing(routing_key="a", body=b"").size > 0
