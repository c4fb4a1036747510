"""A client's bytes: whole messages out of any pieces, and every violation by its code."""

from __future__ import annotations

import os
import struct
import zlib

import pytest
from aiohttp import WebSocketError, WSMsgType
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from gateway.core.websocket.frame_parser import STREAMS_MAX, Control, FrameParser, WebSocketViolation
from gateway.core.websocket.frames import BINARY, CLOSE, PING, PONG, TEXT

LIMIT = 70_000
KEY = b"\x37\xfa\x21\x3d"


def masked(payload: bytes, opcode: int = TEXT, *, fin: bool = True, bits: int = 0, key: bytes = KEY) -> bytes:
    """Return one client's frame."""
    size = len(payload)
    head = bytes([0x80 * fin | bits | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65_536:
        head += struct.pack("!BH", 0x80 | 126, size)
    else:
        head += struct.pack("!BQ", 0x80 | 127, size)
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def deflated(payload: bytes, stream: zlib._Compress | None = None) -> bytes:
    stream = stream or zlib.compressobj(wbits=-15)
    return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def read(*pieces: bytes, limit: int = LIMIT, deflate: bool = False, window_bits: int = 15) -> list[object]:
    """Return all that comes out of these pieces, but parts that hold something, a violation as its code."""
    parser = FrameParser(limit, deflate=deflate, window_bits=window_bits)
    out: list[object] = []
    for piece in pieces:
        parser.feed(piece)
        try:
            while (item := parser.next()) is not None:
                if item != Control(0, getattr(item, "payload", b"")) or not item.payload:
                    out.append(item)
        except WebSocketViolation as violation:
            return [*out, violation.code]
    return out


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, LIMIT])
def test_a_message_of_any_length_is_unmasked(size: int):
    """All three spellings of the length, and any mask, also the one of zeros."""
    payload = os.urandom(size)
    for key in (KEY, b"\0\0\0\0", b"\0\0\0\x01"):
        assert read(masked(payload, BINARY, key=key)) == [payload]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([TEXT, BINARY]),
            st.lists(st.text(max_size=200), min_size=1, max_size=4),
            st.sampled_from([b"", masked(b"p", PING), masked(b"", PONG)]),
        ),
        max_size=6,
    ),
    st.lists(st.integers(1, 40), max_size=60),
)
def test_the_pieces_in_which_bytes_come_make_no_difference(
    sent: list[tuple[int, list[str], bytes]], cuts: list[int]
) -> None:
    """Messages in parts, with control frames between them, come out whole and in order however the bytes were
    cut.
    """
    stream, expected = b"", []
    for opcode, parts, between in sent:
        for at, part in enumerate(parts):
            data, last = part.encode(), at == len(parts) - 1
            stream += masked(data, opcode if not at else 0, fin=last)
            if not last:
                if not data:
                    expected.append(Control(0, b""))
                stream += between
                if between:
                    expected.append(Control(between[0] & 0x0F, b"p" if between[0] & 0x0F == PING else b""))
        whole = "".join(parts)
        expected.append(whole if opcode == TEXT else whole.encode())
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(stream[at : at + cut])
        at += cut
    assert read(*(piece for piece in (*pieces, stream[at:]) if piece)) == expected


@settings(deadline=None, max_examples=300)
@given(st.lists(st.binary(max_size=8), max_size=5), st.booleans())
def test_any_bytes_are_read_as_another_implementation_reads_them(parts: list[bytes], deflate: bool) -> None:
    """What is a message, and what breaks the protocol where, is the same for aiohttp's reader, but for masks,
    RSV1 on control frames, and what follows a compressed message that ends in the middle of its stream (which
    goes on in the next one there).
    """
    from asyncio import new_event_loop

    from aiohttp._websocket.reader_py import WebSocketDataQueue, WebSocketReader
    from aiohttp.base_protocol import BaseProtocol

    compressed = [at for at, part in enumerate(parts) if part and part[0] & 0x40]
    for at in compressed[1:] if deflate else ():
        parts[at] = bytes((parts[at][0] & ~0x40,)) + parts[at][1:]
    # Masked frames with any first byte and any payload: the syntax is tried out, not the length.
    stream = b"".join(
        masked(
            part[1:], part[0] & 0x0F, fin=bool(part[0] & 0x80), bits=part[0] & (0x30 if part[0] & 8 else 0x70)
        )
        for part in parts
        if part
    )
    loop = new_event_loop()
    try:
        queue = WebSocketDataQueue(BaseProtocol(loop), 2**20, loop=loop)
        reader = WebSocketReader(queue, LIMIT, deflate, True)
        reader.feed_data(stream)
        theirs: list[object] = []
        for message, _ in queue._buffer:
            theirs.append(
                message.data if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) else message.type.value
            )
        fault = queue.exception()
    finally:
        loop.close()
    ours = [item.opcode if isinstance(item, Control) else item for item in read(stream, deflate=deflate)]
    ours = [item for item in ours if item != 0 or isinstance(item, str)]
    if fault is None:
        assert ours == theirs
    elif isinstance(fault, WebSocketError):
        # A close frame that cannot be one is judged by ``received_code``, where it is answered.
        assert ours[: len(theirs)] == theirs
        assert ours[len(theirs)] in (fault.code, CLOSE)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\x05hello", 1002),  # not masked
        (b"\x81\x00", 1002),
        (masked(b"", 3), 1002),
        (masked(b"", 0xB), 1002),
        (masked(b"x", TEXT, bits=0x40), 1002),
        (masked(b"x", TEXT, bits=0x20), 1002),
        (masked(b"x", PING, bits=0x10), 1002),
        (masked(b"x", PING, fin=False), 1002),
        (masked(b"x" * 126, PING), 1002),
        (masked(b"x", 0), 1002),
        (masked(b"x", TEXT, fin=False) + masked(b"y", TEXT), 1002),
        (masked(b"\xff"), 1007),
        (masked("é".encode()[:1], fin=False) + masked(b"", 0), 1007),
        (masked(b"\xed\xa0\x80"), 1007),  # a surrogate
        (b"\x82\xff" + struct.pack("!Q", LIMIT + 1)[:7], None),  # its length has not come whole
        (b"\x82\xff" + struct.pack("!Q", LIMIT + 1), 1009),
        (b"\x82\xff" + b"\x7f" + b"\xff" * 7 + KEY, 1009),
        (b"\x82\xff" + b"\xff" * 8 + KEY, 1002),  # the top bit of a length is 0
        (b"\x82\xff" + b"\x80" + b"\0" * 7 + KEY, 1002),
        # as few bytes for a length as it needs
        (b"\x82\xfe" + struct.pack("!H", 125), 1002),
        (b"\x82\xfe" + struct.pack("!H", 0), 1002),
        (b"\x82\xff" + struct.pack("!Q", 125), 1002),
        (b"\x82\xff" + struct.pack("!Q", 65_535), 1002),
        (b"\x89\xfe" + struct.pack("!H", 5), 1002),
        (masked(b"x", 0x8, bits=0x40), 1002),
        (masked(b"x" * LIMIT, BINARY, fin=False) + masked(b"y", 0)[:6], 1009),
    ],
)
def test_what_breaks_the_protocol_is_a_violation_with_its_code(sent: bytes, code: int | None):
    """A frame that is not allowed, a text that is none and a message beyond the limit are known as soon as
    they can be.
    """
    assert read(masked(b"first"), sent) == (["first"] if code is None else ["first", code])


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE, 0])
def test_the_bit_of_deflate_stands_on_the_first_frame_of_a_message_alone(opcode: int):
    """On a control frame or a continuation it breaks the protocol, also where deflate was negotiated."""
    begun = masked(b"x", TEXT, fin=False) if not opcode else b""
    assert read(begun + masked(b"", opcode, bits=0x40), deflate=True) == [1002]


def test_one_mask_bit_decides():
    """A frame without a mask is refused by its second byte, before its payload has come."""
    assert read(b"\x81\x7f") == [1002]


def test_compressed_messages_share_a_window():
    """A client may build on what it has sent before; a message that was not compressed may stand between."""
    stream = zlib.compressobj(wbits=-15)
    first, second = deflated(b"hello hello hello", stream), deflated(b"hello hello hello", stream)
    assert len(second) < len(first)
    sent = (
        masked(first, TEXT, bits=0x40)
        + masked(b"plain")
        + masked(second[:3], BINARY, bits=0x40, fin=False)
        + masked(second[3:], 0)
    )
    assert read(sent, deflate=True) == ["hello hello hello", "plain", b"hello hello hello"]


def test_a_compressed_message_may_end_its_stream():
    """A final block is allowed; the next message begins a stream of its own."""
    stream = zlib.compressobj(wbits=-15)
    final = stream.compress(b"whole") + stream.flush(zlib.Z_FINISH) + b"\0"
    assert read(masked(final, bits=0x40) * 3, deflate=True) == ["whole"] * 3


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (deflated(b"x" * (LIMIT + 1)), 1009),
        (deflated(b"x" * LIMIT), None),
        (b"\xff\xff\xff", 1007),
        (b"\x03\x00" * (STREAMS_MAX + 1), 1007),
        (deflated(b"\xff"), 1007),
    ],
)
def test_what_a_compressed_message_may_grow_to_is_bounded(sent: bytes, code: int | None):
    """The limit holds for what comes out, and neither broken data nor a chain of empty streams costs more
    than its bytes.
    """
    assert read(masked(sent, bits=0x40), deflate=True) == ["x" * LIMIT if code is None else code]


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.integers(0, 40).map(lambda word: b"word%d " % word), max_size=400).map(b"".join),
        max_size=12,
    ),
    st.integers(9, 15),
)
def test_a_client_may_build_on_all_of_its_window_and_no_more_is_kept(
    messages: list[bytes], bits: int
) -> None:
    """Whatever the window that was negotiated, one stream over all messages is read; what is kept never
    exceeds it, nor what was sent.
    """
    stream = zlib.compressobj(wbits=-bits)
    parser = FrameParser(LIMIT, deflate=True, window_bits=bits)
    sent = 0
    for message in messages:
        parser.feed(masked(deflated(message, stream), BINARY, bits=0x40))
        assert parser.next() == message
        sent += len(message)
        assert parser.window == min(sent, 2**bits)


def test_a_client_that_keeps_no_context_costs_no_window():
    """With client_no_context_takeover each message stands for itself, and one that does not can't be read."""
    parser = FrameParser(LIMIT, deflate=True, window_bits=0)
    for _ in range(3):
        parser.feed(masked(deflated(b"hello " * 100), bits=0x40))
        assert parser.next() == "hello " * 100
        assert parser.window == 0
    stream = zlib.compressobj(wbits=-15)
    noise = os.urandom(100)
    first, second = deflated(noise, stream), deflated(noise, stream)
    sent = masked(first, BINARY, bits=0x40) + masked(second, BINARY, bits=0x40)
    assert read(sent, deflate=True, window_bits=0) == [noise, 1007]


def test_plain_messages_leave_no_window():
    """Where a client compresses nothing, nothing is kept, though deflate was negotiated."""
    parser = FrameParser(LIMIT, deflate=True)
    parser.feed(masked(b"x" * 1_000))
    assert parser.next() == "x" * 1_000
    assert parser.window == 0


def test_a_client_that_sends_ahead_costs_its_bytes():
    """Nothing is taken apart before it is asked for; ``waiting`` says how much there is, ``bytes`` how much
    was taken.
    """
    parser = FrameParser(LIMIT, deflate=False)
    frame = masked(b"12345678")
    for _ in range(1_000):
        parser.feed(frame)
    assert parser.waiting == 1_000 * len(frame)
    assert parser.next() == "12345678"
    assert (parser.waiting, parser.bytes) == (999 * len(frame), 8)
    parser.feed(frame)
    assert [parser.next() for _ in range(1_001)] == ["12345678"] * 1_000 + [None]
    assert parser.waiting == 0


@pytest.mark.parametrize("chunk", [7, 60, 1_000])
def test_what_is_moved_to_make_place_is_bounded_by_what_came(chunk: int):
    """However small the chunks and however much waits behind a frame that is taken: no byte is moved more
    than twice on the average.
    """
    parser = FrameParser(LIMIT, deflate=False)
    stream = masked(b"") * 20_000
    came = 0
    for at in range(0, len(stream), chunk):
        parser.feed(stream[at : at + chunk])
        came += chunk
        if came > 60_000:
            parser.next()
    assert parser.waiting > 50_000
    assert parser.moved <= 2 * came


def test_each_part_is_shown_and_costs_as_much_as_a_small_message():
    """A part of a byte counts as 1,024; one of that size, and a message in one frame, cost nothing but their
    bytes.
    """
    parser = FrameParser(LIMIT, deflate=False)
    parser.feed(masked(b"a", TEXT, fin=False) + masked(b"b" * 1_024, 0, fin=False) + masked(b"c", 0))
    assert [parser.next(), parser.cost] == [Control(0, b"a"), 1_023]
    assert [parser.next(), parser.cost] == [Control(0, b"b" * 1_024), 1_023]
    assert parser.held == 1 + 1_024 + 7
    assert [parser.next(), parser.cost] == ["a" + "b" * 1_024 + "c", 2_046]
    parser.cost = 0
    parser.feed(masked(b"x") + masked(b"p", PING))
    assert [parser.next(), parser.cost, parser.held] == ["x", 0, 7]
    assert [parser.next(), parser.cost, parser.held] == [Control(PING, b"p"), 1_024, 0]


def test_a_compressed_message_costs_what_it_is_inflated_to():
    """What comes out beyond what came is charged."""
    parser = FrameParser(LIMIT, deflate=True)
    small = deflated(b"x" * LIMIT)
    parser.feed(masked(small, bits=0x40))
    assert parser.next() == "x" * LIMIT
    assert parser.cost == LIMIT - len(small)


@pytest.mark.parametrize(("limit", "most"), [(64, 1_024), (LIMIT, 1_093), (1024 * 1024, 16_384)])
def test_a_message_consists_of_so_many_parts_at_most(limit: int, most: int):
    """One for each 64 bytes of the limit, and 1,024 at least; a MiB in parts of 64 bytes passes."""
    parser = FrameParser(limit, deflate=False)
    part = b"" if limit == 64 else b"x" * (limit // most)
    whole = masked(part, TEXT, fin=False) + masked(part, 0, fin=False) * (most - 2)
    parser.feed(whole + masked(part, 0) + whole + masked(part, 0, fin=False))
    for _ in range(most - 1):
        assert parser.next() == Control(0, part)
    assert parser.next() == (part * most).decode()
    for _ in range(most):
        parser.next()
    parser.feed(masked(b"", 0))
    with pytest.raises(WebSocketViolation, match=f"more than {most} parts") as violation:
        parser.next()
    assert violation.value.code == 4002


def test_parts_without_a_byte_are_shown():
    """They hold nothing that a limit could count, so the caller is told of each; the message
    comes out whole.
    """
    sent = (
        masked(b"", TEXT, fin=False)
        + masked(b"", 0, fin=False)
        + masked(b"ab", 0, fin=False)
        + masked(b"", 0)
    )
    assert read(sent) == [Control(0, b""), Control(0, b""), "ab"]


def test_another_implementations_frames_are_read():
    """What the ``websockets`` package sends as a client comes out as it was put in."""
    frames = [
        Frame(Opcode.TEXT, "grün".encode()),
        Frame(Opcode.BINARY, b"\x00" * 300),
        Frame(Opcode.PING, b"p"),
    ]
    frames.append(Frame(Opcode.CLOSE, Close(1000, "bye").serialize()))
    sent = b"".join(frame.serialize(mask=True) for frame in frames)
    assert read(sent) == ["grün", b"\x00" * 300, Control(PING, b"p"), Control(CLOSE, b"\x03\xe8bye")]
