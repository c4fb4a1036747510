"""One gateway with real sockets and stock clients, on a memory bus with a plain router: rooms, messages,
echo, statistics.
"""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.support.client import MSGPACK, Client, connect
from tests.support.eventually import eventually
from tests.support.gateways import (
    SHARDS,
    House,
    gateway_settings,
    get,
    raw_upgrade,
    recording_tracing,
)
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import ConnectionClosed

from warren import envelope
from warren.address import connection_id, shard_of


async def test_two_clients_chat_and_the_sender_gets_no_copy(home: House) -> None:
    """A CHAT reaches the other member of the room with sender, seq and epoch, its sender gets an ACK and no
    copy.
    """
    await home.gateway()
    async with await connect(home.url(), user="ann") as ann, await connect(home.url(), user="bob") as bob:
        await ann.join("chat:x")
        await bob.join("chat:x")
        ack = await ann.publish("chat:x", {"text": "hello"})
        chat = await bob.expect("CHAT", room="chat:x")
        assert (chat["payload"], chat["sender"], chat["seq"]) == ({"text": "hello"}, "ann", 1)
        assert ack["payload"] == {"seq": 1, "epoch": chat["epoch"]}
        await ann.settle()
        assert not ann.of_type("CHAT")


async def test_welcome_names_the_rooms_and_limits(home: House) -> None:
    """WELCOME names the connection, the user, the rooms joined at connect and the limits, and each room gets
    a JOINED.
    """
    gateway = await home.gateway(gateway_settings(rooms=("default", "news")))
    async with await connect(home.url(), user="ann") as ann:
        payload = ann.welcome["payload"]
        assert payload["connection"].startswith(f"{gateway.id}~")
        assert (payload["user"], payload["rooms"]) == ("ann", ["default", "news", "@ann"])
        assert payload["limits"]["message_bytes"] == 1_048_576
        for room in payload["rooms"]:
            joined = await ann.expect("JOINED", room=room)
            assert joined["payload"]["seq"] == 0


async def test_user_connection_and_everyone_are_addresses(home: House) -> None:
    """A message to ``@user``, to a connection id or to ``*`` reaches just those it is for."""
    await home.gateway()
    async with await connect(home.url(), user="ann") as ann, await connect(home.url(), user="bob") as bob:
        await ann.expect("JOINED", room="@ann")
        await bob.expect("JOINED", room="@bob")
        home.publish("@ann", '"user"')
        home.publish(bob.id, '"conn"')
        home.publish("*", '"all"')
        assert (await ann.expect("NOTIFICATION", payload="all"))["room"] == "*"
        await bob.expect("NOTIFICATION", payload="all")
        assert [m["payload"] for m in ann.of_type("NOTIFICATION")] == ["user", "all"]
        assert [m["payload"] for m in bob.of_type("NOTIFICATION")] == ["conn", "all"]


async def test_left_rooms_are_quiet(home: House) -> None:
    """After LEAVE nothing of the room comes, and the router has been told."""
    await home.gateway()
    async with await connect(home.url(), user="ann") as ann:
        await ann.join("chat:x")
        await ann.leave("chat:x")
        home.publish("chat:x", "1")
        home.publish(ann.id, "2")
        await ann.expect("NOTIFICATION", payload=2)
        assert not ann.of_type("NOTIFICATION", payload=1)
        assert not home.router.members("chat:x")


async def test_malformed_frames_keep_the_connection(home: House) -> None:
    """What can't be parsed gets ERROR invalid_format, in JSON and MessagePack, and the connection
    works on.
    """
    gateway = await home.gateway()
    async with await connect(home.url()) as ann, await connect(home.url(), subprotocol=MSGPACK) as bob:
        for client, frames in ((ann, ["{", "[]", b"\xff\xfe", "null"]), (bob, [b"\xc1", b"", "text"])):
            for frame in frames:
                await client.send_raw(frame)
                error = await client.expect("ERROR")
                assert error["payload"]["code"] in ("invalid_format", "invalid_message")
            await client.settle()
    assert gateway.metrics.total_errors == 7


async def test_messagepack_and_json_share_a_room(home: House) -> None:
    """A binary payload goes out as it is to MessagePack and as base64 to JSON, and JSON payloads arrive as
    values in both.
    """
    await home.gateway()
    async with (
        await connect(home.url(), subprotocol=MSGPACK) as ann,
        await connect(home.url()) as bob,
        await connect(home.url(), subprotocol=MSGPACK) as cid,
    ):
        for client in (ann, bob, cid):
            await client.join("mixed")
        await ann.publish("mixed", b"\x00\xff")
        assert (await cid.expect("CHAT"))["payload"] == b"\x00\xff"
        chat = await bob.expect("CHAT")
        assert (chat["payload"], chat["encoding"]) == ("AP8=", "base64")
        await bob.publish("mixed", {"n": [1, 2.5, None]})
        assert (await ann.expect("CHAT"))["payload"] == {"n": [1, 2.5, None]}


async def test_deflate_is_negotiated_and_shared(home: House) -> None:
    """A client that offers deflate gets it without server context takeover and reads shared frames; the
    others get plain ones.
    """
    gateway = await home.gateway()
    big = "warren " * 500
    async with await connect(home.url(), deflate=True) as ann, await connect(home.url()) as bob:
        response = ann.socket.response
        assert response is not None
        assert (
            response.headers["Sec-WebSocket-Extensions"] == "permessage-deflate; server_no_context_takeover"
        )
        assert bob.socket.response is not None
        assert "Sec-WebSocket-Extensions" not in bob.socket.response.headers
        await ann.join("x")
        await bob.join("x")
        for _ in range(3):  # without context takeover each frame stands alone
            home.publish("x", json.dumps(big))
        for client in (ann, bob):
            got = await client.expect_all("NOTIFICATION", 3)
            assert [m["payload"] for m in got] == [big] * 3
        await ann.publish("x", big)
        await bob.expect("CHAT", payload=big)
    text, _ = gateway.metrics.render()
    assert b"warren_gateway_bytes_out" in text


async def test_deflate_can_be_switched_off(home: House) -> None:
    """With deflate off nothing is negotiated."""
    await home.gateway(gateway_settings(listen={"deflate": False}))
    async with await connect(home.url(), deflate=True) as ann:
        assert ann.socket.response is not None
        assert "Sec-WebSocket-Extensions" not in ann.socket.response.headers


async def test_echo_sends_back_text_and_binary(home: House) -> None:
    """``/ws/echo`` sends back what it gets, also compressed and fragmented, keeps the size limit, and answers
    pings and closes.
    """
    await home.gateway(gateway_settings(limits={"message_bytes": 100_000, "rate": 1}))
    for compression in (None, "deflate"):
        async with websocket(home.url(path="/ws/echo"), proxy=None, compression=compression) as client:
            for data in ("hello", b"\x00\xff", "", "x" * 70_000, "é" * 30_000):
                await client.send(data)
                assert await client.recv() == data
            await client.send(["a", "b", "c"])
            assert await client.recv() == "abc"
            await (await client.ping())
            await client.close(4321)
            assert client.close_code == 4321
    async with websocket(home.url(path="/ws/echo"), proxy=None, max_size=None) as client:
        await client.send("x" * 100_001)
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 4003


async def test_protocol_errors_end_with_their_code(home: House) -> None:
    """Invalid UTF-8 is closed with 1007, a reserved bit with 1002, and a close code that nobody may send is
    answered with 1002.
    """
    gateway = await home.gateway()
    for frame, code in (
        (b"\x81\x81\0\0\0\0\xff", 1007),
        (b"\xf1\x80\0\0\0\0", 1002),
        (b"\x88\x82\0\0\0\0\x03\xee", 1002),
    ):
        reader, writer = await raw_upgrade(gateway.port, "/ws/echo")
        writer.write(frame)
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer[0] == 0x88
        assert int.from_bytes(answer[2:4], "big") == code
        writer.close()
    await eventually(lambda: len(gateway.connections) == 0)


async def test_statistics_and_probes(home: House) -> None:
    """``/websocket-stats`` counts connections, messages, errors, memory and uptime on both ports; probes and
    metrics are internal.
    """
    gateway = await home.gateway()
    internal = f"http://127.0.0.1:{gateway.probes.port}"
    async with await connect(home.url()) as ann:
        await ann.publish("default", 1)
        await ann.send_raw("{")
        await ann.expect("ERROR")
        for address in (home.url(path="/websocket-stats", scheme="http"), f"{internal}/websocket-stats"):
            status, stats, _ = await get(address)
            assert status == 200
            assert (stats["connections"], stats["messages"], stats["errors"]) == (1, 2, 1)
            assert stats["memory"]["rss"] > 1_000_000
            assert stats["uptime"] > 0
        status, text, _ = await get(f"{internal}/metrics")
        assert (status, 'warren_gateway_messages_in_total{type="CHAT"} 1.0' in text) == (200, True)
        assert "warren_gateway_connections 1.0" in text
    assert (await get(f"{internal}/healthz"))[0] == 200
    assert (await get(f"{internal}/readyz"))[0] == 200
    assert (await get(home.url(path="/metrics", scheme="http")))[0] == 404


async def test_heartbeats_tell_the_routers(home: House) -> None:
    """Heartbeats carry the counts, and a Leaving follows the members' leaves when the gateway goes."""
    gateway = await home.gateway(gateway_settings(times={"announce_ms": 20}))
    async with await connect(home.url()) as ann:
        await ann.publish("default", 1)
        await eventually(lambda: home.router.of(envelope.Heartbeat, connections=1, messages_in=1))
    await gateway.stop()
    home.gateways.clear()
    await eventually(lambda: home.router.of(envelope.Leaving, gateway=gateway.id))
    await eventually(lambda: not home.router.rooms)


async def test_a_sampled_message_has_its_hops(home: House) -> None:
    """A sampled message has receive, publish and one deliver with the recipients, in the client's trace, and
    shows its context.
    """
    tracing, spans = recording_tracing()
    await home.gateway(tracing=tracing)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with (
        await connect(home.url()) as ann,
        await connect(home.url()) as bob,
        await connect(home.url()) as cid,
    ):
        for client in (ann, bob, cid):
            await client.join("x")
        await ann.publish("x", 1, traceparent=parent)
        chat = await bob.expect("CHAT")
        await cid.expect("CHAT")
        await ann.publish("x", 2, traceparent=parent[:-1] + "0")
        await bob.expect("CHAT", payload=2)
    tracing.shutdown()
    by_name = {span.name: span for span in spans.get_finished_spans()}
    assert set(by_name) == {"receive warren.v1", "send warren.ingress", "process warren.gateway"}
    receive, publish, deliver = (
        by_name[name] for name in ("receive warren.v1", "send warren.ingress", "process warren.gateway")
    )
    assert f"{receive.context.trace_id:032x}" == parent[3:35]
    assert receive.parent.span_id == int(parent[36:52], 16)
    assert publish.parent.span_id == receive.context.span_id
    assert deliver.parent.span_id == publish.context.span_id
    assert deliver.attributes["warren.recipients"] == 2
    assert chat[
        "traceparent"
    ] == f"00-{deliver.context.trace_id:032x}-{deliver.context.span_id:016x}-03" or chat[
        "traceparent"
    ].startswith(f"00-{deliver.context.trace_id:032x}-{deliver.context.span_id:016x}-")
    assert "traceparent" not in (bob.of_type("CHAT", payload=2)[0])
    assert len(spans.get_finished_spans()) == 3
    exposition = (
        home.gateways[0].metrics.render("application/openmetrics-text;version=1.0.0")[0].decode().splitlines()
    )
    left = {line.partition('hop="')[2].partition('"')[0] for line in exposition if parent[3:35] in line}
    assert left == {"uplink", "end_to_end"}


async def test_the_gateway_is_named_in_every_connection(home: House) -> None:
    """Two gateways have ids of their own, and their connections' ids say which."""
    first, second = await home.gateway(), await home.gateway(gateway_settings(id="pod-1"))
    assert second.id.startswith("pod-1-")
    async with await connect(home.url(second)) as ann:
        assert ann.id == connection_id(second.id, 1)
        async with await connect(home.url(first), user="bob") as bob:
            await ann.expect("JOINED", room="default")
            await bob.expect("JOINED", room="default")
            await bob.publish("default", "across")
            await ann.expect("CHAT", payload="across", sender="bob")
    assert shard_of("default", SHARDS) == home.shard("default")


async def test_a_client_is_never_listed_twice(home: House) -> None:
    """Hub and lobby are empty after many clients have come and gone at once."""
    gateway = await home.gateway()

    async def visit(number: int) -> None:
        client: Client = await connect(home.url(), user=f"u{number % 5}")
        await client.join("x")
        await client.close()

    await asyncio.gather(*(visit(number) for number in range(30)))
    await eventually(lambda: len(gateway.connections) == 0)
    assert (gateway.hub.connections, gateway.hub.rooms) == (0, 0)
    await eventually(lambda: not home.router.rooms)
