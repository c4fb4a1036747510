"""The upgrade to a WebSocket: what is decided from its headers alone: the answer, the subprotocol, and the
client's address.

Functions of their arguments; none touches a socket, and none logs (an offer may hold a token).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
from collections.abc import Sequence

from aiohttp import HttpVersion, HttpVersion11, hdrs
from multidict import CIMultiDictProxy

from gateway.shell.auth import BEARER, GRANT

# What is kept of a header that backends are shown, in characters.
HEADER_MAX = 4 * 1024

JSON, MSGPACK = "warren.v1", "warren.v1.msgpack"
SPOKEN = (JSON, MSGPACK)

VERSION = "13"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_ONCE = (hdrs.HOST, hdrs.SEC_WEBSOCKET_KEY, hdrs.SEC_WEBSOCKET_VERSION)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class NoWebSocket(Exception):
    """The request asks for no WebSocket, or not in the way of RFC 6455; the text says what is wrong."""


def answer(headers: CIMultiDictProxy[str], version: HttpVersion, subprotocol: str, extensions: str) -> bytes:
    """Return the head of the response that takes an upgrade; ``version`` is the request's, ``subprotocol``
    and ``extensions`` are what was chosen ("": none). Raises NoWebSocket.
    """
    if "websocket" not in _tokens(headers, hdrs.UPGRADE) or "upgrade" not in _tokens(
        headers, hdrs.CONNECTION
    ):
        raise NoWebSocket("This address is for WebSockets only.")
    if version < HttpVersion11:
        raise NoWebSocket(
            "A WebSocket needs HTTP/1.1; a proxy on the way may speak HTTP/1.0 (nginx: proxy_http_version "
            "1.1)."
        )
    if hdrs.TRANSFER_ENCODING in headers or headers.get(hdrs.CONTENT_LENGTH, "").strip("0"):
        raise NoWebSocket("An upgrade has no body: leave out Content-Length and Transfer-Encoding.")
    for name in _ONCE:
        if len(headers.getall(name, ())) > 1:
            raise NoWebSocket(f"The header {name} may stand there only once.")
    if not headers.get(hdrs.HOST):
        raise NoWebSocket("The header Host is missing.")
    if headers.get(hdrs.SEC_WEBSOCKET_VERSION, "").strip() != VERSION:
        raise NoWebSocket(f"The WebSocket version spoken here is {VERSION}.")
    key = headers.get(hdrs.SEC_WEBSOCKET_KEY, "").strip()
    try:
        valid = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        valid = False
    if not valid:
        raise NoWebSocket("Sec-WebSocket-Key must be 16 bytes in base64.")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()  # noqa: S324 - the protocol's own, guards nothing
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    lines.append(f"Sec-WebSocket-Accept: {accept}")
    if subprotocol:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    if extensions:
        lines.append(f"Sec-WebSocket-Extensions: {extensions}")
    return "\r\n".join([*lines, "", ""]).encode()


def _tokens(headers: CIMultiDictProxy[str], name: str) -> set[str]:
    return {token.lower() for token in parse_list(",".join(headers.getall(name, ())))}


def parse_list(header: str) -> list[str]:
    """Return the members of a header's comma-separated list."""
    return [part for piece in header.split(",") if (part := piece.strip())]


def choose_subprotocol(offers: Sequence[str]) -> str | None:
    """Return the first offer that we speak, "" where none but tokens and grants were offered, None where we
    speak none of them.
    """
    named = [offer for offer in offers if not offer.startswith((BEARER, GRANT))]
    if not named:
        return ""
    return next((offer for offer in named if offer in SPOKEN), None)


def client_address(peer: str, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return the client's address: the last one in X-Forwarded-For that is no trusted proxy's; the peer's
    where it is none.

    ``forwarded_for`` are the header's values in their order. What stands before an untrusted address is
    hearsay.
    """
    address = peer
    hops = [hop for value in forwarded_for for hop in parse_list(value)]
    while _is_trusted(address, trusted) and hops:
        hop = _bare(hops.pop())
        if hop is None:
            break
        address = hop
    return address


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    if not trusted:
        return False
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in trusted if network.version == parsed.version)


def _bare(hop: str) -> str | None:
    """Return the address in a hop without its port and brackets, None where there is none."""
    bare = hop.strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return None


def chosen_headers(headers: CIMultiDictProxy[str], names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return those of these headers (names in lower case) that an upgrade has, the values of a repeated one
    with commas between them (RFC 9110 section 5.3), each cut at HEADER_MAX; what is no UTF-8 in them is
    replaced, since a backend is shown text.
    """
    return tuple(
        (name, ", ".join(headers.getall(name))[:HEADER_MAX].encode(errors="replace").decode())
        for name in names
        if name in headers
    )
