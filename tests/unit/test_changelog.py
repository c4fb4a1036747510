"""The changelog: where each entry stands and how it begins, and that it ends with what is released."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from warren import __version__

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
# Each entry begins with one of these; within a kind they stand in this order.
PARTS = ["protocol", "gateway", "router", "backends", "client", "broker", "chart", "operations"]
KINDS = ["Added", "Changed", "Fixed", "Removed", "Security"]
FIRST = "0.1.0"
VERSIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
EACH = pytest.mark.parametrize("version", VERSIONS)


def kinds(version: str) -> dict[str, list[str]]:
    """Return a version's entries by kind, each with its lines joined."""
    return {
        kind: re.findall(r"^- (.+(?:\n  .+)*)", text, re.MULTILINE)
        for kind, text in re.findall(
            r"^### ([^\n]+)\n(.*?)(?=^### |\Z)", VERSIONS[version], re.MULTILINE | re.DOTALL
        )
    }


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(" ")[0].split(".")))


def test_what_is_not_released_stands_above_all_releases() -> None:
    """Then each release with its day, the newest first; the newest is the version of the source."""
    unreleased, *released = VERSIONS
    assert unreleased == "Unreleased"
    for version in released:
        number, _, day = version.partition(" - ")
        assert re.fullmatch(r"\d+\.\d+\.\d+", number)
        date.fromisoformat(day)
    assert [numbers(version) for version in released] == sorted(map(numbers, released), reverse=True)
    assert released[0].startswith(f"{__version__.partition('-')[0]} - ") or "-" in __version__


@EACH
def test_each_kind_of_change_stands_once_and_in_order(version: str) -> None:
    """Nothing stands outside of them; the first release has nothing but what it is, and how to come to it."""
    found = list(kinds(version))
    if version.startswith(FIRST):
        assert found == ["Added", f"If you ran it before {FIRST}"]
    else:
        assert found == [kind for kind in KINDS if kind in found]
    assert not re.search(r"^- ", VERSIONS[version].split("\n### ")[0], re.MULTILINE)


@EACH
def test_each_entry_says_first_whom_it_is_about(version: str) -> None:
    """Its part in italics, one of those that there are, in their order: the same part's entries stand together."""
    for kind, entries in kinds(version).items():
        parts = []
        for entry in entries:
            begin = re.match(r"(\*\*Breaking\*\* )?\*([a-z]+)\*(?:, \*[a-z]+\*)*: ", entry)
            assert begin, f"{kind}: {entry}"
            assert begin[2] in PARTS, f"{kind}: {entry}"
            parts.append((not begin[1], PARTS.index(begin[2])))
        assert parts == sorted(parts), kind


@EACH
def test_what_breaks_a_setup_comes_first_among_the_changes(version: str) -> None:
    """Whoever upgrades reads it there, and nowhere else."""
    for kind, entries in kinds(version).items():
        assert kind == "Changed" or not any(entry.startswith("**Breaking**") for entry in entries), kind
