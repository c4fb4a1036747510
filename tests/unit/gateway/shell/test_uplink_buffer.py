"""How full one shard's buffer is, and who waits for place in it."""

from __future__ import annotations

import asyncio

from gateway.shell.in_flight_publish import InFlightPublish
from gateway.shell.uplink_buffer import CONTROL_FACTOR, UplinkBuffer, UplinkLimits
from warren.envelope import Join, Publish
from warren.topology import DEFAULT_SHARDS

SHARD = DEFAULT_SHARDS - 1


def buffer(**limits: int) -> UplinkBuffer:
    return UplinkBuffer(SHARD, UplinkLimits(**limits))


def message(number: int) -> InFlightPublish:
    up = Publish("r", "CHAT", b"1", 0, "g~1", "ann", str(number))
    return InFlightPublish(up, SHARD, 0.0, 10.0)


async def test_it_is_half_full_above_half_and_full_at_its_limit():
    """Of messages as of bytes."""
    made = buffer(count=4, bytes=100_000)
    states = []
    for number in range(4):
        made.batches.offer(message(number))
        states.append((made.is_half_full, made.is_full(1)))
    assert states == [(False, False), (False, False), (True, False), (True, True)]
    by_bytes = buffer(count=100, bytes=message(0).size * 2)
    by_bytes.batches.offer(message(0))
    assert not by_bytes.is_half_full
    assert not by_bytes.is_full(message(1).size)
    assert by_bytes.is_full(message(1).size + 1)


async def test_joins_have_a_limit_of_their_own():
    """They count in messages of the limit, and take no message's place."""
    made = buffer(count=2, bytes=100_000)
    for number in range(2 * CONTROL_FACTOR):
        assert not made.is_full_of_joins
        made.batches.offer(InFlightPublish(Join("r", f"g~{number}", "ann", "j"), SHARD, 0.0, 0.0))
    assert made.is_full_of_joins
    assert not made.is_half_full


async def test_who_waits_goes_on_when_there_is_place_or_when_all_are_let_go():
    """And not before; whoever waits no longer leaves nothing behind."""
    made = buffer(count=2, bytes=100_000)
    for number in range(2):
        made.batches.offer(message(number))
    waits = asyncio.create_task(made.wait())
    leaves = asyncio.create_task(made.wait())
    await asyncio.sleep(0)
    made.make_place()
    assert len(made.waiters) == 2
    leaves.cancel()
    await asyncio.gather(leaves, return_exceptions=True)
    assert len(made.waiters) == 1
    made.release()
    await asyncio.wait_for(waits, 5)
    assert not made.waiters


async def test_members_join_again_while_few_joins_wait():
    """At most half of the limit; who waits for that looks again each time that something has counted."""
    made = buffer(count=2, bytes=100_000)
    await asyncio.wait_for(made.place_for_joins(), 5)
    entries = [InFlightPublish(Join("r", f"g~{number}", "ann", "j"), SHARD, 0.0, 0.0) for number in range(2)]
    for entry in entries:
        made.batches.offer(entry)
    waits = asyncio.create_task(made.place_for_joins())
    await asyncio.sleep(0)
    made.counted()
    await asyncio.sleep(0)
    assert not waits.done()
    made.batches.give_up(entries[0])
    made.counted()
    await asyncio.wait_for(waits, 5)
