"""Announcer: tells the routers that this gateway lives and who its members are.

A heartbeat goes to all routers, at once whenever our queue is consumed anew; each that is confirmed renews our own lease. After each it knocks at
our own door. A router that owns
a shard from now on asks; the answer is our members there, in parts of bounded size. After the bus came back, and after our lease had ended,
the routers are told unasked, and then ask. What waits to be told is one entry for each router and shard, the latest counts; it is sent until it
is confirmed, or its router is gone. It decides nothing about terms: the hub does. The downlink hands it what routers ask, ``app.py``
starts and ends it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence

from gateway.core.hub import Hub
from gateway.core.lease import Lease
from warren import envelope
from warren.bus import Bus, Properties
from warren.clock import Clock
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.fault import watched
from warren.knock import Knock
from warren.logs import event, get_logger
from warren.topology import ALL, Topology

PART_MEMBERS = 2_000
RETRY_FIRST_S = 0.05
RETRY_LAST_S = 1.0

_PROPERTIES = Properties(content_type=envelope.CONTENT_TYPE)
_log = get_logger("gateway.announcer")


class Announcer:
    """The gateway's voice to the routers."""

    def __init__(
        self,
        bus: Bus,
        topology: Topology,
        clock: Clock,
        hub: Hub,
        lease: Lease,
        pulse: Callable[[], envelope.Heartbeat],
        *,
        every_s: float,
        on_lapse: Callable[[], None],
        on_shut: Callable[[], None],
        chance: random.Random | None = None,
    ) -> None:
        """``pulse`` makes the heartbeat of this moment; ``on_lapse`` is called when our lease is found to have ended, ``on_shut`` when nothing
        can reach our queue.
        """
        self._bus = bus
        self._topology = topology
        self._clock = clock
        self._hub = hub
        self._lease = lease
        self._pulse = pulse
        self._every_s = every_s
        self._on_lapse = on_lapse
        self._on_shut = on_shut
        self._chance = chance or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._pending: dict[tuple[str, int], int] = {}  # (router or all, shard): the Ask's ref
        self._news = asyncio.Event()
        self._beat_now = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to beat."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            watched(loop.create_task(self._beat(), name="announcer-heartbeat")),
            watched(loop.create_task(self._tell(), name="announcer")),
        ]

    async def stop(self) -> None:
        """Say goodbye (the members have left before) and end."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if tasks and self._bus.up:
            await self._send(ALL, [envelope.Bye(self._pulse().gateway)])

    def returned(self) -> None:
        """Our queue is consumed anew, under a new name: what was sent to the old one is lost, so everybody is told afresh."""
        self._beat_now.set()
        for shard in range(self._topology.shards):
            self.tell(shard)

    def check(self) -> None:
        """Look whether our lease has ended; then it is announced at once that we are still here."""
        if self._lease.lapses(self._clock.monotonic()):
            self._on_lapse()
            self._beat_now.set()

    def tell(self, shard: int) -> None:
        """Tell all routers unasked that they should ask for our members on a shard."""
        self._add(ALL, shard, 0)

    def answer(self, ask: envelope.Ask) -> None:
        """Answer a router that owns a shard. An older term than the one we know is told that one, so that the router takes a higher."""
        if self._hub.fence(ask.shard, ask.term):
            self._lease.asked(ask.shard)
        self._add(ask.router, ask.shard, ask.ref)

    def _add(self, key: str, shard: int, ref: int) -> None:
        self._pending.pop((key, shard), None)
        self._pending[key, shard] = ref
        self._news.set()

    async def _beat(self) -> None:
        knock = Knock(self._bus, self._topology.egress, self._pulse().gateway)
        while True:
            self._beat_now.clear()
            sent_at = self._clock.monotonic()
            if await self._send(ALL, [self._pulse()]):
                self.check()
                self._lease.renew(sent_at, self._clock.monotonic())
                for shard in sorted(self._lease.suspended):
                    self.tell(shard)
            if await knock.shut():
                self._on_shut()
            try:
                async with asyncio.timeout(self._every_s):
                    await self._beat_now.wait()
            except TimeoutError:
                continue

    async def _tell(self) -> None:
        """Send what is pending, the eldest first, until it is confirmed."""
        wait_s = RETRY_FIRST_S
        while True:
            if not self._pending:
                self._news.clear()
                await self._news.wait()
            (key, shard), ref = next(iter(self._pending.items()))
            if await self._tell_one(key, shard, ref):
                wait_s = RETRY_FIRST_S
                if self._pending.get((key, shard)) == ref:
                    del self._pending[key, shard]
                continue
            await asyncio.sleep(wait_s * self._chance.uniform(0.5, 1.5))
            wait_s = min(RETRY_LAST_S, 2 * wait_s)

    async def _tell_one(self, key: str, shard: int, ref: int) -> bool:
        if key == ALL:
            # Unasked, the routers only need to know that they should ask.
            return await self._send(ALL, [envelope.Announce(self._pulse().gateway, shard, self._hub.term(shard), ())])
        parts = list(self._parts(shard, ref))
        for part in parts:
            if not await self._send(key, [part]):
                return False
        event(_log, "announced", router=key, shard=shard, term=parts[0].term, rooms=sum(len(p.rooms) for p in parts))
        return True

    async def _send(self, key: str, envelopes: Sequence[envelope.Envelope]) -> bool:
        """Publish; False where it should be tried again. A router that is gone needs nothing any more."""
        body = envelope.encode(envelopes)
        try:
            await self._bus.publish(
                self._topology.routers, key, body, _PROPERTIES, mandatory=key != ALL, persistent=False
            )
        except (BusUnavailable, NotConfirmed):
            return False
        except Unroutable:
            event(_log, "router_gone", router=key)
        return True

    def _parts(self, shard: int, ref: int) -> Iterator[envelope.Announce]:
        """Yield our members on a shard in parts; a shard without rooms is one empty part."""
        gateway, term = self._pulse().gateway, self._hub.term(shard)
        rooms: list[envelope.Members] = []
        count = 0
        for room in self._hub.snapshot(shard):
            for begin in range(0, max(1, len(room.members)), PART_MEMBERS):
                members = room.members[begin : begin + PART_MEMBERS]
                if rooms and count + len(members) > PART_MEMBERS:
                    yield envelope.Announce(gateway, shard, term, tuple(rooms), last=False, ref=ref)
                    rooms, count = [], 0
                rooms.append(envelope.Members(room.room, members, room.position))
                count += len(members)
        yield envelope.Announce(gateway, shard, term, tuple(rooms), last=True, ref=ref)
