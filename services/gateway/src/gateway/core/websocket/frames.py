"""WebSocket frames (RFC 6455), built once for each message and variant, and shared by all who get the
message.

A variant is a spelling of the protocol with or without permessage-deflate (RFC 7692, without context
takeover, so that one compressed frame serves everybody); with it in one of two windows, the full one and a
small one that is legal for whatever smaller one a client asks for. Server frames are not masked and never
fragmented. Event streams are one variant more, whose frames are events. This module writes to nobody and
keeps nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from struct import Struct
from typing import Final

from gateway.core import codec_json, codec_msgpack, codec_pusher
from gateway.core.client_messages import Codec, ServerMessage
from gateway.core.sse import events
from warren.delivery_counts import DeliveryCounts
from warren.envelope import Deliver

TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

Chunk = bytes  # inside FrameSet ``bytes`` is a method's name

# How far back a compressed frame may reach, as a power of two; PLAIN: it is not compressed. A client's limit
# is an upper bound, so one small window serves all who ask for less than the full one, down to 8 bits (256
# bytes): zlib makes no raw stream with 8 bits, but with 9 it reaches back 250 bytes at most (deflate.h,
# MAX_DIST: the window less 262 bytes of look-ahead).
Window = int
PLAIN: Final = 0
SMALL_WINDOW: Final = 9
FULL_WINDOW: Final = 15

Variant = int
JSON: Final = 0
JSON_DEFLATE: Final = 1
MSGPACK: Final = 2
MSGPACK_DEFLATE: Final = 3
JSON_SMALL: Final = 4
MSGPACK_SMALL: Final = 5
EVENTS: Final = 6  # no WebSocket: the events of a stream (``core/sse``)
PUSHER: Final = 7
PUSHER_DEFLATE: Final = 8
PUSHER_SMALL: Final = 9
VARIANTS: Final = (
    JSON, JSON_DEFLATE, MSGPACK, MSGPACK_DEFLATE, JSON_SMALL, MSGPACK_SMALL, EVENTS,
    PUSHER, PUSHER_DEFLATE, PUSHER_SMALL,
)  # fmt: skip

# Below this deflate saves less than it costs.
DEFLATE_MIN_BYTES: Final = 128
_DEFLATE_LEVEL: Final = 3

_CODECS: Final[tuple[Codec, Codec, Codec]] = (codec_json, codec_msgpack, codec_pusher)
# By variant: which codec, and in which window.
_SPELLINGS: Final = (0, 0, 1, 1, 0, 1, 0, 2, 2, 2)
_WINDOWS: Final = (
    PLAIN, FULL_WINDOW, PLAIN, FULL_WINDOW, SMALL_WINDOW, SMALL_WINDOW, PLAIN,
    PLAIN, FULL_WINDOW, SMALL_WINDOW,
)  # fmt: skip
_FINAL = 0x80
_COMPRESSED = 0x40
_SHORT = Struct("!BB").pack
_MEDIUM = Struct("!BBH").pack
_LONG = Struct("!BBQ").pack
_CODE = Struct("!H").pack
_REASON_MAX_BYTES = 123


def variant_of(msgpack: bool, window: Window) -> Variant:
    """Return the variant of a connection that negotiated this; any window but PLAIN needs
    ``server_no_context_takeover``.
    """
    if window == SMALL_WINDOW:
        return MSGPACK_SMALL if msgpack else JSON_SMALL
    return 2 * msgpack + (window == FULL_WINDOW)


def pusher_variant(window: Window) -> Variant:
    """Return the variant of a connection that speaks the Pusher protocol and negotiated this."""
    return {PLAIN: PUSHER, FULL_WINDOW: PUSHER_DEFLATE}.get(window, PUSHER_SMALL)


def codec_of(variant: Variant) -> Codec:
    """Return the codec of a variant."""
    return _CODECS[_SPELLINGS[variant]]


def frame(payload: bytes, opcode: int, window: Window = PLAIN) -> bytes:
    """Return one whole frame. With a window it is compressed where that makes it smaller; never for control
    frames.
    """
    head = _FINAL | opcode
    if window and opcode < CLOSE and len(payload) >= DEFLATE_MIN_BYTES:
        compressed = _deflate(payload, window)
        if len(compressed) < len(payload):
            payload = compressed
            head |= _COMPRESSED
    size = len(payload)
    if size < 126:
        return _SHORT(head, size) + payload
    if size < 65_536:
        return _MEDIUM(head, 126, size) + payload
    return _LONG(head, 127, size) + payload


def close(code: int, reason: str = "") -> bytes:
    """Return a close frame, with as much of the reason as fits; code 0: with neither."""
    return frame(_CODE(code) + reason.encode()[:_REASON_MAX_BYTES] if code else b"", CLOSE)


def message_frame(message: ServerMessage, variant: Variant, at_ms: int) -> bytes:
    """Return the frame of a message for one connection; ``at_ms`` is its timestamp, ms since the
    Unix epoch.
    """
    codec = codec_of(variant)
    text = codec.encode(message, at_ms)
    return events.private(message, text) if variant == EVENTS else _of_text(text, codec, variant)


def text_frame(text: bytes, variant: Variant) -> bytes:
    """Return the frame of a text that is spelled already."""
    return frame(text, TEXT, _WINDOWS[variant])


def _of_text(text: bytes, codec: Codec, variant: Variant) -> bytes:
    """Return the frame of what a codec has spelled; nothing where it has no words for it."""
    return frame(text, codec.OPCODE, _WINDOWS[variant]) if text else b""


class FrameSet:
    """A message's frames, each built when the first member needs it."""

    __slots__ = ("_frames", "_texts", "counts", "deliver")

    def __init__(self, deliver: Deliver, counts: DeliveryCounts | None = None) -> None:
        """Build nothing yet. ``counts`` are the message's, where it is counted."""
        self.deliver = deliver
        self.counts = counts
        self._texts: list[Chunk | None] = [None, None, None]
        self._frames: list[Chunk | None] = [None] * len(VARIANTS)

    def bytes(self, variant: Variant) -> Chunk:
        """Return the frame for this variant; the same object each time."""
        built = self._frames[variant]
        if built is None:
            which = _SPELLINGS[variant]
            codec = _CODECS[which]
            text = self._texts[which]
            if text is None:
                text = self._texts[which] = codec.encode_delivery(self.deliver)
            if variant == EVENTS:
                built = events.delivery(self.deliver, text)
            else:
                built = _of_text(text, codec, variant)
            self._frames[variant] = built
        return built


def join(framesets: Sequence[FrameSet], variant: Variant) -> bytes:
    """Return the frames of several messages, one after the other, as one chunk."""
    if len(framesets) == 1:
        return framesets[0].bytes(variant)
    return b"".join([frames.bytes(variant) for frames in framesets])


def _deflate(payload: bytes, window: Window) -> bytes:
    """Return a message's permessage-deflate form: one raw deflate stream of its own, without the tail 00 00
    ff ff.
    """
    stream = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, -window)
    return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
