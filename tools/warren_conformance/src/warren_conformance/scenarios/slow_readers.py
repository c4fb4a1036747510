"""Slow readers: what the server withheld is no gap, and what waits in the client is bounded."""

from __future__ import annotations

import asyncio
import base64
from typing import Final

from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

SECTION = "Slow readers"
FLOOD: Final = 2_000
PIECE_BYTES: Final = 12_000


@scenario("dropped-is-no-gap", "DROPPED: missing seqs up to `seq` are not a gap", SECTION)
async def dropped_is_no_gap(trial: Trial) -> None:
    """Withhold messages, say so, and send the next ones."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=11)
    await connection.publish("chat:a")
    await client.delivers("chat:a", 12)
    room = client.room("chat:a")
    for _ in range(4):
        room.publish()
    payload = {"count": 4, "seq": 16}
    await connection.send({"type": "DROPPED", "room": "chat:a", "payload": payload, "version": "1.0"})
    await client.told(
        "dropped", "the client did not tell its application that messages were withheld", room="chat:a"
    )
    await connection.publish("chat:a")
    await connection.publish("chat:a")
    await client.delivers("chat:a", 17, 18)
    await client.quiet(client.seconds("gap_ms") + 0.3)
    if len(connection.of("JOIN", "chat:a")) > 1:
        raise Breach("the client took messages for a gap that DROPPED had announced, and sent JOIN again")


@scenario("dropped-unnumbered", "DROPPED with seq 0: none of the withheld messages is numbered", SECTION)
async def dropped_unnumbered(trial: Trial) -> None:
    """Withhold messages without numbers; then lose a numbered one, which is a gap."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=11)
    payload = {"count": 9, "seq": 0}
    await connection.send({"type": "DROPPED", "room": "chat:a", "payload": payload, "version": "1.0"})
    await connection.publish("chat:a")
    client.room("chat:a").publish()
    await connection.publish("chat:a")
    await connection.expect("JOIN", "the client did not JOIN again, although 13 is missing before 14")
    await client.delivers("chat:a", 12, 13, 14)


@scenario(
    "own-queue-is-bounded",
    "an application that does not take its messages does not make the client's memory grow without bound",
    SECTION,
    needs="pause",
    times={"ping_ms": 60_000, "pong_ms": 60_000},
)
async def own_queue_is_bounded(trial: Trial) -> None:
    """Send 32 MB while the application takes nothing: the client stops reading, or closes, or drops and says
    so, or drops and asks again.
    """
    client = await trial.client()
    connection = await client.joins("chat:a")
    await client.do("pause")
    room = client.room("chat:a")
    stopped = False
    # what can't be compressed
    piece = base64.b64encode(trial.random.randbytes(PIECE_BYTES)).decode()
    for number in range(FLOOD):
        frame = room.publish({"n": number, "text": piece})
        try:
            async with asyncio.timeout(client.patience(2.0)):
                await connection.send(frame)
        except TimeoutError:
            stopped = True
            break
        if connection.closed.done():
            stopped = True
            break
    await client.do("resume")
    if stopped:
        await client.told(
            "message", "the client delivered nothing once its application went on", room="chat:a"
        )
        return
    deadline = client.now() + client.patience(20.0)
    while not (
        client.all_told("gap") or client.all_told("dropped") or len(connection.of("JOIN", "chat:a")) > 1
    ):
        if client.now() > deadline:
            raise Breach(
                "the client took 32 MB that its application did not: it neither stopped reading, nor told of a "
                "loss, nor asked for the messages again with its position"
            )
        await asyncio.sleep(0.05)
