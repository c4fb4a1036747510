"""namespaces: the JSON schema takes what is read, whatever it is asked about."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warren.errors import SettingsError
from warren.message_rules import is_type
from warren.namespaces import (
    MAX_HISTORY_AGE_S,
    MAX_HISTORY_COUNT,
    MAX_NAMESPACES,
    MAX_PATTERN_LENGTH,
    MAX_PRESENCE,
    Namespaces,
    file_schema,
    schema,
)

SCHEMA = jsonschema.Draft7Validator(schema())
GOOD: dict[str, Any] = {"name": "chat", "pattern": "chat:*"}

# Values that are right for some field, just out of its bounds, or of another kind.
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 2),
    st.sampled_from(
        [
            5,
            1_000_000,
            1_000_001,
            86_400_000,
            86_400_001,
            MAX_HISTORY_COUNT,
            MAX_HISTORY_COUNT + 1,
            MAX_HISTORY_AGE_S,
            MAX_HISTORY_AGE_S + 1,
            MAX_PRESENCE,
            MAX_PRESENCE + 1,
            "",
            "a",
            "A",
            "-",
            "off",
            "on",
            "anyone",
            "token",
            "members",
            "close",
            "reject",
            "disconnect",
            "drop_oldest",
            "latest_only",
            "count",
            "connections",
            "users",
            "chat:*",
            "a b",
            "ä",
            "x" * 64,
            "x" * 65,
            "x" * MAX_PATTERN_LENGTH,
            "x" * (MAX_PATTERN_LENGTH + 1),
        ]
    ),
)
TYPES = st.lists(
    st.one_of(st.sampled_from(["TYPING", "a.b:c", "", "a b", "x" * 65]), st.integers(0, 1)), max_size=3
)
INNER_KEYS = ["count", "per_ms", "policy", "age_s", "counts", "mode", "max", "watch", "info_claim"]
INNER = st.dictionaries(st.sampled_from(INNER_KEYS), ODD, max_size=3)
KEYS = (
    "name",
    "pattern",
    "include_sender",
    "join",
    "publish",
    "ephemeral_types",
    "rate",
    "slow",
    "history",
    "presence",
    "includ_sender",
)
ENTRIES = st.dictionaries(st.sampled_from(KEYS), st.one_of(ODD, TYPES, INNER), max_size=3).map(
    lambda given: GOOD | given
)


def parses(document: Any) -> bool:
    try:
        Namespaces.parse(document)
    except SettingsError:
        return False
    return True


@settings(max_examples=600, deadline=None)
@given(st.one_of(ENTRIES, ODD))
def test_both_take_the_same(entry: Any) -> None:
    """A namespace fits the schema exactly where the services take it."""
    assert SCHEMA.is_valid([entry]) == parses([entry])


@pytest.mark.parametrize("field", ["rate", "history", "presence"])
@settings(max_examples=200, deadline=None)
@given(inner=INNER)
def test_both_take_the_same_inside(field: str, inner: dict[str, Any]) -> None:
    """The same goes for what is in a rate, a history and a presence."""
    document = [GOOD | {field: inner}]
    assert SCHEMA.is_valid(document) == parses(document)


@pytest.mark.parametrize("field", ["name", "pattern", "ephemeral_types"])
def test_both_take_the_same_characters(field: str) -> None:
    """Names, patterns and types are of the same characters in both."""
    differing = []
    for character in map(chr, range(32, 384)):
        value = {"name": f"a{character}", "pattern": character, "ephemeral_types": [character]}[field]
        document = [GOOD | {field: value}]
        taken = is_type(character) if field == "ephemeral_types" else parses(document)
        if SCHEMA.is_valid(document) != taken:
            differing.append(character)
    assert differing == []


@pytest.mark.parametrize("count", [0, MAX_NAMESPACES, MAX_NAMESPACES + 1])
def test_both_count_alike(count: int) -> None:
    """As many namespaces as the services take."""
    document = [{"name": f"n{number}", "pattern": f"n{number}:*"} for number in range(count)]
    assert SCHEMA.is_valid(document) == parses(document) == (count <= MAX_NAMESPACES)


def test_the_schema_is_one() -> None:
    """It is a schema of its draft, and each default in it is one that it takes itself."""
    whole = schema()
    jsonschema.Draft7Validator.check_schema(whole)
    defaults = 0
    for name, part in whole["items"]["properties"].items():
        if "default" in part:
            defaults += 1
            assert SCHEMA.is_valid([GOOD | {name: part["default"]}]), name
            assert Namespaces.parse([GOOD | {name: part["default"]}]) == Namespaces.parse([GOOD])
    assert defaults >= 6


def test_a_file_has_its_lists() -> None:
    """And nothing else."""
    whole = jsonschema.Draft7Validator(file_schema())
    files = [{"hooks": ["connect"]}, {"hooks": ["join"]}, {"hooks": "connect"}]
    for document in (
        *files,
        {},
        {"namespaces": [GOOD], "services": [{"pattern": "a.*"}]},
        {"services": [{}]},
        {"service": []},
    ):
        assert whole.is_valid(document) == parses(document)
