"""The vectors and what the codecs write, held to the contract: what its documents say of a frame is true."""

import base64
import json

import msgspec
import pytest
from jsonschema import Draft7Validator
from tests.support.vectors import server_message, vectors

from gateway.core import client_messages, codec_json, codec_msgpack
from gateway.core.codec_common import Fields, Head
from gateway.core.session import Session, State
from warren.contract.client_frames import CLIENT_FRAMES, ClientMessage
from warren.contract.examples import EXAMPLES
from warren.contract.schemas import components, standalone
from warren.contract.server_frames import SERVER_FRAMES, Message
from warren.envelope import Deliver

SCHEMAS = components("draft-07")
FROM_CLIENTS = Draft7Validator(standalone("ClientFrame", SCHEMAS))
FROM_SERVER = Draft7Validator(standalone("ServerFrame", SCHEMAS))
CLIENT = vectors("client")
MSGPACK = vectors("msgpack")
SERVER = vectors("server")
# A schema sees fields and their kinds. It sees no syntax, no depth and no base64.
SEEN = ("invalid_message", "invalid_room")
EACH = {"ids": lambda vector: vector["name"]}


def problems(validator: Draft7Validator, frame: object) -> list[str]:
    return [error.message for error in validator.iter_errors(frame)]


def closed(schema):
    """Return a schema that takes no field which it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        word: closed(value) for word, value in schema.items() if word not in ("examples", "const", "enum")
    }
    made |= {word: schema[word] for word in ("const", "enum") if word in schema}
    if "properties" in made:
        made["additionalProperties"] = False
    return made


CLOSED = Draft7Validator(standalone("ServerFrame", closed(SCHEMAS)))


@pytest.mark.parametrize("vector", [each for each in CLIENT if "message" in each], **EACH)
def test_what_is_a_message_fits_the_schema(vector):
    """Each frame that the gateway takes is one by the contract."""
    assert problems(FROM_CLIENTS, json.loads(vector["frame"])) == []


@pytest.mark.parametrize("vector", [each for each in CLIENT if each.get("error") in SEEN], **EACH)
def test_what_is_refused_for_its_fields_does_not_fit_the_schema(vector):
    """Each frame that the gateway refuses for a field is none by the contract."""
    if "encoding" in vector["frame"] and vector["error"] == "invalid_payload":
        pytest.skip("a schema sees no base64")
    try:
        frame = json.loads(vector["frame"])
    except ValueError:
        pytest.skip("the parser finds the field before it finds that this is no JSON")
    assert problems(FROM_CLIENTS, frame) != []


@pytest.mark.parametrize("vector", [each for each in MSGPACK if "message" in each], **EACH)
def test_messagepack_has_the_same_fields(vector):
    """A frame in MessagePack fits, whatever its payload is."""
    assert problems(FROM_CLIENTS, msgspec.msgpack.decode(bytes.fromhex(vector["hex"]))) == []


@pytest.mark.parametrize("vector", SERVER, **EACH)
def test_what_the_server_sends_fits_the_schema(vector):
    """Each field of each frame is in the contract, in both spellings."""
    assert problems(CLOSED, json.loads(vector["frame"])) == []
    assert problems(CLOSED, msgspec.msgpack.decode(bytes.fromhex(vector["msgpack"]))) == []


@pytest.mark.parametrize("vector", SERVER, **EACH)
@pytest.mark.parametrize("codec", [codec_json, codec_msgpack], ids=["json", "msgpack"])
def test_what_a_codec_writes_is_read_by_the_struct(vector, codec):
    """Heads are written and payloads spliced: the struct of the whole frame reads it, and nothing is lost."""
    protocol = msgspec.json if codec is codec_json else msgspec.msgpack
    frame = server_message(vector, codec)
    found = protocol.decode(frame)
    struct = {each.__struct_config__.tag: each for each in SERVER_FRAMES}.get(found["type"], Message)
    written = protocol.decode(protocol.encode(protocol.decode(frame, type=struct)))
    # a payload of null is a payload
    assert {"payload": None, **written} == {"payload": None, **found}


def test_every_field_that_the_gateway_reads_is_in_the_contract():
    """And the other way round, but for the timestamp, which is not read."""
    said = {name for frame in CLIENT_FRAMES for name in frame.__struct_fields__} | {"type"}
    assert said - set(Fields.__struct_fields__) == {"timestamp"}
    assert set(Fields.__struct_fields__) <= said


def test_every_field_that_the_gateway_writes_is_in_the_contract():
    """And the other way round."""
    said = {name for frame in SERVER_FRAMES for name in frame.__struct_fields__} | {"type"}
    assert said - set(Head.__struct_fields__) == {"payload"}
    assert set(Head.__struct_fields__) <= said


def test_every_frame_of_the_server_is_one_that_the_gateway_has():
    """The documents announce no type that nobody sends, and hide none."""
    known = set(client_messages._TYPES.values())
    said = {struct.__struct_config__.tag for struct in SERVER_FRAMES if struct is not Message}
    assert said == known


def test_every_frame_of_a_client_is_one_that_a_session_handles():
    """The documents announce no type that is refused as unknown, and hide none."""
    handled = set(Session._TABLE[State.READY]) - {"", "?"}
    said = {struct.__struct_config__.tag for struct in CLIENT_FRAMES if struct is not ClientMessage}
    assert said == handled


def test_binary_payloads_are_as_the_contract_has_them():
    """Base64 with its encoding, in JSON."""
    frame = json.loads(
        codec_json.encode_delivery(Deliver("r", "e", 1, "CHAT", b"\x00\xff", 1_000, binary=True))
    )
    assert problems(CLOSED, frame) == []
    assert base64.b64decode(frame["payload"]) == b"\x00\xff"


def test_examples_of_clients_are_read_by_the_gateway():
    """What a document shows can be sent."""
    for struct in CLIENT_FRAMES:
        for example in EXAMPLES[struct]:
            message = codec_json.decode(json.dumps(example))
            assert message.type == example["type"]
            assert message.id == example.get("id", "")
    assert EXAMPLES[ClientMessage]
