"""Pusher frames: what clients of the Pusher protocol send ▶ what they want, and what is said to them alone.

``data`` may be JSON or JSON in text, as clients differ. It raises nothing but ProtocolError and keeps
nothing.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from gateway.core.codec_pusher import spell
from warren.errors import ErrorCode, ProtocolError
from warren.message_rules import too_deep
from warren.pusher.channels import CHANNEL_RULE, USER_CHANNEL, is_channel

PING: Final = "pusher:ping"
PONG: Final = "pusher:pong"
SUBSCRIBE: Final = "pusher:subscribe"
UNSUBSCRIBE: Final = "pusher:unsubscribe"
SIGN_IN: Final = "pusher:signin"

# Pusher's own bounds.
USER_ID_MAX: Final = 128
USER_INFO_MAX: Final = 1_024

T = TypeVar("T")
_encode: Final = msgspec.json.Encoder().encode


class Said(msgspec.Struct):
    """One frame of a client; ``data`` is JSON as it stands, empty where there is none."""

    event: str
    data: msgspec.Raw = msgspec.Raw()
    channel: str | None = None


class Subscribe(msgspec.Struct):
    """What a client wants to subscribe to."""

    channel: str
    auth: str | None = None
    channel_data: str | None = None


class Unsubscribe(msgspec.Struct):
    """What a client wants no more."""

    channel: str


class SignIn(msgspec.Struct):
    """As whom a client wants to be known."""

    auth: str
    user_data: str


class MemberData(msgspec.Struct):
    """Who is in a presence channel: the parsed ``channel_data``."""

    user_id: str | int
    user_info: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class UserData(msgspec.Struct):
    """Who signs in: the parsed ``user_data``."""

    id: str | int


_said: Final = msgspec.json.Decoder(Said)
_text: Final = msgspec.json.Decoder(str)


def decode(data: str | bytes) -> Said:
    """Return what a frame says. Raises INVALID_FORMAT where it is no frame of the protocol."""
    try:
        said = _said.decode(data if isinstance(data, str) else data.decode())
        if too_deep(bytes(said.data)):
            raise ValueError
    except (ValueError, RecursionError):  # the parent of msgspec's, and of UnicodeError
        says = 'Not a frame of the Pusher protocol: {"event": text, "data": …, "channel": text}'
        raise ProtocolError(ErrorCode.INVALID_FORMAT, says) from None
    return said


def text_of(said: Said) -> str:
    """Return a frame's data as text: what its text holds, or its JSON as it stands."""
    raw = bytes(said.data) or b"null"
    try:
        return _text.decode(raw) if raw.lstrip()[:1] == b'"' else raw.decode()
    except ValueError:
        raise ProtocolError(ErrorCode.INVALID_FORMAT, "data: is no text in UTF-8") from None


def data_of(said: Said, kind: type[T]) -> T:
    """Return what a frame's data holds. Raises INVALID_MESSAGE, which names the field that is wrong."""
    try:
        found = msgspec.json.decode(text_of(said), type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, f"{said.event}: data: {_reason(error)}") from None
    return found


def member_of(channel_data: str) -> tuple[str, bytes]:
    """Return who is to be in a presence channel, and what is shown of them (JSON; empty: nothing). Raises
    INVALID_MESSAGE.
    """
    try:
        found = msgspec.json.decode(channel_data, type=MemberData)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, f"channel_data: {_reason(error)}") from None
    ident, info = str(found.user_id), found.user_info
    if not 0 < len(ident) <= USER_ID_MAX:
        raise ProtocolError(
            ErrorCode.INVALID_MESSAGE, f"channel_data: user_id has 1 to {USER_ID_MAX} characters"
        )
    shown = b"" if info is msgspec.UNSET else bytes(info)
    shown = b"" if shown == b"null" else shown
    if len(shown) > USER_INFO_MAX or too_deep(b"[[[[" + shown):
        raise ProtocolError(
            ErrorCode.INVALID_MESSAGE, f"channel_data: user_info has at most {USER_INFO_MAX} bytes"
        )
    return ident, shown


def user_of(user_data: str) -> str:
    """Return the id of who signs in. Raises INVALID_MESSAGE."""
    try:
        found = msgspec.json.decode(user_data, type=UserData)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, f"user_data: {_reason(error)}") from None
    return str(found.id)


def check_channel(name: str) -> None:
    """Raise INVALID_ROOM where no channel may be called so, nor a user's own one."""
    if not is_channel(name) and not name.startswith(USER_CHANNEL):
        raise ProtocolError(ErrorCode.INVALID_ROOM, f"Invalid channel name: {CHANNEL_RULE}")


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, msgspec.ValidationError) else "is not JSON"


# ── what is said to one client ──────────────────────────────────────────────────────────────────────────────


def established(socket: str, activity_timeout_s: int) -> bytes:
    """Return the first frame."""
    told = {"socket_id": socket, "activity_timeout": activity_timeout_s}
    return spell("pusher:connection_established", _json(told))


def pong() -> bytes:
    """Return the answer to a ping."""
    return spell(PONG, "{}")


def error(message: str, code: int | None = None) -> bytes:
    """Return what says that something was refused; its data is JSON, as clients have it of Pusher."""
    return _encode({"event": "pusher:error", "data": {"code": code, "message": message}})


def subscribed(channel: str, data: str = "{}") -> bytes:
    """Return what says that a subscription holds."""
    return spell("pusher_internal:subscription_succeeded", data, channel)


def not_subscribed(channel: str, kind: str, message: str, status: int) -> bytes:
    """Return what says that a subscription was refused."""
    told = {"type": kind, "error": message, "status": status}
    return spell("pusher:subscription_error", _json(told), channel)


def cache_miss(channel: str) -> bytes:
    """Return what says that a cache channel has no last event."""
    return spell("pusher:cache_miss", "{}", channel)


def signed_in(user_data: str) -> bytes:
    """Return what says that a client is known by its user."""
    return spell("pusher:signin_success", _json({"user_data": user_data}))


def _json(value: Any) -> str:
    return _encode(value).decode()
