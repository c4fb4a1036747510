"""Codec errors: what is wrong with a frame that a codec's parser refused, and which message it was.

A sender that is not told which of its messages was refused waits for it, and sends it again. So the ``id`` is
looked for also where the frame is no JSON and no MessagePack: a payload with half an emoji, or one that nests
deeper than any parser goes. Nothing here builds a payload's values; the work is linear in the frame, or
bounded. It raises nothing but ProtocolError.
"""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn

import msgspec

from gateway.core.codec_common import INVALID_FORMAT, REF_MAX, Fields, readable, refuse
from warren.errors import ErrorCode, ProtocolError
from warren.message_rules import outside_strings, without_escapes

_ABSENT = msgspec.Raw()


# A client's frame whose fields may be of any kind; the payload is not looked at.
_NAMES: Final = tuple(name for name in Fields.__struct_fields__ if name != "payload")
_Parts = msgspec.defstruct("_Parts", [(name, msgspec.Raw, _ABSENT) for name in _NAMES])
_json_parts = msgspec.json.Decoder(_Parts)
_json_text = msgspec.json.Decoder(str)
_msgpack_parts = msgspec.msgpack.Decoder(_Parts)
_msgpack_text = msgspec.msgpack.Decoder(str)

# A value of each kind stands for all of them: what is wrong is a field's kind.
_JSON_KINDS: Final[dict[int, Any]] = {
    ord('"'): "",
    ord("n"): None,
    ord("t"): True,
    ord("f"): False,
    **dict.fromkeys(b"-0123456789", 0),
}
_MSGPACK_KINDS: Final[dict[int, Any]] = {
    0xC0: None,
    0xC2: False,
    0xC3: True,
    **dict.fromkeys((*range(0xA0, 0xC0), 0xD9, 0xDA, 0xDB), ""),
    **dict.fromkeys((*range(0x80), *range(0xCC, 0xD4), *range(0xE0, 0x100)), 0),
}


def refuse_json(data: str | bytes) -> NoReturn:
    """Say what is wrong with a frame that is to be JSON."""
    try:
        parts = _json_parts.decode(data if isinstance(data, str) else data.decode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        text = data.encode(errors="replace") if isinstance(data, str) else data
        raise ProtocolError(ErrorCode.INVALID_FORMAT, INVALID_FORMAT, ref=id_in_json(text)) from None
    refuse(_document(parts, _JSON_KINDS, _json_text))


def refuse_msgpack(data: bytes) -> NoReturn:
    """Say what is wrong with a frame that is to be MessagePack."""
    try:
        parts = _msgpack_parts.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise ProtocolError(ErrorCode.INVALID_FORMAT, INVALID_FORMAT, ref=id_in_msgpack(data)) from None
    refuse(_document(parts, _MSGPACK_KINDS, _msgpack_text))


def _document(parts: msgspec.Struct, kinds: dict[int, Any], text: Any) -> dict[str, Any]:
    """Return what kinds of fields a frame has, and its ``id``."""
    raws = {name: bytes(getattr(parts, name)) for name in _NAMES}
    document = {name: kinds.get(raw[0], ()) for name, raw in raws.items() if raw}
    number = raws["timeout_ms"]  # a float begins like a whole number in JSON
    if kinds is _JSON_KINDS and document.get("timeout_ms") == 0 and not number.lstrip(b"-").isdigit():
        document["timeout_ms"] = ()
    if document.get("id") == "":
        try:
            document["id"] = text.decode(raws["id"])
        except (msgspec.MsgspecError, UnicodeError):
            document["id"] = None
    return document


# ── JSON that no parser reads ───────────────────────────────────────────────────────────────────────────────

_KEY: Final = b'"id"'
_MEMBER = re.compile(rb'"id"[ \t\r\n]*+:[ \t\r\n]*+("(?:[^"\\]|\\.){1,%d}+")' % (6 * REF_MAX), re.DOTALL)
# So many at the beginning and so many at the end are looked at: one inside the payload is the payload's, and
# there may be very many of them.
_TRIES: Final = 32


def id_in_json(text: bytes) -> str | None:
    """Return the ``id`` of a frame that need not be JSON; the last one where there are several. None where
    none can be found.
    """
    if text.lstrip(b" \t\r\n")[:1] != b"{":
        return None
    name, at, depth, inside = None, 0, 0, False
    for place in _places(text):
        part = without_escapes(text[at:place])
        escaped = part.endswith(b"\\")
        at = place - escaped
        plain = outside_strings(b'"' + part if inside else part)
        depth += plain.count(b"{") + plain.count(b"[") - plain.count(b"}") - plain.count(b"]")
        inside ^= part.count(b'"') % 2 == 1
        if depth == 1 and not inside and not escaped and (found := _MEMBER.match(text, place)):
            name = found[1]
    try:
        return None if name is None else readable(_json_text.decode(name))
    except (msgspec.MsgspecError, UnicodeError):
        return None


def _places(text: bytes) -> list[int]:
    """Return where the key stands in a text, or what looks like it, at its beginning and at its end."""
    places: set[int] = set()
    at = -1
    while len(places) < _TRIES and (at := text.find(_KEY, at + 1)) >= 0:
        places.add(at)
    at = len(text)
    while len(places) < 2 * _TRIES and (at := text.rfind(_KEY, 0, at)) >= 0 and at not in places:
        places.add(at)
    return sorted(places)


# ── MessagePack that no parser reads ────────────────────────────────────────────────────────────────────────

# How many values are stepped over to find an id behind them.
_STEPS: Final = 10_000
_ARRAYS_OF_ONE = re.compile(rb"\x91++")
# How many bytes come behind a first byte: those of a value, or those that hold its length.
_SIZES: Final = {
    **dict.fromkeys((0xCC, 0xD0), 1), **dict.fromkeys((0xCD, 0xD1, 0xD4), 2), 0xD5: 3,
    **dict.fromkeys((0xCA, 0xCE, 0xD2), 4), 0xD6: 5,
    **dict.fromkeys((0xCB, 0xCF, 0xD3), 8), 0xD7: 9, 0xD8: 17,
}  # fmt: skip
_LENGTHS: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_COUNTS: Final = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}


def id_in_msgpack(data: bytes) -> str | None:
    """Return the ``id`` of a frame that need not be MessagePack. None where it is not a map's, or lies behind
    more values than are stepped over.
    """
    try:
        return _id_in_map(data)
    except (IndexError, ValueError):  # it ends too early, or is no text
        return None


def _id_in_map(data: bytes) -> str | None:
    first = data[0]
    if 0x80 <= first < 0x90:
        at, entries = 1, first & 0x0F
    elif first in (0xDE, 0xDF):
        size = _COUNTS[first]
        at, entries = 1 + size, int.from_bytes(data[1 : 1 + size])
    else:
        return None
    name, left = None, _STEPS
    for _ in range(entries):
        is_id = data.startswith(b"\xa2id", at)
        value, left = _behind(data, at, left)
        if value >= len(data) or left < 0:
            break
        at, left = _behind(data, value, left)
        if is_id and at <= len(data):
            name = data[value:at]
        if left < 0:
            break
    return None if name is None else readable(_msgpack_text.decode(name))


def _behind(data: bytes, at: int, left: int) -> tuple[int, int]:
    """Return where the value at ``at`` ends, and how many of ``left`` steps are left; below zero where they
    did not do.
    """
    waiting = 1
    while waiting and at < len(data):
        left -= 1
        if left < 0:
            break
        first = data[at]
        if first == 0x91:  # a tower of them is one step: each waits for one more value and is one itself
            at = _ARRAYS_OF_ONE.match(data, at).end()  # type: ignore[union-attr]
            continue
        waiting -= 1
        at += 1
        if first in _LENGTHS:
            size = _LENGTHS[first]
            at += size + int.from_bytes(data[at : at + size]) + (0xC7 <= first <= 0xC9)
        elif first in _COUNTS:
            size = _COUNTS[first]
            waiting += int.from_bytes(data[at : at + size]) * (2 if first >= 0xDE else 1)
            at += size
        elif 0x80 <= first < 0xA0:
            waiting += (first & 0x0F) * (2 if first < 0x90 else 1)
        elif 0xA0 <= first < 0xC0:
            at += first & 0x1F
        else:
            at += _SIZES.get(first, 0)
    return at, left
