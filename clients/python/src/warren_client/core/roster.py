"""Who is in one room and who has seen what, kept right by proofs: each frame says the sum of the proofs of
all members, so a client that has the same sum has the same members, and only one that differs reads them. It
sends nothing itself: its owner does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from warren_client.core.feed import Feed
from warren_client.core.outcome import Outcome
from warren_client.core.seen_positions import SeenNews, SeenPositions
from warren_client.messages import Count, Member, PresenceChange

_MODULUS = 1 << 64
_PAGE = 500
_CHANGES = 1_000
# Clients that lack the same read it at different times: within so many ms for each user in the room, and
# within these limits.
_LEAST_MS, _PER_USER_MS, _MOST_MS = 250, 5, 5_000

Op = tuple[str, "tuple[Member, int] | None"]


@dataclass(frozen=True, slots=True)
class RosterOwner:
    """``later(ms, then)`` sets the one timer, or ends it (None); ``ask`` sends a PRESENCE on this
    connection.
    """

    random: Callable[[], float]
    user: Callable[[], str | None]
    later: Callable[[float | None, Callable[[], None]], None]
    is_waiting: Callable[[], bool]
    ask: Callable[[dict[str, Any]], Outcome[Any]]


@dataclass(slots=True)
class _Read:
    """A read in progress."""

    after: str = ""
    found: dict[str, tuple[Member, int]] = field(default_factory=dict)
    ranges: list[tuple[str | None, int]] = field(default_factory=list)  # (last key, version of the page)
    diffs: list[Mapping[str, Any]] = field(default_factory=list)


class Roster:
    """``members`` is key ▶ member; the key is the connection if connections are told of, otherwise the
    user.
    """

    def __init__(self, owner: RosterOwner) -> None:
        """Nobody is known to be there."""
        self.members: dict[str, Member] = {}
        self.count = Count()
        self.counts_only = False  # the room has too many members to tell them by name
        self.watching: bool | None = None  # None: not answered yet; False: the room does not tell
        self.info: Any = None
        self.says_info = False  # whether we say what the room shows of us; otherwise the token does
        self.changes: Feed[PresenceChange] | None = None
        self._proofs: dict[str, int] = {}
        self._sum = 0
        self._told: tuple[int, int] | None = None  # version, digest
        self._read: _Read | None = None
        self._failures = 0  # reads in a row that did not help
        self._is_known = False  # the members were told at least once
        self._seen = SeenPositions()
        self._owner = owner

    @property
    def is_complete(self) -> bool:
        """Whether these are all members, as the room's proof says."""
        return not self.counts_only and self._told is not None and self._told[1] == self._sum

    @property
    def seen(self) -> Mapping[str, int]:
        """User ▶ seq up to which it has seen the room."""
        return self._seen.users

    @property
    def tells_seen(self) -> bool:
        """Whether the room tells who has seen what."""
        return self._seen.epoch is not None

    def seen_by(self, epoch: str | None, seq: int) -> list[str]:
        """Return which users have seen a message, without our own."""
        if epoch is not None and epoch != self._seen.epoch:
            return []
        own = self._owner.user()
        return [user for user, up_to in self.seen.items() if up_to >= seq and user != own]

    def listen(self) -> Feed[PresenceChange]:
        """Return the queue of changes from now on. A reader that is too slow is told to look anew."""
        if self.changes is None:
            self.changes = Feed(_CHANGES, PresenceChange("reset"))
        return self.changes

    def joining(self) -> dict[str, Any]:
        """Return what a JOIN asks of presence."""
        asked: dict[str, Any] = {"watch": True}
        if self.says_info:
            asked["info"] = self.info
        if self._is_known and not self.counts_only:
            asked["digest"] = f"{self._sum:016x}"
        return asked

    def joined(self, watching: bool) -> None:
        """A JOINED says whether the room tells us."""
        self._becomes(watching)

    def disconnect(self) -> None:
        """The connection is closed: the members stay as they were, until the next one says otherwise."""
        self._read = None
        self._owner.later(None, self._begin)

    def take(self, payload: Mapping[str, Any]) -> None:
        """A PRESENCE of the room has arrived."""
        if "watching" in payload:
            return self._becomes(bool(payload["watching"]))
        if "count" not in payload:
            return None
        before = (self.count, self.counts_only)
        told = (int(payload["version"]), int(payload["digest"], 16))
        count = Count(int(payload["count"]["users"]), int(payload["count"]["connections"]))
        self.counts_only = payload.get("counts_only") is True
        if self.counts_only:
            self._clear()
        is_news = self._take_seen(payload)
        if payload.get("page"):
            self._take_page(payload, told, count)
        else:
            self._take_diff(payload, told, count)
        if before != (self.count, self.counts_only):
            self._say(PresenceChange("count"))
        if is_news:
            self._say(PresenceChange("seen"))
        return self._check()

    def _take_seen(self, payload: Mapping[str, Any]) -> bool:
        """Take who has seen what; of the pages of a read, only the first one tells that. Return whether it is
        news.
        """
        if payload.get("after"):
            return False
        said = payload.get("seen")
        if not said:
            return self._seen.clear()
        if not payload.get("page"):
            return self._seen.take(SeenNews.of(said))
        diffs = self._read.diffs if self._read else []
        return self._seen.replace(
            SeenNews.of(said), [SeenNews.of(each["seen"]) for each in diffs if each.get("seen")]
        )

    # ── diffs ───────────────────────────────────────────────────────────────────────────────────────────────

    def _take_diff(self, payload: Mapping[str, Any], told: tuple[int, int], count: Count) -> None:
        self._told, self.count = told, count
        if self._read:
            self._read.diffs.append(payload)
            if len(self._read.diffs) > _CHANGES:
                self._read = None  # read again, later
        if not self.counts_only:
            for key, entry in _ops(payload):
                self._put(key, entry)

    def _put(self, key: str, entry: tuple[Member, int] | None) -> None:
        """Set or remove (``entry`` None) a member, and say so."""
        known, proof = self.members.get(key), self._proofs.get(key)
        if known is None and entry is None:
            return
        if entry is not None and proof == entry[1]:
            return
        self._sum = (self._sum - (proof or 0) + (entry[1] if entry else 0)) % _MODULUS
        if entry is None:
            del self.members[key], self._proofs[key]
            self._say(PresenceChange("left", known))
        else:
            self.members[key], self._proofs[key] = entry
            self._say(PresenceChange("joined" if known is None else "updated", entry[0]))

    def _say(self, change: PresenceChange) -> None:
        if self.changes is not None:
            self.changes.put(change)

    # ── reads ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _has_all(self) -> bool:
        return self.counts_only or (self.is_complete and self._seen.is_complete)

    def _check(self) -> None:
        """A difference is read after a random delay, which grows while reads do not help."""
        if self.counts_only or self.is_complete:
            self._is_known = True
        if self._has_all:
            self._failures = 0
            return self._owner.later(None, self._begin)
        if self._read or self._owner.is_waiting():
            return None
        spread = min(_MOST_MS, _LEAST_MS + _PER_USER_MS * self.count.users) * 2 ** min(self._failures, 5)
        return self._owner.later(self._owner.random() * spread, self._begin)

    def _begin(self) -> None:
        if self._has_all or self._read:
            return
        self._failures += 1
        self._read = _Read()
        self._next(self._read)

    def _next(self, read: _Read) -> None:
        def settled(answer: Outcome[Any]) -> None:
            if answer.error is not None and self._read is read:
                self._read = None
                if answer.error.retry:
                    self._check()

        # each first page has all who have seen anything
        self._owner.ask({"limit": 1 if self.is_complete else _PAGE, "after": read.after}).then(settled)

    def _take_page(self, payload: Mapping[str, Any], told: tuple[int, int], count: Count) -> None:
        if self.counts_only:
            self._told, self.count, self._read = told, count, None
            return
        after = payload.get("after") or ""
        if self._read is None and after == "":
            self._read = _Read()  # the first page comes unasked
        read = self._read
        if (read and not read.diffs) or self._told is None or told[0] >= self._told[0]:
            self._told, self.count = told, count
        if read is None or read.after != after:
            return
        if self.is_complete:
            self._read = None  # the members are proved without it
            return
        found = [_entry(each) for each in payload.get("joined") or ()]
        read.found.update(found)
        is_last = not payload.get("more") or not found
        read.ranges.append((None if is_last else found[-1][0], told[0]))
        if not is_last:
            read.after = found[-1][0]
            self._next(read)
            return
        self._read = None
        self._is_known = True
        self._replace(read)

    def _replace(self, read: _Read) -> None:
        """Take what was read for what is there: what came meanwhile and is newer than its page counts."""
        for diff in read.diffs:
            for key, entry in _ops(diff):
                version = next(page for last, page in read.ranges if last is None or key <= last)
                if int(diff["version"]) <= version:
                    continue
                if entry:
                    read.found[key] = entry
                else:
                    read.found.pop(key, None)
        for key in [key for key in self.members if key not in read.found]:
            self._put(key, None)
        for key, found in read.found.items():
            self._put(key, found)

    def _clear(self) -> None:
        self.members.clear()
        self._proofs.clear()
        self._sum = 0
        self._read = None

    def _becomes(self, watching: bool) -> None:
        if self.watching != watching:
            self.watching = watching
            self._say(PresenceChange("count"))


def _entry(said: Mapping[str, Any]) -> tuple[str, tuple[Member, int]]:
    member = Member(str(said["user"]), said.get("info"), said.get("connection"))
    return member.connection or member.user, (member, int(said["proof"], 16))


def _ops(payload: Mapping[str, Any]) -> Iterator[Op]:
    """Yield what a diff says, one after the other: (key, (member, proof)), or (key, None) for one who has
    left.
    """
    yield from ((str(key), None) for key in payload.get("left") or ())
    for name in ("joined", "updated"):
        yield from (_entry(each) for each in payload.get(name) or ())
