"""The reference client's list of who is in a room: diffs, pages, and the digest that proves it."""

from __future__ import annotations

from typing import Any

MODULUS = 1 << 64


class Roster:
    """One room's members."""

    def __init__(self, faults: frozenset[str]) -> None:
        self.members: dict[str, int] = {}
        self.after: str | None = None  # the name behind which a read goes on
        self._digest = 0
        self._found: dict[str, int] = {}
        self._diffs: list[dict[str, Any]] = []
        self._faults = faults

    @property
    def is_right(self) -> bool:
        if "ignores_the_digest" in self._faults:
            return True
        return sum(self.members.values()) % MODULUS == self._digest

    @property
    def digest(self) -> str:
        return f"{sum(self.members.values()) % MODULUS:016x}"

    def begin(self) -> dict[str, Any]:
        """Read the list; return what to ask for."""
        self.after, self._found, self._diffs = "", {}, []
        return {"limit": 100}

    def take(self, payload: dict[str, Any]) -> dict[str, Any] | None:
        """Take what arrived; return what to ask for next, if a read goes on."""
        self._digest = int(payload["digest"], 16)
        if not payload.get("page"):
            self._diffs.append(payload)
            self._apply(self.members, payload)
            return None
        if self.after is None:
            self.begin()
        if payload.get("after", "") != self.after:
            return None
        found = {each["user"]: int(each["proof"], 16) for each in payload.get("joined", [])}
        self._found |= found
        if payload.get("more") and found and "reads_one_page" not in self._faults:
            self.after = max(found)
            return {"limit": 100, "after": self.after}
        if "adds_pages_to_the_list" in self._faults:
            self._found = self.members | self._found
        for diff in self._diffs:
            if diff["version"] > payload["version"] or len(self._found) > len(found):
                self._apply(self._found, diff)
        self.members, self.after = self._found, None
        return None

    def _apply(self, members: dict[str, int], diff: dict[str, Any]) -> None:
        if "keeps_who_has_left" not in self._faults:
            for user in diff.get("left", []):
                members.pop(user, None)
        for each in [*diff.get("joined", []), *diff.get("updated", [])]:
            members[each["user"]] = int(each["proof"], 16)
