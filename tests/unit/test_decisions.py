"""The decision records: each has a status and stands in the list, and what they name is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "decisions"
RECORDS = sorted(DECISIONS.glob("0*.md"))
EACH = pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem[:4])
LINK = re.compile(r"\[(\d{4})\]\((\d{4}-[a-z0-9-]+\.md)\)")
STATUS = re.compile(
    rf"accepted(?:, (?:amended|in part superseded) by {LINK.pattern}.*)?|superseded by {LINK.pattern}.*"
)
# A path in the text: a word in code with a slash that begins with a folder of the repository, or one that is
# given from a package on, as an import is.
TOPS = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
PACKAGES = {path.parent.name: path.parents[1] for path in ROOT.glob("*/*/src/*/__init__.py")}


def status(record: Path) -> str:
    """Return what follows ``Status: `` in the line below the title."""
    title, blank, line = record.read_text(encoding="utf-8").splitlines()[:3]
    assert title.startswith(f"# {record.stem[:4]}: ")
    assert blank == ""
    assert line.startswith("Status: ")
    return line.removeprefix("Status: ")


def paths(text: str) -> Iterator[str]:
    """Yield each path of the repository that a text names."""
    for code in re.findall(r"`([^`]+)`", text):
        for word in code.split():
            if re.fullmatch(r"[A-Za-z_][\w.*/-]*/[\w.*/-]*", word) and word.split("/")[0] in TOPS | set(
                PACKAGES
            ):
                yield word


def there(path: str) -> bool:
    """Say whether the repository has it; ``*`` stands for anything."""
    top = path.split("/")[0]
    return any(any(place.glob(path.rstrip("/"))) for place in (ROOT, PACKAGES.get(top, ROOT)))


@EACH
def test_each_record_has_a_status(record: Path) -> None:
    """Accepted, or superseded by a record that is there."""
    said = status(record)
    assert STATUS.fullmatch(said), said
    for number, file in LINK.findall(said):
        assert file.startswith(number)
        assert (DECISIONS / file).is_file()


@EACH
def test_what_a_record_names_is_there(record: Path) -> None:
    """Files and folders that were renamed are renamed here too, unless the record is of the past."""
    if status(record).startswith("superseded"):
        pytest.skip("of the past")
    named = paths(record.read_text(encoding="utf-8"))
    assert [path for path in named if not there(path)] == []


def test_a_name_that_is_not_there_is_noticed() -> None:
    """The rule above sees paths, and nothing else that has a slash."""
    text = "`scripts/no-such` and/or `warren/batch.py`, `docs/decisions/` `tests/unit/*/no_such.py` `/healthz` `a/b`"
    assert [(path, there(path)) for path in paths(text)] == [
        ("scripts/no-such", False),
        ("warren/batch.py", True),
        ("docs/decisions/", True),
        ("tests/unit/*/no_such.py", False),
    ]


def test_each_record_is_listed_in_its_order_with_its_status() -> None:
    """The list says of each what the record says itself, without the explanation in brackets."""
    table = (DECISIONS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| .+ \| ([^|]+) \|$", table, re.MULTILINE)
    assert [file for _, file, _ in rows] == [record.name for record in RECORDS]
    for (number, file, listed), record in zip(rows, RECORDS, strict=True):
        assert file.startswith(number)
        assert listed == re.sub(r" \((?!\d{4}-)[^)]*\)", "", status(record))
