"""bench.streams: its entries are checked to the last byte, and what was read becomes counts and verdicts."""

from __future__ import annotations

import pytest
from bench.streams.clients import Reader, Silence
from bench.streams.entries import LEAST_BYTES, Key, decode, encode
from bench.streams.stage import brief
from bench.streams.verdict import Jump, Resumption, Verdict, copies, judge, jumps, resumed

GOOD = {0: Key(1, 1), 1: Key(2, 1), 2: Key(1, 2), 4: Key(2, 2)}
CONFIRMED = {1: 2, 2: 2}


@pytest.mark.parametrize("size", [LEAST_BYTES, LEAST_BYTES + 1, 600])
def test_an_entry_says_whose_it_is(size: int) -> None:
    """It has the size that was asked for, and reads as it was written."""
    body = encode(Key(7, 1 << 40), size)
    assert (len(body), decode(body)) == (size, Key(7, 1 << 40))


def test_an_entry_is_not_shorter_than_its_parts() -> None:
    """It says how long it has to be."""
    with pytest.raises(ValueError, match=f"at least {LEAST_BYTES} bytes"):
        encode(Key(1, 1), LEAST_BYTES - 1)


@pytest.mark.parametrize("at", [0, 5, 300, 599])
def test_an_entry_that_was_changed_is_refused(at: int) -> None:
    """Wherever the byte is that is another one."""
    body = bytearray(encode(Key(1, 1), 600))
    body[at] ^= 1
    with pytest.raises(ValueError, match="checksum"):
        decode(bytes(body))
    with pytest.raises(ValueError, match="no entry"):
        decode(b"short")


def test_a_log_that_kept_its_word_is_good() -> None:
    """All that was confirmed is there, readers saw the same; a jump in the offsets is no loss."""
    verdict = judge(CONFIRMED, GOOD, [GOOD, {2: Key(1, 2), 4: Key(2, 2)}, {}])
    assert verdict == Verdict(4, 4, 0, 0, 0, 0, 0, 0)
    assert verdict.good


def test_an_entry_that_was_not_confirmed_may_be_there() -> None:
    """What was under way at the end counts as an entry alone."""
    assert judge({1: 2, 2: 1}, GOOD, [GOOD]) == Verdict(3, 4, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("log", "sights", "expected"),
    [
        ({0: Key(1, 1), 1: Key(2, 1), 2: Key(1, 2)}, [], Verdict(4, 3, 1, 0, 0, 0, 0, 0)),
        (GOOD, [{1: Key(2, 1)}, {1: Key(1, 2)}], Verdict(4, 4, 0, 1, 0, 0, 0, 0)),
        (GOOD, [{1: Key(1, 9)}], Verdict(4, 4, 0, 1, 0, 0, 0, 0)),
        (GOOD, [{4: Key(2, 2), 5: Key(1, 3)}, {5: Key(1, 3)}], Verdict(4, 4, 0, 0, 1, 0, 0, 0)),
        (GOOD, [{0: Key(1, 1), 4: Key(2, 2)}], Verdict(4, 4, 0, 0, 0, 2, 0, 0)),
    ],
    ids=[
        "confirmed and not there",
        "two readers disagree",
        "a reader and the log disagree",
        "read and gone",
        "skipped",
    ],
)
def test_each_broken_promise_is_counted(
    log: dict[int, Key], sights: list[dict[int, Key]], expected: Verdict
) -> None:
    """One fault of one kind, one count; none of them is good."""
    verdict = judge(CONFIRMED, log, sights)
    assert verdict == expected
    assert not verdict.good


def test_second_copies_are_counted_by_what_lies_between() -> None:
    """A copy at once is harmless; one behind a later number of its writer is the dear kind. Another writer's
    entries don't count.
    """
    one, two, other = Key(1, 1), Key(1, 2), Key(2, 9)
    assert copies({0: one, 1: one, 2: two}) == (1, 0)
    assert copies({0: one, 1: other, 2: one}) == (1, 0)
    assert copies({0: one, 1: two, 2: one, 3: two}) == (2, 1)


def test_jumps_are_what_lies_between() -> None:
    """In whatever order the offsets are given."""
    assert jumps([5, 0, 1, 3]) == [Jump(1, 3), Jump(3, 5)]
    assert [jump.missing for jump in jumps([0, 4])] == [3]
    assert brief([]) == "none"
    assert brief([Jump(1, 3), Jump(3, 9)]) == "2 (missing 1 to 5: 1→3 3→9)"


def test_a_reader_tells_a_jump_a_repeat_and_another_content() -> None:
    """It goes on behind the last one; what it began with is no jump where it did not ask for a number."""
    reader = Reader("reader", ["amqp://nowhere"], 0, "queue")
    reader.take(3, Key(1, 1))
    reader.take(4, Key(1, 2))
    reader.take(6, Key(1, 3))
    reader.take(4, Key(1, 2))
    assert (reader.jumps, reader.backwards, reader.other) == ([Jump(4, 6)], [Jump(6, 4)], [])
    reader.take(6, Key(2, 1))
    assert (reader.other, reader.next, reader.last) == ([6], 7, 6)


def test_a_reader_that_asked_for_a_number_sees_the_first_jump() -> None:
    """What it asked for was dropped."""
    reader = Reader("reader", ["amqp://nowhere"], 0, "queue", offset=10)
    reader.take(12, Key(1, 1))
    assert reader.jumps == [Jump(9, 12)]


def test_a_silence_that_lasts_counts() -> None:
    """Also where no sign has ended it."""
    silence = Silence(longest_s=1.0, last=0.0)
    assert silence.so_far_s > 1.0
    silence.sign()
    assert silence.longest_s > 1.0
    silence.forget()
    assert silence.longest_s == 0.0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((5, Key(1, 3)), Resumption.SAME),
        ((5, Key(2, 3)), Resumption.OTHER),
        ((4, Key(1, 3)), Resumption.OTHER),
        ((6, Key(1, 3)), Resumption.DROPPED),
        ((9, Key(1, 4)), Resumption.DROPPED),
    ],
)
def test_the_entry_that_was_read_last_tells_whether_it_is_the_same_log(
    given: tuple[int, Key], expected: Resumption
) -> None:
    """It has to be the same entry at the same offset."""
    assert resumed((5, Key(1, 3)), given) is expected


def test_a_reader_that_compares_passes_over_what_it_has() -> None:
    """And says what it was given instead, once for each time that it goes on."""
    reader = Reader("reader", ["amqp://nowhere"], 0, "queue", compare=True)
    reader.take(5, Key(1, 3))
    for key in (Key(1, 3), Key(2, 9)):
        reader.resume()
        reader.take(5, key)
    assert list(reader.told()) == [f"resumed: {Resumption.SAME}", f"resumed: {Resumption.OTHER}"]
    reader.take(6, Key(2, 10))
    assert (reader.jumps, reader.backwards, reader.last) == ([], [], 6)
