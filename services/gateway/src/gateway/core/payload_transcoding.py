"""Payload transcoding: a payload from MessagePack to the JSON text that it is inside Warren, and back for
those who read MessagePack.

Whatever comes, the work is linear in its bytes and parsers in C do it: what JSON has not (a key that is no
text, a bin, NaN) is refused by the types that the parser is given, while it parses. A key that is no text
must never become one of a dict: clients choose them so that their hashes collide. This module keeps nothing
and knows neither frames nor clients.
"""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, Union

import msgspec
import orjson

from warren.message_rules import outside_strings, too_deep, without_escapes

# A type says what may be inside of what for so many levels, and each one more doubles it. Nearly all payloads
# nest no deeper; deeper ones are parsed in blocks of so many levels.
LEVELS: Final = 8
# Each value on the lower edge of a block costs a call. Where too many lie there, another height of the
# uppermost block puts all edges elsewhere. A payload has no more values than bytes and each lies on the edges
# of one height at most, so more than a quarter of its bytes on those of three heights leave less than that
# for the fourth: no payload is refused for its shape.
_UPPERMOST_LEVELS: Final = (LEVELS, 4, 2, 6)
# Each array and map becomes an object of Python's on the way to MessagePack. Beyond so many a payload stays
# text.
CONTAINERS_MAX: Final = 65_536
# A payload of this size may hold so many that they would set the garbage collector going, over everything
# that the process holds.
_LARGE: Final = 16_384

_BIN: Final = b"\xc4\xc5\xc6"
_FLOAT: Final = b"\xcb"
_ALIKE = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER: Final = b"0" * 19
_LONG_WHOLE_NUMBERS = re.compile(rb"(?<![0-9.eE+\-])-?[0-9]{19,}+(?![.eE])")
# No language's map has maps for keys: that is taken for no MessagePack.
_MAP_AS_KEY: Final = "got `object` - at `key`"
# What the parser's words for a value that does not fit mean. They are its version's business: where it has
# others, the last line holds.
_REASONS: Final = (
    ("at `key`", "a key is no text"),
    ("got `bytes`", "a bin can be the whole payload, not a part of it"),
    ("got `ext`", "it holds an extension type"),
    ("Expected `float`", "JSON has no NaN and no Infinity"),
    ("", "it holds what JSON has not"),
)


class Unfit(Exception):
    """A value that JSON can't hold; the text says what is wrong with it."""


def _nested(levels: int, below: Any) -> Any:
    """Return the type of values that JSON can hold, of so many levels; what is in the lowest of them is of
    the type ``below``.
    """
    largest = sys.float_info.max
    scalar = Union[None, bool, int, Annotated[float, msgspec.Meta(ge=-largest, le=largest)], str]  # noqa: UP007
    kind: Any = below or scalar
    for _ in range(levels):
        # Tuples, since they cost less than lists, and an empty one nothing.
        kind = Union[scalar, tuple[kind, ...], dict[str, kind]]  # noqa: UP007
    return kind


_values = msgspec.msgpack.Decoder(_nested(LEVELS, None))
_uppermost = [msgspec.msgpack.Decoder(_nested(levels, msgspec.Raw)) for levels in _UPPERMOST_LEVELS]
_block = _uppermost[0]
_bins = msgspec.msgpack.Decoder(bytes)
_encoder = msgspec.msgpack.Encoder()


def bin_of(raw: bytes) -> bytes | None:
    """Return the bytes of a MessagePack value that is a bin; None where it is something else. It must be
    whole.
    """
    return _bins.decode(raw) if raw[0] in _BIN else None


def to_json(raw: bytes) -> bytes:
    """Return the JSON text of a MessagePack value that is whole.

    Raises Unfit where JSON can't hold it, ValueError where it is no MessagePack (text that is not UTF-8) or
    nests deeper than MAX_DEPTH.
    """
    if len(raw) < _LARGE:
        return _to_json(raw)
    with _collector_at_rest():
        return _to_json(raw)


def to_msgpack(text: bytes) -> bytes | None:
    """Return the MessagePack of JSON text. None where MessagePack can't hold it (a whole number beyond 64
    bits), or where it would take too long: more than CONTAINERS_MAX arrays and objects.
    """
    if len(text) < _LARGE:
        return _to_msgpack(text)
    if text.count(b"[") + text.count(b"{") > CONTAINERS_MAX:
        return None
    with _collector_at_rest():
        return _to_msgpack(text)


def _to_json(raw: bytes) -> bytes:
    try:
        return orjson.dumps(_values.decode(raw))
    except msgspec.ValidationError:  # deeper, or not JSON's
        pass
    for uppermost in _uppermost:
        text = _by_blocks(raw, uppermost)
        if text is not None:
            return text
    raise AssertionError("more values than bytes")


def _by_blocks(raw: bytes, uppermost: msgspec.msgpack.Decoder[Any]) -> bytes | None:
    """Return the JSON text of a value of any depth. None where very many of its values lie on the lower edges
    of blocks.
    """
    left = len(raw) // 4 + 1
    wrong: list[ValueError] = []

    def block(value: Any, decoder: msgspec.msgpack.Decoder[Any] = _block) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError
        try:
            return decoder.decode(value)
        except ValueError as error:
            wrong.append(error)
            raise

    try:
        text = orjson.dumps(block(raw, uppermost), default=block)
    except (
        TypeError,
        ValueError,
    ):  # a TypeError is orjson's, for whatever went wrong in a block and for what is deeper than it goes
        if left < 0:
            return None
        error = wrong[0] if wrong else ValueError("too deep")
        if isinstance(error, msgspec.ValidationError) and _MAP_AS_KEY not in str(error):
            raise Unfit(_reason(error)) from None
        raise error from None
    if too_deep(text):
        raise ValueError("too deep")
    return text


def _reason(error: msgspec.ValidationError) -> str:
    says = str(error)
    return next(reason for sign, reason in _REASONS if sign in says)


def _to_msgpack(text: bytes) -> bytes | None:
    try:
        # orjson's: it takes as long for one number as for another. It makes a float of a whole number beyond
        # 64 bits.
        packed = _encoder.encode(orjson.loads(text))
    except (ValueError, RecursionError):
        return None
    if _FLOAT in packed and _LONG_NUMBER in text.translate(_ALIKE) and _is_beyond_64_bits(text):
        return None
    return packed


def _is_beyond_64_bits(text: bytes) -> bool:
    numbers = _LONG_WHOLE_NUMBERS.finditer(outside_strings(without_escapes(text)))
    return any(len(found[0]) > 20 or not -(1 << 63) <= int(found[0]) < 1 << 64 for found in numbers)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Keep the garbage collector from running: what is made meanwhile is gone when this ends, by its
    reference counts.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
