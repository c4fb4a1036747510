"""A server that sends rubbish: the client's program survives it, and goes on, on this connection or another."""

from __future__ import annotations

import asyncio
import json

from warren_conformance.client import Client
from warren_conformance.codec import MSGPACK, Frame
from warren_conformance.connection import MESSAGE, Connection
from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach

RULE = "what a client can't read does not end its program: it goes on, or closes and comes back"
# What is no JSON, or none that a frame may be.
NO_FRAMES = [
    "",
    "{",
    "null",
    "7",
    '"CHAT"',
    "[]",
    "{}",
    '{"type": 7}',
    '{"type": null}',
    "[" * 20_000,
    "NaN",
    '{"type": "CHAT"} {}',
]
# Frames whose fields have wrong types.
WRONG_FIELDS: list[Frame] = [
    {"type": "JOINED", "room": "chat:a", "payload": None},
    {
        "type": "JOINED",
        "room": "chat:a",
        "payload": {"epoch": 1, "seq": "x", "recovered": "yes", "missed": -1},
    },
    {"type": "JOINED", "room": 7, "payload": {"epoch": 1, "seq": "x", "recovered": "yes", "missed": -1}},
    {"type": "ACK", "ref": {"a": 1}, "payload": []},
    {"type": "ACK", "payload": {"seq": "12"}},
    {"type": "CHAT", "room": "chat:a", "seq": "99", "epoch": 7, "payload": 1},
    {"type": "CHAT", "room": ["chat:a"], "seq": 1.5, "epoch": "k3f9-1"},
    {"type": "ERROR", "payload": "broken"},
    {"type": "ERROR", "payload": {"code": 7, "retry": "maybe", "retry_after_ms": "soon"}},
    {"type": "PONG", "ref": 7},
    {"type": "DROPPED", "room": "chat:a", "payload": {"count": "many"}},
    {"type": "RESPONSE", "ref": None, "n": "first", "more": 1},
    {"type": "PRESENCE", "room": "chat:a", "payload": {"digest": 7, "joined": "ann", "version": None}},
    {"type": "RECONNECT", "payload": {"after_ms": "never"}},
    {"type": "AUTHENTICATED", "payload": 7},
    {"type": "LEFT", "room": None},
    {"type": "HISTORY", "ref": "none", "payload": {"messages": 7}},
    {"type": "RECEIPT", "ref": 7, "payload": None},
    {"type": "WELCOME", "payload": 7},
]


async def _still_delivers(client: Client, connection: Connection, after: str) -> Connection:
    """Return the connection on which the client goes on: it gets the next message of its room."""
    before = len(client.given("chat:a"))
    client.room("chat:a").publish()
    seq = client.room("chat:a").seq
    await connection.send(client.room("chat:a").log[seq])
    deadline = client.now() + client.patience(8.0)
    while seq not in client.given("chat:a"):
        if client.now() > deadline:
            raise Breach(f"the client delivered no more messages after the server had sent {after}")
        if connection.closed.done():
            connection = await client.returns(
                f"the client did not come back after the server had sent {after}"
            )
        await asyncio.sleep(0.01)
    if len(client.given("chat:a")) > before + 1:
        raise Breach(f"the client delivered something that is no message, after the server had sent {after}")
    return connection


@scenario("survives-what-is-no-frame", RULE, "Messages")
async def survives_what_is_no_frame(trial: Trial) -> None:
    """Send what is no frame, piece by piece."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    binary: list[str | bytes] = [b"", b"\xff\xfe\x00", b"\xc1", b"\x81" * 3_000]
    pieces = binary if trial.protocol == MSGPACK else [*NO_FRAMES, *binary]
    for piece in pieces:
        await connection.send_raw(piece)
        connection = await _still_delivers(client, connection, f"{piece[:40]!r}, which is no frame")


@scenario("survives-wrong-fields", RULE, "Messages")
async def survives_wrong_fields(trial: Trial) -> None:
    """Send frames whose fields have wrong types."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    for frame in WRONG_FIELDS:
        await connection.send(frame)
        connection = await _still_delivers(client, connection, f"the frame {json.dumps(frame)}")


@scenario("survives-wrong-answers", RULE, "Messages")
async def survives_wrong_answers(trial: Trial) -> None:
    """Answer a JOIN, and a message, with what has the right `ref` and the wrong fields."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    connection.hold(MESSAGE)
    await client.do("send", tag="s1", type="CHAT", room="chat:a", payload="one")
    frame = await connection.expect(MESSAGE, "the client did not send the message")
    ack = {"type": "ACK", "ref": frame.get("id"), "room": "chat:a", "version": "1.0"}
    connection.release(MESSAGE)
    await connection.send(ack | {"payload": 7}, ack | {"payload": {"seq": "12", "epoch": 3}})
    await connection.send({"type": "ERROR", "ref": frame.get("id"), "payload": ["forbidden"]})
    connection = await _still_delivers(client, connection, "answers with wrong fields")
    await client.do("send", tag="s2", type="CHAT", room="chat:a", payload="two")
    await client.told(
        "sent", "the client sent nothing more after answers with wrong fields", tag="s2", ok=True
    )


@scenario("survives-wrong-presence", RULE, "Presence", needs="presence")
async def survives_wrong_presence(trial: Trial) -> None:
    """Send a client that watches a room what is no list of members."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    await client.do("join", room="chat:p", presence=True)
    await connection.expect("JOIN", "the client sent no JOIN", room="chat:p")
    right = {"version": 8, "count": {"users": 1, "connections": 1}, "digest": "0" * 16}
    for wrong in (
        7,
        {"digest": "no digits", "version": 8, "count": {"users": 1, "connections": 1}},
        right | {"joined": "ann"},
        right | {"joined": [{"user": "ann"}]},
        right | {"joined": [{"user": "ann", "proof": "no digits"}]},
        right | {"left": 7},
        right | {"page": True, "joined": [None]},
        right | {"count": None},
        right | {"seen": {"epoch": 7, "sum": "x", "users": []}},
    ):
        await connection.send({"type": "PRESENCE", "room": "chat:p", "payload": wrong, "version": "1.0"})
        connection = await _still_delivers(client, connection, f"the PRESENCE {json.dumps(wrong)}")


@scenario(
    "survives-unknown-rooms",
    "messages of a room that the client is not in change nothing",
    "Order and position",
)
async def survives_unknown_rooms(trial: Trial) -> None:
    """Send ACKs, JOINEDs, answers and messages that nobody asked for."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    stranger = client.room("chat:stranger")
    await connection.send(
        {"type": "ACK", "ref": "nobody", "room": "chat:a", "payload": {"seq": 9, "epoch": "k3f9-1"}},
        {"type": "PONG", "ref": "nobody", "payload": None},
        {"type": "RESPONSE", "ref": "nobody", "payload": 1},
        {"type": "HISTORY", "ref": "nobody", "room": "chat:a", "payload": {"messages": [], "more": False}},
        {"type": "LEFT", "room": "chat:stranger", "payload": {"reason": "removed"}},
        {"type": "DROPPED", "room": "chat:stranger", "payload": {"count": 3, "seq": 7}},
        stranger.publish(),
    )
    await connection.publish("chat:a")
    await client.delivers("chat:a", 1)
    if connection.of("JOIN", "chat:stranger"):
        raise Breach("the client joined a room because a message of it came")
