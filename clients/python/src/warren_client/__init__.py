"""Warren's client for Python: it speaks ``warren.v1`` over a WebSocket, on asyncio and the package
``websockets``.

``connect`` is where to begin; ``warren_client.sync`` is the same without asyncio, ``warren_client.testing``
runs a server for an application's tests, and ``warren_client.wire`` has the frames as types.
"""

from warren_client.errors import (
    ClosedError,
    ConnectError,
    InvalidError,
    LeftError,
    OutboxFullError,
    RefusedError,
    RequestTimeoutError,
    StopConnecting,
    WarrenError,
)
from warren_client.messages import (
    ContactChange,
    Count,
    Dropped,
    Gap,
    Item,
    Limits,
    Member,
    Message,
    Notice,
    Position,
    PresenceChange,
    Receipt,
)
from warren_client.options import Options
from warren_client.shell.client import Client, Contacts, connect
from warren_client.shell.room import Ack, Presence, Room

__all__ = [
    "Ack",
    "Client",
    "ClosedError",
    "ConnectError",
    "ContactChange",
    "Contacts",
    "Count",
    "Dropped",
    "Gap",
    "InvalidError",
    "Item",
    "LeftError",
    "Limits",
    "Member",
    "Message",
    "Notice",
    "Options",
    "OutboxFullError",
    "Position",
    "Presence",
    "PresenceChange",
    "Receipt",
    "RefusedError",
    "RequestTimeoutError",
    "Room",
    "StopConnecting",
    "WarrenError",
    "connect",
]
