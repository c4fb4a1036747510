"""refusals: what is wrong with a frame, and the id it was sent under, also where no parser reads
the frame.
"""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.cost import STEP, is_linear, lines, takes_at_most

from gateway.core.codec_errors import id_in_json, id_in_msgpack, refuse_json, refuse_msgpack
from warren.errors import ErrorCode, ProtocolError

packed = msgspec.msgpack.encode
IDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=64)
# What no parser of ours reads: half an emoji, in a text or in a key.
CUT = st.sampled_from(["ab\ud83d", "\ude00", ["\ud83d", {"id": "8"}], {"\ud83d": 1, "id": "8"}])
OTHERS = st.recursive(
    st.none() | st.integers() | st.text(alphabet='[]{}"\\:id,', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "x", '"id":']), inner, max_size=3)
    ),
    max_leaves=6,
)


def refusal(refuse, data):
    with pytest.raises(ProtocolError) as caught:
        refuse(data)
    return caught.value


@given(IDS, CUT, OTHERS, st.permutations(["type", "id", "payload", "x"]), st.booleans())
def test_the_id_of_a_message_with_half_an_emoji_is_found(name, cut, other, order, escaped):
    """Wherever it stands, and whatever else is called id."""
    document = {"type": "CHAT", "id": name, "payload": [other, cut, other], "x": other}
    text = json.dumps(
        {field: document[field] for field in order}, ensure_ascii=escaped, indent=None if escaped else 1
    )
    error = refusal(refuse_json, text if escaped else text.encode("utf-8", "surrogatepass"))
    assert (error.code, error.ref) == (ErrorCode.INVALID_FORMAT, name)


@given(OTHERS, CUT)
def test_the_payloads_own_id_is_not_the_messages(other, cut):
    """A message without one has no ref."""
    text = json.dumps({"type": "CHAT", "payload": {"id": "8", "a": other, "b": cut}, "x": [{"id": "9"}]})
    assert refusal(refuse_json, text).ref is None


@pytest.mark.parametrize("depth", [129, 1_100, 100_000])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"id":', "}"), ('{"id":"8","a":[', "]}")])
@pytest.mark.parametrize("first", [True, False])
def test_the_id_of_a_message_that_nests_too_deep_is_found(depth, opens, closes, first):
    """Before the payload and behind it."""
    payload = f'"payload":{opens * depth}"8"{closes * depth}'
    text = f'{{"id":"7",{payload}}}' if first else f'{{{payload},"id":"7"}}'
    assert id_in_json(text.encode()) == "7"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b'{"id":"7"', "7"),
        (b' {\n "id" : "7" , "payload": {"text": "', "7"),
        (b'{"id":"1","id":"2"', "2"),
        (b'{"id":"1","payload":[{"id":"2"}]', "1"),
        (b'{"type":"id","id":"7","x":"id"', "7"),
        (b'{"a \\"id":"7"', None),
        (b'{"a":"\\"id\\":\\"7\\""', None),
        (b'{"id":7', None),
        (b'{"id":""', None),
        (b'{"id":"7', None),
        (b'{"id":"' + b"x" * 257 + b'"', None),
        (b'{"id":"' + b"\\u0041" * 256 + b'"', "A" * 256),
        (b'{"id":"\\ud83d"', None),
        (b'{"id":"\xff"', None),
        (b'["id":"7"', None),
        (b'"id":"7"', None),
        (b"", None),
        (b"{", None),
    ],
)
def test_an_id_is_looked_for_in_what_is_no_json(text, name):
    """It is given where there is no doubt."""
    assert id_in_json(text) == name


@given(st.binary() | st.binary().map(lambda data: b'{"id":"7"' + data))
def test_no_bytes_are_too_odd_for_json(data):
    """There is an id, or there is none."""
    assert id_in_json(data) is None or isinstance(id_in_json(data), str)


@given(st.binary() | st.binary().map(lambda data: b"\x83\xa2id\xa17" + data))
def test_no_bytes_are_too_odd_for_msgpack(data):
    """There is an id, or there is none."""
    assert id_in_msgpack(data) is None or isinstance(id_in_msgpack(data), str)


@given(IDS, st.permutations(["type", "id", "payload", "x"]), st.data())
def test_the_id_of_a_map_that_no_parser_reads_is_found(name, order, data):
    """Each kind of value is stepped over, a tower deeper than any parser goes among them."""
    inner = [
        None,
        True,
        5,
        -5,
        300,
        70_000,
        2**40,
        -300,
        -(2**40),
        1.5,
        "",
        "x" * 40,
        "x" * 300,
        "x" * 70_000,
        b"",
        b"x" * 300,
    ]
    inner += [
        [1] * 20,
        {"id": "8"},
        {str(key): key for key in range(20)},
        msgspec.msgpack.Ext(5, b"x" * data.draw(st.integers(0, 20))),
    ]
    kinds = data.draw(st.lists(st.sampled_from(inner), max_size=6))
    tower = b"\x92" + packed(kinds) + b"\x91" * 2_000 + packed("8")
    document = {"type": packed("CHAT"), "id": packed(name), "payload": tower, "x": packed(kinds)}
    frame = b"\x84" + b"".join(packed(field) + document[field] for field in order)
    error = refusal(refuse_msgpack, frame)
    assert (error.code, error.ref) == (ErrorCode.INVALID_FORMAT, name)


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        (b"\x82\x01\x02\xa2id\xa17", "7"),
        (b"\xde\x00\x02\x01\x02\xa2id\xa17", "7"),
        (b"\xdf\xff\xff\xff\xff\xa2id\xa17", "7"),
        (b"\x82\xa2id\xd9\x017\x01\x02", "7"),
        (b"\x82\xa2id\xa17\xa1x\xdd\xff\xff\xff\xff", "7"),
        (b"\x82\xa2id\xa17\xa2id\xa28", "7"),
        (b"\x82\xa2id\x07\x01\x02", None),
        (b"\x82\xa2id\xa1\xff\x01\x02", None),
        (b"\x82\xa2id", None),
        (b"\x91\x81\xa2id\xa17", None),
        (b"\xdf", None),
        (b"\xc1", None),
        (b"", None),
    ],
)
def test_an_id_is_looked_for_in_what_is_no_messagepack(frame, name):
    """Keys that are no text, and an end that comes too early, do not hide it."""
    assert id_in_msgpack(frame) == name


def test_what_lies_behind_very_many_values_is_not_found():
    """The search is bounded: what nobody can parse may not cost more than what somebody can."""
    frame = b"\x82\xa1x\xdd\x00\x01\x86\xa0" + b"\x90" * 100_000 + b"\xa2id\xa17"
    assert id_in_msgpack(frame) is None
    few, many = (b"\x82\xa1x\xdd\x00\x0f\x42\x40" + b"\x90" * size for size in (20_000, 40_000))
    assert lines(lambda: id_in_msgpack(many)) == lines(lambda: id_in_msgpack(few))


@pytest.mark.parametrize(
    "unit",
    [
        b'"id":"7",',
        b'"id",',
        b'{"id":"8"},',
        b'"\\"id\\"",',
        b"[",
        b'"',
        b"\\",
        b'"id":"',
        b'\\"',
        b"\\ud83d",
    ],
)
def test_looking_for_an_id_takes_linear_time(unit):
    """However many things look like one."""
    small, large = (b'{"x":"\\ud83d",' + unit * (size // len(unit)) for size in (20_000, 20_000 * STEP))
    assert lines(lambda: id_in_json(large)) == lines(lambda: id_in_json(small))
    assert is_linear(id_in_json, small, large)


@pytest.mark.parametrize("end", ['"room":5}', "garbage"])
def test_saying_what_is_wrong_builds_nothing_of_the_payload(end):
    """It is stepped over by the parser."""
    small, large = (
        '{"type":"CHAT","id":"7","payload":[' + "[]," * size + "[]]," + end for size in (20_000, 40_000)
    )
    assert lines(lambda: refusal(refuse_json, large)) == lines(lambda: refusal(refuse_json, small))
    parser = msgspec.json.Decoder(msgspec.Raw)
    whole = large[: -len(end)] + '"a":1}'
    assert takes_at_most(50, lambda: refusal(refuse_json, large), lambda: parser.decode(whole))


@pytest.mark.parametrize("refuse", [refuse_json, refuse_msgpack])
def test_what_is_no_object_gets_invalid_format(refuse):
    """And no ref."""
    for value in (None, 5, "x", [], [{"id": "7"}]):
        data = json.dumps(value) if refuse is refuse_json else packed(value)
        error = refusal(refuse, data)
        assert (error.code, error.ref) == (ErrorCode.INVALID_FORMAT, None)


@pytest.mark.parametrize("refuse", [refuse_json, refuse_msgpack])
def test_a_field_of_a_wrong_kind_is_named_in_both_spellings(refuse):
    """With the id, also one that the rule refuses."""
    for value in (5, True, [], {}, 1.5):
        document = {"type": "CHAT", "id": "a\nb", "room": value}
        error = refusal(refuse, json.dumps(document) if refuse is refuse_json else packed(document))
        assert (error.code, error.message, error.ref) == (
            ErrorCode.INVALID_MESSAGE,
            "room: must be text",
            "a\nb",
        )
