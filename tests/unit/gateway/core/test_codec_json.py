"""codec_json: what frames mean, what is refused and why, and the literal bytes of what goes out."""

import json

import msgspec
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.vectors import check_payload, meaning, server_message, vectors

from gateway.core import client_messages, codec_json
from gateway.core.client_messages import ClientMessage
from warren.envelope import Deliver
from warren.errors import ErrorCode, ProtocolError

CLIENT = vectors("client")
GOOD = [vector for vector in CLIENT if "message" in vector]
BAD = [vector for vector in CLIENT if "error" in vector]
SERVER = vectors("server")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
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


def refusal(data: str | bytes) -> ProtocolError:
    """Return why a frame is refused."""
    with pytest.raises(ProtocolError) as caught:
        codec_json.decode(data)
    return caught.value


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["name"])
def test_a_good_frame_means_what_its_vector_says(vector):
    """Each field is taken as it is, and the payload to the byte."""
    message = codec_json.decode(vector["frame"])
    expected = ClientMessage(**meaning(vector))
    assert msgspec.structs.replace(message, payload=client_messages.NULL, binary=False) == expected
    check_payload(vector, message.payload, message.binary)


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["name"])
def test_a_binary_frame_means_the_same_as_a_text_frame(vector):
    """JSON may come in a binary frame too."""
    assert codec_json.decode(vector["frame"].encode()) == codec_json.decode(vector["frame"])


@pytest.mark.parametrize("vector", BAD, ids=lambda vector: vector["name"])
def test_a_bad_frame_is_refused_as_its_vector_says(vector):
    """The code is the vector's, and the ref is the message's id where that could be read."""
    error = refusal(vector["frame"])
    assert error.code == vector["error"]
    assert error.ref == vector.get("ref")
    if vector["error"] == "invalid_format":
        assert error.message == "Invalid message format"


@pytest.mark.parametrize(
    "frame",
    [
        b'{"type":"CHAT","payload":"\xff"}',
        b'{"type":"CHAT","payload":"\xed\xa0\x80"}',
        b"\xc0\x80",
        b"\x00",
        b"\xff\xfe{\x00",
    ],
)
def test_what_is_not_utf8_is_refused(frame):
    """A payload is sent on as it came, so none that would break a text frame gets in."""
    assert refusal(frame).code is ErrorCode.INVALID_FORMAT


def test_a_lone_surrogate_in_the_text_is_refused():
    """Python can hold a str that UTF-8 can't."""
    assert refusal('{"type":"CHAT","payload":"\ud800"}').code is ErrorCode.INVALID_FORMAT


def test_the_name_of_the_wrong_field_is_told():
    """An ERROR invalid_message helps the client's developer."""
    assert (
        refusal('{"type":"CHAT","include_sender":"yes"}').message == "include_sender: must be true or false"
    )


@given(st.text() | st.binary())
@example("")
@example(b"\xff")
def test_no_input_raises_anything_but_the_protocols_own_error(data):
    """Whatever comes is a message or a ProtocolError."""
    try:
        message = codec_json.decode(data)
    except ProtocolError:
        return
    assert isinstance(message, ClientMessage)


@given(st.dictionaries(FIELDS, JSON) | JSON, st.booleans())
def test_no_json_raises_anything_but_the_protocols_own_error(document, as_text):
    """Objects with the right field names and any values are messages or ProtocolErrors; a message's payload
    is JSON again.
    """
    frame = json.dumps(document)
    try:
        message = codec_json.decode(frame if as_text else frame.encode())
    except ProtocolError:
        return
    assert message.type == document["type"]
    if not message.binary:
        assert json.loads(message.payload) == document.get("payload")


@pytest.mark.parametrize("vector", SERVER, ids=lambda vector: vector["name"])
def test_what_goes_out_is_the_vectors_text(vector):
    """The bytes are pinned: clients are tested against the same vectors."""
    assert server_message(vector, codec_json).decode() == vector["frame"]
    orjson.loads(vector["frame"].replace("123456789012345678901234567890", "1"))


@given(JSON, st.text(max_size=20), st.text(max_size=20))
def test_a_delivery_is_json_whatever_is_in_it(value, user, key):
    """Names are escaped and the payload is spliced in unchanged."""
    payload = json.dumps(value).encode()
    text = codec_json.encode_delivery(
        Deliver("r", "e", 1, "CHAT", payload, 5_000, user=user.encode(errors="ignore").decode(), key="k")
    )
    found = json.loads(text, parse_constant=lambda name: name)
    assert (found["room"], found["seq"], found["epoch"], found["timestamp"]) == ("r", 1, "e", 5)
    assert text.endswith(b'"payload":' + payload + b"}")
