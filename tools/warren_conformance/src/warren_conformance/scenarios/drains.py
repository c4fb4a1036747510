"""A pod that shuts down gives each client a time at which to connect again."""

from __future__ import annotations

from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

SECTION = "What the server sends"
RECONNECT = "RECONNECT: connect again after `after_ms`, with your positions"


@scenario("drain-keeps-its-slot", RECONNECT, SECTION)
async def drain_keeps_its_slot(trial: Trial) -> None:
    """Ask for a reconnect in 1.2 s, and let messages pass before, and while the client is between two
    connections.
    """
    client = await trial.client()
    connection = await client.joins("chat:a", seq=1)
    asked_at = client.now()
    await connection.send({"type": "RECONNECT", "payload": {"after_ms": 1_200}, "version": "1.0"})
    await connection.publish("chat:a")
    await client.delivers("chat:a", 2, why="the client did not deliver what came after RECONNECT")
    upgrade = await client.upgrade(
        "the client did not connect again after RECONNECT with after_ms 1,200", 1.2 + 2.0
    )
    waited = client.attempts[-1] - asked_at
    if waited < 1.15:
        raise Breach(
            f"the client connected again after {waited:.2f} s, and its slot was 1.2 s after RECONNECT"
        )
    client.room("chat:a").publish()
    again = await client.upgraded(upgrade)
    await again.welcome()
    join = await again.expect("JOIN", "the client did not join its room again", room="chat:a")
    since = (join.get("payload") or {}).get("since")
    if (since or {}).get("seq") != 2:
        raise Breach(f"the client came back with the position {since}, and was at (k3f9-1, 2)")
    await client.delivers("chat:a", 3)


@scenario("drain-cut-short", "1012 Draining: reconnect", "Close codes")
async def drain_cut_short(trial: Trial) -> None:
    """Close the connection before the slot that was given."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=1)
    await connection.send({"type": "RECONNECT", "payload": {"after_ms": 20_000}, "version": "1.0"})
    await connection.error("draining", retry=True, close=1012, reconnect="yes")
    await connection.close(1012, "Draining")
    again = await client.returns(
        "the client did not come back after close 1012, before the slot that it was given"
    )
    await again.publish("chat:a")
    await client.delivers("chat:a", 2)
