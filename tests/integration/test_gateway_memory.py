"""What all connections hold together is bounded, whoever wants to hold more; who behaves never notices."""

from __future__ import annotations

import asyncio
import json
import re
import socket

from tests.support.client import connect
from tests.support.eventually import eventually
from tests.support.gateways import House, gateway_settings, raw_upgrade
from tests.support.raw import masked
from tests.support.tokens import SECRET, Signer

from gateway.app import Gateway

MIB = 1024 * 1024


def held(gateway: Gateway) -> int:
    """Return how many bytes connections hold, as the metrics show it after a check."""
    gateway._memory.check()
    found = re.findall(
        r'^warren_gateway_buffer_bytes\{of="\w+"\} (\S+)$', gateway.metrics.render()[0].decode(), re.M
    )
    assert len(found) == 3
    return int(sum(float(value) for value in found))


def closes(gateway: Gateway, of: str) -> int:
    """Return how many connections were ended for what they held."""
    text = gateway.metrics.render()[0].decode()
    found = re.search(rf'^warren_gateway_buffer_closes_total\{{of="{of}"\}} (\S+)$', text, re.M)
    return int(float(found[1])) if found else 0


async def test_half_messages_hold_no_more_than_the_budget(home: House) -> None:
    """100 clients with half a MiB each of a message that never ends: those that hold most are told 1013, the
    others stay and are served.
    """
    gateway = await home.gateway(gateway_settings(limits={"buffer_bytes": 8 * MIB}))
    async with await connect(home.url(), user="fair") as fair:
        others = [await raw_upgrade(gateway.port) for _ in range(100)]
        for _, writer in others:
            writer.write(masked(b"x" * (MIB - 100))[: MIB // 2])
        await eventually(lambda: closes(gateway, "receiving") > 80, timeout_s=20)
        assert held(gateway) <= 8 * MIB * 1.1  # what came since it was looked at last
        await fair.publish("default", "y" * 500_000)
        await fair.settle()
        for _, writer in others:
            writer.close()
    await eventually(lambda: len(gateway.connections) == 0, timeout_s=10)
    assert held(gateway) == 0
    assert len(gateway._memory) == 0


async def test_strangers_go_before_everyone_else(home: House) -> None:
    """A client with a token that sends a large message slowly stays; those who have shown none
    are told 1013.
    """
    auth = {"auth": "jwt", "jwt_secret": SECRET}
    limits = {"buffer_bytes": MIB, "message_bytes": 200_000, "outbox_bytes": 65_536}
    gateway = await home.gateway(gateway_settings(auth=auth, limits=limits))
    ann = await connect(home.url(), token=Signer().token("ann"))
    writer = ann.socket.transport
    large = masked(json.dumps({"type": "CHAT", "id": "m", "payload": "x" * 190_000}).encode())
    writer.write(large[:180_000])
    strangers = [await raw_upgrade(gateway.port) for _ in range(60)]
    for _, stranger in strangers:
        stranger.write(masked(b"x" * 32_000)[:31_000])
    await eventually(lambda: closes(gateway, "unknown") > 0)
    assert held(gateway) <= MIB
    assert closes(gateway, "receiving") == closes(gateway, "sending") == 0
    writer.write(large[180_000:])
    await ann.expect("ACK", ref="m")
    answers = await asyncio.gather(*(asyncio.wait_for(reader.read(), 30) for reader, _ in strangers))
    assert sum(b"overloaded" in answer for answer in answers) == closes(gateway, "unknown")
    for _, stranger in strangers:
        stranger.close()
    await ann.close()


async def test_a_message_that_waits_for_many_is_held_once(home: House) -> None:
    """60 members of a room that read nothing while four messages of 400 kB come: twelve times the budget if
    each were counted for itself, and a fifth of it in truth. Nobody goes, and each reads all of it
    afterwards.
    """
    gateway = await home.gateway(gateway_settings(limits={"buffer_bytes": 8 * MIB}))
    async with await connect(home.url(), user="fair") as fair:
        sockets = [await raw_upgrade(gateway.port) for _ in range(60)]
        await eventually(lambda: len(home.router.members("default")) == 61)
        for reader, _ in sockets:
            reader._transport.pause_reading()  # type: ignore[attr-defined]
        for guest in gateway.connections.guests():
            pipe = guest.transport._transport.get_extra_info("socket")
            pipe.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)  # or the kernel would keep it all
        for number in range(4):
            home.publish("default", json.dumps(f"{number}" + "x" * 400_000))
        await fair.expect("NOTIFICATION", seq=4, timeout_s=20)
        assert sum(len(chunk) for holder in gateway._memory._holders for chunk in holder.chunks()) > 8 * MIB
        assert 400_000 < held(gateway) < 4 * MIB
        assert not any(closes(gateway, of) for of in ("sending", "receiving", "unknown", "ending"))
        for reader, _ in sockets:
            reader._transport.resume_reading()  # type: ignore[attr-defined]
            tail = b""
            while b'"3xxx' not in tail:
                came = await asyncio.wait_for(reader.read(1 << 20), 30)
                assert came
                tail = tail[-10:] + came
        for _, writer in sockets:
            writer.transport.abort()
    await eventually(lambda: len(gateway.connections) == 0, timeout_s=10)


async def test_answers_that_nobody_reads_hold_no_more_than_the_budget(home: House) -> None:
    """30 clients that ask for HISTORY and do not read: they are ended as too slow while one that reads gets
    everything.
    """
    gateway = await home.gateway(gateway_settings(limits={"buffer_bytes": 8 * MIB, "read_bytes": 1 << 30}))
    async with await connect(home.url(), user="fair") as fair:
        text = json.dumps("x" * 50_000)
        for _ in range(100):
            home.publish("default", text)
        await fair.expect("NOTIFICATION", seq=100, timeout_s=20)
        sockets = [await raw_upgrade(gateway.port) for _ in range(30)]
        await eventually(lambda: len(home.router.members("default")) == 31)
        for reader, _ in sockets:
            reader._transport.pause_reading()  # type: ignore[attr-defined]
        for guest in gateway.connections.guests():
            pipe = guest.transport._transport.get_extra_info("socket")
            pipe.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)  # or the kernel would keep it all
        ask = masked(b'{"type":"HISTORY","room":"default","payload":{"limit":40}}')
        most = 0
        for _ in range(10):
            for _, writer in sockets:
                if not writer.transport.is_closing():  # some have gone already
                    writer.write(ask)
            await fair.settle()
            most = max(most, held(gateway))
        await eventually(lambda: closes(gateway, "sending") > 0, timeout_s=20)
        assert most <= 8 * MIB
        await fair.publish("default", "still here")
        for _, writer in sockets:
            writer.transport.abort()
    await eventually(lambda: len(gateway.connections) == 0, timeout_s=10)
