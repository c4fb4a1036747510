"""Shard: envelopes in, effects out, in order; the only place that numbers a message.

One owner's life of a shard under one term: it asks gateways for their members, ``open``s with what the log tells, then applies. Pure: no I/O, the
time is an argument, payloads are never looked into. An envelope is judged before anything is changed, so that one that is refused leaves
no trace. What is numbered is appended to the log first, and only what is in the log is acknowledged. ``shell/worker.py`` owns one for
each shard that it works on and carries the effects out in their order.
"""

from __future__ import annotations

from collections.abc import Iterable

from router.core.census import Answer
from router.core.effects import Effect, Reject, Reply, Tell
from router.core.ledger import Ledger
from router.core.limits import ShardLimits
from router.core.membership import Membership
from router.core.replay import Replay, Replayed
from router.core.rooms import RoomTable
from warren import envelope as wire
from warren.address import EVERYONE, ROOM_RULE, gateway_of, is_address, is_connection, is_room, is_user, shard_of
from warren.envelope import INTERNAL_ID
from warren.errors import ErrorCode
from warren.namespaces import Namespaces
from warren.position import Position

__all__ = ["Shard", "ShardLimits"]

Refusal = tuple[ErrorCode, str]


class Shard:
    """The rooms of one shard, under one term."""

    def __init__(
        self,
        number: int,
        shards: int,
        term: int,
        limits: ShardLimits,
        namespaces: Namespaces,
        router: str = "",
        events: frozenset[str] = frozenset(),
    ) -> None:
        """``number`` of ``shards``; ``router`` is who asks gateways for their members; ``events``: which kinds backends are told of, of
        ``client``, ``room`` and ``message``.
        """
        self.number = number
        self.term = term
        self.opened = False
        self._shards = shards
        self._limits = limits
        self._router = router
        self._namespaces = namespaces
        self._events = events
        self._membership = Membership(events)
        self._census = self._membership.census
        self._answers: dict[str, Answer] = {}  # whole ones, until the shard is open
        self._ledger = self._made(Replay(limits, namespaces, shards, number).finish(term, 0))

    def _made(self, known: Replayed) -> Ledger:
        return Ledger(self.term, known, self._namespaces, self.rooms.targets, events="message" in self._events)

    @property
    def rooms(self) -> RoomTable:
        """Who is where. To be looked at, not changed."""
        return self._membership.rooms

    @property
    def duplicates(self) -> int:
        """Repeats of a message, since the beginning."""
        return self._ledger.duplicates

    @property
    def remembered(self) -> int:
        """How many rooms have a position of their own."""
        return len(self._ledger.lives)

    @property
    def history_bytes(self) -> int:
        """How much of the rooms' messages is kept."""
        return self._ledger.kept_bytes

    @property
    def answered(self) -> set[str]:
        """The gateways that have answered an ask under this term."""
        return self._census.answered

    def position(self, room: str) -> Position:
        """Return how far a room has got."""
        return self._ledger.lives.position(room)

    def apply(self, envelope: wire.Envelope, now_us: int, *, again: bool = False) -> list[Effect]:
        """Decide what one envelope from the shard's queue brings about. ``now_us`` is wall time; ``again``: the broker may have given it to a
        former owner. Raises RuntimeError before ``open``.
        """
        if not self.opened:
            raise RuntimeError("the shard is not open")
        effects = self._ledger.upkeep() if self._ledger.lives.due else []
        match envelope:
            case wire.Publish():
                refusal = None
                if envelope.room not in self._ledger.lives:
                    refusal = self._judge(envelope.room, valid=is_address(envelope.room))
                if refusal is None:
                    self._ledger.publish(envelope, now_us, effects, again=again)
                else:
                    self._refuse(envelope, envelope.conn, _shown(envelope.id), refusal, effects)
            case wire.Join():
                self._join(envelope, now_us, effects, again=again)
            case wire.Leave():
                self._leave(envelope, now_us, effects, again=again)
            case wire.Resume():
                self._resume(envelope, now_us, effects)
            case wire.HistoryQuery():
                self._page(envelope, now_us, effects)
            case wire.Inquiry():
                for conn, user, ident in envelope.asked:
                    if is_connection(conn):
                        self._ledger.acknowledge(envelope.room, conn, user, ident, now_us, effects)
            case wire.Claim():
                pass  # the worker's
            case _:
                effects.append(Reject(envelope, "not a shard's envelope"))
        return effects

    def tidy(self, now_us: int) -> None:
        """Let go of what has aged. To be called several times a second."""
        self._ledger.tidy(now_us)

    # ── members ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _join(self, join: wire.Join, now_us: int, effects: list[Effect], *, again: bool) -> None:
        room, conn, ledger = join.room, join.conn, self._ledger
        if not is_connection(conn):
            effects.append(Reject(join, "invalid connection"))
            return
        refusal = self._judge(room, valid=_is_joinable(room))
        if refusal is not None:
            self._refuse(join, conn, join.ref, refusal, effects)
            return
        events = self._membership.enter(ledger.lives, room, conn, join.user, now_us, again=again)
        gateway, missed = gateway_of(conn), ledger.missed(room, join.since, now_us, to=conn)
        if missed is None or join.since is None:
            joined = wire.Joined(conn, room, ledger.lives.position(room), False, 0, join.ref, self.term)
        else:
            joined = wire.Joined(conn, room, join.since, True, len(missed), join.ref, self.term)
        effects.append(Reply(gateway, joined))
        effects += [Reply(gateway, entry) for entry in missed or ()]
        effects += events

    def _leave(self, leave: wire.Leave, now_us: int, effects: list[Effect], *, again: bool) -> None:
        conn = leave.conn
        if not is_connection(conn):
            effects.append(Reject(leave, "invalid connection"))
            return
        gateway = gateway_of(conn)
        for room in leave.rooms:
            if conn in self.rooms.members(room, gateway) or self._owns(room):
                effects += self._membership.leave(self._ledger.lives, room, conn, leave.user, now_us, again=again)
            if leave.ref:
                effects.append(Reply(gateway, wire.Left(conn, room, leave.ref, self.term)))

    def _page(self, query: wire.HistoryQuery, now_us: int, effects: list[Effect]) -> None:
        room, conn = query.room, query.conn
        gateway = gateway_of(conn)
        if not is_connection(conn):
            effects.append(Reject(query, "invalid connection"))
        elif conn not in self.rooms.members(room, gateway):
            refusal = (ErrorCode.NOT_JOINED, "Only a member of a room may read its history")
            self._refuse(query, conn, query.ref, refusal, effects)
        else:
            messages, more = self._ledger.page(room, query.before, query.limit, now_us)
            effects.append(Reply(gateway, wire.HistoryPage(conn, room, query.ref, tuple(messages), more, self.term)))

    # ── gateways ────────────────────────────────────────────────────────────────────────────────────────────────────

    def ask_every(self, known: Iterable[str], now_us: int) -> list[Effect]:
        """Begin: ask every gateway, known or not. Nothing may be applied until ``open``."""
        return [Tell(wire.Ask(self._router, self.number, self.term, self._census.ask_every(known, now_us)))]

    def asked(self, gateway: str) -> bool:
        """Say whether this gateway's answer is under way."""
        return self._census.asked(gateway)

    def ask(self, gateway: str, now_us: int) -> list[Effect]:
        """Ask one gateway (again) for its members."""
        ref = self._census.ask((gateway,), now_us)
        return [Reply(gateway, wire.Ask(self._router, self.number, self.term, ref))]

    def ask_overdue(self, before_us: int, now_us: int) -> list[Effect]:
        """Ask those again that were asked before then and have not answered."""
        return [effect for gateway in self._census.overdue(before_us) for effect in self.ask(gateway, now_us)]

    def open(self, known: Replayed | None, now_us: int) -> list[Effect]:
        """Begin with what the log tells (None: it is empty) and with the answers that have come. Return what comes before all else: what
        the log must be told, and what the gateways lack.
        """
        self.opened = True
        self._census.close()
        if known is not None:
            self._ledger = self._made(known)
        if self._judge(EVERYONE, valid=True) is None:
            self._ledger.lives.wake(EVERYONE)
        answers, self._answers = self._answers, {}
        effects: list[Effect] = []
        for gateway, answer in answers.items():
            self._reunite(gateway, answer, now_us, effects)
        return self._ledger.upkeep() + effects

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
        if not self.opened:
            self._answers[part.gateway] = answer
            return []
        effects: list[Effect] = []
        self._reunite(part.gateway, answer, now_us, effects)
        return self._ledger.upkeep() + effects

    def drop_gateway(self, gateway: str, now_us: int) -> list[Effect]:
        """A gateway is gone: its members have left."""
        effects: list[Effect] = [*self._membership.drop(self._ledger.lives, gateway, now_us)]
        answer = self._answers.pop(gateway, None)
        if answer is not None:
            effects += self._membership.gone(answer, self._owns, now_us)
        return effects

    def _reunite(self, gateway: str, answer: Answer, now_us: int, effects: list[Effect]) -> None:
        """Take a gateway's members as it names them, and bring each of its rooms to where the room has got to."""
        effects += self._membership.replace(self._ledger.lives, gateway, answer, self._owns, now_us)
        # Members that have come since the gateway was asked are answered by themselves, and have no position in its answer.
        for room, position in answer.positions().items():
            if room == EVERYONE or self._owns(room):
                self._catch_up(gateway, room, position, now_us, effects)

    def _resume(self, resume: wire.Resume, now_us: int, effects: list[Effect]) -> None:
        room = resume.room
        if not resume.gateway or self._judge(room, valid=room == EVERYONE or _is_joinable(room)) is not None:
            effects.append(Reject(resume, "invalid resume"))
            return
        found: list[Effect] = []
        self._catch_up(resume.gateway, room, resume.position, now_us, found)
        effects += self._ledger.upkeep()
        effects += found

    def _catch_up(self, gateway: str, room: str, position: Position | None, now_us: int, effects: list[Effect]) -> None:
        """Send a gateway what it lacks of a room, or tell it that this can't be done."""
        ledger, told = self._ledger, {gateway: None}
        missed = ledger.missed(room, position, now_us)
        if missed is not None:
            effects += [Reply(gateway, entry) for entry in missed]
            return
        ahead = position.gap(ledger.lives.position(room)) if position is not None else None
        if ahead is not None and ahead > 0:
            ledger.renounce(room)
            told |= dict.fromkeys(self.rooms.targets(room))
        resync = wire.Resync(room, ledger.lives.position(room), self.term)
        effects += [Reply(other, resync) for other in told]

    # ── judgement ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _owns(self, room: str) -> bool:
        return self._judge(room, valid=_is_joinable(room)) is None

    def _judge(self, address: str, *, valid: bool) -> Refusal | None:
        """Return why this address is refused; None where it is one of this shard's."""
        if not valid:
            return ErrorCode.INVALID_ROOM, ROOM_RULE
        if shard_of(address, self._shards) != self.number:
            return ErrorCode.INTERNAL, "Sent to the wrong shard"
        return None

    def _refuse(self, envelope: wire.Envelope, conn: str, ref: str, refusal: Refusal, effects: list[Effect]) -> None:
        """Tell the sender; where there is none to tell, or it is our own fault, set the envelope aside."""
        code, text = refusal
        told = is_connection(conn)
        if told:
            effects.append(Reply(gateway_of(conn), wire.Refused(conn, ref, code, text, self.term)))
        if not told or code is ErrorCode.INTERNAL:
            effects.append(Reject(envelope, str(code)))

    def refuse_internal(self, envelope: wire.Envelope, reason: str) -> list[Effect]:
        """Answer an envelope that broke something: its sender is told, and it is set aside with the reason."""
        conn, ref = "", ""
        match envelope:
            case wire.Publish():
                conn, ref = envelope.conn, _shown(envelope.id)
            case wire.Join() | wire.Leave() | wire.HistoryQuery():
                conn, ref = envelope.conn, envelope.ref
            case _:
                pass
        effects: list[Effect] = []
        if is_connection(conn):
            text = "The message could not be handled"
            effects.append(Reply(gateway_of(conn), wire.Refused(conn, ref, ErrorCode.INTERNAL, text, self.term)))
        effects.append(Reject(envelope, reason))
        return effects


def _is_joinable(room: str) -> bool:
    return is_room(room) or (room[:1] == "@" and is_user(room[1:]))


def _shown(ident: str) -> str:
    """Return a message's id as its sender knows it: what a gateway gave it is none."""
    return "" if ident[:1] == INTERNAL_ID else ident
