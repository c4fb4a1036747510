"""FrameParser: a client's bytes ▶ whole messages and control frames (RFC 6455, and RFC 7692 where deflate was
negotiated).

Bytes wait as they came until they are asked for, one frame at a time, so that what a client sends ahead
costs no more than its bytes. A frame is judged by its head, before its payload has come. It keeps at most
the part of a message that has come, which is bounded by the limit; how many bytes may wait is its caller's
business. It answers nothing and knows no time.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from gateway.core.websocket.close import BAD_DATA
from gateway.core.websocket.frames import BINARY, CLOSE, PING, PONG, TEXT
from warren.errors import CloseCode

# How many streams one compressed message may consist of: an end in the middle of a message is allowed, and
# nobody sends one.
STREAMS_MAX = 16
# A message may consist of so many parts, and where it may be large of more: one for each 64 bytes of the
# limit.
PARTS_MAX = 1_024
LEAST_PART_BYTES = 64
# A part of a message costs as much as so many bytes at least.
PART_BYTES = 1_024

_CONTINUATION = 0x0
_OPCODES = frozenset({_CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_TAIL = b"\x00\x00\xff\xff"  # what a sender cuts off each compressed message
TOO_BIG = 1009


class WebSocketViolation(Exception):
    """The peer broke the WebSocket protocol (or sent too much), so that nothing more can be read from it."""

    def __init__(self, code: int, reason: str, limit: int = 0) -> None:
        """``code`` is the close code for it; ``too_large`` where the message was beyond the limit,
        ``too_much`` where more came than may come.
        """
        self.code = code
        self.limit = limit
        self.too_large = code == TOO_BIG
        self.too_much = code in (CloseCode.RATE_LIMITED, CloseCode.UNAUTHORIZED)
        super().__init__(reason)


class Control(NamedTuple):
    """A control frame; or, with opcode 0, a part of a message, of which a peer may send very many."""

    opcode: int
    payload: bytes


class FrameParser:
    """What one client sends. ``bytes`` counts the payload of whole messages so far; ``cost`` adds up the work
    in bytes that parts and compressed messages cost beyond what came (whoever reads it sets it to 0);
    ``moved`` counts the bytes that were copied to make place.
    """

    __slots__ = (
        "_at",
        "_compressed",
        "_count",
        "_data",
        "_deflate",
        "_history",
        "_history_max",
        "_opcode",
        "_parts",
        "bytes",
        "cost",
        "limit",
        "moved",
    )

    def __init__(self, limit: int, *, deflate: bool, window_bits: int = 15) -> None:
        """``limit`` is the largest message in bytes, also once it is inflated; ``deflate``:
        permessage-deflate was negotiated, with a window of so many bits (0: none) that the client's messages
        share.
        """
        self.bytes = self.cost = self.moved = 0
        self.limit = limit
        self._deflate = deflate
        self._data: bytes | bytearray = b""
        self._at = 0  # where the next frame begins
        self._opcode = 0  # of the message whose parts are coming; 0: none is
        self._compressed = False
        self._parts: bytearray | None = None  # of that message
        self._count = 0  # how many they are
        self._history = b""  # the end of the client's compressed messages, on which the next one may build
        self._history_max = 1 << window_bits if window_bits else 0

    @property
    def waiting(self) -> int:
        """How many bytes have come and were not taken yet."""
        return len(self._data) - self._at

    @property
    def window(self) -> int:
        """How many bytes are kept for the messages to come: none before the first compressed one, at most the
        window that was negotiated.
        """
        return len(self._history)

    @property
    def held(self) -> int:
        """How many bytes are kept of what has come: what was not taken yet, and the parts of a message."""
        return len(self._data) - self._at + len(self._parts or b"")

    def drop(self) -> None:
        """Keep nothing of what has come; it must not be asked for anything any more."""
        self._data, self._at, self._parts, self._history = b"", 0, None, b""

    def feed(self, data: bytes) -> None:
        """Append bytes as they come."""
        if not self._data:
            self._data = data
            return
        # What was taken is cut off only where it is the larger half: so each byte is moved once for each time
        # that as many were taken.
        if not isinstance(self._data, bytearray) or self._at * 2 >= len(self._data):
            self._data = bytearray(memoryview(self._data)[self._at :])
            self.moved += len(self._data)
            self._at = 0
        self._data += data

    def next(self) -> str | bytes | Control | None:
        """Return the next message (text as str, binary as bytes), control frame or part of a message; None
        where more bytes are needed. Raises WebSocketViolation, and must not be asked again after that.
        """
        frame = self._frame()
        if frame is None:
            return None
        first, payload = frame
        opcode, final = first & 0x0F, first & 0x80
        if opcode >= CLOSE:
            self.cost += PART_BYTES
            return Control(opcode, payload)
        if opcode:
            self._opcode, self._compressed, self._count = opcode, bool(first & 0x40), 0
        if not (final and opcode):
            self._charge_part(payload)
        if not final:
            if self._parts is None:
                self._parts = bytearray()
            self._parts += payload
            return Control(_CONTINUATION, payload)
        if self._parts is not None:
            self._parts += payload
            payload, self._parts = bytes(self._parts), None
        opcode, self._opcode = self._opcode, 0
        return self._message(opcode, payload)

    def _charge_part(self, payload: bytes) -> None:
        self.cost += max(0, PART_BYTES - len(payload))
        self._count += 1
        most = max(PARTS_MAX, self.limit // LEAST_PART_BYTES)
        if self._count > most:
            raise WebSocketViolation(CloseCode.RATE_LIMITED, f"A message of more than {most} parts")

    def _frame(self) -> tuple[int, bytes] | None:
        """Take the next whole frame; return its first byte and its payload."""
        data, at = self._data, self._at
        left = len(data) - at
        if left < 2:
            return None
        first, size = data[at], data[at + 1] & 0x7F
        if not data[at + 1] & 0x80:
            raise WebSocketViolation(CloseCode.PROTOCOL_ERROR, "A client's frames must be masked")
        begin = at + 6
        if size >= 126:
            begin += 2 if size == 126 else 8
            if left < begin - at - 4:
                return None
            short, size = size, int.from_bytes(data[at + 2 : begin - 4], "big")
            if size < (126 if short == 126 else 65_536):
                raise WebSocketViolation(
                    CloseCode.PROTOCOL_ERROR, "A length must be written in as few bytes as it needs"
                )
            if size >> 63:
                raise WebSocketViolation(CloseCode.PROTOCOL_ERROR, "A length has at most 63 bits")
        self._judge(first, size)
        end = begin + size
        if len(data) < end:
            return None
        payload = data[begin:end]
        key = data[begin - 4 : begin]
        if len(data) == end:
            self._data, self._at = b"", 0
        else:
            self._at = end
        return first, _unmasked(payload, key)

    def _judge(self, first: int, size: int) -> None:
        """Judge a frame by its head."""
        opcode = first & 0x0F
        reason = ""
        if opcode not in _OPCODES:
            reason = f"Unknown opcode {opcode}"
        elif opcode >= CLOSE:
            if not first & 0x80:
                reason = "A control frame must not be fragmented"
            elif size > 125:
                reason = "A control frame holds at most 125 bytes"
        elif (opcode == _CONTINUATION) != bool(self._opcode):
            reason = "The last message is not complete" if opcode else "There is no message to continue"
        # The bit of deflate stands on the first frame of a message, nowhere else (RFC 7692 section 6).
        if first & 0x30 or (first & 0x40 and not (self._deflate and _CONTINUATION < opcode < CLOSE)):
            reason = "A reserved bit is set"
        if reason:
            raise WebSocketViolation(CloseCode.PROTOCOL_ERROR, reason)
        if opcode < CLOSE and size > self.limit - len(self._parts or b""):
            raise self._too_big()

    def _message(self, opcode: int, payload: bytes) -> str | bytes:
        if self._compressed:
            came, payload = len(payload), self._inflated(payload)
            self.cost += max(0, len(payload) - came)
        self.bytes += len(payload)
        if opcode == BINARY:
            return payload
        try:
            return payload.decode()
        except UnicodeDecodeError:
            raise WebSocketViolation(BAD_DATA, "A text must be UTF-8") from None

    def _inflated(self, payload: bytes) -> bytes:
        """Return a compressed message's bytes. What the next one may build on is kept as bytes: an inflater
        would hold 40 KiB for each client.
        """
        parts: list[bytes] = []
        room = self.limit + 1
        rest = payload + _TAIL
        history = self._history
        try:
            for _ in range(STREAMS_MAX):
                stream = zlib.decompressobj(-15, zdict=history) if history else zlib.decompressobj(-15)
                part = stream.decompress(rest, room)
                parts.append(part)
                room -= len(part)
                if room <= 0 or stream.unconsumed_tail:
                    raise self._too_big()
                rest, history = stream.unused_data, b""
                if not rest:
                    return self._remembered(b"".join(parts))
        except zlib.error:
            raise WebSocketViolation(BAD_DATA, "A compressed message can't be inflated") from None
        raise WebSocketViolation(BAD_DATA, f"A compressed message of more than {STREAMS_MAX} streams")

    def _remembered(self, message: bytes) -> bytes:
        """Keep of a message what the next one may build on."""
        most = self._history_max
        if len(message) >= most:
            self._history = message[-most:] if most else b""
        else:
            self._history = (self._history + message)[-most:]
        return message

    def _too_big(self) -> WebSocketViolation:
        return WebSocketViolation(TOO_BIG, f"more than {self.limit} bytes", self.limit)


def _unmasked(payload: bytes | bytearray, key: bytes | bytearray) -> bytes:
    """Return a payload without its mask: one exclusive or of two long numbers."""
    size = len(payload)
    if not any(key):
        return bytes(payload)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")
