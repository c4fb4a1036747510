"""What was handled counts once."""

from __future__ import annotations

import pytest

from warren_backend.core.once import MemoryOnce


async def failing(once: MemoryOnce) -> None:
    async with once.claim("a") as new:
        assert new
        raise ZeroDivisionError


async def test_a_key_is_new_until_its_block_has_ended_well() -> None:
    """One that raised was not handled."""
    once = MemoryOnce()
    with pytest.raises(ZeroDivisionError):
        await failing(once)
    async with once.claim("a") as new:
        assert new
    async with once.claim("a") as new:
        assert not new


async def test_the_oldest_keys_are_forgotten() -> None:
    """A key that came again is among the latest."""
    once = MemoryOnce(limit=2)
    for key in ("a", "b", "a", "c"):
        async with once.claim(key):
            pass
    found = {}
    for key in ("b", "c"):
        async with once.claim(key) as found[key]:
            pass
    assert found == {"b": True, "c": False}
    assert len(once) == 2
