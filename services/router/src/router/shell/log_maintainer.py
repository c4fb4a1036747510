"""LogMaintainer: writes what a speaker owes its shard's log: Rules, the ends of gateways' lives, and
checkpoints.

It does what ``core/log_maintenance.py`` says is due, and writes nothing once we don't speak any more. Who
only reads along keeps count, so that it knows what is due when it speaks.
"""

from __future__ import annotations

import secrets

import msgspec

from router.core.effects import Marked
from router.core.fold import FOLD_VERSION, Fold
from router.core.log_maintenance import LogMaintenance
from router.core.missing_hellos import MissingHellos
from router.core.shard_role import ShardRole
from router.shell.checkpoints import Checkpoints
from router.shell.log_writer import LogWriter, begins_anew
from router.shell.shard_context import ShardContext
from router.shell.shard_log import ShardLog
from router.shell.truncation_detector import TruncationDetector
from warren.envelope import Checkpoint, Gone, LifeEnded, Mark, Notified, Number, Rules
from warren.logs import event, get_logger

_logger = get_logger("router.log_maintainer")


class LogMaintainer:
    """One shard's."""

    def __init__(self, log: ShardLog, context: ShardContext, role: ShardRole) -> None:
        """We may write while ``role`` is to speak."""
        self._number = number = log.shard
        self._context = context
        self._role = role
        self._maintenance = LogMaintenance(context.limits.bounds, context.limits.marks)
        self._unknown = MissingHellos()
        self._writer = LogWriter(context.router.publisher, context.router.topology, number, role)
        self._checkpoints = Checkpoints(context.router.id, number, self._writer, context.router.metrics)
        self._truncation = TruncationDetector(log)

    @property
    def waiting(self) -> int:
        """How many records are on their way."""
        return self._writer.waiting

    @property
    def newest(self) -> int:
        """The offset of the Mark of the newest whole checkpoint; -1: none is known."""
        return self._checkpoints.newest

    # ── what is read ────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, fold: Fold, before: Fold, *, forked: bool) -> None:
        """The log is read anew, with this fold; ``before``: what had been read; ``forked``: another entry
        stands in its last one's place.
        """
        context = self._context
        if before.life == fold.life != "":
            if forked:
                self._truncation.forked()
            self._truncation.heard(before.offset, context.router.clock.monotonic())
        else:
            self._truncation.begin()
        self._maintenance = LogMaintenance(context.limits.bounds, context.limits.marks)
        self._checkpoints.begin(fold.offset)
        self._writer.drop(begins_anew)

    def life_began(self) -> None:
        """All that was before is void."""
        self._truncation.begin()
        self._writer.drop(begins_anew)

    def ruled(self, rules: Rules, fold: Fold) -> list[tuple[str, LifeEnded]]:
        """Rules were read. Return whom to tell that its life never began."""
        lives = self._unknown.passed(rules.at_us, fold.gateways)
        return [
            (gateway, LifeEnded(self._number, life, _counted(fold, gateway, life))) for gateway, life in lives
        ]

    def entered(self, size: int) -> None:
        """An entry of so many bytes was applied, which is no part of a checkpoint."""
        self._maintenance.entered(size)

    def marked(self, mark: Marked, offset: int, fold: Fold, *, compare: bool) -> None:
        """A Mark was applied. ``compare``: take the state as of there, to be written or compared."""
        self._maintenance.marked(mark.at_us)
        if compare:
            self._checkpoints.marked(mark, offset, fold, speaks=self._role.speaks)

    def seen(self, part: Checkpoint) -> int | None:
        """A part of a checkpoint stands in the log. Return the place of the checkpoint that it
        makes whole.
        """
        return self._checkpoints.seen(part)

    # ── what is written ─────────────────────────────────────────────────────────────────────────────────────

    def speak(self) -> None:
        """We speak from now on: nothing of ours is on its way."""
        self._maintenance.began()
        self._unknown.forget()

    def silence(self) -> None:
        """We write no more."""
        self._checkpoints.drop()

    def confirmed(self, offset: int) -> None:
        """Events up to this entry are confirmed: a checkpoint up to there may be written."""
        self._checkpoints.write(offset)

    def asks(self, said: Number, fold: Fold) -> None:
        """A gateway wants to be fed: where the log does not know its life, see whether it begins later or
        never.
        """
        if said.mine is None and fold.gateways.get(said.gateway, (0, 0))[0] < said.life:
            self._unknown.heard(said.gateway, said.life)
            self._probe(fold)
        elif said.mine is not None and said.mine.life == fold.life and said.mine.offset > fold.offset:
            self._truncation.heard(said.mine.offset, self._context.router.clock.monotonic())

    def keep(self, fold: Fold, *, nothing: bool) -> None:
        """Write what is due. ``nothing``: nothing in the log means anything. To be called several times a
        second while we speak.
        """
        context, maintenance = self._context, self._maintenance
        now, now_us = context.router.clock.monotonic(), context.router.clock.wall_us()
        self._truncation.look(fold.offset, now)
        others = context.peers.routers.speaking(self._number) - {context.router.id}
        if not nothing or not others:  # who speaks still knows what the log was, and will write a checkpoint
            self._rule(fold, now, now_us, lost=nothing or self._truncation.lost)
        if not fold.life:
            return
        self._probe(fold)
        if context.peers.heard_every_gateway(now):
            for gateway, ended in maintenance.gone(fold.gateways, context.peers.gateways.living, now):
                event(_logger, "gateway_life_over", shard=self._number, gateway=gateway, life=ended)
                self._writer.put(Gone(gateway, ended, now_us))
        if maintenance.time(fold.unseen_us, now, now_us):
            self._writer.put(Notified(context.router.id, now_us))
        if not self._checkpoints.pending and maintenance.mark(now, now_us, self._checkpoints.bytes):
            self._writer.put(Mark(context.router.id, now_us))

    async def close(self) -> None:
        """Give up what is on its way."""
        await self._checkpoints.close()
        await self._writer.close()
        await self._truncation.close()

    def _probe(self, fold: Fold) -> None:
        """Write the rules that count once more, where an entry is needed behind what gateways have said."""
        clock = self._context.router.clock
        at_us = self._unknown.due(clock.monotonic(), clock.wall_us()) if fold.rules is not None else 0
        if at_us and fold.rules is not None:
            self._writer.put(msgspec.structs.replace(fold.rules, at_us=at_us, anew=False))

    def _rule(self, fold: Fold, now: float, now_us: int, *, lost: bool) -> None:
        if self._writer.waits(Rules):
            return  # each would have a life of its own, and end that of the one before
        peers, present = self._context.peers, fold.version
        routers = peers.routers
        version = routers.common_version(FOLD_VERSION, routers.living - {self._context.router.id})
        # What a gateway does not understand would hold up all else of the shard for it.
        version = peers.gateways.understood(version)
        if present and not peers.heard_every_gateway(now):
            version = min(version, present)
        due = self._maintenance.rules(fold.rules, version, now, lost=lost)
        if due is not None:
            version, anew = due
            life = secrets.token_hex(6) if anew or not fold.life else fold.life
            self._writer.put(self._maintenance.made(life, version, now_us, anew=anew), self._ruled)

    def _ruled(self) -> None:
        self._maintenance.ruled(self._context.router.clock.monotonic())


def _counted(fold: Fold, gateway: str, life: int) -> int:
    ended, counted = fold.ended.get(gateway, (0, 0))
    return counted if ended == life else 0
