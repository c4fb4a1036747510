"""Slow readers: what each policy gives them, and that the others never notice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.client import Client, connect
from tests.support.eventually import eventually
from tests.support.gateways import House, gateway_settings

from gateway.app import Gateway
from warren import envelope
from warren.namespaces import Namespaces
from warren.settings import NamespaceSettings

NAMESPACES = """
- {name: ticker, pattern: "ticker:*", slow: latest_only}
- {name: feed, pattern: "feed:*", slow: drop_oldest}
"""
TEXT = "x" * 20_000


@pytest.fixture
async def gateway(home: House) -> Gateway:
    """A gateway with small outboxes and a namespace for each policy."""
    namespaces = NamespaceSettings(namespaces=Namespaces.parse(NAMESPACES))
    return await home.gateway(gateway_settings(limits={"outbox_bytes": 262_144}, namespaces=namespaces))


def publish(home: House, room: str, number: int, key: str = "") -> None:
    """Deliver a large message to a room."""
    payload = json.dumps({"n": number, "text": TEXT}).encode()
    at_us = home.gateways[0].clock.wall_us()
    home.router.publish(envelope.Publish(room, "NOTIFICATION", payload, at_us, key=key))


async def stall(client: Client, gateway: Gateway, home: House, room: str) -> int:
    """Make a client read nothing, and fill its buffers until messages wait in its outbox; return how many it
    was sent.
    """
    client.stop_reading()
    client.socket.transport.pause_reading()
    connection, count = gateway.connections.find(client.id), 0
    assert connection is not None
    while connection.outbox.idle:
        count += 1
        publish(home, room, count)
        await eventually(lambda count=count: len(home.router.kept.get(room, ())) == count)
        await eventually(lambda count=count: gateway.hub.position(room).seq == count)
        assert count < 2_000
    return count


def go_on(client: Client) -> None:
    """End the stall."""
    client.socket.transport.resume_reading()
    client.go_on_reading()


def numbers(client: Client, room: str) -> list[int]:
    """Return the seqs that a client was given in a room."""
    return [message["seq"] for message in client.of_type("NOTIFICATION", room=room)]


async def everything(client: Client, home: House, room: str) -> list[dict[str, Any]]:
    """Return what a client got in a room once it has read all that there is for it."""
    await home.router.settled()
    await client.expect("NOTIFICATION", room=room, seq=home.router.position(room).seq, timeout_s=20.0)
    return [message for message in client.received if message.get("room") == room]


def told_of(messages: list[dict[str, Any]]) -> tuple[int, int]:
    """Return how many messages DROPPED told of, and how many seqs are missing; each jump was told
    before it.
    """
    told = missing = withheld_to = 0
    at = messages[0]["payload"]["seq"]
    for message in messages[1:]:
        if message["type"] == "DROPPED":
            told += message["payload"]["count"]
            withheld_to = message["payload"]["seq"]
            continue
        assert message["seq"] > at
        assert message["seq"] == at + 1 or message["seq"] - 1 <= withheld_to
        missing += message["seq"] - at - 1
        at = message["seq"]
    return told, missing


@pytest.mark.parametrize("spelling", ["warren.v1", "warren.v1.msgpack"])
async def test_drop_oldest_keeps_the_connection_and_the_newest(
    home: House, gateway: Gateway, spelling: str
) -> None:
    """What it did not get it is told of; the others get everything; the bytes that wait are bounded."""
    async with (
        await connect(home.url(), user="slow", subprotocol=spelling) as slow,
        await connect(home.url()) as fast,
    ):
        await slow.join("feed:1")
        await fast.join("feed:1")
        sent = await stall(slow, gateway, home, "feed:1")
        for number in range(sent + 1, sent + 61):
            publish(home, "feed:1", number)
            await fast.expect("NOTIFICATION", seq=number)
            assert gateway.connections.find(slow.id).outbox.bytes <= 262_144
        go_on(slow)
        told, missing = told_of(await everything(slow, home, "feed:1"))
        assert told == missing >= 40
        assert numbers(fast, "feed:1") == list(range(1, sent + 61))
        assert numbers(slow, "feed:1")[-5:] == list(range(sent + 56, sent + 61))
        assert await slow.publish("default", "still here")
        await eventually(
            lambda: f'drops_total{{reason="slow_oldest"}} {told}.0'.encode() in gateway.metrics.render()[0]
        )


async def test_latest_only_has_the_latest_of_each_key(home: House, gateway: Gateway) -> None:
    """However long the reader slept, there is one message for each key when it wakes, in order, and it hears
    how many there were.
    """
    async with await connect(home.url(), user="slow") as slow, await connect(home.url()) as fast:
        await slow.join("ticker:1")
        await fast.join("ticker:1")
        sent = await stall(slow, gateway, home, "ticker:1")
        for number in range(sent + 1, sent + 91):
            publish(home, "ticker:1", number, key="abc"[number % 3])
        await fast.expect("NOTIFICATION", seq=sent + 90, timeout_s=20.0)
        go_on(slow)
        told, missing = told_of(await everything(slow, home, "ticker:1"))
        assert told == missing == 87
        last = slow.of_type("NOTIFICATION", room="ticker:1")[-3:]
        assert [message["seq"] for message in last] == [sent + 88, sent + 89, sent + 90]
        assert len({message["key"] for message in last}) == 3
        assert numbers(fast, "ticker:1") == list(range(1, sent + 91))
        await eventually(lambda: b'drops_total{reason="slow_latest"} 87.0' in gateway.metrics.render()[0])


async def test_what_must_not_be_lost_is_not_lost_beside_what_may(home: House, gateway: Gateway) -> None:
    """A lossy room makes place for an ordinary one; only where that does not suffice the connection ends."""
    async with await connect(home.url(), user="slow") as slow, await connect(home.url()) as fast:
        for client in (slow, fast):
            await client.join("feed:1")
            await client.join("chat")
        sent = await stall(slow, gateway, home, "feed:1")
        for number in range(sent + 1, sent + 31):
            publish(home, "feed:1", number)
        await home.router.settled()
        for number in range(1, 10):
            publish(home, "chat", number)
        await fast.expect("NOTIFICATION", room="chat", seq=9)
        go_on(slow)
        await slow.expect("NOTIFICATION", room="chat", seq=9, timeout_s=20.0)
        assert numbers(slow, "chat") == list(range(1, 10))
        told, missing = told_of([m for m in slow.received if m.get("room") == "feed:1"])
        assert told >= missing > 0

        sent = 9
        slow.stop_reading()
        slow.socket.transport.pause_reading()
        connection = gateway.connections.find(slow.id)
        while not connection.transport.ended:
            sent += 1
            publish(home, "chat", sent)
            await fast.expect("NOTIFICATION", room="chat", seq=sent)
            assert sent < 2_000
        go_on(slow)
        assert (await slow.closed(20.0))[0] == 4005


async def test_who_was_closed_for_being_slow_comes_back_and_has_lost_nothing(
    home: House, gateway: Gateway
) -> None:
    """4005 says to come back; the position brings what the outbox could not hold."""
    async with await connect(home.url(), user="fast") as fast:
        slow = await connect(home.url(), user="slow")
        for client in (slow, fast):
            await client.join("chat")
        sent = await stall(slow, gateway, home, "chat")
        connection = gateway.connections.find(slow.id)
        while not connection.transport.ended:
            sent += 1
            publish(home, "chat", sent)
            await fast.expect("NOTIFICATION", seq=sent)
            assert sent < 2_000
        go_on(slow)
        assert (await slow.closed(20.0))[0] == 4005
        got = numbers(slow, "chat")
        await slow.close()
        async with await connect(home.url() + "?join=manual", user="slow") as again:
            await again.join("chat", {"epoch": home.router.epoch, "seq": got[-1]})
            await again.expect("NOTIFICATION", room="chat", seq=sent)
            assert got + numbers(again, "chat") == list(range(1, sent + 1))
