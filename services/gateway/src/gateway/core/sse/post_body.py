"""A post's body: a JSON array of ``warren.v1`` frames ▶ the bytes of each; and the secret by which a client
shows that a stream is its own.

Frames are cut out, not read: what is wrong inside one the session says, as of any frame. Nothing is kept.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import msgspec

# A client that has more to say sends another post when this one was taken.
FRAMES_MAX: Final = 256
SAYS: Final = f"The body is to be a JSON array of 1 to {FRAMES_MAX} frames of warren.v1."

_frames = msgspec.json.Decoder(list[msgspec.Raw])


def split(body: bytes) -> list[bytes] | None:
    """Return the frames of a post in their order; None where it is no post."""
    try:
        frames = _frames.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return [bytes(frame) for frame in frames] if 0 < len(frames) <= FRAMES_MAX else None


def digest_of(secret: str) -> bytes:
    """Return what gateways tell each other in place of a secret."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def is_same(digest: bytes, other: bytes) -> bool:
    """Compare two digests in a time that does not depend on them."""
    return hmac.compare_digest(digest, other)
