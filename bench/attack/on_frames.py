"""Attacks on the frame parser: fragments, control frames, compression and the end of a connection."""

from __future__ import annotations

from bench.attack.frames import CONTINUATION, PING, PONG, TEXT, close, frame, in_parts, in_streams
from bench.attack.message_patterns import WITHIN_RATE_S, flooding, said
from bench.attack.payloads import MIB, chat
from bench.attack.plans import Attack, Plan, Scene, Swarm

TINY = frame(b"{}") * 10_000
TOO_LARGE = b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"abcd"  # the header of a frame
NO_MASK = b"\x81\x01a"


def _endless(_: Scene) -> tuple[Plan, ...]:
    more = frame(b"a", CONTINUATION, final=False) * 60_000
    return flooding(more, once=frame(b"a", TEXT, final=False))


def _compressed(_: Scene) -> tuple[Plan, ...]:
    """A compressed message in fragments of one byte that never ends: nothing is decompressed before it is
    complete.
    """
    more = frame(b"a", CONTINUATION, final=False) * 60_000
    return (
        Swarm(
            1, token="member", deflate=True, once=frame(b"a", TEXT, final=False, compressed=True), again=more
        ),
    )


def _streams(_: Scene) -> tuple[Plan, ...]:
    return (
        Swarm(200, token="member", deflate=True, again=in_streams(chat(b'"a"'), 15), every=WITHIN_RATE_S),
    )


def _too_far(_: Scene) -> tuple[Plan, ...]:
    """Compressed messages that are too large after decompression."""
    return (Swarm(20, deflate=True, once=said(b"x" * (8 * MIB)), returns=0.0),)


def _within(_: Scene) -> tuple[Plan, ...]:
    return (Swarm(100, token="member", again=frame(b"p" * 125, PING) * 9, every=0.1),)


ATTACKS: tuple[Attack, ...] = (
    Attack(
        "parts-one-byte",
        "parts",
        "a member: messages in parts of one byte",
        lambda _: flooding(in_parts(b"a" * 60_000, 1)),
    ),
    Attack(
        "parts-one-byte-strangers",
        "parts",
        "four strangers: the same",
        lambda _: flooding(in_parts(b"a" * 60_000, 1), member=False, connections=4),
    ),
    Attack("parts-endless", "parts", "a member: a message of such parts that never ends", _endless),
    Attack(
        "parts-two-bytes",
        "parts",
        "four members: parts of two bytes",
        lambda _: flooding(in_parts(b"ab" * 40_000, 2), connections=4),
    ),
    Attack(
        "parts-empty",
        "parts",
        "a member: parts without a byte",
        lambda _: flooding(in_parts(b"a" * 30_000, 0)),
    ),
    Attack(
        "parts-pings",
        "parts",
        "a member: a ping after each part of one byte",
        lambda _: flooding(in_parts(b"a" * 20_000, 1, between=frame(b"", PING))),
    ),
    Attack(
        "parts-compressed",
        "parts",
        "a member: a compressed message in parts of one byte that never ends",
        _compressed,
    ),
    Attack("streams", "parts", "200 members: compressed messages of 15 empty streams", _streams),
    Attack("inflated-too-large", "parts", "20 strangers: 8 kB that inflate to 8 MiB", _too_far),
    Attack("pings", "controls", "a member: empty pings", lambda _: flooding(frame(b"", PING) * 10_000)),
    Attack(
        "pings-125",
        "controls",
        "a member: pings of 125 bytes",
        lambda _: flooding(frame(b"p" * 125, PING) * 2_000),
    ),
    Attack(
        "pings-within", "controls", "100 members: 90 pings a second each, fewer than are allowed", _within
    ),
    Attack(
        "pongs",
        "controls",
        "a member: pongs that nobody asked for",
        lambda _: flooding(frame(b"", PONG) * 10_000),
    ),
    Attack("tiny", "controls", "a member: messages of two bytes", lambda _: flooding(TINY)),
    Attack(
        "tiny-strangers",
        "controls",
        "four strangers: the same",
        lambda _: flooding(TINY, member=False, connections=4),
    ),
    Attack(
        "invalid",
        "controls",
        "four members: what is no JSON",
        lambda _: flooding(frame(b"{") * 10_000, connections=4),
    ),
    Attack(
        "on-after-4002",
        "closing",
        "four members go on sending after they were closed for sending too fast",
        lambda _: flooding(TINY, connections=4, deaf_after=True),
    ),
    Attack(
        "on-after-close",
        "closing",
        "four members: a close frame, then messages",
        lambda _: flooding(TINY, connections=4, deaf_after=True, once=close()),
    ),
    Attack(
        "on-after-breach",
        "closing",
        "four strangers: a frame without a mask, then as many bytes as are taken",
        lambda _: flooding(b"x" * MIB, connections=4, member=False, deaf_after=True, once=NO_MASK),
    ),
    Attack(
        "on-after-1009",
        "closing",
        "four members: a message that is too large, then as many bytes as are taken",
        lambda _: flooding(b"x" * MIB, connections=4, deaf_after=True, once=TOO_LARGE),
    ),
    Attack(
        "close-codes",
        "closing",
        "20 strangers: close frames with a code that may not be sent",
        lambda _: (Swarm(20, once=close(1006), returns=0.05),),
    ),
)
