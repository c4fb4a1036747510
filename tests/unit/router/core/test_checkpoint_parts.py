"""CheckpointParts: parts put together, never mixed; and what a search decodes."""

import pytest

from router.core.checkpoint_parts import MOST, CheckpointParts, Whole, alone_in
from warren.envelope import Batch, Checkpoint, Gone, Hello, Mark, Rules, encode


def part(number, parts=2, *, router="r1", offset=9, digest=b"d"):
    return Checkpoint(router, offset, number, parts, digest, b"%d" % number)


def test_a_checkpoint_is_whole_with_its_last_part_in_any_order():
    """The bodies in the order of their numbers; a part that comes again changes nothing."""
    parts = CheckpointParts()
    assert parts.take(part(1, 3)) is None
    assert parts.take(part(1, 3)) is None
    assert parts.take(part(0, 3)) is None
    assert parts.take(part(2, 3)) == Whole("r1", 9, b"d", (b"0", b"1", b"2"))


@pytest.mark.parametrize("other", [{"router": "r2"}, {"offset": 10}, {"digest": b"x"}, {"parts": 3}])
def test_parts_of_different_checkpoints_are_never_mixed(other):
    """Another writer, place, content or number of parts is another checkpoint."""
    parts = CheckpointParts()
    parts.take(part(0))
    assert parts.take(part(1, **other)) is None
    assert parts.take(part(1)) == Whole("r1", 9, b"d", (b"0", b"1"))


def test_a_writer_that_died_in_the_middle_is_given_up():
    """After so many others have begun its parts are gone."""
    parts = CheckpointParts()
    for offset in range(MOST + 1):
        parts.take(part(0, offset=offset))
    assert parts.take(part(1, offset=1)) is not None
    assert parts.take(part(1, offset=0)) is None


@pytest.mark.parametrize(("number", "of"), [(-1, 2), (2, 2), (0, 0)])
def test_a_part_that_can_not_be_one_is_passed_over(number, of):
    """It is of no checkpoint."""
    assert CheckpointParts().take(part(number, of)) is None


def test_only_marks_parts_and_rules_are_told_apart():
    """All else is None, and poison too."""
    mark, rules = Mark("r1", 1), Rules("life", 1, 1, 1, 1, 1, anew=True)
    for entry in (mark, rules, part(0)):
        assert alone_in(encode([entry])) == entry
    for record in (
        encode([Batch("g", 1, 1, 1), Hello()]),
        encode([Batch("g", 1, 1, 1)]),
        encode([Gone("g", 1, 1)]),
        b"\x92\x01\x91\xc1",
        b"",
        b"\xc1",
    ):
        assert alone_in(record) is None
