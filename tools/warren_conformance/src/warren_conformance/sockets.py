"""Sockets: what a scenario needs of the network, as one contract that a real server and one in memory keep.

A listener gives the upgrades that a client asks for; an upgrade is accepted or refused; a socket carries
messages, control frames and the end. Nothing here does any I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol
from urllib.parse import parse_qs, urlsplit

Kind = Literal["message", "ping", "pong", "closed"]


@dataclass(frozen=True)
class Incoming:
    """What a client's socket brought: a whole message, a control frame, or its end (`fault`: how it broke the
    rules of WebSocket).
    """

    kind: Kind
    data: str | bytes = b""
    code: int | None = None
    fault: str = ""


@dataclass(frozen=True)
class Asked:
    """What a client asked for in its upgrade."""

    target: str
    subprotocols: tuple[str, ...] = ()
    extensions: str = ""
    authorization: str = ""
    query: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        found = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        object.__setattr__(self, "query", {name: values[-1] for name, values in found.items()})

    def shown(self, kind: Literal["token", "grant"]) -> str | None:
        """Return the token or the grant that the client shows, wherever it put it."""
        if kind in self.query:
            return self.query[kind]
        if kind == "token" and self.authorization.lower().startswith("bearer "):
            return self.authorization[7:]
        prefix = "bearer." if kind == "token" else "grant."
        found = [each for each in self.subprotocols if each.startswith(prefix)]
        return found[0].removeprefix(prefix) if found else None


class Socket(Protocol):
    """One WebSocket, seen from the server."""

    subprotocol: str
    compressed: bool

    async def receive(self) -> Incoming:
        """Return what came next; after `closed` nothing comes."""

    async def send(self, data: str | bytes) -> None:
        """Send one message. It waits while the client does not read."""

    async def send_fragments(self, parts: Sequence[bytes], *, text: bool, ping: bytes | None = None) -> None:
        """Send one message in several frames, with a WebSocket ping between them."""

    async def ping(self, data: bytes) -> None:
        """Send a WebSocket ping."""

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame."""

    def cut(self) -> None:
        """End the connection without a close frame."""

    def freeze(self) -> None:
        """Read and answer nothing more, and leave the connection open."""


class Upgrade(Protocol):
    """A client that asks for a WebSocket."""

    asked: Asked

    async def accept(self) -> Socket:
        """Switch protocols."""

    async def refuse(self, status: int, reason: str, retry_after_s: int | None = None) -> None:
        """Answer with an error."""


class Listener(Protocol):
    """Where one client under test connects to."""

    url: str

    async def upgrade(self) -> Upgrade:
        """Return the next client that asks for a WebSocket."""

    async def stop_listening(self) -> None:
        """Refuse TCP connections from now on."""

    async def listen(self) -> None:
        """Accept them again, at the same address."""

    async def close(self) -> None:
        """End all connections."""
