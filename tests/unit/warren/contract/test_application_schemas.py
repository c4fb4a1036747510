"""application_schemas: an application's schemas as components of a document."""

from jsonschema import Draft7Validator

from warren.contract.application_schemas import ApplicationSchema, ApplicationSchemas
from warren.namespaces import Namespaces


def test_names_are_fit_for_components():
    """Whatever a type is called, the name has only what a component's may have."""
    schemas = ApplicationSchemas(
        [ApplicationSchema("chat", "*", "a:b", {}), ApplicationSchema("chat", "*", "c", {})]
    )
    assert [name for name, _ in schemas.messages()] == ["chat.a_b", "chat.c"]


def test_two_types_do_not_become_one():
    """Names that differ in what a component may not have are told apart."""
    schemas = ApplicationSchemas(
        [
            ApplicationSchema("chat", "*", "a:b", {"title": "1"}),
            ApplicationSchema("chat", "*", "a_b", {"title": "2"}),
        ]
    )
    assert sorted(schema["title"] for schema in schemas.components().values()) == ["1", "2"]


def test_references_inside_still_lead_to_their_parts():
    """A schema that refers to its own definitions works inside of the document, and its data are untouched."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://example.com/deal",
        "definitions": {"price": {"type": "number"}, "$ref": {"type": "string"}},
        "properties": {"price": {"$ref": "#/definitions/price"}, "$id": {"const": {"$ref": "#/x"}}},
    }
    made = ApplicationSchemas([ApplicationSchema("trades", "*", "deal", schema)]).components()
    (moved,) = made.values()
    assert moved["properties"]["price"] == {"$ref": "#/components/schemas/trades.deal/definitions/price"}
    assert moved["properties"]["$id"] == {"const": {"$ref": "#/x"}}
    assert moved["definitions"]["$ref"] == {"type": "string"}
    assert not {"$schema", "$id"} & set(moved)
    validator = Draft7Validator({"$ref": "#/components/schemas/trades.deal", "components": {"schemas": made}})
    assert validator.is_valid({"price": 1})
    assert not validator.is_valid({"price": "1"})


def test_the_schemas_of_all_namespaces_are_told():
    """Whether payloads are checked against them or not; true takes anything."""
    namespaces = Namespaces.parse(
        [
            {"name": "a", "pattern": "a:*", "check": True, "schemas": {"x": {"type": "object"}, "y": True}},
            {"name": "b", "pattern": "*", "schemas": {"x": {"not": {}}}},
        ]
    )
    made = ApplicationSchemas.of(namespaces)
    assert made.components() == {"a.x": {"type": "object"}, "a.y": {}, "b.x": {"not": {}}}
    assert [schema.pattern for _, schema in made.messages()] == ["a:*", "a:*", "*"]
