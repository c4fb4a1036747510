"""What the core wants done: the shell does it, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a WebSocket. What becomes of it is told with the same ``life``."""

    life: int
    url: str
    subprotocols: tuple[str, ...]
    token: str | None  # for the header Authorization


@dataclass(frozen=True, slots=True)
class FetchToken:
    """Ask the application for a token, and tell it with the same ``life``."""

    life: int
    purpose: Literal["dial", "refresh"]


@dataclass(frozen=True, slots=True)
class Write:
    """Send a text frame on the socket of this ``life``."""

    life: int
    text: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the socket of this ``life``; nothing more is heard of it."""

    life: int
    code: int
    reason: str


Effect = Dial | FetchToken | Write | HangUp
