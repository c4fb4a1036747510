"""message: whose a type is, and what nests too deep."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren.message import MAX_DEPTH, is_reserved_type, is_type, too_deep

JSON = st.recursive(
    st.none() | st.text(alphabet='[]{}"\\a', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[{"', max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("name", ["a", "A" * 64, "cursor.moved", "x-y:z_1", "CHAT"])
def test_a_type_is_letters_digits_and_a_few_signs(name):
    """1 to 64 of them."""
    assert is_type(name)


@pytest.mark.parametrize("name", ["", "a" * 65, "a b", "ä", "a\n", "a/b", "ＣＨＡＴ"])
def test_anything_else_is_no_type(name):
    """Also letters that are not ASCII."""
    assert not is_type(name)


@pytest.mark.parametrize("name", ["JOIN", "X", "REQUEST", "A_1", "WELCOME", "ACK", "_1A"])
def test_upper_case_is_reserved(name):
    """Known or not: Warren may want it later."""
    assert is_reserved_type(name)


@pytest.mark.parametrize(
    "name", ["CHAT", "TYPING", "NOTIFICATION", "DATA_UPDATE", "Chat", "join", "MY.TYPE", "A-B", "A:B", "1", "_", "1_2"]
)
def test_the_predefined_and_all_else_is_the_applications(name):
    """A sign that UPPER CASE has not is enough."""
    assert not is_reserved_type(name)


@pytest.mark.parametrize(
    ("text", "deep"),
    [
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, False),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), True),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), True),
        (b"[" + b",".join([b"[[],{}]"] * 1_000) + b"]", False),
        (b'["' + b"[" * 1_000 + b'"]', False),
        (b'["\\"' + b"[" * 1_000 + b'\\\\"]', False),
    ],
    ids=["at the limit", "beyond it", "objects", "wide", "in a string", "in a string with escapes"],
)
def test_depth_counts_brackets_that_nest_and_no_others(text, deep):
    """Wide is not deep, and what stands in strings is no bracket."""
    json.loads(text)
    assert too_deep(text) is deep


@given(JSON)
def test_depth_agrees_with_counting_by_hand(value):
    """The quick answer is the right one, also when the limit is small enough to matter."""

    def depth(item):
        inner = list(item.values()) if isinstance(item, dict) else item if isinstance(item, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    wrapped = value
    for _ in range(MAX_DEPTH - 3):
        wrapped = [wrapped]
    # Many siblings, so that the counts alone can't answer.
    text = json.dumps([wrapped, [[]] * MAX_DEPTH]).encode()
    assert too_deep(text) is (depth(value) + MAX_DEPTH - 3 + 1 > MAX_DEPTH)
