"""A frame that waits."""

from warren_client.core.entry import Entry


def test_only_what_was_seen_is_said_without_an_answer() -> None:
    """Every other frame waits for its answer, or for an error."""
    assert Entry("1", "SEEN", str).is_unanswered
    assert not any(Entry("1", kind, str).is_unanswered for kind in ("message", "JOIN", "HISTORY", "REQUEST"))


def test_two_entries_are_never_equal() -> None:
    """The same id again is another entry."""
    assert Entry("1", "message", str) != Entry("1", "message", str)
