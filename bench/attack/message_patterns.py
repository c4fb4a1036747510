"""How an attack's messages are sent: by whom, how often, and whether compressed. The vocabulary of the attack
tables. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.attack import payloads
from bench.attack.frames import BINARY, TEXT, deflated, frame
from bench.attack.plans import Plan, Scene, Swarm

LARGE = payloads.MIB - 300  # the payload of the largest legal message, with room for the other fields
WITHIN_RATE_S = 0.25  # four a second; five are allowed

Make = Callable[[int], bytes]
Plans = Callable[[Scene], tuple[Plan, ...]]


def says(make: Make) -> str:
    """Return a description of a payload."""
    text = (make.__doc__ or "").removeprefix("Return ").partition(".")[0]
    return text[:1].lower() + text[1:]


def said(message: bytes, *, packed: bool = False) -> bytes:
    """Return a message as one compressed frame: little to receive, much to parse."""
    return deflated(message, BINARY if packed else TEXT)


def by_strangers(message: bytes, *, packed: bool = False, connections: int = 4) -> tuple[Plan, ...]:
    """Sent by unauthenticated clients, once for each connection: they are closed for it and reconnect."""
    return (Swarm(connections, packed=packed, deflate=True, once=said(message, packed=packed)),)


def by_members(message: bytes, *, packed: bool = False, connections: int = 4) -> tuple[Plan, ...]:
    """Sent by members again and again, within their rate."""
    sent = said(message, packed=packed)
    return (
        Swarm(
            connections,
            token="member",
            packed=packed,
            deflate=True,
            once=sent,
            again=sent,
            every=WITHIN_RATE_S,
        ),
    )


def packed_text(text: str) -> bytes:
    """Return a short text in MessagePack."""
    return bytes((0xA0 | len(text),)) + text.encode()


def packed_command(kind: str, room: str) -> bytes:
    """Return a control frame in MessagePack."""
    return frame(b"\x82\xa4type" + packed_text(kind) + b"\xa4room" + packed_text(room), BINARY)


def listening(room: str, *, packed: bool = False, deflate: bool = False, connections: int = 1) -> Swarm:
    """Members that are in a room and send nothing."""
    join = packed_command("JOIN", room) if packed else frame(payloads.join(room))
    return Swarm(connections, token="member", packed=packed, deflate=deflate, once=join)


def flooding(
    data: bytes, *, connections: int = 1, member: bool = True, deaf_after: bool = False, once: bytes = b""
) -> tuple[Plan, ...]:
    """The same bytes, as fast as they are accepted."""
    return (
        Swarm(connections, token="member" if member else "", once=once, again=data, deaf_after=deaf_after),
    )
