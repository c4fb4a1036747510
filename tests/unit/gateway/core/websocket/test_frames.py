"""frames: RFC 6455 and RFC 7692 to the byte, read back by another implementation."""

import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame
from websockets.streams import StreamReader

from gateway.core import codec_json, codec_msgpack
from gateway.core.client_messages import Degraded, Left
from gateway.core.sse import events
from gateway.core.websocket import frames
from gateway.core.websocket.frames import (
    BINARY,
    DEFLATE_MIN_BYTES,
    EVENTS,
    FULL_WINDOW,
    JSON,
    JSON_DEFLATE,
    JSON_SMALL,
    MSGPACK,
    MSGPACK_DEFLATE,
    MSGPACK_SMALL,
    PING,
    PLAIN,
    SMALL_WINDOW,
    TEXT,
    VARIANTS,
    FrameSet,
    codec_of,
    frame,
    join,
    message_frame,
    variant_of,
)
from warren.envelope import Deliver


def read(data: bytes, deflate: bool = False, bits: int = 15) -> list[Frame]:
    """Return the frames that the library ``websockets`` reads from bytes, with one extension for
    all of them.
    """
    stream = StreamReader()
    stream.feed_data(data)
    extensions = [PerMessageDeflate(True, False, bits, 15)] if deflate else []
    found = []
    while stream.buffer:
        parser = Frame.parse(stream.read_exact, mask=False, extensions=extensions)
        try:
            next(parser)
        except StopIteration as end:
            found.append(end.value)
    return found


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, "8100"),
        (5, "8105"),
        (125, "817d"),
        (126, "817e007e"),
        (65_535, "817effff"),
        (65_536, "817f0000000000010000"),
    ],
)
def test_a_frame_begins_with_the_shortest_form_of_its_length(size, head):
    """7, 16 or 64 bits; FIN set, no mask."""
    assert frame(b"x" * size, TEXT) == bytes.fromhex(head) + b"x" * size


def test_a_small_payload_is_not_compressed():
    """It would not pay."""
    payload = b"a" * (DEFLATE_MIN_BYTES - 1)
    assert frame(payload, TEXT, FULL_WINDOW) == frame(payload, TEXT)


def test_a_payload_that_does_not_get_smaller_is_not_compressed():
    """Bytes without a pattern go as they are, without RSV1."""
    noise = hashlib.shake_128(b"noise").digest(1_000)
    assert frame(noise, BINARY, FULL_WINDOW) == frame(noise, BINARY)


def test_a_control_frame_is_never_compressed():
    """RFC 7692 forbids it."""
    assert frame(b"a" * 125, PING, FULL_WINDOW) == b"\x89\x7d" + b"a" * 125


def test_a_compressed_frame_has_rsv1_and_no_tail():
    """Exactly what RFC 7692 section 7.2.1 says."""
    payload = b"hello " * 100
    made = frame(payload, TEXT, FULL_WINDOW)
    assert made[0] == 0xC1
    assert not made.endswith(b"\x00\x00\xff\xff")
    assert zlib.decompressobj(-15).decompress(made[2:] + b"\x00\x00\xff\xff") == payload


@given(st.lists(st.binary(max_size=400).map(lambda part: part * 3), max_size=5))
def test_compressed_frames_are_read_one_after_another_by_one_extension(payloads):
    """Each stands on its own, so any member can read it, wherever it came in."""
    found = read(b"".join(frame(payload, BINARY, FULL_WINDOW) for payload in payloads), deflate=True)
    assert [bytes(one.data) for one in found] == payloads


DELIVER = Deliver(
    "chat:lobby", "19ab-1", 13, "CHAT", b'{"text":"' + b"hello " * 50 + b'"}', 1_764_000_000_123_999
)


def test_a_streams_variant_is_an_event_of_the_same_text():
    """Messages for one connection too; it costs the others nothing."""
    made = FrameSet(DELIVER)
    text = codec_of(EVENTS).encode_delivery(DELIVER)
    assert made.bytes(EVENTS) == events.delivery(DELIVER, text)
    assert join([made, made], EVENTS) == 2 * made.bytes(EVENTS)
    assert message_frame(Left("a"), EVENTS, 5) == events.private(
        Left("a"), codec_of(EVENTS).encode(Left("a"), 5)
    )


def test_a_frameset_has_each_variant_once():
    """The same object comes back, and no variant is another."""
    made = FrameSet(DELIVER)
    assert all(made.bytes(variant) is made.bytes(variant) for variant in VARIANTS)
    assert len({made.bytes(variant) for variant in VARIANTS}) == len(VARIANTS)


@pytest.mark.parametrize(
    ("variant", "opcode", "text"),
    [
        (JSON, TEXT, codec_json.encode_delivery(DELIVER)),
        (JSON_DEFLATE, TEXT, codec_json.encode_delivery(DELIVER)),
        (MSGPACK, BINARY, codec_msgpack.encode_delivery(DELIVER)),
        (MSGPACK_DEFLATE, BINARY, codec_msgpack.encode_delivery(DELIVER)),
        (JSON_SMALL, TEXT, codec_json.encode_delivery(DELIVER)),
        (MSGPACK_SMALL, BINARY, codec_msgpack.encode_delivery(DELIVER)),
    ],
)
def test_a_variant_is_a_spelling_with_or_without_deflate(variant, opcode, text):
    """Another implementation reads the codec's bytes from it."""
    small = variant in (JSON_SMALL, MSGPACK_SMALL)
    deflate = small or variant in (JSON_DEFLATE, MSGPACK_DEFLATE)
    frame = FrameSet(DELIVER).bytes(variant)
    assert bool(frame[0] & 0x40) is deflate
    (found,) = read(frame, deflate, 9 if small else 15)
    assert (found.opcode, bytes(found.data), found.fin, found.rsv1) == (opcode, text, True, False)


def test_joined_frames_are_read_as_the_messages_that_they_are():
    """In their order; a single one is not copied."""
    sets = [FrameSet(DELIVER), FrameSet(DELIVER), FrameSet(DELIVER)]
    assert join(sets[:1], JSON) is sets[0].bytes(JSON)
    assert len(read(join(sets, JSON_DEFLATE), deflate=True)) == 3


def test_a_variant_is_made_of_what_was_negotiated():
    """Spelling and window."""
    made = [
        variant_of(msgpack, window)
        for window in (PLAIN, FULL_WINDOW, SMALL_WINDOW)
        for msgpack in (False, True)
    ]
    assert made == [JSON, MSGPACK, JSON_DEFLATE, MSGPACK_DEFLATE, JSON_SMALL, MSGPACK_SMALL]
    assert [codec_of(variant) for variant in made] == [codec_json, codec_msgpack] * 3


def inflated_bytewise(frame: bytes, bits: int) -> bytes:
    """Return a compressed frame's payload, read by an inflater that keeps ``2 ** bits`` bytes and no more."""
    begin = 2 if frame[1] < 126 else 4
    inflater, data, out = zlib.decompressobj(-bits), frame[begin:] + b"\x00\x00\xff\xff", b""
    while data:
        out += inflater.decompress(data, 1)
        data = inflater.unconsumed_tail
    return out + inflater.flush()


WORDS = st.lists(st.integers(0, 60).map(lambda word: b"word%d " % word), min_size=50, max_size=2_000).map(
    b"".join
)
# What zlib would like to reach back for, at each distance about the limit.
REPEATS = st.tuples(st.binary(min_size=200, max_size=700), st.integers(3, 8)).map(
    lambda each: each[0] * each[1]
)


@given(WORDS | REPEATS)
def test_a_small_window_is_legal_for_whoever_asked_for_less_than_the_full_one(payload: bytes):
    """It reaches back no further than 256 bytes, however large the message is: an inflater with no more than
    that, the least that a client can ask for, reads it byte by byte.
    """
    made = frame(payload, TEXT, SMALL_WINDOW)
    if made[0] == 0xC1:  # else it got no smaller
        assert inflated_bytewise(made, 8) == payload


def test_a_distance_beyond_the_window_would_be_seen():
    """The reader above refuses a stream that reaches back further."""
    payload = hashlib.shake_256(b"noise").digest(400) * 5
    made = frame(payload, TEXT, FULL_WINDOW)
    assert inflated_bytewise(made, 15) == payload
    with pytest.raises(zlib.error, match="too far back"):
        inflated_bytewise(made, 8)


def test_a_message_for_one_connection_is_framed_in_its_variant():
    """JSON as text, MessagePack as binary."""
    assert message_frame(Degraded(), JSON, 5) == frame(codec_json.encode(Degraded(), 5), TEXT)
    assert message_frame(Degraded(), MSGPACK, 5) == frames.frame(codec_msgpack.encode(Degraded(), 5), BINARY)


def test_a_close_frame_has_its_code_and_as_much_of_the_reason_as_fits():
    """A control frame holds 125 bytes at most, two of them the code; without a code it is empty."""
    assert frames.close(4002, "Rate limit exceeded") == b"\x88\x15\x0f\xa2Rate limit exceeded"
    assert len(frames.close(4002, "x" * 500)) == 2 + 125
    assert frames.close(0) == b"\x88\x00"
