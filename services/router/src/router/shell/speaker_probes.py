"""SpeakerProbes: probes several times a second the own queues of the speakers for whose shards this router
stands by.

Where nobody is behind such a queue any more the speaker is gone, and no lease has to end first. A probe costs
the broker and both routers about as much as a message of a client, so they are few, and one that comes back
is followed by the next at once. One that is not answered holds up none of the others. It ends no lease
itself.
"""

from __future__ import annotations

import asyncio

from router.core.placement import Placement
from router.shell.peer_inbox import PeerInbox
from router.shell.router_context import RouterContext
from warren.queue_probe import QueueProbe
from warren.supervision import cancel_and_wait, supervised

EVERY_S = 0.2
AGAIN_S = 0.03  # behind a probe that came back; a broker may learn of a binding late


class SpeakerProbes:
    """One router's."""

    def __init__(self, context: RouterContext, placement: Placement, inbox: PeerInbox) -> None:
        """``inbox`` is told who is unreachable."""
        self._bus = context.bus
        self._exchange = context.topology.routers
        self._placement = placement
        self._inbox = inbox
        self._probes: dict[str, QueueProbe] = {}  # of each speaker for which we stand by
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to probe once the other routers know of us."""
        self._task = supervised(asyncio.get_running_loop().create_task(self._run(), name="speaker-probes"))

    async def stop(self) -> None:
        """Probe no more."""
        task, self._task = self._task, None
        await cancel_and_wait(task, *self._under_way.values())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            if self._placement.announced and self._bus.up and not self._bus.blocked:
                self._begin()

    def _begin(self) -> None:
        self._probes = {
            speaker: self._probes.get(speaker) or QueueProbe(self._bus, self._exchange, speaker)
            for speaker in self._placement.stood_by_for()
        }
        for speaker, probe in self._probes.items():
            if speaker not in self._under_way:
                task = asyncio.get_running_loop().create_task(self._try(speaker, probe), name="speaker-probe")
                self._under_way[speaker] = supervised(task)

    async def _try(self, speaker: str, probe: QueueProbe) -> None:
        try:
            gone = await probe.unreachable()
            if probe.doubtful:
                await asyncio.sleep(AGAIN_S)
                gone = await probe.unreachable()
            if gone:
                self._inbox.unreachable(speaker)
        finally:
            del self._under_way[speaker]
