"""Coming back: the client joins its rooms itself, each with its position, and gets what it missed."""

from __future__ import annotations

from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach


@scenario(
    "returns-with-positions",
    "for each room, a client keeps the last (epoch, seq) that it has seen, and sends it as `since` when it comes back",
    "Order and position",
)
async def returns_with_positions(trial: Trial) -> None:
    """Cut the connection, and let messages pass meanwhile: in a room that the client joined, in one that the
    server joined for it, and in the user's own.
    """
    client = await trial.client()
    connection = await client.joins("chat:a", seq=11)
    for room in ("chat:a", "default", "@ann"):
        await connection.publish(room)
    await client.delivers("chat:a", 12)
    await client.delivers("default", 1)
    await client.delivers("@ann", 1)
    connection.cut()
    for room in ("chat:a", "chat:a", "default", "@ann"):
        client.room(room).publish()
    again = await client.returns()
    for room, seq in (("chat:a", 12), ("default", 1), ("@ann", 1)):
        join = await again.expect(
            "JOIN",
            f"the client came back and did not join {room} again",
            room=room,
        )
        since = (join.get("payload") or {}).get("since")
        if since != {"epoch": "k3f9-1", "seq": seq}:
            raise Breach(f"the client joined {room} with the position {since}, and was at (k3f9-1, {seq})")
    await client.delivers("chat:a", 13, 14)
    await client.delivers("default", 2)
    await client.delivers("@ann", 2)


@scenario(
    "returns-manually",
    "a client that comes back asks for `?join=manual`, so that it is given nothing of a room before its JOIN",
    "Connect",
)
async def returns_manually(trial: Trial) -> None:
    """Look at the addresses of the first and the second connection."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    if "join" in connection.asked.query:
        raise Breach(
            "the client asked for ?join=manual when it connected for the first time, with no position"
        )
    connection.cut()
    again = await client.returns()
    if again.asked.query.get("join") != "manual":
        raise Breach(f"the client came back to {again.asked.target}, without ?join=manual")


@scenario(
    "repeats-after-return",
    "a message of that epoch whose `seq` is not above the client's position is a repeat: drop it",
    "Order and position",
)
async def repeats_after_return(trial: Trial) -> None:
    """After a reconnect send also what the client has had before."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=0)
    had = [await connection.publish("chat:a") for _ in range(3)]
    await client.delivers("chat:a", 1, 2, 3)
    connection.cut()
    missed = client.room("chat:a").publish()
    again = await client.returns()
    await again.expect("JOIN", "the client did not join its room again", room="chat:a")
    await again.send(*had[1:], missed)
    await again.publish("chat:a")
    await client.delivers("chat:a", 4, 5)


@scenario(
    "welcome-first",
    "WELCOME comes first; what a client wants to say waits for it",
    "What the server sends",
)
async def welcome_first(trial: Trial) -> None:
    """Let WELCOME wait, and have the application join and send meanwhile."""
    client = await trial.client()
    await client.connect()
    connection = await client.upgraded(await client.upgrade("the client did not connect", 5.0))
    await client.do("join", room="chat:a")
    await client.do("send", tag="s1", type="CHAT", room="chat:a", payload="hello")
    trial_s = 0.3
    await client.quiet(trial_s)
    early = [frame["type"] for _, frame in connection.frames if frame["type"] not in ("AUTH", "PING")]
    if early:
        raise Breach(f"the client sent {', '.join(early)} before WELCOME")
    await connection.welcome()
    await connection.expect(
        "JOIN", "the client did not join after WELCOME what it was told to join before it"
    )
    await client.told(
        "sent", "the message that was to be sent before WELCOME was never acknowledged", tag="s1"
    )
