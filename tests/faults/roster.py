"""A roster: what a client that watches a room knows of who is there and who has seen what, by the protocol's
rules, and what it has been sent for that.

It adds what ``joined`` and ``updated`` say and takes away what ``left`` says, compares the sum of the proofs
with the digest and that of the seqs with the one that it was told, and asks for the list, page by page, where
they differ. Nothing of Warren's code is in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MODULUS = 2**64
PAGE = 500


@dataclass
class Traffic:
    """Bytes of PRESENCE frames that watchers were sent, by what they were."""

    first_pages: int = 0  # behind a JOIN
    changes: int = 0  # who has come and gone
    numbers: int = 0  # what there is, without names
    # when (monotonic) and how many bytes of pages that were asked for because the digest differed
    asked: list[tuple[float, int]] = field(default_factory=list)


class Roster:
    """One watcher's, of one room."""

    def __init__(self, traffic: Traffic) -> None:
        """Know nothing yet."""
        self.members: dict[str, int] = {}  # name ▶ proof
        self.users = self.connections = 0
        self.digest = 0
        self.epoch = ""  # in which the seqs count that users have seen
        self.seen: dict[str, int] = {}  # user ▶ seq
        self.seen_sum = 0
        self.known = False  # the first list has come since the last JOIN
        self.list_bytes = 0  # what the last whole list took
        self.asks = 0
        self._traffic = traffic
        self._after: str | None = None  # behind which the awaited page begins
        self._first = False  # what is awaited was not asked for by us

    @property
    def agrees(self) -> bool:
        """Whether the names are those of which it was told last that they are there, and the seqs those that
        they have seen.
        """
        named = sum(self.members.values()) % MODULUS == self.digest
        return named and sum(self.seen.values()) == self.seen_sum

    def joined(self) -> None:
        """The room is joined, and watched, by a new connection: its first page follows."""
        self.known, self._after, self._first = False, "", True

    def ask(self) -> dict[str, Any] | None:
        """Return the payload that asks for the list; None where a page is awaited."""
        if self._after is not None:
            return None
        self.asks += 1
        self._after, self._first = "", False
        return {"limit": PAGE, "after": ""}

    def take(self, payload: dict[str, Any], size: int, now: float) -> dict[str, Any] | None:
        """Take a PRESENCE frame; return what is to be asked for the next page, where there is one."""
        if "version" not in payload:
            return None
        count = payload["count"]
        self.users, self.connections = count["users"], count["connections"]
        self.digest = int(payload["digest"], 16)
        self._take_seen(payload)
        if payload.get("page"):
            return self._page(payload, size, now)
        named = payload.get("seen", {}).get("users")
        if named or any(payload.get(part) for part in ("joined", "left", "updated")):
            self._traffic.changes += size
        else:
            self._traffic.numbers += size
        self._add(payload)
        for name in payload.get("left", ()):
            self.members.pop(name, None)
        return None

    def _take_seen(self, payload: dict[str, Any]) -> None:
        said = payload.get("seen")
        if said is None:
            return
        first_page = bool(payload.get("page")) and payload["after"] == ""
        if said["epoch"] != self.epoch or first_page:  # that has all of them
            self.epoch, self.seen = said["epoch"], {}
        self.seen_sum = said["sum"]
        for user, seq in said.get("users", {}).items():
            self.seen[user] = max(seq, self.seen.get(user, 0))

    def _page(self, payload: dict[str, Any], size: int, now: float) -> dict[str, Any] | None:
        if self._first:
            self._traffic.first_pages += size
        else:
            self._traffic.asked.append((now, size))
        if self._after is None or payload["after"] != self._after:
            return None
        self.list_bytes = size + (self.list_bytes if self._after else 0)
        last = payload["joined"][-1]["user"] if payload["more"] and payload["joined"] else None
        for name in [name for name in self.members if name > self._after and (last is None or name <= last)]:
            del self.members[name]
        self._add(payload)
        self._after = last
        if last is None:
            self.known = True
            return None
        return {"limit": PAGE, "after": last}

    def _add(self, payload: dict[str, Any]) -> None:
        for member in (*payload.get("joined", ()), *payload.get("updated", ())):
            self.members[member["user"]] = int(member["proof"], 16)
