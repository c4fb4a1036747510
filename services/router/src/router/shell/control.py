"""Control: does what backends command, however they came: messages and commands into the logs,
reads to whoever speaks for the shard.

A command is done once its record is confirmed; what it came to is told by the fold. Whoever is not answered
in time is told that its fate is not known, and may send it again under the same id. It judges nothing
(``core/control.py``) and knows neither AMQP nor HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from router.core import control
from router.core import control_reads as reads
from router.core.api_keys import Scope
from router.core.control import Command, Message
from router.core.control_problems import Problem, ProblemCode, invalid
from router.core.control_reads import AnyRead
from router.core.fold import COMMANDS_VERSION
from router.core.verbs import Verb
from router.shell.message_writer import MessageWriter, Written
from router.shell.router_calls import Readers, RouterCalls
from router.shell.router_context import RouterContext
from warren.address import shard_of
from warren.bus import Properties
from warren.contract.commands import Batch, Broadcast, Done, Outcome, Outcomes, Publish, Published, Result
from warren.contract.installation import Asked, Gateways, Overview, Samples, ShardList, Told
from warren.contract.problem import Fault
from warren.envelope import CONTENT_TYPE, INTERNAL_ID, Commanded, Receipt, encode
from warren.envelope import Command as Entry
from warren.errors import ErrorCode, Overloaded
from warren.log_entries import RECEIPT_LEVELS, RECEIPT_NONE, RECEIPT_SEEN, RECEIPT_WRITTEN

# How long a record may take until it is confirmed; a broker that elects a leader takes seconds.
WRITE_S: Final = 8.0
# How long a command may take until the fold has told what it came to, and after how long it is written again.
CHANGE_S: Final = 10.0
AGAIN_S: Final = 1.0
# How long the answer to a read is waited for: a speaker that has died is followed within a lease.
READ_S: Final = 5.0
# When to come again where too much waits.
LATER_MS: Final = 500

Answer = Result | Problem

_NOT_CONFIRMED: Final = Problem(
    ProblemCode.UNAVAILABLE,
    "The broker has not confirmed it in time, so its fate is not known: send it again under the same id.",
    retry_after_ms=1_000,
)
_FULL: Final = Problem(
    ProblemCode.OVERLOADED, "Too much waits for its shard: send it again later.", retry_after_ms=LATER_MS
)
_BUSY: Final = Problem(
    ProblemCode.OVERLOADED, "Too many answers are waited for: come again later.", retry_after_ms=LATER_MS
)
_NO_ANSWER: Final = Problem(
    ProblemCode.UNAVAILABLE, "No router that knows it has answered in time.", retry_after_ms=1_000
)
_OLD: Final = Problem(
    ProblemCode.NOT_SUPPORTED, "A router of this installation is too old for commands: update all routers."
)
_PROPERTIES: Final = Properties(content_type=CONTENT_TYPE)


class Informant(Protocol):
    """Whoever knows the figures of the whole installation."""

    def answer(self, body: Asked) -> Told | Problem:
        """Return what was asked for."""
        ...


@dataclass(slots=True)
class _OnItsWay:
    """A message that is being written, and its receipt where one was asked for."""

    message: Message
    written: Written
    receipt: asyncio.Future[Receipt] | None


class Control:
    """One router's."""

    def __init__(
        self,
        context: RouterContext,
        writer: MessageWriter,
        calls: RouterCalls,
        shards: Readers,
        installation: Informant,
    ) -> None:
        """``writer`` puts messages into the logs, ``calls`` wait for what others say; ``shards`` are this
        router's parts of all shards, by number; ``installation`` knows the whole.
        """
        self._context = context
        self._writer = writer
        self._calls = calls
        self._shards = shards
        self._installation = installation
        self._numbers = itertools.count(1)

    async def do(self, command: Command, scopes: tuple[Scope, ...]) -> Answer:
        """Do a command as far as these scopes allow it; return what it came to."""
        match command.body:  # of messages each is asked about by itself
            case Publish() as body:
                (answer,) = await self._publish(command.messages, scopes, body)
                return answer
            case Batch() | Broadcast() as body:
                answers = await self._publish(command.messages, scopes, body)
                return _outcomes(command.messages, answers)
        refusal = control.refusal(command, scopes)
        if refusal is not None:
            return refusal
        if command.entry is not None:
            return await self._change(command.verb, command.entry)
        match command.body:
            case Overview() | Samples() | Gateways() | ShardList() as asked:
                return self._installation.answer(asked)
        if command.read is not None:
            return await self._read(command, command.read)
        raise TypeError(f"nothing is to be done for {command.verb.name}")

    # ── who is where, changed ───────────────────────────────────────────────────────────────────────────────

    async def _change(self, verb: Verb, entry: Entry) -> Answer:
        """Write a command into its shard's log, and wait for what the fold makes of it. Where nothing comes
        it is written again, under the same id.
        """
        if not entry.id:
            own = f"{INTERNAL_ID}{self._context.id}.{next(self._numbers)}"
            entry = msgspec.structs.replace(entry, id=own)
        shard = shard_of(entry.room, self._context.topology.shards)
        if 0 < self._shards[shard].version < COMMANDS_VERSION:
            return _OLD
        try:
            result = self._calls.result(entry.room, entry.id)
        except Overloaded:
            return _BUSY
        try:
            async with asyncio.timeout(CHANGE_S):
                while not result.done():
                    await self._write(shard, entry, result)
                    await asyncio.wait((result,), timeout=AGAIN_S)
            return _changed(verb, entry.id, result.result())
        except TimeoutError:
            return _NOT_CONFIRMED
        finally:
            result.cancel()

    async def _write(self, shard: int, entry: Entry, result: asyncio.Future[bytes]) -> None:
        context = self._context
        await context.publisher.publish(
            context.topology.ingress,
            context.topology.shard_key(shard),
            encode([Commanded(context.id, context.clock.wall_us()), entry]),
            _PROPERTIES,
            lambda: not result.done(),
        )

    # ── who is where, read ──────────────────────────────────────────────────────────────────────────────────

    async def _read(self, command: Command, read: AnyRead) -> Answer:
        """Ask whoever speaks for the shards that know."""
        shards = self._context.topology.shards
        asked = reads.by_shard(read, shards)
        try:
            found = await asyncio.gather(
                *(
                    self._calls.ask(shard, self._shards[shard], reads.encoded(part), READ_S)
                    for shard, part in asked.items()
                )
            )
        except Overloaded:
            return _BUSY
        answers = [each for each in found if each is not None]
        if len(answers) < len(asked):
            return _NO_ANSWER
        return control.told(command, reads.joined(read, answers))

    # ── messages ────────────────────────────────────────────────────────────────────────────────────────────

    async def _publish(
        self,
        messages: Sequence[Message | Problem],
        scopes: tuple[Scope, ...],
        body: Publish | Batch | Broadcast,
    ) -> list[Published | Problem]:
        """Write messages, in their order; return what became of each, with its receipt where ``body`` waits
        for it.
        """
        wait_ms = body.wait_ms
        way = self._offer(messages, scopes, receipt=RECEIPT_LEVELS[body.receipt] if wait_ms else RECEIPT_NONE)
        going = [each for each in way if isinstance(each, _OnItsWay)]
        try:
            await _all_done([each.written for each in going], WRITE_S)
            confirmed = [each.receipt for each in going if each.receipt is not None and _done(each.written)]
            await _all_done(confirmed, wait_ms / 1_000)
            return [self._published(each) if isinstance(each, _OnItsWay) else each for each in way]
        finally:
            for each in going:
                each.written.cancel()
                if each.receipt is not None:
                    each.receipt.cancel()

    def _offer(
        self, messages: Sequence[Message | Problem], scopes: tuple[Scope, ...], *, receipt: int
    ) -> list[_OnItsWay | Problem]:
        """Put on their way what may be written. What comes behind a message that has no room has none either,
        or the order of its room would be lost.
        """
        shards, full = self._context.topology.shards, set[int]()
        way: list[_OnItsWay | Problem] = []
        for message in messages:
            if isinstance(message, Problem):
                way.append(message)
                continue
            denied = control.denied(message, scopes)
            if denied is not None:
                way.append(denied)
                continue
            shard = shard_of(message.made.room, shards)
            offered = None if shard in full else self._offer_one(message, receipt)
            if offered is None:
                full.add(shard)
            way.append(offered or _FULL)
        return way

    def _offer_one(self, message: Message, receipt: int) -> _OnItsWay | None:
        made, told = self._writer.identified(message.made), None
        if receipt:
            try:
                told = self._calls.receipt(made.room, made.id, receipt)
            except Overloaded:
                return None
            made = msgspec.structs.replace(made, receipt=receipt, asker=self._context.id)
        written = self._writer.offer(made, message.traceparent)
        if written is None:
            if told is not None:
                told.cancel()
            return None
        return _OnItsWay(Message(message.address, made, message.traceparent), written, told)

    def _published(self, way: _OnItsWay) -> Published | Problem:
        made, address, receipt = way.message.made, way.message.address, way.receipt
        if not _done(way.written):
            return _NOT_CONFIRMED
        self._context.metrics.notifications()
        if receipt is None:
            return Published(id=made.id, address=address)
        if not _done(receipt):
            return Published(id=made.id, address=address, complete=False)
        told = receipt.result()
        numbered = told.seq > 0
        return Published(
            id=made.id,
            address=address,
            epoch=told.epoch if numbered else None,
            seq=told.seq if numbered else None,
            duplicate=told.duplicate,
            users=told.users if told.users >= 0 else None,
            connections=told.connections if told.connections >= 0 else None,
            gateways=told.gateways,
            written=told.written if made.receipt >= RECEIPT_WRITTEN else None,
            lost=told.lost if made.receipt >= RECEIPT_WRITTEN else None,
            complete=told.complete,
            readers=told.readers if made.receipt >= RECEIPT_SEEN else None,
            seen=told.seen if made.receipt >= RECEIPT_SEEN else None,
        )


def _outcomes(messages: Sequence[Message | Problem], answers: Sequence[Published | Problem]) -> Outcomes:
    """Return what became of several messages as one result."""
    results = []
    for message, answer in zip(messages, answers, strict=True):
        if isinstance(answer, Problem):
            results.append(
                Outcome(
                    status=answer.code.status,
                    address=message.address if isinstance(message, Message) else None,
                    code=answer.code.value,
                    detail=answer.detail,
                    retry=answer.code.retry,
                    retry_after_ms=answer.retry_after_ms or None,
                    errors=list(answer.faults) or None,
                )
            )
        else:
            results.append(Outcome(status=200, **msgspec.structs.asdict(answer)))
    return Outcomes(results=results, failed=sum(result.status != 200 for result in results))


def _changed(verb: Verb, ident: str, text: bytes) -> Answer:
    """Return what a command came to, as the fold has told it."""
    told = msgspec.json.decode(text, type=dict[str, Any])
    code = told.get("code")
    if code is None:
        return Done(
            id=ident,
            connections=told.get("connections"),
            lifted=told.get("lifted"),
            duplicate=told.get("duplicate", False),
        )
    if code == ErrorCode.OVERLOADED:
        return Problem(ProblemCode.OVERLOADED, str(told.get("message", "")), retry_after_ms=LATER_MS)
    return invalid([Fault("", str(told.get("message", f"{verb.name} was refused")))])


async def _all_done(futures: Sequence[asyncio.Future[Any]], within_s: float) -> None:
    """Return when all are done, or the time is over; then the first that is not is cancelled. Whoever else
    may cancel one must not: it would be taken for the end of the caller's task.
    """
    if not futures or within_s <= 0:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):  # asyncio.wait would cost three times as much
            for future in futures:
                await future


def _done(future: asyncio.Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
