"""What generated types of any language have in common."""

from scripts.docs.contract_types import component, frame_types, part, references, sections, type_name

from warren.contract.schemas import UNIONS, components


def test_each_component_comes_once_and_behind_its_parts() -> None:
    """So a file can be read, and in most languages executed, from its top."""
    told: set[str] = set()
    for _, types in sections():
        for name, schema in types:
            assert name not in told
            assert references(schema) <= told
            told.add(name)
    assert told == set(components()) - set(UNIONS)


def test_commands_are_told_from_what_else_has_such_a_name() -> None:
    """What asks for a history is none."""
    assert type_name("History") == "HistoryCommand"
    assert type_name("Message") == "Message"
    assert type_name("Problem") == "Problem"
    assert "JoinFrame" in frame_types("ClientFrame")
    assert "ClientMessage" not in frame_types("ClientFrame")


def test_a_reference_with_a_description_is_a_reference() -> None:
    """As draft 7 writes it."""
    schema = {"description": "x", "allOf": [{"$ref": "#/components/schemas/Since"}]}
    assert component(part(schema)) == "Since"
    assert references({"properties": {"a": schema}, "examples": [{"$ref": "none"}]}) == {"Since"}
