"""Deliveries: what a client's application was given of one room, held to what was due. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def difference(room: str, given: Sequence[int], due: Sequence[int]) -> str | None:
    """Return what is wrong with the messages that the application was given, by their seqs; None: nothing so
    far. What is still due is not wrong.
    """
    for index, seq in enumerate(given):
        if index < len(due) and due[index] == seq:
            continue
        if seq in given[:index] and list(given[: index + 1]).count(seq) > list(due).count(seq):
            return f"the client delivered message {seq} of {room} twice ({_shown(given, index)})"
        if index < len(due):
            if due[index] in given[index:] or seq in due[index:]:
                return (
                    f"the client delivered message {seq} of {room} although {due[index]} was due before it "
                    f"({_shown(given, index)})"
                )
            return f"the client delivered message {seq} of {room}, and {due[index]} was due"
        return f"the client delivered message {seq} of {room}, which was not due ({_shown(given, index)})"
    return None


def missing(room: str, given: Sequence[int], due: Sequence[int]) -> str:
    """Return which message never came."""
    so_far = f"it has delivered {_shown(given, len(given) - 1)}" if given else "it has delivered none"
    return f"the client never delivered message {due[len(given)]} of {room} ({so_far})"


def _shown(given: Sequence[int], until: int) -> str:
    first = max(0, until - 7)
    return ("… " if first else "") + ", ".join(str(seq) for seq in given[first : until + 1])
