"""What WebSocket allows: fragments, control frames between them, compression; and messages of every kind."""

from __future__ import annotations

import json
from typing import Any

from warren_conformance.client import Client
from warren_conformance.codec import JSON, encode
from warren_conformance.connection import Connection
from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach, Skipped

TEXTS = [
    "",
    "plain",
    "äöü ß €",
    "😀 𝕏 🏳️‍🌈",
    "\u0000\u0001\u001f\u007f",
    "\u2028\u2029\ufeff",
    '</script>\\"/',
    "a\tb\r\nc",
]


async def _arrives(client: Client, connection: Connection, payload: Any, what: str) -> None:
    frame = client.room("chat:a").publish(payload)
    await connection.send(frame)
    told = await client.told("message", f"the client did not deliver {what}", seq=frame["seq"], within=8.0)
    if told.get("payload") != payload:
        raise Breach(
            f"the client delivered {what} as something else: {json.dumps(told.get('payload'))[:120]}"
        )


@scenario("fragments", "a message may come in several frames, with control frames between them", "Connect")
async def fragments(trial: Trial) -> None:
    """Send a message in fragments of random sizes, with a WebSocket ping between them."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    frame = client.room("chat:a").publish({"text": "äöü 😀 " * 20})
    # cut within a character too, unless this is MessagePack
    data = encode(frame, connection.socket.subprotocol)
    whole = data.encode() if isinstance(data, str) else data
    cuts = sorted(trial.random.sample(range(1, len(whole)), 6))
    parts = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    await connection.socket.send_fragments(parts, text=isinstance(data, str), ping=b"between")
    await connection.ponged(b"between", "the client did not answer a WebSocket ping between two fragments")
    told = await client.told("message", "the client did not deliver a message that came in fragments", seq=1)
    if told.get("payload") != frame["payload"]:
        raise Breach("the client delivered a message that came in fragments as something else")


@scenario(
    "answers-pings",
    "a connection whose pong has not arrived by the next ping is terminated",
    "Heartbeat and limits",
)
async def answers_pings(trial: Trial) -> None:
    """Send WebSocket pings, with and without a payload."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    for data in (b"w1", b"", bytes(range(125))):
        await connection.socket.ping(data)
        await connection.ponged(
            data, f"the client did not answer a WebSocket ping of {len(data)} bytes with a pong"
        )


@scenario("compressed", "permessage-deflate is used if the client offers it", "Connect")
async def compressed(trial: Trial) -> None:
    """Send compressed messages, if the client has offered that."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    if not connection.socket.compressed:
        raise Skipped("the client does not offer permessage-deflate")
    for size in (10, 5_000, 200_000):
        await _arrives(
            client, connection, {"text": "again and again " * (size // 16)}, "a compressed message"
        )
    await client.do("send", tag="s1", type="CHAT", room="chat:a", payload={"text": "to and fro " * 1_000})
    await client.told("sent", "the client's own compressed message did not arrive", tag="s1", ok=True)


@scenario("large-and-deep", "a payload is any JSON value, to the message limit and 128 levels", "Messages")
async def large_and_deep(trial: Trial) -> None:
    """Send a megabyte, and 128 levels of arrays."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    await _arrives(client, connection, "x" * 1_000_000, "a message of a megabyte")
    deep: Any = "bottom"
    for _ in range(128):
        deep = [deep]
    await _arrives(client, connection, deep, "a message with a payload of 128 levels")
    values: tuple[Any, ...] = (None, True, 0, -1.5, [], {}, {"": {"a": [None]}})
    for value in values:
        await _arrives(client, connection, value, f"the payload {json.dumps(value)}")


@scenario("texts", "a payload arrives byte for byte", "Messages")
async def texts(trial: Trial) -> None:
    """Send all kinds of characters there and back."""
    client = await trial.client()
    connection = await client.joins("chat:a")
    for text in TEXTS:
        await _arrives(client, connection, {"text": text, text[:5]: 1}, f"the text {json.dumps(text)}")
    for n, text in enumerate(TEXTS):
        await client.do("send", tag=f"s{n}", type="CHAT", room="chat:a", payload={"text": text})
        await client.told(
            "sent", f"the client did not send the text {json.dumps(text)}", tag=f"s{n}", ok=True
        )
    sent = [frame["payload"]["text"] for frame in connection.of("message")]
    if sent != TEXTS:
        raise Breach(f"the client sent its texts as something else: {json.dumps(sent)[:200]}")


@scenario(
    "unknown-is-ignored", "unknown fields and unknown types are ignored: the protocol only grows", "Messages"
)
async def unknown_is_ignored(trial: Trial) -> None:
    """Send fields and types of a protocol that is newer than the client."""
    client = await trial.client()
    connection = await client.opens(newer={"a": 1}, limits={"newer": 7})
    connection.hold("JOIN")
    await client.do("join", room="chat:a")
    join = await connection.expect("JOIN", "the client sent no JOIN", room="chat:a")
    frames = client.room("chat:a").joined(join.get("id"), newer=[1, 2])
    await connection.send(*(frame | {"newer": "field"} for frame in frames))
    await connection.send({"type": "HERALD", "room": "chat:a", "payload": {"x": 1}, "version": "1.0"})
    await connection.send({"type": "HERALD", "ref": "nobody-asked", "payload": None, "newer": True})
    await connection.publish("chat:a", newer={"deep": [1]}, version="1.7")
    await client.delivers("chat:a", 1, why="the client did not deliver a message with unknown fields")
    await client.do("send", tag="s1", type="CHAT", room="chat:a", payload="still here")
    await client.told("sent", "the client did not go on after frames of unknown types", tag="s1", ok=True)
    if connection.closed.done() or len(client.connections) > 1:
        raise Breach("the client closed its connection because of unknown fields or types")


@scenario("json-without-subprotocol", "none, or `warren.v1`: JSON in text frames", "Connect")
async def json_without_subprotocol(trial: Trial) -> None:
    """Look at what the client offers: `bearer.` and `grant.` are no protocols."""
    client = await trial.client()
    connection = await client.opens()
    offered = [each for each in connection.asked.subprotocols if not each.startswith(("bearer.", "grant."))]
    if offered and connection.socket.subprotocol not in offered:
        raise Breach(
            f"the client offers only {', '.join(offered)}, and the server has warren.v1 and warren.v1.msgpack"
        )
    if trial.protocol == JSON and connection.socket.subprotocol != JSON:
        raise Breach(f"the client was told to speak {JSON}, and prefers {connection.socket.subprotocol}")
