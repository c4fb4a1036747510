"""One message by HTTP: what ``POST /publish`` takes from a client without a connection, and the status of
its answer.

It is a message to a room and nothing else: what has its answer later, or needs a member, needs a connection.
Nothing is kept but how fast each user is.
"""

from __future__ import annotations

from collections import OrderedDict
from http import HTTPStatus
from typing import Final

from gateway.core import codec_json
from gateway.core.client_limits import RateLimits
from gateway.core.client_messages import Acked, Error, error
from warren.errors import CLOSE_ERRORS, CloseCode, ErrorCode, ProtocolError
from warren.message_rules import is_reserved_type
from warren.namespaces import RateLimit

# Users whose rate is remembered; beyond that the one that was heard of longest ago is forgotten.
USERS_MAX: Final = 16_384

_STATUS: Final[dict[str, HTTPStatus]] = {
    ErrorCode.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.FORBIDDEN: HTTPStatus.FORBIDDEN,
    ErrorCode.BLOCKED: HTTPStatus.FORBIDDEN,
    ErrorCode.NOT_JOINED: HTTPStatus.FORBIDDEN,
    ErrorCode.DISCONNECTED: HTTPStatus.FORBIDDEN,
    ErrorCode.REPLACED: HTTPStatus.FORBIDDEN,
    ErrorCode.MESSAGE_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ErrorCode.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.DRAINING: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.TIMEOUT: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def status_of(answer: Acked | Error) -> HTTPStatus:
    """Return the status of the response that holds this answer."""
    if isinstance(answer, Acked):
        return HTTPStatus.OK
    return _STATUS.get(answer.code, HTTPStatus.BAD_REQUEST)


def checked(body: bytes, name: str) -> tuple[bytes, str]:
    """Return a message that can be taken, and its id, which is ``name`` where it has none. Raises
    ProtocolError.
    """
    message = codec_json.decode(body)
    if is_reserved_type(message.type):
        says = f"type: {message.type} needs a connection; without one only messages to a room are taken"
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, says, ref=message.id)
    if not message.room:
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, "room: is missing", ref=message.id)
    if message.receipt:
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, "receipt: comes to a connection", ref=message.id)
    if message.id:
        return body, message.id
    # Of two fields of one name the last one counts.
    return b'%b,"id":"%b"}' % (body.rstrip()[:-1], name.encode()), name


def closed(code: CloseCode, reason: str, ref: str) -> Error:
    """Return the answer where the connection would have been closed."""
    kind = ErrorCode.RATE_LIMITED if code is CloseCode.RATE_LIMITED else CLOSE_ERRORS.get(code)
    return error(kind or ErrorCode.INTERNAL, reason or code.reason, ref)


class UserRateLimits:
    """How fast each user may say something without a connection, where a connection would have a limit."""

    __slots__ = ("_limits", "_rate")

    def __init__(self, rate: RateLimit | None) -> None:
        """``rate`` is that of a connection."""
        self._rate = rate
        self._limits: OrderedDict[str, RateLimits] = OrderedDict()

    def of(self, user: str) -> RateLimits:
        """Return a user's."""
        limits = self._limits.pop(user, None) or RateLimits(self._rate)
        self._limits[user] = limits
        if len(self._limits) > USERS_MAX:
            self._limits.popitem(last=False)
        return limits
