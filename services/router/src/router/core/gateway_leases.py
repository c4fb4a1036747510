"""GatewayLeases: the leases of all gateways, which their heartbeats renew, and what these say taken together.

Where a lease ends the gateway's members have left. Pure: times are monotonic seconds.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from warren.envelope import Heartbeat
from warren.lease import Leases

# From this version of the fold on there are items that gateways of older releases do not understand.
NEW_ITEMS_VERSION: Final = 2


class Heard(enum.Enum):
    """What a heartbeat tells about its gateway."""

    NEW = "new"
    KNOWN = "known"
    REBORN = "reborn"  # another life under the same name: the members of the former one are gone
    LATE = "late"  # a heartbeat of a former life under this name: it renews nothing


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of what the living gateways say."""

    gateways: int = 0
    connections: int = 0
    messages_in: int = 0
    messages_out: int = 0
    errors: int = 0
    rss_bytes: int = 0
    uplink_bytes: int = 0


class GatewayLeases(Leases[Heartbeat]):
    """The leases of all gateways."""

    def heartbeat(self, beat: Heartbeat, now: float) -> Heard:
        """Renew a gateway's lease, unless the heartbeat is of a former life."""
        before = self.said(beat.gateway)
        if before is not None and beat.started_us < before.started_us:
            return Heard.LATE
        if self.renew(beat.gateway, beat, now):
            return Heard.NEW
        same = before is None or before.started_us == beat.started_us
        return Heard.KNOWN if same else Heard.REBORN

    def understood(self, version: int) -> int:
        """Return the highest version of the fold up to this one of which all living gateways understand every
        item; one that does not say so is of an older release.
        """
        known = min((beat.fold_version for beat in self.all_said().values()), default=version)
        return version if known >= NEW_ITEMS_VERSION else min(version, NEW_ITEMS_VERSION - 1)

    def totals(self) -> Totals:
        """Return the sums of what the gateways said last."""
        said = self.all_said().values()
        return Totals(
            gateways=len(self.living),
            connections=sum(beat.connections for beat in said),
            messages_in=sum(beat.messages_in for beat in said),
            messages_out=sum(beat.messages_out for beat in said),
            errors=sum(beat.errors for beat in said),
            rss_bytes=sum(beat.rss_bytes for beat in said),
            uplink_bytes=sum(beat.uplink_bytes for beat in said),
        )
