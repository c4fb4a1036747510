"""A server that is silent is noticed; one whose broker is away is not left."""

from __future__ import annotations

from warren_conformance.connection import MESSAGE
from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

SECTION = "Heartbeat and limits"


@scenario(
    "silent-server",
    "a client notices that the server is silent, by PING or by its pings, and connects anew",
    SECTION,
    times={"ping_ms": 500, "pong_ms": 500},
)
async def silent_server(trial: Trial) -> None:
    """Leave the connection open, and read and answer nothing more."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=1)
    connection.socket.freeze()
    client.room("chat:a").publish()
    most = client.seconds("ping_ms") + client.seconds("pong_ms") + client.seconds("backoff_cap_ms") + 3.0
    await client.returns("the client did not notice that the server is silent", within=most)
    await client.delivers("chat:a", 2)


@scenario(
    "silence-before-welcome",
    "a server that accepts the WebSocket and says nothing is left",
    SECTION,
    times={"welcome_ms": 1_000},
)
async def silence_before_welcome(trial: Trial) -> None:
    """Accept the WebSocket and send no WELCOME."""
    client = await trial.client()
    await client.connect()
    connection = await client.upgraded(await client.upgrade("the client did not connect", 5.0))
    connection.hold("PING")
    most = client.seconds("welcome_ms") + client.seconds("backoff_cap_ms") + 4.0
    await client.returns(
        "the client still waits for WELCOME on a connection on which nothing comes", within=most
    )


@scenario(
    "degraded-stays-connected",
    "DEGRADED: the broker is unavailable. Sockets stay open, and messages wait",
    "What the server sends",
)
async def degraded_stays_connected(trial: Trial) -> None:
    """Say DEGRADED, acknowledge nothing for two seconds, and say RESTORED."""
    client = await trial.client()
    connection = await client.joins("chat:a", seq=1)
    await connection.send({"type": "DEGRADED", "version": "1.0"})
    connection.hold(MESSAGE)
    await client.do("send", tag="s1", type="CHAT", room="chat:a", payload="wait")
    await client.quiet(2.0)
    if connection.closed.done():
        raise Breach("the client closed its connection because the server said DEGRADED")
    early = connection.of(MESSAGE)
    connection.release(MESSAGE)
    await connection.send({"type": "RESTORED", "version": "1.0"})
    for frame in early[:1]:
        await connection.answer(frame)
    told = await client.told("sent", "the client never said what became of its message", tag="s1", within=6.0)
    if told.get("ok") is False and not told.get("retry"):
        raise Breach("the client says that a message was refused for good, while the broker was away")
    if len({frame.get("id") for frame in connection.of(MESSAGE)}) > 1:
        raise Breach("the client sent its message again under a new id")
    await connection.publish("chat:a")
    await client.told("message", "the client did not deliver a message after RESTORED", room="chat:a")
