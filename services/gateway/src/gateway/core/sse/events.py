"""Events: ``warren.v1`` frames as server-sent events (HTML section 9.2), built once for each message and
shared by all who get the message.

An event has one line of data, which is the JSON frame. Where it moves its reader in a room it begins with an
``id:`` that holds that room's place alone: what else stands in a connection's id is added when it is written
(``position_vector.py``). So what is shared knows no connection. No text that comes from anybody can begin a
line: a frame's line breaks, which JSON has between its values only, become blanks. This module writes to
nobody and keeps nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.core.client_messages import Joined, Left, ServerMessage, Welcome
from warren.address import EVERYONE
from warren.envelope import Deliver
from warren.errors import CloseCode
from warren.errors import Reconnect as Advice

# Between a room and where a reader stands there, and within that; no room, user or epoch has it.
BETWEEN: Final = b"~"
# Begins the line of an event that moves its reader; no data line begins so.
ID: Final = b"id: "
# How a connection is left where the backend that decides could not be asked: its reader is to come back.
_UNAVAILABLE: Final = "unavailable"

# A comment: it shows proxies and TCP that the stream lives, and its reader sees nothing of it.
HEARTBEAT: Final = b":\n\n"
# For how long a browser that does not listen to ``close`` stays away where it must not come back, or not with
# this token. It can't be told to stay away for ever.
STAY_AWAY_MS: Final = 3_600_000

_ADVICE: Final = {int(code): code.reconnect for code in CloseCode}
_RECONNECT: Final[dict[Advice, str]] = {"yes": "yes", "no": "no", "fresh token": "token"}


def delivery(deliver: Deliver, text: bytes) -> bytes:
    """Return the event of a message that goes to members; ``text`` is its frame."""
    if not deliver.seq or deliver.room == EVERYONE:  # nobody resumes everyone's room
        return _event(b"", text)
    return _event(_place(deliver.room, deliver.epoch, deliver.seq), text)


def private(message: ServerMessage, text: bytes) -> bytes:
    """Return the event of a message for one connection; ``text`` is its frame."""
    match message:
        case Joined() if message.room != EVERYONE:
            return _event(_place(message.room, message.epoch, message.seq), text)
        case Left() if message.reason != _UNAVAILABLE:
            return _event(b"%b%b%b\n" % (ID, message.room.encode(), BETWEEN), text)
        case Welcome():
            return _event(b"%b%b\n" % (ID, ",".join(message.rooms).encode()), text)
    return _event(b"", text)


def retry(ms: int) -> bytes:
    """Return what has a browser wait for so long before it comes back by itself."""
    return b"retry: %d\n\n" % ms


def close(code: int, reason: str, after_ms: int) -> bytes:
    """Return the last event of a stream; ``after_ms``: when its client may come back, where it may. A browser
    that does not know this event comes back all the same, but late where it should not.
    """
    advice = _ADVICE.get(code, "yes")
    data: dict[str, object] = {"code": code, "reason": reason, "reconnect": _RECONNECT[advice]}
    if advice == "yes":
        data["after_ms"] = after_ms
    wait_ms = after_ms if advice == "yes" else STAY_AWAY_MS
    return b"event: close\nretry: %d\ndata: %b\n\n" % (wait_ms, msgspec.json.encode(data))


def _place(room: str, epoch: str, seq: int) -> bytes:
    return b"%b%b%b%b%b%d\n" % (ID, room.encode(), BETWEEN, epoch.encode(), BETWEEN, seq)


def _event(line: bytes, text: bytes) -> bytes:
    if b"\n" in text or b"\r" in text:
        text = text.translate(_BLANKS)
    return b"%bdata: %b\n\n" % (line, text)


_BLANKS: Final = bytes.maketrans(b"\r\n", b"  ")
