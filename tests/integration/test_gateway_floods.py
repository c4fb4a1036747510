"""Floods of what is refused, of questions with large answers, of tiny parts: each is held back, and others do
not notice.
"""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.support.client import connect
from tests.support.eventually import eventually
from tests.support.gateways import House, gateway_settings, raw_upgrade
from tests.support.raw import masked

from gateway.core.error_rate_limit import ANSWERS
from warren import envelope
from warren.namespaces import Namespaces
from warren.settings import NamespaceSettings

NAMESPACES = '- {name: ticker, pattern: "ticker:*", rate: {count: 5, per_ms: 60000, policy: reject}}\n'


async def drain(reader: asyncio.StreamReader, into: list[bytes]) -> None:
    """Read all that comes, until the end."""
    while data := await reader.read(1 << 20):
        into.append(data)


@pytest.mark.parametrize("frame", ['{"type":"CHAT","room":"ticker:1"}', "?", '{"type":"WELCOME"}'])
async def test_a_flood_of_what_is_refused_is_answered_a_few_times_and_then_read_no_more(
    home: House, frame: str
) -> None:
    """Thousands wait at the client; the server has answered some dozens, and a fair client is served
    meanwhile.
    """
    namespaces = NamespaceSettings(namespaces=Namespaces.parse(NAMESPACES))
    gateway = await home.gateway(gateway_settings(namespaces=namespaces, times={"heartbeat_ms": 300}))
    async with await connect(home.url(), user="fair") as fair:
        reader, writer = await raw_upgrade(gateway.port)
        got: list[bytes] = []
        reading = asyncio.create_task(drain(reader, got))
        flood = masked(frame.encode()) * 1_000
        for _ in range(2_000):
            writer.write(flood)
            if writer.transport.get_write_buffer_size():  # it is read no more
                break
            await asyncio.sleep(0)
        await eventually(lambda: b"".join(got).count(b'"ERROR"') > ANSWERS)
        flooder = next(one for one in gateway.connections.all() if one.id != fair.id)
        await eventually(lambda: not flooder.transport._transport.is_reading())
        await fair.publish("default", "hello")
        await fair.settle()
        assert b"".join(got).count(b'"ERROR"') < 4 * ANSWERS
        assert len(gateway.connections) == 2  # a client that is held back misses no heartbeat
        writer.transport.abort()
        await reading
    await eventually(lambda: len(gateway.connections) == 0, timeout_s=20)


async def test_asking_for_the_same_history_again_and_again_brings_no_more_than_the_allowance(
    home: House,
) -> None:
    """A thousand JOINs with one position are answered as far as the client may read; the rest waits, and a
    PING too.
    """
    gateway = await home.gateway(
        gateway_settings(limits={"read_bytes": 1 << 20, "read_bytes_per_s": 1 << 16})
    )
    async with await connect(home.url(), user="fair") as fair:
        for _ in range(20):
            home.publish("default", json.dumps("x" * 20_000))
        await fair.expect("NOTIFICATION", seq=20)
        greedy = await connect(home.url(), user="greedy")
        since = {"epoch": home.router.epoch, "seq": 0}
        ask = json.dumps({"type": "JOIN", "room": "default", "id": "again", "payload": {"since": since}})
        for _ in range(300):
            await greedy.send_raw(ask)
        await greedy.expect_all("JOINED", 5, ref="again")
        await eventually(lambda: gateway.connections.find(greedy.id).transport.resting)
        asked = len(home.router.of(envelope.Join, ref="again"))
        assert asked < 50  # of 300, each of which would bring 400 kB
        # One that comes back and asks for what it missed is given it at once.
        async with await connect(home.url(), user="back") as back:
            await back.join("default", since)
            await back.expect("NOTIFICATION", seq=20)
        assert len(home.router.of(envelope.Join, ref="again")) < 60
        await fair.publish("default", "hello")
        await greedy.close()


async def test_a_flood_of_tiny_parts_is_taken_at_its_pace(home: House) -> None:
    """A message of single bytes is read at so many parts a second, while a MiB in parts of a KiB passes as it
    comes.
    """
    gateway = await home.gateway()
    async with await connect(home.url(), user="fair") as fair:
        reader, writer = await raw_upgrade(gateway.port)
        writer.write(masked(b"x", fin=False) + masked(b"x", 0, fin=False) * 16_000)
        flooder = next(one for one in gateway.connections.all() if one.id != fair.id)
        await eventually(lambda: flooder.transport.resting)
        whole = json.dumps({"type": "CHAT", "room": "default", "id": "big", "payload": "y" * 1_000_000})
        await fair.socket.send([whole[at : at + 1_024] for at in range(0, len(whole), 1_024)])
        await fair.expect("ACK", ref="big")
        assert flooder.transport.bytes_in == 0
        writer.transport.abort()
        assert reader is not None
    await eventually(lambda: len(gateway.connections) == 0)
