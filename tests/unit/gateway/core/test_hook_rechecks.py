"""hook_rechecks: rooms that were joined by an earlier word of a backend."""

import random

from gateway.core.grants import SKEW_S
from gateway.core.hook_rechecks import CONNECT, OPEN_MAX, HookRechecks

VOID_S = 5_000


def test_what_was_granted_before_a_revocation_is_asked_about_anew():
    """Once; what was given afterwards is not."""
    on = HookRechecks()
    held = ("a", "b", "c")
    for room, given_s in zip(held, (1, VOID_S + SKEW_S - 1, VOID_S + SKEW_S), strict=True):
        on.allowed(room, given_s, held)
    assert on.next(held) is None
    on.void(VOID_S)
    assert [on.next(held), on.next(held), on.next(held)] == ["a", "b", None]
    on.ask(1, "a")
    on.ask(2, "b")
    on.void(VOID_S)
    assert on.next(held) is None
    assert [on.decided(2), on.decided(1), on.decided(1), on.decided(9)] == ["b", "a", None, None]
    assert len(on) == 1  # c, which the next revocation may void


def test_a_backend_s_own_word_settles_it():
    """Whatever waits for a question, or for its answer."""
    on, held = HookRechecks(), ("a", "b", "c")
    for room in held:
        on.allowed(room, 1, held)
    on.settled("a")
    on.void(VOID_S)
    assert on.next(held) == "b"
    on.ask(1, "b")
    on.settled("b")
    on.settled("c")
    assert (on.next(held), on.decided(1), len(on)) == (None, None, 0)


def test_a_room_that_was_left_is_not_asked_about():
    """Nobody is in it any more."""
    on = HookRechecks()
    on.allowed("a", 1, ("a", "b"))
    on.allowed("b", 1, ("a", "b"))
    on.void(VOID_S)
    assert [on.next(("b",)), on.next(("b",)), len(on)] == ["b", None, 0]


def test_the_connection_itself_is_asked_about_too():
    """However few rooms it is in, and first where it came in by an earlier word."""
    on, held = HookRechecks(), {}
    on.allowed(CONNECT, 1, ())
    for number in range(100):
        on.allowed(f"r{number}", 1, held)
    on.doubt("r99")
    on.void(VOID_S)
    held["r99"] = True
    assert [on.next(held), on.next(held), on.next(held)] == ["r99", CONNECT, None]


def test_a_few_are_asked_about_at_a_time():
    """The next one when one is decided."""
    on, held = HookRechecks(), [f"r{number}" for number in range(OPEN_MAX + 1)]
    for room in held:
        on.allowed(room, 1, held)
    on.void(VOID_S)
    for ticket in range(OPEN_MAX):
        on.ask(ticket, on.next(held))
    assert on.next(held) is None
    assert on.decided(3) == "r3"
    assert on.next(held) == held[-1]


def test_rooms_that_come_and_go_leave_nothing_behind():
    """However many a client joins and leaves, no more is kept than it is in, and a few."""
    on, chance, held = HookRechecks(), random.Random(4), {}
    for number in range(5_000):
        room = f"r{number}"
        held[room] = True
        on.allowed(room, 1, held)
        if len(held) > 10:
            del held[chance.choice(list(held))]
        assert len(on) <= 2 * 11 + 16
    on.void(VOID_S)
    found = []
    while (room := on.next(held)) is not None:
        found.append(room)
        if len(found) % OPEN_MAX == 0:
            on._open.clear()
    assert sorted(found) == sorted(held)
