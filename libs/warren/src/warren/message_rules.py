"""Message: what every message must be like, whoever sends it: the form of its type, the length of its key,
and how deep its payload may nest.

It parses nothing and builds nothing; strings and bytes in, answers out. Each answer takes time that is linear
in what is asked about, whatever it holds, and no loop of Python over its bytes.
"""

from __future__ import annotations

import re
from itertools import accumulate
from operator import add
from typing import Final

# Predefined types in UPPER CASE that applications send; the rest of UPPER CASE is Warren's own.
ORDINARY: Final = frozenset({"CHAT", "TYPING", "NOTIFICATION", "DATA_UPDATE"})
TYPE_RULE: Final = "1 to 64 letters, digits and _ - . :"
# How deep a payload may nest: clients' parsers have limits of their own, and a message must not be one that
# only some can read.
MAX_DEPTH: Final = 128
# How long a message's ``key`` may be, in characters.
KEY_MAX: Final = 128

TYPE = re.compile(r"[A-Za-z0-9_\-.:]{1,64}")
_UPPER_CASE = re.compile(r"[0-9_]*+[A-Z][A-Z0-9_]*+")

_ALIKE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_NO_BRACKETS_NO_QUOTES = bytes(set(range(256)) - set(b'[]{}"'))
_DIGITS = bytes.maketrans(b"[]", b"10")


def _climbs() -> tuple[bytes, bytes]:
    """Return, for each run of eight brackets (its bits; 1 opens), by how much it changes the depth (as a
    signed byte) and how far it climbs.
    """
    changes, peaks = bytearray(), bytearray()
    for run in range(256):
        steps = [1 if run >> bit & 1 else -1 for bit in range(7, -1, -1)]
        changes.append(sum(steps) % 256)
        peaks.append(max(accumulate(steps, initial=0)))
    return bytes(changes), bytes(peaks)


_CHANGES, _PEAKS = _climbs()


def is_type(name: str) -> bool:
    """Say whether ``name`` may be a message's type at all."""
    return TYPE.fullmatch(name) is not None


def is_reserved_type(name: str) -> bool:
    """Say whether the type ``name`` is Warren's: UPPER CASE letters (with digits and ``_``) alone, and not
    predefined as ordinary.
    """
    return name not in ORDINARY and _UPPER_CASE.fullmatch(name) is not None


def too_deep(payload: bytes) -> bool:
    """Say whether this JSON text, which a parser has found to be valid, nests deeper than MAX_DEPTH. Nearly
    always two counts answer that.
    """
    if payload.count(b"[") + payload.count(b"{") <= MAX_DEPTH:
        return False
    if b'"' in payload:
        # An empty string holds no bracket, and of two strings side by side it does not matter where the one
        # ends: most quotes go at once.
        payload = without_escapes(payload).translate(_ALIKE, _NO_BRACKETS_NO_QUOTES).replace(b'""', b"")
        payload = outside_strings(payload)
    brackets = payload.translate(_ALIKE, _NO_BRACKETS)
    return bool(brackets) and _deepest(brackets) > MAX_DEPTH


def without_escapes(text: bytes) -> bytes:
    """Return JSON text without escaped backslashes and quotes: each quote that is left begins or ends a
    string.
    """
    return text.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in text else text


def outside_strings(text: bytes) -> bytes:
    """Return what of JSON text without escapes is outside its strings."""
    return b"".join(text.split(b'"')[::2])


def _deepest(brackets: bytes) -> int:
    """Return how deep ``[`` and ``]`` nest. It takes eight of them at a time: a step of Python's costs many
    times one of a parser's.
    """
    runs = -(-len(brackets) // 8)
    packed = int(brackets.ljust(runs * 8, b"]").translate(_DIGITS), 2).to_bytes(runs, "big")
    before = accumulate(memoryview(packed.translate(_CHANGES)).cast("b"), initial=0)
    deepest: int = max(map(add, before, packed.translate(_PEAKS)))
    return deepest
