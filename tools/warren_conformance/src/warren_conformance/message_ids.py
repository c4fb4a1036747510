"""Message ids: whether a client gives each of its messages an id of its own. Pure."""

from __future__ import annotations

import json

from warren_conformance import contract
from warren_conformance.codec import Frame


class MessageIds:
    """The ids of one user's messages, over all its connections."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}

    def problem(self, frame: Frame) -> str | None:
        """Take a frame; return what is wrong with its id. The same message under the same id is a repeat."""
        ref = frame.get("id")
        if ref is None or not contract.is_message(frame):
            return None
        said = json.dumps([frame["type"], frame.get("payload")], sort_keys=True)
        before = self._known.setdefault((str(frame.get("room")), ref), said)
        if before == said:
            return None
        return (
            f"the client sent two different messages to {frame.get('room')} under the id {ref!r}: "
            "the second one counts as a repeat of the first, and is lost"
        )
