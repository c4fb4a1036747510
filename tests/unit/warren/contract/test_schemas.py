"""schemas: the structs in the two dialects."""

import json

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from warren.contract.schemas import UNIONS, components, reference, standalone
from warren.contract.server_frames import JoinedFrame

VALIDATORS = {"draft-07": Draft7Validator, "openapi": Draft202012Validator}


def nodes(schema):
    """Yield each mapping inside of a schema."""
    if isinstance(schema, dict):
        yield schema
        for word, value in schema.items():
            if word not in ("examples", "const", "enum"):
                yield from nodes(value)
    elif isinstance(schema, list):
        for each in schema:
            yield from nodes(each)


@pytest.mark.parametrize("dialect", VALIDATORS)
def test_each_schema_is_one(dialect):
    """The standard's own schema takes it, and each reference leads to another one."""
    found = components(dialect)
    for schema in found.values():
        VALIDATORS[dialect].check_schema(schema)
        for node in nodes(schema):
            if "$ref" in node:
                assert node["$ref"].removeprefix("#/components/schemas/") in found


def test_draft_7_has_only_words_of_its_own():
    """No word stands beside a reference, where it would not count, and none is of a later draft."""
    for node in nodes(components("draft-07")):
        assert "$ref" not in node or set(node) == {"$ref"}
        assert not {"discriminator", "prefixItems", "$defs", "unevaluatedProperties"} & set(node)


@pytest.mark.parametrize("dialect", VALIDATORS)
def test_nothing_says_nothing(dialect):
    """An empty default is left out, and a description is one line."""
    for node in nodes(components(dialect)):
        assert node.get("default", True)
        assert "\n" not in str(node.get("description", ""))


@pytest.mark.parametrize("union", UNIONS)
def test_a_frame_is_of_one_kind(union):
    """Each frame's examples are taken by the union, which they could not be if two of its schemas took them."""
    found = components("draft-07")
    validator = Draft7Validator(standalone(union, found))
    for frame in UNIONS[union]:
        for example in found[frame.__name__]["examples"]:
            assert list(validator.iter_errors(example)) == []
    assert not validator.is_valid({"type": "NO_SUCH_TYPE", "timestamp": 1, "version": "1.0", "room": "a"})


def test_schemas_are_made_once_and_are_the_callers_own_mapping():
    """Who adds a schema to the mapping adds it to nobody else's."""
    first = components()
    first["Mine"] = {}
    assert "Mine" not in components()
    assert json.loads(json.dumps(reference(JoinedFrame))) == {"$ref": "#/components/schemas/JoinedFrame"}
