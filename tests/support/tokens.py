"""Tokens and key sets as an identity provider would give them out, good ones and bad ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from types import TracebackType
from typing import Any, Literal, Self

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]
SECRET = "a secret of the tests, long enough for HMAC with SHA-256"


class Signer:
    """One key of an identity provider."""

    def __init__(self, algorithm: Algorithm = "HS256", *, kid: str = "", secret: str = SECRET) -> None:
        """A fresh key pair, or for HS256 the given secret. ``kid`` goes into the tokens' header and the key
        set.
        """
        self.algorithm = algorithm
        self.kid = kid
        self._private: Any
        match algorithm:
            case "HS256":
                self._private = secret
            case "RS256":
                self._private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
            case "ES256":
                self._private = ec.generate_private_key(ec.SECP256R1())
            case "EdDSA":
                self._private = ed25519.Ed25519PrivateKey.generate()

    @property
    def public_pem(self) -> str:
        """The public key in PEM."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return str(self._private.public_key().public_bytes(serialization.Encoding.PEM, form).decode())

    def token(
        self,
        sub: str | None = "ann",
        *,
        expires_in_s: float | None = 3_600,
        headers: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Return a token of this key. What is None is left out; a negative ``expires_in_s`` makes
        it stale.
        """
        body: dict[str, Any] = {"sub": sub, "iat": int(time.time()), **claims}
        if expires_in_s is not None:
            body.setdefault("exp", time.time() + expires_in_s)
        head = ({"kid": self.kid} if self.kid else {}) | (headers or {})
        body = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(body, self._private, self.algorithm, headers=head)

    def jwk(self) -> dict[str, Any]:
        """Return the public key as a JSON Web Key."""
        match self.algorithm:
            case "HS256":
                raise ValueError("a shared secret has no place in a public key set")
            case "RS256":
                key = RSAAlgorithm.to_jwk(self._private.public_key(), as_dict=True)
            case "ES256":
                key = ECAlgorithm.to_jwk(self._private.public_key(), as_dict=True)
            case "EdDSA":
                key = OKPAlgorithm.to_jwk(self._private.public_key(), as_dict=True)
        return {**key, "use": "sig", "alg": self.algorithm} | ({"kid": self.kid} if self.kid else {})


def jwks(*signers: Signer) -> dict[str, Any]:
    """Return a key set."""
    return {"keys": [signer.jwk() for signer in signers]}


def unsigned_token(sub: str = "ann") -> str:
    """Return a token of the algorithm ``none``, which nobody may take."""
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part({'sub': sub, 'exp': int(time.time()) + 3_600})}."


def confused_token(signer: Signer, sub: str = "ann") -> str:
    """Return a token signed by HMAC with the *public* key of an asymmetric signer, which nobody may take."""
    head = {"alg": "HS256", "typ": "JWT"} | ({"kid": signer.kid} if signer.kid else {})
    signed = f"{_part(head)}.{_part({'sub': sub, 'exp': int(time.time()) + 3_600})}"
    mac = hmac.new(signer.public_pem.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_base64url(mac)}"


def _part(value: dict[str, Any]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class JwksServer:
    """An identity provider's key set on a loopback port. Change ``document`` or ``status`` at will;
    ``requests`` counts the calls.
    """

    def __init__(self, *signers: Signer) -> None:
        """Serve these signers' public keys."""
        self.document: Any = jwks(*signers)
        self.status = 200
        self.requests = 0
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/jwks.json", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/jwks.json"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        return web.json_response(self.document, status=self.status)
