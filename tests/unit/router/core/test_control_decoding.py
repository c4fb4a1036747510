"""Decoding commands: all that is wrong, at once, and where."""

from typing import Annotated

import msgspec
import pytest

from router.core.control_decoding import decoded, from_query, pointed
from router.core.control_problems import Problem, ProblemCode
from warren.contract.commands import Body, Broadcast, Publish, UserName
from warren.contract.problem import Fault


class Asked(Body, frozen=True, kw_only=True):
    """A read as others are."""

    users: Annotated[list[UserName], msgspec.Meta(min_length=1)]
    limit: Annotated[int, msgspec.Meta(ge=1, le=5)] = 3
    deep: bool = False


def faults(found):
    assert isinstance(found, Problem)
    return list(found.faults)


def test_what_is_right_is_decoded():
    """Raw parts stay as they came."""
    found = decoded(Publish, b'{"address": "room.a", "payload": {"x": [1, 2]}}')
    assert isinstance(found, Publish)
    assert bytes(found.payload) == b'{"x": [1, 2]}'


def test_every_fault_is_told_with_its_place():
    """Unknown names with what was meant, missing ones, wrong ones."""
    body = b'{"adress": "all", "payload": 1, "type": 5, "expiration": -1, "key": "k"}'
    assert faults(decoded(Publish, body)) == [
        Fault("/adress", "is unknown; did you mean address?"),
        Fault("/address", "is missing"),
        Fault("/type", "expected `str | null`, got `int`"),
        Fault("/expiration", "expected `int` >= 0"),
    ]


def test_a_fault_inside_a_list_is_told_with_its_place_and_the_rule_in_words():
    """No regular expression is shown to a backend's developer."""
    found = decoded(Broadcast, b'{"payload": 1, "addresses": ["all", "nowhere"]}')
    assert faults(found) == [
        Fault(
            "/addresses/1",
            "must be the recipient: `room.<room>`, `user.<user>`, `conn.<connection id>` or `all`",
        )
    ]


@pytest.mark.parametrize("body", [b"[1]", b"5", b'"x"', b"null"])
def test_what_is_no_object_is_told_so(body):
    """It is JSON, and no command."""
    assert faults(decoded(Publish, body)) == [Fault("", "must be a JSON object")]


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b'{"address": "\xff", "payload": 1}', b'{"a": ' * 5_000, b'{"x": 01}']
)
def test_what_is_no_json_is_told_so(body):
    """Cut off, not UTF-8, nested beyond reading."""
    found = decoded(Publish, body)
    assert isinstance(found, Problem)
    assert found.code in (ProblemCode.INVALID_FORMAT, ProblemCode.INVALID_MESSAGE)


def test_an_empty_body_is_one_without_fields():
    """So that a command without any need not say so."""
    assert [fault.pointer for fault in faults(decoded(Publish, b""))] == ["/address", "/payload"]


def test_a_query_is_read_by_the_same_rules():
    """Numbers and flags are text there, and a list is its name several times."""
    pairs = [("users", "ann"), ("users", "bob"), ("limit", "5"), ("deep", "true")]
    assert from_query(Asked, pairs) == Asked(users=["ann", "bob"], limit=5, deep=True)


def test_all_faults_of_a_query_are_told():
    """Unknown, repeated, out of range; and one that is missing."""
    pairs = [("limit", "9"), ("deep", "1"), ("deep", "0"), ("limt", "1")]
    assert faults(from_query(Asked, pairs)) == [
        Fault("/limt", "is unknown; did you mean limit?"),
        Fault("/users", "is missing"),
        Fault("/limit", "expected `int` <= 5"),
        Fault("/deep", "is given more than once"),
    ]


def test_a_name_is_escaped_in_a_pointer():
    """RFC 6901 section 3."""
    assert pointed("a/b~c") == "a~1b~0c"


def test_a_body_full_of_unknown_names_costs_little():
    """Some are told, the rest is not looked at."""
    body = msgspec.json.encode({f"name{number}": 1 for number in range(10_000)})
    assert len(faults(decoded(Publish, body))) <= 34
