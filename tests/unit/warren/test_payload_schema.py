"""payload_schema: what schemas take, held to another implementation of the standard, and which are refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from tests.support.cost import lines

from warren.payload_schema import MAX_DEPTH, MAX_NODES, SAYS_MAX, InvalidSchema, PayloadSchema

DEAL = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "required": ["price", "x-y"],
    "additionalProperties": False,
    "properties": {
        "price": {"type": "number", "exclusiveMinimum": 0},
        "note": {"type": ["string", "null"], "maxLength": 8, "pattern": "^[A-Z]{2}-\\d+$"},
        "tags": {"type": "array", "items": {"$ref": "#/definitions/tag"}, "maxItems": 2},
        "any": True,
        "side": {"enum": ["buy", "sell"]},
        "lot": {"type": "integer", "minimum": 0.5, "multipleOf": 10},
        "x-y": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "more": {"type": "object", "additionalProperties": {"type": "boolean"}, "maxProperties": 1},
    },
    "definitions": {"tag": {"type": "string", "minLength": 1}},
}


def takes(schema, value) -> bool:
    return PayloadSchema(schema).problem(json.dumps(value).encode()) is None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"price": 1, "x-y": None}, None),
        (
            {
                "price": 0.5,
                "x-y": 1,
                "note": "AB-12",
                "tags": ["a"],
                "any": [{}],
                "side": "buy",
                "lot": 20,
                "more": {"a": True},
            },
            None,
        ),
        ({"price": 0, "x-y": 1}, "Expected `float` > 0.0 - at `$.price`"),
        ({"price": 1}, "Object missing required field `x-y`"),
        ({"price": 1, "x-y": "a"}, "Expected `int | null`, got `str` - at `$.x-y`"),
        (
            {"price": 1, "x-y": 1, "note": "AB-x"},
            "Expected `str` matching regex '^[A-Z]{2}-\\\\d+$' - at `$.note`",
        ),
        ({"price": 1, "x-y": 1, "tags": ["a", ""]}, "Expected `str` of length >= 1 - at `$.tags[1]`"),
        ({"price": 1, "x-y": 1, "side": "hold"}, "Invalid enum value 'hold' - at `$.side`"),
        ({"price": 1, "x-y": 1, "lot": 15}, "Expected `int` that's a multiple of 10 - at `$.lot`"),
        ({"price": 1, "x-y": 1, "zz": 1}, "Object contains unknown field `zz`"),
        ([], "Expected `object`, got `array`"),
    ],
)
def test_a_payload_is_taken_or_what_is_wrong_is_named(value, says):
    """With its place."""
    assert PayloadSchema(DEAL).problem(json.dumps(value).encode()) == says
    assert Draft7Validator(DEAL).is_valid(value) == (says is None)


# ── against another implementation ──────────────────────────────────────────────────────────────────────────

TEXTS = st.text(st.sampled_from("ab1é😀"), max_size=4)
NUMBERS = st.integers(-20, 20)
NAMES = st.sampled_from(["a", "b", "x-y"])
NUMBER_RULES = st.fixed_dictionaries(
    {}, optional={"minimum": NUMBERS, "exclusiveMaximum": NUMBERS}
) | st.fixed_dictionaries({}, optional={"exclusiveMinimum": NUMBERS, "maximum": NUMBERS})
LEAVES = st.one_of(
    st.just(True),
    st.just({}),
    st.just({"type": "boolean"}),
    st.just({"type": ["null", "boolean"]}),
    st.builds(lambda rules: {"type": "number", **rules}, NUMBER_RULES),
    st.builds(lambda rules: {"type": "integer", **rules}, NUMBER_RULES),
    st.builds(
        lambda rules: {"type": ["string", "null"], **rules},
        st.fixed_dictionaries({}, optional={"minLength": st.integers(0, 3), "maxLength": st.integers(0, 3)}),
    ),
    st.builds(
        lambda text: {"type": "string", "pattern": text, "maxLength": 3},
        st.sampled_from(["^a*b$", "^[ab]{1,2}$", "^\\d$", "^[^a]+1$"]),
    ),
    st.builds(lambda values: {"enum": values}, st.lists(TEXTS, min_size=1, max_size=3, unique=True)),
    st.builds(lambda value: {"const": value}, NUMBERS),
    st.just({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "integer"}}]}),
    st.just({"oneOf": [{"type": "object"}, {"type": "null"}, {"const": 1}]}),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda items, rules: {"type": "array", "items": items, **rules},
            inner,
            st.fixed_dictionaries(
                {}, optional={"minItems": st.integers(0, 2), "maxItems": st.integers(0, 3)}
            ),
        ),
        st.builds(
            lambda properties, required, more: {
                "type": "object",
                "properties": properties,
                "required": [name for name in required if more or name in properties],
                "additionalProperties": more,
            },
            st.dictionaries(NAMES, inner, min_size=1, max_size=3),
            st.lists(NAMES, max_size=2, unique=True),
            st.booleans(),
        ),
        st.builds(
            lambda more, most: {"type": "object", "additionalProperties": more, "maxProperties": most},
            inner,
            st.integers(0, 3),
        ),
    ),
    max_leaves=6,
)
# A fraction that is none (1.0) is told apart from a whole number in some places: see the test below.
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS | st.sampled_from([0.5, -1.25]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(SCHEMAS, st.lists(VALUES, min_size=1, max_size=8))
def test_what_is_taken_is_what_the_standard_takes(schema, values):
    """For any schema of the words that can be checked, and any value."""
    checker, judge = PayloadSchema(schema), Draft7Validator(schema)
    for value in values:
        assert (checker.problem(json.dumps(value).encode()) is None) == judge.is_valid(value), value


def test_a_repeat_is_told_from_what_looks_like_one():
    """Escaped, or in a set, it is a character."""
    assert takes({"type": "string", "pattern": "^[a-z*+]$"}, "+")
    assert takes({"type": "string", "pattern": "^\\+\\*?$"}, "+*")


def test_a_pattern_ends_where_the_text_ends():
    """As in ECMA-262, and unlike in Python, where a line may end behind it."""
    assert not takes({"type": "string", "pattern": "^a$"}, "a\n")
    assert not takes({"type": "string", "pattern": "^\\d$"}, "٣")


def test_a_whole_number_is_written_without_a_fraction():
    """The standard takes 1.0 for an integer; here a fraction is one where other kinds are possible too."""
    assert PayloadSchema({"type": ["integer", "null"]}).problem(b"1.0") is not None
    assert PayloadSchema({"type": ["integer", "null"]}).problem(b"1.5") is not None


def test_every_one_of_two_keys_of_one_name_is_checked():
    """Whichever of them a receiver takes, it has been checked."""
    checker = PayloadSchema({"type": "object", "properties": {"a": {"type": "integer"}}})
    assert checker.problem(b'{"a":1,"a":2}') is None
    assert checker.problem(b'{"a":"x","a":2}') is not None
    assert checker.problem(b'{"a":1,"a":"x"}') is not None


# ── what is refused when it is read ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (False, "must be a schema"),
        ("x", "must be a schema"),
        ({"minimum": 1}, "minimum needs a type beside it"),
        ({"type": "text"}, "type must be one or a list of"),
        ({"type": []}, "type must be one or a list of"),
        ({"type": "string", "minimum": 1}, "minimum can't be checked here"),
        ({"type": "object", "patternProperties": {}}, "patternProperties can't be checked here"),
        ({"allOf": []}, "allOf needs a type beside it"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems can't be checked here"),
        ({"enum": []}, "enum: must be texts or whole numbers"),
        ({"enum": [1, "a"]}, "enum: must be texts or whole numbers"),
        ({"const": True}, "const: must be texts or whole numbers"),
        ({"const": 1.5}, "const: must be texts or whole numbers"),
        ({"type": "string", "enum": [1]}, "enum: must be texts or whole numbers"),
        ({"anyOf": [{"type": "string"}, {"enum": ["a"]}]}, "two of them take the same kind of value (string)"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "two of them take the same kind of value (number)"),
        ({"anyOf": [{"type": "object"}, {"type": "object"}]}, "two of them take the same kind of value (object)"),
        ({"anyOf": [True, {"type": "null"}]}, "one of them takes anything"),
        ({"anyOf": [], "type": "null"}, "type can't stand beside anyOf"),
        ({"anyOf": 1}, "anyOf: must be a list of schemas"),
        ({"enum": ["a"], "const": "a"}, "const can't stand beside enum"),
        ({"$ref": "#/properties/a"}, "$ref must lead to"),
        ({"$ref": "other.json"}, "$ref must lead to"),
        ({"$ref": "#/definitions/a"}, "$ref #/definitions/a leads nowhere"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}}, "leads in a circle"),
        ({"type": "integer", "minimum": True}, "minimum must be a number"),
        ({"type": "integer", "minimum": 1e30}, "at most 64 bits"),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": 1}, "one lower and one upper bound at most"),
        ({"type": "number", "multipleOf": 0.1}, "multipleOf can be checked of integers"),
        ({"type": "string", "maxLength": -1}, "maxLength must be a whole number"),
        ({"type": "string", "pattern": "a+"}, "pattern must be"),
        ({"type": "string", "pattern": "^(a+)+$"}, "pattern must be"),
        ({"type": "string", "pattern": "^a|b$"}, "pattern must be"),
        ({"type": "string", "pattern": "^a+b+$"}, "only one may vary"),
        ({"type": "string", "pattern": "^a+$"}, "needs maxLength"),
        ({"type": "string", "pattern": "^[a]{2,}$"}, "needs maxLength"),
        ({"type": "string", "pattern": "^[z-a]$"}, "pattern: bad character range"),
        ({"type": "object", "properties": {"a": {"type": "x"}}}, "a: type must be one"),
        ({"type": "array", "items": [True]}, "[]: must be a schema"),
        ({"type": "object", "properties": []}, "properties must be a mapping"),
        ({"type": "object", "required": "a"}, "required must be a list of names"),
        ({"type": "object", "properties": {"a": True}, "maxProperties": 1}, "can't stand beside properties"),
        ({"type": "object", "properties": {"a": True}, "additionalProperties": {}}, "must be true or false"),
        (
            {"type": "object", "properties": {"a": True}, "required": ["a", "b"], "additionalProperties": False},
            "b is required, but additionalProperties: false lets nobody send it",
        ),
    ],
)  # fmt: skip
def test_what_can_not_be_checked_is_refused_when_it_is_read(schema, says):
    """With its place and the reason, so that no message ever meets it."""
    with pytest.raises(InvalidSchema) as caught:
        PayloadSchema(schema)
    assert says in str(caught.value)


def test_a_schema_is_bounded_in_depth_and_in_size():
    """Also where references multiply it."""
    deep: dict[str, object] = {}
    for _ in range(MAX_DEPTH + 1):
        deep = {"type": "array", "items": deep}
    with pytest.raises(InvalidSchema, match="nests deeper"):
        PayloadSchema(deep)
    doubling = {
        f"d{n}": {
            "type": "object",
            "properties": {"a": {"$ref": f"#/$defs/d{n + 1}"}, "b": {"$ref": f"#/$defs/d{n + 1}"}},
        }
        for n in range(15)
    }
    with pytest.raises(InvalidSchema, match=f"more than {MAX_NODES}"):
        PayloadSchema({"$ref": "#/$defs/d0", "$defs": {**doubling, "d15": {}}})


def test_what_a_client_is_told_is_short():
    """It may repeat a key of the payload, but not all of it."""
    checker = PayloadSchema({"type": "object", "additionalProperties": False})
    problem = checker.problem(json.dumps({"x" * 100_000: 1}).encode())
    assert problem is not None
    assert len(problem) <= SAYS_MAX


@pytest.mark.parametrize(
    "payload",
    [
        lambda n: b'{"x-y":1,"price":' + b"9" * n + b"}",
        lambda n: b'{"x-y":1,"price":1,"note":"' + b"A" * n + b'"}',
        lambda n: json.dumps({"price": 1, "x-y": 1, "any": [{}] * n}).encode(),
        lambda n: json.dumps({"price": 1, "x-y": 1, **dict.fromkeys(map(str, range(n)))}).encode(),
    ],
)
def test_no_loop_of_python_goes_over_a_payload(payload):
    """Whatever a client sends, the parser alone sees its bytes."""
    checker = PayloadSchema(DEAL)
    assert lines(lambda: checker.problem(payload(30_000))) <= lines(lambda: checker.problem(payload(1))) + 10
