"""Epochs: a room's log can begin a new life, in which seq counts anew."""

from __future__ import annotations

from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

SECTION = "Order and position"
LOST = "the client did not tell its application that the room began a new epoch, so that messages may be lost"


@scenario(
    "epoch-on-return", "within another epoch `seq` counts anew: continue from the position in JOINED", SECTION
)
async def epoch_on_return(trial: Trial) -> None:
    """Begin a new epoch while the client is away; its seqs are below the old ones."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=40)
    await connection.publish("chat:a")
    await client.delivers("chat:a", 41)
    connection.cut()
    client.room("chat:a").renew("m2", 2)
    again = await client.returns()
    await again.expect("JOIN", "the client did not join its room again", room="chat:a")
    await client.told("gap", LOST, room="chat:a")
    await again.publish("chat:a")
    await client.delivers("chat:a", 3, why="the client did not deliver a message of the new epoch")


@scenario(
    "epoch-unasked",
    "JOINED is also sent unasked, when the room's log began a new life: continue from the new position",
    "What the server sends",
)
async def epoch_unasked(trial: Trial) -> None:
    """Begin a new epoch on an open connection, and look at the position after a reconnect."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=40)
    room = client.room("chat:a")
    room.renew("m2")
    await connection.send(*room.joined())
    await client.told("gap", LOST, room="chat:a")
    await connection.publish("chat:a")
    await connection.publish("chat:a")
    await client.delivers("chat:a", 1, 2, why="the client did not deliver the messages of the new epoch")
    connection.cut()
    again = await client.returns()
    join = await again.expect("JOIN", "the client did not join its room again", room="chat:a")
    since = (join.get("payload") or {}).get("since")
    if since != {"epoch": "m2", "seq": 2}:
        raise Breach(f"the client came back with the position {since}, and was at (m2, 2)")


@scenario(
    "epoch-unannounced",
    "an epoch that no JOINED has announced is a gap: hold the message back, and JOIN with `since`",
    SECTION,
)
async def epoch_unannounced(trial: Trial) -> None:
    """Send a message of another epoch without a word."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=40)
    room = client.room("chat:a")
    connection.hold("JOIN")
    room.renew("m2")
    client.tolerates("chat:a", 1)
    await connection.publish("chat:a")
    join = await connection.expect(
        "JOIN",
        "the client did not JOIN again after a message of an epoch that no JOINED has announced",
        within=client.seconds("gap_ms") + 3.0,
    )
    since = (join.get("payload") or {}).get("since")
    if since != {"epoch": "k3f9-1", "seq": 40}:
        raise Breach(f"the client asked with the position {since}, and was at (k3f9-1, 40)")
    if client.given("chat:a"):
        raise Breach(
            "the client delivered a message of an unannounced epoch before JOINED had said what is lost"
        )
    await connection.answer(join)
    await client.told("gap", LOST, room="chat:a")
    await connection.publish("chat:a")
    await client.delivers("chat:a", 2)


@scenario(
    "epoch-of-everyone", "for `*`, which nobody joins, JOINED is only sent unasked", "What the server sends"
)
async def epoch_of_everyone(trial: Trial) -> None:
    """Tell of a new life of the address that stands for everyone."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=1)
    payload = {"epoch": "m2", "seq": 0, "recovered": False, "missed": 0}
    await connection.send({"type": "JOINED", "room": "*", "payload": payload, "version": "1.0"})
    await connection.publish("*", {"news": 1}, type="NOTIFICATION", epoch="m2")
    await connection.publish("chat:a")
    await client.delivers("chat:a", 2)
    await client.told("message", "the client did not deliver a message to everyone", room="*")
    if not connection.socket_is_open:
        raise Breach("the client closed the connection after JOINED of the room *")
