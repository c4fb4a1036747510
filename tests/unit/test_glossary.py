"""docs/glossary.md against the code: its words are in use, each stands there once, and words that were given
up stay gone.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = (ROOT / "docs/glossary.md").read_text()
SOURCES = sorted(path for folder in ("libs", "services") for path in ROOT.glob(f"{folder}/*/src/**/*.py"))
PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])

# Metaphors that the code once had, each with what took its place.
NOT_USED_ANY_MORE = {
    "accession": "shard role",
    "door": "guard exchange",
    "doors": "guard exchanges",
    "entrance": "ingress",
    "intake": "notifications",
    "knock": "probe",
    "ledger": "sequencer",
    "lobby": "connections",
    "outlet": "egress",
    "parting": "hijack",
    "passage": "hop",
    "possession": "shard role",
    "seat": "shard role",
    "steady": "retrying",
    "weights": "largest first",
}
# A word in quotes or backticks, or in a room's name, is a value that users see (a metric's label), not ours.
_OURS = r"(?<![\w\"'`:-])(?:{words})(?![\w\"'`:-])"


class Row:
    """One row of a table: a word, what it means, an example, and its identifier in the code."""

    def __init__(self, line: str) -> None:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        self.term = re.sub(r"\*\*", "", cells[0])
        self.meaning, self.example, code = cells[1:]
        self.identifier = code.strip("`")


ROWS = [Row(line) for line in GLOSSARY.splitlines() if line.startswith("| **")]


@cache
def identifiers() -> frozenset[str]:
    """Return every name in the sources of libs and services: of modules, classes, functions, attributes and
    variables.
    """
    found: set[str] = set()
    for path in SOURCES:
        found.update(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            match node:
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                    found.add(name)
                case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    found.add(name)
                case _:
                    pass
    return frozenset(found)


def test_the_tables_are_read() -> None:
    """The rows of the glossary are found, so that the tests below see them."""
    assert len(ROWS) > 30


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.term)
def test_each_word_is_used_in_the_code(row: Row) -> None:
    """The identifier of an entry is one in libs or services."""
    assert row.identifier in identifiers()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.term)
def test_each_word_has_a_meaning_and_an_example(row: Row) -> None:
    """No cell of an entry is empty."""
    assert row.meaning
    assert row.example


def test_no_word_stands_there_twice() -> None:
    """Each term has one entry; one with two senses says in brackets which it is."""
    counted = Counter(row.term for row in ROWS)
    assert [term for term, times in counted.items() if times > 1] == []


@pytest.mark.parametrize(
    ("text", "hit"),
    [("the door", True), ("(Doors)", True), ('"intake"', False), ("chat:lobby", False), ("indoor", False)],
)
def test_the_rule_tells_our_words_from_values(text: str, hit: bool) -> None:
    """A label in quotes, a room's name and a longer word are none of ours."""
    pattern = re.compile(_OURS.format(words="|".join(NOT_USED_ANY_MORE)), re.IGNORECASE)
    assert bool(pattern.search(text)) == hit


def test_words_that_were_given_up_stay_gone() -> None:
    """No source, docstring or page uses them, but for the changelog and the decisions."""
    pattern = re.compile(_OURS.format(words="|".join(NOT_USED_ANY_MORE)), re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in [*SOURCES, *PAGES]
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []
