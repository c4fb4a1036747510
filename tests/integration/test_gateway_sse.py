"""Event streams: the same session as by WebSocket, resumed exactly by the last event id."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import ClientSession
from tests.support.client import connect
from tests.support.event_stream import EventParser, EventSource, Response
from tests.support.eventually import MS, eventually, stretched
from tests.support.gateways import House, gateway_settings, get, logged
from tests.support.raw import ask
from tests.support.recorder import Recorder
from tests.support.tokens import SECRET, Signer

from gateway.app import Gateway
from warren import envelope
from warren.namespaces import Namespaces
from warren.settings import NamespaceSettings

JWT = {"auth": "jwt", "jwt_secret": SECRET}
NAMESPACES = """
- {name: ticker, pattern: "ticker:*", slow: latest_only}
- {name: feed, pattern: "feed:*", slow: drop_oldest}
"""


def address(home: House, query: str = "", gateway: Gateway | None = None) -> str:
    """Return the address of a stream."""
    return home.url(gateway, f"/sse?{query}", scheme="http")


async def post(home: House, source: EventSource, *frames: dict[str, Any], gateway: Any = None) -> int:
    """Post frames for a stream; return the status."""
    url = home.url(gateway, f"/publish?connection={source.id}", scheme="http")
    async with (
        ClientSession(headers={"Authorization": f"Bearer {source.post}"}) as http,
        http.post(url, data=json.dumps(frames)) as answer,
    ):
        return answer.status


async def test_a_stream_is_a_session(home: House) -> None:
    """WELCOME, the rooms of the address and the default ones, messages, and answers to what is posted."""
    await home.gateway()
    async with (
        EventSource([address(home, "room=chat:1&room=chat:2&user=ann")]) as ann,
        await connect(home.url(), user="bob") as bob,
    ):
        welcome = await ann.expect("WELCOME")
        assert welcome["payload"]["rooms"] == ["default", "@ann"]
        for room in ("default", "@ann", "chat:1", "chat:2"):
            await ann.expect("JOINED", room=room)
        assert {room["ref"] for room in ann.of_type("JOINED") if "ref" in room} == {"chat:1", "chat:2"}
        assert ann.response is not None
        assert ann.response.headers["content-type"] == "text/event-stream"
        assert ann.response.headers["cache-control"] == "no-store"
        assert ann.response.headers["x-accel-buffering"] == "no"
        await bob.join("chat:1")
        await bob.publish("chat:1", {"n": 1})
        assert (await ann.expect("CHAT"))["payload"] == {"n": 1}
        chat = {"type": "CHAT", "room": "chat:1", "payload": "hi", "id": "m1"}
        assert await post(home, ann, chat, {"type": "PING", "id": "p1"}) == 202
        assert (await ann.expect("ACK", ref="m1"))["payload"]["seq"] == 2
        await ann.expect("PONG", ref="p1")
        assert (await bob.expect("CHAT", payload="hi"))["sender"] == "ann"
        assert await post(home, ann, {"type": "JOIN", "room": "@bob", "id": "j"}) == 202
        await ann.expect("ERROR", ref="j", payload__code="invalid_room")
    await eventually(lambda: not home.router.members("chat:1") - {bob.id})


async def test_an_id_says_exactly_where_its_reader_stands(home: House) -> None:
    """After each message, whatever is cut off behind it, the id has the position of every room."""
    await home.gateway()
    async with (
        EventSource([address(home, "room=a&room=b&user=ann")]) as ann,
        await connect(home.url(), user="bob") as bob,
    ):
        for room in ("default", "@ann", "a", "b"):
            await ann.expect("JOINED", room=room)
        for number in range(6):
            await bob.publish("ab"[number % 2], number)
        assert await post(home, ann, {"type": "LEAVE", "room": "b", "id": "l"}) == 202
        assert await post(home, ann, {"type": "JOIN", "room": "c", "id": "c"}) in (202, 429)
        await ann.expect("LEFT", room="b")
    stands = dict.fromkeys(("default", "@ann"), 0)
    for message, shown in zip(ann.received, ann.ids, strict=True):
        match message["type"]:
            case "JOINED":
                stands[message["room"]] = message["payload"]["seq"]
            case "CHAT":
                stands[message["room"]] = message["seq"]
            case "LEFT":
                stands[message["room"]] = -1
        if message["type"] != "WELCOME":
            told = {room for room, *_ in (entry.split("~") for entry in shown.split(","))}
            assert told <= stands.keys()
            for entry in shown.split(","):
                room, epoch, *seq = entry.split("~")
                assert (int(seq[0]) if seq else -1) == stands[room]
                assert epoch or stands[room] == -1


async def test_a_stream_is_resumed_exactly_over_gateways(home: House) -> None:
    """Cut again and again at any moment, on one gateway and the other, it loses nothing and doubles
    nothing, in several rooms.
    """
    first, second = await home.gateway(), await home.gateway()
    rooms, recorder = ("chat:1", "chat:2", "chat:3"), Recorder()
    query = "&".join(f"room={room}" for room in rooms) + "&user=ann"
    urls = [address(home, query, first), address(home, query, second)]
    async with (
        EventSource(urls, listener=recorder, longest_retry_ms=1) as ann,
        await connect(home.url(), user="bob") as bob,
    ):
        await ann.expect("WELCOME")
        for room in rooms:
            await ann.expect("JOINED", room=room)
        for number in range(1, 121):
            for room in rooms:
                await bob.send("CHAT", room, {"n": number}, id=f"{room}{number}")
            if number % 10 == 0:
                streams = ann.streams
                ann.cut()
                await eventually(lambda streams=streams: ann.streams > streams)
        await eventually(lambda: all(recorder.delivered(room) >= 120 for room in rooms), 20.0)
    for room in rooms:
        recorder.check(room, sent={"bob": 120})
    assert ann.streams > 8


async def test_what_was_posted_outlives_the_stream(home: House) -> None:
    """A room that was joined by a post is resumed, one that was left is not joined again, though the address
    names it; and a page that dials anew says by its address which rooms it wants.
    """
    await home.gateway()
    async with EventSource([address(home, "room=a&room=b&user=ann")], longest_retry_ms=1) as ann:
        await ann.expect("WELCOME")
        await ann.expect("JOINED", room="b")
        assert await post(home, ann, {"type": "JOIN", "room": "c", "id": "c"}) == 202
        await ann.expect("JOINED", room="c")
        leaves = [{"type": "LEAVE", "room": room, "id": room} for room in ("b", "default", "@ann")]
        assert await post(home, ann, *leaves) == 202
        await ann.expect("LEFT", room="@ann")
        await ann.expect("LEFT", room="default")
        ann.cut()
        await ann.expect("WELCOME")
        again = await ann.expect("JOINED", room="c")
        assert again["payload"]["recovered"]
        await eventually(lambda: len(ann.of_type("JOINED", room="a")) == 2)
        assert await post(home, ann, {"type": "PING", "id": "p"}) == 202
        await ann.expect("PONG")
        assert [len(ann.of_type("JOINED", room=room)) for room in ("b", "default", "@ann")] == [1, 1, 1]
        vector = ann.parser.last_event_id
    async with EventSource([address(home, f"room=b&user=ann&last_event_id={vector}")]) as anew:
        await anew.expect("JOINED", room="b")
        assert (await anew.expect("JOINED", room="c"))["payload"]["recovered"]


@pytest.mark.parametrize(
    "vector",
    [
        "rubbish",
        "a~e",
        "a~e~x",
        "a~e~-1",
        "a~e~99999999999999999999",
        "a~E~1",
        "a~e~1,",
        "a~e~1,a~e~2",
        "<script>~e~1",
        "a" * 70_000,
        "\xff",
        "a\x00~e~1",
        "a~e~1" + ",a" * 3_000,
    ],
)
async def test_an_id_that_is_none_counts_as_none(home: House, vector: str) -> None:
    """Its reader begins anew and is told so: a browser that is refused would never come back."""
    gateway = await home.gateway()
    head = f"GET /sse?room=a&user=ann HTTP/1.1\r\nHost: h\r\nLast-Event-ID: {vector}\r\n\r\n".encode(
        "latin-1"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head)
    line = await asyncio.wait_for(reader.readline(), stretched(5))
    if len(vector) > 16_384 or "\x00" in vector:
        assert line.split()[1] in (b"431", b"400")
    else:
        assert line == b"HTTP/1.1 200 OK\r\n"
        async with asyncio.timeout(stretched(5)):
            text = (await reader.readuntil(b'"room":"a","ref":"a"')).decode()
        assert "WELCOME" in text
    writer.close()


async def test_nothing_in_a_payload_begins_a_line(home: House) -> None:
    """Line breaks between JSON's values are blanks, and those inside strings are escaped: no payload makes an
    event, an id or a chunk of its own.
    """
    await home.gateway()
    evil = '{"a":\n\ndata: {"type":"CHAT"}\r\n\r\nid: x\revent: close\n'
    async with (
        EventSource([address(home, "room=a&user=ann")]) as ann,
        await connect(home.url(), user="bob") as bob,
    ):
        await ann.expect("JOINED", room="a")
        await bob.join("a")
        await bob.send_raw('{"type":"CHAT","room":"a","id":"m1","payload":{\n"a":\r\n[1,\r2]\n\n}}')
        await ann.expect("CHAT", payload={"a": [1, 2]})
        await bob.publish("a", evil)
        assert (await ann.expect("CHAT"))["payload"] == evil
        await bob.publish("a", "\u2028\u0085\0")
        assert (await ann.expect("CHAT"))["payload"] == "\u2028\u0085\0"
        assert ann.closes == []
        assert ann.parser.last_event_id.count("~") == 6


async def test_an_old_proxy_gets_the_stream_without_chunks(home: House) -> None:
    """To HTTP/1.0 the body ends with the connection."""
    await home.gateway()
    response = await Response.of(address(home, "user=ann"), version="HTTP/1.0")
    assert response.status == 200
    assert "transfer-encoding" not in response.headers
    parser, events = EventParser(), list[Any]()
    async with asyncio.timeout(stretched(5)):
        while len(events) < 3:
            events += parser.feed((await response.read()).decode())
    assert json.loads(events[0].data)["type"] == "WELCOME"
    response.close()


async def test_a_stream_shows_that_it_lives(home: House) -> None:
    """By comments, which no page sees; a reader that is there is never taken for dead."""
    await home.gateway(gateway_settings(times={"heartbeat_ms": 50}))
    async with EventSource([address(home, "user=ann")]) as ann:
        await ann.expect("WELCOME")
        await eventually(lambda: ann.parser.comments >= 4)
        assert ann.streams == 1


@pytest.mark.parametrize(
    ("query", "code", "reconnect"),
    [("", 4001, "token"), ("token=rubbish", 4001, "token"), ("user=ann", 4001, "token")],
)
async def test_a_token_that_does_not_hold_is_told_by_an_event(
    home: House, query: str, code: int, reconnect: str
) -> None:
    """A page can't see a status, and a browser that does not listen stays away for long."""
    await home.gateway(gateway_settings(auth=JWT))
    async with EventSource([address(home, query)]) as ann:
        await ann.ended()
        assert [(close["code"], close["reconnect"]) for close in ann.closes] == [(code, reconnect)]
        assert ann.of_type("ERROR")[0]["payload"]["code"] == "unauthorized"
        assert ann.parser.retry_ms == 3_600_000
        assert ann.whole == [True]


@pytest.mark.parametrize("where", ["query", "header"])
async def test_a_token_lets_in(home: House, where: str) -> None:
    """By the address or by the header; a fresh one by a post extends the stream's life."""
    await home.gateway(gateway_settings(auth=JWT))
    token = Signer().token("ann", expires_in_s=60)
    headers = {"Authorization": f"Bearer {token}"} if where == "header" else {}
    url = address(home, "" if headers else f"token={token}")
    async with EventSource([url], headers=headers) as ann:
        assert (await ann.expect("WELCOME"))["payload"]["user"] == "ann"
        fresh = {"type": "AUTH", "payload": {"token": Signer().token("ann", expires_in_s=600)}, "id": "a"}
        assert await post(home, ann, fresh) == 202
        await ann.expect("AUTHENTICATED", ref="a")
        other = {"type": "AUTH", "payload": {"token": Signer().token("bob")}, "id": "b"}
        assert await post(home, ann, other) == 202
        await ann.ended()
        assert ann.closes[-1]["reconnect"] == "token"


async def test_a_pod_that_goes_sends_its_streams_away(home: House) -> None:
    """RECONNECT, then ``close``, and the response is whole; what comes at last gets a stream that says so."""
    leaving, staying = await home.gateway(), await home.gateway()
    recorder = Recorder()
    urls = [address(home, "room=a&user=ann", leaving), address(home, "room=a&user=ann", staying)]
    async with (
        EventSource(urls, listener=recorder) as ann,
        await connect(home.url(staying), user="bob") as bob,
    ):
        await ann.expect("JOINED", room="a")
        await bob.publish("a", {"n": 1})
        await ann.expect("CHAT")
        stopping = asyncio.create_task(leaving.stop())
        home.gateways.remove(leaving)
        await bob.publish("a", {"n": 2})
        await ann.expect("RECONNECT")
        await eventually(lambda: len(ann.of_type("CHAT")) == 2)
        assert ann.closes[0]["code"] == 1012
        assert ann.closes[0]["reconnect"] == "yes"
        assert ann.whole[0]
        await stopping
        await ann.expect("WELCOME", payload__user="ann")
        recorder.check("a", sent={"bob": 2})


async def test_a_full_pod_sends_streams_elsewhere(home: House) -> None:
    """A browser would never come back to a 503; no place stays taken."""
    gateway = await home.gateway(gateway_settings(limits={"connections": 1}))
    async with EventSource([address(home, "user=ann")]) as ann:
        await ann.expect("WELCOME")
        async with ClientSession() as http, http.get(address(home)) as answer:
            assert answer.status == 200
            assert answer.content_type == "text/event-stream"
            (event,) = EventParser().feed(await answer.text())
            assert event.type == "close"
            assert json.loads(event.data)["code"] == 1013
            assert json.loads(event.data)["after_ms"] >= 5_000
        assert len(gateway.connections) == 1
    await eventually(lambda: len(gateway.connections) == 0)
    lines = gateway.metrics.render()[0].decode()
    assert 'warren_gateway_upgrades_refused_total{reason="full"} 1.0' in lines


async def test_a_pod_that_goes_sends_streams_elsewhere_at_once(home: House) -> None:
    """Its clients are spread already, and who is back before their leave was never away."""
    gateway = await home.gateway()
    gateway.readiness.drain()
    async with ClientSession() as http, http.get(address(home)) as answer:
        assert answer.status == 200
        (event,) = EventParser().feed(await answer.text())
    said = json.loads(event.data)
    assert (event.type, said["code"], said["reconnect"]) == ("close", 1012, "yes")
    assert said["after_ms"] <= 1_000
    assert len(gateway.connections) == 0


async def test_what_a_page_has_done_wrong_is_a_status(home: House) -> None:
    """A name that is none, more rooms than ids can hold, an origin that may not connect."""
    await home.gateway()
    many = "&".join(f"room={'r' * 100}{number}" for number in range(40))
    async with ClientSession() as http:
        for query, says in (("room=*", "room: "), ("room=g~1", "room: "), (many, "WebSocket")):
            async with http.get(address(home, query)) as answer:
                assert answer.status == 400
                assert says in await answer.text()
        async with http.get(address(home), headers={"Origin": "https://evil.test"}) as answer:
            assert answer.status == 403
        async with http.head(address(home)) as answer:
            assert answer.status == 405


async def test_pages_of_other_origins_may_read_what_they_may_open(home: House) -> None:
    """CORS: the origin by name, with cookies; a preflight says what may be sent. To others nothing."""
    await home.gateway(gateway_settings(listen={"origins": ("https://app.test",)}))
    page = {"Origin": "https://app.test"}
    async with EventSource([address(home, "user=ann")], headers=page) as ann:
        await ann.expect("WELCOME")
        assert ann.response is not None
        assert ann.response.headers["access-control-allow-origin"] == "https://app.test"
        assert ann.response.headers["access-control-allow-credentials"] == "true"
        assert ann.response.headers["vary"] == "Origin"
    async with ClientSession() as http:
        for path in ("/sse", "/publish"):
            url = home.url(path=path, scheme="http")
            async with http.options(url, headers=page) as answer:
                assert answer.status == 204
                assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
                assert "POST" in answer.headers["Access-Control-Allow-Methods"]
                assert answer.headers["Access-Control-Allow-Origin"] == "https://app.test"
            async with http.options(url, headers={"Origin": "https://evil.test"}) as answer:
                assert answer.status == 403
                assert "Access-Control-Allow-Origin" not in answer.headers


async def test_more_rooms_than_ids_hold_are_refused(home: House) -> None:
    """A JOIN beyond them is an ERROR; what is there goes on."""
    await home.gateway()
    async with EventSource([address(home, "user=ann")]) as ann:
        await ann.expect("JOINED", room="@ann")
        joins = [{"type": "JOIN", "room": f"{'r' * 120}{n}", "id": f"j{n}"} for n in range(30)]
        assert await post(home, ann, *joins) == 202
        error = await ann.expect("ERROR", payload__code="too_many_rooms", ref="j29")
        assert "ids" in error["payload"]["message"]
        joined = 32 - len(ann.of_type("ERROR"))
        await eventually(lambda: len(ann.of_type("JOINED")) == joined)
        assert 20 < joined < 30
        assert len(ann.parser.last_event_id) < 4_096
        ann.cut()
        await eventually(lambda: len(ann.of_type("JOINED", payload__recovered=True)) == joined)


@pytest.mark.parametrize("room", ["chat:1", "feed:1", "ticker:1"])
async def test_a_slow_reader_gets_what_its_rooms_say(home: House, room: str) -> None:
    """It is closed with 4005 and resumes without loss, or is told what it did not get; its id follows, and
    the bytes that wait for it are bounded.
    """
    namespaces = NamespaceSettings(namespaces=Namespaces.parse(NAMESPACES))
    settings = gateway_settings(limits={"outbox_bytes": 262_144}, namespaces=namespaces)
    gateway = await home.gateway(settings)
    recorder = Recorder()
    async with EventSource([address(home, f"room={room}&user=ann")], listener=recorder) as ann:
        await ann.expect("JOINED", room=room)
        connection = gateway.connections.find(ann.id)
        assert connection is not None
        ann.stop_reading()
        sent, behind = 0, 0
        while behind < 25:
            sent += 1
            payload = json.dumps({"n": sent, "text": "x" * 60_000}).encode()
            at_us = gateway.clock.wall_us()
            home.router.publish(envelope.Publish(room, "NOTIFICATION", payload, at_us, key=str(sent % 2)))
            await eventually(lambda sent=sent: home.router.position(room).seq == sent)
            await home.router.settled()
            assert connection.outbox.bytes <= 262_144
            behind += not connection.outbox.idle or connection.outbox.lost
            assert sent < 4_000
        ann.go_on_reading()
        await eventually(lambda: ann.of_type("NOTIFICATION", seq=sent), 30.0)
        position = ann.parser.last_event_id.partition(f"{room}~")[2].partition(",")[0]
        assert position.split("~")[1] == str(sent)
        if room == "chat:1":
            assert ann.streams == 2
            recorder.check(room, sent={"": sent})
        else:
            assert ann.streams == 1
            dropped = sum(one["payload"]["count"] for one in ann.of_type("DROPPED", room=room))
            assert dropped + len(ann.of_type("NOTIFICATION", room=room)) == sent
            assert dropped > 10


async def test_a_peer_that_talks_on_a_stream_is_cut(home: House) -> None:
    """It has nothing to say there; a little does no harm."""
    gateway = await home.gateway()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /sse?user=ann HTTP/1.1\r\nHost: h\r\n\r\nGET /sse HTTP/1.1\r\nHost: h\r\n\r\n")
    async with asyncio.timeout(stretched(5)):
        await reader.readuntil(b"WELCOME")
        assert len(gateway.connections) == 1
        with suppress(ConnectionError):
            for _ in range(100):
                writer.write(b"x" * 65_536)
                await writer.drain()
                await asyncio.sleep(0)
    await eventually(lambda: len(gateway.connections) == 0)
    writer.close()


async def test_a_stream_is_seen_where_connections_are_seen(
    home: House, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log, in the statistics and in the metrics; neither token nor secret is in any of them."""
    gateway = await home.gateway(gateway_settings(auth=JWT))
    token = Signer().token("ann")
    with caplog.at_level(logging.DEBUG):
        async with EventSource([address(home, f"token={token}")]) as ann:
            await ann.expect("JOINED", room="@ann")
            secret = ann.post
            assert await post(home, ann, {"type": "PING"}) == 202
            stats = (await get(home.url(path="/websocket-stats", scheme="http")))[1]
            assert (stats["connections"], stats["event_streams"]) == (1, 1)
            lines = gateway.metrics.render()[0].decode()
            assert "warren_gateway_event_streams 1.0" in lines
            assert 'warren_gateway_posts_total{status="202"} 1.0' in lines
        await eventually(lambda: logged(caplog.records, "ws_disconnect"))
    (connected,) = logged(caplog.records, "ws_connect")
    assert (connected["transport"], connected["user"]) == ("sse", "ann")
    (gone,) = logged(caplog.records, "ws_disconnect")
    assert gone["transport"] == "sse"
    assert gone["messages_out"] >= 3
    assert secret not in caplog.text
    assert token not in caplog.text


async def test_streams_can_be_switched_off(home: House) -> None:
    """Then nothing is served by HTTP but what was before."""
    await home.gateway(gateway_settings(listen={"sse": False}))
    assert (await get(address(home)))[0] == 404
    gateway = home.gateways[0]
    answer = await ask(gateway.port, b"POST /publish HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    assert " 404 " in answer


async def test_a_reader_that_takes_nothing_holds_no_more_than_its_share(home: House) -> None:
    """Those who hold most go when all hold too much, told why where that can be; others stay."""
    gateway = await home.gateway(
        gateway_settings(
            limits={"buffer_bytes": 8 * 1_048_576, "outbox_bytes": 2 * 1_048_576, "outbox_count": 100_000}
        )
    )
    sources = [EventSource([address(home, f"room=a&user=u{n}")], longest_retry_ms=60_000) for n in range(12)]
    try:
        for source in sources:
            await source.expect("JOINED", room="a")
            source.stop_reading()
        for number in range(300):
            home.publish("a", json.dumps({"n": number, "text": "x" * 40_000}))
            if number % 10 == 0:
                await home.router.settled()
        await home.router.settled()
        await eventually(lambda: len(gateway.connections) < 12, 20.0)
        assert gateway._memory._sending <= 8 * 1_048_576
    finally:
        for source in sources:
            source.go_on_reading()
            await source.close()


async def test_an_aged_stream_is_asked_to_come_again(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its age, with nothing lost."""
    monkeypatch.setattr("gateway.app.AGE_GRACE_S", 100 * MS)
    await home.gateway(
        gateway_settings(times={"max_age_ms": 1_000, "max_age_jitter_percent": 0, "heartbeat_ms": 200})
    )
    async with EventSource([address(home, "room=a&user=ann")]) as ann:
        await ann.expect("RECONNECT")
        await eventually(lambda: ann.streams == 2)
        await ann.expect("JOINED", room="a", payload__recovered=True)
