"""RouterCalls: what this router waits for from others for the sake of a backend: receipts, what came of
commands, and answers to reads.

A read is asked of the speaker of its shard and repeated until it is answered or its time is over, so a
speaker that dies or changes is survived: whoever does not speak is silent. What waits is bounded. It knows
nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from router.core.placement import Placement
from router.shell.peer_messages import PeerMessages
from warren.envelope import CommandResult, ReadAnswer, ReadQuery, Receipt
from warren.errors import Overloaded
from warren.metrics import RouterMetrics
from warren.retry import Backoff
from warren.topology import ALL

# How many answers may be waited for at a time.
OPEN_MAX: Final = 10_000
# Where no answer comes, it is asked again after so long.
FIRST_AGAIN_S: Final = 0.1
LONGEST_AGAIN_S: Final = 0.5

T = TypeVar("T")
_Place = tuple[str, str, int]  # room, id, level of a receipt (0: of what is none)


class Reader(Protocol):
    """Whoever answers reads of one shard, where this router speaks for it."""

    @property
    def version(self) -> int:
        """The version of the fold that the shard's log asks for; 0: not known here."""
        ...

    def answer(self, body: bytes) -> bytes | None:
        """Return the answer; None: not now, or this router does not speak for the shard."""
        ...


class Readers(Protocol):
    """A router's parts of all shards."""

    def __getitem__(self, shard: int) -> Reader:
        """Return the one of this number."""
        ...


class RouterCalls:
    """One router's."""

    def __init__(
        self, router: str, placement: Placement, messages: PeerMessages, metrics: RouterMetrics
    ) -> None:
        """``router`` is ours; nothing is waited for."""
        self._router = router
        self._placement = placement
        self._messages = messages
        self._refs = itertools.count(1)
        self._reads: dict[int, asyncio.Future[bytes]] = {}
        self._receipts: dict[_Place, list[asyncio.Future[Receipt]]] = {}
        self._results: dict[_Place, list[asyncio.Future[bytes]]] = {}
        self._open = 0
        metrics.waiting_from("router_calls", lambda: self._open)

    # ── what is waited for ──────────────────────────────────────────────────────────────────────────────────

    def receipt(self, room: str, ident: str, level: int) -> asyncio.Future[Receipt]:
        """Wait for a message's receipt of this level; to be cancelled when nobody waits any more. Raises
        Overloaded.
        """
        return self._expect(self._receipts, (room, ident, level))

    def result(self, room: str, ident: str) -> asyncio.Future[bytes]:
        """Wait for what comes of a command, likewise."""
        return self._expect(self._results, (room, ident, 0))

    async def ask(self, shard: int, reader: Reader, body: bytes, within_s: float) -> bytes | None:
        """Return the speaker's answer to a read; None where none came in time. ``reader`` is this router's
        part of the shard. Raises Overloaded.
        """
        if self._open >= OPEN_MAX:
            raise Overloaded("too many answers are waited for")
        ref = next(self._refs)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        backoff, told = Backoff(FIRST_AGAIN_S, LONGEST_AGAIN_S), ""
        self._reads[ref], self._open = answer, self._open + 1
        try:
            async with asyncio.timeout(within_s):
                while True:
                    own = reader.answer(body)
                    if own is not None:
                        return own
                    speaker = self._placement.of(shard).speaker
                    # Where the one whose turn it is does not answer, somebody else may still speak.
                    told = speaker if speaker not in ("", self._router, told) else ALL
                    self._messages.tell(told, ReadQuery(self._router, ref, shard, body))
                    await asyncio.wait((answer,), timeout=backoff.next())
                    if answer.done():
                        return answer.result()
        except TimeoutError:
            return None
        finally:
            del self._reads[ref]
            self._open -= 1

    # ── what comes ──────────────────────────────────────────────────────────────────────────────────────────

    def take(self, said: Receipt | CommandResult | ReadAnswer) -> None:
        """Give what has come to whoever waits for it."""
        match said:
            case Receipt():
                _settle(self._receipts, (said.room, said.id, said.level), said)
            case CommandResult():
                _settle(self._results, (said.room, said.id, 0), said.body)
            case ReadAnswer():
                answer = self._reads.get(said.ref)
                if answer is not None and not answer.done():
                    answer.set_result(said.body)

    def _expect(self, waits: dict[_Place, list[asyncio.Future[T]]], place: _Place) -> asyncio.Future[T]:
        if self._open >= OPEN_MAX:
            raise Overloaded("too many answers are waited for")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        waits.setdefault(place, []).append(future)
        self._open += 1
        future.add_done_callback(self._forgetting(waits, place))
        return future

    def _forgetting(
        self, waits: dict[_Place, list[asyncio.Future[T]]], place: _Place
    ) -> Callable[[asyncio.Future[T]], None]:
        def forget(future: asyncio.Future[T]) -> None:
            self._open -= 1
            there = waits.get(place, [])
            if future in there:
                there.remove(future)
                if not there:
                    del waits[place]

        return forget


def _settle(waits: dict[_Place, list[asyncio.Future[T]]], place: _Place, said: T) -> None:
    """Each entry of the log is told of by itself, in its order: who has waited for longest is told first, and
    the others that theirs is a repeat.
    """
    waiting = next((future for future in waits.get(place, ()) if not future.done()), None)
    if waiting is not None:
        waiting.set_result(said)
