"""Tallies: what messages are called in counters, in both directions.

Labels only; they decide nothing and keep nothing. ``connection.py`` counts with them.
"""

from __future__ import annotations

from typing import Final

from gateway.core import actions, messages
from warren.errors import ErrorCode

_OUT: Final[dict[type, str]] = {
    messages.Welcome: "WELCOME",
    messages.Joined: "JOINED",
    messages.Left: "LEFT",
    messages.Acked: "ACK",
    messages.Pong: "PONG",
    messages.History: "HISTORY",
    messages.Dropped: "DROPPED",
    messages.Authenticated: "AUTHENTICATED",
    messages.Degraded: "DEGRADED",
    messages.Restored: "RESTORED",
    messages.Reconnect: "RECONNECT",
    messages.Error: "ERROR",
}
_IN: Final[dict[type, str]] = {
    actions.Join: "JOIN",
    actions.Query: "HISTORY",
    actions.Exit: "LEAVE",
    actions.Authenticate: "AUTH",
}


def name_of(message: messages.ServerMessage) -> str:
    """Return the type of a message to a client."""
    return _OUT[type(message)]


def kind_of(first: actions.Action | None) -> str:
    """Return what a client's message was, by what the session asked for first."""
    match first:
        case actions.Publish():
            return first.envelope.type
        case actions.Send(messages.Pong()):
            return "PING"
        case actions.Send(messages.Error(code=ErrorCode.INVALID_FORMAT)):
            return "unreadable"
        case _:
            return _IN.get(type(first), "refused")
