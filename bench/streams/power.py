"""What a power failure could do: RabbitMQ does not sync a stream's files, so nodes may come back without the
end of what they have confirmed.

The disk after the failure is a copy of the streams' files that was made while the nodes ran; it is restored
after SIGKILL.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from bench.streams.clients import Reader
from bench.streams.stage import Run, Stage, brief, told

LOST_S = 2.0


async def tails_lost(stage: Stage) -> None:
    """One node comes back without the end of its log (nothing may be lost), then all three (what each reader
    sees).
    """
    queue = await stage.declare("one-tail")
    run = Run(stage, queue)
    await run.open()
    for victim in (await stage.leader(queue), (await stage.leader(queue) + 1) % 3):
        await asyncio.sleep(stage.seconds / 6)
        await _cut(stage, [victim])
        took = await run.through()
        await stage.together()
        stage.say(f"one node without its last {LOST_S:.0f} s: all run again {took:.1f} s after its start")
        await asyncio.sleep(2.0)
    await run.close("one node without its end")
    await stage.delete(queue)

    queue = await stage.declare("all-tails")
    run = Run(stage, queue)
    await run.open()
    careful = Reader("a reader that compares", stage.urls, 1, queue, compare=True)
    careful.start()
    await asyncio.sleep(stage.seconds / 6)
    await _cut(stage, [0, 1, 2])
    stage.say(
        f"all nodes without their last {LOST_S:.0f} s: confirmed {run.confirmed}, readers stood at {[reader.last for reader in run.readers]}"
    )
    await run.through()
    await asyncio.sleep(LOST_S + 3.0)
    stage.say(f"  {told([careful])}")
    await careful.stop()
    await run.close("all nodes without their end (loss is expected)", judged=False)
    stage.say(f"  jumps as readers saw them {[brief(reader.jumps) for reader in run.readers]}")
    stage.say(f"  {told(list(run.readers))}")
    await stage.delete(queue)


async def _cut(stage: Stage, victims: list[int]) -> None:
    copies = {index: await asyncio.to_thread(_copy, stage, index) for index in victims}
    await asyncio.sleep(LOST_S)
    for index in victims:
        stage.cluster.nodes[index].kill()
    for index, (streams, copy) in copies.items():
        for folder, kept in zip(streams, copy, strict=True):
            await asyncio.to_thread(_restore, kept, folder)
        stage.cluster.nodes[index].launch()
    for index in victims:
        await asyncio.to_thread(stage.cluster.nodes[index].wait, 120.0)


def _copy(stage: Stage, index: int) -> tuple[list[Path], list[Path]]:
    node = stage.cluster.nodes[index]
    streams = sorted({path.parent for path in (node.folder / "data").rglob("*.index")})
    copies = [node.folder / "cut" / folder.name for folder in streams]
    shutil.rmtree(node.folder / "cut", ignore_errors=True)
    for folder, copy in zip(streams, copies, strict=True):
        shutil.copytree(folder, copy)
    return streams, copies


def _restore(kept: Path, folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    for path in kept.iterdir():
        shutil.copy2(path, folder / path.name)
        shutil.chown(folder / path.name, folder.stat().st_uid, folder.stat().st_gid)
