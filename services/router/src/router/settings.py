"""The router's settings: what each variable is called, its default, its limits, and what it means.

Only what the router alone reads begins with ``WARREN_ROUTER_``. Each group configures one part.
"""

from __future__ import annotations

import ipaddress
import secrets

from pydantic import field_validator, model_validator
from pydantic_settings import SettingsConfigDict

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

EVENT_KINDS = ("client", "room", "message", "undelivered")
_PREFIX = SettingsConfigDict(env_prefix="WARREN_ROUTER_")


class RouterProbeSettings(ProbeSettings):
    """The internal port."""

    model_config = _PREFIX

    internal_port: int = variable(
        9081, "Internal port (probes, metrics, statistics); 0 takes a free one.", ge=0, le=65535
    )


class FlowSettings(Settings):
    """How much is taken, and how much goes at once."""

    model_config = _PREFIX

    prefetch: int = variable(
        128,
        "Entries of one shard's log that the broker delivers before they are acknowledged.",
        ge=2,
        le=4096,
    )
    notify_prefetch: int = variable(
        256,
        "AMQP messages with notifications that the broker delivers before they are acknowledged.",
        ge=1,
        le=65_535,
    )
    batch_count: int = variable(1_024, "Notifications in one record to a shard.", ge=1)
    batch_bytes: int = variable(
        262_144, "Bytes in one publish to a gateway, or in one record to a shard.", ge=1_024
    )
    batch_interval_ms: int = variable(
        20,
        "Longest interval between two publishes to a busy gateway, in ms: it applies if the router is "
        "never idle; a router with time to spare does not wait.",
        ge=0,
        le=1_000,
    )
    notify_bytes: int = variable(
        1_048_576, "Largest payload of a notification in bytes; larger ones are dead-lettered.", ge=64
    )


class MemorySettings(Settings):
    """What a shard remembers."""

    model_config = _PREFIX

    dedup_count: int = variable(
        65_536,
        "Message ids that one shard remembers, so that a repeat counts once. Use the same value for all "
        "routers: the speaker's applies to all.",
        ge=1,
    )
    rooms_remembered: int = variable(
        65_536,
        "Rooms without members whose position one shard keeps; a forgotten room begins a new epoch. Use "
        "the same value for all routers, as above.",
        ge=1,
    )
    ring_bytes: int = variable(
        16_777_216,
        "Bytes of feeds of one shard that are kept for lagging gateways; a gateway that lags further "
        "joins its rooms again.",
        ge=262_144,
    )
    room_history_bytes: int = variable(4_194_304, "Memory for the history of one room, in bytes.", ge=1_024)
    history_bytes: int = variable(
        33_554_432,
        "Memory for the history of all rooms of one shard, in bytes; beyond that, the largest rooms lose "
        "their oldest messages.",
        ge=1_024,
    )
    history_floor_ms: int = variable(
        10_000,
        "Messages younger than this are kept whatever the namespace's history says (unless it is off), "
        "within the byte limits; 0: none.",
        ge=0,
        le=300_000,
    )
    checkpoint_bytes: int = variable(
        2_097_152,
        "Bytes of a shard's log from one checkpoint to the next, or the size of the last checkpoint if "
        "that is larger.",
        ge=65_536,
    )
    checkpoint_s: int = variable(
        60,
        "Seconds after which a quarter of those bytes is enough for the next checkpoint; after ten times "
        "as long, any entry is enough.",
        ge=1,
        le=3_600,
    )


class TakeoverSettings(Settings):
    """Who lives, and how shards change hands."""

    model_config = _PREFIX

    lease_ms: int = variable(
        5_000,
        "How long a gateway counts as alive without a heartbeat.",
        ge=50,
        le=120_000,
    )
    # A killed router is mostly known without it, since nobody is behind its inbox any more. It is the silence
    # after one that stands still. Who is taken for dead and lives has another speak besides it for a while,
    # which does no harm and costs some work.
    peer_lease_ms: int = variable(
        2_500, "How long a router counts as alive without a heartbeat.", ge=50, le=120_000
    )
    announce_ms: int = variable(
        500, "Interval of the router's heartbeats to the other routers.", ge=10, le=10_000
    )
    listen_ms: int = variable(
        1_500,
        "How long a new router listens to heartbeats before it speaks for a shard; more than "
        "WARREN_GATEWAY_ANNOUNCE_MS.",
        ge=0,
        le=60_000,
    )
    stop_deadline_ms: int = variable(15_000, "When a stopping router has exited at the latest.", ge=100)

    @model_validator(mode="after")
    def _leases_outlast(self) -> TakeoverSettings:
        if self.lease_ms < self.listen_ms:
            raise ValueError("WARREN_ROUTER_LEASE_MS must not be less than WARREN_ROUTER_LISTEN_MS")
        if self.peer_lease_ms < 2 * self.announce_ms:
            raise ValueError("WARREN_ROUTER_PEER_LEASE_MS must be at least twice WARREN_ROUTER_ANNOUNCE_MS")
        return self


class HttpApiSettings(Settings):
    """The HTTP API for backends."""

    model_config = SettingsConfigDict(env_prefix="WARREN_ROUTER_API_")

    host: ListenHost = variable(
        EVERY_ADDRESS,
        "Address or name of the HTTP API for backends; * for every IPv4 and IPv6 address of the machine.",
    )
    port: int = variable(0, "Port of the HTTP API for backends; 0: off.", ge=0, le=65_535)
    keys_file: str = variable(
        "",
        "File (YAML) with the keys of the HTTP API, each as its SHA-256 with a name and scopes; it is read "
        "again when it changes.",
    )
    admin: bool = variable(
        True,
        "Serve the admin page under /admin/ on the port of the HTTP API. The page holds no key: who uses it "
        "types one.",
    )
    connections: int = variable(
        1_024,
        "Connections to the HTTP API that may be open at a time; one too many is answered with 503.",
        ge=1,
        le=65_536,
    )


class WebhookSettings(Settings):
    """The webhooks of Pusher apps."""

    model_config = _PREFIX

    webhook_networks: CommaList = variable(
        (),
        "Networks that webhooks of Pusher apps may go to besides public addresses, such as 10.0.0.0/8 for "
        "backends in the same cluster; routers connect to no other.",
    )

    @field_validator("webhook_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            try:
                ipaddress.ip_network(each)
            except ValueError as error:
                raise ValueError(f"{error}; write networks as 10.0.0.0/8") from None
        return value


class RouterSettings(Settings):
    """All of the router's settings."""

    model_config = _PREFIX

    id: str = variable(
        "",
        "Prefix of the router's id (a pod's name); a random suffix makes it new for every life. Empty: "
        "all random.",
        pattern=r"^[A-Za-z0-9\-]{0,48}$",
    )
    bus: BusSettings = BusSettings()
    log: LogSettings = LogSettings()
    probes: RouterProbeSettings = RouterProbeSettings()
    flow: FlowSettings = FlowSettings()
    memory: MemorySettings = MemorySettings()
    takeover: TakeoverSettings = TakeoverSettings()
    namespaces: NamespaceSettings = NamespaceSettings()
    api: HttpApiSettings = HttpApiSettings()
    pusher: PusherSettings = PusherSettings()
    webhooks: WebhookSettings = WebhookSettings()
    events: CommaList = variable(
        ("client", "room"),
        "Kinds of events for backends on the topic exchange: client, room, undelivered (messages for rooms "
        "in which nobody is), message (doubles the load of a busy room); - for none.",
    )

    @model_validator(mode="after")
    def _log_holds_what_is_remembered(self) -> RouterSettings:
        if self.bus.broker_log_bytes < 2 * self.memory.history_bytes:
            raise ValueError("WARREN_BROKER_LOG_BYTES must be at least twice WARREN_ROUTER_HISTORY_BYTES")
        if self.bus.broker_log_bytes < 4 * self.memory.checkpoint_bytes:
            raise ValueError(
                "WARREN_BROKER_LOG_BYTES must be at least four times WARREN_ROUTER_CHECKPOINT_BYTES"
            )
        return self

    @field_validator("events")
    @classmethod
    def _known_events(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [kind for kind in value if kind not in EVENT_KINDS]
        if unknown:
            raise ValueError(f"must be some of {', '.join(EVENT_KINDS)}, not {', '.join(unknown)}")
        return value


def new_router_id(prefix: str) -> str:
    """Return an id for one life of a router: the prefix (where there is one) and ten random hex digits."""
    digits = secrets.token_hex(5)
    return f"{prefix}-{digits}" if prefix else digits
