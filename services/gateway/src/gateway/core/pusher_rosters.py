"""PusherRosters: who is in the presence channels that clients of the Pusher protocol are subscribed to here.

Those clients are told the whole list when they subscribe, and then each one who comes and goes, and can't ask
again. So the gateway follows each such room in their place: it reads the list once for all of them, page by
page, takes the routers' diffs, and compares what comes out with the routers' digest. Where that is another
one something was lost: the list is read again, and what has changed is told. All who are subscribed here are
told the same, in one order; nobody is told of oneself.

Bounded: a list has as many members as routers tell by name; diffs that come while it is read wait, up to
BUFFERED. Steps come out, to be done in their order; it sends nothing. The time is an argument, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import msgspec

from warren.contract.presence import PRESENCE_PAGE_MAX
from warren.envelope import PresenceDiff, PresenceMember, PresencePage, PresenceQuery
from warren.pusher.channels import id_of
from warren.retry import Backoff

AGAIN_FIRST_S: Final = 0.5
AGAIN_LAST_S: Final = 8.0
# Diffs that wait while a list is read; beyond that it is read from the beginning.
BUFFERED: Final = 64
# The refs of our reads begin so: PresenceWatchers' are hexadecimal digits alone.
REF: Final = "pusher-"
_WRAP: Final = 1 << 64
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Ask:
    """Send this to the speaker of ``shard``."""

    query: PresenceQuery
    shard: int


@dataclass(frozen=True, slots=True)
class Subscribed:
    """Tell a connection that its subscription holds, with the list (JSON); empty: there is no place for it
    in the channel.
    """

    conn: str
    room: str
    data: str


@dataclass(frozen=True, slots=True)
class Changed:
    """Tell these connections who has come and gone: (user, what is shown of them or None, who has gone)."""

    room: str
    conns: tuple[str, ...]
    changes: tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Watch:
    """Follow a room, or (``on`` False) not any more."""

    room: str
    shard: int
    on: bool


Step = Ask | Subscribed | Changed | Watch


@dataclass(slots=True)
class _Reading:
    """A list that is being read."""

    query: PresenceQuery
    again: Backoff
    due: float
    least: int  # an older page is of a router that stood still
    members: dict[str, PresenceMember] = field(default_factory=dict)
    # Up to which name the list was as of which version, in the order of the names.
    pages: list[tuple[str, int]] = field(default_factory=list)
    diffs: list[PresenceDiff] = field(default_factory=list)


class _Roster:
    """One room's."""

    __slots__ = (
        "digest", "known", "limit", "members", "pieces", "reading", "shard", "subscribers", "version",
        "waiting",
    )  # fmt: skip

    def __init__(self, shard: int, limit: int) -> None:
        self.shard = shard
        self.limit = limit
        self.members: dict[str, PresenceMember] = {}  # what the subscribers were told
        self.digest = 0  # of the members
        self.version = -1  # of what was heard last
        self.known = False  # the list was read once
        self.subscribers: dict[str, str] = {}  # connection ▶ its user
        self.waiting: dict[str, tuple[str, bytes]] = {}  # connection ▶ its user, and what is shown of it
        self.reading: _Reading | None = None
        self.pieces: tuple[bytes, bytes] | None = None  # ids and hash as JSON, without their ends


class PusherRosters:
    """One gateway's."""

    def __init__(self, own: str) -> None:
        """``own`` is a connection that there never is: in its name is read."""
        self._own = own
        self._rooms: dict[str, _Roster] = {}
        self._refs = count(1)

    @property
    def rooms(self) -> int:
        """How many rooms are followed."""
        return len(self._rooms)

    @property
    def members(self) -> int:
        """How many members are remembered in all of them."""
        return sum(len(roster.members) for roster in self._rooms.values())

    # ── who is subscribed here ──────────────────────────────────────────────────────────────────────────────

    def follow(
        self, room: str, shard: int, conn: str, user: str, info: bytes, limit: int, now: float
    ) -> list[Step]:
        """A connection is a member of a room as this user: tell it who is there as soon as that is known.
        Beyond ``limit`` members there is no place for it.
        """
        steps: list[Step] = []
        roster = self._rooms.get(room)
        if roster is None:
            roster = self._rooms[room] = _Roster(shard, limit)
            steps.append(Watch(room, shard, on=True))
        roster.limit = limit
        roster.waiting[conn] = user, info
        if roster.known:
            return [*steps, *self._admit(room, roster)]
        return [*steps, *self._read(room, roster, now)]

    def leave(self, room: str, conn: str) -> list[Step]:
        """A connection is subscribed no more."""
        roster = self._rooms.get(room)
        if roster is None:
            return []
        roster.subscribers.pop(conn, None)
        roster.waiting.pop(conn, None)
        if roster.subscribers or roster.waiting:
            return []
        del self._rooms[room]
        return [Watch(room, roster.shard, on=False)]

    def _admit(self, room: str, roster: _Roster) -> list[Step]:
        """Tell those who wait who is there."""
        steps: list[Step] = []
        for conn, (user, info) in roster.waiting.items():
            if len(roster.members) >= roster.limit and user not in roster.members:
                steps.append(Subscribed(conn, room, ""))
                continue
            roster.subscribers[conn] = user
            steps.append(Subscribed(conn, room, _listed(roster, user, info)))
        roster.waiting = {}
        return steps

    # ── what routers say ────────────────────────────────────────────────────────────────────────────────────

    def diff(self, diff: PresenceDiff, now: float) -> list[Step]:
        """Tell who has come and gone."""
        roster = self._rooms.get(diff.room)
        if roster is None or diff.version < roster.version:
            return []
        roster.version = diff.version
        reading = roster.reading
        if reading is not None:
            reading.diffs.append(diff)
            if len(reading.diffs) > BUFFERED:
                return self._read(diff.room, roster, now, anew=True)
            return []
        if not roster.known or diff.counts_only:
            return []
        after = _changed(roster.members, roster.digest, diff)
        if after is None:
            return self._read(diff.room, roster, now)
        members, digest = after
        return self._tell(diff.room, roster, members, digest, _names(diff))

    def page(self, page: PresencePage, now: float) -> list[Step]:
        """Take what was read, by ourselves or for others: that may say that something was lost."""
        roster = self._rooms.get(page.room)
        if roster is None:
            return []
        reading = roster.reading
        if reading is None or page.ref != reading.query.ref:
            lost = roster.known and page.version >= roster.version and page.digest != roster.digest
            if lost and reading is None and not page.counts_only:
                return self._read(page.room, roster, now)
            return []
        if page.version < reading.least:
            return []  # it is asked again
        reading.pages.append((page.members[-1].key if page.more and page.members else "", page.version))
        reading.members.update({member.key: member for member in page.members})
        if page.more and page.members and not page.counts_only:
            reading.query = self._query(page.room, page.members[-1].key)
            reading.again.reset()
            reading.due = now + reading.again.next()
            return [Ask(reading.query, roster.shard)]
        return self._finish(page, roster, reading, now)

    def _finish(self, page: PresencePage, roster: _Roster, reading: _Reading, now: float) -> list[Step]:
        """A list was read to its end: bring it up to what has come since, and tell it."""
        members, version, digest = reading.members, page.version, page.digest
        for diff in reading.diffs:
            _apply(members, diff, reading.pages)
            if diff.version >= version:
                version, digest = diff.version, diff.digest
        roster.version = max(roster.version, version)
        roster.reading = None
        steps: list[Step] = []
        if page.counts_only:
            members = roster.members  # nobody is told of by name any more
        elif _digest_of(members) != digest:
            # It changed between two pages: what is there is told, and the list read again.
            steps = self._read(page.room, roster, now + AGAIN_FIRST_S, ask=False)
        names = {*members, *roster.members} if members is not roster.members else set()
        told = self._tell(page.room, roster, members, _digest_of(members), names)
        roster.known = True
        return [*steps, *told, *self._admit(page.room, roster)]

    def _tell(
        self,
        room: str,
        roster: _Roster,
        members: dict[str, PresenceMember],
        digest: int,
        names: Iterable[str],
    ) -> list[Step]:
        """Tell the subscribers in what these members differ from those they know, as far as these names."""
        before = roster.members
        changes: list[tuple[str, bytes | None]] = []
        for name in names:
            if name in members and name not in before:
                changes.append((name, members[name].info))
            elif name in before and name not in members:
                changes.append((name, None))
        roster.members, roster.digest, roster.pieces = members, digest, None
        if not changes or not roster.subscribers:
            return []
        changed = {name for name, _ in changes}
        steps: list[Step] = []
        others = tuple(conn for conn, user in roster.subscribers.items() if user not in changed)
        if others:
            steps.append(Changed(room, others, tuple(changes)))
        for conn, user in roster.subscribers.items():
            if user in changed and (rest := tuple(one for one in changes if one[0] != user)):
                steps.append(Changed(room, (conn,), rest))
        return steps

    # ── reads ───────────────────────────────────────────────────────────────────────────────────────────────

    def renew(self, shard: int, now: float) -> list[Step]:
        """Ask again at once for what is not answered on a shard: its speaker is another."""
        steps: list[Step] = []
        for roster in self._rooms.values():
            if roster.shard == shard and roster.reading is not None:
                roster.reading.again.reset()
                roster.reading.due = now + roster.reading.again.next()
                steps.append(Ask(roster.reading.query, shard))
        return steps

    def doubt(self, shard: int) -> None:
        """Something of a shard may not have been sent to this gateway, and versions may begin anew."""
        for roster in self._rooms.values():
            if roster.shard == shard:
                roster.version = -1
                if roster.reading is not None:
                    roster.reading.least = -1

    def tick(self, now: float) -> list[Step]:
        """Ask again for what has been without an answer for long."""
        steps: list[Step] = []
        for roster in self._rooms.values():
            reading = roster.reading
            if reading is not None and reading.due <= now:
                reading.due = now + reading.again.next()
                steps.append(Ask(reading.query, roster.shard))
        return steps

    def _read(
        self, room: str, roster: _Roster, now: float, *, anew: bool = False, ask: bool = True
    ) -> list[Step]:
        """Read the list from the beginning, where that is not under way (or ``anew``)."""
        if roster.reading is not None and not anew:
            return []
        again = Backoff(AGAIN_FIRST_S, AGAIN_LAST_S)
        due = now + again.next() if ask else now
        roster.reading = _Reading(self._query(room, ""), again, due, roster.version)
        return [Ask(roster.reading.query, roster.shard)] if ask else []

    def _query(self, room: str, after: str) -> PresenceQuery:
        return PresenceQuery(room, self._own, f"{REF}{next(self._refs):x}", PRESENCE_PAGE_MAX, after)


def _names(diff: PresenceDiff) -> list[str]:
    return [*(member.key for member in (*diff.joined, *diff.updated)), *diff.left]


def _changed(
    members: dict[str, PresenceMember], digest: int, diff: PresenceDiff
) -> tuple[dict[str, PresenceMember], int] | None:
    """Return the members and their digest after a diff; None where that does not fit what routers have."""
    for key in diff.left:
        known = members.get(key)
        digest -= known.proof if known is not None else 0
    for member in (*diff.joined, *diff.updated):
        known = members.get(member.key)
        digest += member.proof - (known.proof if known is not None else 0)
    if digest % _WRAP != diff.digest:
        return None
    after = dict(members) if _names(diff) else members
    for key in diff.left:
        after.pop(key, None)
    for member in (*diff.joined, *diff.updated):
        after[member.key] = member
    return after, digest % _WRAP


def _apply(members: dict[str, PresenceMember], diff: PresenceDiff, pages: list[tuple[str, int]]) -> None:
    """Bring a list that was read in pages up to a diff: what a page has that is newer stays."""
    for member in (*diff.joined, *diff.updated):
        if diff.version > _version_at(member.key, pages):
            members[member.key] = member
    for key in diff.left:
        if diff.version > _version_at(key, pages):
            members.pop(key, None)


def _version_at(key: str, pages: list[tuple[str, int]]) -> int:
    return next((version for last, version in pages if not last or key <= last), -1)


def _digest_of(members: dict[str, PresenceMember]) -> int:
    return sum(member.proof for member in members.values()) % _WRAP


def _listed(roster: _Roster, user: str, info: bytes) -> str:
    """Return the data of a subscription: who is there, and oneself, also where the routers have not told of
    that yet. The list is spelled once for all who come while it stays as it is.
    """
    if roster.pieces is None:
        named = [(_encode(id_of(key)), member.info or b"null") for key, member in roster.members.items()]
        ids = b",".join(name for name, _ in named)
        roster.pieces = ids, b",".join(name + b":" + shown for name, shown in named)
    ids, shown = roster.pieces
    total = len(roster.members)
    if user not in roster.members:
        comma, name = b"," if total else b"", _encode(id_of(user))
        ids, shown, total = ids + comma + name, shown + comma + name + b":" + (info or b"null"), total + 1
    return (b'{"presence":{"count":%d,"ids":[%b],"hash":{%b}}}' % (total, ids, shown)).decode()
