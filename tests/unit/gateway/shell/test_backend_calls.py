"""Calls to backends: what goes to the broker, and what comes of each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.eventually import eventually
from tests.support.scripted_bus import Delivered, ManualClock, Published, ScriptedBus

from gateway.core.open_calls import CallLimits
from gateway.shell.backend_calls import Accepted, BackendCalls, Outcome, Reply, Request
from warren.bus import Properties, Source
from warren.bus.memory.bus import MemoryBroker, MemoryBus
from warren.errors import BusUnavailable, CallFailed, ErrorCode, Nacked, NotConfirmed, Unroutable
from warren.metrics import GatewayMetrics
from warren.topology import Binding, Queue, Topology

TOPOLOGY = Topology(shards=4)
ASKED = Properties("application/json", None, "ann~r1", headers={"user": "ann"})


class Rig:
    """Calls on a scripted bus."""

    def __init__(self, most: int = 8) -> None:
        self.bus, self.clock, self.metrics = ScriptedBus(), ManualClock(), GatewayMetrics()
        self.calls = BackendCalls(
            "g1", self.bus, TOPOLOGY, self.clock, self.metrics, {TOPOLOGY.rpc: CallLimits(most)}
        )
        self.outcomes: list[Outcome] = []

    def ask(self, **more: object) -> str:
        request = Request(TOPOLOGY.rpc, "orders.get", b'{"id":7}', ASKED, 5.0, "ann", **more)
        return self.calls.open(request, self.outcomes.append)

    async def asked(self, count: int) -> Published:
        """Return the last of so many publishes."""
        await eventually(lambda: len(self.bus.published) == count)
        for _ in range(3):  # what comes of it is known
            await asyncio.sleep(0)
        return self.bus.published[-1]

    def reply(self, to: Published, body: bytes = b"1", **headers: object) -> Delivered:
        delivered = Delivered(
            body,
            properties=Properties(correlation_id=to.properties.correlation_id, headers=headers),  # type: ignore[arg-type]
        )
        self.bus.subscriptions[-1].deliver(delivered)
        return delivered

    def codes(self) -> list[ErrorCode]:
        return [outcome.code for outcome in self.outcomes if isinstance(outcome, CallFailed)]

    def drops(self, reason: str) -> float:
        return self.metrics.registry.get_sample_value("warren_gateway_drops_total", {"reason": reason}) or 0.0


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    await made.calls.start()
    yield made
    await made.calls.stop()


async def test_a_request_is_plain_amqp_rpc(rig: Rig):
    """The asker's properties, our queue, the call's name, and the time that is left."""
    rig.ask()
    sent = await rig.asked(1)
    (subscription,) = rig.bus.subscriptions
    assert (sent.exchange, sent.key, sent.body) == ("warren.rpc", "orders.get", b'{"id":7}')
    assert (sent.mandatory, sent.persistent) == (True, False)
    assert sent.properties == Properties(
        content_type="application/json",
        type="REQUEST",
        message_id="ann~r1",
        correlation_id=sent.properties.correlation_id,
        reply_to=subscription.queue,
        expiration_ms=5_000,
        headers={"user": "ann", "attempt": 1},
    )
    assert subscription.queue.startswith("warren.gateway.g1.replies.")
    rig.reply(sent, b'{"ok":true}')
    (reply,) = rig.outcomes
    assert isinstance(reply, Reply)
    assert (reply.body, reply.n, reply.more, len(rig.calls)) == (b'{"ok":true}', 1, False, 0)


async def test_what_comes_late_or_twice_is_acknowledged_and_counted(rig: Rig):
    """And what is no answer of ours at all."""
    rig.ask()
    sent = await rig.asked(1)
    late = [rig.reply(sent) for _ in range(3)][1:]
    rig.bus.subscriptions[-1].deliver(stray := Delivered(b"?"))
    assert [one.fate for one in (*late, stray)] == ["acked"] * 3
    assert (len(rig.outcomes), rig.drops("reply_late")) == (1, 3)


async def test_an_answer_comes_in_parts(rig: Rig):
    """Until one that says nothing of more; a repeat is counted."""
    rig.ask()
    sent = await rig.asked(1)
    rig.reply(sent, b"1", n=1, more=True)
    rig.reply(sent, b"1", n=1, more=True)
    rig.reply(sent, b"2", more=True)
    rig.reply(sent, b"3", n=3, more=False)
    assert [(reply.body, reply.n, reply.more) for reply in rig.outcomes if isinstance(reply, Reply)] == [
        (b"1", 1, True),
        (b"2", 2, True),
        (b"3", 3, False),
    ]
    assert rig.drops("reply_repeat") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [(Unroutable("?"), ErrorCode.NO_SERVICE), (Nacked("?"), ErrorCode.OVERLOADED)],
)
async def test_the_broker_says_that_nobody_takes_it(rig: Rig, error: Exception, code: ErrorCode):
    """At once: nobody waits for a time-out."""
    rig.bus.script("orders.get", error)
    rig.ask()
    await eventually(lambda: rig.codes() == [code])
    assert len(rig.bus.published) == 1


async def test_what_the_broker_did_not_take_is_sent_again_under_the_same_ids(rig: Rig):
    """With the time that is left."""
    rig.bus.script("orders.get", NotConfirmed("?"), BusUnavailable("?"))
    rig.ask()
    first = await rig.asked(1)
    rig.clock.advance(0.2)
    second = await rig.asked(2)
    rig.clock.advance(0.5)
    third = await rig.asked(3)
    assert {one.properties.correlation_id for one in (first, second, third)} == {
        first.properties.correlation_id
    }
    assert {one.properties.message_id for one in (first, second, third)} == {"ann~r1"}
    assert [one.properties.headers["attempt"] for one in (first, second, third)] == [1, 2, 3]
    assert [one.properties.expiration_ms for one in (first, second, third)] == [5_000, 4_800, 4_300]
    rig.reply(third)
    assert len(rig.outcomes) == 1


async def test_a_new_queue_for_answers_has_the_open_calls_asked_again(rig: Rig):
    """Under its name: what is answered in the former one is lost."""
    rig.ask()
    first = await rig.asked(1)
    rig.bus.subscriptions[-1].renew()
    second = await rig.asked(2)
    assert second.properties.reply_to == rig.bus.subscriptions[-1].queue != first.properties.reply_to
    rig.reply(second)
    assert len(rig.outcomes) == 1


async def test_its_time_is_over_and_the_backend_hears_of_it(rig: Rig):
    """By the key of cancels, under the ids of the request."""
    rig.ask()
    sent = await rig.asked(1)
    rig.clock.advance(5.0)
    cancel = await rig.asked(2)
    assert rig.codes() == [ErrorCode.TIMEOUT]
    assert (cancel.exchange, cancel.key, cancel.body) == ("warren.rpc", "orders.get.cancel", b"")
    assert (cancel.mandatory, cancel.persistent, cancel.properties.type) == (False, False, "CANCEL")
    assert cancel.properties.message_id == "ann~r1"
    assert cancel.properties.correlation_id == sent.properties.correlation_id


async def test_who_cancels_hears_nothing_any_more(rig: Rig):
    """And tells the backend once."""
    name = rig.ask()
    sent = await rig.asked(1)
    rig.calls.cancel(name)
    rig.calls.cancel(name)
    await rig.asked(2)
    rig.reply(sent)
    assert (rig.outcomes, len(rig.calls), rig.bus.keys()) == ([], 0, ["orders.get", "orders.get.cancel"])


async def test_a_one_way_request_is_on_disk_and_over_when_the_broker_has_it(rig: Rig):
    """Its asker has said where it is answered, and nobody knows how long that takes."""
    durable = Properties(message_id="ann~r1", correlation_id="ann~r1", reply_to="warren.rpc.replies")
    request = Request(TOPOLOGY.rpc, "orders.get", b"1", durable, 5.0, one_way=True)
    rig.calls.open(request, rig.outcomes.append)
    sent = await rig.asked(1)
    assert (sent.mandatory, sent.persistent, sent.properties.expiration_ms) == (True, True, None)
    assert (sent.properties.reply_to, sent.properties.correlation_id) == ("warren.rpc.replies", "ann~r1")
    await eventually(lambda: [type(outcome) for outcome in rig.outcomes] == [Accepted])


async def test_what_is_open_is_bounded(rig: Rig):
    """One service has half of the places."""
    for _ in range(5):
        rig.ask()
    assert (rig.codes(), len(rig.calls)) == ([ErrorCode.OVERLOADED], 4)


async def test_the_end_fails_what_is_open(rig: Rig):
    """Nobody waits for what will not come."""
    rig.ask()
    await rig.asked(1)
    await rig.calls.stop()
    assert (rig.codes(), len(rig.calls)) == ([ErrorCode.UNAVAILABLE], 0)


async def test_an_asker_that_fails_ends_nothing_else(rig: Rig):
    """Its own fault, in one line of the log."""

    def fail(_: Outcome) -> None:
        raise RuntimeError

    rig.calls.open(Request(TOPOLOGY.rpc, "a", b"", ASKED, 5.0), fail)
    rig.ask()
    await rig.asked(2)
    first, second = rig.bus.published
    assert [rig.reply(first).fate, rig.reply(second).fate] == ["acked", "acked"]
    assert len(rig.outcomes) == 1


async def test_call_returns_the_answer_or_raises_why_there_is_none():
    """Over a bus that routes, with a server that any AMQP client could be."""
    broker = MemoryBroker()
    gateway, server = MemoryBus(broker, TOPOLOGY), MemoryBus(broker, TOPOLOGY)
    await gateway.start()
    await server.start()
    calls = BackendCalls(
        "g1", gateway, TOPOLOGY, ManualClock(), GatewayMetrics(), {TOPOLOGY.rpc: CallLimits(8)}
    )
    await calls.start()
    answering: list[asyncio.Task[None]] = []

    def serve(delivery: object) -> None:
        asked = delivery.properties  # type: ignore[attr-defined]
        answer = Properties(correlation_id=asked.correlation_id)
        answering.append(
            asyncio.ensure_future(server.publish("", asked.reply_to, delivery.body * 2, answer))  # type: ignore[attr-defined]
        )
        delivery.ack()  # type: ignore[attr-defined]

    with pytest.raises(CallFailed) as failed:
        await calls.call(TOPOLOGY.rpc, "echo", b"x", ASKED, 5.0)
    assert failed.value.code is ErrorCode.NO_SERVICE
    queue = Queue("server", "exclusive")
    await server.subscribe(
        lambda: Source(queue, (Binding(TOPOLOGY.rpc, "server", "echo"),)), serve, prefetch=8
    )
    reply = await calls.call(TOPOLOGY.rpc, "echo", b"x", ASKED, 5.0)
    assert reply.body == b"xx"
    await asyncio.gather(*answering)
    await calls.stop()
    await server.close()
    await gateway.close()


async def test_who_is_cancelled_while_it_waits_has_the_backend_told(rig: Rig):
    """As where its client has gone."""
    waiting = asyncio.ensure_future(rig.calls.call(TOPOLOGY.rpc, "s", b"", ASKED, 5.0))
    await rig.asked(1)
    waiting.cancel()
    await rig.asked(2)
    assert (rig.bus.keys(), len(rig.calls)) == (["s", "s.cancel"], 0)
