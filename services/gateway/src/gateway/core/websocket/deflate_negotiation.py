"""Deflate: which offer of permessage-deflate is taken, and how it is answered (RFC 7692 section 7, RFC 6455
section 9.1).

Every legal offer can be kept. It is taken as a whole or not at all: a
parameter that is unknown, twice there, or has no legal value declines it, and the next one is looked at. The
answer names what was offered, never a parameter that the client did not name, but
``server_no_context_takeover``. The work grows with the length of the header, whatever it holds. It compresses
nothing and inflates nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from gateway.core.websocket.frames import FULL_WINDOW, SMALL_WINDOW, Window

EXTENSION: Final = "permessage-deflate"
# What stands behind so many characters is not looked at: no client's offers come near it, and who is not
# known yet may not make us read more.
OFFERS_MAX_CHARS: Final = 4_096
MAX_WINDOW_BITS: Final = 15

# One lexeme: a token, a quoted string (its end may lack), white space, or any other character. Each begins
# where the last one ended, so that nothing is looked at twice.
_LEXEME = re.compile(r"""([!#$%&'*+\-.^_`|~0-9A-Za-z]+)|("(?:[^"\\]|\\.)*"?)|[ \t]+|(.)""", re.DOTALL)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_BITS = re.compile(r"[89]|1[0-5]")

_SERVER_NO_CONTEXT = "server_no_context_takeover"
_CLIENT_NO_CONTEXT = "client_no_context_takeover"
_SERVER_BITS = "server_max_window_bits"
_CLIENT_BITS = "client_max_window_bits"
_NAMES = frozenset({_SERVER_NO_CONTEXT, _CLIENT_NO_CONTEXT, _SERVER_BITS, _CLIENT_BITS})


class Deflate(NamedTuple):
    """An offer that was taken."""

    answer: str  # the value of Sec-WebSocket-Extensions
    window: Window  # of our frames
    # how far back a client's message may reach into those before it, as a power of two; 0: not at all
    client_bits: int


def negotiate(offers: str) -> Deflate | None:
    """Return the first of the offers that can be kept, None where there is none. Several headers are joined
    by commas.
    """
    if EXTENSION not in offers:
        return None
    return next((taken for offer in _offers(offers) if (taken := _take(offer)) is not None), None)


def _take(parameters: list[tuple[str, str | None]]) -> Deflate | None:
    """Return what is made of one offer's parameters."""
    named = dict(parameters)
    if len(named) < len(parameters) or not named.keys() <= _NAMES:
        return None
    if named.get(_SERVER_NO_CONTEXT) is not None or named.get(_CLIENT_NO_CONTEXT) is not None:
        return None  # they have no value
    client, server = named.get(_CLIENT_BITS), named.get(_SERVER_BITS)
    if client is not None and not _BITS.fullmatch(client):
        return None
    if _SERVER_BITS in named and (server is None or not _BITS.fullmatch(server)):
        return None
    window = FULL_WINDOW
    # Each frame of ours stands for itself, since it is shared by all who get the message.
    answer = [EXTENSION, _SERVER_NO_CONTEXT]
    if server is not None:
        # Our frames in the small window keep to any limit, 8 bits too.
        window = FULL_WINDOW if int(server) >= FULL_WINDOW else SMALL_WINDOW
        answer.append(f"{_SERVER_BITS}={server}")
    if _CLIENT_NO_CONTEXT in named:
        answer.append(_CLIENT_NO_CONTEXT)
        return Deflate("; ".join(answer), window, 0)
    # A client that gives no value leaves the size to us, and some that do can't keep to what they are told
    # then: Netty without jzlib sends nothing any more. So only who names a size is held to it.
    if client is not None:
        answer.append(f"{_CLIENT_BITS}={client}")
    return Deflate("; ".join(answer), window, int(client or MAX_WINDOW_BITS))


def _offers(header: str) -> Iterator[list[tuple[str, str | None]]]:
    """Yield the parameters of each well-formed offer of permessage-deflate, in their order; a parameter
    without a value has None.
    """
    members = list(_members(header[:OFFERS_MAX_CHARS]))
    if len(header) > OFFERS_MAX_CHARS:
        members.pop()  # it may have been cut in the middle, and mean something else now
    for lexemes in members:
        # name *( ";" parameter [ "=" value ] )
        if not lexemes or lexemes[0] != EXTENSION:
            continue
        parameters: list[tuple[str, str | None]] = []
        at, size = 1, len(lexemes)
        while at + 1 < size and lexemes[at] == ";" and _TOKEN.fullmatch(lexemes[at + 1]):
            name, value = lexemes[at + 1], None
            at += 2
            if at < size and lexemes[at] == "=":
                value = _value(lexemes[at + 1]) if at + 1 < size else None
                if value is None:
                    break  # left at the "=", so that it is not taken for complete
                at += 2
            parameters.append((name, value))
        if at == size:
            yield parameters


def _members(header: str) -> Iterator[list[str]]:
    """Yield the lexemes of each member of a comma-separated list, white space left out; a comma inside quotes
    ends no member.
    """
    member: list[str] = []
    for found in _LEXEME.finditer(header):
        if found.lastindex is None:
            # White space divides two tokens, which is legal nowhere here: both stand side by side, and the
            # offer does not parse.
            continue
        lexeme = found.group()
        if lexeme == ",":
            yield member
            member = []
        else:
            member.append(lexeme)
    yield member


def _value(lexeme: str) -> str | None:
    """Return a parameter's value out of its quotes, None where it is none: it must be a token also when it
    stands in quotes.
    """
    if lexeme.startswith('"'):
        if len(lexeme) < 2 or not lexeme.endswith('"'):
            return None
        lexeme = _ESCAPE.sub(r"\1", lexeme[1:-1])
    return lexeme if _TOKEN.fullmatch(lexeme) else None
