"""Shard: envelopes in, effects out, in order; the only place that numbers a message.

One owner's life of a shard under one term. Pure: no I/O, the time is an argument, payloads are never looked into. An envelope is judged
before anything is changed, so that one that is refused leaves no trace. ``shell/worker.py`` owns one for each shard that it works on and
carries the effects out in their order; what the members are, gateways announce to it (see ``core/census.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from router.core.census import Census
from router.core.dedup import Dedup
from router.core.effects import EVERY, Deliver, Effect, Reject, Reply, Tell
from router.core.lives import Lives
from router.core.rooms import RoomTable
from warren import envelope as wire
from warren.address import EVERYONE, ROOM_RULE, gateway_of, is_address, is_connection, is_room, is_user, shard_of
from warren.errors import ErrorCode
from warren.position import Position

NOWHERE = Position("", 0)  # of a message that is not numbered


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """What a shard remembers at most."""

    dedup_count: int = 65_536
    dedup_age_us: int = 10 * 60 * 1_000_000
    rooms_remembered: int = 65_536  # rooms without members whose position is kept


class Shard:
    """The rooms of one shard, under one term."""

    def __init__(self, number: int, shards: int, term: int, limits: ShardLimits, router: str = "") -> None:
        """``number`` of ``shards``; ``router`` is who asks gateways for their members."""
        self.number = number
        self.term = term
        self.rooms = RoomTable()
        self.duplicates = 0  # repeats of a message, since the beginning
        self._shards = shards
        self._router = router
        self._dedup = Dedup(limits.dedup_count, limits.dedup_age_us)
        self._lives = Lives(term, limits.rooms_remembered)
        self._census = Census()

    @property
    def remembered(self) -> int:
        """How many rooms have a position."""
        return len(self._lives)

    @property
    def answered(self) -> set[str]:
        """The gateways that have answered an ask under this term."""
        return self._census.answered

    def apply(self, envelope: wire.Envelope, now_us: int) -> list[Effect]:
        """Decide what one envelope from the shard's queue brings about. ``now_us`` is wall time."""
        match envelope:
            case wire.Publish():
                return self._publish(envelope, now_us)
            case wire.Join():
                return self._join(envelope)
            case wire.Leave():
                return self._leave(envelope)
            case _:
                return [Reject(envelope, "not a shard's envelope")]

    # ── messages ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _publish(self, message: wire.Publish, now_us: int) -> list[Effect]:
        room, conn = message.room, message.conn
        if room not in self._lives:
            refusal = self._judge(room, is_address(room))
            if refusal is not None:
                return self._refuse(message, conn, message.id, *refusal)
        key = (room, message.user, message.id)
        if message.id:
            first = self._dedup.get(key, now_us)
            if first is not None:
                self.duplicates += 1
                return [self._ack(message, first)] if conn else []
        effects: list[Effect] = []
        position = NOWHERE
        if not message.expires_ms or message.expires_ms * 1_000 > now_us:
            if "~" in room:
                targets: tuple[str, ...] = (gateway_of(room),)
            else:
                targets = EVERY if room == EVERYONE else self.rooms.targets(room)
                if not message.ephemeral:
                    position = self._lives.advance(room)
            if targets:
                effects.append(Deliver(targets, self._delivery(message, position)))
        if message.id:
            self._dedup.put(key, position, now_us)
            if conn:
                effects.append(self._ack(message, position))
        return effects

    def _delivery(self, message: wire.Publish, position: Position) -> wire.Deliver:
        return wire.Deliver(
            message.room,
            position.epoch,
            position.seq,
            message.type,
            message.payload,
            message.at_us,
            self.term,
            message.conn,
            message.user,
            message.id,
            message.binary,
            message.include_sender,
            message.key,
            message.expires_ms,
            message.trace,
        )

    def _ack(self, message: wire.Publish, position: Position) -> Reply:
        ack = wire.Ack(message.conn, message.room, message.id, position.epoch, position.seq, self.term)
        return Reply(gateway_of(message.conn), ack)

    # ── members ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _join(self, join: wire.Join) -> list[Effect]:
        room, conn = join.room, join.conn
        if not is_connection(conn):
            return [Reject(join, "invalid connection")]
        refusal = self._judge(room, is_room(room) or (room[:1] == "@" and is_user(room[1:])))
        if refusal is not None:
            return self._refuse(join, conn, join.ref, *refusal)
        self._enter(room, conn, join.user)
        position = self._lives.at(room)
        return [self._joined(conn, room, position, recovered=join.since == position, ref=join.ref)]

    def _leave(self, leave: wire.Leave) -> list[Effect]:
        if not is_connection(leave.conn):
            return [Reject(leave, "invalid connection")]
        effects: list[Effect] = []
        gateway = gateway_of(leave.conn)
        for room in leave.rooms:
            self._exit(room, gateway, leave.conn)
            if leave.ref:
                effects.append(Reply(gateway, wire.Left(leave.conn, room, leave.ref, self.term)))
        return effects

    def _enter(self, room: str, conn: str, user: str) -> None:
        gateway = gateway_of(conn)
        self._lives.at(room)
        self._lives.wake(room)
        self.rooms.join(room, gateway, conn, user)
        self._census.note(gateway, room, conn, user)

    def _exit(self, room: str, gateway: str, conn: str) -> None:
        if self.rooms.leave(room, gateway, conn) and room not in self.rooms:
            self._lives.rest(room)
        self._census.note(gateway, room, conn, None)

    def _joined(self, conn: str, room: str, position: Position, *, recovered: bool, ref: str = "") -> Reply:
        return Reply(gateway_of(conn), wire.Joined(conn, room, position, recovered, 0, ref, self.term))

    # ── gateways ────────────────────────────────────────────────────────────────────────────────────────────────────

    def ask_every(self, known: Iterable[str], now_us: int) -> list[Effect]:
        """Begin: ask every gateway, known or not. Nothing may be applied until ``open``."""
        return [Tell(wire.Ask(self._router, self.number, self.term, self._census.ask_every(known, now_us)))]

    def asked(self, gateway: str) -> bool:
        """Say whether this gateway's answer is under way."""
        return self._census.asked(gateway)

    def open(self) -> None:
        """From now on envelopes are applied."""
        self._census.close()

    def ask(self, gateway: str, now_us: int) -> list[Effect]:
        """Ask one gateway (again) for its members."""
        ref = self._census.ask((gateway,), now_us)
        return [Reply(gateway, wire.Ask(self._router, self.number, self.term, ref))]

    def ask_overdue(self, before_us: int, now_us: int) -> list[Effect]:
        """Ask those again that were asked before then and have not answered."""
        return [effect for gateway in self._census.overdue(before_us) for effect in self.ask(gateway, now_us)]

    def announced(self, part: wire.Announce, now_us: int) -> list[Effect]:
        """Take (a part of) what a gateway says of its members. An unasked one is asked for its answer; of another term: not ours."""
        if part.shard != self.number or part.term > self.term:
            return []
        if not part.ref:
            return self.ask(part.gateway, now_us) if part.last else []
        if part.term != self.term:
            return []
        answer = self._census.take(part, now_us)
        if answer is None:
            unknown = part.last and not self._census.asked(part.gateway) and part.gateway not in self.answered
            return self.ask(part.gateway, now_us) if unknown else []
        gateway, picture = part.gateway, answer.picture()
        for room in list(self.rooms.rooms_of(gateway)):
            kept = picture[room][0] if room in picture else {}
            for conn in [conn for conn in self.rooms.members(room, gateway) if conn not in kept]:
                self._exit(room, gateway, conn)
        effects: list[Effect] = []
        for room, (members, position) in picture.items():
            if not self._owns(room):
                continue
            for conn, user in members.items():
                if not is_connection(conn) or gateway_of(conn) != gateway:
                    continue
                self._enter(room, conn, user)
                current = self._lives.at(room)
                if position != current and (room, conn) not in answer.notes:
                    effects.append(self._joined(conn, room, current, recovered=False))
        return effects

    def drop_gateway(self, gateway: str) -> int:
        """A gateway is gone: its members have left. Return in how many rooms it had some."""
        self._census.drop(gateway)
        rooms = self.rooms.drop_gateway(gateway)
        for room in rooms:
            if room not in self.rooms:
                self._lives.rest(room)
        return len(rooms)

    # ── judgement ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _owns(self, room: str) -> bool:
        return self._judge(room, is_room(room) or (room[:1] == "@" and is_user(room[1:]))) is None

    def _judge(self, address: str, valid: bool) -> tuple[ErrorCode, str] | None:
        """Return why this address is refused; None where it is one of this shard's."""
        if not valid:
            return ErrorCode.INVALID_ROOM, ROOM_RULE
        if shard_of(address, self._shards) != self.number:
            return ErrorCode.INTERNAL, "Sent to the wrong shard"
        return None

    def _refuse(self, envelope: wire.Envelope, conn: str, ref: str, code: ErrorCode, message: str) -> list[Effect]:
        """Tell the sender; where there is none to tell, or it is our own fault, set the envelope aside."""
        effects: list[Effect] = []
        if is_connection(conn):
            effects.append(Reply(gateway_of(conn), wire.Refused(conn, ref, code, message, self.term)))
        if not effects or code is ErrorCode.INTERNAL:
            effects.append(Reject(envelope, str(code)))
        return effects

    def refuse_internal(self, envelope: wire.Envelope, reason: str) -> list[Effect]:
        """Answer an envelope that broke something: its sender is told, and it is set aside with the reason."""
        conn, ref = "", ""
        match envelope:
            case wire.Publish():
                conn, ref = envelope.conn, envelope.id
            case wire.Join() | wire.Leave():
                conn, ref = envelope.conn, envelope.ref
            case _:
                pass
        effects: list[Effect] = []
        if is_connection(conn):
            text = "The message could not be handled"
            effects.append(Reply(gateway_of(conn), wire.Refused(conn, ref, ErrorCode.INTERNAL, text, self.term)))
        effects.append(Reject(envelope, reason))
        return effects
