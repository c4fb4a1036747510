"""Binary payloads, and the subprotocol of MessagePack."""

from __future__ import annotations

import base64

import msgspec

from warren_conformance.codec import MSGPACK
from warren_conformance.scenario import scenario
from warren_conformance.trial import Trial
from warren_conformance.verdicts import Breach


async def _there_and_back(trial: Trial, **connect: object) -> None:
    client = await trial.client()
    await client.connect(**connect)
    connection = await client.welcomed("the client did not connect")
    if "protocol" in connect and connection.socket.subprotocol != connect["protocol"]:
        raise Breach(
            f"the client offers no {connect['protocol']}, but {', '.join(connection.asked.subprotocols)}"
        )
    await client.do("join", room="chat:a")
    await connection.expect("JOIN", "the client sent no JOIN", room="chat:a")
    for size in (0, 1, 2, 3, 300):
        data = base64.b64encode(trial.random.randbytes(size)).decode()
        frame = await connection.publish("chat:a", data, encoding="base64")
        told = await client.told("message", "the client did not deliver a binary message", seq=frame["seq"])
        if told.get("payload") != data or told.get("encoding") != "base64":
            raise Breach(f"the client delivered a binary message of {size} bytes as something else")
        await client.do("send", tag=f"s{size}", type="CHAT", room="chat:a", payload=data, encoding="base64")
        await client.told("sent", "the client did not send a binary message", tag=f"s{size}", ok=True)
        sent = connection.of("message")[-1]
        if sent.get("payload") != data or sent.get("encoding") != "base64":
            raise Breach(f"the client sent a binary message of {size} bytes as something else")
    await connection.publish("chat:a", {"text": "not binary"})
    await client.told("message", "the client did not deliver a message", payload={"text": "not binary"})


@scenario(
    "binary", '`"encoding": "base64"`: the payload is a base64 string, and the message is binary', "Messages"
)
async def binary(trial: Trial) -> None:
    """Send bytes there and back."""
    await _there_and_back(trial)


@scenario("msgpack", "in warren.v1.msgpack, a payload of type `bin` is binary", "Messages", needs="msgpack")
async def msgpack(trial: Trial) -> None:
    """The same over MessagePack."""
    await _there_and_back(trial, protocol=MSGPACK)


@scenario(
    "msgpack-json-payload",
    'a payload that MessagePack can\'t represent arrives as JSON text with `"encoding": "json"`',
    "Messages",
    needs="msgpack",
)
async def msgpack_json_payload(trial: Trial) -> None:
    """Send a payload as JSON text."""
    client = await trial.client()
    await client.connect(protocol=MSGPACK)
    connection = await client.welcomed("the client did not connect")
    await client.do("join", room="chat:a")
    await connection.expect("JOIN", "the client sent no JOIN", room="chat:a")
    value = {"deep": [[[]]], "text": "ä"}
    frame = client.room("chat:a").publish(msgspec.json.encode(value).decode(), encoding="json")
    await connection.send(frame)
    told = await client.told("message", "the client did not deliver a message", seq=frame["seq"])
    if told.get("payload") != value:
        raise Breach("the client delivered a payload in JSON text as text, or not at all")
