"""Auth: a token ▶ an Identity, or Unauthorized. Who the client is, what it may join, publish to and watch,
and until when.

The algorithm is never the token's choice alone: each key is good for one, ``none`` for nobody. PyJWT checks
signature, times, audience and issuer, by the machine's wall clock. The text of a refusal never repeats the
token.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jwt
import msgspec

from gateway.core.permissions import Identity
from gateway.core.presence_payloads import shown_of
from gateway.settings import AuthSettings
from gateway.shell.key_sets import Fetch, KeySet, fetch_document, public_key, secret_key
from warren.address import USER_RULE, is_user
from warren.clock import Clock
from warren.contract.client_frames import GRANT_MAX
from warren.errors import SettingsError, Unauthorized

MAX_TOKEN_BYTES = 16 * 1024
MAX_PATTERNS = 256
# Of the claims that backends are shown, for a connection's whole life.
MAX_SHOWN_BYTES = 4 * 1024
# A longer jti is none by which a token can be revoked, and a later iat none.
MAX_TOKEN_ID = 256
MAX_SECONDS = 1 << 40
BEARER = "bearer."
GRANT = "grant."


class Refusal(Unauthorized):
    """A token that does not hold, with a ``reason`` from a small set (for the metric)."""

    def __init__(self, reason: str, text: str) -> None:
        """``text`` is for the client's developer."""
        self.reason = reason
        super().__init__(text)


def offered_token(query: Mapping[str, str], authorization: str, subprotocols: Sequence[str]) -> str:
    """Return the token that an upgrade brought ("" for none): from ``?token=``, the header, or
    ``bearer.<token>``.
    """
    if token := query.get("token", ""):
        return token
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return next((offer.removeprefix(BEARER) for offer in subprotocols if offer.startswith(BEARER)), "")


def offered_grant(query: Mapping[str, str], subprotocols: Sequence[str]) -> str:
    """Return the grant to connect that an upgrade brought ("" for none, or for one that is too long): from
    ``?grant=``, or ``grant.<grant>``.
    """
    grant = query.get("grant", "") or next(
        (offer.removeprefix(GRANT) for offer in subprotocols if offer.startswith(GRANT)), ""
    )
    return grant if len(grant) <= GRANT_MAX else ""


def key_problems(settings: AuthSettings) -> list[str]:
    """Return what is wrong with the settings' own keys: one line for each, which names the variable."""
    return _own_keys(settings)[1]


def _own_keys(settings: AuthSettings) -> tuple[list[jwt.PyJWK], list[str]]:
    keys: list[jwt.PyJWK] = []
    problems: list[str] = []
    for text, load in (
        (settings.jwt_secret.get_secret_value(), secret_key),
        (settings.jwt_public_key, public_key),
    ):
        if text:
            try:
                keys.append(load(text))
            except SettingsError as error:
                problems += error.problems
    return keys, problems


class _Decoder(jwt.PyJWT):
    """PyJWT with times that are numbers (RFC 7519, NumericDate); it takes a text or ``true`` for one too."""

    def __init__(self, settings: AuthSettings) -> None:
        required = {
            "exp": settings.jwt_require_expiry,
            "aud": bool(settings.jwt_audience),
            "iss": bool(settings.jwt_issuer),
        }
        super().__init__(
            {
                "require": [claim for claim, needed in required.items() if needed],
                "verify_aud": required["aud"],
                "verify_iss": required["iss"],
                # Not ours to judge: when it was made, and what ``sub`` and ``jti`` are where another claim
                # names the user.
                "verify_iat": False,
                "verify_sub": False,
                "verify_jti": False,
                "enforce_minimum_key_length": True,
            }
        )

    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        """Return the claims of a token whose signature holds (PyJWT means this to be overridden); a time that
        is null is none. Raises Refusal.
        """
        claims = super()._decode_payload(decoded)
        for name in ("exp", "nbf"):
            value = claims.get(name)
            if value is None:
                claims.pop(name, None)
            elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
                raise Refusal("claims", f"claim {name} is no time")
        return claims


class Authenticator:
    """Checks tokens by the settings' keys."""

    def __init__(
        self,
        settings: AuthSettings,
        clock: Clock,
        *,
        fetch: Fetch = fetch_document,
        shown_claims: Sequence[str] = (),
        info_claims: Iterable[str] = (),
    ) -> None:
        """``clock`` tells how old the JWK set is; ``shown_claims`` are those that an identity has with it,
        and ``info_claims`` those that a namespace shows of its members. Raises SettingsError where a key
        can't be used.
        """
        self._settings = settings
        self._shown_claims = tuple(shown_claims)
        self._info_claims = tuple(info_claims)
        self._decoder = _Decoder(settings)
        self._keys, problems = _own_keys(settings)
        if problems:
            raise SettingsError(problems)
        self._set = (
            KeySet(
                settings.jwks,
                clock,
                refresh_s=settings.jwks_refresh_s,
                retry_s=settings.jwks_retry_s,
                fetch=fetch,
            )
            if settings.jwks
            else None
        )

    @property
    def anonymous(self) -> bool:
        """Whether no token is needed."""
        return self._settings.auth == "anonymous"

    async def start(self) -> None:
        """Fetch the JWK set; one that is away does not stop the service, ``lacking`` says so."""
        if self._set is not None and not self.anonymous:
            await self._set.refresh()

    async def stop(self) -> None:
        """End what is under way."""
        if self._set is not None:
            await self._set.close()

    def lacking(self) -> str | None:
        """Return why no token can be checked at present, or None; a readiness ping, which sees to it that it
        is tried again.
        """
        if self.anonymous or self._keys or self._set is None or self._set.keys:
            return None
        self._set.begin()
        return "no key: the JWK set could not be fetched yet"

    def guest(self, name: str) -> Identity:
        """Return the identity of an anonymous client that calls itself ``name`` ("": Warren makes a name up).

        Raises Refusal where the name is out of the rule.
        """
        if name and not is_user(name):
            raise Refusal("claims", f"user: {USER_RULE}")
        user = name or f"guest-{secrets.token_hex(4)}"
        return Identity(user=user, anonymous=True, nameless=not name)

    async def check(self, token: str) -> Identity:
        """Return who a token says the client is. Raises Refusal, which is an Unauthorized."""
        if not token:
            raise Refusal("missing", "a token is needed")
        if len(token) > MAX_TOKEN_BYTES:
            raise Refusal("malformed", "the token is too long")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError):
            raise Refusal("malformed", "not a token that can be read") from None
        algorithm = header.get("alg")
        if algorithm not in self._settings.jwt_algorithms:
            raise Refusal("algorithm", "the token's algorithm is not allowed")
        candidates = [key for key in self._keys if key.algorithm_name == algorithm]
        if self._set is not None:
            candidates += await self._set.find(header.get("kid", ""), algorithm)
        if not candidates:
            raise Refusal("key", "no key for this token")
        return self._identity(self._claims(token, candidates))

    def _claims(self, token: str, candidates: Sequence[jwt.PyJWK]) -> dict[str, Any]:
        settings = self._settings
        refusal = Refusal("signature", "the token's signature does not hold")
        for key in candidates:
            try:
                return self._decoder.decode(
                    token,
                    key,  # of one algorithm, whatever the token says
                    algorithms=settings.jwt_algorithms,
                    audience=settings.jwt_audience or None,
                    issuer=settings.jwt_issuer or None,
                    leeway=settings.jwt_leeway_s,
                )
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, TypeError) as error:
                refusal = _refusal(error)
                if refusal.reason != "malformed":
                    raise refusal from None
                # Another key may still be the right one.
        raise refusal

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        settings = self._settings
        ends_at = claims.get("exp")
        return Identity(
            user=_user(claims, settings.jwt_user_claim),
            join=_patterns(claims, settings.jwt_join_claim),
            publish=_patterns(claims, settings.jwt_publish_claim),
            expires_at=None if ends_at is None else ends_at + settings.jwt_leeway_s,
            anonymous=False,
            watch=_patterns(claims, settings.jwt_watch_claim),
            call=_patterns(claims, settings.jwt_call_claim),
            claims=_shown(claims, self._shown_claims),
            token_id=_token_id(claims.get("jti")),
            issued_s=_seconds(claims.get("iat")),
            hidden=_hidden(claims, settings.jwt_hidden_claim),
            infos=tuple(self._infos(claims)),
        )

    def _infos(self, claims: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        """Yield what is shown of the user by each claim ("": where a namespace names none). A claim that is
        too large for that, or is not to be told in UTF-8, is passed over: it may be another service's.
        """
        for shown, name in (
            ("", self._settings.jwt_info_claim),
            *((name, name) for name in self._info_claims),
        ):
            try:
                info = shown_of(msgspec.json.encode(_claim(claims, name)))
            except (ValueError, OverflowError, RecursionError):  # half of a surrogate pair, a huge number
                continue
            if info:
                yield shown, info


def _token_id(value: object) -> str:
    """Return a token's id (RFC 7519 section 4.1.7); empty where it has none by which it could be named."""
    return value if isinstance(value, str) and len(value) <= MAX_TOKEN_ID else ""


def _seconds(value: object) -> int:
    """Return a time of a token (RFC 7519 section 2, NumericDate), rounded down; 0 where there is none."""
    return int(value) if isinstance(value, int | float) and 0 < value < MAX_SECONDS else 0


def _refusal(error: Exception) -> Refusal:
    """Return what a client's developer reads of PyJWT's error."""
    match error:
        case jwt.ExpiredSignatureError():
            return Refusal("expired", "the token has expired")
        case jwt.ImmatureSignatureError():
            return Refusal("claims", "the token does not hold yet")
        case jwt.MissingRequiredClaimError(claim="exp"):
            return Refusal("claims", "claim exp is needed")
        case jwt.MissingRequiredClaimError():
            return Refusal(
                "claims", f"claim {error.claim}: is missing; the token is not meant for this service"
            )
        case jwt.InvalidAudienceError():
            return Refusal("claims", "claim aud: names none of the audiences of this service")
        case jwt.InvalidIssuerError():
            return Refusal("claims", "claim iss: is not the issuer that this service trusts")
    return Refusal("malformed", "not a token that can be read")


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its whole name, or by a path of names with dots between them."""
    if name in claims:
        return claims[name]
    head, dot, rest = name.partition(".")
    inner = claims.get(head)
    return _claim(inner, rest) if dot and isinstance(inner, Mapping) else None


def _user(claims: Mapping[str, Any], name: str) -> str:
    """Return the user's name. What is no text is not made one: the number 7 and the text "7" may be two
    users.
    """
    user = _claim(claims, name)
    if user is None:
        raise Refusal("claims", f"claim {name}: is missing; it holds the user's name: {USER_RULE}")
    if not isinstance(user, str):
        raise Refusal("claims", f"claim {name}: is no text; it holds the user's name: {USER_RULE}")
    if not is_user(user):
        raise Refusal("claims", f"claim {name}: is no user's name: {USER_RULE}")
    return user


def _shown(claims: Mapping[str, Any], names: Sequence[str]) -> bytes:
    """Return the claims of these names that a token has, as JSON; empty where it has none of them."""
    found = {name: value for name in names if (value := _claim(claims, name)) is not None}
    if not found:
        return b""
    try:
        text = msgspec.json.encode(found)
    except (ValueError, RecursionError):  # half of a surrogate pair, which JSON can hold and UTF-8 can not
        raise Refusal("claims", f"the claims {', '.join(found)} can't be shown to a backend") from None
    if len(text) > MAX_SHOWN_BYTES:
        raise Refusal("claims", f"the claims {', '.join(found)} have more than {MAX_SHOWN_BYTES} bytes")
    return text


def _hidden(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a claim's patterns of rooms; true stands for all rooms."""
    value = _claim(claims, name)
    if isinstance(value, bool):
        return ("*",) if value else ()
    return _patterns(claims, name) or ()


def _patterns(claims: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """Return a claim's patterns of rooms or services: a list, or one string with blanks between them; None
    where it is absent.
    """
    value = _claim(claims, name)
    if value is None:
        return None
    patterns = value.split() if isinstance(value, str) else value
    if (
        not isinstance(patterns, list)
        or len(patterns) > MAX_PATTERNS
        or not all(isinstance(p, str) for p in patterns)
    ):
        raise Refusal("claims", f"claim {name} is no list of at most {MAX_PATTERNS} patterns")
    return tuple(patterns)
