"""Tallies: what messages are called in counters, in both directions.

Labels only; they decide nothing and keep nothing. ``connection.py`` counts with them.
"""

from __future__ import annotations

from typing import Final

from gateway.core import actions, client_messages
from warren.errors import ErrorCode

_OUT: Final[dict[type, str]] = {
    client_messages.Welcome: "WELCOME",
    client_messages.Joined: "JOINED",
    client_messages.Left: "LEFT",
    client_messages.Acked: "ACK",
    client_messages.Pong: "PONG",
    client_messages.History: "HISTORY",
    client_messages.Dropped: "DROPPED",
    client_messages.Authenticated: "AUTHENTICATED",
    client_messages.Degraded: "DEGRADED",
    client_messages.Restored: "RESTORED",
    client_messages.Reconnect: "RECONNECT",
    client_messages.Error: "ERROR",
}
_IN: Final[dict[type, str]] = {
    actions.Join: "JOIN",
    actions.Query: "HISTORY",
    actions.Exit: "LEAVE",
    actions.Authenticate: "AUTH",
}


def name_of(message: client_messages.ServerMessage) -> str:
    """Return the type of a message to a client."""
    return _OUT[type(message)]


def kind_of(first: actions.Action | None) -> str:
    """Return what a client's message was, by what the session asked for first."""
    match first:
        case actions.Publish():
            return first.envelope.type
        case actions.Send(client_messages.Pong()):
            return "PING"
        case actions.Send(client_messages.Error(code=ErrorCode.INVALID_FORMAT)):
            return "unreadable"
        case _:
            return _IN.get(type(first), "refused")
