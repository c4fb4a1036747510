"""LogInspector: entries to lines, with what a fold knows of them."""

import pytest

from router.core.fold import Fold
from router.core.log_inspector import LogInspector
from warren import envelope as wire
from warren.envelope import Batch, Gone, Hello, Join, Mark, Publish, Rules

AT = 1_764_000_000_000_000
RULES = Rules("life", 1, 100, 100, 100, AT)


def record(*envelopes):
    return wire.encode(envelopes)


def chat(number, ident, room="a"):
    return record(Batch("g1", 1, number, AT), Publish(room, "CHAT", b"1", AT, "g1~1", "ann", ident))


LOG = [
    record(RULES),
    record(Batch("g1", 1, 1, AT), Hello()),
    record(Batch("g1", 1, 2, AT), Join("a", "g1~1", "ann")),
    chat(3, "m1"),
    chat(3, "m1"),
    chat(4, "m1"),
]


def look(records, begin=0, room="", fold=None):
    """Return the lines without their times."""
    view = LogInspector(begin, room, fold, payloads=False)
    found = [line for offset, each in records for line in view.take(offset, each)]
    return [line[:10].strip() + line[36:] if line[0] != "(" else line for line in found]


def test_the_seq_of_a_message_is_told_where_the_fold_knows_it():
    """From the log's first entry on everything is known."""
    found = look(list(enumerate(LOG)), begin=3, fold=Fold(0, 1))
    size = len(LOG[3])
    assert found == [
        f"3  batch  g1  life=1  number=3  {size} bytes",
        "3    publish  a  seq=1 epoch=life-1  type=CHAT  id=m1  from=g1~1(ann)  1 bytes",
        f"4  batch  g1  life=1  number=3  {size} bytes  repeat",
        "4    publish  a  type=CHAT  id=m1  from=g1~1(ann)  1 bytes",
        f"5  batch  g1  life=1  number=4  {size} bytes",
        "5    publish  a  repeat of seq=1 epoch=life-1  type=CHAT  id=m1  from=g1~1(ann)  1 bytes",
    ]


def test_without_a_fold_no_seq_is_guessed():
    """All else is shown."""
    assert "  seq=?  " in look([(3, LOG[3])])[1]


def test_a_fold_from_before_knows_what_its_checkpoint_knew():
    """The entry of the checkpoint itself is not taken again, and nothing before the place that was asked for
    is shown.
    """
    fold = Fold(0, 1)
    for offset in range(4):
        fold.apply(offset, LOG[offset])
    restored = Fold.restored(0, 1, 3, fold.parts()[0])
    found = look([(3, LOG[3]), (4, LOG[4]), (5, LOG[5])], begin=5, fold=restored)
    assert [line[0] for line in found] == ["5", "5"]
    assert "repeat of seq=1" in found[1]


@pytest.mark.parametrize(
    ("each", "became"),
    [
        (record(Batch("g1", 1, 9, AT), Mark("r", AT)), "poison"),
        (record(Batch("g2", 3, 9, AT)), "of a life that is not there"),
        (record(Gone("g2", 3, AT)), None),
        (record(Batch("g1", 1, 9, AT)), None),
    ],
)
def test_an_entry_that_does_not_count_says_why(each, became):
    """In a word at the end of its line."""
    line = look([*enumerate(LOG), (6, each)], begin=6, fold=Fold(0, 1))[0]
    assert line.endswith(became if became else " bytes")


def test_before_the_logs_life_nothing_counts():
    """A batch in an empty log is shown so."""
    assert look([(0, LOG[1])], fold=Fold(0, 1))[0].endswith("before the log's life")


def test_a_jump_is_shown_and_seqs_are_unknown_behind_it():
    """One number is left out wherever the broker begins a file, more may be a loss."""
    records = list(enumerate(LOG[:3]))
    found = look([*records, (4, LOG[3])], begin=4, fold=Fold(0, 1))
    assert "seq=1" in found[1]
    found = look([*records, (5, LOG[3])], begin=4, fold=Fold(0, 1))
    assert found[0] == "(no entries from offset 3 to 4; seqs are not known from here on)"
    assert "seq=?" in found[2]
    assert look([(0, LOG[0]), (9, LOG[3])])[1] == "(no entries from offset 1 to 8)"


def test_an_entry_that_comes_again_is_shown_once():
    """Who goes on reads the last entry again."""
    assert len(look([(3, LOG[3]), (3, LOG[3]), (2, LOG[2])])) == 2


def test_rules_of_a_newer_fold_are_said_and_not_guessed_at():
    """The log can still be looked at."""
    newer = record(Rules("life", 99, 1, 1, 1, AT))
    found = look([*enumerate(LOG[:3]), (3, newer), (4, LOG[3])], begin=3, fold=Fold(0, 1))
    assert "version 99" in found[0]
    assert found[0].endswith("seqs are not known from here on)")
    assert "version=99" in found[1]
    assert "seq=?" in found[3]
