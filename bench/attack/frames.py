"""WebSocket frames of a client as bytes, including those that no honest client sends. Pure: bytes in, bytes
out.

It knows RFC 6455 and RFC 7692 and nothing of Warren's code. The mask is fixed but not zero, so that the
server has to unmask.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"\x5a\xa5\x3c\xc3"
FINAL, COMPRESSED = 0x80, 0x40


def masked(payload: bytes, key: bytes = KEY) -> bytes:
    """Return the mask and the masked payload."""
    size = len(payload)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")


def head(first: int, size: int, key: bytes = KEY) -> bytes:
    """Return the header of a masked frame whose payload has ``size`` bytes."""
    if size < 126:
        return bytes((first, 0x80 | size)) + key
    if size < 1 << 16:
        return bytes((first, 0x80 | 126)) + size.to_bytes(2, "big") + key
    return bytes((first, 0x80 | 127)) + size.to_bytes(8, "big") + key


def frame(payload: bytes, opcode: int = TEXT, *, final: bool = True, compressed: bool = False) -> bytes:
    """Return one frame; ``compressed`` sets RSV1 and leaves the payload as it is."""
    first = opcode | (FINAL if final else 0) | (COMPRESSED if compressed else 0)
    return head(first, len(payload)) + masked(payload)


def deflated(payload: bytes, opcode: int = TEXT) -> bytes:
    """Return a complete message in one compressed frame."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return frame((stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4], opcode, compressed=True)


def in_streams(payload: bytes, streams: int, opcode: int = TEXT) -> bytes:
    """Return a compressed message that begins with so many empty streams."""
    empty = zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    rest = (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
    return frame(empty * streams + rest, opcode, compressed=True)


def in_parts(
    payload: bytes, size: int, opcode: int = TEXT, *, between: bytes = b"", end: bool = True
) -> bytes:
    """Return a message in fragments of ``size`` bytes (0: in empty fragments, as many as it has bytes), with
    ``between`` after each of them. ``end`` False omits the last fragment, so that the message never ends.
    """
    pieces = (
        [payload[at : at + size] for at in range(0, len(payload), size)] if size else [b""] * len(payload)
    )
    frames = [
        frame(piece, opcode if not number else CONTINUATION, final=False)
        for number, piece in enumerate(pieces)
    ]
    if end:
        frames.append(frame(b"", CONTINUATION))
    return between.join((*frames, b""))


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """Return a close frame; ``code`` None: without a code."""
    return frame(b"" if code is None else code.to_bytes(2, "big") + reason, CLOSE)


class Heard(NamedTuple):
    """What has been received from a server so far."""

    messages: int
    code: int  # of its close frame; 0: none received, 1005: it has no code


class Listener:
    """Counts a server's frames and finds the code of its close frame, without keeping the data."""

    def __init__(self) -> None:
        """Start after the upgrade."""
        self._rest = b""
        self._skip = 0
        self._messages = 0
        self._code = 0

    @property
    def heard(self) -> Heard:
        """What has been received so far."""
        return Heard(self._messages, self._code)

    def feed(self, data: bytes) -> None:
        """Handle received bytes."""
        if self._skip >= len(data):
            self._skip -= len(data)
            return
        data, at, self._rest = self._rest + data[self._skip :], 0, b""
        self._skip = 0
        size = len(data)
        while size - at >= 2:
            length, begin = data[at + 1] & 0x7F, at + 2
            if length >= 126:
                begin += 2 if length == 126 else 8
                if size < begin:
                    break
                length = int.from_bytes(data[at + 2 : begin], "big")
            opcode = data[at] & 0x0F
            if opcode == CLOSE:
                if size < begin + length:
                    break
                self._code = int.from_bytes(data[begin : begin + 2], "big") if length >= 2 else 1005
            elif opcode < CLOSE:
                self._messages += 1
            at = begin + length
        if at > size:
            self._skip = at - size
        else:
            self._rest = data[at:]
