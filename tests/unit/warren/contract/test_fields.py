"""fields: the patterns of documents are the rules that parsers hold."""

import re
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from warren.address import is_address, is_connection, is_room, is_user
from warren.contract import fields
from warren.message_rules import is_reserved_type, is_type


def schema_of(kind):
    return msgspec.json.schema(kind)


def takes(kind, value):
    return Draft7Validator(schema_of(kind)).is_valid(value)


NAMES = st.text(st.sampled_from("aZ09._-:/@|+*~#$ é"), max_size=6) | st.from_regex(
    r"(@|conn\.|user\.|room\.)?[a-z~]{0,5}", fullmatch=True
)


@given(NAMES)
def test_addresses_are_those_that_are_believed(name):
    """A pattern takes exactly the names that the functions of ``warren.address`` take."""
    assert takes(fields.Room, name) == is_room(name)
    assert takes(fields.User, name) == is_user(name)
    assert takes(fields.Connection, name) == is_connection(name)
    assert takes(fields.Address, name) == is_address(name)


@given(
    st.from_regex(r"[A-Za-z0-9_.:-]{0,6}|é", fullmatch=True) | st.sampled_from(["CHAT", "TYPING", "x" * 65])
)
def test_types_are_those_that_may_be_sent(name):
    """A pattern takes exactly the types that are no reserved ones."""
    assert takes(fields.Type, name) == (is_type(name) and not is_reserved_type(name))


@pytest.mark.parametrize("key", ["room.chat:a", "user.ann@example.com", "conn.g1~5f", "all"])
def test_a_key_names_an_address(key):
    """Each form of a routing key is taken, and no other."""
    assert takes(fields.KeyAddress, key)
    assert not takes(
        fields.KeyAddress, key.removeprefix("room.").removeprefix("user.").removeprefix("conn.") + " "
    )


def test_rules_check_nothing_while_a_message_is_read():
    """A decoder takes what a rule forbids: the parsers say what is wrong, in their own words."""
    for kind in (fields.Room, fields.Type, fields.MessageId, fields.KeyAddress, fields.Time):
        value = -1 if get_args(kind)[0] is int else ""
        assert msgspec.convert(value, kind) == value


def test_patterns_are_understood_by_javascript_too():
    """None has what only Python's expressions have: possessive repeats, or names for groups."""
    for kind in (fields.Room, fields.Address, fields.KeyAddress, fields.Service, fields.Traceparent):
        assert not re.search(r"[*+?}]\+|\(\?P", schema_of(kind)["pattern"])
