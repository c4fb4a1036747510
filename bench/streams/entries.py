"""The entries that are written into a stream: they name their writer and their number, and can be verified to
the last byte.

Pure. It never decides what becomes of an entry: ``verdict`` does.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

_HEAD = struct.Struct(">HQ")
_TAIL = struct.Struct(">I")
LEAST_BYTES = _HEAD.size + _TAIL.size


class Key(NamedTuple):
    """Whose entry it is, and its number; a second copy has the same key."""

    writer: int
    number: int


def encode(key: Key, size: int) -> bytes:
    """Build an entry of ``size`` bytes."""
    if size < LEAST_BYTES:
        raise ValueError(f"an entry has at least {LEAST_BYTES} bytes, not {size}")
    body = _HEAD.pack(*key) + b"." * (size - LEAST_BYTES)
    return body + _TAIL.pack(zlib.crc32(body))


def decode(body: bytes) -> Key:
    """Parse an entry. Raises ValueError if it was altered."""
    if len(body) < LEAST_BYTES:
        raise ValueError(f"{len(body)} bytes are no entry")
    (checksum,) = _TAIL.unpack(body[-_TAIL.size :])
    if zlib.crc32(body[: -_TAIL.size]) != checksum:
        raise ValueError("the checksum is another one")
    return Key(*_HEAD.unpack_from(body))
