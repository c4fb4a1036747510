"""message: whose a type is, and what nests too deep."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.cost import STEP, is_linear, lines, takes_at_most

from warren.message_rules import MAX_DEPTH, is_reserved_type, is_type, too_deep

JSON = st.recursive(
    st.none() | st.text(alphabet='[]{}"\\a', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[{"', max_size=3), inner, max_size=3)
    ),
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
    "name",
    [
        "CHAT",
        "TYPING",
        "NOTIFICATION",
        "DATA_UPDATE",
        "Chat",
        "join",
        "MY.TYPE",
        "A-B",
        "A:B",
        "1",
        "_",
        "1_2",
    ],
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


def by_hand(text):
    """Return how deep JSON text nests, character by character."""
    depth = deepest = 0
    inside = escaped = False
    for sign in text.decode():
        if escaped:
            escaped = False
        elif inside:
            escaped = sign == "\\"
            inside = sign != '"'
        elif sign == '"':
            inside = True
        elif sign in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "]}":
            depth -= 1
    return deepest


# What a scanner may trip over: strings that hold brackets, quotes and backslashes, side by side and inside
# towers.
STRINGS = st.text(alphabet='[]{}"\\a\u00e9', max_size=5).map(
    lambda text: json.dumps(text, ensure_ascii=False).encode()
)
ITEMS = STRINGS | st.sampled_from([b"[]", b"{}", b"1", b"[[]]", b'{"[":"]"}', b'["\\\\"]', b'"\\\\\\""'])


@st.composite
def shapes(draw):
    """JSON that is about as deep as may be, out of few decisions."""
    text = b",".join(draw(st.lists(ITEMS, min_size=1, max_size=6)))
    for _ in range(draw(st.integers(1, 4))):
        height, beside = draw(st.integers(1, 45)), draw(ITEMS)
        opens, closes = draw(
            st.sampled_from([(b"[", b"]"), (b'{"}":[', b"]}"), (b'["\\"",', b"]"), (b"[[],", b",{}]")])
        )
        text = b"[" + opens * height + b"[" + text + b"]" + closes * height + b"," + beside + b"]"
        if draw(st.booleans()):
            text = text + b"," + text
    return b"[" + text + b"]"


@given(shapes())
def test_depth_of_adversarial_shapes_agrees_with_counting_by_hand(text):
    """Whatever the brackets stand beside, and wherever the deepest of them is."""
    json.loads(text)
    assert too_deep(text) is (by_hand(text) > MAX_DEPTH)


@given(st.integers(1, 300), st.integers(0, 20), st.sampled_from([b"[]", b'"["', b"[[]]", b'"\\\\"']))
def test_the_place_of_the_deepest_bracket_does_not_matter(depth, before, item):
    """Brackets are taken several at a time; none falls between two of them."""
    text = (
        b"[" + (item + b",") * before + b"[" * (depth - 1) + b"]" * (depth - 1) + (b"," + item) * 200 + b"]"
    )
    if depth == 1:
        text = text.replace(b",,", b",")
    assert too_deep(text) is (by_hand(text) > MAX_DEPTH)


UNITS = {
    "flat": b"[]",
    "towers": b"[" * 126 + b"]" * 126,
    "objects": b'{"a":' * 126 + b"1" + b"}" * 126,
    "combs": b"[" + b",".join([b"[]"] * 50) + b"]",
    "strings of brackets": b'"["',
    "strings beside brackets": b'"[",[]',
    "escaped quotes": b'"\\"["',
    "escaped backslashes": b'"\\\\\\\\[",[]',
    "empty strings": b'"",[]',
}


def made_of(unit, size):
    return b"[" + b",".join([unit] * (size // (len(unit) + 1))) + b"]"


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_depth_is_found_without_a_step_of_python_for_each_byte(unit):
    """Twice the text is not one line more."""
    assert lines(lambda: too_deep(made_of(unit, 64_000))) == lines(lambda: too_deep(made_of(unit, 128_000)))


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_depth_is_found_in_linear_time(unit):
    """Whatever the text holds."""
    assert is_linear(too_deep, made_of(unit, 20_000), made_of(unit, 20_000 * STEP))


def test_a_string_without_an_end_takes_linear_time_too():
    """It is no JSON, and who asks has asked a parser first; but nothing hangs on that."""
    small, large = (b"[" * 200 + b'"' + b'\\"' * size for size in (2_000, 2_000 * STEP))
    assert is_linear(too_deep, small, large)


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_depth_takes_a_small_multiple_of_what_parsing_takes(unit):
    """The parser builds nothing and looks at each byte once; it is measured beside."""
    text, parser = made_of(unit, 200_000), msgspec.json.Decoder(msgspec.Raw)
    assert takes_at_most(40, lambda: too_deep(text), lambda: parser.decode(text))


def test_whose_a_type_is_takes_linear_time():
    """A name that is nearly reserved is looked at once."""
    small, large = ("A" * size + "!" for size in (5_000, 5_000 * STEP))
    assert is_linear(is_reserved_type, small, large)
