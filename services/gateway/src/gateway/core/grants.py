"""Grants: a backend's leave to join a room, or to connect, signed, so that its client can show it again and
any gateway can check it alone.

A grant is good for one user and one room, or for one who connects; neither stands in it, both are in its
signature (HMAC-SHA-256, RFC 2104). The first key signs, all verify, so keys can be changed without anybody
being asked anew. It owns no clock, and nothing here says what a key is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

import msgspec

from warren.contract.client_frames import CONNECT_GRANT_MAX, GRANT_MAX

# The signature's purpose and form: a key that is used for something else too signs nothing that counts here.
_PURPOSE: Final = "warren.grant.1"
_PURPOSE_CONNECT: Final = "warren.connect.1"
_MAC_BYTES: Final = 32
# What was granted so long after a revocation is taken for earlier too: a gateway stamps the one and a router
# the other, and their clocks may differ; an answer may have been on its way. That costs a question, no more.
SKEW_S: Final = 60

# What a grant is for, in the signature alone: its purpose first.
_Subject = tuple[str | bytes | bool, ...]
_G = TypeVar("_G")


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """What is granted. ``epoch`` is when the backend gave it, and ``until`` to when: seconds since the Unix
    epoch.

    ``publish``: publishing to the room needs no further question either. ``info``: JSON, what others see of
    the member.
    """

    epoch: int
    until: int
    publish: bool = False
    info: bytes = b""


class ConnectGrant(msgspec.Struct, frozen=True, array_like=True):
    """What is granted to who wants to connect: all that a backend has said of it, and the times as in Grant.

    ``user``: the name from then on (empty: as it was). ``rooms`` it may join whatever its token says.
    """

    epoch: int
    until: int
    user: str = ""
    rooms: tuple[str, ...] = ()
    info: bytes = b""


class Holder(NamedTuple):
    """Who may show a connection's grant: whom its token names, or an anonymous client by the name that it
    shows. ``seen`` stands for the claims and headers that the backend was shown.
    """

    name: str
    anonymous: bool
    seen: bytes


class GrantKeys:
    """The keys of an installation."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        """The first one signs, all verify; with none, there are no grants."""
        self._keys = tuple(keys)

    def __bool__(self) -> bool:
        """Say whether there is a key."""
        return bool(self._keys)

    def sign(self, grant: Grant, user: str, room: str) -> str:
        """Return a grant for a user and a room as text; empty where there is no key."""
        return self._sign(_encoder.encode(grant), (_PURPOSE, user, room))

    def check(self, text: str, user: str, room: str, now: float) -> Grant | None:
        """Return the grant where it was signed for this user and this room, and ``now`` (seconds since the
        Unix epoch) is within its time; else None.
        """
        grant: Grant | None = self._check(text, (_PURPOSE, user, room), _grants)
        return grant if grant is not None and now < grant.until else None

    def sign_connect(self, grant: ConnectGrant, holder: Holder) -> str:
        """Return a grant to connect as text; empty where there is no key, or where it is too long to be shown
        beside a token: its holder is asked about again.
        """
        text = self._sign(_encoder.encode(grant), (_PURPOSE_CONNECT, *holder))
        return text if len(text) <= CONNECT_GRANT_MAX else ""

    def check_connect(self, text: str, holder: Holder, now: float) -> ConnectGrant | None:
        """Return the grant where it was signed for this holder, and ``now`` is within its time; else None."""
        grant: ConnectGrant | None = self._check(text, (_PURPOSE_CONNECT, *holder), _connect_grants)
        return grant if grant is not None and now < grant.until else None

    def _sign(self, body: bytes, subject: _Subject) -> str:
        if not self._keys:
            return ""
        return f"{_spell(body)}.{_spell(_mac(self._keys[0], body, subject))}"

    def _check(self, text: str, subject: _Subject, decoder: msgspec.msgpack.Decoder[_G]) -> _G | None:
        # longer ones are not looked at; none that is made here comes near
        if not self._keys or not 0 < len(text) <= GRANT_MAX:
            return None
        head, _, tail = text.partition(".")
        try:
            body, mac = _bytes_of(head), _bytes_of(tail)
        except ValueError:
            return None
        if len(mac) != _MAC_BYTES or not any(
            hmac.compare_digest(mac, _mac(key, body, subject)) for key in self._keys
        ):
            return None
        try:
            return decoder.decode(body)
        except ValueError:  # of another form: a newer Warren's
            return None


def is_void(given_s: int, void_s: int) -> bool:
    """Say whether what was granted at ``given_s`` is void, where all is that was granted before ``void_s`` (s
    since the Unix epoch; 0: nothing was revoked).
    """
    return void_s > 0 and given_s < void_s + SKEW_S


_encoder = msgspec.msgpack.Encoder()
_grants = msgspec.msgpack.Decoder(Grant)
_connect_grants = msgspec.msgpack.Decoder(ConnectGrant)


def _mac(key: bytes, body: bytes, subject: _Subject) -> bytes:
    # One array: no two different subjects have the same bytes.
    signed = _encoder.encode((*subject, body))
    return hmac.digest(key, signed, hashlib.sha256)


def _spell(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes_of(text: str) -> bytes:
    """Return the bytes of base64url without padding, in the one way to write it. Raises ValueError."""
    data = text.encode("ascii")
    found = base64.urlsafe_b64decode(data + b"=" * (-len(data) % 4))
    if _spell(found) != text:
        raise binascii.Error
    return found
