"""transcoding: payloads between MessagePack and JSON; exact, and at a cost that is linear
whatever they hold.
"""

import gc
import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.cost import STEP, is_linear, lines, takes_at_most

from gateway.core import payload_transcoding
from gateway.core.payload_transcoding import CONTAINERS_MAX, LEVELS, Unfit, bin_of, to_json, to_msgpack
from warren.message_rules import MAX_DEPTH

packed = msgspec.msgpack.encode
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=3) | st.binary(max_size=2)
    # what has the bytes of NaN in it and is none
    | st.sampled_from([0xCB7FF0, 0xCB7FF00000000000, 5.4e-309, "\x7f", 0xCA7F80])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.dictionaries(st.integers(0, 3) | st.tuples(st.integers(0, 3)), inner, max_size=2)
    ),
    max_leaves=8,
)


@st.composite
def shapes(draw):
    """Values that are wide, deep, or both, out of few decisions."""
    value = draw(VALUES)
    for _ in range(draw(st.integers(0, 3))):
        height, beside = draw(st.integers(1, 50)), draw(SCALARS)
        for level in range(height):
            value = {"": value} if level % 3 == 2 else [value]
        value = [value] + [beside] * draw(st.integers(0, 60))
    return value


def depth(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def is_fit(value):
    match value:
        case dict():
            return all(isinstance(key, str) and is_fit(inner) for key, inner in value.items())
        case list():
            return all(map(is_fit, value))
        case float():
            return math.isfinite(value)
        case _:
            return not isinstance(value, bytes)


@given(shapes())
def test_a_value_is_taken_exactly_where_a_walk_through_it_finds_nothing_wrong(value):
    """No deeper than MAX_DEPTH, each number finite, each key text, no bin: judged by the parser
    as by hand.
    """
    try:
        text = to_json(packed(value))
    except Unfit:
        assert not is_fit(value)
    except ValueError:
        assert depth(value) > MAX_DEPTH
    else:
        assert is_fit(value)
        assert depth(value) <= MAX_DEPTH
        assert json.loads(text) == value


@pytest.mark.parametrize("extra", range(-1, 2))
@pytest.mark.parametrize("levels", [LEVELS, 2 * LEVELS, MAX_DEPTH])
def test_the_edges_of_blocks_lose_nothing(levels, extra):
    """What lies just above, on and below one comes out as it went in."""
    value = ["x", 1.5, None, {"k": []}, {}]
    for _ in range(levels + extra - depth(value)):
        value = [value, "beside"]
    if levels + extra > MAX_DEPTH:
        with pytest.raises(ValueError, match="deep"):
            to_json(packed(value))
    else:
        assert json.loads(to_json(packed(value))) == value


@pytest.mark.parametrize("inside", [0, LEVELS, 50])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "JSON has no NaN and no Infinity"),
        (b"x", "a bin can be the whole payload, not a part of it"),
        ({1: 2}, "a key is no text"),
        ({(1, 2): 3}, "a key is no text"),
        ({b"x": 3}, "a key is no text"),
        (msgspec.msgpack.Ext(5, b""), "it holds an extension type"),
    ],
)
def test_what_is_wrong_is_told_at_any_depth(value, reason, inside):
    """The words are Warren's, not the parser's."""
    raw = b"\x91" * (inside + 1) + packed(value)
    with pytest.raises(Unfit, match=reason):
        to_json(raw)


def test_a_reason_that_is_not_known_is_still_a_reason():
    """The parser may choose other words one day."""
    assert payload_transcoding._reason(msgspec.ValidationError("no")) == "it holds what JSON has not"


def test_a_bin_is_told_from_all_else():
    """Each of its three forms."""
    assert bin_of(packed(b"x")) == b"x"
    assert bin_of(packed(b"x" * 300)) == b"x" * 300
    assert bin_of(packed(b"x" * 70_000)) == b"x" * 70_000
    assert bin_of(packed("x")) is None


def wide_at(levels, count):
    """Return a payload with so many numbers on each of these levels, counted from 1, and next to nothing
    besides.
    """
    value: list[object] = []
    for level in range(max(levels), 0, -1):
        value = ([1] * count if level in levels else []) + ([value] if value else [])
    return value


@pytest.mark.parametrize("unit", [[[[1]]], [[1]], [], {"a": {"b": 1}}], ids=repr)
@pytest.mark.parametrize("level", range(1, 4 * LEVELS))
def test_no_level_of_a_payload_is_too_wide(level, unit):
    """Wherever the edges of blocks lie: what is short and deep by a level or two is taken just below any
    level.
    """
    value: list[object] = [unit] * 20_000
    for _ in range(level):
        value = [value]
    assert json.loads(to_json(packed(value))) == value


@pytest.mark.parametrize(
    "levels", [(9, 11), (9, 13), (9, 13, 11), (9, 13, 11, 15), (10, 12, 14, 16, 18, 20), tuple(range(8, 40))]
)
def test_no_number_of_wide_levels_is_too_many(levels):
    """Whatever heights of blocks put their edges into the widest of them."""
    value = wide_at(levels, 60_000 // len(levels))
    assert json.loads(to_json(packed(value))) == value


def colliding_keys(count):
    """Return a map whose keys are arrays of two numbers that Python gives the same hash."""
    first_prime, second_prime, start = 11400714785074694791, 14029467366897019727, 2870177450012600261
    mask, undo = (1 << 64) - 1, pow(14029467366897019727, -1, 1 << 64)
    pairs, number = [], 1
    while len(pairs) < count:
        lane = (start + number * second_prime) & mask
        other = (5 - ((lane << 31 | lane >> 33) & mask) * first_prime) * undo & mask
        if other < (1 << 61) - 1:
            pairs.append((number, other))
        number += 1
    assert len({hash(pair) for pair in pairs}) == 1
    return b"\xdf" + count.to_bytes(4) + b"".join(packed(pair) + b"\xc0" for pair in pairs)


def array(unit, size):
    count = size // len(unit)
    return b"\xdd" + count.to_bytes(4) + unit * count


UNITS = {
    "arrays": b"\x90",
    "maps": b"\x80",
    "maps of one": b"\x81\xa1a\x01",
    "pairs": b"\x92\x01\x90",
    "towers": b"\x91" * 126 + b"\x90",
    "towers of maps": b"\x81\xa1a" * 126 + b"\x90",
    "numbers that look like NaN": b"\xcf\xcb\x7f\xf0\x00\x00\x00\x00\x00",
    "floats": b"\xcb\x3f\xf3\x33\x33\x33\x33\x33\x33",
    "texts": b"\xa1[",
    "nulls": b"\xc0",
}


def outcome(raw):
    try:
        return to_json(raw)
    except Unfit as unfit:
        return unfit


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_a_payload_takes_linear_time(unit):
    """Both ways, whatever it holds."""
    small, large = array(unit, 20_000), array(unit, 20_000 * STEP)
    assert is_linear(to_json, small, large)
    assert is_linear(to_msgpack, to_json(small), to_json(large))


@pytest.mark.parametrize("unit", [unit for name, unit in UNITS.items() if "towers" not in name])
@pytest.mark.parametrize("end", [b"", b"\xcb\x7f\xf8" + bytes(6), b"\xc4\x00", b"\x81\x01\x01"])
def test_a_payload_is_judged_without_a_step_of_python_for_each_value(unit, end):
    """Also one whose last value is the one that is wrong: twice as many fine ones before it are not a line
    more.
    """
    small, large = (b"\x92" + array(unit, size) + (end or b"\xc0") for size in (20_000, 40_000))
    assert lines(lambda: outcome(large)) == lines(lambda: outcome(small))


def test_deep_payloads_take_a_step_for_a_block_and_no_more():
    """Towers take a call for each LEVELS levels of each."""
    count = 500
    raw = array(UNITS["towers"], count * len(UNITS["towers"]))
    assert lines(lambda: to_json(raw)) < count * (MAX_DEPTH / LEVELS + 1) * 8


def test_what_looks_like_nan_and_is_none_costs_nothing():
    """The bytes of a number say nothing about its neighbours."""
    plain = array(b"\x90", 200_000)
    alike = b"\x92" + plain + UNITS["numbers that look like NaN"]
    assert takes_at_most(3, lambda: to_json(alike), lambda: to_json(b"\x92" + plain + b"\xcf" + b"\x01" * 8))


def test_keys_that_a_client_chose_so_that_they_collide_are_refused_unhashed():
    """A few thousand arrays of one hash as keys of a map took seconds."""
    small, large = colliding_keys(2_000), colliding_keys(4_000)
    assert isinstance(outcome(large), Unfit)
    assert lines(lambda: outcome(large)) == lines(lambda: outcome(small))
    assert takes_at_most(4, lambda: outcome(large), lambda: to_json(array(b"\x92\x01\x90", len(large))))


@pytest.mark.parametrize(
    "number", ["1e308", "4.9e-324", "2.2250738585072011e-308", "9007199254740993.0000000000000001"]
)
def test_no_number_takes_much_longer_than_another(number):
    """Those that are hard to round are read as quickly, byte by byte, on the way to those who read
    MessagePack.
    """
    plain, hard = (f"[{','.join([one] * (100_000 // (len(one) + 1)))}]".encode() for one in ("1.5", number))
    assert takes_at_most(10, lambda: to_msgpack(hard), lambda: to_msgpack(plain))


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("18446744073709551615", True),
        ("18446744073709551616", False),
        ("-9223372036854775808", True),
        ("-9223372036854775809", False),
        ("[1,123456789012345678901234567890]", False),
        ('{"a":123456789012345678901234567890.5}', True),
        ("1234567890123456789012e5", True),
        ("0.1234567890123456789012", True),
        ("1.5e-0000000000000000000001", True),
        ('"123456789012345678901234567890"', True),
        ('["\\\\",123456789012345678901234567890,"\\""]', False),
        ('["\\"123456789012345678901234567890",1]', True),
        ("1e999", False),
    ],
)
def test_a_whole_number_beyond_64_bits_stays_text_and_no_other_number(text, fits):
    """Digits of a fraction, of an exponent and of a text are none."""
    found = to_msgpack(text.encode())
    if fits:
        assert msgspec.msgpack.decode(found) == json.loads(text)
    else:
        assert found is None


def test_text_with_very_many_arrays_and_objects_stays_text():
    """Each would become an object of Python's; up to the limit they do."""
    assert to_msgpack(b"[" + b",".join([b"{}"] * (CONTAINERS_MAX - 1)) + b"]") is not None
    assert to_msgpack(b"[" + b",".join([b"{}"] * CONTAINERS_MAX) + b"]") is None


def test_the_collector_rests_while_a_large_payload_is_turned_and_goes_on_after_it():
    """Also behind one that is refused; and where it was off it stays off."""
    ran = []
    gc.collect()
    watch = lambda phase, info: ran.append(info["generation"]) if phase == "start" else None  # noqa: E731
    gc.callbacks.append(watch)
    try:
        to_json(array(b"\x91\x80", 200_000))
        assert len(ran) < 3  # and not once for each 700 of them
    finally:
        gc.callbacks.remove(watch)
    assert gc.isenabled()
    with pytest.raises(Unfit):
        to_json(array(b"\x91\xc4\x00", 60_000))
    assert gc.isenabled()
    gc.disable()
    try:
        to_json(array(b"\x90", 60_000))
        assert not gc.isenabled()
    finally:
        gc.enable()
