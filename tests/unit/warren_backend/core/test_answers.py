"""Answers are kept for repeats, so many and for so long."""

from __future__ import annotations

from warren_backend.core.answers import MemoryAnswers
from warren_backend.core.request import part_of


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_an_answer_is_kept_until_its_time_is_over() -> None:
    """Then it is forgotten."""
    clock = Clock()
    answers = MemoryAnswers(clock, ttl_s=10)
    said = [part_of(1, 1, more=True), part_of(2, 2)]
    await answers.put("a", said)
    assert await answers.get("a") == tuple(said)
    assert await answers.get("b") is None
    clock.now = 10.0
    assert await answers.get("a") is None
    assert len(answers) == 0


async def test_the_oldest_go_first() -> None:
    """Where there are too many, or too many bytes; one that is larger than all is not kept at all."""
    answers = MemoryAnswers(Clock(), count=2, limit_bytes=2_000)
    for name in "abc":
        await answers.put(name, [part_of(name)])
    assert [await answers.get(name) is not None for name in "abc"] == [False, True, True]
    await answers.put("d", [part_of("x" * 1_500)])
    assert [await answers.get(name) is not None for name in "bcd"] == [False, False, True]
    await answers.put("e", [part_of("x" * 3_000)])
    assert [await answers.get(name) is not None for name in "de"] == [True, False]
    await answers.put("d", [part_of("small")])
    assert len(answers) == 1
