"""Payloads and whole messages of a given size that are expensive to check. Pure; nothing here knows about
sockets.

Each is legal unless its name says otherwise, so that the check is measured and not a refusal.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

MIB = 1 << 20
# An integer that contains the bytes of a non-finite number: it misleads whoever searches the bytes for those.
DECEIVER = b"\xcf\x00\x00\xcb\x7f\xf0\x00\x00\x00"


def chat(payload: bytes, room: str = "attack", more: bytes = b"") -> bytes:
    """Return a CHAT in JSON; ``payload`` is JSON text, or pretends to be."""
    return b'{"type":"CHAT","room":"' + room.encode() + b'"' + more + b',"payload":' + payload + b"}"


def packed_chat(payload: bytes, room: str = "attack") -> bytes:
    """Return the same in MessagePack."""
    name = room.encode()
    return b"\x83\xa4type\xa4CHAT\xa4room" + bytes((0xA0 | len(name),)) + name + b"\xa7payload" + payload


def packed_flat(size: int) -> bytes:
    """Return an array of empty arrays and one misleading value."""
    count = size - 5 - len(DECEIVER)
    return b"\xdd" + (count + 1).to_bytes(4, "big") + DECEIVER + b"\x90" * count


def packed_tower(size: int) -> bytes:
    """Return nested arrays, one byte each."""
    return b"\x91" * (size - 1) + b"\x90"


def packed_array(item: bytes, size: int) -> bytes:
    """Return an array of as many copies of one value as fit."""
    count = (size - 5) // len(item)
    return b"\xdd" + count.to_bytes(4, "big") + item * count


def packed_wide_towers(size: int, height: int = 100) -> bytes:
    """Return an array of arrays that are nested as deeply as is allowed."""
    count = size // height
    return b"\xdd" + count.to_bytes(4, "big") + (b"\x91" * (height - 1) + b"\x90") * count


def packed_extensions(size: int) -> bytes:
    """Return an array of values of an extension type that the protocol does not have."""
    return packed_array(b"\xd4\x01\x00", size)


def packed_maps(size: int) -> bytes:
    """Return an array of maps with one key that is not a string."""
    return packed_array(b"\x81\x01\x01", size)


def packed_times(size: int) -> bytes:
    """Return an array of timestamps, MessagePack's own extension type."""
    return packed_array(b"\xd6\xff\x00\x00\x00\x01", size)


def packed_floats(size: int) -> bytes:
    """Return an array of small floats, each of which is long as text."""
    return packed_array(b"\xcb\x01\x23\x45\x67\x89\xab\xcd\xef", size)


def tower(size: int) -> bytes:
    """Return nested brackets."""
    return b"[" * (size // 2) + b"]" * (size // 2)


def wide_towers(size: int, height: int = 100) -> bytes:
    """Return an array of arrays that are nested as deeply as is allowed."""
    one = b"[" * height + b"]" * height
    return b"[" + b",".join([one] * (size // (len(one) + 1))) + b"]"


def flat(size: int) -> bytes:
    """Return an array of empty arrays."""
    return b"[" + b",".join([b"[]"] * (size // 3)) + b"]"


def unterminated(size: int) -> bytes:
    """Return an unterminated string full of escaped quotation marks: not legal."""
    return b'["' + b'\\"' * (size // 2) + b"[" * 200


def unterminated_brackets(size: int) -> bytes:
    """Return the same with brackets in it, which counting brackets mistakes for depth: not legal."""
    return b'["' + b'\\"[' * (size // 3)


def escapes(size: int) -> bytes:
    """Return a legal string of escapes, with enough brackets to be checked closely."""
    return b"[" + b"[]," * 200 + b'"' + b'\\"[' * ((size - 604) // 3) + b'"]'


def surrogates(size: int) -> bytes:
    """Return a string of lone surrogates."""
    return b'"' + b"\\ud83d" * (size // 6) + b'"'


def long_number(size: int) -> bytes:
    """Return one number with so many digits."""
    return b"1" * size


def long_numbers(size: int, digits: int = 4_000) -> bytes:
    """Return an array of numbers that are as long as Python still converts to integers, in quadratic time."""
    return b"[" + b",".join([b"7" * digits] * (size // (digits + 1))) + b"]"


def long_fractions(size: int, digits: int = 700) -> bytes:
    """Return an array of fractions with more digits than a float holds."""
    return b"[" + b",".join([b"0." + b"3" * digits] * (size // (digits + 3))) + b"]"


def keys(size: int) -> bytes:
    """Return an object with as many keys as fit."""
    return b"{" + b",".join(b'"%06x":0' % number for number in range(size // 11)) + b"}"


def same_key(size: int) -> bytes:
    """Return an object that repeats one key."""
    return b"{" + b",".join([b'"a":0'] * (size // 6)) + b"}"


def late_fault(size: int) -> bytes:
    """Return text that turns out not to be JSON at its very end, after deep and wide brackets: not legal."""
    return wide_towers(size - 8)[:-1] + b",nul]"


def fields(size: int) -> bytes:
    """Return a message with as many unknown fields as fit."""
    return b'{"type":"CHAT",' + b",".join(b'"f%06x":0' % number for number in range(size // 12)) + b"}"


def repeated_fields(size: int) -> bytes:
    """Return a message that repeats each field, with another nested payload each time."""
    one = b'"type":"CHAT","room":"attack","payload":' + b"[" * 100 + b"]" * 100
    return b"{" + b",".join([one] * (size // (len(one) + 1))) + b"}"


def wrong_kind(size: int) -> bytes:
    """Return a message whose type is a list, so that the whole message is searched for the reason."""
    return b'{"type":' + flat(size) + b"}"


def join(room: str, since: tuple[str, int] | None = None, ref: str = "") -> bytes:
    """Return a JOIN."""
    message: dict[str, object] = {"type": "JOIN", "room": room}
    if ref:
        message["id"] = ref
    if since is not None:
        message["payload"] = {"since": {"epoch": since[0], "seq": since[1]}}
    return orjson.dumps(message)


# Payloads in JSON and in MessagePack that cost more than their size, by their names in the table.
JSON: dict[str, Callable[[int], bytes]] = {
    "tower": tower,
    "wide-towers": wide_towers,
    "flat": flat,
    "unterminated": unterminated,
    "unterminated-brackets": unterminated_brackets,
    "escapes": escapes,
    "surrogates": surrogates,
    "long-number": long_number,
    "long-numbers": long_numbers,
    "long-fractions": long_fractions,
    "keys": keys,
    "same-key": same_key,
    "late-fault": late_fault,
}
PACKED: dict[str, Callable[[int], bytes]] = {
    "flat": packed_flat,
    "tower": packed_tower,
    "wide-towers": packed_wide_towers,
    "extensions": packed_extensions,
    "maps": packed_maps,
    "times": packed_times,
    "floats": packed_floats,
}
