"""Grants: kept, and shown at each later connect and JOIN."""

from __future__ import annotations

from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

KEEP = "keep the grant until another WELCOME brings a new one, and show it whenever you connect"


@scenario("grant-of-welcome", KEEP, "Connect", needs="grants")
async def grant_of_welcome(trial: Trial) -> None:
    """Bring a grant, none, and another one."""
    client = await trial.client()
    connection = await client.opens(grant="grant-1")
    if shown := connection.asked.shown("grant"):
        raise Breach(f"the client showed a grant ({shown!r}) before it had one")
    for brings, expected in ((None, "grant-1"), ("grant-2", "grant-1"), (None, "grant-2")):
        await client.settled()
        connection.cut()
        connection = await (client.returns(grant=brings) if brings else client.returns())
        shown = connection.asked.shown("grant")
        if shown != expected:
            raise Breach(
                f"the client showed the grant {shown!r}, and the last that WELCOME brought is {expected!r}"
            )


@scenario("grant-forgotten", "forget the grant after a close with 4001", "Connect", needs="grants tokens")
async def grant_forgotten(trial: Trial) -> None:
    """Bring a grant, and close with 4001."""
    client = await trial.client()
    await client.connect(tokens=True, user=None)
    connection = await client.welcomed("the client did not connect", grant="grant-1")
    await client.settled()
    await connection.error("unauthorized", close=4001, reconnect="fresh token")
    await connection.close(4001, "Unauthorized")
    again = await client.returns("the client did not come back with a fresh token after 4001")
    if shown := again.asked.shown("grant"):
        raise Breach(f"the client showed the grant {shown!r} after it was closed with 4001")


@scenario(
    "grant-of-room",
    "the grant that JOINED brings is shown at each later JOIN of the room",
    "What the server sends",
    needs="grants",
)
async def grant_of_room(trial: Trial) -> None:
    """Bring a grant with JOINED, and cut the connection."""
    client = await trial.client()
    connection = await client.opens()
    connection.hold("JOIN")
    await client.do("join", room="chat:a")
    join = await connection.expect("JOIN", "the client sent no JOIN", room="chat:a")
    await connection.send(*client.room("chat:a").joined(join.get("id"), grant="room-grant"))
    await client.told("joined", "the client did not say that it is in the room", room="chat:a", ok=True)
    connection.cut()
    again = await client.returns()
    join = await again.expect("JOIN", "the client did not join its room", room="chat:a")
    shown = (join.get("payload") or {}).get("grant")
    if shown != "room-grant":
        raise Breach(f"the client joined with the grant {shown!r}, and JOINED had brought 'room-grant'")
