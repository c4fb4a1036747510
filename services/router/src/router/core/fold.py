"""Fold: a shard's log, entry by entry, to what all its readers know: numbers messages, knows repeats and
members, says what comes of each entry.

Pure and deterministic: it knows no clock, no chance and no setting, and whatever depends on those is decided
by others and stands in the log. Two folds that have taken the same entries are equal, and so are their
effects; one that is ``restored`` from ``parts`` goes on as the one that gave them. An entry is judged whole
before anything changes; poison is passed over by all alike. It keeps no message.

A fold, by example. Rooms stand at 0 and nobody is anywhere; then three entries are read:

    40   g1's batch 6: Join(chat:a, Ann)             to g1: Ann has entered at 0; to backends: room.joined
    41   g1's batch 7: Publish(chat:a, "hello")      to g1: "hello" with seq 1; to g1: Ack(1)
    42   g1's batch 7 again (a confirm was lost)     nothing: a batch counts once

Whoever reads 40 to 42 knows now that Ann is in chat:a, that chat:a stands at 1 and that g1's last batch is 7.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from typing import Final

import msgspec

from router.core import checkpoint, commands
from router.core.access import Denied, revocations
from router.core.blocks import Blocks
from router.core.dedup import Place
from router.core.effects import (
    Accepted,
    BackendEvent,
    BatchRefused,
    Began,
    CommandDone,
    Effect,
    Ended,
    EventKind,
    FeedItem,
    Marked,
    Part,
    PresenceChanged,
    Ruled,
    SeenChanged,
    UnknownVersion,
)
from router.core.gateway_batches import Verdict
from router.core.presence import Presence, Touched
from router.core.room_members import RoomMembers, came, left
from router.core.seen_positions import SeenPositions
from router.core.unseen_messages import Unseen
from warren import envelope as wire
from warren.address import (
    EVERYONE,
    ROOM_RULE,
    gateway_of,
    is_address,
    is_connection,
    is_room,
    is_user,
    shard_of,
    user_room,
)
from warren.envelope import INTERNAL_ID
from warren.errors import CloseCode, ErrorCode, MalformedEnvelope, UnsupportedEnvelope
from warren.log_entries import FOLD_VERSION, RECEIPT_SEEN
from warren.position import Position

__all__ = ["FOLD_VERSION", "Fold", "UnknownVersion"]

# From these versions of the log's rules on, presence is kept, commands count and receipts are given. Whatever
# an entry brings about has the same index for all readers: so nothing new is among it before.
PRESENCE_VERSION: Final = 2
COMMANDS_VERSION: Final = 2
RECEIPTS_VERSION: Final = 2
# Connections that may watch a room's presence, each room counted for itself; beyond it a Watch is refused.
MOST_WATCHERS: Final = 524_288
# Why a connection was closed, as its gateway may say in the Leave that follows.
LEAVE_REASONS: Final = frozenset({"disconnected", "replaced", "removed", "blocked", "revoked"})
# Connections that a command spares though they are not there: as their gateway is cut off.
MOST_AWAY: Final = 8
# Gateways that are remembered before there are rules.
EARLY: Final = 1_024

_LIFE = re.compile(r"[0-9a-z]{1,24}")
_NOWHERE: Final[Place] = (0, 0)  # of a message that is not numbered

Refusal = tuple[ErrorCode, str]

_BLOCKED: Final[Refusal] = (ErrorCode.BLOCKED, "You are blocked here")


class Fold:
    """What a reader of one shard's log knows."""

    def __init__(self, shard: int, shards: int) -> None:
        """Begin before the log's first entry, without a life."""
        self.shard = shard
        self.shards = shards
        self.offset = -1  # of the last entry that was applied
        self._at = -1  # of the one that is being applied
        self._time_us = 0  # when that was made, where it is a router's
        self.written_us = 0  # when the last one was made, by its writer's clock; 0 where it does not say
        self.duplicates = 0  # repeats of a message, since this object was made
        self.skipped = 0  # entries and messages that could not be taken, likewise
        self._begin(checkpoint.empty(None))

    def _begin(self, state: checkpoint.State) -> None:
        self._rules = state.rules
        self._state = state
        self._sequencer = state.sequencer
        self._ids = state.ids
        self._own_ids = state.own_ids
        self._rooms = state.rooms
        self._lives = state.lives
        self._presence = state.presence
        self._watchers = state.watchers
        self._access = state.access
        self._seen = state.seen
        self._unseen = state.unseen

    # ── what is known ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def life(self) -> str:
        """The log's life; empty where none has begun."""
        return self._rules.life if self._rules is not None else ""

    @property
    def version(self) -> int:
        """The version of the fold that the log asks for; 0 where it has no life."""
        return self._rules.version if self._rules is not None else 0

    @property
    def rules(self) -> wire.Rules | None:
        """The rules that count at present."""
        return self._rules

    @property
    def gateways(self) -> Mapping[str, tuple[int, int]]:
        """The living gateways: name ▶ (life, number of its last batch that was taken). A view."""
        return self._lives.living

    @property
    def ended(self) -> Mapping[str, tuple[int, int]]:
        """Lives that have ended, likewise, the oldest first. A view."""
        return self._lives.ended

    @property
    def rooms(self) -> RoomMembers:
        """Who is where. To be looked at, not changed."""
        return self._rooms

    @property
    def presence(self) -> Presence:
        """What rooms tell of who is there. To be looked at, not changed."""
        return self._presence

    @property
    def blocks(self) -> Blocks:
        """Who is kept out, also where that has ended. To be looked at, not changed."""
        return self._access.blocks

    @property
    def watchers(self) -> RoomMembers:
        """Who watches the presence of which room. To be looked at, not changed."""
        return self._watchers

    @property
    def seen(self) -> SeenPositions:
        """Who has seen the messages of which room up to where. To be looked at, not changed."""
        return self._seen

    @property
    def unseen_us(self) -> int | None:
        """Until when the next message is to be seen, by the log's time; None: none is."""
        return self._unseen.next_us

    @property
    def remembered(self) -> int:
        """How many rooms have a position of their own."""
        return len(self._sequencer)

    def position(self, room: str) -> Position:
        """Return how far a room has got."""
        return self._sequencer.position(room)

    def generation(self, room: str) -> int:
        """Return the generation of a room's epoch."""
        return self._sequencer.standing(room).generation

    def place(self, room: str, user: str, ident: str) -> Position | None:
        """Return where the message of this id stands (a backend's ``user`` is empty); None where the id is
        not known (any more).
        """
        ids = self._own_ids if ident[:1] == INTERNAL_ID else self._ids
        found = ids.get((room, user, ident))
        return None if found is None else Position(self._sequencer.epoch(found[0]), found[1])

    def access(self, query: wire.AccessQuery) -> wire.AccessAnswer:
        """Say whether a user may say something who comes into no room: not who is blocked altogether, or
        whose token was revoked.
        """
        own = user_room(query.user)
        join = wire.Join(own, query.conn, query.user, token_id=query.token_id, issued_s=query.issued_s)
        denied = self._access.judge(join, member=False)
        return wire.AccessAnswer(query.conn, *((0, "") if denied is None else (denied.code, denied.reason)))

    def parts(self, size: int = 256 * 1024) -> tuple[list[bytes], bytes]:
        """Return the whole state as of ``offset`` in bodies of about ``size`` bytes at most, and their
        digest.
        """
        snapshot = self.snapshot(size)
        while snapshot.step():
            pass
        return snapshot.bodies, snapshot.digest

    def snapshot(self, size: int = 256 * 1024) -> checkpoint.Snapshot:
        """Return what ``parts`` gives now, to be encoded step by step while the fold goes on. Close it in the
        end.
        """
        return checkpoint.Snapshot(self.shard, self.shards, self._state, size)

    @classmethod
    def restored(cls, shard: int, shards: int, offset: int, bodies: Sequence[bytes]) -> Fold:
        """Return the fold that gave these ``bodies`` at ``offset``. Raises MalformedEnvelope where they are
        no whole state of this shard, UnknownVersion where it is that of a newer fold.
        """
        return checkpoint.finished(cls.restoring(shard, shards, offset, bodies))

    @classmethod
    def restoring(
        cls, shard: int, shards: int, offset: int, bodies: Sequence[bytes]
    ) -> Generator[None, None, Fold]:
        """Return what ``restored`` does, as the generator's value, in steps that are short however large the
        state is. Raises as that.
        """
        state = yield from checkpoint.decoding(shard, shards, bodies)
        if state.rules is not None:
            _know(state.rules)
        fold = cls(shard, shards)
        fold.offset = offset
        fold._begin(state)
        return fold

    # ── the log ─────────────────────────────────────────────────────────────────────────────────────────────

    def apply(self, offset: int, record: bytes) -> list[Effect]:
        """Take the entry at ``offset``; return what it brings about. Raises UnknownVersion, and RuntimeError
        for an offset that is not above the last one.
        """
        if offset <= self.offset:
            raise RuntimeError(f"offset {offset} comes after {self.offset}")
        self._at, self._time_us, self.written_us = offset, 0, 0
        effects: list[Effect] = []
        try:
            envelopes = wire.decode(record)
        except (MalformedEnvelope, UnsupportedEnvelope):
            envelopes = []
        if not self._take(envelopes, effects):
            self.skipped += 1
        if self._rules is not None:
            if self._time_us:
                self._tell_unseen(effects)
            self._sequencer.forget(self._rules.rooms)
        self.offset = offset
        return effects

    def _take(self, envelopes: list[wire.Envelope], effects: list[Effect]) -> bool:
        """Take an entry's envelopes; False where they are no entry."""
        match envelopes:
            case [wire.Rules() as rules]:
                return self._rule(rules, effects)
            case _ if self._rules is None:
                if envelopes:
                    self._early(envelopes[0])
                return True
            case [wire.Batch() as head, *contents]:
                return self._batch(head, contents, effects)
            case [wire.Notified() as head, *contents]:
                return self._notified(head.at_us, contents, effects)
            case [wire.Commanded() as head, wire.Command() as command]:
                return self._commanded(head, command, effects)
            case [wire.Gone() as gone]:
                self._gone(gone, effects)
            case [wire.Mark() as mark]:
                self._pass(mark.at_us)
                effects.append(Marked(1, mark.router, mark.at_us))
            case [wire.Checkpoint() as part]:
                effects.append(Part(1, part))
            case _:
                return False
        return True

    def _rule(self, rules: wire.Rules, effects: list[Effect]) -> bool:
        """Take the rules that all readers share; those of another life without ``anew`` do not count."""
        if (
            _LIFE.fullmatch(rules.life) is None
            or min(rules.version, rules.ids) < 1
            or min(rules.rooms, rules.gone) < 0
        ):
            return False
        # Rules that begin a life may come twice: their writer repeats what was not confirmed.
        same = self._rules is not None and rules.life == self._rules.life
        if self._rules is not None and not same and not rules.anew:
            return True
        _know(rules)
        if same:
            # A router that has not read of a higher version may still write a lower one: that is never left.
            rules = msgspec.structs.replace(rules, version=max(rules.version, self.version))
            checkpoint.bound(self._state, rules)
            self._begin(msgspec.structs.replace(self._state, rules=rules))
        else:
            early = {} if rules.anew else dict(self._lives.ended)
            self._begin(checkpoint.empty(rules, early))
            if shard_of(EVERYONE, self.shards) == self.shard:
                self._sequencer.wake(EVERYONE)  # everyone is always there
        effects.append(Ruled(1, rules, not same))
        if not same:  # who was too early is to begin again
            for gateway, (life, counted) in self._lives.ended.items():
                effects.append(BatchRefused(len(effects) + 1, gateway, life, counted))
        return True

    def _early(self, head: wire.Envelope) -> None:
        """Remember who has begun before the log did: nothing of it counts, and it is to hear so."""
        if isinstance(head, wire.Batch) and head.life > 0 and _is_gateway(head.gateway):
            self._lives.note(head.gateway, head.life, EARLY)

    def _batch(self, head: wire.Batch, contents: list[wire.Envelope], effects: list[Effect]) -> bool:
        gateway, life, number = head.gateway, head.life, head.number
        hello = bool(contents) and type(contents[0]) is wire.Hello
        if hello:
            del contents[0]
        if life < 1 or number < 1 or (hello and number != 1) or not _are_of(gateway, contents):
            return False
        verdict = self._lives.judge(gateway, life, number, hello=hello)
        if verdict is Verdict.REPEAT:
            return True
        if verdict is Verdict.REFUSED:
            effects.append(BatchRefused(1, gateway, life, self._lives.counted(gateway, life)))
            return True
        if verdict is Verdict.BEGINS:
            if not _is_gateway(gateway):
                return False
            self._end(gateway, head.at_us, effects)
            effects.append(Began(len(effects) + 1, gateway, life))
        self._lives.take(gateway, life, number)
        self._pass(head.at_us, router=False)
        for envelope in contents:
            kind = type(envelope)
            if kind is wire.Publish:
                self._publish(envelope, gateway, effects)  # type: ignore[arg-type]  # narrowed by kind, which is faster than isinstance
            elif kind is wire.Join:
                self._join(envelope, gateway, head.at_us, effects)  # type: ignore[arg-type]
            elif kind is wire.Leave:
                self._leave(envelope, gateway, head.at_us, effects)  # type: ignore[arg-type]
            elif kind is wire.Seen:
                self._saw(envelope, gateway, effects)  # type: ignore[arg-type]
            elif self.version >= PRESENCE_VERSION:
                self._presence_entry(envelope, gateway, effects)  # type: ignore[arg-type]
        return True

    def _notified(self, at_us: int, contents: list[wire.Envelope], effects: list[Effect]) -> bool:
        messages = [each for each in contents if isinstance(each, wire.Publish) and not each.conn]
        if len(messages) != len(contents):
            return False
        self._pass(at_us)
        for message in messages:
            self._publish(message, "", effects)
        return True

    def _gone(self, gone: wire.Gone, effects: list[Effect]) -> None:
        known = self._lives.living.get(gone.gateway)
        if known is not None and known[0] == gone.life:
            self._pass(gone.at_us)
            self._end(gone.gateway, gone.at_us, effects)

    def _pass(self, at_us: int, *, router: bool = True) -> None:
        """An entry of this time counts, a router's or a gateway's."""
        self.written_us = at_us
        if self.version >= COMMANDS_VERSION:
            self._access.advance(at_us, forget=router)
        if router:
            self._time_us = at_us

    def _end(self, gateway: str, at_us: int, effects: list[Effect]) -> None:
        """A gateway's life is over, where it has one: its members have left."""
        known = self._lives.living.get(gateway)
        if known is None or self._rules is None:
            return
        self._watchers.drop_gateway(gateway)
        for room, members in self._rooms.drop_gateway(gateway):
            # Told as if they had left one after the other.
            staying = Counter(user for _, user in members)
            for user in staying:
                staying[user] += self._rooms.connections(room, user)
            self._access.left(room, [conn for conn, _ in members])
            for conn, user in members:
                staying[user] -= 1
                self._went(room, conn, user, staying[user], at_us, "gone", effects)
        counted = self._lives.end(gateway, self._rules.gone)
        effects.append(Ended(len(effects) + 1, gateway, known[0], counted))

    # ── messages ────────────────────────────────────────────────────────────────────────────────────────────

    def _publish(self, message: wire.Publish, gateway: str, effects: list[Effect]) -> None:
        """Take a message for an address of this shard; ``gateway``: the sender's, empty for a backend's."""
        room, ident, sequencer, ids = message.room, message.id, self._sequencer, self._ids
        if room not in sequencer:
            refusal = self._judge(room, valid=is_address(room))
            if refusal is not None:
                self._refuse(gateway, message.conn, _shown(ident), refusal, effects)
                return
        answer = bool(ident and gateway)
        if ident[:1] == INTERNAL_ID:
            ids, answer = self._own_ids, False
            if message.ephemeral:
                ident = ""  # nobody minds a second TYPING
        key = (room, message.user, ident)
        if ident:
            first = ids.get(key)
            if first is not None:
                self.duplicates += 1
                if answer:
                    ack = wire.Ack(message.conn, room, ident, sequencer.epoch(first[0]), first[1])
                    effects.append(FeedItem(len(effects) + 1, (gateway,), ack))
                if message.receipt and self.version >= RECEIPTS_VERSION:
                    self._accepted(message, first, effects, duplicate=True)
                return
        if gateway and self._access.blocks and self._access.bars(room, message.user):
            self._refuse(gateway, message.conn, _shown(ident), _BLOCKED, effects)
            return
        place, epoch, entry = _NOWHERE, "", None
        if message.ephemeral or "~" in room:
            delivery = _delivery(message, "", 0, message.trace)
        else:
            standing = sequencer.advance(room)
            place = (standing.generation, standing.seq)
            epoch = sequencer.epoch(place[0])
            delivery = entry = _delivery(message, epoch, place[1], "")
            if message.trace:
                delivery = _delivery(message, epoch, place[1], message.trace)
        targets = self._reached(room)
        if targets:
            effects.append(FeedItem(len(effects) + 1, targets, delivery))
        if ident:
            ids.put(key, place)
        if answer:
            effects.append(
                FeedItem(len(effects) + 1, (gateway,), wire.Ack(message.conn, room, ident, epoch, place[1]))
            )
        if entry is not None:
            _tell_backends("message", entry, effects)
            if self.version >= RECEIPTS_VERSION:
                if not targets:
                    _tell_backends("undelivered", entry, effects, "nobody")
                elif message.unseen_ms > 0 and not gateway and room != EVERYONE:
                    due_us = message.at_us + message.unseen_ms * 1_000
                    if not self._unseen.put(Unseen(due_us, place[0], entry)):
                        _tell_backends("undelivered", entry, effects, "overloaded")
        if message.receipt and self.version >= RECEIPTS_VERSION:
            self._accepted(message, place, effects, duplicate=False)

    def _accepted(
        self, message: wire.Publish, place: Place, effects: list[Effect], *, duplicate: bool
    ) -> None:
        """Tell whoever asked for that what has become of a message, and who is there."""
        room, user = message.room, message.user
        if not message.asker and not message.conn:
            return
        targets, users, connections, readers = self._reached(room), -1, -1, 0
        if room != EVERYONE and "~" not in room:
            users, connections = self._rooms.counts(room)
            readers = users - bool(user and self._rooms.connections(room, user))
        seen = 0
        if duplicate and message.receipt >= RECEIPT_SEEN:
            seen = self._seen.count(room, place[0], place[1], user)
        effects.append(
            Accepted(
                len(effects) + 1,
                message.asker,
                message.id,
                room,
                self._sequencer.epoch(place[0]),
                place[1],
                duplicate,
                targets,
                users,
                connections,
                message.receipt,
                message.conn,
                user,
                readers,
                seen,
            )
        )

    def _saw(self, said: wire.Seen, gateway: str, effects: list[Effect]) -> None:
        """Note up to where a member has seen a room's messages; of other epochs, and of what is not there,
        nobody has seen anything.
        """
        room = said.room
        user = self._rooms.members(room, gateway).get(said.conn)
        standing = self._sequencer.standing(room)
        epoch, seq = self._sequencer.epoch(standing.generation), min(said.seq, standing.seq)
        if user is None or self.version < RECEIPTS_VERSION or said.epoch != epoch or seq < 1:
            return
        before = self._seen.saw(room, standing.generation, user, seq)
        if before is None:
            return
        self._unseen.saw(room, standing.generation, seq)
        effects.append(SeenChanged(len(effects) + 1, room, epoch, user, before, seq))

    def _tell_unseen(self, effects: list[Effect]) -> None:
        """Tell backends what nobody has seen by now."""
        for message in self._unseen.due(self._time_us):
            _tell_backends("undelivered", message, effects, "unseen")

    def _reached(self, room: str) -> tuple[str, ...]:
        """Return the living gateways that a message for this address is for."""
        if room == EVERYONE:
            return self._lives.names
        if "~" in room:
            gateway = gateway_of(room)
            return (gateway,) if gateway in self._lives.living else ()
        return self._rooms.targets(room)

    # ── members ─────────────────────────────────────────────────────────────────────────────────────────────

    def _join(self, join: wire.Join, gateway: str, at_us: int, effects: list[Effect]) -> None:
        room, conn = join.room, join.conn
        everyone = room == EVERYONE  # nobody is a member of it: a gateway asks where it stands
        commands_count = self.version >= COMMANDS_VERSION
        if commands_count and room == conn and shard_of(room, self.shards) == self.shard:
            self._admits(join, gateway, at_us, effects)  # it asks whether it may stay
            return
        refusal = self._judge(
            room, valid=everyone or is_room(room) or (room[:1] == "@" and is_user(room[1:]))
        )
        if refusal is not None:
            self._refuse(gateway, conn, join.ref, refusal, effects)
            return
        came_us = 0
        if commands_count and not everyone:
            if not self._admits(join, gateway, at_us, effects):
                return
            known = conn in self._rooms.members(room, gateway)
            came_us = self._access.stays(join) if known else self._access.entered(join)
        new = not everyone and self._rooms.join(room, gateway, conn, join.user)
        user = self._rooms.members(room, gateway).get(conn, "")  # as it came in, however often it joins
        self._sequencer.wake(room)
        # Its gateway may not have heard of a revocation: its user was connected elsewhere, or nowhere.
        void_s = self._access.void_s(join.user) if room[:1] == "@" else 0
        entered = wire.Entered(
            conn, room, self._sequencer.position(room), join.ref, join.since, came_us, void_s
        )
        effects.append(FeedItem(len(effects) + 1, (gateway,), entered))
        if new:
            connections = self._rooms.connections(room, user)
            members = self._rooms.size(room)
            effects.append(came(len(effects) + 1, room, conn, user, connections, members, at_us))
        if not everyone and self.version >= PRESENCE_VERSION:
            touched = self._presence.came(room, conn, user, join.presence, join.info, self._at)
            self._touched(room, touched, effects)

    def _leave(self, leave: wire.Leave, gateway: str, at_us: int, effects: list[Effect]) -> None:
        conn, reason = leave.conn, "left"
        if self.version >= COMMANDS_VERSION and leave.reason in LEAVE_REASONS:
            reason = leave.reason
        for room in leave.rooms:
            user = self._rooms.leave(room, gateway, conn)
            self._watchers.leave(room, gateway, conn)
            self._access.left(room, (conn,))
            if leave.ref:
                effects.append(FeedItem(len(effects) + 1, (gateway,), wire.Left(conn, room, leave.ref)))
            if user is not None:
                self._went(room, conn, user, self._rooms.connections(room, user), at_us, reason, effects)

    def _went(
        self,
        room: str,
        conn: str,
        user: str,
        connections: int,
        at_us: int,
        reason: str,
        effects: list[Effect],
    ) -> None:
        """``conn`` was taken out of the table of members, and of its user there are so many ``connections``
        left there: say so to backends, and to who watches the room.
        """
        if room not in self._rooms:
            self._sequencer.rest(room)
        members = self._rooms.size(room)
        effects.append(left(len(effects) + 1, room, conn, user, connections, members, at_us, reason))
        self._touched(room, self._presence.went(room, conn, user, self._at), effects)

    # ── commands of backends ────────────────────────────────────────────────────────────────────────────────

    def _commanded(self, head: wire.Commanded, command: wire.Command, effects: list[Effect]) -> bool:
        """Do what a backend wants changed, once for each id; False where it is none of this shard's."""
        if self.version < COMMANDS_VERSION:
            return True  # no effect either: routers that don't know commands make none of this
        if shard_of(command.room, self.shards) != self.shard:
            return False
        access, verb = self._access, command.verb
        access.advance(head.at_us, forget=True)
        key = (command.room, "", command.id)
        known = access.ids.get(key)
        wrong = commands.problem(command)
        if known is not None:
            self.duplicates += 1
            answer = commands.done(verb, known[1], repeated=True)
        elif wrong:
            answer = commands.refused(ErrorCode.INVALID_MESSAGE, wrong)
        elif self._has_no_place(command):
            answer = commands.refused(ErrorCode.OVERLOADED, "Too much is blocked and revoked on this shard")
        else:
            number = self._command(command, head.at_us, effects)
            access.ids.put(key, (0, number))
            answer = commands.done(verb, number, repeated=False)
        effects.append(CommandDone(len(effects) + 1, command.id, command.room, head.router, answer))
        return True

    def _has_no_place(self, command: wire.Command) -> bool:
        """Say whether this would be one block or revocation too many."""
        access, user = self._access, commands.whose(command)
        match command.verb:
            case "block":
                return access.full and (command.room, user) not in access.blocks
            case "revoke":
                wanted = revocations(user, command.token_id, command.before_s)
                return access.full and any(key not in access.revoked for key, _ in wanted)
            case _:
                return False

    def _command(self, command: wire.Command, at_us: int, effects: list[Effect]) -> int:
        """Do it; return how many connections it has met, or blocks it has lifted."""
        access, room, user = self._access, command.room, commands.whose(command)
        match command.verb:
            case "disconnect" if "~" in room:
                out = Denied("disconnected", command.code or CloseCode.DISCONNECTED, command.reason)
                access.put((room, ""), out.code, out.reason, out.why)
                # It may be in no room of this shard: the rest is for its gateway to do.
                targets = self._reached(room)
                if targets:
                    item = wire.Dismissed(room, out.code, out.reason)
                    effects.append(FeedItem(len(effects) + 1, targets, item))
                return len(targets)
            case "disconnect":
                out = Denied("disconnected", command.code or CloseCode.DISCONNECTED, command.reason)
                return self._put_out(room, user, out, command.spare, at_us, effects)
            case "block":
                access.block(room, user, command.until_ms)
                code = (command.code or CloseCode.DISCONNECTED) if room[:1] == "@" else 0
                out = Denied("blocked", code, command.reason)
                return self._put_out(room, user, out, (), at_us, effects)
            case "unblock":
                return int(access.unblock(room, user))
            case "remove" if command.conn:
                out = Denied("removed", 0, command.reason)
                return self._put_one_out(room, command.conn, out, at_us, effects)
            case "remove":
                out = Denied("removed", 0, command.reason)
                return self._put_out(room, user, out, command.spare, at_us, effects)
            case "revoke":
                access.revoke(user, command.token_id, command.before_s, command.until_ms)
                targets = self._rooms.targets(room)
                if targets:
                    revoked = wire.TokensRevoked(user, command.token_id, command.before_s)
                    effects.append(FeedItem(len(effects) + 1, targets, revoked))
                return len(self._there(room, user))
            case "add" if "~" in room:
                # As of a disconnect: the rest is for its gateway to do.
                targets = self._reached(room)
                if targets:
                    effects.append(FeedItem(len(effects) + 1, targets, wire.Enrolled(room, command.rooms)))
                return len(targets)
            case _:  # add
                there = [conn for conn in self._there(room, user) if conn not in command.spare]
                for conn in there:
                    enrolled = wire.Enrolled(conn, command.rooms)
                    effects.append(FeedItem(len(effects) + 1, (gateway_of(conn),), enrolled))
                return len(there)

    def _there(self, room: str, user: str) -> list[str]:
        """Return a user's connections in a room, in the order of their gateways and of their joins there."""
        own = room[:1] == "@"
        if not own and not self._rooms.connections(room, user):
            return []
        return [
            conn
            for gateway in self._rooms.targets(room)
            for conn, each in self._rooms.members(room, gateway).items()
            if own or each == user
        ]

    def _put_out(
        self, room: str, user: str, out: Denied, spare: Sequence[str], at_us: int, effects: list[Effect]
    ) -> int:
        """Put a user's connections out of a room, also those that are not there only since their gateway was
        cut off; return how many were there.
        """
        members = self._there(room, user)
        there = [conn for conn in members if conn not in spare]
        # Few are away: a backend's list must not take more place than the user's connections do.
        away = [conn for conn in spare if conn not in members][:MOST_AWAY]
        spared = (*(conn for conn in members if conn in spare), *away)
        self._access.put((room, user), out.code, out.reason, out.why, spared)
        for conn in there:
            self._turn_away(room, conn, out, effects)
            self._expel(room, conn, at_us, out.why, effects)
        return len(there)

    def _put_one_out(self, room: str, conn: str, out: Denied, at_us: int, effects: list[Effect]) -> int:
        """Put one connection out of a room, also where it is not there only since its gateway was cut off;
        return how many were there.
        """
        self._access.put((room, conn), out.code, out.reason, out.why)
        if conn not in self._rooms.members(room, gateway_of(conn)):
            return 0
        self._turn_away(room, conn, out, effects)
        self._expel(room, conn, at_us, out.why, effects)
        return 1

    def _admits(self, join: wire.Join, gateway: str, at_us: int, effects: list[Effect]) -> bool:
        """Judge one who wants to come into a room, or thinks that it is in; turn away, also others, who must
        not be.
        """
        room, conn, access = join.room, join.conn, self._access
        member = conn in self._rooms.members(room, gateway)
        denied = access.judge(join, member=member)
        if denied is not None:
            if denied.code or denied.again:
                self._turn_away(room, conn, denied, effects, join.ref)
            else:
                self._refuse(gateway, conn, join.ref, _BLOCKED, effects)
            if member:
                self._expel(room, conn, at_us, denied.why, effects)
            return False
        if join.limit <= 0 or member or room[:1] != "@":
            return True
        replaced = Denied("replaced", CloseCode.REPLACED, f"Connections of one user: at most {join.limit}")
        there = sum(len(self._rooms.members(room, each)) for each in self._rooms.targets(room))
        too_many = access.too_many(join, self._there(room, join.user)) if there >= join.limit else []
        for other in too_many:
            self._turn_away(room, other, replaced, effects)
            if other != conn:
                self._expel(room, other, at_us, replaced.why, effects)
        return conn not in too_many

    def _turn_away(self, room: str, conn: str, denied: Denied, effects: list[Effect], ref: str = "") -> None:
        """Have a connection closed, or told that it is out of a room; ``ref``: of its Join that said so."""
        item = (
            wire.Dismissed(conn, denied.code, denied.reason)
            if denied.code
            else wire.Left(conn, room, ref, denied.why)
        )
        effects.append(FeedItem(len(effects) + 1, (gateway_of(conn),), item))

    def _expel(self, room: str, conn: str, at_us: int, why: str, effects: list[Effect]) -> None:
        """A member is none any more, and watches no more, without having asked for that."""
        gateway = gateway_of(conn)
        user = self._rooms.leave(room, gateway, conn)
        if user is None:
            return
        self._watchers.leave(room, gateway, conn)
        self._access.left(room, (conn,))
        self._went(room, conn, user, self._rooms.connections(room, user), at_us, why, effects)

    # ── presence ────────────────────────────────────────────────────────────────────────────────────────────

    def _presence_entry(self, entry: wire.Watch | wire.Inform, gateway: str, effects: list[Effect]) -> None:
        """Note who watches a room, or what a member shows there from now on."""
        room, conn, watchers = entry.room, entry.conn, self._watchers
        if isinstance(entry, wire.Inform):
            user = self._rooms.members(room, gateway).get(conn)
            if user is not None:
                self._touched(room, self._presence.inform(room, conn, user, entry.info, self._at), effects)
            return
        if not entry.on:
            watchers.leave(room, gateway, conn)
            return
        refusal = self._judge(room, valid=is_room(room) or (room[:1] == "@" and is_user(room[1:])))
        if refusal is None and self._access.bars(room, entry.user):
            refusal = _BLOCKED
        if refusal is None and watchers.memberships >= MOST_WATCHERS:
            refusal = (ErrorCode.OVERLOADED, "Too many watch the presence of rooms")
        if refusal is not None:
            self._refuse(gateway, conn, "", refusal, effects)
        else:
            watchers.join(room, gateway, conn, entry.user)

    def _touched(self, room: str, touched: tuple[Touched, ...], effects: list[Effect]) -> None:
        """Say what has changed in the presence of a room, where somebody watches it."""
        if touched and room in self._watchers:
            for key, revision in touched:
                effects.append(PresenceChanged(len(effects) + 1, room, key, revision))

    # ── judgement ───────────────────────────────────────────────────────────────────────────────────────────

    def _judge(self, address: str, *, valid: bool) -> Refusal | None:
        """Return why this address is refused; None where it is one of this shard's."""
        if not valid:
            return ErrorCode.INVALID_ROOM, ROOM_RULE
        if shard_of(address, self.shards) != self.shard:
            return ErrorCode.INTERNAL, "Sent to the wrong shard"
        return None

    def _refuse(self, gateway: str, conn: str, ref: str, refusal: Refusal, effects: list[Effect]) -> None:
        """Tell the sender; a backend's message has none to tell, and is passed over."""
        if gateway:
            effects.append(FeedItem(len(effects) + 1, (gateway,), wire.Refused(conn, ref, *refusal)))
        else:
            self.skipped += 1


def _know(rules: wire.Rules) -> None:
    if rules.version > FOLD_VERSION:
        raise UnknownVersion(
            f"the log's rules are of version {rules.version} of the fold; this router knows "
            f"{FOLD_VERSION}: update it"
        )


def _is_gateway(name: str) -> bool:
    return is_connection(f"{name}~0")


def _are_of(gateway: str, contents: list[wire.Envelope]) -> bool:
    """Say whether all this is what a gateway may say of its own connections."""
    prefix = gateway + "~"
    for envelope in contents:
        if not isinstance(
            envelope, wire.Publish | wire.Join | wire.Leave | wire.Watch | wire.Inform | wire.Seen
        ):
            return False
        conn = envelope.conn
        if not conn.startswith(prefix) or not is_connection(conn):
            return False
    return True


def _delivery(message: wire.Publish, epoch: str, seq: int, trace: str) -> wire.Deliver:
    return wire.Deliver(
        message.room,
        epoch,
        seq,
        message.type,
        message.payload,
        message.at_us,
        message.conn,
        message.user,
        message.id,
        message.binary,
        message.include_sender,
        message.key,
        message.expires_ms,
        trace,
    )


def _tell_backends(kind: EventKind, message: wire.Deliver, effects: list[Effect], reason: str = "") -> None:
    """Tell backends what has become of a message."""
    effects.append(
        BackendEvent(
            len(effects) + 1,
            kind,
            message.room,
            message.at_us,
            message.conn,
            message.user,
            reason,
            message,
        )
    )


def _shown(ident: str) -> str:
    """Return a message's id as its sender knows it: what a gateway gave it is none."""
    return "" if ident[:1] == INTERNAL_ID else ident
