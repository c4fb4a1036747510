"""Keys: what a token's signature is checked with. A shared secret, a public key, and a JWK set that rotates.

Every key is bound to the algorithms of its own family, so a token can never choose to have a public key read as a secret. A JWK
set comes from a URL or a file, is fetched by one task at a time, and a fetch that fails keeps the keys there are. It never
sees a token; ``auth.py`` calls it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from jwt import PyJWK, PyJWTError

from warren.clock import Clock
from warren.errors import SettingsError
from warren.logs import event, get_logger

MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_KEYS = 256
MIN_SECRET_BYTES = 32
FETCH_TIMEOUT_S = 5.0
ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")

Fetch = Callable[[str], Awaitable[bytes]]

_log = get_logger("gateway.keys")


@dataclass(frozen=True, slots=True)
class Key:
    """A key, the one algorithm it is good for, and its id in a set ("" where it stands alone)."""

    material: Any
    algorithm: str
    kid: str = ""


def secret_key(secret: str) -> Key:
    """Return a shared secret's key. Raises SettingsError where it is too short to be one."""
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise SettingsError(
            [f"WARREN_GATEWAY_JWT_SECRET is shorter than {MIN_SECRET_BYTES} bytes: use a longer random one"]
        )
    return Key(secret.encode(), "HS256")


def public_key(pem: str) -> Key:
    """Return the key of a PEM public key or certificate. Raises SettingsError where it is none that we can use."""
    data = pem.encode()
    try:
        found = (
            load_pem_x509_certificate(data).public_key() if b"BEGIN CERTIFICATE" in data else load_pem_public_key(data)
        )
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingsError([f"WARREN_GATEWAY_JWT_PUBLIC_KEY is no PEM public key: {error}"]) from None
    match found:
        case RSAPublicKey():
            return Key(found, "RS256")
        case EllipticCurvePublicKey() if isinstance(found.curve, SECP256R1):
            return Key(found, "ES256")
        case Ed25519PublicKey():
            return Key(found, "EdDSA")
    raise SettingsError(["WARREN_GATEWAY_JWT_PUBLIC_KEY: only RSA, P-256 and Ed25519 keys are known"])


def parse_jwks(document: bytes) -> list[Key]:
    """Return the usable keys of a JWK set; what it holds besides (other uses, other families) is passed over.

    Raises ValueError where it is no JWK set, or none of its keys can be used.
    """
    parsed = orjson.loads(document)
    entries = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(entries, list):
        raise ValueError('no JWK set: it has no list "keys"')
    keys = [key for entry in entries[:MAX_KEYS] if (key := _jwk(entry)) is not None]
    if not keys:
        raise ValueError("the JWK set has no key that can be used")
    return keys


def _jwk(entry: object) -> Key | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    try:
        jwk = PyJWK.from_dict(entry)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    kid = entry.get("kid", "")
    if jwk.algorithm_name not in ALGORITHMS or not isinstance(kid, str):
        return None
    return Key(jwk.key, jwk.algorithm_name, kid)


async def fetch_document(source: str) -> bytes:
    """Return the bytes behind a URL or in a file. Raises OSError, ValueError or aiohttp.ClientError."""
    if "://" not in source or source.startswith("file://"):
        return await asyncio.to_thread(Path(source.removeprefix("file://")).read_bytes)
    timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as client, client.get(source, max_redirects=3) as response:
        response.raise_for_status()
        document = bytearray()
        async for chunk in response.content.iter_chunked(65_536):
            document += chunk
            if len(document) > MAX_DOCUMENT_BYTES:
                raise ValueError(f"more than {MAX_DOCUMENT_BYTES} bytes")
        return bytes(document)


class KeySet:
    """A JWK set that is fetched again when it is old, or when a token names a key that it does not have."""

    def __init__(
        self, source: str, clock: Clock, *, refresh_s: float, retry_s: float, fetch: Fetch = fetch_document
    ) -> None:
        """``refresh_s`` is the age at which it is fetched again; ``retry_s`` the least time between two fetches."""
        self._source = source
        self._clock = clock
        self._refresh_s = refresh_s
        self._retry_s = retry_s
        self._fetch = fetch
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._task: asyncio.Task[None] | None = None
        self.keys: Sequence[Key] = ()

    async def find(self, kid: str, algorithm: str) -> list[Key]:
        """Return the keys that may have made a signature of ``algorithm`` under ``kid`` ("": not said)."""
        now = self._clock.monotonic()
        found = self._matching(kid, algorithm)
        if not found:
            await self.refresh()
            return self._matching(kid, algorithm)
        if self._fetched_at is None or now - self._fetched_at >= self._refresh_s:
            self.begin()
        return found

    async def refresh(self) -> None:
        """Fetch the set, unless that was tried just now; whoever asks meanwhile waits for the same fetch."""
        task = self.begin()
        if task is not None:
            await asyncio.shield(task)

    async def close(self) -> None:
        """End a fetch that is under way."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _matching(self, kid: str, algorithm: str) -> list[Key]:
        return [key for key in self.keys if key.algorithm == algorithm and (not kid or key.kid in ("", kid))]

    def begin(self) -> asyncio.Task[None] | None:
        """Fetch the set in the background; None where that was tried just now."""
        if self._task is not None:
            return self._task
        now = self._clock.monotonic()
        if self._tried_at is not None and now - self._tried_at < self._retry_s:
            return None
        self._tried_at = now
        self._task = asyncio.get_running_loop().create_task(self._load())
        return self._task

    async def _load(self) -> None:
        try:
            self.keys = parse_jwks(await self._fetch(self._source))
            self._fetched_at = self._clock.monotonic()
        except (OSError, ValueError, TimeoutError, aiohttp.ClientError) as error:
            reason = f"{type(error).__name__}: {error}"
            event(_log, "jwks_fetch_failed", level=logging.WARNING, reason=reason, keys_kept=len(self.keys))
        finally:
            self._task = None
