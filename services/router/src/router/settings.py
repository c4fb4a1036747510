"""The router's settings: what each variable is called, its default, its limits, and what it means.

Only what the router alone reads begins with ``WARREN_ROUTER_``. ``app.py`` hands each group to the part that it configures.
"""

from __future__ import annotations

import secrets

from pydantic import model_validator
from pydantic_settings import SettingsConfigDict

from warren.settings import BusSettings, LogSettings, ProbeSettings, Settings, variable

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
        128, "Batches of one shard that the broker hands over before they are done.", ge=2, le=4096
    )
    notify_prefetch: int = variable(
        256, "Notifications that the broker hands over before they are done.", ge=1, le=65_535
    )
    batch_count: int = variable(1_024, "Messages that are worked on, and sent to one gateway, at once.", ge=1)
    batch_bytes: int = variable(262_144, "Bytes that are worked on, and sent to one gateway, at once.", ge=1_024)
    egress_count: int = variable(65_536, "Messages that may wait for one gateway; beyond it the shards wait.", ge=16)
    egress_bytes: int = variable(
        67_108_864, "Bytes that may wait for one gateway; beyond it the shards wait.", ge=1_048_576
    )
    notify_bytes: int = variable(1_048_576, "Largest payload of a notification in bytes; beyond it: set aside.", ge=64)


class MemorySettings(Settings):
    """What a shard remembers."""

    model_config = _PREFIX

    dedup_count: int = variable(65_536, "Message ids that one shard remembers, to count a repeat once.", ge=1)
    dedup_age_ms: int = variable(600_000, "How long a message id is remembered.", ge=1_000)
    rooms_remembered: int = variable(
        65_536, "Rooms without members whose position one shard keeps; a room forgotten begins anew.", ge=1
    )


class TakeoverSettings(Settings):
    """Who lives, and how a shard is taken over."""

    model_config = _PREFIX

    lease_ms: int = variable(5_000, "How long a gateway lives without a heartbeat.", ge=50, le=120_000)
    listen_ms: int = variable(
        1_500,
        "How long a new router listens to heartbeats before it serves a shard; more than WARREN_GATEWAY_ANNOUNCE_MS.",
        ge=0,
        le=60_000,
    )
    ask_timeout_ms: int = variable(
        3_000, "How long a new owner of a shard waits for the members of gateways that live.", ge=10, le=60_000
    )
    stop_deadline_ms: int = variable(15_000, "After how long a router that was told to go is gone.", ge=100)

    @model_validator(mode="after")
    def _leases_outlast(self) -> TakeoverSettings:
        if self.lease_ms < self.listen_ms:
            raise ValueError("WARREN_ROUTER_LEASE_MS must not be less than WARREN_ROUTER_LISTEN_MS")
        return self


class RouterSettings(Settings):
    """All of the router's settings."""

    model_config = _PREFIX

    id: str = variable(
        "",
        "What the router's id begins with (a pod's name); a random end makes it new for every life. Empty: all random.",
        pattern=r"^[A-Za-z0-9\-]{0,48}$",
    )
    bus: BusSettings = BusSettings()
    log: LogSettings = LogSettings()
    probes: RouterProbeSettings = RouterProbeSettings()
    flow: FlowSettings = FlowSettings()
    memory: MemorySettings = MemorySettings()
    takeover: TakeoverSettings = TakeoverSettings()


def new_router_id(prefix: str) -> str:
    """Return an id for one life of a router: the prefix (where there is one) and ten random hex digits."""
    digits = secrets.token_hex(5)
    return f"{prefix}-{digits}" if prefix else digits
