"""Commands: what is inside the payloads of a client's JOIN and AUTH.

It raises nothing but ProtocolError and keeps nothing. Session calls it.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from gateway.core.messages import ClientMessage
from warren.errors import ErrorCode, ProtocolError
from warren.position import Position

# What an envelope can carry; no room ever gets there.
SEQ_MAX: Final = 2**63 - 1
TOKEN_MAX: Final = 16_384


class _Since(msgspec.Struct):
    epoch: str
    seq: Annotated[int, msgspec.Meta(ge=0, le=SEQ_MAX)]


class _Join(msgspec.Struct):
    since: _Since | None = None


class _Auth(msgspec.Struct):
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=TOKEN_MAX)]


_joins = msgspec.json.Decoder(_Join | None)
_auths = msgspec.json.Decoder(_Auth)


def since_of(message: ClientMessage) -> Position | None:
    """Return the position that a JOIN gives; None: it gives none. Raises INVALID_MESSAGE where it gives something else."""
    says = 'payload: must be {"since": {"epoch": text, "seq": number}}, or be left out'
    try:
        asked = _joins.decode(b"" if message.binary else message.payload)
    except (ValueError, RecursionError):
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, says) from None
    if asked is None or asked.since is None:
        return None
    position = Position(asked.since.epoch, asked.since.seq)
    if not position.is_valid():
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, says)
    return position


def token_of(message: ClientMessage) -> str:
    """Return the token of an AUTH. Raises INVALID_MESSAGE where there is none; the text never repeats it."""
    try:
        return _auths.decode(b"" if message.binary else message.payload).token
    except (ValueError, RecursionError):
        says = f'payload: must be {{"token": text}}, of at most {TOKEN_MAX} characters'
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, says) from None
