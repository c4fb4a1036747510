"""Nobody is in who should be out: 10,000 rounds of commands against clients and failures, each from its seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest
from tests.model.access_races import Broken, World

from gateway.core.session import Session
from router.core.access import Access, Denied, PutOut
from router.core.effects import Effect
from router.core.fold import Fold
from warren.envelope import TokensRevoked

ROUNDS, STEPS, PARTS = 10_000, 60, 20


@pytest.mark.parametrize("part", range(PARTS))
def test_nobody_is_in_who_should_be_out(part: int) -> None:
    """And what clients were told is what the log says. A seed that fails is named, and can be run alone."""
    for seed in range(part, ROUNDS, PARTS):
        try:
            World(Random(seed)).run(STEPS)
        except Broken as broken:
            raise Broken(f"seed {seed}: {broken}") from None


def fails(seed: int) -> bool:
    try:
        World(Random(seed)).run(STEPS)
    except Broken:
        return True
    return False


def _never(*_: Any, **__: Any) -> bool:
    return False


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _untold(whole: Callable[..., Any]) -> Callable[..., Any]:
    """Have sessions join again as if they came just now."""

    def to_shard(self: Session, join: Any, *, first: bool = False) -> Any:
        sent = whole(self, join, first=first)
        return msgspec.structs.replace(sent, envelope=msgspec.structs.replace(sent.envelope, came_us=0))

    return to_shard


def _deaf(whole: Callable[..., Any]) -> Callable[..., Any]:
    """Have sessions not hear of revoked tokens."""
    return lambda self, reply, now_us=0: (
        [] if isinstance(reply, TokensRevoked) else whole(self, reply, now_us)
    )


def _remove_who_is_there(
    self: Fold, room: str, conn: str, out: Denied, at_us: int, effects: list[Effect]
) -> int:
    """Take one connection out of a room, and don't remember it."""
    self._turn_away(room, conn, out, effects)
    self._expel(room, conn, at_us, out.why, effects)
    return 1


MUTANTS: dict[str, tuple[type, str, Any]] = {
    "who was put out is not remembered": (PutOut, "meets", _never),
    "a block keeps nobody out": (Access, "judge", _nothing),
    "tokens stay good": (Access, "_is_revoked", _never),
    "nobody is too many": (Access, "too_many", lambda *_: []),
    "one that was removed by itself is not remembered": (Fold, "_put_one_out", _remove_who_is_there),
    "who is put out stays a member": (Fold, "_expel", _nothing),
    "who joins again comes just now": (Session, "_to_shard", _untold(Session._to_shard)),
    "revoked tokens are not heard of": (Session, "answer", _deaf(Session.answer)),
    "who comes hears of no revocation": (Access, "void_s", lambda *_: 0),
    "a dismissed client stays": (Session, "_dismissed", lambda *_: []),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_rounds_find_what_is_wrong(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or they would hold less than they say."""
    monkeypatch.setattr(*MUTANTS[name])
    assert any(fails(seed) for seed in range(2_000))
