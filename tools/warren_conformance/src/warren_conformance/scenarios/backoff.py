"""Back-off: a client that is refused does not come in a tight loop, and many do not come in step."""

from __future__ import annotations

import asyncio

from warren_conformance.client import Client
from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

SECTION = "Close codes"
MEASURED_S = 3.0
# By full jitter up to 0.1, 0.2, 0.4, 0.8, 1, 1 … s there are 8 in this time; a constant tenth of a second is 30.
ATTEMPTS_MAX = 22
IN_STEP_S = 0.03


def _judge(client: Client, since: float, what: str) -> None:
    attempts = len([at for at in client.attempts if at > since])
    if attempts > ATTEMPTS_MAX:
        raise Breach(
            f"the client tried {attempts} times in {MEASURED_S:g} s while {what}: that is a tight loop"
        )
    if attempts == 0:
        raise Breach(f"the client did not try again while {what}")


@scenario("backoff-when-refused", "a client that is refused comes back, later each time", SECTION)
async def backoff_when_refused(trial: Trial) -> None:
    """Answer each upgrade with 503 for three seconds."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=1)
    began = client.now()
    connection.cut()
    client.refuses(503)
    await client.quiet(MEASURED_S)
    client.refuses(None)
    _judge(client, began, "every upgrade was answered with 503")
    again = await client.returns("the client did not come back once it was accepted again")
    await again.expect("JOIN", "the client did not join its room again", room="chat:a")


@scenario("backoff-when-unreachable", "a client that reaches nobody tries again, later each time", SECTION)
async def backoff_when_unreachable(trial: Trial) -> None:
    """Refuse TCP connections for a while."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=1)
    await client.listener.stop_listening()
    connection.cut()
    await client.quiet(1.0)
    await client.listener.listen()
    again = await client.returns("the client did not come back once the server was there again")
    await again.publish("chat:a")
    await client.delivers("chat:a", 2)


@scenario(
    "backoff-when-closed-at-once",
    "a connection that does not last is no success: the back-off goes on",
    SECTION,
)
async def backoff_when_closed_at_once(trial: Trial) -> None:
    """Send WELCOME and close with 1013, again and again."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    began = client.now()
    await connection.close(1013, "Overloaded")
    while client.now() < began + MEASURED_S:
        left = began + MEASURED_S - client.now()
        try:
            connection = await client.welcomed("-", within=left)
        except Breach:
            break
        await connection.close(1013, "Overloaded")
    _judge(client, began, "every connection was closed with 1013 right after WELCOME")


@scenario(
    "backoff-has-jitter",
    "clients that were refused together do not come back together: each waits a random time",
    "What the server sends",
    times={"backoff_ms": 800, "backoff_cap_ms": 800},
)
async def backoff_has_jitter(trial: Trial) -> None:
    """Cut four clients at the same moment, three times, and look when each comes back."""
    clients = [await trial.client(f"user{n}") for n in range(4)]
    connections = [await client.opens() for client in clients]
    spreads = []
    for _ in range(3):
        cut_at = clients[0].now()
        for connection in connections:
            connection.cut()
        connections = list(await asyncio.gather(*(client.returns() for client in clients)))
        waited = sorted(client.attempts[-1] - cut_at for client in clients)
        spreads.append(waited[-1] - waited[0])
    if max(spreads) < IN_STEP_S:
        shown = ", ".join(f"{spread * 1_000:.0f} ms" for spread in spreads)
        raise Breach(
            f"four clients that were cut off together came back within {shown} of each other: in step"
        )
