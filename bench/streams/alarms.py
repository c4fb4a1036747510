"""What writers and readers see while the broker is short of memory or disk, with separate connections and
with a shared one.
"""

from __future__ import annotations

import asyncio
import time

from bench.streams.clients import Client, Reader, Writer, drop, eventually, some_entries
from bench.streams.stage import Run, Stage, told

LASTS_S = 8.0


class Both(Client):
    """A reader and a writer on one connection, to see whether the alarm stops the reader too."""

    def __init__(self, urls: list[str], queue: str) -> None:
        super().__init__("both on one connection", urls, 1, queue)
        self.writer = Writer(9, urls, 1, queue)
        self.reader = Reader("reader beside a writer", urls, 1, queue, offset="next")

    async def _serve(self, connection) -> None:  # type: ignore[no-untyped-def]
        self.reader.silence.forget()
        tasks = [
            asyncio.create_task(self.writer._serve(connection)),
            asyncio.create_task(self.reader._serve(connection)),
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await drop(connection)


ALARMS = {
    "memory": (("set_vm_memory_high_watermark", "0.00000001"), ("set_vm_memory_high_watermark", "0.4")),
    "disk": (("set_disk_free_limit", "1000000GB"), ("set_disk_free_limit", "50MB")),
}


async def alarms(stage: Stage) -> None:
    """Each alarm on one node for a while: does it stop writers on every node, do readers continue, is
    everything confirmed afterwards?
    """
    for what, (raised, lowered) in ALARMS.items():
        await _alarm(stage, what, raised, lowered)


async def _alarm(stage: Stage, what: str, raised: tuple[str, str], lowered: tuple[str, str]) -> None:
    queue = await stage.declare(f"alarm-{what}")
    run = Run(stage, queue)
    await run.open()
    both = Both(stage.urls, queue)
    both.start()
    await eventually(
        lambda: both.writer.confirmed > 5 and both.reader.last > 0, 20.0, "both on one connection"
    )
    await asyncio.sleep(stage.seconds / 8)
    at = time.time()
    await stage.ctl(*raised, node=2)
    await asyncio.sleep(1.5)
    run.forget()
    both.reader.silence.forget()
    before = [writer.confirmed for writer in run.writers]
    behind = [max(reader.last for reader in run.readers) - reader.last for reader in run.readers]
    beside = await beside_a_writer(both, queue)
    # a reader that starts at the first entry during the alarm: do readers still get existing entries?
    fresh = Reader("fresh", stage.urls, 2, queue)
    fresh.start()
    await asyncio.sleep(LASTS_S)
    stage.say(
        f"alarm, {what}, on node 3: confirmed during {LASTS_S:.0f} s of it {[writer.confirmed - then for writer, then in zip(run.writers, before, strict=True)]} (writers are on nodes 1 and 2); "
        f"a reader that begins during it is given {len(fresh.seen)} entries up to {fresh.last}; on a connection that published, one is given {beside} of 50 entries in 3 s; the readers stand {behind} behind; {told([*run.clients, both, both.writer, both.reader], at)}"
    )
    run.forget()
    began = time.monotonic()
    await stage.ctl(*lowered, node=2)
    took = await run.through()
    stage.say(
        f"alarm, {what}, over: writers and readers run {time.monotonic() - began:.2f} s after the command began ({took:.2f} s after it ended); told since {told(run.clients, at)}"
    )
    await both.stop()
    await fresh.stop()
    both_confirmed = both.writer.confirmed
    verdict = await run.close(f"alarm, {what}")
    there = sum(1 for key in run.log.values() if key.writer == 9)
    stage.good &= there >= both_confirmed
    stage.say(
        f"  the writer beside a reader: confirmed {both_confirmed}, in the log {there}; {'good' if verdict.good else 'NOT good'}"
    )
    await stage.delete(queue)


async def beside_a_writer(both: Both, queue: str) -> int | str:
    """How many entries a new reader gets on the connection that the alarm has stopped."""
    if both.connection is None:
        return "no connection"
    # no wait_for: cancelling a call closes its channel, and the connection is still needed
    asking = asyncio.create_task(some_entries(both.connection, queue, "first", 50, 3.0))
    done, _ = await asyncio.wait([asking], timeout=4.0)
    if not done:
        asking.cancel()
        await asyncio.wait([asking])
        return "nothing, not even an answer to channel.open,"
    error = asking.exception()
    return len(asking.result()) if error is None else str(error)
