"""message_schemas: a namespace's schemas, as they are read and as payloads meet them."""

import datetime

import pytest
from jsonschema import Draft7Validator

from warren.message_schemas import MAX_BYTES, MAX_TYPES, MessageSchemas, SchemasByType, with_files

DEAL = {"type": "object", "required": ["price"], "properties": {"price": {"type": "number"}}}


def read(value):
    problems: list[str] = []
    found = SchemasByType().read("schemas", value, problems)
    return found, problems


def test_payloads_are_checked_once_the_schemas_are_ready():
    """Before that, and where a type has no schema, nothing is wrong with any."""
    schemas = MessageSchemas({"deal.done": DEAL, "any": True})
    assert schemas.problem("deal.done", b"{}", False) is None
    problems: list[str] = []
    schemas.prepare("schemas", problems)
    assert problems == []
    assert schemas.problem("deal.done", b"{}", False) == "Object missing required field `price`"
    assert schemas.problem("deal.done", b'{"price":1}', False) is None
    assert schemas.problem("deal.done", b"\x00", True) == "must be JSON, not bytes"
    assert schemas.problem("CHAT", b"{}", False) is None
    assert schemas.problem("any", b"[]", False) is None


def test_what_can_not_be_checked_is_named_with_its_place():
    """Each of them."""
    problems: list[str] = []
    MessageSchemas({"a": {"allOf": []}, "b": {"type": "x"}}).prepare("namespaces[0].schemas", problems)
    assert [problem.split(": ")[0] for problem in problems] == [
        "namespaces[0].schemas.a",
        "namespaces[0].schemas.b",
    ]


def test_schemas_are_equal_where_they_say_the_same():
    """In whatever order; so settings can be compared."""
    one, other = (
        MessageSchemas({"a": DEAL, "b": True}),
        MessageSchemas({"b": True, "a": dict(reversed(DEAL.items()))}),
    )
    assert one == other
    assert hash(one) == hash(other)
    assert one != MessageSchemas({"a": DEAL})
    assert not MessageSchemas()


def test_a_mapping_is_taken_as_it_is():
    """And written as it came."""
    found, problems = read({"deal.done": DEAL, "any": True})
    assert problems == []
    assert dict(found.items()) == {"deal.done": DEAL, "any": True}
    assert SchemasByType().written(found) == {"deal.done": DEAL, "any": True}


ALIASED: list[object] = []
for _ in range(40):
    ALIASED = [ALIASED, ALIASED]
CIRCLE: dict[str, object] = {}
CIRCLE["items"] = CIRCLE


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], "schemas: must be a mapping of at most"),
        ({str(n): True for n in range(MAX_TYPES + 1)}, "schemas: must be a mapping of at most"),
        ({"JOIN": True}, "schemas.JOIN: must be a message type"),
        ({"no type": True}, "schemas.no type: must be a message type"),
        ({1: True}, "schemas.1: must be a message type"),
        ({"a": "text"}, "schemas.a: must be a JSON schema"),
        ({"a": False}, "schemas.a: must be a JSON schema"),
        ({"a": {1: 2}}, "schemas.a: has a key that is no text"),
        ({"a": {"x": float("nan")}}, "schemas.a: has a number that JSON has not"),
        ({"a": {"x": datetime.date(2026, 1, 1)}}, "schemas.a: has what JSON has not"),
        ({"a": {"x": "y" * MAX_BYTES}}, "schemas.a: has more than"),
        ({"a": {"x": ALIASED}}, "schemas.a: has more than"),
        ({"a": CIRCLE}, "schemas.a: has more than"),
    ],
)
def test_what_is_no_schema_is_named(value, says):
    """With its place; and what YAML's aliases make very large, or endless, is noticed in time."""
    found, problems = read(value)
    assert not found
    assert len(problems) == 1
    assert problems[0].startswith(says)


def test_the_rules_schema_takes_what_is_read():
    """So a chart refuses a typo before a pod does."""
    judge = Draft7Validator(SchemasByType().schema())
    assert judge.is_valid({"deal.done": DEAL, "any": True, "file": "/etc/warren/file.json"})
    for wrong in ([], {"no type": True}, {"a": 1}, {"a": "file.json"}):
        assert not judge.is_valid(wrong)


def test_files_take_the_place_of_their_paths():
    """JSON and YAML alike; the rest stays."""
    files = {"/deal.json": '{"type": "object"}', "/list.yaml": "type: array"}
    problems: list[str] = []
    found = with_files(
        "schemas", {"a": "/deal.json", "b": "/list.yaml", "c": True}, files.__getitem__, problems
    )
    assert problems == []
    assert found == {"a": {"type": "object"}, "b": {"type": "array"}, "c": True}
    assert with_files("schemas", None, None, problems) is None


def test_a_file_that_can_not_be_had_is_named():
    """With its path and the reason."""

    def read_file(path: str) -> str:
        if path == "/none":
            raise FileNotFoundError(2, "No such file or directory")
        if path == "/large":
            raise ValueError("has more than 65536 bytes")
        return "a: ["

    problems: list[str] = []
    given = {"a": "/none", "b": "/large", "c": "/broken"}
    assert with_files("schemas", given, read_file, problems) == {"a": True, "b": True, "c": True}
    assert problems[:2] == [
        "schemas.a: /none: No such file or directory",
        "schemas.b: /large: has more than 65536 bytes",
    ]
    assert problems[2].startswith("schemas.c: /broken: ")
    assert with_files("schemas", {"a": "/x"}, None, problems) == {"a": True}
    assert problems[3] == "schemas.a: /x: files can't be read here"
