"""Control payloads: what is inside the payloads of a client's JOIN, HISTORY, SEEN and AUTH.

It raises nothing but ProtocolError and keeps nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.core.client_messages import ClientMessage
from warren.contract.client_frames import (
    GRANT_MAX,
    HISTORY_PAGE_DEFAULT,
    HISTORY_PAGE_MAX,
    TOKEN_MAX,
    AuthPayload,
    HistoryRequestPayload,
    JoinPayload,
    SeenRequestPayload,
)
from warren.errors import ErrorCode, ProtocolError
from warren.position import Position

_JOIN_SAYS: Final = (
    'payload: must be {"since": {"epoch": text, "seq": number}, "grant": text}, or be left out; so may each '
    "field"
)

_joins = msgspec.json.Decoder(JoinPayload | None)
_histories = msgspec.json.Decoder(HistoryRequestPayload | None)
_seens = msgspec.json.Decoder(SeenRequestPayload)
_auths = msgspec.json.Decoder(AuthPayload)


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


def _join_of(message: ClientMessage) -> JoinPayload | None:
    try:
        asked: JoinPayload | None = _joins.decode(b"" if message.binary else message.payload)
    except (ValueError, RecursionError):
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, _JOIN_SAYS) from None
    return asked


def page_of(message: ClientMessage) -> tuple[int, int]:
    """Return (before, limit) of a HISTORY: the ``limit`` last messages before the seq ``before`` (0: before
    now). Raises INVALID_MESSAGE.
    """
    try:
        asked = _histories.decode(b"" if message.binary else message.payload) or HistoryRequestPayload()
    except (ValueError, RecursionError):
        says = f'payload: must be {{"before": seq, "limit": 1 to {HISTORY_PAGE_MAX}}}; both may be left out'
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, says) from None
    return asked.before or 0, asked.limit or HISTORY_PAGE_DEFAULT


def seen_of(message: ClientMessage) -> Position:
    """Return up to where a SEEN says that all has been seen. Raises INVALID_MESSAGE where it does not say."""
    try:
        said = _seens.decode(b"" if message.binary else message.payload)
        position = Position(said.epoch, said.seq)
    except (ValueError, RecursionError):
        position = Position("", 0)
    if position.seq < 1 or not position.epoch or not position.is_valid():
        says = 'payload: must be {"epoch": text, "seq": number from 1 on}'
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, says)
    return position


def connect_grant_of(message: ClientMessage) -> str:
    """Return the grant that an AUTH shows beside its token; empty where it shows none. Raises
    INVALID_MESSAGE.
    """
    return _auth_of(message).grant or ""


def token_of(message: ClientMessage) -> str:
    """Return the token of an AUTH. Raises INVALID_MESSAGE where there is none; the text never repeats it."""
    return _auth_of(message).token


def _auth_of(message: ClientMessage) -> AuthPayload:
    try:
        return _auths.decode(b"" if message.binary else message.payload)
    except (ValueError, RecursionError):
        says = (
            f'payload: must be {{"token": text, "grant": text}}, of at most {TOKEN_MAX} and {GRANT_MAX} '
            "characters; the grant may be left out"
        )
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, says) from None
