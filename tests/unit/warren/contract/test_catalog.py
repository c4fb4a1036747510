"""catalog: all messages, each described and in one group."""

import re

import msgspec
import pytest

from warren.contract import catalog, hooks, notifications, queries, rpc
from warren.contract.catalog import GROUPS, structs
from warren.contract.schemas import components

SCHEMAS = components()
FRAMES = {group.name: group.structs for group in GROUPS}


def test_names_of_messages_are_unique():
    """So each has one schema under its own name."""
    names = [struct.__name__ for struct in structs()]
    assert len(names) == len(set(names))
    assert set(names) <= set(SCHEMAS)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_each_message_and_each_field_has_a_sentence(name):
    """A description begins with a capital or a name in code, and ends with a full stop."""
    schema = SCHEMAS[name]
    texts = [schema["description"]] if "properties" in schema else []
    texts += [
        field["description"]
        for field_name, field in schema.get("properties", {}).items()
        if field_name != "type" or "const" not in field
    ]
    for text in texts:
        assert re.fullmatch(r"[A-Z0-9`].*[.?]( …\.)?|.*: 1, 2, 3 ….*", text), text


@pytest.mark.parametrize("group", ["client frames", "server frames"])
def test_one_frame_for_each_type(group):
    """The types of frames are unique within a direction, and one struct stands for all ordinary messages."""
    tags = [struct.__struct_config__.tag for struct in FRAMES[group]]
    assert tags.count(None) == 1
    assert len(tags) == len(set(tags))


def test_the_verbs_are_unique():
    """Each command has one meaning."""
    names = [verb.name for verb in queries.VERBS]
    assert len(names) == len(set(names))


def test_groups_have_what_their_modules_define():
    """No struct that a backend sends or gets was forgotten."""
    listed = set(structs())
    for module in (notifications, rpc, hooks):
        own = [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, msgspec.Struct)
            and value.__module__ == module.__name__
        ]
        assert own
        assert set(own) <= listed
    assert catalog.Group("x", ()).structs == ()
