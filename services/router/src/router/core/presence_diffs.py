"""PresenceDiffs: what those who watch rooms of one shard are told of who comes and goes, and when.

A room is told of by a beat, which grows with the number of those who watch it; what comes and goes within one
cancels out. Each diff goes once to each gateway on which somebody watches, however many do, and has no place
in any chain: it says what there is now (version, numbers, digest), so whoever has missed one sees that, and
asks. A room that has changed is told of a few times more, without names, in case the last diff was lost. A
gateway that says where it stands is told of all rooms that it watches, likewise without names: so nobody's
list is sent again because a router or a connection has ended.

Where a room tells who has seen its messages, that goes along with the same beat: the users of whom it is
news, and the sum of all seqs, by which a client that has missed something sees that.

A reader that does not speak remembers the names that have changed in the last seconds. When it begins to
speak it tells of them all, since it can't know which of them were told before: the names are those that are
there now, so it does not matter.

    0.00 s   ann joins chat:a, which 1,000 watch on two gateways
    0.10 s   bob joins, eve joins, eve leaves
    0.50 s   to g1 and to g2: joined ann, bob; users 2; version 46; digest 17…
    2.50 s   to g1 and to g2: users 2; version 46; digest 17…

Bounds: ``MOST_NAMES`` of a room and ``ALL_NAMES`` of all rooms wait for a beat, a diff has ``DIFF_BYTES`` at
most. Beyond them the names are left out, and who watches asks. Where very many rooms change they are told of
later, so no gateway gets more than it can take. Pure: the time is an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sized
from heapq import heapify, heappop, heappush
from math import ceil
from typing import Final, NamedTuple

from router.core.effects import PresenceChanged
from router.core.fold import Fold
from router.core.presence import ABSENT, Counts
from router.core.presence_pages import numbers, seen_state, tells_seen
from warren.envelope import PresenceDiff, PresenceMember, SeenState, size_of
from warren.namespaces import Namespaces

BEAT_S: Final = 0.25
LONGEST_BEAT_S: Final = 5.0
# So many who watch a room have it told of at the shortest beat; more have it told of less often in
# proportion.
WATCHERS: Final = 500
# How long after a diff a room is told of again, where nothing has changed.
AGAIN_S: Final = (2.0, 8.0, 32.0)
# A reader that does not speak remembers changes for so long at least.
REMEMBERED_S: Final = 5.0
MOST_NAMES: Final = 5_000
ALL_NAMES: Final = 65_536
DIFF_BYTES: Final = 1024 * 1024
# While there are more rooms of which something is to be told, none is told of again without a change; and who
# does not speak remembers no more rooms in each while.
MOST_ROOMS: Final = 16_384
# Rooms that one call tells of; the others wait for the next one, and what happens meanwhile goes along.
AT_ONCE: Final = 100
# What one call tells besides to gateways that said where they stand: in all, and each of them.
REFRESHED_AT_ONCE: Final = 500
REFRESHED_OF_ONE: Final = 20
# About how often ``due`` is called.
EVERY_S: Final = 0.1


class Told(NamedTuple):
    """What is to be sent to each of these gateways."""

    gateways: tuple[str, ...]
    diff: PresenceDiff


class _Room:
    """What is to be told of one room."""

    __slots__ = ("again", "changed", "due", "known", "names", "seen", "told")

    def __init__(self) -> None:
        # name ▶ its revision when it was told of last; None: too many to tell
        self.names: dict[str, int] | None = {}
        self.changed = False  # since the room was told of
        self.known = True  # what the others were told; else those revisions are only the earliest seen
        self.due = 0.0
        self.again = 0  # how often it was told of without a change
        self.seen: dict[str, None] = {}  # users who have seen more since the room was told of
        self.told: tuple[Counts, int] | None = None  # the sum of what is seen is 0 where the room tells none


class PresenceDiffs:
    """One shard's."""

    def __init__(self, namespaces: Namespaces) -> None:
        """Begin as a reader that does not speak; ``namespaces`` say how many names a room tells at most."""
        self._namespaces = namespaces
        self._speaks = False
        self._rooms: dict[str, _Room] = {}
        self._names = 0  # in all of them
        self._due: list[tuple[float, str]] = []  # a heap; what is no longer so is passed over
        # What those who don't speak remember: room ▶ names as above, of this while and of the one before.
        self._recent: dict[str, dict[str, int] | None] = {}
        self._older: dict[str, dict[str, int] | None] = {}
        # Likewise room ▶ users who have seen more.
        self._recent_seen: dict[str, dict[str, None]] = {}
        self._older_seen: dict[str, dict[str, None]] = {}
        self._turned_at = 0.0
        self._refresh: dict[str, deque[str]] = {}  # gateway ▶ rooms that it is still to be told of
        self._refreshed_by = 0.0

    def __len__(self) -> int:
        """Return of how many rooms something is to be told."""
        return len(self._rooms)

    # ── in ──────────────────────────────────────────────────────────────────────────────────────────────────

    def changed(self, change: PresenceChanged, fold: Fold, now: float) -> None:
        """Take what the entry has changed that ``fold`` has applied last."""
        if not self._speaks:
            self._turn(now)
            names = self._recent.get(change.room, {})
            if change.room in self._recent or len(self._recent) < MOST_ROOMS:
                self._recent[change.room] = self._with(names, change.key, change.revision)
            return
        room = self._begun(change.room, fold, now)
        room.names = self._with(room.names, change.key, change.revision)

    def saw(self, name: str, user: str, fold: Fold, now: float) -> None:
        """Take that a user has seen more of a room, by the entry that ``fold`` has applied last."""
        if name not in fold.watchers or not tells_seen(name, self._namespaces.policy(name)):
            return
        if self._speaks:
            seen = self._begun(name, fold, now).seen
        else:
            self._turn(now)
            if name not in self._recent_seen and len(self._recent_seen) >= MOST_ROOMS:
                return
            seen = self._recent_seen.setdefault(name, {})
        # Who is left out is not named: by the sum it shows that something is missing.
        if user not in seen and self._names < ALL_NAMES:
            seen[user] = None
            self._names += 1

    def speak(self, now: float) -> None:
        """Tell from now on, beginning with what has changed lately."""
        self._turn(now)
        older, recent = self._older, self._recent
        older_seen, recent_seen = self._older_seen, self._recent_seen
        self.clear()
        self._speaks = True
        for name in older | recent | older_seen | recent_seen:
            room = self._rooms[name] = _Room()
            room.seen = older_seen.get(name, {}) | recent_seen.get(name, {})
            self._names += len(room.seen)
            room.changed, room.known = True, False
            for names in (older.get(name, {}), recent.get(name, {})):
                if names is None:
                    self._without(room.names)
                    room.names = None
                    break
                for key, revision in names.items():
                    room.names = self._with(room.names, key, revision)
            room.due = now + BEAT_S
        self._due = [(room.due, name) for name, room in self._rooms.items()]
        heapify(self._due)

    def silence(self) -> None:
        """Tell nothing more."""
        self.clear()
        self._speaks = False

    def clear(self) -> None:
        """Forget all that was to be told: another state of the shard counts now."""
        self._rooms.clear()
        self._due.clear()
        self._names = 0
        self._recent, self._older = {}, {}
        self._recent_seen, self._older_seen = {}, {}
        self._refresh.clear()

    def refresh(self, gateway: str, fold: Fold, now: float) -> None:
        """Tell a gateway within about a beat how many there are in each room that it watches."""
        rooms = fold.watchers.rooms(gateway)
        if self._speaks and rooms:
            if not self._refresh:
                self._refreshed_by = now + BEAT_S
            # What it was still to be told of comes first, so that nothing is always last.
            waiting = self._refresh.get(gateway, ())
            self._refresh[gateway] = deque(dict.fromkeys(waiting) | dict.fromkeys(rooms))

    # ── out ─────────────────────────────────────────────────────────────────────────────────────────────────

    def due(self, fold: Fold, now: float) -> list[Told]:
        """Return what is to be told now. To be called several times a second, while speaking."""
        told = self._refreshed(fold, now) if self._refresh else []
        most = len(told) + AT_ONCE
        while self._due and self._due[0][0] <= now and len(told) < most:
            due, name = heappop(self._due)
            room = self._rooms.get(name)
            if room is None or room.due != due:
                continue
            gateways = fold.watchers.targets(name)
            diff = self._diff(name, room, fold)
            if gateways and diff is not None:
                told.append(Told(gateways, diff))
            if not gateways or room.again >= len(AGAIN_S) or len(self._rooms) > MOST_ROOMS:
                del self._rooms[name]
            else:
                self._at(name, room, now + AGAIN_S[room.again])
                room.again += 1
        return told

    def _diff(self, name: str, room: _Room, fold: Fold) -> PresenceDiff | None:
        """Return what a room is to be told; None where nothing has become of what happened."""
        changed, known, names, saw = room.changed, room.known, room.names, room.seen
        self._names -= len(names or ()) + len(saw)
        room.changed, room.known, room.names, room.seen = False, True, {}, {}
        counts, counts_only = self._numbers(name, fold)
        seen = None if counts_only else self._seen(name, fold, saw)
        before, room.told = room.told, (counts, seen.sum if seen is not None else 0)
        if changed and before is not None and _same(before, room.told):
            return None
        if (names or saw) and not counts_only:
            diff = _diff(name, counts, *_named(name, names or {}, fold, known=known), seen=seen)
            if size_of(diff) <= DIFF_BYTES:
                return diff
        return _diff(name, counts, counts_only=counts_only, seen=seen and SeenState(seen.epoch, seen.sum))

    def _refreshed(self, fold: Fold, now: float) -> list[Told]:
        """Return some of what gateways are to be told because they said where they stand."""
        waiting = sum(map(len, self._refresh.values()))
        share = min(REFRESHED_AT_ONCE, ceil(waiting * EVERY_S / max(EVERY_S, self._refreshed_by - now)))
        told: list[Told] = []
        for gateway in list(self._refresh):
            rooms = self._refresh.pop(gateway)  # and goes behind the others
            most = min(len(told) + REFRESHED_OF_ONE, share)
            while rooms and len(told) < most:
                name = rooms.popleft()
                known = self._rooms.get(name)
                # What is about to be told says it all.
                if (known is None or not known.changed) and gateway in fold.watchers.targets(name):
                    told.append(Told((gateway,), self._proof(name, fold)))
            if rooms:
                self._refresh[gateway] = rooms
        return told

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────────

    def _begun(self, name: str, fold: Fold, now: float) -> _Room:
        """Return a room of which something is to be told by its next beat."""
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = _Room()
        if not room.changed:
            room.changed, room.again = True, 0
            self._at(name, room, now + beat_s(fold, name))
        return room

    def _proof(self, name: str, fold: Fold) -> PresenceDiff:
        """Return what proves what there is, and names nobody."""
        counts, counts_only = self._numbers(name, fold)
        seen = None if counts_only else self._seen(name, fold, ())
        return _diff(name, counts, counts_only=counts_only, seen=seen)

    def _seen(self, name: str, fold: Fold, users: Iterable[str]) -> SeenState | None:
        """Return what these users have seen of a room; None where it does not tell that."""
        return seen_state(fold, name, users) if tells_seen(name, self._namespaces.policy(name)) else None

    def _numbers(self, room: str, fold: Fold) -> tuple[Counts, bool]:
        """Return how many there are in a room, and whether that is all that it tells."""
        return numbers(fold, room), fold.presence.names(room) > self._namespaces.policy(room).presence.max

    def _at(self, name: str, room: _Room, due: float) -> None:
        room.due = due
        heappush(self._due, (due, name))

    def _with(self, names: dict[str, int] | None, key: str, revision: int) -> dict[str, int] | None:
        """Return the names of a room with one more; None where there are too many."""
        if names is None or not key or key in names:
            return names
        if len(names) >= MOST_NAMES or self._names >= ALL_NAMES:
            self._without(names)
            return None
        names[key] = revision
        self._names += 1
        return names

    def _without(self, names: dict[str, int] | None) -> None:
        """Remember none of these: there are too many."""
        self._names -= len(names or ())

    def _turn(self, now: float) -> None:
        """Forget what nobody needs to be told of any more."""
        if now >= self._turned_at + REMEMBERED_S:
            self._names -= _count(self._older) + _count(self._older_seen)
            lately = now < self._turned_at + 2 * REMEMBERED_S
            if not lately:
                self._names -= _count(self._recent) + _count(self._recent_seen)
            self._older, self._recent = self._recent if lately else {}, {}
            self._older_seen, self._recent_seen = self._recent_seen if lately else {}, {}
            self._turned_at = now


def _count(rooms: Mapping[str, Sized | None]) -> int:
    return sum(len(names or ()) for names in rooms.values())


def beat_s(fold: Fold, room: str) -> float:
    """Return how long a room's changes wait to be told together, in seconds."""
    watchers = fold.watchers
    count = sum(len(watchers.members(room, gateway)) for gateway in watchers.targets(room))
    return min(LONGEST_BEAT_S, max(BEAT_S, BEAT_S * count / WATCHERS))


def _named(
    room: str, names: dict[str, int], fold: Fold, *, known: bool
) -> tuple[tuple[PresenceMember, ...], tuple[str, ...], tuple[PresenceMember, ...]]:
    """Return who has joined, who has left and who has changed, by what they were before."""
    joined, left, updated = [], [], []
    for key, before in names.items():
        revision = fold.presence.revision(room, key)
        if known and revision == before:
            continue
        member = fold.presence.member(room, key)
        if member is None:
            left.append(key)
        elif before == ABSENT:
            joined.append(member)
        else:
            updated.append(member)
    return tuple(joined), tuple(left), tuple(updated)


def _diff(
    room: str,
    counts: Counts,
    joined: Iterable[PresenceMember] = (),
    left: Iterable[str] = (),
    updated: Iterable[PresenceMember] = (),
    *,
    counts_only: bool = False,
    seen: SeenState | None = None,
) -> PresenceDiff:
    return PresenceDiff(
        room,
        counts.version,
        counts.users,
        counts.connections,
        counts.digest,
        tuple(joined),
        tuple(left),
        tuple(updated),
        counts_only,
        seen,
    )


def _same(before: tuple[Counts, int], now: tuple[Counts, int]) -> bool:
    """Say whether two have the same names and numbers, whatever has happened between."""
    (then, seen), (counts, sees) = before, now
    return (then.users, then.connections, then.digest, seen) == (
        counts.users,
        counts.connections,
        counts.digest,
        sees,
    )
