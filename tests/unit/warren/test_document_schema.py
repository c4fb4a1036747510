"""document_schema: keys that are said once, and what is read, refused and described of them."""

import re
from dataclasses import dataclass
from typing import Any, Literal

import jsonschema
import pytest

from warren.document_schema import (
    Choice,
    Flag,
    ListOf,
    MappingOf,
    Number,
    Rule,
    Text,
    check_keys,
    check_once,
    key,
    keys_of,
    kind_of,
)

Colour = Literal["off", "red", "blue"]
WORD = re.compile("[a-z]{1,3}")


@dataclass(frozen=True, slots=True)
class Lamp:
    """A mapping as a dataclass."""

    colour: Colour = key("off", Choice(Colour), "Its colour.", example="red", required=True)
    watts: int = key(5, Number(0, 9), "Its power.", example=3)
    names: tuple[str, ...] = key(
        (), ListOf(Text(WORD, "a word"), "a list of words", most=2), "Its names.", example=["a"]
    )


OFF = Lamp("off", 0)


@dataclass(frozen=True, slots=True)
class House:
    """Mappings in a mapping."""

    lamp: Lamp = key(Lamp(), MappingOf(Lamp, short="colour"), "One.", example="red")
    spare: Lamp | None = key(None, MappingOf(Lamp, null=True), "None at first.", example={"colour": "red"})
    cellar: Lamp = key(OFF, MappingOf(Lamp, off=OFF), "Off.", example={"colour": "red"})
    lit: bool = key(False, Flag(), "Lit.", example=True)


HOUSE = MappingOf(House)


def reads(rule: Rule, value: Any) -> Any:
    """Return what is read, or the problems."""
    problems: list[str] = []
    read = rule.read("a", value, problems)
    return problems or read


@pytest.mark.parametrize(
    ("document", "house"),
    [
        ({}, House()),
        ({"lit": True}, House(lit=True)),
        ({"lamp": "blue"}, House(Lamp("blue"))),
        ({"lamp": False}, House(Lamp("off"))),
        ({"lamp": {"colour": "red", "watts": 0, "names": ["a", "b"]}}, House(Lamp("red", 0, ("a", "b")))),
        ({"spare": None}, House()),
        ({"spare": {"colour": "red"}}, House(spare=Lamp("red"))),
        ({"cellar": "off"}, House()),
        ({"cellar": False}, House()),
        ({"cellar": {"colour": False}}, House(cellar=Lamp())),
    ],
)
def test_a_mapping_becomes_its_dataclass(document: Any, house: House) -> None:
    """What is left out has its default, and whatever may stand in a mapping's place means what it says."""
    assert reads(HOUSE, document) == house
    jsonschema.validate([document], {"items": HOUSE.schema()})


COLOURS = "one of off, red, blue"
LAMP = "a mapping with colour, watts, names"


@pytest.mark.parametrize(
    ("document", "problems"),
    [
        (7, ["a: must be a mapping with lamp, spare, cellar, lit, not int"]),
        ({"lam": 1}, ["a.lam: unknown; did you mean lamp?"]),
        ({7: 1}, ["a.7: unknown; known are lamp, spare, cellar, lit"]),
        ({"lit": "yes"}, ["a.lit: must be true or false, not 'yes'"]),
        ({"lamp": None}, [f"a.lamp: must be {COLOURS}, or {LAMP}, not None"]),
        ({"lamp": True}, [f"a.lamp: must be {COLOURS}, or {LAMP}, not True"]),
        ({"spare": []}, [f"a.spare: must be {LAMP}, not a list"]),
        ({"cellar": None}, [f"a.cellar: must be off, or {LAMP}, not null"]),
        ({"cellar": "on"}, [f"a.cellar: must be off, or {LAMP}, not text"]),
        ({"spare": {}}, ["a.spare.colour: is missing"]),
        (
            {"lamp": {"watts": True, "names": ["abcd"], "colour": "green"}, "lit": 1},
            [
                f"a.lamp.colour: must be {COLOURS}, not 'green'",
                "a.lamp.watts: must be a whole number from 0 to 9, not True",
                "a.lamp.names: must be a list of words, not ['abcd']",
                "a.lit: must be true or false, not 1",
            ],
        ),
        (
            {"cellar": {"colour": "red", "names": ["a", "b", "c"]}},
            ["a.cellar.names: must be a list of words, not ['a', 'b', 'c']"],
        ),
    ],
)
def test_every_mistake_is_told_with_its_path(document: Any, problems: list[str]) -> None:
    """All of them, and the schema refuses the document too."""
    assert reads(HOUSE, document) == problems
    assert not jsonschema.Draft7Validator({"items": HOUSE.schema()}).is_valid([document])


def test_a_text_is_missing_where_it_is_null() -> None:
    """A key without a value is one that was forgotten."""
    rule = Text(WORD, "a word")
    assert reads(rule, None) == ["a: is missing"]
    assert reads(rule, "abcd") == ["a: must be a word, not 'abcd'"]
    assert reads(rule, "abc") == "abc"


def test_the_schema_tells_meanings_and_defaults() -> None:
    """As a document would write them; a key that must be there has no default."""
    properties = HOUSE.schema()["properties"]
    assert {name: part.get("default") for name, part in properties.items()} == {
        "lamp": "off",
        "spare": None,
        "cellar": "off",
        "lit": False,
    }
    lamp = properties["lamp"]["anyOf"][0]
    assert lamp["required"] == ["colour"]
    assert lamp["properties"]["names"] == {
        "type": "array",
        "maxItems": 2,
        "items": {"type": "string", "pattern": "^[a-z]{1,3}$"},
        "description": "Its names.",
        "default": [],
    }
    assert "default" not in lamp["properties"]["colour"]


def test_what_is_written_is_read_back() -> None:
    """A value is written in the shortest way that its key has."""
    for name, value, written in [
        ("lamp", Lamp("red"), "red"),
        ("lamp", Lamp("red", 1), {"colour": "red", "watts": 1, "names": []}),
        ("cellar", OFF, "off"),
        ("spare", None, None),
    ]:
        rule = HOUSE.keys[name].rule
        assert rule.written(value) == written
        assert reads(rule, written) == value


def test_each_field_is_a_key() -> None:
    """A field that a document could not set is a mistake in the code."""
    assert [(each.name, each.required) for each in keys_of(Lamp)] == [
        ("colour", True),
        ("watts", False),
        ("names", False),
    ]

    @dataclass
    class Odd:
        name: str = ""

    with pytest.raises(TypeError, match=r"Odd\.name is no key"):
        list(keys_of(Odd))


def test_two_entries_of_one_name_are_told() -> None:
    """Each that has what an earlier one has; what is no text is another rule's business."""
    problems: list[str] = []
    check_once("list", [{"a": "x"}, {"a": 1}, {"a": 1}, 7, {"a": "x"}, {"b": "x"}], ("a", "b"), problems)
    assert problems == ["list[4].a: 'x' is list[0]'s already"]


def test_an_unknown_key_is_told_with_the_one_that_was_meant() -> None:
    """At the top of a document there is no path yet."""
    problems: list[str] = []
    check_keys("", {"name": 1, "patern": 2}, ("name", "pattern"), problems)
    assert problems == ["patern: unknown; did you mean pattern?"]


@pytest.mark.parametrize(
    ("value", "kind"), [(None, "null"), ({}, "a mapping"), ([], "a list"), ("", "text"), (1, "int")]
)
def test_kinds_have_names(value: Any, kind: str) -> None:
    """Those of YAML, where there is one."""
    assert kind_of(value) == kind
