"""A router on a bus, memory and RabbitMQ: poison, backends' notifications, traces, and the internal port."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.buses import Inbox
from tests.support.eventually import eventually
from tests.support.stage import BUSES, Stage, backend, dead, message, staged

from router.core.notification_list_parser import LIST_TYPE
from warren import envelope as wire
from warren.address import shard_of
from warren.bus import Bus, Source
from warren.envelope import encode
from warren.log_entries import PRESENCE_USERS
from warren.position import Position
from warren.telemetry import Tracing, trace_id
from warren.topology import Binding, Queue


async def events_of(stage: Stage, bus: Bus) -> Inbox:
    """Return what backends are told."""
    queue = Queue(f"{stage.topology.prefix}.told", "quorum", {})
    inbox = Inbox(ack=True)
    await bus.subscribe(
        lambda: Source(queue, (Binding(stage.topology.events, queue.name, "#"),)), inbox, prefetch=100
    )
    return inbox


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest_asyncio.fixture(params=BUSES)
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with staged(request) as stage:
        yield stage


async def test_poison_in_the_log_is_passed_over_and_counted(stage: Stage) -> None:
    """No batch, a newer wire version, a batch with another gateway's connection, one without a head: the good
    ones around them arrive.
    """
    router = await stage.router()
    gate = await stage.gate("g1")
    conn = await stage.member(gate, "lobby")
    await gate.send(message("lobby", "a", conn=conn, id="m1"))
    await gate.raw("lobby", b"\xc1 not a batch")
    await gate.raw("lobby", b"\x92\x63\x90")
    await gate.raw("lobby", encode([message("lobby", "b", conn=conn, id="m2")]))
    await gate.raw(
        "lobby", encode([wire.Batch("g1", 1, 1_000, 1), message("lobby", "c", conn="g2~1", id="m3")])
    )
    await gate.send(message("lobby", "d", conn=conn, id="m4"))
    await gate.expect(wire.Ack, id="m4")
    assert [d.payload for d in await gate.given("lobby", 2)] == [b'"a"', b'"d"']
    assert 'warren_router_rejected_total{reason="log"} 4.0' in router.metrics.render()[0].decode()


async def test_what_the_log_refuses_is_answered(stage: Stage) -> None:
    """A room that can't be one, and one of another shard: the sender is told which of its messages it was."""
    await stage.router()
    gate = await stage.gate("g1")
    conn = await stage.member(gate, "lobby")
    elsewhere = next(f"r{n}" for n in range(99) if shard_of(f"r{n}", 2) != shard_of("lobby", 2))
    await gate.send(message("no room", "a", conn=conn, id="m1"), room="lobby")
    await gate.send(message(elsewhere, "b", conn=conn, id="m2"), room="lobby")
    (first,) = await gate.expect(wire.Refused, ref="m1")
    (second,) = await gate.expect(wire.Refused, ref="m2")
    assert (first.code, second.code) == ("invalid_room", "internal")


async def test_events_have_an_id_and_come_in_order(stage: Stage) -> None:
    """The same in the AMQP property and in the body: life, shard, offset and index."""
    await stage.router(events=("client", "room", "message"))
    bus = await stage.world.bus()
    await bus.start()
    told = await events_of(stage, bus)
    gate = await stage.gate("g1")
    conn = await stage.member(gate, "lobby")
    await gate.send(message("lobby", "a", conn=conn, id="m1"), message("lobby", "b", conn=conn, id="m2"))
    await told.holds(3)
    said = [json.loads(delivery.body) for delivery in told.deliveries]
    assert [each["event"] for each in said] == ["room.joined", "message", "message"]
    ids = [delivery.properties.message_id for delivery in told.deliveries]
    assert ids == [each["event_id"] for each in said]
    places = [tuple(map(int, str(ident).split(".")[1:])) for ident in ids]
    assert places == sorted(set(places))
    assert (said[0]["connections"], "connections" in said[1]) == (1, False)


async def test_events_are_cloud_events(stage: Stage) -> None:
    """By their headers, in the binary mode of the AMQP binding."""
    await stage.router()
    bus = await stage.world.bus()
    await bus.start()
    told = await events_of(stage, bus)
    gate = await stage.gate("g1")
    await stage.member(gate, "lobby")
    await told.holds(1)
    headers = told.deliveries[0].properties.headers
    assert headers["cloudEvents_id"] == told.deliveries[0].properties.message_id
    assert headers["cloudEvents_source"] == f"{stage.topology.prefix}/{shard_of('lobby', 2)}"
    assert (headers["cloudEvents_type"], headers["cloudEvents_subject"]) == ("room.joined", "lobby")
    assert headers["cloudEvents_specversion"] == "1.0"
    assert str(headers["cloudEvents_time"]).endswith("Z")


async def test_who_watches_is_told_who_comes_and_can_ask_who_is_there(stage: Stage) -> None:
    """Outside the feeds; the gateway of who watches is another than that of who comes."""
    await stage.router()
    here, there = await stage.gate("g1"), await stage.gate("g2")
    beside = next(f"r{n}" for n in range(99) if shard_of(f"r{n}", 2) == shard_of("lobby", 2))
    for gate in (here, there):
        await stage.member(gate, beside)
    watch = wire.Watch("lobby", "g2~1", "eve", on=True)
    await there.send(watch, message("lobby", "a", conn="g2~1", id="m1"), room="lobby")
    await there.expect(wire.Ack, id="m1")
    join = wire.Join("lobby", "g1~1", "ann", info=b'{"n":1}', presence=PRESENCE_USERS)
    await here.send(join, room="lobby")
    diff = (await there.expect(wire.PresenceDiff, users=1))[0]
    (ann,) = diff.joined
    assert (ann.key, ann.info, ann.proof, diff.users) == ("ann", b'{"n":1}', diff.digest, 1)
    await there.tell(wire.PresenceQuery("lobby", "g2~1", "q"))
    (page,) = await there.expect(wire.PresencePage)
    assert (page.ref, page.members, page.version, page.more) == ("q", (ann,), diff.version, False)


async def test_what_a_member_missed_and_its_history_can_be_read(stage: Stage) -> None:
    """Page by page up to what was asked; of another epoch nothing; history for members alone."""
    await stage.router()
    gate = await stage.gate("g1")
    conn = await stage.member(gate, "lobby")
    big = "x" * 100_000
    await gate.send(*(message("lobby", f"{big}{number}", conn=conn, id=f"m{number}") for number in range(5)))
    (ack,) = await gate.expect(wire.Ack, id="m4")
    await gate.read("lobby", Position(ack.epoch, 0), 5)
    (page,) = await gate.expect(wire.Page)
    assert ([each.seq for each in page.messages], page.whole, page.kept) == ([1, 2], False, True)
    await gate.read("lobby", Position(ack.epoch, 4), 5)
    (_, last) = await gate.expect(wire.Page, 2)
    assert ([each.seq for each in last.messages], last.whole, last.kept) == ([5], True, True)
    await gate.read("lobby", Position("other-1", 4), 5)
    (*_, foreign) = await gate.expect(wire.Page, 3)
    assert (foreign.messages, foreign.kept) == ((), False)
    # no member, as far as the log says: not answered
    await gate.tell(wire.HistoryQuery("lobby", "g1~99", "h2"))
    await gate.tell(wire.HistoryQuery("lobby", conn, "h1", limit=2))
    (history,) = await gate.expect(wire.HistoryPage, ref="h1")
    assert ([each.seq for each in history.messages], history.more) == ([4, 5], True)
    assert not [answer for answer in gate.got(wire.HistoryPage) if answer.ref == "h2"]


async def test_notifications_reach_room_user_connection_and_everyone(stage: Stage) -> None:
    """A backend's four kinds of address reach who is meant, with type, payload and encoding; a repeat of a
    message_id counts once.
    """
    await stage.router()
    gate, other = await stage.gate("g1"), await stage.gate("g2")
    await stage.member(gate, "lobby")
    await stage.member(gate, "@ann@example.org", 2)
    notify = await backend(stage)
    for _ in range(2):
        await notify("room.lobby", b'{"n":1}', type="deal", message_id="once", headers={"key": "EURUSD"})
    await notify("user.ann@example.org", b"\x00\xff", content_type="application/octet-stream")
    await notify("conn.g2~7", b"null", content_type="application/json; charset=utf-8")
    await notify("all", b"[]", expiration_ms=60_000)
    (room, *repeats) = await gate.expect(wire.Deliver, room="lobby")
    assert {repeat.seq for repeat in repeats} <= {room.seq}  # it may be sent again, and is dropped
    assert len(gate.taken["lobby"]) == 1
    (user,) = await gate.expect(wire.Deliver, room="@ann@example.org")
    (conn,) = await other.expect(wire.Deliver, room="g2~7")
    for each in (gate, other):
        (everyone,) = await each.expect(wire.Deliver, room="*")
        assert everyone.seq == 1
        assert everyone.expires_ms > 0
    assert (room.type, room.payload, room.id, room.key, room.seq) == ("deal", b'{"n":1}', "once", "EURUSD", 1)
    assert (user.type, user.payload, user.binary, user.user) == ("NOTIFICATION", b"\x00\xff", True, "")
    assert (conn.seq, conn.epoch, conn.payload) == (0, "", b"null")


async def test_invalid_notifications_are_set_aside_with_their_reason_and_block_nothing(stage: Stage) -> None:
    """Each invalid one goes to the dead-letter queue with a reason and its routing key; a valid one behind
    them arrives.
    """
    await stage.router()
    gate = await stage.gate("g1")
    await stage.member(gate, "lobby")
    dead_letters = await dead(stage, stage.topology.notify_dead)
    notify = await backend(stage)
    await notify("rooms.lobby", b"1")
    await notify("room.no room", b"1")
    await notify("room.lobby", b"{nope")
    await notify("room.lobby", b"1", type="JOIN", message_id="m", headers={"mine": "kept"})
    await notify("room.lobby", b"1", content_type="text/plain")
    await notify("room.lobby", b'"good"')
    await gate.expect(wire.Deliver, payload=b'"good"')
    await dead_letters.holds(5)
    by_key = [
        (
            d.properties.headers["x-warren-routing-key"],
            str(d.properties.headers["x-warren-reason"]).partition(":")[0],
        )
        for d in dead_letters.deliveries
    ]
    assert by_key == [
        ("rooms.lobby", "invalid address"),
        ("room.no room", "invalid address"),
        ("room.lobby", "invalid payload"),
        ("room.lobby", "reserved type"),
        ("room.lobby", "unsupported content_type"),
    ]
    assert dead_letters.deliveries[3].properties.headers["mine"] == "kept"
    assert dead_letters.deliveries[3].properties.message_id == "m"


async def test_a_list_of_notifications_that_is_published_again_counts_each_entry_once(stage: Stage) -> None:
    """Under any routing key, its entries reach their addresses in order; what is invalid is set aside by
    itself with its place.
    """
    await stage.router()
    gate = await stage.gate("g1")
    await stage.member(gate, "lobby")
    await stage.member(gate, "@ann", 2)
    dead_letters = await dead(stage, stage.topology.notify_dead)
    notify = await backend(stage)
    entries = [
        b'{"address":"room.lobby","id":"m%d","payload":%d}' % (number, number) for number in range(300)
    ]
    entries[7:7] = [
        b'{"address":"lobby","payload":1}',
        b'{"address":"user.ann","id":"u","payload":"AP8=","encoding":"base64"}',
    ]
    for _ in range(2):
        await notify("any.thing", b"[" + b",".join(entries) + b"]", content_type=LIST_TYPE)
    await notify("room.lobby", b'"end"')
    delivered = await gate.given("lobby", 301)
    assert [each.payload for each in delivered] == [b"%d" % number for number in range(300)] + [b'"end"']
    assert [each.seq for each in delivered] == list(range(1, 302))
    (user,) = await gate.given("@ann", 1)
    assert (user.payload, user.binary) == (b"\x00\xff", True)
    await dead_letters.holds(2)
    for kept in dead_letters.deliveries:
        assert kept.body == b'{"address":"lobby","payload":1}'
        assert kept.properties.headers["x-warren-index"] == 7


async def test_notifications_keep_their_order_over_a_lost_broker(stage: Stage) -> None:
    """With the router's bus cut and restored in the middle, each notification of a publisher arrives once and
    in order.
    """
    router = await stage.router()
    gate = await stage.gate("g1")
    await stage.member(gate, "lobby")
    notify = await backend(stage)
    for number in range(50):
        await notify("room.lobby", str(number).encode(), message_id=f"m{number}")
    await gate.expect(wire.Deliver, 50)
    await stage.world.cut(router._bus)
    for number in range(50, 100):
        await notify("room.lobby", str(number).encode(), message_id=f"m{number}")
    await stage.world.restore(router._bus)
    await eventually(lambda: len(gate.taken["lobby"]) >= 100, 10.0)
    assert [int(d.payload) for d in gate.taken["lobby"]] == list(range(100))
    assert gate.breaks == []


async def test_a_sampled_message_has_a_span_for_each_hop_and_an_unsampled_one_none(stage: Stage) -> None:
    """Process and one send per gateway, parent to child, in the sender's trace; the delivery carries the last
    one's context.
    """
    exporter = InMemorySpanExporter()
    tracing = Tracing("router", processor=SimpleSpanProcessor(exporter), topology=stage.topology)
    await stage.router(tracing=tracing)
    gate, other = await stage.gate("g1"), await stage.gate("g2")
    conn = await stage.member(gate, "lobby")
    await stage.member(other, "lobby", 2)
    await gate.send(message("lobby", "plain", conn=conn, id="m1"))
    await gate.expect(wire.Ack, id="m1")
    assert exporter.get_finished_spans() == ()
    await gate.send(message("lobby", "traced", conn=conn, id="m2", trace=TRACE))
    traces = {}
    for each in (gate, other):
        (delivered,) = await each.expect(wire.Deliver, payload=b'"traced"')
        traces[each.name] = delivered.trace
    spans = await eventually(
        lambda: exporter.get_finished_spans() if len(exporter.get_finished_spans()) == 3 else ()
    )
    process = next(span for span in spans if span.name.startswith("process"))
    sends = [span for span in spans if span.name.startswith("send")]
    assert process.parent is not None
    assert f"{process.parent.span_id:016x}" == TRACE[36:52]
    assert {span.parent.span_id for span in sends if span.parent} == {process.context.span_id}
    assert {f"{span.context.span_id:016x}" for span in sends} == {trace[36:52] for trace in traces.values()}
    assert {trace_id(trace) for trace in traces.values()} == {trace_id(TRACE)}
    tracing.shutdown()


async def test_a_notification_begins_or_continues_a_trace(stage: Stage) -> None:
    """The traceparent in the AMQP headers is the parent of the intake's span, and the delivery is in that
    trace.
    """
    exporter = InMemorySpanExporter()
    tracing = Tracing("router", processor=SimpleSpanProcessor(exporter), topology=stage.topology)
    await stage.router(tracing=tracing)
    gate = await stage.gate("g1")
    await stage.member(gate, "lobby")
    notify = await backend(stage)
    await notify("room.lobby", b"1", headers={"traceparent": TRACE})
    (delivered,) = await gate.expect(wire.Deliver)
    assert trace_id(delivered.trace) == trace_id(TRACE)
    spans = await eventually(
        lambda: exporter.get_finished_spans() if len(exporter.get_finished_spans()) == 4 else ()
    )
    names = {span.name.partition(" ")[0] for span in spans}
    assert names == {"process", "send"}
    (notified,) = [span for span in spans if span.parent and f"{span.parent.span_id:016x}" == TRACE[36:52]]
    assert notified.name == f"process {stage.topology.notify}"
    tracing.shutdown()


async def test_the_internal_port_shows_the_whole_installation(stage: Stage) -> None:
    """/websocket-stats sums the gateways, /readyz is 200, /metrics is Prometheus; with the broker away
    /readyz is 503.
    """
    router = await stage.router()
    gates = [await stage.gate(name) for name in ("g1", "g2")]
    await stage.member(gates[0], "lobby")
    for gate in gates:
        gate.figures = {"connections": 2, "messages_in": 3, "messages_out": 5, "errors": 1, "rss_bytes": 100}
    await eventually(lambda: router.peers.gateways.totals().connections == 4)
    base = f"http://127.0.0.1:{router.probes.port}"
    async with aiohttp.ClientSession() as session:
        stats = await (await session.get(f"{base}/websocket-stats")).json()
        assert (await session.get(f"{base}/readyz")).status == 200
        metrics = await (await session.get(f"{base}/metrics")).text()
        await stage.world.cut(router._bus)
        assert (await session.get(f"{base}/readyz")).status == 503
        assert (await session.get(f"{base}/healthz")).status == 200
    await stage.world.restore(router._bus)
    assert (stats["connections"], stats["errors"], stats["memory"]) == (4, 2, 200)
    assert stats["messages"] == {"in": 6, "out": 10}
    assert [gate["id"] for gate in stats["gateways"]] == ["g1", "g2"]
    assert "lobby" not in metrics
    assert "warren_router_shards_active" in metrics
