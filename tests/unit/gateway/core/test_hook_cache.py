"""hook_cache: answers for as long as they hold, and a small part of them for each user."""

import random

import pytest

from gateway.core.hook_cache import AGE_MAX_S, DENIAL_S, HookCache, Key
from gateway.core.hook_messages import HookAnswer

ALLOW, DENY = HookAnswer(True, ttl_s=60), HookAnswer(False, "no")


def key(user: str = "ann", room: str = "r", hook="join", seen: bytes = b"") -> Key:
    return Key(hook, user, room, seen)


def test_an_answer_holds_for_as_long_as_it_says():
    """And says when it was given, since a grant counts from then."""
    cache = HookCache()
    cache.put(key(), ALLOW, 100.0, 1_000)
    assert cache.get(key(), 159.9) == (ALLOW, 1_000, 160.0)
    assert cache.get(key(), 160.0) is None
    assert (len(cache), cache.bytes) == (0, 0)


@pytest.mark.parametrize(
    ("hook", "answer", "holds_s"),
    [
        ("join", HookAnswer(True, ttl_s=86_400), AGE_MAX_S),
        ("join", HookAnswer(True), 0.0),
        ("connect", DENY, DENIAL_S),
        ("join", HookAnswer(False, ttl_s=30), 30.0),
        ("publish", DENY, 0.0),
        ("publish", HookAnswer(False, ttl_s=30), 30.0),
    ],
)
def test_how_long_an_answer_is_kept(hook, answer, holds_s):
    """At most ten minutes; a refusal a few seconds, but not that of one message."""
    cache = HookCache()
    cache.put(key(hook=hook), answer, 0.0, 0)
    if holds_s:
        assert cache.get(key(hook=hook), holds_s - 0.1) is not None
    assert cache.get(key(hook=hook), holds_s) is None


def test_an_answer_is_of_what_the_backend_was_shown():
    """Another user, room, hook, or other claims are another question."""
    cache = HookCache()
    cache.put(key(), ALLOW, 0.0, 0)
    others = (key("bob"), key(room="s"), key(hook="connect"), key(seen=b"x"))
    assert [cache.get(other, 1.0) for other in others] == [None] * 4


def test_a_newer_answer_takes_the_place_of_an_older_one():
    """Also where it does not hold itself: nothing is kept that the backend has taken back."""
    cache = HookCache()
    cache.put(key(), ALLOW, 0.0, 0)
    cache.put(key(), HookAnswer(True), 0.0, 0)
    assert cache.get(key(), 0.0) is None


def test_who_asks_for_many_rooms_pushes_out_its_own():
    """The other users' answers stay, however many it asks for."""
    cache = HookCache(answers=1_000, of_one_user=10)
    for number in range(100):
        cache.put(key(f"user{number}"), ALLOW, 0.0, 0)
    for number in range(5_000):
        cache.put(key("mallory", f"room{number}"), ALLOW, 0.0, 0)
    assert all(cache.get(key(f"user{number}"), 1.0) for number in range(100))
    assert len(cache) == 110
    assert cache.get(key("mallory", "room4999"), 1.0)
    assert cache.get(key("mallory", "room4989"), 1.0) is None


def test_what_was_not_looked_at_for_longest_goes_first():
    """By count, and by bytes."""
    cache = HookCache(answers=3)
    for name in "abc":
        cache.put(key(name), ALLOW, 0.0, 0)
    cache.get(key("a"), 1.0)
    cache.put(key("d"), ALLOW, 0.0, 0)
    assert [name for name in "abcd" if cache.get(key(name), 1.0)] == ["a", "c", "d"]
    heavy = HookCache(size=10_000)
    for name in "abcdefghijkl":
        heavy.put(key(name), HookAnswer(True, ttl_s=9, info=b"x" * 1_000), 0.0, 0)
    assert heavy.bytes <= 10_000
    assert heavy.get(key("l"), 1.0)
    assert heavy.get(key("a"), 1.0) is None


def test_one_user_is_forgotten_whole():
    """And nobody else."""
    cache = HookCache()
    for room in "abc":
        cache.put(key(room=room), ALLOW, 0.0, 0)
    cache.put(key("bob"), ALLOW, 0.0, 0)
    cache.forget("ann")
    cache.forget("nobody")
    assert len(cache) == 1
    assert cache.get(key("bob"), 1.0)


def test_whatever_happens_its_count_and_bytes_are_right():
    """A random walk against what is there."""
    chance, cache = random.Random(7), HookCache(answers=50, size=40_000, of_one_user=7)
    for step in range(5_000):
        name = key(chance.choice("abcdefghijkl"), str(chance.randrange(12)))
        match chance.randrange(4):
            case 0 | 1:
                info = b"x" * chance.randrange(900)
                cache.put(name, HookAnswer(True, ttl_s=chance.randrange(3) * 100, info=info), step, 0)
            case 2:
                cache.get(name, step)
            case 3 if chance.random() < 0.05:
                cache.forget(name.user)
        kept = cache._kept
        assert len(cache) <= 50
        assert cache.bytes == sum(each.bytes for each in kept.values()) <= 40_000
        assert sum(map(len, cache._by_user.values())) == len(kept)
        assert all(0 < len(own) <= 7 for own in cache._by_user.values())
