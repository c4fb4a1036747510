"""Message: what every message must be like, whoever sends it: the form of its type, and how deep its payload may nest.

It parses nothing and builds nothing; strings and bytes in, answers out. The gateway's codecs ask it for clients' messages, the router's
intake for backends' notifications, and namespaces for the types that they name.
"""

from __future__ import annotations

import re
from typing import Final

# Predefined types in UPPER CASE that applications send; the rest of UPPER CASE is Warren's own.
ORDINARY: Final = frozenset({"CHAT", "TYPING", "NOTIFICATION", "DATA_UPDATE"})
TYPE_RULE: Final = "1 to 64 letters, digits and _ - . :"
# How deep a payload may nest: clients' parsers have limits of their own, and a message must not be one that only some can read.
MAX_DEPTH: Final = 128

_TYPE = re.compile(r"[A-Za-z0-9_\-.:]{1,64}")
_UPPER_CASE = re.compile(r"[A-Z0-9_]*[A-Z][A-Z0-9_]*")

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ALIKE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def is_type(name: str) -> bool:
    """Say whether ``name`` may be a message's type at all."""
    return _TYPE.fullmatch(name) is not None


def is_reserved_type(name: str) -> bool:
    """Say whether the type ``name`` is Warren's: UPPER CASE letters (with digits and ``_``) alone, and not predefined as ordinary."""
    return name not in ORDINARY and _UPPER_CASE.fullmatch(name) is not None


def too_deep(payload: bytes) -> bool:
    """Say whether this text nests deeper than MAX_DEPTH, where it is JSON. Nearly always two counts answer that."""
    if payload.count(b"[") + payload.count(b"{") <= MAX_DEPTH:
        return False
    brackets = _STRING.sub(b"", payload).translate(_ALIKE, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)
