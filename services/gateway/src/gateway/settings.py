"""The gateway's settings: what each variable is called, its default, its limits, and what it means.

Only what the gateway alone reads begins with ``WARREN_GATEWAY_``. Each group configures one part. Nothing
here touches a socket or a key.
"""

from __future__ import annotations

import ipaddress
import secrets
from typing import Annotated, Literal

from pydantic import BeforeValidator, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from warren.address import ROOM_RULE, is_room
from warren.origins import RULE, is_entry
from warren.settings import (
    EVERY_ADDRESS,
    BusSettings,
    CommaList,
    ListenHost,
    LogSettings,
    NamespaceSettings,
    ProbeSettings,
    PusherSettings,
    Settings,
    variable,
)
from warren.urls import ESCAPES, WrongURL, check_http

# Of a key for grants, in characters.
GRANT_KEY_LEAST = 32

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]

_PREFIX = SettingsConfigDict(env_prefix="WARREN_GATEWAY_")


def _networks(value: object) -> object:
    if isinstance(value, str):
        value = tuple(part.strip() for part in value.split(",") if part.strip() and part.strip() != "-")
    if isinstance(value, tuple | list):
        try:
            return tuple(ipaddress.ip_network(part) if isinstance(part, str) else part for part in value)
        except ValueError as error:
            raise ValueError(f"{error}; write networks as 10.0.0.0/8") from None
    return value


Networks = Annotated[tuple[Network, ...], BeforeValidator(_networks)]


class ListenSettings(Settings):
    """The port that clients connect to."""

    model_config = _PREFIX

    host: ListenHost = variable(
        EVERY_ADDRESS,
        "Address or name that clients connect to; * for every IPv4 and IPv6 address of the machine.",
    )
    port: int = variable(8080, "Port that clients connect to; 0 takes a free one.", ge=0, le=65535)
    origins: CommaList = variable(
        (),
        "Origins whose pages may connect, in addition to those of the same host and to clients without an "
        "origin, such as https://app.example, https://*.example or http://localhost:* (any port); * for "
        "any.",
    )
    trusted_proxies: Networks = variable(
        (), "Networks of the proxies whose X-Forwarded-For is trusted, such as 10.0.0.0/8."
    )
    deflate: bool = variable(True, "Whether permessage-deflate is used with clients that offer it.")
    echo: bool = variable(
        False,
        "Whether /ws/echo is served; it requires no token and has no rate limit, so strangers must not "
        "reach it.",
    )
    sse: bool = variable(
        True,
        "Whether /sse and /publish are served: event streams and messages by HTTP, for clients that can have "
        "no WebSocket.",
    )
    stats: Literal["external", "internal"] = variable(
        "external",
        "Where /websocket-stats is served: external (on the clients' port and the internal one) or "
        "internal (on the internal one only, hidden from strangers).",
    )

    trust_traceparent: bool = variable(
        False,
        "Whether a client's traceparent decides that its message is sampled; only if all clients are your "
        "own, because each can then have all its messages sampled.",
    )

    @field_validator("origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [number for number, origin in enumerate(value, 1) if not is_entry(origin)]
        if wrong:
            raise ValueError(f"number {', '.join(map(str, wrong))} of {len(value)} is no origin: {RULE}")
        return value


class GatewayProbeSettings(ProbeSettings):
    """The internal port."""

    model_config = _PREFIX

    internal_port: int = variable(
        9080, "Internal port (probes, metrics, statistics); 0 takes a free one.", ge=0, le=65535
    )


class AuthSettings(Settings):
    """Who may connect, and what a token says of them."""

    model_config = _PREFIX

    auth: Literal["jwt", "anonymous"] = variable(
        "jwt", "jwt: a token is required; anonymous: no token (for trials only)."
    )
    auth_timeout_ms: int = variable(
        10_000, "How long a client without a token may take to send AUTH.", ge=10, le=600_000
    )
    jwt_secret: SecretStr = variable(
        SecretStr(""), "Shared secret for tokens signed with HS256; at least 32 bytes."
    )
    jwt_public_key: str = variable(
        "", "PEM public key or certificate for RS256 (RSA), ES256 (P-256) or EdDSA (Ed25519).", file=True
    )
    jwks: str = variable("", "URL or file of a JWK set; its keys can be rotated.")
    jwks_refresh_s: float = variable(300.0, "Age in seconds at which the JWK set is fetched again.", gt=0)
    jwks_retry_s: float = variable(
        10.0, "Minimum time in seconds between two fetches, whatever keys tokens name.", gt=0
    )
    jwt_algorithms: CommaList = variable(
        ("HS256", "RS256", "ES256", "EdDSA"), "Algorithms that tokens may be signed with."
    )
    jwt_audience: CommaList = variable((), "Audiences, one of which a token must name; empty: not checked.")
    jwt_issuer: str = variable("", "Issuer that a token must name; empty: not checked.")
    jwt_user_claim: str = variable(
        "sub", "Claim with the user's name; dots lead into nested objects.", min_length=1
    )
    jwt_join_claim: str = variable(
        "warren.join",
        "Claim with the patterns of rooms that the user may join (a list, or words in a string); for a "
        "token without it, the namespaces decide.",
        min_length=1,
    )
    jwt_publish_claim: str = variable(
        "warren.publish",
        "Claim with the patterns of rooms that the user may publish to, in the same form.",
        min_length=1,
    )
    jwt_watch_claim: str = variable(
        "warren.watch",
        "Claim with the patterns of rooms, and of users as @name, whose presence the user may watch, in the "
        "same form.",
        min_length=1,
    )
    jwt_hidden_claim: str = variable(
        "warren.hidden",
        "Claim with the patterns of rooms whose presence does not show the user, in the same form, or "
        "true for all.",
        min_length=1,
    )
    jwt_info_claim: str = variable(
        "warren.info",
        "Claim with what is shown with the user in the presence of rooms: any JSON of at most 1,024 bytes.",
        min_length=1,
    )
    jwt_call_claim: str = variable(
        "warren.call",
        "Claim with the patterns of services that the user may call, in the same form; for a token without "
        "it, the list of services decides.",
        min_length=1,
    )
    jwt_leeway_s: float = variable(5.0, "Tolerated difference between clocks, in seconds.", ge=0, le=300)
    jwt_require_expiry: bool = variable(False, "Whether a token without exp is refused.")

    @field_validator("jwt_algorithms")
    @classmethod
    def _algorithms(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = ("HS256", "RS256", "ES256", "EdDSA")
        wrong = [name for name in value if name not in known]
        if wrong or not value:
            raise ValueError(f"must be some of {', '.join(known)}")
        return value

    @field_validator("jwks")
    @classmethod
    def _jwks(cls, value: str) -> str:
        if "://" in value and not value.startswith("file://"):
            try:
                check_http(value)
            except WrongURL as wrong:
                raise ValueError(f"must be an http(s) URL or a file's path: {wrong}; {ESCAPES}") from None
        elif "@" in value or ":" in value.partition("/")[0].removeprefix("file"):
            raise ValueError(
                "must be an http(s) URL, which begins with http:// or https://, or a file's path"
            )
        return value

    @model_validator(mode="after")
    def _some_key(self) -> AuthSettings:
        if self.auth == "jwt" and not (
            self.jwt_secret.get_secret_value() or self.jwt_public_key or self.jwks
        ):
            raise ValueError(
                "WARREN_GATEWAY_AUTH=jwt needs a key: set WARREN_GATEWAY_JWT_SECRET, "
                "WARREN_GATEWAY_JWT_PUBLIC_KEY or "
                "WARREN_GATEWAY_JWKS (or WARREN_GATEWAY_AUTH=anonymous for a trial)"
            )
        return self


class LimitSettings(Settings):
    """What a client, and a pod, may take."""

    model_config = _PREFIX

    message_bytes: int = variable(
        1_048_576, "Largest message of a client in bytes; beyond that: close 4003.", ge=64
    )
    unknown_message_bytes: int = variable(
        32_768,
        "Largest message in bytes of a client whose token is not checked yet; beyond that: close 4003.",
        ge=64,
    )
    unknown_bytes: int = variable(
        65_536,
        "Bytes that a client may send in total before its token is checked; beyond that: close 4001.",
        ge=64,
    )
    rate: int = variable(
        5,
        "Messages that a connection may send in WARREN_GATEWAY_RATE_PER_MS; beyond that: close 4002; 0: "
        "no limit.",
        ge=0,
    )
    rate_per_ms: int = variable(1_000, "The period of WARREN_GATEWAY_RATE, in ms.", ge=1)
    rooms_per_connection: int = variable(100, "Rooms that one connection may be in.", ge=1, le=10_000)
    calls_per_connection: int = variable(
        8,
        "REQUESTs of one connection that may wait for their answers; beyond that: overloaded.",
        ge=1,
        le=1_024,
    )
    calls: int = variable(
        1_024,
        "REQUESTs of all connections of a pod that may wait for their answers, half of them for one service; "
        "beyond that: overloaded.",
        ge=2,
        le=65_536,
    )
    connections_per_user: int = variable(
        0,
        "Connections that one user may have at a time, over all pods; 0: any number. All pods must agree.",
        ge=0,
        le=1_000,
    )
    connections_per_user_when_exceeded: Literal["replace", "refuse"] = variable(
        "replace",
        "What happens beyond WARREN_GATEWAY_CONNECTIONS_PER_USER: replace (the user's oldest connection is "
        "closed with 4007) or refuse (the new one is; a connection whose pod has died counts until that is "
        "noticed, and one whose client is gone until its heartbeat is missed).",
    )
    calls_bytes: int = variable(
        64 * 1_048_576,
        "Bytes that the REQUESTs of all connections of a pod may hold until they are answered, half of them "
        "for one service; beyond that: overloaded. As many again for hooks.",
        ge=65_536,
    )
    connections: int = variable(10_000, "Connections that one pod accepts; beyond that: 503.", ge=1)
    full_percent: int = variable(
        95,
        "Percentage of WARREN_GATEWAY_CONNECTIONS at which the pod becomes not ready, so that new clients "
        "are sent elsewhere before it refuses any; it is ready again five points below; 0: never.",
        ge=0,
        le=100,
    )
    outbox_count: int = variable(
        4_096, "Messages that may wait for a slow reader; beyond that: close 4005.", ge=1
    )
    outbox_bytes: int = variable(
        2 * 1_048_576, "Bytes that may wait for a slow reader; beyond that: close 4005.", ge=1024
    )
    buffer_bytes: int = variable(
        256 * 1_048_576,
        "Bytes that all connections of a pod may hold together: partly received messages, and what waits "
        "for slow readers, where a message for many counts once; beyond that, those that hold most are "
        "closed, clients without a checked token first.",
        ge=1_048_576,
    )
    read_bytes: int = variable(
        4 * 1_048_576,
        "Bytes of history that one connection may read at once, with JOIN and a position or with HISTORY; "
        "beyond that, the gateway stops reading from the client until the budget has grown again.",
        ge=262_144,
    )
    read_bytes_per_s: int = variable(
        1_048_576, "Growth of the budget WARREN_GATEWAY_READ_BYTES each second.", ge=1_024
    )
    pod_read_bytes_per_s: int = variable(
        16 * 1_048_576,
        "Bytes of history that all connections of a pod may read in a second; beyond that, those that "
        "have read much wait.",
        ge=262_144,
    )
    uplink_count: int = variable(
        16_384, "Messages of one shard that may wait for the broker, or for a router to count them.", ge=16
    )
    batch_count: int = variable(512, "Messages in one batch to a shard.", ge=1)
    batch_bytes: int = variable(262_144, "Bytes in one batch to a shard.", ge=1_024)
    batch_interval_ms: int = variable(
        20,
        "Longest interval between two batches to a busy shard, in ms: it applies if the pod is never "
        "idle; a pod with time to spare does not wait.",
        ge=0,
        le=1_000,
    )
    uplink_bytes: int = variable(
        16 * 1_048_576,
        "Bytes of one shard that may wait for the broker, or for a router to count them.",
        ge=65_536,
    )
    recent_room_bytes: int = variable(
        1_048_576,
        "Bytes of the latest messages of one room that the pod keeps, for members that come back and for "
        "HISTORY; otherwise it asks the routers.",
        ge=0,
    )
    recent_bytes: int = variable(
        64 * 1_048_576,
        "The same for all rooms together; beyond that, those that hold most lose their oldest messages "
        "first.",
        ge=0,
    )

    @model_validator(mode="after")
    def _fits(self) -> LimitSettings:
        if self.uplink_bytes < 2 * self.message_bytes:
            raise ValueError(
                "WARREN_GATEWAY_UPLINK_BYTES must be at least twice WARREN_GATEWAY_MESSAGE_BYTES"
            )
        if self.buffer_bytes < 4 * max(self.message_bytes, self.outbox_bytes):
            raise ValueError(
                "WARREN_GATEWAY_BUFFER_BYTES must be at least four times WARREN_GATEWAY_MESSAGE_BYTES and "
                "WARREN_GATEWAY_OUTBOX_BYTES"
            )
        return self


class TimeSettings(Settings):
    """How long things may take."""

    model_config = _PREFIX

    heartbeat_ms: int = variable(
        30_000, "Interval of pings to a client; no sign of life by the next one: close 4004.", ge=50
    )
    close_timeout_ms: int = variable(
        5_000, "How long a close handshake may take before the socket is cut.", ge=10
    )
    publish_timeout_ms: int = variable(
        10_000, "How long a message waits for the broker before its sender is told to send it again.", ge=10
    )
    grace_ms: int = variable(
        3_000,
        "How long after a socket was closed its client leaves its rooms, in ms: a user who is back by "
        "then has not been away; 0: at once, as in any case where a new connection is refused for the old "
        "one (WARREN_GATEWAY_CONNECTIONS_PER_USER_WHEN_EXCEEDED).",
        ge=0,
        le=60_000,
    )
    announce_ms: int = variable(
        1_000, "Interval of the gateway's heartbeats to the routers.", ge=10, le=2_500
    )
    max_age_ms: int = variable(
        0,
        "How long a client may stay before it is asked to reconnect, so that new pods get their share; at "
        "least 1000; 0: no limit.",
        ge=0,
    )
    max_age_jitter_percent: int = variable(
        20,
        "By how much, in percent of WARREN_GATEWAY_MAX_AGE_MS, the limit of each client is shortened at "
        "random, so that clients do not leave together.",
        ge=0,
        le=100,
    )
    drain_ms: int = variable(
        10_000, "The time over which the clients are asked to reconnect when the pod stops.", ge=0
    )
    drain_deadline_ms: int = variable(20_000, "When a stopping pod has exited at the latest.", ge=100)

    @field_validator("max_age_ms")
    @classmethod
    def _max_age(cls, value: int) -> int:
        if 0 < value < 1_000:
            raise ValueError("must be 0 or at least 1000")
        return value

    @model_validator(mode="after")
    def _drains(self) -> TimeSettings:
        if self.drain_deadline_ms < self.drain_ms + min(1_000, self.drain_ms) + 500:
            raise ValueError(
                "WARREN_GATEWAY_DRAIN_DEADLINE_MS must be at least 1500 more than WARREN_GATEWAY_DRAIN_MS: "
                "the last clients "
                "are closed a second after their slot"
            )
        return self


class HookSettings(Settings):
    """Backends that decide what clients may; which they are asked is in the namespaces."""

    model_config = _PREFIX

    hook_timeout_ms: int = variable(
        1_000,
        "How long a backend may take to decide whether a client may connect, join or publish.",
        ge=10,
        le=30_000,
    )
    hook_claims: CommaList = variable(
        (), "Claims of a client's token that such a backend is shown, with dots into nested objects."
    )
    hook_headers: CommaList = variable(
        (),
        "Headers of a client's upgrade that such a backend is shown, such as cookie or accept-language; "
        "at most 4,096 characters of each.",
    )
    grant_keys: SecretStr = variable(
        SecretStr(""),
        "Keys for grants, the same for all gateways: one on each line, of at least 32 characters. The "
        "first one signs, all verify. Empty: no grants, so clients that come back are asked about again.",
        file=True,
    )

    @field_validator("hook_headers")
    @classmethod
    def _lower(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name.lower() for name in value))

    @field_validator("grant_keys")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        short = [number for number, key in enumerate(_lines(value), 1) if len(key) < GRANT_KEY_LEAST]
        if short:
            raise ValueError(f"key {', '.join(map(str, short))} has less than {GRANT_KEY_LEAST} characters")
        return value

    @property
    def grant_key_bytes(self) -> tuple[bytes, ...]:
        """The keys, in their order."""
        return tuple(key.encode() for key in _lines(self.grant_keys))


def _lines(keys: SecretStr) -> list[str]:
    return [line.strip() for line in keys.get_secret_value().splitlines() if line.strip()]


class GatewaySettings(Settings):
    """All of the gateway's settings."""

    model_config = _PREFIX

    id: str = variable(
        "",
        "Prefix of the gateway's id (a pod's name); a random suffix makes it new for every life. Empty: "
        "all random.",
        pattern=r"^[A-Za-z0-9\-]{0,48}$",
    )
    rooms: CommaList = variable(
        ("default",), "Rooms that each connection joins when it connects; - for none."
    )
    bus: BusSettings = BusSettings()
    log: LogSettings = LogSettings()
    namespaces: NamespaceSettings = NamespaceSettings()
    listen: ListenSettings = ListenSettings()
    probes: GatewayProbeSettings = GatewayProbeSettings()
    # Not validated as a default: without a key it lets nobody in, and reading the environment says what is
    # missing.
    auth: AuthSettings = AuthSettings.model_construct()
    limits: LimitSettings = LimitSettings()
    times: TimeSettings = TimeSettings()
    hooks: HookSettings = HookSettings()
    pusher: PusherSettings = PusherSettings()

    @property
    def grace_s(self) -> float:
        """How long a closed connection's leave waits, in seconds; not at all where it takes the place of the
        user's next one.
        """
        limits = self.limits
        takes_place = limits.connections_per_user and limits.connections_per_user_when_exceeded == "refuse"
        return 0.0 if takes_place else self.times.grace_ms / 1_000

    @field_validator("rooms")
    @classmethod
    def _rooms(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for room in value:
            if not is_room(room):
                raise ValueError(f"{room} is no room's name: {ROOM_RULE}")
        return tuple(dict.fromkeys(value))

    @model_validator(mode="after")
    def _rooms_fit(self) -> GatewaySettings:
        if len(self.rooms) + 1 > self.limits.rooms_per_connection:
            raise ValueError(
                "WARREN_GATEWAY_ROOMS_PER_CONNECTION must have place for WARREN_GATEWAY_ROOMS and the "
                "user's own"
            )
        return self

    @model_validator(mode="after")
    def _rooms_unasked(self) -> GatewaySettings:
        policy = self.namespaces.namespaces.policy
        asked = [room for room in self.rooms if "join" in policy(room).hooks]
        if asked:
            raise ValueError(
                f"WARREN_GATEWAY_ROOMS: a backend decides who may join {', '.join(asked)}, so no client is "
                "joined there at connect; the answer to a connect hook may name it"
            )
        return self


def new_gateway_id(prefix: str) -> str:
    """Return an id for one life of a gateway: the prefix (where there is one) and ten random hex digits."""
    digits = secrets.token_hex(5)
    return f"{prefix}-{digits}" if prefix else digits
