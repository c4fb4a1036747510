"""Payloads of backends: by their content type JSON text or raw bytes, and what JSON text must be like to be
passed on as it is.

Bytes in, answers out, in time that is linear in them; nothing is built from a payload.
"""

from __future__ import annotations

from typing import Final

import msgspec

from warren.message_rules import too_deep

JSON_TYPE: Final = "application/json"
BINARY_TYPE: Final = "application/octet-stream"

_json = msgspec.json.Decoder(msgspec.Raw)


def is_binary(content_type: str | None) -> bool | None:
    """Say whether a body of this content type is raw bytes (True) or JSON (False, also where it has none);
    None where it is neither.
    """
    if not content_type:
        return False
    essence = content_type.partition(";")[0].strip().lower()
    return {JSON_TYPE: False, BINARY_TYPE: True}.get(essence)


def is_json(body: bytes) -> bool:
    """Say whether a body is JSON text in UTF-8 that nests no deeper than every reader can go."""
    try:
        body.decode()
        _json.decode(body)
    except (
        msgspec.MsgspecError,
        UnicodeDecodeError,
        RecursionError,
    ):  # how deep the parser goes is its version's and Python's business
        return False
    return not too_deep(body)
