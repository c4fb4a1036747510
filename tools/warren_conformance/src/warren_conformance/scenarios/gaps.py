"""Gaps: what came after one is held back until JOIN has brought what is missing, or has said that it is lost."""

from __future__ import annotations

from warren_conformance.codec import Frame
from warren_conformance.connection import Connection
from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

SECTION = "Order and position"
GAP = "any other jump of `seq` is a gap: hold back what came after it, and JOIN the room again with `since`"


async def _asked(connection: Connection, seq: int, why: str) -> Frame:
    """Return the JOIN that a gap calls for, which must have this position."""
    join = await connection.expect("JOIN", why, within=connection.client.seconds("gap_ms") + 3.0)
    since = (join.get("payload") or {}).get("since")
    if since != {"epoch": "k3f9-1", "seq": seq}:
        raise Breach(
            f"the client asked for what is missing with the position {since}, and was at (k3f9-1, {seq})"
        )
    return join


@scenario("gap-asks-and-holds-back", GAP, SECTION)
async def gap_asks_and_holds_back(trial: Trial) -> None:
    """Lose two messages, send three more before the JOIN is answered."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=11)
    room = client.room("chat:a")
    connection.hold("JOIN")
    await connection.publish("chat:a")
    await client.delivers("chat:a", 12)
    room.publish()
    room.publish()
    await connection.publish("chat:a")
    join = await _asked(
        connection, 12, "the client did not JOIN again, although 13 and 14 are missing before 15"
    )
    await connection.publish("chat:a")
    await connection.publish("chat:a")
    await connection.answer(join)
    await connection.publish("chat:a")
    await client.delivers("chat:a", 13, 14, 15, 16, 17, 18)
    if len(connection.of("JOIN", "chat:a")) > 2:
        raise Breach("the client sent JOIN more than once for one gap, before it was answered")
    if client.all_told("gap"):
        raise Breach("the client told its application of a gap, although everything was recovered")


@scenario(
    "gap-for-good",
    "`recovered: false`: there is a gap. Tell the application, and start from this position",
    "What the server sends",
)
async def gap_for_good(trial: Trial) -> None:
    """Answer the JOIN of a gap with `recovered: false`."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=11)
    room = client.room("chat:a")
    connection.hold("JOIN")
    await connection.publish("chat:a")
    await client.delivers("chat:a", 12)
    room.publish()
    client.tolerates("chat:a", 14)
    await connection.publish("chat:a")
    join = await _asked(connection, 12, "the client did not JOIN again, although 13 is missing before 14")
    room.skip(6)
    await connection.send(*room.joined(join.get("id")))
    await client.told("gap", "the client did not tell its application that messages were lost", room="chat:a")
    await connection.publish("chat:a")
    await client.delivers("chat:a", 21)
    connection.cut()
    again = await client.returns()
    join = await again.expect("JOIN", "the client did not join its room again", room="chat:a")
    since = (join.get("payload") or {}).get("since")
    if since != {"epoch": "k3f9-1", "seq": 21}:
        raise Breach(f"the client came back with the position {since}, and was at (k3f9-1, 21)")


@scenario(
    "gap-where-it-is",
    "once, in order, or told: a gap is told between the messages before and after it",
    SECTION,
)
async def gap_where_it_is(trial: Trial) -> None:
    """Answer the JOIN of a gap with `recovered: false` at a seq above that of the message that was held back."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=11)
    room = client.room("chat:a")
    connection.hold("JOIN")
    await connection.publish("chat:a")
    room.publish()
    client.tolerates("chat:a", 14)
    await connection.publish("chat:a")
    join = await _asked(connection, 12, "the client did not JOIN again, although 13 is missing before 14")
    room.skip(6)
    await connection.send(*room.joined(join.get("id")))
    await connection.publish("chat:a")
    await client.delivers("chat:a", 12, 21)
    before, is_told = 11, False
    for event in client.events:
        if event["event"] == "gap":
            is_told = True
        elif event["event"] == "message" and event.get("room") == "chat:a":
            if event["seq"] != before + 1 and not is_told:
                raise Breach(
                    f"the client delivered {event['seq']} after {before}, and told its application of no gap "
                    "between them"
                )
            before, is_told = event["seq"], False


@scenario(
    "gap-expired-in-replay",
    "between two messages of a room, seqs of expired messages may be missing in what a JOIN brings",
    SECTION,
)
async def gap_expired_in_replay(trial: Trial) -> None:
    """Have messages expire while the client is away."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=11)
    await connection.publish("chat:a")
    await client.delivers("chat:a", 12)
    connection.cut()
    room = client.room("chat:a")
    room.publish()
    room.skip(2)
    room.publish()
    room.skip()
    again = await client.returns()
    await again.expect("JOIN", "the client did not join its room again", room="chat:a")
    await again.publish("chat:a")
    await client.delivers("chat:a", 13, 16, 18)
    await client.quiet(client.seconds("gap_ms") + 0.3)
    if len(again.of("JOIN", "chat:a")) > 1:
        raise Breach("the client took expired messages of a replay for a gap, and sent JOIN again")
    if client.all_told("gap"):
        raise Breach("the client told its application of a gap, although only expired messages were missing")
