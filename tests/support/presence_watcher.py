"""One who watches a room by the rules for that: adds and takes away what diffs and pages say, drops what is
older than what it has, and asks for the list where the digest differs.
"""

from __future__ import annotations

from warren.envelope import PresenceDiff, PresenceMember, PresencePage, PresenceQuery

MODULUS = 2**64


class PresenceWatcher:
    """What one connection knows of one room."""

    def __init__(self, room: str, conn: str, limit: int = 100) -> None:
        self.members: dict[str, PresenceMember] = {}
        self.version = -1
        self.users = self.connections = 0
        self.digest = 0  # as it was told last
        self.counts_only = False
        self.asks = 0  # how often it has asked for the list
        self._room, self._conn, self._limit = room, conn, limit
        self._after: str | None = None  # behind which the page that it waits for begins

    @property
    def agrees(self) -> bool:
        """Whether it has what it was told last that there is."""
        proofs = sum(member.proof for member in self.members.values())
        return self.counts_only or proofs % MODULUS == self.digest

    def ask(self) -> PresenceQuery:
        """Return the question for the first page; what was asked before is given up."""
        self.asks += 1
        self._after = ""
        return self._question()

    def ask_again(self) -> PresenceQuery | None:
        """Return the question that nobody has answered yet."""
        return None if self._after is None else self._question()

    def diff(self, diff: PresenceDiff) -> bool:
        """Take a diff; return whether it is time to ask."""
        if diff.version < self.version:
            return False
        self._numbers(diff)
        for member in (*diff.joined, *diff.updated):
            self.members[member.key] = member
        for key in diff.left:
            self.members.pop(key, None)
        return self._after is None and not self.agrees

    def page(self, page: PresencePage) -> PresenceQuery | None:
        """Take a page; return what is to be asked behind it."""
        if self._after is None or page.ref != self._ref() or page.version < self.version:
            return None
        self._numbers(page)
        last = page.members[-1].key if page.more and page.members else None
        for key in list(self.members):
            if key > self._after and (last is None or key <= last):
                del self.members[key]
        self.members.update((member.key, member) for member in page.members)
        self._after = last
        if last is not None:
            return self._question()
        return None if self.agrees else self.ask()

    def _numbers(self, told: PresenceDiff | PresencePage) -> None:
        self.version, self.digest, self.counts_only = told.version, told.digest, told.counts_only
        self.users, self.connections = told.users, told.connections
        if told.counts_only:
            self.members.clear()

    def _question(self) -> PresenceQuery:
        return PresenceQuery(self._room, self._conn, self._ref(), self._limit, self._after or "")

    def _ref(self) -> str:
        return f"{self.asks}:{self._after}"
