"""Reads the vectors: one file for each frame, with what it means."""

import base64
import json
from pathlib import Path
from typing import Any

from gateway.core import client_messages
from gateway.core.client_messages import Codec
from warren.envelope import Deliver
from warren.errors import ErrorCode

ROOT = Path(__file__).parents[1] / "vectors"


def vectors(folder: str) -> list[dict[str, Any]]:
    """Return the vectors of a folder; there are some, or the test that asks would prove nothing."""
    found = [json.loads(path.read_text()) for path in sorted((ROOT / folder).glob("*.json"))]
    assert found, folder
    return found


def meaning(vector: dict[str, Any]) -> dict[str, Any]:
    """Return what a vector's message is, field by field, without its payload."""
    return {name: value for name, value in vector["message"].items() if not name.startswith("payload")}


def check_payload(vector: dict[str, Any], payload: bytes, binary: bool) -> None:
    """Assert that a payload is the vector's: as a value, and to the byte where the vector says so."""
    message = vector["message"]
    if "payload_base64" in message:
        assert binary
        assert payload == base64.b64decode(message["payload_base64"])
        return
    assert not binary
    assert json.loads(payload) == message["payload"]
    if "payload_text" in vector:
        assert payload.decode() == vector["payload_text"]


def server_message(vector: dict[str, Any], codec: Codec) -> bytes:
    """Return what a codec makes of a server vector's struct."""
    fields = dict(vector["fields"])
    if "payload_base64" in fields:
        fields["payload"] = base64.b64decode(fields.pop("payload_base64"))
    elif "payload" in fields:
        fields["payload"] = fields["payload"].encode()
    if vector["struct"] == "Deliver":
        return codec.encode_delivery(Deliver(**fields))
    if "messages" in fields:
        given = fields["messages"]
        fields["messages"] = tuple(Deliver(**{**one, "payload": one["payload"].encode()}) for one in given)
    if "rooms" in fields:
        fields["rooms"] = tuple(fields["rooms"])
    if "code" in fields:
        fields["code"] = next(code for code in ErrorCode if code == fields["code"])
    return codec.encode(getattr(client_messages, vector["struct"])(**fields), vector["at_ms"])
