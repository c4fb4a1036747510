"""Peers: which gateways and routers live, as far as this router can hear.

While its own queue is not consumed no lease ends, since nothing could be heard; nor while nothing at all
comes, not even what this router says itself: then this router is deaf, and the others are not dead. Pure:
times are monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from router.core.gateway_leases import GatewayLeases
from router.core.router_leases import RouterLeases
from warren.envelope import RouterHeartbeat

# Who does not even hear itself for so many heartbeats is deaf.
DEAF_BEATS = 3


@dataclass(frozen=True, slots=True)
class PeerTimes:
    """How long gateways and routers live without a heartbeat, and how often routers send one."""

    gateway_lease_s: float = 5.0
    router_lease_s: float = 2.5
    heartbeat_s: float = 0.5


@dataclass(frozen=True, slots=True)
class Gone:
    """Those whose lease has ended."""

    gateways: list[str]
    routers: list[str]


class Peers:
    """The leases of all others, and for how long they can be heard."""

    def __init__(self, router: str, times: PeerTimes) -> None:
        """Nobody is known, and nothing is heard; ``router`` is ours."""
        self.gateways = GatewayLeases(times.gateway_lease_s)
        self.routers = RouterLeases(times.router_lease_s)
        self._router = router
        self._deaf_s = DEAF_BEATS * times.heartbeat_s
        self._since: float | None = None  # when the listening began
        self._heard_at = 0.0
        self._hears_itself = False

    def begun(self, now: float) -> None:
        """Heartbeats can be heard (again)."""
        self._since = self._heard_at = now
        self._hears_itself = False
        self._renew_all(now)

    def lost(self) -> None:
        """Nothing can be heard any more."""
        self._since = None

    def heard(self, now: float) -> None:
        """Something has come, whatever it is."""
        self._heard_at = now

    def router_said(self, beat: RouterHeartbeat, now: float) -> bool:
        """Take a router's heartbeat, also our own; True where the router is new."""
        self._hears_itself = self._hears_itself or beat.router == self._router
        return self.routers.heartbeat(beat, now)

    def listening_s(self, now: float) -> float:
        """Return for how long heartbeats have been heard without a break, in seconds; less than 0: they are
        not.
        """
        return -1.0 if self._since is None else now - self._since

    def heard_every_gateway(self, now: float) -> bool:
        """Say whether each gateway that lives has been heard: the listening has lasted for a whole lease."""
        return self.listening_s(now) >= self.gateways.lease_s

    def expire(self, now: float, *, blocked: bool) -> Gone:
        """End the leases whose time is up. ``blocked``: the broker takes nothing from anyone, so that nobody
        can say that it lives. To be called several times a second.
        """
        if self._since is None:
            return Gone([], [])
        deaf = self._hears_itself and now - self._heard_at >= self._deaf_s
        if blocked or deaf:
            self._since = now
            self._renew_all(now)
            return Gone([], [])
        return Gone(self.gateways.expire(now), self.routers.expire(now))

    def _renew_all(self, now: float) -> None:
        self.gateways.renew_all(now)
        self.routers.renew_all(now)
