"""Presence payloads: what is inside the payload of a client's PRESENCE, and what a JOIN asks of presence.

It raises nothing but ProtocolError and keeps nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.core.client_messages import NULL, ClientMessage
from warren.contract.client_frames import JoinPayload, PresenceRequestPayload
from warren.contract.presence import CONTACTS_MAX, INFO_MAX, PRESENCE_PAGE_DEFAULT, PRESENCE_PAGE_MAX
from warren.errors import ErrorCode, ProtocolError
from warren.message_rules import MAX_DEPTH, too_deep

# How deep a member's info stands inside the frames that show it.
INFO_AROUND: Final = 4
_AROUND_INFO = (b"[" * INFO_AROUND, b"]" * INFO_AROUND)


class Watching(msgspec.Struct, frozen=True):
    """What a JOIN asks of presence. ``info`` is what is to be shown of this member (None: it says nothing of
    that, "": nothing); ``digest`` is of what the client has of the room already.
    """

    watch: bool = False
    info: bytes | None = None
    digest: str = ""


class ReadPage(msgspec.Struct, frozen=True):
    """Who is in the room: ``limit`` members behind the key ``after``."""

    limit: int = PRESENCE_PAGE_DEFAULT
    after: str = ""


class ReadCount(msgspec.Struct, frozen=True):
    """How many are in the room."""


class UpdateInfo(msgspec.Struct, frozen=True):
    """What is shown with this member from now on, JSON; empty: nothing."""

    info: bytes


class ChangeContacts(msgspec.Struct, frozen=True):
    """Watch whether these users are connected, and those not any more (None: all)."""

    watch: tuple[str, ...] = ()
    unwatch: tuple[str, ...] | None = ()


class StopWatching(msgspec.Struct, frozen=True):
    """Tell no more of who is in the room."""


Asked = ReadPage | ReadCount | UpdateInfo | ChangeContacts | StopWatching


_joins = msgspec.json.Decoder(JoinPayload | None)
_asked = msgspec.json.Decoder(PresenceRequestPayload | None)
_JOIN_SAYS = (
    'payload: presence must be {"watch": true, "info": JSON, "digest": 16 hex digits}; each may be left out'
)
_ASKED_SAYS = (
    f'payload: must be {{"limit": 1 to {PRESENCE_PAGE_MAX}, "after": text}}, {{"count": true}}, '
    f'{{"update": JSON}}, {{"watch": [1 to {CONTACTS_MAX} users]}} or {{"unwatch": [users] or true}}'
)


def watching_of(message: ClientMessage) -> Watching | None:
    """Return what a JOIN asks of presence; None: nothing. Raises INVALID_MESSAGE where it asks for something
    else.
    """
    try:
        asked = _joins.decode(b"" if message.binary else message.payload)
    except (ValueError, RecursionError):
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, _JOIN_SAYS) from None
    if asked is None or asked.presence is None:
        return None
    said = asked.presence
    info = None if said.info is msgspec.UNSET else _info(bytes(said.info))
    return Watching(said.watch or False, info, said.digest or "")


def asked_of(message: ClientMessage) -> Asked:
    """Return what a PRESENCE asks for. Raises INVALID_MESSAGE where it asks for nothing of ours, or for
    several things.
    """
    try:
        asked = _asked.decode(b"" if message.binary else message.payload) or PresenceRequestPayload()
    except (ValueError, RecursionError):
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, _ASKED_SAYS) from None
    contacts = asked.watch is not None or isinstance(asked.unwatch, tuple)
    found: list[Asked] = []
    if asked.limit is not None or asked.after is not None:
        found.append(ReadPage(asked.limit or PRESENCE_PAGE_DEFAULT, asked.after or ""))
    if asked.count:
        found.append(ReadCount())
    if asked.update is not msgspec.UNSET:
        found.append(UpdateInfo(_info(bytes(asked.update))))
    if contacts:
        unwatch = asked.unwatch if isinstance(asked.unwatch, tuple) else () if not asked.unwatch else None
        found.append(ChangeContacts(asked.watch or (), unwatch))
    elif asked.unwatch:
        found.append(StopWatching())
    if len(found) > 1:
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, _ASKED_SAYS)
    return found[0] if found else ReadPage()


def shown_of(text: bytes) -> bytes | None:
    """Return what is shown of a member for this valid JSON; nothing for null, None where it is too large or
    too deep.
    """
    if text == NULL:
        return b""
    begin, end = _AROUND_INFO
    return None if len(text) > INFO_MAX or too_deep(begin + text + end) else text


def _info(text: bytes) -> bytes:
    """Return what is to be shown of a member; raise where it is more than may be."""
    shown = shown_of(text)
    if shown is None:
        says = f"info: at most {INFO_MAX} bytes of JSON, nested at most {MAX_DEPTH - INFO_AROUND} levels deep"
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, says)
    return shown
