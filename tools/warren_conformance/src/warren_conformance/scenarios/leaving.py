"""Leaving, and being taken out: who is out of a room does not join it again by itself."""

from __future__ import annotations

from warren_conformance.scenario import Script, scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

SECTION = "What the server sends"


@scenario(
    "leaves",
    "LEAVE takes the client out of a room; it does not join it again when it comes back",
    "What a client sends",
)
async def leaves(trial: Trial) -> None:
    """Have the application leave a room that it joined, and one that the server joined for it."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    await client.do("join", room="chat:b")
    await connection.expect("JOIN", "the client sent no JOIN", room="chat:b")
    for room in ("chat:a", "default"):
        await client.do("leave", room=room)
        await connection.expect("LEAVE", f"the client sent no LEAVE for {room}", room=room)
    connection.cut()
    again = await client.returns()
    await again.expect("JOIN", "the client did not join chat:b again", room="chat:b")
    await client.quiet(0.4)
    for room in ("chat:a", "default"):
        if again.of("JOIN", room):
            raise Breach(f"the client joined {room} again, which its application had left")


def _taken_out(reason: str) -> Script:
    async def script(trial: Trial) -> None:
        client = await trial.client()
        connection = await client.joins("chat:a", seq=1)
        await connection.send(
            {"type": "LEFT", "room": "chat:a", "payload": {"reason": reason}, "version": "1.0"}
        )
        await client.told(
            "left", "the client did not tell its application that it is out of the room", room="chat:a"
        )
        await client.quiet(0.6)
        connection.cut()
        again = await client.returns()
        await client.quiet(0.4)
        if len(connection.of("JOIN", "chat:a")) > 1 or again.of("JOIN", "chat:a"):
            raise Breach(f"the client joined the room again by itself after LEFT with the reason {reason}")

    return script


for _reason in ("removed", "blocked", "forbidden"):
    scenario(
        f"left-{_reason}",
        f"LEFT without `ref` and with `{_reason}`: something else took the client out of the room",
        SECTION,
    )(_taken_out(_reason))


@scenario("left-unavailable", "LEFT with `unavailable`: send JOIN again, with your position", SECTION)
async def left_unavailable(trial: Trial) -> None:
    """Take the client out of a room because nobody can be asked."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=1)
    await connection.publish("chat:a")
    await client.delivers("chat:a", 2)
    await connection.send(
        {"type": "LEFT", "room": "chat:a", "payload": {"reason": "unavailable"}, "version": "1.0"}
    )
    client.room("chat:a").publish()
    join = await connection.expect(
        "JOIN", "the client did not JOIN again after LEFT with the reason unavailable", within=4.0
    )
    since = (join.get("payload") or {}).get("since")
    if since != {"epoch": "k3f9-1", "seq": 2}:
        raise Breach(f"the client joined again with the position {since}, and was at (k3f9-1, 2)")
    await client.delivers("chat:a", 3)
