"""Keys: what a token's signature is checked with. A shared secret, a public key, and a JWK set that rotates.

Every key is a ``PyJWK`` of one algorithm, so a token can never choose to have a public key read as a secret.
A JWK set comes from a URL or a file, is fetched by one task at a time, and a fetch that fails keeps the keys
there are. It never sees a token.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import aiohttp
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from jwt import InvalidKeyError, PyJWK, PyJWTError, get_algorithm_by_name

from warren.clock import Clock
from warren.errors import SettingsError
from warren.logs import event, get_logger
from warren.supervision import cancel_and_wait

MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_KEYS = 256
MIN_SECRET_BYTES = 32
MIN_RSA_BITS = 2_048
SHOWN_MAX = 8  # of the keys that are passed over
FETCH_TIMEOUT_S = 5.0
ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")

Fetch = Callable[[str], Awaitable[bytes]]

_log = get_logger("gateway.key_sets")


def secret_key(secret: str) -> PyJWK:
    """Return a shared secret's key. Raises SettingsError where it is none that is safe."""
    name = "WARREN_GATEWAY_JWT_SECRET"
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise SettingsError([f"{name} is shorter than {MIN_SECRET_BYTES} bytes: use a longer random one"])
    key = PyJWK({"kty": "oct", "k": base64.urlsafe_b64encode(secret.encode()).decode()}, "HS256")
    try:
        if secret.lstrip().startswith(("-----BEGIN", "ssh-")):
            raise InvalidKeyError
        key.Algorithm.prepare_key(key.key)
    except InvalidKeyError:
        raise SettingsError(
            [f"{name} is a key of a pair: that belongs into WARREN_GATEWAY_JWT_PUBLIC_KEY, the public one"]
        ) from None
    return key


def public_key(pem: str) -> PyJWK:
    """Return the key of a PEM public key or certificate. Raises SettingsError where it is none that we can
    use.
    """
    data, name = pem.encode(), "WARREN_GATEWAY_JWT_PUBLIC_KEY"
    try:
        found = (
            load_pem_x509_certificate(data).public_key()
            if b"BEGIN CERTIFICATE" in data
            else load_pem_public_key(data)
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SettingsError(
            [f"{name} is no public key or certificate in PEM (-----BEGIN PUBLIC KEY-----)"]
        ) from None
    try:
        algorithm = algorithm_of(found)
    except Unusable as why:
        raise SettingsError([f"{name}: {why}"]) from None
    return PyJWK(get_algorithm_by_name(algorithm).to_jwk(found, as_dict=True), algorithm)


class Unusable(ValueError):
    """Why a key is not used; the text never repeats it."""


def algorithm_of(key: object) -> str:
    """Return the one algorithm that a public key is good for. Raises Unusable."""
    match key:
        case RSAPublicKey():
            if key.key_size < MIN_RSA_BITS:
                raise Unusable(f"an RSA key of {key.key_size} bits is too short: {MIN_RSA_BITS} at least")
            return "RS256"
        case EllipticCurvePublicKey():
            if not isinstance(key.curve, SECP256R1):
                raise Unusable(f"a key on the curve {key.curve.name}: only P-256 is known")
            return "ES256"
        case Ed25519PublicKey():
            return "EdDSA"
    raise Unusable("only public keys of RSA, P-256 and Ed25519 are known")


def parse_jwks(document: bytes) -> tuple[list[PyJWK], list[str]]:
    """Return the usable keys of a JWK set (RFC 7517 section 5), and of each other one why it is passed over.

    Raises ValueError where it is no JWK set, or none of its keys can be used. (PyJWT's own ``PyJWKSet`` gives
    no reasons, and takes symmetric and private keys.)
    """
    try:
        parsed = orjson.loads(document)
    except orjson.JSONDecodeError:
        raise ValueError("no JWK set: it is no JSON") from None
    entries = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(entries, list):
        raise ValueError('no JWK set: it has no list "keys"')
    keys: list[PyJWK] = []
    passed_over: list[str] = []
    for number, entry in enumerate(entries[:MAX_KEYS], 1):
        try:
            keys.append(_jwk(entry))
        except Unusable as why:
            kid = entry.get("kid") if isinstance(entry, dict) else None
            named = f"key {kid[:64]!r}" if isinstance(kid, str) and kid else f"key number {number}"
            passed_over.append(f"{named}: {why}")
    if len(entries) > MAX_KEYS:
        passed_over.append(f"{len(entries) - MAX_KEYS} keys behind the first {MAX_KEYS}")
    if not keys:
        reasons = "; ".join(passed_over[:SHOWN_MAX])
        raise ValueError(f"the JWK set has no key that can be used{f' ({reasons})' if reasons else ''}")
    return keys, passed_over


# Which kind of key (RFC 7518 section 6, RFC 8037) is good for which algorithm here.
_FAMILIES = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}


def _jwk(entry: object) -> PyJWK:
    """Return a set's key. Raises Unusable."""
    if not isinstance(entry, dict):
        raise Unusable("no JSON object")
    kind, kid, operations = entry.get("kty"), entry.get("kid", ""), entry.get("key_ops", ["verify"])
    if kind == "oct":  # whoever can read the set could sign
        raise Unusable(
            "a symmetric key (kty oct) is no key to publish; a shared secret belongs into "
            "WARREN_GATEWAY_JWT_SECRET"
        )
    family = _FAMILIES.get(kind) if isinstance(kind, str) else None
    if family is None:
        raise Unusable("its kty is none of RSA, EC and OKP")
    if "d" in entry:
        raise Unusable("it holds a private key: publish the public one alone, and make a new pair")
    if entry.get("use", "sig") != "sig":
        raise Unusable("its use is not sig")
    if not isinstance(operations, list) or "verify" not in operations:
        raise Unusable("its key_ops do not have verify")
    if entry.get("alg", family) != family:
        raise Unusable(f"its alg is not {family}, the one algorithm that is taken of a key of this kty")
    if not isinstance(kid, str):
        raise Unusable("its kid is no text")
    try:
        key = PyJWK(entry, family)
    except (PyJWTError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        raise Unusable("it can't be read") from None
    if algorithm_of(key.key) != family:
        raise Unusable("its kty and its key do not belong together")
    return key


async def fetch_document(source: str) -> bytes:
    """Return the bytes behind a URL or in a file. Raises OSError, ValueError or aiohttp.ClientError."""
    if "://" not in source or source.startswith("file://"):
        return await asyncio.to_thread(Path(source.removeprefix("file://")).read_bytes)
    timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as client,
        client.get(source, max_redirects=3) as response,
    ):
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
        """``refresh_s`` is the age at which it is fetched again; ``retry_s`` the least time between two
        fetches.
        """
        self._source = source
        self._clock = clock
        self._refresh_s = refresh_s
        self._retry_s = retry_s
        self._fetch = fetch
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._passed_over: list[str] = []  # as it was logged last
        self.keys: Sequence[PyJWK] = ()

    async def find(self, kid: str, algorithm: str) -> list[PyJWK]:
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
        await cancel_and_wait(task)

    def _matching(self, kid: str, algorithm: str) -> list[PyJWK]:
        return [
            key
            for key in self.keys
            if key.algorithm_name == algorithm and (not kid or key.key_id in (None, "", kid))
        ]

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
            self.keys, passed_over = parse_jwks(await self._fetch(self._source))
            self._fetched_at = self._clock.monotonic()
            self._tell(passed_over)
        except (OSError, ValueError, TimeoutError, aiohttp.ClientError) as error:
            event(
                _log,
                "jwks_fetch_failed",
                level=logging.WARNING,
                reason=_reason(error),
                keys_kept=len(self.keys),
            )
        finally:
            self._task = None

    def _tell(self, passed_over: list[str]) -> None:
        """Log which keys are not used, where that has changed: the set is fetched again and again."""
        if passed_over != self._passed_over:
            self._passed_over = passed_over
            if passed_over:
                count = len(passed_over)
                event(
                    _log,
                    "jwks_keys_skipped",
                    level=logging.WARNING,
                    count=count,
                    reasons=passed_over[:SHOWN_MAX],
                )


def _reason(error: Exception) -> str:
    """Say why a set could not be fetched, without its address: that may hold credentials, also in
    its query.
    """
    match error:
        case aiohttp.ClientResponseError():
            return f"the server answered {error.status}"
        case aiohttp.InvalidURL():
            return "WARREN_GATEWAY_JWKS is no URL that can be fetched, or was redirected to none"
        case aiohttp.ClientConnectorError():
            return (
                f"no connection to {error.host}:{error.port}: "
                f"{error.os_error.strerror or type(error.os_error).__name__}"
            )
        case aiohttp.ClientError() | TimeoutError():
            return type(error).__name__
        case OSError():
            return f"the file can't be read: {error.strerror}"
    return f"{type(error).__name__}: {error}"
