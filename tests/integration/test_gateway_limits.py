"""A gateway's limits: floods, sizes, dead peers, slow readers."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from tests.support.client import connect
from tests.support.eventually import eventually
from tests.support.gateways import (
    House,
    gateway_settings,
    logged,
    raw_upgrade,
)
from websockets.exceptions import ConnectionClosed

from warren import envelope


async def test_a_flood_is_closed_with_4002(home: House) -> None:
    """More than 5 messages in a second close with 4002, and no more than 5 get through."""
    await home.gateway(gateway_settings(limits={"rate": 5, "rate_per_ms": 60_000}))
    async with await connect(home.url(), user="bob") as bob:
        ann = await connect(home.url(), user="ann")
        for number in range(20):
            try:
                await ann.send("CHAT", "default", number)
            except ConnectionClosed:
                break
        await ann.expect("ERROR", payload__code="rate_limited", payload__close=4002)
        assert await ann.closed() == (4002, "Rate limit exceeded")
        await ann.close()
        await bob.expect_all("CHAT", 5)
        await bob.settle()
        assert len(bob.of_type("CHAT")) == 5


@pytest.mark.parametrize("deflate", [False, True])
async def test_too_large_is_closed_with_4003(home: House, deflate: bool) -> None:
    """A message of the limit's size passes; one byte more is ERROR message_too_large and 4003, also
    fragmented or compressed.
    """
    gateway = await home.gateway(gateway_settings(limits={"message_bytes": 4_096}))

    def chat(size: int) -> str:
        empty = json.dumps({"type": "CHAT", "payload": "", "id": "m"})
        return json.dumps({"type": "CHAT", "payload": "x" * (size - len(empty)), "id": "m"})

    ann = await connect(home.url(), deflate=deflate)
    await ann.send_raw(chat(4_096))
    await ann.expect("ACK", ref="m")
    await ann.send_raw(chat(4_097))
    await ann.expect("ERROR", payload__code="message_too_large", payload__close=4003)
    assert await ann.closed() == (4003, "Message too large")
    await ann.close()

    bob = await connect(home.url(), deflate=deflate)
    whole = chat(8_192)
    await bob.socket.send([whole[at : at + 512] for at in range(0, len(whole), 512)])
    assert (await bob.closed())[0] == 4003
    await bob.close()
    await eventually(lambda: len(gateway.connections) == 0)


async def test_an_oversized_message_is_refused_before_it_is_sent_whole(home: House) -> None:
    """The header of a message beyond the limit is enough for 4003, though its sender goes on sending."""
    gateway = await home.gateway(gateway_settings(limits={"message_bytes": 4_096}))
    reader, writer = await raw_upgrade(gateway.port)
    # A masked text frame that announces a gigabyte, and a part of it.
    writer.write(b"\x81\xff" + (1 << 30).to_bytes(8, "big") + b"\x00\x00\x00\x00" + b"x" * 200_000)
    received = await asyncio.wait_for(reader.read(), 5)
    assert b"message_too_large" in received
    assert (4003).to_bytes(2, "big") + b"Message too large" in received
    writer.close()
    await eventually(lambda: len(gateway.connections) == 0)


async def test_a_dead_peer_is_closed_with_4004(home: House, caplog: pytest.LogCaptureFixture) -> None:
    """A client that answers no ping gets 4004 by the next one, one that does stays, and the death
    is counted.
    """
    caplog.set_level(logging.INFO)
    gateway = await home.gateway(gateway_settings(times={"heartbeat_ms": 150}))
    async with await connect(home.url(), user="alive") as alive:
        dead = await connect(home.url(), pongs=False)
        await dead.expect("ERROR", payload__code="heartbeat_missed", payload__close=4004)
        assert await dead.closed() == (4004, "Heartbeat missed")
        await dead.close()
        await alive.settle()
    assert b"warren_gateway_heartbeats_missed_total 1.0" in gateway.metrics.render()[0]
    assert logged(caplog.records, "ws_disconnect")[0]["code"] == 4004


async def test_a_half_open_socket_is_cut(home: House) -> None:
    """A peer that neither pongs nor answers the close handshake is cut at the deadline, and the routers are
    told that it left.
    """
    gateway = await home.gateway(gateway_settings(times={"heartbeat_ms": 150, "close_timeout_ms": 150}))
    reader, writer = await raw_upgrade(gateway.port)
    await eventually(lambda: home.router.of(envelope.Join, room="default"))
    await eventually(lambda: len(gateway.connections) == 0)
    await eventually(lambda: any("default" in leave.rooms for leave in home.router.of(envelope.Leave)))
    await asyncio.wait_for(reader.read(), 5)
    writer.close()


async def test_a_client_that_vanishes_has_left(home: House) -> None:
    """A TCP connection that breaks takes its connection out of every room, here and at the routers."""
    gateway = await home.gateway()
    ann = await connect(home.url(), user="ann")
    await ann.join("chat:x")
    ann.abort()
    await eventually(lambda: len(gateway.connections) == 0)
    await eventually(lambda: not home.router.rooms)
    assert (gateway.hub.connections, gateway.hub.rooms) == (0, 0)
    await ann.closed()


async def test_a_slow_reader_is_closed_with_4005_and_holds_nobody_up(home: House) -> None:
    """A member that reads too slowly is ended with 4005; the others get every message in order meanwhile."""
    gateway = await home.gateway(gateway_settings(limits={"outbox_bytes": 65_536}))
    slow, fast = await connect(home.url(), user="slow"), await connect(home.url(), user="fast")
    for client in (slow, fast):
        await client.join("x")
    slow.stop_reading()
    slow.socket.transport.pause_reading()
    text = json.dumps("x" * 60_000)
    sent = 0
    while len(gateway.connections) == 2:
        home.publish("x", text)
        sent += 1
        await fast.expect("NOTIFICATION", seq=sent)
        assert sent < 2_000
        slow_here = gateway.connections.find(slow.id)
        if slow_here is None or slow_here.transport.ended:
            break
    assert b"warren_gateway_slow_disconnects_total 1.0" in gateway.metrics.render()[0]
    slow.socket.transport.resume_reading()
    slow.go_on_reading()
    assert (await slow.closed())[0] == 4005
    seqs = [message["seq"] for message in slow.of_type("NOTIFICATION")]
    assert seqs == list(range(1, len(seqs) + 1))
    await slow.close()
    await fast.close()
