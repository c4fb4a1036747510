"""Access: who may not come in, by the commands of backends: what is blocked and revoked, who was put out, and
which of a user's connections are too many.

What has ended by the time of an entry does not count for that entry, and is forgotten by an entry of a
router: so a gateway whose clock is wrong harms no other's clients, and all who have read the same log
remember the same. Each connection that comes into a room is given a moment that nobody else has, in the
log's order and about its time. Its gateway gives it back when the connection has to join again: so one that
was put out while its gateway was cut off stays out, and others keep their place among the user's connections.
It changes no membership and makes no effects.

By example: Ann's connection g1~5 came at moment 100. Her gateway is declared gone, and at 200 a backend
disconnects Ann, who has no connection at that place of the log. When g1 is back g1~5 joins again "since 100":
that is before 200, so it is put out. A connection that comes at 201 is not.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Final, NamedTuple

import msgspec

from router.core.blocks import Blocks
from router.core.dedup import SeenIds
from warren.address import is_reserved
from warren.envelope import Join
from warren.errors import CloseCode

# Blocks and revocations that are remembered; one more is refused.
MOST: Final = 65_536
# Rooms and users out of which somebody was put, likewise; beyond it the oldest is forgotten.
MOST_PUT_OUT: Final = 16_384
# Users whose grants were voided, likewise: beyond it what all others were granted before is void too.
MOST_VOIDED: Final = 65_536
# So long after it that is remembered: no grant is good for longer (a day), and clocks may differ. Another
# number needs another version of the fold, since all readers forget the same.
VOIDED_KEPT_S: Final = 86_400 + 600
_NEVER_S: Final = 1 << 62

# (room, user) or, of one connection there, (room, its id); of a revocation (user, token); of one connection
# altogether (its id, "")
Key = tuple[str, str]


class PutOut(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All connections of a user that were in a room before ``at_us`` were put out of it; of the ``spared``
    those that came before the moment beside them. ``code``, ``reason`` and ``why`` say how.
    """

    at_us: int
    code: int
    reason: str
    why: str
    spared: tuple[tuple[str, int], ...] = ()

    def meets(self, conn: str, came_us: int) -> bool:
        """Say whether this connection, which came at that moment, is one of them."""
        return came_us < next((at_us for spared, at_us in self.spared if spared == conn), self.at_us)


class Denied(NamedTuple):
    """Why a connection must not come into a room. With a close ``code`` it is to be closed, else (0) it is to
    be told that it is out (``again``: it thinks that it is in), or that its JOIN is refused. ``why`` is the
    reason that backends are told.
    """

    why: str
    code: int
    reason: str
    again: bool = False


def revocations(user: str, token_id: str, before_s: int) -> list[tuple[Key, int]]:
    """Return what is to be remembered of a revocation, each with the issue before which it counts."""
    one = [((user, token_id), 0)] if token_id else []
    return [*one, ((user, ""), before_s)] if before_s > 0 else one


class Access:
    """One shard's."""

    def __init__(
        self,
        blocks: dict[Key, int] | None = None,
        revoked: dict[Key, tuple[int, int]] | None = None,
        put_out: dict[Key, PutOut] | None = None,
        came: dict[str, int] | None = None,
        times: Mapping[str, int] | None = None,
        ids: SeenIds | None = None,
        voided: dict[str, int] | None = None,
    ) -> None:
        """``blocks`` say until when (ms; 0: for ever), ``revoked`` before which issue (s) and until when
        (ms), ``came`` when connections came of users whose number is limited, ``voided`` before when (s) what
        users were granted is void; each in its order. ``ids``: of commands, each with (0, what it came to).
        """
        times = times or {}
        self.at_us = 0  # the time of the present entry
        self.now_us = times.get("now", 0)  # the highest that any had, or the last moment
        self.forgotten_us = times.get("forgotten", 0)  # who was put out before that may be forgotten
        self.void_us = times.get("void", 0)  # what anybody was granted before that is void
        self.blocks = Blocks(blocks)
        self.revoked: dict[Key, tuple[int, int]] = {} if revoked is None else revoked
        self.put_out: dict[Key, PutOut] = {} if put_out is None else put_out
        self.came: dict[str, int] = {} if came is None else came
        self.ids = SeenIds() if ids is None else ids
        self.voided: dict[str, int] = {} if voided is None else voided
        self._voided_end_s = 0  # before that none of these is forgotten
        self._ends: list[tuple[int, bool, Key]] = []
        self._order_ends()

    @property
    def times(self) -> dict[str, int]:
        """The moments that it knows; empty where nothing has counted yet."""
        if not self.now_us:
            return {}
        return {"now": self.now_us, "forgotten": self.forgotten_us, "void": self.void_us}

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────

    def advance(self, at_us: int, *, forget: bool) -> None:
        """An entry of this time counts. ``forget`` what has ended by then: it is a router's."""
        self.at_us = at_us
        self.now_us = max(self.now_us, at_us)
        now_ms, ends = at_us // 1_000, self._ends
        while forget and ends and ends[0][0] <= now_ms:
            until_ms, is_block, key = heapq.heappop(ends)
            if is_block and self.blocks.until.get(key) == until_ms:
                self.blocks.drop(key)
            elif not is_block and self.revoked.get(key, (0, 0))[1] == until_ms:
                del self.revoked[key]
        if forget and self._voided_end_s * 1_000 <= now_ms:
            self._forget_voided(now_ms // 1_000)

    def moment(self) -> int:
        """Return a moment that is later than all that were given before."""
        self.now_us += 1
        return self.now_us

    # ── commands ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def full(self) -> bool:
        """Whether no more blocks and revocations can be remembered."""
        return len(self.blocks) + len(self.revoked) >= MOST

    def block(self, room: str, user: str, until_ms: int) -> None:
        """Keep a user out of a room (its own: out of all) until then; 0: until that is lifted."""
        self.blocks.put((room, user), until_ms)
        self._ends_at(until_ms, True, (room, user))

    def unblock(self, room: str, user: str) -> bool:
        """Lift a block; False where there is none."""
        return self.blocks.drop((room, user))

    def revoke(self, user: str, token_id: str, before_s: int, until_ms: int) -> None:
        """Keep out who comes by this token of the user, or by one that was issued before that."""
        for key, issued_s in revocations(user, token_id, before_s):
            known_s, known_ms = self.revoked.get(key, (0, -1))
            ends_ms = 0 if 0 in (known_ms, until_ms) else max(known_ms, until_ms)
            self.revoked[key] = (max(known_s, issued_s), ends_ms)
            self._ends_at(ends_ms, False, key)
        # Nobody knows which grant came by which token: all are void, however soon the tokens have expired.
        self.voided[user] = max(self.voided.pop(user, 0), self.at_us // 1_000_000 + 1)
        self._voided_end_s = 0  # another may be the oldest now
        while len(self.voided) > MOST_VOIDED:
            oldest = next(iter(self.voided))
            self.void_us = max(self.void_us, self.voided.pop(oldest) * 1_000_000)

    def void_s(self, user: str) -> int:
        """Return before when (s since the Unix epoch) what a user was granted is void; 0: nothing is."""
        return max(self.voided.get(user, 0), self.void_us // 1_000_000)

    def put(self, key: Key, code: int, reason: str, why: str, spare: Iterable[str] = ()) -> None:
        """Remember that whoever is there by now was put out, but for those in ``spare``: at most as many as
        there are connections.
        """
        before = self.put_out.pop(key, None)
        since = dict(before.spared) if before is not None else {}
        earlier_us = before.at_us if before is not None else 0
        spared = tuple((conn, since.get(conn, earlier_us)) for conn in dict.fromkeys(spare))
        self.put_out[key] = PutOut(self.moment(), code, reason, why, spared)
        while len(self.put_out) > MOST_PUT_OUT:
            oldest = next(iter(self.put_out))
            self.forgotten_us = max(self.forgotten_us, self.put_out.pop(oldest).at_us)

    # ── who comes ───────────────────────────────────────────────────────────────────────────────────────────

    def bars(self, room: str, user: str) -> bool:
        """Say whether a user is kept out of a room."""
        until_ms = self.blocks.until.get((room, user))
        return until_ms is not None and self._holds(until_ms)

    def judge(self, join: Join, *, member: bool) -> Denied | None:
        """Return why a connection must not come in (or, a ``member``, stay); None where nothing is against
        it.
        """
        room, user = join.room, join.user
        own, again = is_reserved(room), join.came_us > 0
        if self.bars(room, user):
            return Denied("blocked", CloseCode.DISCONNECTED if own else 0, "You are blocked", again)
        if room[:1] == "@" and self.revoked and self._is_revoked(user, join.token_id, join.issued_s):
            return Denied("revoked", CloseCode.UNAUTHORIZED, "The token was revoked")
        if member or not again:
            return None
        alone = "~" in room  # its own address, which no later connection has; moments of other shards count
        for name in ("",) if alone else (user, join.conn):
            out = self.put_out.get((room, name))
            if out is not None and (alone or out.meets(join.conn, join.came_us)):
                return Denied(out.why, out.code, out.reason, True)
        if join.came_us < self.forgotten_us:  # it may be one that was put out: as a new connection it is none
            return Denied("", CloseCode.DRAINING, "", True)
        return None

    def _is_revoked(self, user: str, token_id: str, issued_s: int) -> bool:
        """A token that does not say when it was issued counts as an old one."""
        one = self.revoked.get((user, token_id)) if token_id else None
        if one is not None and self._holds(one[1]):
            return True
        before_s, until_ms = self.revoked.get((user, ""), (0, 0))
        return issued_s < before_s and self._holds(until_ms)

    def too_many(self, join: Join, present: Iterable[str]) -> list[str]:
        """Return which connections must go for this one to come to its user's room: of those ``present``, or
        itself; none while there are not too many.

        Who joins again has the place that it had. The oldest go, or (not ``replace``) the latest one.
        """
        conns = list(present)
        excess = len(conns) + 1 - join.limit
        if join.limit <= 0 or excess <= 0:
            return []
        came = {conn: self.came.get(conn, 0) for conn in conns}
        came[join.conn] = join.came_us or self.now_us + 1
        by_age = sorted(came, key=came.__getitem__)  # those who came together in the order of their joins
        return by_age[:excess] if join.replace else by_age[-1:]

    def entered(self, join: Join) -> int:
        """A connection has come in; return the moment at which it came."""
        came_us = join.came_us or self.moment()
        if join.limit > 0:
            self.came[join.conn] = came_us
        return came_us

    def stays(self, join: Join) -> int:
        """A member has joined again; return the moment since when it is there, as far as that matters."""
        return self.came.get(join.conn) or join.came_us or self.moment()

    def left(self, room: str, conns: Iterable[str]) -> None:
        """These are not in a room any more."""
        if room[:1] == "@" and self.came:
            for conn in conns:
                self.came.pop(conn, None)

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────────

    def _holds(self, until_ms: int) -> bool:
        """Say whether what ends then has not ended yet."""
        return not until_ms or self.at_us // 1_000 < until_ms

    def _forget_voided(self, now_s: int) -> None:
        """Forget what no grant is as old as, from the oldest on."""
        for user in list(takewhile(lambda user: self.voided[user] + VOIDED_KEPT_S <= now_s, self.voided)):
            del self.voided[user]
        first = next(iter(self.voided.values()), None)
        self._voided_end_s = _NEVER_S if first is None else first + VOIDED_KEPT_S

    def _ends_at(self, until_ms: int, is_block: bool, key: Key) -> None:
        if until_ms:
            heapq.heappush(self._ends, (until_ms, is_block, key))
            if len(self._ends) > 2 * (len(self.blocks) + len(self.revoked)) + 64:  # most have been changed
                self._order_ends()

    def _order_ends(self) -> None:
        ends = [(until_ms, True, key) for key, until_ms in self.blocks.until.items() if until_ms]
        ends += [(until_ms, False, key) for key, (_, until_ms) in self.revoked.items() if until_ms]
        heapq.heapify(ends)
        self._ends = ends
