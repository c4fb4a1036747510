"""Ledger: what a shard's rooms have been told: numbers new messages, knows repeats, and gives out what was missed.

It holds what the log tells (positions, histories, ids seen) and goes on from there, and says what must be appended to the log. It judges no
address and knows no member but by ``targets``. Pure: the time is an argument. ``core/shard.py`` owns one.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from router.core.effects import EVERY, Append, Deliver, Effect, Emit, Reply
from router.core.replay import Replayed
from warren import envelope as wire
from warren.address import EVERYONE, gateway_of
from warren.envelope import INTERNAL_ID, OVERHEAD_BYTES
from warren.namespaces import Namespaces
from warren.position import Position

NOWHERE = Position("", 0)  # of a message that is not numbered
PAGE_COUNT = 100  # what an answer to HistoryQuery holds at most
PAGE_BYTES = 256 * 1024
TIDY = 64  # rooms and ids that are looked at each time


class Ledger:
    """Positions, histories and ids of one shard under one term."""

    def __init__(
        self,
        term: int,
        known: Replayed,
        namespaces: Namespaces,
        targets: Callable[[str], tuple[str, ...]],
        *,
        events: bool,
    ) -> None:
        """``targets`` returns the gateways that have members of a room; ``events``: backends are told of each numbered message."""
        self.lives = known.lives
        self.duplicates = 0  # repeats of a message, since the beginning
        self._term = term
        self._history = known.history
        self._ids = known.ids
        self._own_ids = known.own_ids
        self._policy = namespaces.policy
        self._targets = targets
        self._events = events

    @property
    def kept_bytes(self) -> int:
        """How much of the rooms' messages is kept."""
        return self._history.bytes

    def upkeep(self) -> list[Effect]:
        """Forget what is too much, and tell the log what it must be told before anything else is numbered."""
        if not self.lives.due:
            return []
        for room in self.lives.forget():
            self._history.drop(room)
        return [Append(part) for part in self.lives.checkpoint()]

    def tidy(self, now_us: int) -> None:
        """Let go of what has aged though nothing is said: a bounded part of it each time. To be called several times a second."""
        self._history.tidy(now_us, TIDY)
        self._ids.tidy(now_us, TIDY)
        self._own_ids.tidy(now_us, TIDY)

    def publish(self, message: wire.Publish, now_us: int, effects: list[Effect], *, again: bool) -> None:
        """Take a message for an address of this shard. ``again``: a former owner may have had it."""
        ids, ident, room = self._ids, message.id, message.room
        answer = bool(ident and message.conn)
        if ident[:1] == INTERNAL_ID:
            ids, answer = self._own_ids, False
            if message.ephemeral:
                ident = ""  # nobody minds a second TYPING
        key = (room, message.user, ident)
        if ident:
            first = ids.get(key, now_us)
            if first is not None:
                self._repeat(message, first, effects, again=again)
                if answer:
                    effects.append(self._ack(room, message.conn, ident, first))
                return
        position = NOWHERE
        if not message.expires_ms or message.expires_ms * 1_000 > now_us:
            position = self._deliver(message, now_us, effects)
        if ident:
            ids.put(key, position, now_us)
        if answer:
            effects.append(self._ack(room, message.conn, ident, position))

    def acknowledge(self, room: str, conn: str, user: str, ident: str, now_us: int, effects: list[Effect]) -> None:
        """Acknowledge a message again whose answer may be lost; nothing comes of one that is not known."""
        first = self._ids.get((room, user, ident), now_us) if ident else None
        if first is not None:
            effects.append(self._ack(room, conn, ident, first, again=True))

    def missed(self, room: str, position: Position | None, now_us: int, *, to: str = "") -> list[wire.Deliver] | None:
        """Return what came after ``position`` (for the connection ``to`` alone); None where that can't be told."""
        if position is None:
            return None
        missed = self._history.since(position, self.lives.position(room), room, now_us)
        if missed is None:
            return None
        return [msgspec.structs.replace(entry, term=self._term, to=to) for entry in missed]

    def page(self, room: str, before: int, limit: int, now_us: int) -> tuple[list[wire.Deliver], bool]:
        """Return messages before the seq ``before`` (0: before now), and whether there are older ones."""
        return self._history.page(room, max(0, before), max(1, min(limit, PAGE_COUNT)), PAGE_BYTES, now_us)

    def renounce(self, room: str) -> None:
        """Someone has delivered what is not in the log: the room begins a new epoch, since in this one nothing can be told apart."""
        self.lives.renounce(room)
        self._history.drop(room)

    def _deliver(self, message: wire.Publish, now_us: int, effects: list[Effect]) -> Position:
        """Give a message its number, where it gets one, and have it logged and delivered."""
        room = message.room
        if "~" in room or message.ephemeral:
            targets = self._reached(room)
            if targets:
                effects.append(Deliver(targets, self._delivery(message, NOWHERE, message.trace)))
            return NOWHERE
        life = self.lives.advance(room)
        position = Position(life.epoch, life.seq)
        entry = self._delivery(message, position, "")
        if life.logged:
            self.lives.entered(OVERHEAD_BYTES + len(message.payload))
            self._history.put(entry, self._policy(room).history, now_us)
            effects.append(Append(entry))
        targets = self._reached(room)
        if targets:
            effects.append(
                Deliver(targets, msgspec.structs.replace(entry, trace=message.trace) if message.trace else entry)
            )
        if self._events:
            effects.append(Emit("message", room, entry.at_us, entry.conn, entry.user, message=entry))
        return position

    def _repeat(self, message: wire.Publish, first: Position, effects: list[Effect], *, again: bool) -> None:
        """A message comes again: it may be that nobody has got it, so it is sent again; gateways drop what they have."""
        self.duplicates += 1
        entry = self._history.find(message.room, first) if first.seq else None
        if entry is None:
            return
        targets = self._reached(message.room)
        if targets:
            effects.append(Deliver(targets, msgspec.structs.replace(entry, term=self._term)))
        if again and self._events:
            effects.append(Emit("message", entry.room, entry.at_us, entry.conn, entry.user, message=entry))

    def _reached(self, room: str) -> tuple[str, ...]:
        if "~" in room:
            return (gateway_of(room),)
        return EVERY if room == EVERYONE else self._targets(room)

    def _delivery(self, message: wire.Publish, position: Position, trace: str) -> wire.Deliver:
        return wire.Deliver(
            message.room,
            position.epoch,
            position.seq,
            message.type,
            message.payload,
            message.at_us,
            self._term,
            message.conn,
            message.user,
            message.id,
            message.binary,
            message.include_sender,
            message.key,
            message.expires_ms,
            trace,
        )

    def _ack(self, room: str, conn: str, ident: str, position: Position, *, again: bool = False) -> Reply:
        ack = wire.Ack(conn, room, ident, position.epoch, position.seq, self._term, again)
        return Reply(gateway_of(conn), ack)
