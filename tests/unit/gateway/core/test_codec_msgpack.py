"""codec_msgpack: the same messages as MessagePack maps; binary payloads as they are, all others JSON inside
Warren.
"""

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.vectors import check_payload, meaning, server_message, vectors

from gateway.core import client_messages, codec_msgpack
from gateway.core.client_messages import ClientMessage
from warren.envelope import Deliver
from warren.errors import ErrorCode, ProtocolError

CLIENT = vectors("msgpack")
GOOD = [vector for vector in CLIENT if "message" in vector]
BAD = [vector for vector in CLIENT if "error" in vector]
SERVER = vectors("server")

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(0, 9), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "type",
        "payload",
        "room",
        "id",
        "version",
        "encoding",
        "key",
        "include_sender",
        "traceparent",
        "timestamp",
        "x",
    ]
)


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["name"])
def test_a_good_frame_means_what_its_vector_says(vector):
    """Each field is taken as it is; a payload is raw bytes or JSON text."""
    message = codec_msgpack.decode(bytes.fromhex(vector["hex"]))
    assert msgspec.structs.replace(message, payload=client_messages.NULL, binary=False) == ClientMessage(
        **meaning(vector)
    )
    check_payload(vector, message.payload, message.binary)


@pytest.mark.parametrize("vector", BAD, ids=lambda vector: vector["name"])
def test_a_bad_frame_is_refused_as_its_vector_says(vector):
    """The code is the vector's, and the ref is the message's id where that could be read."""
    with pytest.raises(ProtocolError) as caught:
        codec_msgpack.decode(bytes.fromhex(vector["hex"]))
    assert caught.value.code == vector["error"]
    assert caught.value.ref == vector.get("ref")


def test_a_text_frame_is_refused():
    """MessagePack lives in binary frames."""
    with pytest.raises(ProtocolError) as caught:
        codec_msgpack.decode('{"type":"CHAT"}')
    assert caught.value.code is ErrorCode.INVALID_FORMAT


@given(st.binary())
def test_no_bytes_raise_anything_but_the_protocols_own_error(data):
    """Whatever comes is a message or a ProtocolError."""
    try:
        message = codec_msgpack.decode(data)
    except ProtocolError:
        return
    assert isinstance(message, ClientMessage)


@given(st.dictionaries(FIELDS | st.integers(0, 3), VALUES) | VALUES)
def test_no_value_raises_anything_but_the_protocols_own_error(document):
    """A message's payload is the bin that came, or JSON of the value that came."""
    try:
        message = codec_msgpack.decode(msgspec.msgpack.encode(document))
    except ProtocolError:
        return
    if not message.binary:
        assert json.loads(message.payload) == document.get("payload")
    elif isinstance(document["payload"], bytes):
        assert message.payload == document["payload"]


@given(VALUES)
def test_a_payload_is_refused_exactly_where_json_has_no_such_value(value):
    """Bins inside, keys that are no text, NaN and Infinity are told as invalid_payload; all else passes."""

    def fits(item):
        match item:
            case dict():
                return all(isinstance(key, str) and fits(inner) for key, inner in item.items())
            case list():
                return all(map(fits, item))
            case float():
                return math.isfinite(item)
            case _:
                return not isinstance(item, bytes)

    frame = msgspec.msgpack.encode({"type": "CHAT", "payload": value})
    if isinstance(value, bytes) or fits(value):
        codec_msgpack.decode(frame)
    else:
        with pytest.raises(ProtocolError) as caught:
            codec_msgpack.decode(frame)
        assert caught.value.code is ErrorCode.INVALID_PAYLOAD


@pytest.mark.parametrize("vector", SERVER, ids=lambda vector: vector["name"])
def test_what_goes_out_is_the_vectors_bytes(vector):
    """The bytes are pinned: clients are tested against the same vectors."""
    assert server_message(vector, codec_msgpack).hex() == vector["msgpack"]


@pytest.mark.parametrize("vector", SERVER, ids=lambda vector: vector["name"])
def test_both_spellings_say_the_same(vector):
    """But for a binary payload and for numbers beyond 64 bits a client reads the same from either."""
    packed = msgspec.msgpack.decode(bytes.fromhex(vector["msgpack"]))
    text = json.loads(vector["frame"])
    if packed.pop("encoding", "") == "json":
        packed["payload"] = json.loads(packed["payload"])
    if text.pop("encoding", "") == "base64":
        text["payload"] = packed["payload"]
    assert packed == text


@pytest.mark.parametrize(
    "payload", [b"123456789012345678901234567890", b"1e999", b"[" * 100_000 + b"]" * 100_000]
)
def test_json_that_messagepack_cannot_hold_goes_out_as_its_text(payload):
    """Nothing is lost and nothing raises: the encoding says that the payload is JSON text."""
    found = msgspec.msgpack.decode(codec_msgpack.encode_delivery(Deliver("r", "e", 1, "n", payload, 5_000)))
    assert (found["encoding"], found["payload"]) == ("json", payload.decode())


@given(VALUES.filter(lambda value: not isinstance(value, bytes)))
def test_what_goes_in_comes_out(value):
    """A MessagePack client's payload reaches another one as the value that it was."""
    try:
        message = codec_msgpack.decode(msgspec.msgpack.encode({"type": "CHAT", "payload": value}))
    except ProtocolError:
        return
    packed = codec_msgpack.encode_delivery(Deliver("r", "e", 1, "CHAT", message.payload, 5_000))
    assert msgspec.msgpack.decode(packed)["payload"] == value
