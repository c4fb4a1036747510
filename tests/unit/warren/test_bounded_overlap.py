"""BoundedOverlap: what is slow does not hold up what comes next, and is bounded."""

import asyncio

from warren.bounded_overlap import BoundedOverlap


async def test_what_is_slow_holds_nothing_up():
    """It goes on by itself, and is done once."""
    overlap, done, gate = BoundedOverlap("beat", 0.01), [], asyncio.Event()

    async def slow():
        await gate.wait()
        done.append("slow")

    async def quick():
        done.append("quick")

    await overlap.run(slow)
    await overlap.run(quick)
    assert done == ["quick"]
    gate.set()
    await overlap.run(quick)
    assert sorted(done) == ["quick", "quick", "slow"]
    await overlap.close()


async def test_what_is_under_way_is_bounded_and_ends_with_it():
    """Beyond the bound nothing is begun; in the end nothing is left."""
    overlap, begun, ended = BoundedOverlap("beat", 0.001, most=3), [], []

    async def never():
        begun.append(1)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    assert [await overlap.run(never) for _ in range(5)] == [True, True, True, False, False]
    assert len(begun) == 3
    await overlap.close()
    assert len(ended) == 3
