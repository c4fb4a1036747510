"""The cluster that the scenarios share, and a run of two writers and three readers on one of its streams,
with its results.

It starts and stops things and counts with ``verdict``; what is done to the broker meanwhile is up to the
scenarios.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from bench.streams.clients import Client, Reader, Writer, connect, drop, eventually, read_all
from bench.streams.entries import Key
from bench.streams.verdict import Jump, Verdict, judge, jumps
from rabbit_nodes.cluster import RabbitCluster

NODES = 3
END = 1_000


@dataclass(slots=True)
class Stage:
    """A cluster, and the findings on it."""

    cluster: RabbitCluster
    seconds: float = 30.0
    version: str = ""
    good: bool = True
    found: list[str] = field(default_factory=list)

    @property
    def urls(self) -> list[str]:
        """The nodes' addresses."""
        return self.cluster.urls

    def say(self, text: str) -> None:
        """Print a finding and keep it."""
        print(text, flush=True)
        self.found.append(text)

    async def ctl(self, *arguments: str, node: int = 0) -> str:
        """Run ``rabbitmqctl`` on a node."""
        return await asyncio.to_thread(self.cluster.nodes[node].ctl, *arguments)

    async def declare(self, queue: str, *, node: int = 0, **arguments: object) -> str:
        """Declare a durable stream through a node; ``_`` in the names of arguments stands for ``-``."""
        connection = await connect(self.urls[node])
        try:
            channel = await connection.channel()
            named = {"x-queue-type": "stream"} | {
                key.replace("_", "-"): value for key, value in arguments.items()
            }
            await channel.queue_declare(queue, durable=True, arguments=named)  # type: ignore[arg-type]
        finally:
            await drop(connection)
        return queue

    async def delete(self, queue: str, node: int = 0) -> None:
        """Delete a stream."""
        connection = await connect(self.urls[node])
        try:
            channel = await connection.channel()
            await channel.queue_delete(queue)
        finally:
            await drop(connection)

    async def replicas(self, queue: str, node: int = 0) -> tuple[str, list[str], list[str]]:
        """Return a stream's leader, its members and those of them that are up, as ``rabbitmqctl`` says."""
        said = json.loads(
            await self.ctl(
                "list_queues", "name", "leader", "members", "online", "--formatter", "json", node=node
            )
        )
        row = next(each for each in said if each["name"] == queue)
        return row["leader"], sorted(row["members"]), sorted(row["online"])

    async def leader(self, queue: str, node: int = 0) -> int:
        """Return the index of the node on which a stream is written."""
        name, _, _ = await self.replicas(queue, node)
        return next(index for index, each in enumerate(self.cluster.nodes) if each.name == name)

    async def settled(self, queue: str, number: int) -> None:
        """Wait until entries that were written without confirms are in: an entry of its own follows them."""
        writer = Writer(number, self.urls, 0, queue)
        writer.start()
        await eventually(lambda: writer.confirmed > 0, 120.0, "what was written before")
        await writer.stop()

    async def heal(self) -> None:
        """After a scenario that aborted: stop what it left running, and bring every node back."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for node in self.cluster.nodes:
            node.resume()
            if not node.running:
                node.launch()
        for node in self.cluster.nodes:
            await asyncio.to_thread(node.wait, 120.0)
        await self.together()

    async def together(self) -> None:
        """Wait until the nodes form one cluster again. Raises RuntimeError."""
        if not await asyncio.to_thread(self.cluster.together, 90.0):
            raise RuntimeError("the nodes are not one cluster again")


class Run:
    """Two writers and three readers, one on each node. ``open`` starts it, ``close`` reads everything again
    and judges.
    """

    def __init__(
        self,
        stage: Stage,
        queue: str,
        *,
        writers: int = 2,
        readers: int = 3,
        size: int = 600,
        gap_s: float = 0.004,
    ) -> None:
        self.stage = stage
        self.queue = queue
        self.writers = [
            Writer(index + 1, stage.urls, index, queue, size=size, gap_s=gap_s) for index in range(writers)
        ]
        self.readers = [Reader(f"reader {index + 1}", stage.urls, index, queue) for index in range(readers)]
        self.log: dict[int, Key] = {}

    @property
    def clients(self) -> list[Client]:
        """All of them."""
        return [*self.writers, *self.readers]

    @property
    def confirmed(self) -> int:
        """How many entries have been confirmed."""
        return sum(writer.confirmed for writer in self.writers)

    async def open(self) -> None:
        """Start, and wait until everything runs."""
        for client in self.clients:
            client.start()
        await eventually(
            lambda: (
                all(one.confirmed > 20 for one in self.writers) and all(one.last > 20 for one in self.readers)
            ),
            30.0,
            "the start of the run",
        )

    def forget(self) -> None:
        """Restart the measurement of silences."""
        for client in self.clients:
            client.silence.forget()

    async def through(self, within_s: float = 120.0) -> float:
        """Wait until every writer has a new confirm and every reader has an entry that was written after the
        call; return how long it took.
        """
        confirmed = [writer.confirmed for writer in self.writers]
        at = max(reader.last for reader in self.readers)
        return await eventually(
            lambda: (
                all(writer.confirmed > before for writer, before in zip(self.writers, confirmed, strict=True))
                and all(reader.last > at for reader in self.readers)
            ),
            within_s,
            "writers and readers that run again",
        )

    def silences(self) -> str:
        """The longest silence of a writer and of a reader since ``forget``."""
        return f"longest silence: writers {max(one.silence.so_far_s for one in self.writers):.2f} s, readers {max(one.silence.so_far_s for one in self.readers):.2f} s"

    async def close(self, what: str, *, judged: bool = True) -> Verdict:
        """Let the writers finish and the readers reach the end, read the log again from its first entry, and
        judge (``judged`` False: only count).
        """
        for writer in self.writers:
            writer.held.clear()
        await asyncio.sleep(0.1)
        end = Writer(END, self.stage.urls, 0, self.queue)
        end.start()
        await eventually(lambda: end.confirmed > 0, 60.0, "the confirm of the last entry")
        end.held.clear()
        last = Key(END, 1)
        try:
            await eventually(
                lambda: all(last in reader.seen.values() for reader in self.readers),
                60.0,
                "readers at the end",
                0.2,
            )
        except TimeoutError:
            self.stage.say(
                f"  NOT AT THE END: {[(reader.name, reader.last, reader.told()) for reader in self.readers]}"
            )
        for client in [end, *self.clients]:
            await client.stop()
        self.log = await read_all(self.stage.urls[0], self.queue, last)
        confirmed = {writer.number: writer.confirmed for writer in self.writers} | {END: 1}
        verdict = judge(confirmed, self.log, [reader.seen for reader in self.readers])
        other = sum(len(reader.other) for reader in self.readers)
        back = sum(len(reader.backwards) for reader in self.readers)
        self.stage.good &= not judged or (verdict.good and not other)
        self.stage.say(
            f"{what}: {verdict}, sent again {sum(one.again for one in self.writers)}; an offset given twice {back}, not alike {other}"
        )
        self.stage.say(
            f"  jumps in the log: {brief(jumps(self.log))}; as readers saw them: {', '.join(brief(reader.jumps) for reader in self.readers)}"
        )
        return verdict


def brief(found: list[Jump]) -> str:
    """Format jumps in one line."""
    if not found:
        return "none"
    shown = " ".join(f"{one.after}→{one.upto}" for one in found[:8])
    return f"{len(found)} (missing {min(one.missing for one in found)} to {max(one.missing for one in found)}: {shown}{' …' if len(found) > 8 else ''})"


def told(clients: list[Client], since: float = 0.0) -> str:
    """Format what happened to clients."""
    return "; ".join(f"{client.name}: {client.told(since) or 'nothing'}" for client in clients)
