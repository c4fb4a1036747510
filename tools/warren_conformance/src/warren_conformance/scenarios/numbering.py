"""Numbered messages arrive once and in order; what has no number moves no position."""

from __future__ import annotations

from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

SECTION = "Order and position"


@scenario(
    "repeats-are-dropped", "a message whose seq is not above the client's position is a repeat", SECTION
)
async def repeats_are_dropped(trial: Trial) -> None:
    """Send messages twice, also in another order."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=11)
    first, second = await connection.publish("chat:a"), await connection.publish("chat:a")
    await connection.send(first, second, first)
    await connection.publish("chat:a")
    await client.delivers("chat:a", 12, 13, 14)
    if len(connection.of("JOIN", "chat:a")) > 1:
        raise Breach("the client sent JOIN again, although nothing was missing")


@scenario("unnumbered", "a message without seq is not numbered: it is delivered, and is no position", SECTION)
async def unnumbered(trial: Trial) -> None:
    """Send TYPING between numbered messages, and look at the position afterwards."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=4)
    typing = {"type": "TYPING", "room": "chat:a", "payload": True, "sender": "bob", "version": "1.0"}
    await connection.publish("chat:a")
    await connection.send(typing)
    await client.told("message", "the client did not deliver TYPING, which has no seq", type="TYPING")
    await connection.publish("chat:a")
    await client.delivers("chat:a", 5, 6)
    connection.cut()
    again = await client.returns()
    join = await again.expect("JOIN", "the client did not join its room again", room="chat:a")
    since = (join.get("payload") or {}).get("since")
    if since != {"epoch": "k3f9-1", "seq": 6}:
        raise Breach(f"the client came back with the position {since}, and was at (k3f9-1, 6)")
