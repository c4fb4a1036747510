"""Control payloads: what is inside the payloads of a client's JOIN, HISTORY and AUTH.

It raises nothing but ProtocolError and keeps nothing.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from gateway.core.client_messages import ClientMessage
from gateway.core.grants import GRANT_MAX
from warren.errors import ErrorCode, ProtocolError
from warren.position import Position

# What an envelope can carry; no room ever gets there.
SEQ_MAX: Final = 2**63 - 1
TOKEN_MAX: Final = 16_384
PAGE_MAX: Final = 100
PAGE_DEFAULT: Final = 50


class _Since(msgspec.Struct):
    epoch: str
    seq: Annotated[int, msgspec.Meta(ge=0, le=SEQ_MAX)]


class _Join(msgspec.Struct):
    since: _Since | None = None
    grant: Annotated[str, msgspec.Meta(max_length=GRANT_MAX)] | None = None


class _History(msgspec.Struct):
    before: Annotated[int, msgspec.Meta(ge=1, le=SEQ_MAX)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] | None = None


class _Auth(msgspec.Struct):
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=TOKEN_MAX)]


_JOIN_SAYS: Final = (
    'payload: must be {"since": {"epoch": text, "seq": number}, "grant": text}, or be left out; so may each '
    "field"
)

_joins = msgspec.json.Decoder(_Join | None)
_histories = msgspec.json.Decoder(_History | None)
_auths = msgspec.json.Decoder(_Auth)


def since_of(message: ClientMessage) -> Position | None:
    """Return the position that a JOIN gives; None: it gives none. Raises INVALID_MESSAGE where it gives
    something else.
    """
    asked = _join_of(message)
    if asked is None or asked.since is None:
        return None
    position = Position(asked.since.epoch, asked.since.seq)
    if not position.is_valid():
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, _JOIN_SAYS)
    return position


def grant_of(message: ClientMessage) -> str:
    """Return the grant that a JOIN shows; empty where it shows none. Raises INVALID_MESSAGE."""
    asked = _join_of(message)
    return "" if asked is None else asked.grant or ""


def _join_of(message: ClientMessage) -> _Join | None:
    try:
        asked: _Join | None = _joins.decode(b"" if message.binary else message.payload)
    except (ValueError, RecursionError):
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, _JOIN_SAYS) from None
    return asked


def page_of(message: ClientMessage) -> tuple[int, int]:
    """Return (before, limit) of a HISTORY: the ``limit`` last messages before the seq ``before`` (0: before
    now). Raises INVALID_MESSAGE.
    """
    try:
        asked = _histories.decode(b"" if message.binary else message.payload) or _History()
    except (ValueError, RecursionError):
        says = f'payload: must be {{"before": seq, "limit": 1 to {PAGE_MAX}}}; both may be left out'
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, says) from None
    return asked.before or 0, asked.limit or PAGE_DEFAULT


def token_of(message: ClientMessage) -> str:
    """Return the token of an AUTH. Raises INVALID_MESSAGE where there is none; the text never repeats it."""
    try:
        return _auths.decode(b"" if message.binary else message.payload).token
    except (ValueError, RecursionError):
        says = f'payload: must be {{"token": text}}, of at most {TOKEN_MAX} characters'
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, says) from None
