"""hook_queue: turns by user, and how many questions are out at a time."""

from gateway.core.hook_queue import (
    USER_PART,
    WAIT_S,
    WAITING_MAX,
    WINDOW_FIRST,
    WINDOW_LEAST,
    WINDOW_MOST,
    HookQueue,
)


def filled(*users: str, now: float = 0.0) -> HookQueue:
    queue = HookQueue(1.0)
    for number, user in enumerate(users):
        assert queue.offer(number, user, now)
    return queue


def test_users_take_turns():
    """Who has asked much waits for its own; each gets its questions in their order."""
    queue = filled("a", "a", "b", "c", "b")
    asked = [queue.next(0.0) for _ in range(5)]
    assert asked == [0, 2, 3, 1, 4]
    assert queue.next(0.0) is None
    assert (len(queue), queue.out) == (0, 5)


def test_only_so_many_are_out_at_a_time():
    """The others wait, and go when one is answered."""
    queue = filled(*map(str, range(100)))
    out = [number for _ in range(100) if (number := queue.next(0.0)) is not None]
    assert len(out) == WINDOW_FIRST
    queue.answered(out[0], 0.4)  # neither fast nor slow
    assert queue.next(0.4) == len(out)
    assert queue.next(0.4) is None


def test_one_user_has_a_part_of_what_is_out():
    """However many of its questions are never answered, and however few others ask."""
    queue = filled(*["mallory"] * 50, "ann")
    part = int(WINDOW_FIRST) // USER_PART
    out = [number for _ in range(60) if (number := queue.next(0.0)) is not None]
    assert sorted(out) == [*range(part), 50]
    queue.failed(0, 1.0)
    assert queue.next(1.0) == part
    assert queue.next(1.0) is None


def test_what_one_user_asks_in_vain_narrows_nothing():
    """Others are asked about as before, until theirs fails too; an answer in between makes good."""
    queue = filled(*["mallory"] * 40)
    for turn in range(10):
        queue.failed(queue.next(float(turn)), float(turn))
    assert queue.window == WINDOW_FIRST
    queue.offer(100, "ann", 20.0)
    queue.offer(101, "bob", 20.0)
    first, second = queue.next(20.0), queue.next(20.0)
    queue.answered(first, 20.4)
    queue.failed(second, 21.0)
    assert queue.window == WINDOW_FIRST
    third = queue.next(21.0)
    queue.failed(third, 22.0)
    assert queue.window == WINDOW_FIRST / 2


def storm(rate: float, count: int, most_out: int = 10**9) -> tuple[float, int, int]:
    """Ask ``count`` questions of a backend that answers ``rate`` a second, one after the other; return how
    long that took, how many came too late, and how many were out at most.
    """
    queue, late, most = filled(*map(str, range(count))), 0, 0
    now, out = 0.0, []
    while True:
        while (number := queue.next(now)) is not None:
            out.append((number, now))
        most = max(most, len(out))
        if not out:
            return now, late, most
        now += 1 / rate
        number, since = out.pop(0)
        if now - since < 1.0:
            queue.answered(number, now)
        else:
            late += 1
            queue.failed(number, now)


def test_a_storm_is_as_wide_as_the_backend_is_fast():
    """Of a fast backend much is asked at a time, of a slow one little, and of neither so much that answers
    come too late.
    """
    took_s, late, most = storm(20_000, 10_000)
    assert (late, most) == (0, WINDOW_MOST)
    assert took_s < 0.6
    took_s, late, most = storm(100, 1_000)
    assert late == 0
    assert most <= 60
    assert took_s < 10.1
    took_s, late, most = storm(5, 60)
    assert late <= 30
    assert took_s < 60 / 5 + 1


def test_a_backend_that_fails_is_asked_ever_less():
    """Halved once for all that was asked before, down to the least; and more again when it answers."""
    queue = filled(*map(str, range(300)))
    for _ in range(48):
        queue.answered(queue.next(0.0), 0.1)
    assert queue.window == WINDOW_FIRST + 48
    for number in [queue.next(1.0) for _ in range(64)]:
        queue.failed(number, 2.0)
    assert queue.window == 32
    for turn in range(3, 12):
        queue.failed(queue.next(float(turn)), float(turn))
    assert queue.window == WINDOW_LEAST
    queue.answered(queue.next(20.0), 20.1)
    assert queue.window == WINDOW_LEAST + 1


def test_slow_answers_narrow_the_window():
    """Before they are too late."""
    queue = filled(*map(str, range(200)))
    for _ in range(48):
        queue.answered(queue.next(0.0), 0.1)
    for number in [queue.next(1.0) for _ in range(64)]:
        queue.answered(number, 1.9)
    assert queue.window < 20


def test_who_waits_for_too_long_is_given_up():
    """The oldest first, and whoever came later stays."""
    queue = filled("a", "b")
    queue.offer(2, "c", 3.0)
    assert queue.late(WAIT_S - 0.1) == []
    assert queue.late(WAIT_S) == [0, 1]
    assert queue.next(WAIT_S) == 2


def test_a_question_is_given_up_once():
    """One that is out or answered is none that waits; twice is once."""
    queue = filled("a", "a", "b")
    out = queue.next(0.0)
    queue.drop(out)
    assert queue.out == 1
    queue.drop(1)
    queue.drop(1)
    assert queue.drain() == [2]
    assert (len(queue), queue.next(0.0)) == (0, None)
    queue.answered(out, 0.1)
    queue.answered(out, 0.1)
    queue.failed(99, 0.1)
    assert queue.out == 0


def test_the_queue_is_bounded():
    """Beyond that nothing is taken, and nothing of what goes is kept."""
    queue = filled(*map(str, range(WAITING_MAX)))
    assert not queue.offer(WAITING_MAX, "z", 0.0)
    for number in range(WAITING_MAX):
        queue.drop(number)
    assert not queue._turns
