"""Contract: whether a client's frame is one that ``warren.v1`` knows, by the schemas that are made from
Warren's own contract, and by what a schema can't say. Pure: a frame in, a sentence out.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jsonschema import Draft7Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

from warren_conformance.codec import Frame

SCHEMAS: Final = "client_frames.schema.json"
MAX_DEPTH: Final = 128
ORDINARY: Final = frozenset({"CHAT", "TYPING", "NOTIFICATION", "DATA_UPDATE"})


def problem(frame: Frame) -> str | None:
    """Return what is wrong with a client's frame, or None."""
    name = frame.get("type")
    if not isinstance(name, str):
        return "the client sent a frame without a type"
    if name in _own_types():
        schema = _own_types()[name]
    elif name not in ORDINARY and _is_upper_case(name):
        return f"the client sent {name}, an upper-case type that is reserved and that clients may not send"
    else:
        schema = "ClientMessage"
    # null counts as left out
    given = {field: value for field, value in frame.items() if value is not None}
    if error := best_match(_validator(schema).iter_errors(given)):
        at = ".".join(str(part) for part in error.absolute_path)
        where = f"the field {at} of {name}" if at else name
        return f"{where} breaks the contract: {error.message[:200]}"
    if _depth(frame.get("payload")) > MAX_DEPTH:
        return f"the payload of {name} is nested more than {MAX_DEPTH} levels deep"
    if _has_half_pair(frame):
        return f"{name} has half of a surrogate pair, which UTF-8 can't represent"
    return None


def is_message(frame: Frame) -> bool:
    """Say whether this is a message for a room, and none of the protocol's own types."""
    return frame.get("type") not in _own_types()


def _is_upper_case(name: str) -> bool:
    return name.upper() == name and any(char.isalpha() for char in name) and name.replace("_", "").isalnum()


@cache
def _document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files(__package__).joinpath(SCHEMAS).read_text(encoding="utf-8"))
    return found


@cache
def _own_types() -> dict[str, str]:
    """Return type ▶ name of its schema, for each type that is Warren's own."""
    found = {}
    for name, schema in _document()["components"]["schemas"].items():
        kind = schema.get("properties", {}).get("type", {})
        constant = kind.get("const") or (kind.get("enum") or [None])[0]
        if name.endswith("Frame") and constant:
            found[constant] = name
    return found


@cache
def _validator(name: str) -> Draft7Validator:
    document = _document()
    return Draft7Validator({**document, "$ref": f"#/components/schemas/{name}"})


def _depth(value: Any) -> int:
    """Return how deep arrays and objects nest; not by recursion, because a client says how deep."""
    deepest, level = 0, [value]
    while level := [each for each in level if isinstance(each, list | dict)]:
        deepest += 1
        level = [part for each in level for part in (each.values() if isinstance(each, dict) else each)]
    return deepest


def _has_half_pair(frame: Frame) -> bool:
    try:
        json.dumps(frame, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except RecursionError:
        return False
    return False
