"""Batcher: group commit, order, flushes, failures, the end."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from warren.batch import BatchLimits, Pace
from warren.batcher import WORTHWHILE, Batcher
from warren.errors import NotConfirmed
from warren.supervision import Fault, fault_in


class Wire:
    """A destination whose confirms the test gives."""

    def __init__(self) -> None:
        self.sent: list[list[int]] = []
        self.confirms: list[asyncio.Future[None]] = []

    async def send(self, items: Sequence[int]) -> None:
        self.sent.append(list(items))
        confirm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.confirms.append(confirm)
        await confirm


async def progress(count: int = 5) -> None:
    """Let every task that can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_idle_destination_is_sent_to_at_once() -> None:
    """A single item goes in the next turn of the loop, alone."""
    wire = Wire()
    batcher = Batcher(wire.send)
    assert batcher.offer(1, 10)
    await progress()
    assert wire.sent == [[1]]
    wire.confirms[0].set_result(None)
    await batcher.flush()


async def test_what_arrives_meanwhile_goes_as_the_next_batch() -> None:
    """While one batch is under way nothing else is sent; all that came meanwhile goes together, in order."""
    wire, counts = Wire(), []
    batcher = Batcher(wire.send, observe=counts.append)
    batcher.offer(1, 10)
    await progress()
    for number in (2, 3, 4):
        batcher.offer(number, 10)
    await progress()
    assert wire.sent == [[1]]
    assert (batcher.waiting, batcher.waiting_bytes) == (4, 30)
    wire.confirms[0].set_result(None)
    await progress()
    assert wire.sent == [[1], [2, 3, 4]]
    assert (batcher.waiting, batcher.waiting_bytes) == (3, 0)
    wire.confirms[1].set_result(None)
    await batcher.flush()
    assert batcher.waiting == 0
    assert counts == [1, 3]


async def test_a_full_buffer_refuses() -> None:
    """What does not fit is refused, and what was taken still goes."""
    wire = Wire()
    batcher = Batcher(wire.send, BatchLimits(waiting_count=2))
    batcher.offer(1, 1)
    await progress()
    assert [batcher.offer(number, 1) for number in (2, 3, 4)] == [True, True, False]
    wire.confirms[0].set_result(None)
    await progress()
    assert wire.sent == [[1], [2, 3]]
    wire.confirms[1].set_result(None)
    await batcher.flush()


async def test_a_flush_waits_for_what_was_offered_before_it() -> None:
    """A flush ends with the batch that holds the last item offered before it, not with later ones."""
    wire = Wire()
    batcher = Batcher(wire.send, BatchLimits(batch_count=2))
    for number in (1, 2, 3):
        batcher.offer(number, 1)
    first = asyncio.create_task(batcher.flush())
    await progress()
    batcher.offer(4, 1)
    batcher.offer(5, 1)
    second = asyncio.create_task(batcher.flush())
    wire.confirms[0].set_result(None)
    await progress()
    assert not first.done()
    wire.confirms[1].set_result(None)
    await progress()
    assert (first.done(), second.done()) == (True, False)
    assert wire.sent == [[1, 2], [3, 4], [5]]
    wire.confirms[2].set_result(None)
    await second


async def test_a_flush_of_nothing_returns_at_once() -> None:
    """Where nothing waits a flush does not wait either."""
    batcher = Batcher(Wire().send)
    await asyncio.wait_for(batcher.flush(), 1)


async def test_a_failed_batch_fails_its_flushes_and_no_later_one() -> None:
    """What ``send`` raises reaches the flushes that wait for the batch; later items go on."""
    wire = Wire()
    batcher = Batcher(wire.send)
    batcher.offer(1, 1)
    flushes = [asyncio.create_task(batcher.flush()) for _ in range(2)]
    await progress()
    batcher.offer(2, 1)
    wire.confirms[0].set_exception(NotConfirmed("nack"))
    results = await asyncio.gather(*flushes, return_exceptions=True)
    assert [type(result) for result in results] == [NotConfirmed, NotConfirmed]
    after = asyncio.create_task(batcher.flush())
    await progress()
    wire.confirms[1].set_result(None)
    await after
    assert wire.sent == [[1], [2]]
    assert batcher.waiting == 0


async def test_a_failed_batch_that_nobody_waits_for_is_a_fault() -> None:
    """Its items are lost, so the process is told; later items go on until it ends."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    wire = Wire()
    batcher = Batcher(wire.send)
    batcher.offer(1, 1)
    await progress()
    batcher.offer(2, 1)
    error = ZeroDivisionError()
    wire.confirms[0].set_exception(error)
    await progress()
    wire.confirms[1].set_result(None)
    await batcher.flush()
    assert [fault_in(context) for context in told] == [Fault("batcher", error)]


async def test_a_flush_that_is_cancelled_harms_nobody() -> None:
    """When one who waits for a flush goes away, the batch and the others go on."""
    wire = Wire()
    batcher = Batcher(wire.send)
    batcher.offer(1, 1)
    one, two = asyncio.create_task(batcher.flush()), asyncio.create_task(batcher.flush())
    await progress()
    one.cancel()
    wire.confirms[0].set_result(None)
    await two
    assert one.cancelled()


async def test_close_gives_up() -> None:
    """Closing ends the batch under way and fails the waiters; afterwards nothing is taken and no flush
    hangs.
    """
    wire = Wire()
    batcher = Batcher(wire.send)
    batcher.offer(1, 1)
    await progress()
    batcher.offer(2, 1)
    waiter = asyncio.create_task(batcher.flush())
    await progress()
    await batcher.close()
    await progress()
    assert waiter.cancelled()
    assert wire.sent == [[1]]
    assert not batcher.offer(3, 1)
    with pytest.raises(asyncio.CancelledError):
        await batcher.flush()
    await batcher.close()


async def test_ten_thousand_items_keep_their_order() -> None:
    """Offered from several tasks over many batches, every item goes once and in the order of the offers."""
    sent: list[int] = []
    offered: list[int] = []

    async def send(items: Sequence[int]) -> None:
        await asyncio.sleep(0)
        sent.extend(items)

    batcher = Batcher(send, BatchLimits(batch_count=64))

    async def offer(begin: int) -> None:
        for number in range(begin, begin + 1_000):
            assert batcher.offer(number, 1)
            offered.append(number)
            if number % 7 == 0:
                await asyncio.sleep(0)

    await asyncio.gather(*(offer(begin) for begin in range(0, 10_000, 1_000)))
    await batcher.flush()
    assert sent == offered


class Busy:
    """A destination that is given more while the first batches are under way."""

    def __init__(self, pace: Pace | None, more: Sequence[int] = ()) -> None:
        """``more``: how many items come while the first batch, the second … is under way."""
        self.sent: list[int] = []
        self.more = list(more)
        self.batcher: Batcher[int] = Batcher(self.send, pace=pace)

    async def send(self, items: Sequence[int]) -> None:
        self.sent.append(len(items))
        for number in range(self.more.pop(0) if self.more else 0):
            self.batcher.offer(number, 1)
        await asyncio.sleep(0)


async def test_a_busy_destination_waits_for_the_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes while a batch is under way, and until the next beat, goes as one batch at the beat."""
    monkeypatch.setattr("warren.batch.Pacer.pause", lambda *_: 0.5)
    busy = Busy(Pace(1.0, float), [1])
    busy.batcher.offer(0, 1)
    await busy.batcher.flush()
    busy.batcher.offer(0, 1)
    await progress()
    assert busy.sent == [1]
    await busy.batcher.flush()
    assert busy.sent == [1, 2]
    await busy.batcher.close()


@pytest.mark.parametrize(("pace", "waiting"), [(Pace(1.0, float), WORTHWHILE), (None, 1)])
async def test_what_waits_for_no_beat(
    monkeypatch: pytest.MonkeyPatch, pace: Pace | None, waiting: int
) -> None:
    """A batch that is worth its costs goes at once, and so does each where there is no pace."""
    monkeypatch.setattr("warren.batch.Pacer.pause", lambda *_: 3_600.0)
    busy = Busy(pace, [waiting])
    busy.batcher.offer(0, 1)
    await busy.batcher.flush()
    await progress()
    assert busy.sent == [1, waiting]
    await busy.batcher.close()


async def test_closing_waits_for_no_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batcher that waits for the beat is closed at once."""
    monkeypatch.setattr("warren.batch.Pacer.pause", lambda *_: 3_600.0)
    busy = Busy(Pace(1.0, float), [1])
    busy.batcher.offer(0, 1)
    await busy.batcher.flush()
    async with asyncio.timeout(5):
        await busy.batcher.close()
    assert busy.sent == [1]
