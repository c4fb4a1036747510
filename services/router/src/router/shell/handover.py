"""Handover: gives this router's shards to the others: in order when it is told to go, and at once where some
log is for newer routers.

It takes no more of what backends publish, says goodbye, and has the router speak for each shard until another
one does. A router that is outdated stays as a process, since another life of it would know no more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from router.core.placement import Placement
from router.shell.announcer import Announcer
from router.shell.notifications import Notifications
from router.shell.router_context import RouterContext
from router.shell.shards import Shards
from router.shell.speaker_probes import SpeakerProbes
from warren.logs import event, get_logger
from warren.supervision import cancel_and_wait, supervised

# How long a router that goes waits for the others to speak for its shards.
HANDOVER_S = 3.0
# How often it looks whether they do.
LOOK_S = 0.01

_logger = get_logger("router.handover")


class Handover:
    """One router's."""

    def __init__(
        self,
        context: RouterContext,
        placement: Placement,
        shards: Shards,
        announcer: Announcer,
        probes: SpeakerProbes,
        notifications: Sequence[Notifications],
    ) -> None:
        """Nothing is given away before it is asked for, or due. ``notifications`` pass on what backends
        publish.
        """
        self._bus = context.bus
        self._clock = context.clock
        self._metrics = context.metrics
        self._placement = placement
        self._shards = shards
        self._announcer = announcer
        self._probes = probes
        self._notifications = notifications
        self._standing_down: asyncio.Task[None] | None = None

    def tick(self) -> None:
        """See whether this router is outdated. To be called several times a second."""
        reason = self._shards.outdated
        if not reason or self._standing_down is not None:
            return
        event(_logger, "router_outdated", level=logging.ERROR, reason=reason)
        task = asyncio.get_running_loop().create_task(self._stand_down(), name="router-stands-down")
        self._standing_down = supervised(task)

    async def finish(self, within_s: float) -> None:
        """Finish what has begun, say goodbye, and speak until the others do. What is not done ``within_s``
        seconds goes to the next ones as from a router that died; so does all where it fails, and where the
        broker is away.
        """
        await cancel_and_wait(self._standing_down)
        try:
            async with asyncio.timeout(within_s if self._bus.up else 0.0):
                await self._finish()
        except TimeoutError:
            pass
        except Exception as error:  # noqa: BLE001 - whatever fails here, the rest of the router is still to be ended
            event(_logger, "stop_failed", level=logging.ERROR, error=error)
        await self._kill_notifications()
        await self._probes.stop()
        await self._announcer.stop()

    async def _finish(self) -> None:
        await self._stop_notifications()
        began = self._clock.monotonic()
        spoken = self._shards.speaking
        await self._leave()
        if self._placement.routers:
            until = began + HANDOVER_S
            # It is heard in the others' heartbeats, shard by shard.
            while any(shard.speaks for shard in spoken) and self._clock.monotonic() < until:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)
        if spoken:
            took_s = self._clock.monotonic() - began
            self._metrics.hop_seconds("handover", took_s)
            event(_logger, "shards_handed_over", shards=len(spoken), ms=round(1_000 * took_s, 1))

    async def _stand_down(self) -> None:
        await self._leave()
        await self._stop_notifications()
        await self._kill_notifications()

    async def _stop_notifications(self) -> None:
        for each in self._notifications:
            await each.stop()

    async def _kill_notifications(self) -> None:
        for each in self._notifications:
            await each.kill()

    async def _leave(self) -> None:
        await self._probes.stop()
        await self._announcer.leave()
