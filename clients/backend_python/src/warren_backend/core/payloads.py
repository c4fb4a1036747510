"""Payloads: JSON text or bytes, and the content type that tells which.

What an application hands over becomes a body here, or an error that says what is wrong with it. It knows no
message.
"""

from __future__ import annotations

import json
from typing import Any, Final

JSON_TYPE: Final = "application/json"
BINARY_TYPE: Final = "application/octet-stream"
LIST_TYPE: Final = "application/vnd.warren.notifications+json"
# How deep Warren lets JSON nest.
MAX_DEPTH: Final = 128

Bytes = (bytes, bytearray, memoryview)


def encoded(payload: object) -> tuple[bytes, str]:
    """Return a payload's body and content type. Raises ValueError with what is wrong."""
    if isinstance(payload, Bytes):
        return bytes(payload), BINARY_TYPE
    return json_text(payload).encode(), JSON_TYPE


def json_text(value: object) -> str:
    """Return a value as JSON text. Raises ValueError with what is wrong."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the payload holds half of a surrogate pair, which is no text: {error}") from None
    except RecursionError:
        raise ValueError(f"the payload nests too deep: at most {MAX_DEPTH} levels") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"the payload is no JSON: {error}") from None
    if too_deep(text):
        raise ValueError(f"the payload nests too deep: at most {MAX_DEPTH} levels")
    return text


def too_deep(text: str) -> bool:
    """Say whether valid JSON text nests deeper than Warren takes; nearly always two counts answer that."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    plain = text.replace("\\\\", "").replace('\\"', "")
    depth = 0
    for outside in plain.split('"')[::2]:
        for sign in outside:
            if sign in "[{":
                depth += 1
                if depth > MAX_DEPTH:
                    return True
            elif sign in "]}":
                depth -= 1
    return False


def decoded(body: bytes, content_type: str | None) -> Any:
    """Return what a body stands for: bytes, or a value of JSON. Raises ValueError with what is wrong."""
    essence = (content_type or JSON_TYPE).partition(";")[0].strip().lower()
    if essence == BINARY_TYPE:
        return body
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("the body nests too deep") from None
    except ValueError as error:
        raise ValueError(f"the body is no JSON: {error}") from None
