"""SessionPresence: one connection's part in presence: what it shows of itself in its rooms, whose presence it
watches, and what it has asked of that.

The session hands it what concerns presence and does what comes out of it. Rights are those of
``permissions``; what is refused is raised as a ProtocolError, and TooFast where it may be asked again later.
It knows no other connection. The time is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from gateway.core import permissions
from gateway.core.actions import Actions, Inform, ReadPresence, Send, Watch
from gateway.core.client_messages import Presence, error
from gateway.core.permissions import Identity
from gateway.core.presence_payloads import (
    Asked,
    ChangeContacts,
    ReadCount,
    ReadPage,
    StopWatching,
    UpdateInfo,
    Watching,
)
from gateway.core.work_rate_limit import WorkRateLimit
from warren import envelope
from warren.address import is_user, shard_of, user_room
from warren.contract.presence import CONTACTS_MAX, PRESENCE_PAGE_DEFAULT
from warren.errors import ErrorCode, ProtocolError
from warren.namespaces import Namespaces

# Reads that a client may have open.
OPEN_MAX: Final = 16
# What a client may change at once, and in each second after that: an update counts as UPDATE, a contact as 1.
CHANGES: Final = 200
CHANGES_PER_S: Final = 10
UPDATE: Final = 10


class TooFast(Exception):
    """A client changes more than it may; it may ask again after ``wait_ms``."""

    def __init__(self, wait_ms: int) -> None:
        """``wait_ms`` is at least 1."""
        self.wait_ms = wait_ms
        super().__init__(f"wait {wait_ms} ms")


class SessionPresence:
    """One connection's; who never speaks of presence has none."""

    __slots__ = (
        "_changes",
        "_conn",
        "_joins",
        "_namespaces",
        "_open",
        "_shards",
        "contacts",
        "infos",
        "watched",
    )

    def __init__(self, conn: str, namespaces: Namespaces, shards: int) -> None:
        """Begin with nothing watched, and nothing shown but what the token says."""
        self._conn = conn
        self._namespaces = namespaces
        self._shards = shards
        self._changes = WorkRateLimit(CHANGES, CHANGES_PER_S)
        self._open: dict[tuple[str, str], None] = {}  # reads without an answer: (room, ref)
        # (room, ref) of JOINs that asked for presence ▶ whether the room is watched, and the client's digest
        self._joins: dict[tuple[str, str], tuple[bool, str]] = {}
        self.infos: dict[str, bytes] = {}  # room ▶ what the client said is to be shown of it there
        self.watched: dict[str, None] = {}  # rooms
        self.contacts: dict[str, None] = {}  # rooms of users

    # ── joining and leaving ─────────────────────────────────────────────────────────────────────────────────

    def join(self, identity: Identity, room: str, ref: str, said: Watching) -> Actions:
        """Take what a JOIN says of presence; returned is what has to go before it."""
        if said.info is not None:
            self.infos[room] = said.info
        if not said.watch:
            return []
        watches = permissions.may_watch(identity, self._namespaces.policy(room), room, joined=True)
        self._joins[room, ref] = watches, said.digest
        if not watches or room in self.watched:
            return []
        self.watched[room] = None
        return [Watch(room, self._shard(room), on=True)]

    def joined(self, room: str, ref: str, read_ref: str) -> tuple[bool | None, Actions]:
        """A JOIN is answered: return whether its room is watched now (None: it did not ask for that), and
        what follows JOINED; the read of the first page goes under ``read_ref``.
        """
        watches, digest = self._joins.pop((room, ref), (None, ""))
        if not watches or room not in self.watched:
            return (None if watches is None else False), []
        self._open[room, read_ref] = None
        query = envelope.PresenceQuery(room, self._conn, read_ref, PRESENCE_PAGE_DEFAULT)
        return True, [ReadPresence(query, self._shard(room), digest)]

    def left(self, room: str) -> Actions:
        """The connection is no member of a room any more, or won't be."""
        self.infos.pop(room, None)
        for one in [one for one in self._joins if one[0] == room]:
            del self._joins[one]
        self._forget_reads(room)
        return self._stop(room)

    def closed(self) -> Actions:
        """The connection has ended."""
        actions: Actions = [Watch(room, self._shard(room), on=False) for room in self.watched]
        actions += [Watch(room, self._shard(room), on=False, contact=True) for room in self.contacts]
        self.watched.clear()
        self.contacts.clear()
        self._open.clear()
        self._joins.clear()
        return actions

    def renewed(self, before: Identity, identity: Identity, rooms: Iterable[str]) -> Actions:
        """A fresh token counts instead of the one before: stop what it does not allow, and show what it says
        of the client in those of ``rooms`` where that is another thing.
        """
        policy = self._namespaces.policy
        actions: Actions = []
        for room in [*self.watched]:
            if not permissions.may_watch(identity, policy(room), room, joined=True):
                actions += [*self._stop(room), Send(Presence.of(room, watching=False))]
        for room in [*self.contacts]:
            if not permissions.may_watch(
                identity, policy(room), room, joined=room == user_room(identity.user)
            ):
                del self.contacts[room]
                self._forget_reads(room)
                actions.append(Watch(room, self._shard(room), on=False, contact=True))
                actions.append(Send(Presence.of(room, watching=False)))
        for room in rooms:
            mode, info = permissions.shown(identity, policy(room), room, self.infos.get(room))
            if mode and (mode, info) != permissions.shown(before, policy(room), room, self.infos.get(room)):
                actions.append(self._inform(room, info))
        return actions

    def told(self, identity: Identity, room: str, info: bytes) -> Actions:
        """A backend has said anew what a room is to show of the client, as JSON."""
        policy = self._namespaces.policy(room)
        before = permissions.shown(identity, policy, room, self.infos.get(room))
        self.infos[room] = info
        mode, now = permissions.shown(identity, policy, room, info)
        return [self._inform(room, now)] if mode and (mode, now) != before else []

    # ── what the client asks ────────────────────────────────────────────────────────────────────────────────

    def ask(self, identity: Identity, room: str, joined: bool, ref: str, asked: Asked, now: float) -> Actions:
        """Do what a PRESENCE asks for, of ``room`` (which contacts don't need); ``joined``: the client is a
        member there. ``ref`` is the client's, or one of ours; ``now`` is in seconds.
        """
        match asked:
            case ReadPage():
                return self._read(identity, room, joined, ref, asked)
            case ReadCount():
                return self._read(identity, room, joined, ref, None)
            case UpdateInfo():
                return self._update(identity, room, joined, ref, asked.info, now)
            case ChangeContacts():
                return self._change(identity, ref, asked, now)
            case StopWatching():
                return [*self._stop(room), Send(Presence.of(room, _shown(ref), watching=False))]

    def read(self, room: str, ref: str, payload: bytes) -> Actions:
        """What was read of a room has come; nothing where it is not awaited (any more)."""
        if (room, ref) not in self._open:
            return []
        del self._open[room, ref]
        return [Send(Presence(room, payload, _shown(ref)))]

    def refused(self, room: str) -> Actions:
        """There is no place for one more contact; the client may ask again later."""
        if room not in self.contacts:
            return []
        del self.contacts[room]
        self._forget_reads(room)
        return [
            Send(Presence.of(room, watching=False)),
            Send(error(ErrorCode.OVERLOADED, f"Too many users are watched here to watch {room[1:]} too")),
        ]

    def _read(self, identity: Identity, room: str, joined: bool, ref: str, page: ReadPage | None) -> Actions:
        permissions.check_watch(identity, self._namespaces, room, joined=joined)
        if len(self._open) >= OPEN_MAX:
            raise ProtocolError(ErrorCode.OVERLOADED, "Wait for the answers to what you asked for")
        self._open[room, ref] = None
        if page is None:
            query = envelope.PresenceQuery(room, self._conn, ref, 0, count=True)
        else:
            query = envelope.PresenceQuery(room, self._conn, ref, page.limit, page.after)
        return [ReadPresence(query, self._shard(room))]

    def _update(
        self, identity: Identity, room: str, joined: bool, ref: str, info: bytes, now: float
    ) -> Actions:
        if not joined:
            raise ProtocolError(ErrorCode.NOT_JOINED, "Join this room before you say what it shows of you")
        policy = self._namespaces.policy(room)
        if not permissions.may_inform(identity, policy, room):
            raise ProtocolError(ErrorCode.FORBIDDEN, "This room shows nothing that you may say of yourself")
        self._spend(UPDATE, now)
        self.infos[room] = info
        return [
            self._inform(room, permissions.shown(identity, policy, room, info)[1]),
            Send(Presence.of(room, _shown(ref))),
        ]

    def _change(self, identity: Identity, ref: str, asked: ChangeContacts, now: float) -> Actions:
        gone = self.contacts if asked.unwatch is None else map(user_room, asked.unwatch)
        off = [room for room in dict.fromkeys(gone) if room in self.contacts]
        on = [room for room in dict.fromkeys(map(user_room, asked.watch)) if room not in self.contacts]
        for room in on:
            if not is_user(room[1:]):
                raise ProtocolError(ErrorCode.INVALID_MESSAGE, f"watch: {room[1:]!r} is no user's name")
            permissions.check_watch(
                identity, self._namespaces, room, joined=room == user_room(identity.user), contact=True
            )
        if len(self.contacts) - len(off) + len(on) > CONTACTS_MAX:
            raise ProtocolError(ErrorCode.INVALID_MESSAGE, f"watch: at most {CONTACTS_MAX} users in all")
        self._spend(len(off) + len(on), now)
        actions: Actions = []
        for room in off:
            del self.contacts[room]
            self._forget_reads(room)
            actions.append(Watch(room, self._shard(room), on=False, contact=True))
        actions.append(Send(Presence.of("", _shown(ref), watching=True)))
        for number, room in enumerate(on):
            self.contacts[room] = None
            one = f"{envelope.INTERNAL_ID}c{number:x}"
            self._open[room, one] = None
            query = envelope.PresenceQuery(room, self._conn, one, 1)
            shard = self._shard(room)
            actions += [Watch(room, shard, on=True, contact=True), ReadPresence(query, shard)]
        return actions

    def _forget_reads(self, room: str) -> None:
        for one in [one for one in self._open if one[0] == room]:
            del self._open[one]

    def _stop(self, room: str) -> Actions:
        if room not in self.watched:
            return []
        del self.watched[room]
        return [Watch(room, self._shard(room), on=False)]

    def _inform(self, room: str, info: bytes) -> Inform:
        return Inform(envelope.Inform(room, self._conn, info), self._shard(room))

    def _spend(self, count: int, now: float) -> None:
        wait_s = self._changes.wait(now)
        if wait_s:
            raise TooFast(max(1, round(wait_s * 1_000)))
        self._changes.spend(count, now)

    def _shard(self, room: str) -> int:
        return shard_of(room, self._shards)


def shown_by(
    join: envelope.Join, identity: Identity, namespaces: Namespaces, own: SessionPresence | None
) -> envelope.Join:
    """Return a Join with what its room shows of this member."""
    info = None if own is None else own.infos.get(join.room)
    mode, info = permissions.shown(identity, namespaces.policy(join.room), join.room, info)
    return msgspec.structs.replace(join, presence=mode, info=info) if mode else join


def _shown(ref: str) -> str:
    """Return a ref as the client may see it: an internal one is none of its own."""
    return "" if ref[:1] == envelope.INTERNAL_ID else ref
