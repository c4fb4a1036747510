"""Signatures: HMAC-SHA256 in hex, as servers and clients of Pusher make them, compared in constant
time. It knows no app and keeps no secret.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from hashlib import md5, sha256


def sign(secret: str, text: str | bytes) -> str:
    """Return the signature of a text."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return hmac.new(secret.encode(), raw, sha256).hexdigest()


def holds(secrets: Iterable[str], text: str, signature: str) -> bool:
    """Say whether one of the secrets has signed a text so. All are tried, whichever it is."""
    given = signature.encode("utf-8", "surrogateescape")
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(sign(secret, text).encode(), given)
    return found


def of_channel(socket: str, channel: str, channel_data: str | None = None) -> str:
    """Return what is signed for a subscription."""
    return f"{socket}:{channel}" if channel_data is None else f"{socket}:{channel}:{channel_data}"


def of_user(socket: str, user_data: str) -> str:
    """Return what is signed to sign in."""
    return f"{socket}::user::{user_data}"


def of_request(method: str, path: str, query: Mapping[str, str]) -> str:
    """Return what is signed of a request: its parameters in the order of their names, unescaped, but for the
    signature itself.
    """
    pairs = sorted((name.lower(), value) for name, value in query.items())
    joined = "&".join(f"{name}={value}" for name, value in pairs if name != "auth_signature")
    return f"{method}\n{path}\n{joined}"


def body_md5(body: bytes) -> str:
    """Return the ``body_md5`` of a body: a part of what is signed, and no secret by itself."""
    return md5(body, usedforsecurity=False).hexdigest()
