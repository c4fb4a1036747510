"""HookSession: what one session has to do with backends that decide: what it asks, what waits meanwhile, and
the rights that it was given.

It makes questions and keeps answers; what follows from them is the session's. A connection that asks nothing
has none. It knows no backend, and owns no clock.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, TypeVar

from gateway.core.client_messages import ClientMessage
from gateway.core.hook_desk import Allowed, Undecided
from gateway.core.hook_messages import Hook, HookMessage, HookQuery
from gateway.core.hook_rechecks import CONNECT, HookRechecks
from gateway.core.hook_waits import Held, HookWaits
from gateway.core.permissions import Identity, as_it_came
from warren.errors import ErrorCode
from warren.namespaces import RoomPolicy

# Rooms of which a connection's rights are remembered, the latest: of others it is asked again.
RIGHTS_MAX: Final = 256

# Types of Warren's own that are to a room, and keep their place among what is said there.
_IN_ROOM: Final = frozenset({"JOIN", "LEAVE", "HISTORY", "PRESENCE", "SEEN"})

_V = TypeVar("_V")


class HookSession:
    """One connection's."""

    __slots__ = (
        "_conn", "_grants", "_headers", "_publish_until", "_ticket", "allowed", "connecting", "rechecks",
        "waits",
    )  # fmt: skip

    def __init__(self, conn: str, headers: tuple[tuple[str, str], ...]) -> None:
        """``headers`` are those of the upgrade that backends are shown."""
        self._conn = conn
        self._headers = headers
        self._ticket = 0
        self.waits = HookWaits()
        self.rechecks = HookRechecks()
        self.connecting: Identity | None = None  # who wants to come in, while that is being decided
        self.allowed: Allowed | None = None  # by which the message that is being handled was allowed
        self._grants: dict[str, str] = {}  # room ▶ what its JOINED is to bring
        self._publish_until: dict[str, int] = {}  # room ▶ seconds since the Unix epoch

    @property
    def unread(self) -> bool:
        """Whether nothing more is to be read of the client until something is decided."""
        return self.connecting is not None or self.waits.full

    def connect(self, identity: Identity, grant: str = "") -> tuple[int, HookQuery]:
        """Return the ticket and the question whether a client may come in, which shows this grant."""
        self.connecting = identity
        self._ticket += 1
        return self._ticket, self._query("connect", identity, grant=grant)

    def comes_in(self, allowed: Allowed) -> None:
        """Keep what the answer to that question brings with it."""
        self.allowed = allowed
        self.joins(CONNECT, ())
        self.allowed = None

    def ask(
        self,
        hook: Hook,
        identity: Identity,
        policy: RoomPolicy,
        held: Held,
        grant: str = "",
        void_s: int = 0,
    ) -> tuple[int, HookQuery]:
        """Return the ticket and the question whether a message may be handled, which waits from now on. What
        was granted before ``void_s`` does not count for it.
        """
        message, self._ticket = held.message, self._ticket + 1
        self.waits.ask(self._ticket, held)
        said = HookMessage(message.type, message.payload, message.binary, message.id, message.key)
        query = self._query(
            hook, identity, held.room, policy.name, grant, said if hook == "publish" else None, void_s
        )
        return self._ticket, query

    def ask_anew(
        self, identity: Identity, policy: RoomPolicy, room: str, void_s: int
    ) -> tuple[int, HookQuery]:
        """Return the ticket and the question whether a member may be in a room (CONNECT: whether the client
        may be here), into which it came by what does not count.
        """
        self._ticket += 1
        self.rechecks.ask(self._ticket, room)
        if room == CONNECT:
            return self._ticket, self._query("connect", as_it_came(identity), void_s=void_s)
        return self._ticket, self._query("join", identity, room, policy.name, void_s=void_s)

    def _query(
        self,
        hook: Hook,
        identity: Identity,
        room: str = "",
        namespace: str = "",
        grant: str = "",
        message: HookMessage | None = None,
        void_s: int = 0,
    ) -> HookQuery:
        # A made-up name says nothing of who wants to come in, and would make each question another.
        user = "" if identity.nameless and hook == "connect" else identity.user
        anonymous = identity.user if identity.anonymous and hook == "connect" else ""
        return HookQuery(
            hook,
            user,
            self._conn,
            identity.claims,
            self._headers,
            room,
            namespace,
            grant,
            message,
            void_s,
            anonymous,
        )

    def holds(self, name: str, room: str) -> bool:
        """Say whether a message has to wait; ``name`` is its type where that is Warren's own, else empty."""
        return (not name or name in _IN_ROOM) and self.waits.holds(room)

    def is_connect(self, ticket: int) -> bool:
        """Say whether this ticket's question is whether the client may come in, and still open."""
        return self.connecting is not None and ticket == self._ticket

    # ── rights ──────────────────────────────────────────────────────────────────────────────────────────────

    def joins(self, room: str, held: Collection[str]) -> bytes:
        """Keep what the answer to the JOIN that is being handled brings with it, where one was asked for;
        return what the room is to show of the member, as JSON (empty: the backend said nothing of that).
        ``held`` are the rooms that the connection is in.
        """
        allowed = self.allowed
        if allowed is None:
            return b""
        if allowed.source == "backend":
            self.rechecks.settled(room)
        else:
            self.rechecks.allowed(room, allowed.given_s, held)
        if allowed.grant:
            _put(self._grants, room, allowed.grant)
        if allowed.answer.publish:
            _put(self._publish_until, room, allowed.until_s)
        return allowed.answer.info

    def publish(self, message: ClientMessage, room: str) -> tuple[bytes, bool]:
        """Keep what the answer to the message that is being handled says of those that follow, and return the
        payload that is published, and whether it is binary.
        """
        allowed = self.allowed
        if allowed is None:
            return message.payload, message.binary
        if allowed.until_s:
            _put(self._publish_until, room, allowed.until_s)
        if allowed.answer.payload is None:
            return message.payload, message.binary
        return allowed.answer.payload, allowed.answer.binary

    def may_publish(self, room: str, now_us: int) -> bool:
        """Say whether messages to a room need no question at present."""
        return now_us < self._publish_until.get(room, 0) * 1_000_000

    def grant(self, room: str) -> str:
        """Return the grant that is to be told with JOINED (of CONNECT: with WELCOME), once; empty where there
        is none.
        """
        return self._grants.pop(room, "")

    def revoke(self) -> None:
        """Let no right count that was given before."""
        self._grants.clear()
        self._publish_until.clear()


def says(undecided: Undecided) -> str:
    """Return what a client is told that nobody could decide about."""
    if undecided.code is ErrorCode.OVERLOADED:
        return "Too much waits to be decided; try again later"
    return "The backend that decides this can't be asked at present; try again later"


def _put(kept: dict[str, _V], room: str, value: _V) -> None:
    kept.pop(room, None)
    kept[room] = value
    if len(kept) > RIGHTS_MAX:
        del kept[next(iter(kept))]
