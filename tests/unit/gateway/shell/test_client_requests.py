"""What clients ask services: from a session's action to an input of its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.eventually import eventually
from tests.support.gateways import recording_tracing
from tests.support.scripted_bus import Delivered, ManualClock, Published, ScriptedBus

from gateway.core import inputs
from gateway.core.actions import Request
from gateway.core.open_calls import CallLimits
from gateway.shell.backend_calls import BackendCalls
from gateway.shell.client_requests import ClientRequests
from warren.bus import HeaderValue, Properties
from warren.errors import ErrorCode, Unroutable
from warren.metrics import GatewayMetrics
from warren.telemetry import Tracing
from warren.topology import Topology

TOPOLOGY = Topology(shards=4)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MAX_BYTES = 1_000


class Rig:
    """Requests on a scripted bus."""

    def __init__(self, tracing: Tracing | None = None) -> None:
        self.bus, self.clock, self.metrics = ScriptedBus(), ManualClock(), GatewayMetrics()
        self.calls = BackendCalls(
            "g1", self.bus, TOPOLOGY, self.clock, self.metrics, {TOPOLOGY.rpc: CallLimits(8)}
        )
        self.requests = ClientRequests(
            self.calls, TOPOLOGY, self.clock, tracing or Tracing("gateway"), self.metrics, MAX_BYTES
        )
        self.told: list[inputs.Input] = []

    def ask(
        self, ref: str = "r1", *, durable: bool = False, traceparent: str = "", binary: bool = False
    ) -> None:
        action = Request(
            ref, "orders.get", b"7", binary, "ann", f"ann~{ref}", 5.0, True, durable, traceparent
        )
        self.requests.ask("g1~1", action, self.told.append)

    async def asked(self, count: int = 1) -> Published:
        await eventually(lambda: len(self.bus.published) == count)
        for _ in range(3):
            await asyncio.sleep(0)
        return self.bus.published[-1]

    def reply(
        self, to: Published, body: bytes = b"1", content_type: str | None = None, **headers: HeaderValue
    ) -> None:
        properties = Properties(content_type, correlation_id=to.properties.correlation_id, headers=headers)
        self.bus.subscriptions[-1].deliver(Delivered(body, properties=properties))

    def count(self, outcome: str) -> float | None:
        return self.metrics.registry.get_sample_value("warren_gateway_calls_total", {"outcome": outcome})


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    await made.calls.start()
    yield made
    await made.calls.stop()


async def test_a_service_is_told_who_asks(rig: Rig):
    """User and connection in the headers, and the name by which it knows a repeat; no trace that is not
    sampled, whatever the client says.
    """
    rig.ask(traceparent=PARENT)
    sent = await rig.asked()
    assert (sent.exchange, sent.key, sent.body) == ("warren.rpc", "orders.get", b"7")
    assert sent.properties.headers == {
        "user": "ann",
        "connection": "g1~1",
        "attempt": 1,
    }
    assert (sent.properties.message_id, sent.properties.content_type) == ("ann~r1", "application/json")
    assert sent.properties.timestamp_ms == rig.clock.wall_us() // 1_000


async def test_an_answer_is_passed_on_as_it_is(rig: Rig):
    """JSON text, or bytes where its content type says so; in parts where there are more."""
    rig.ask("a", binary=True)
    first = await rig.asked(1)
    assert first.properties.content_type == "application/octet-stream"
    rig.reply(first, b'{ "x": 1 }', more=True)
    rig.reply(first, b"\x00\xff", "application/octet-stream")
    assert rig.told == [
        inputs.Responded("a", b'{ "x": 1 }', False, 1, True),
        inputs.Responded("a", b"\x00\xff", True, 2, False),
    ]
    assert (rig.count("answered"), len(rig.calls)) == (1.0, 0)


@pytest.mark.parametrize(
    ("body", "content_type", "says"),
    [
        (b"{", None, "it is no JSON text in UTF-8"),
        (b'"\xff"', "application/json", "it is no JSON text in UTF-8"),
        (b"1", "text/plain", "its content_type is neither application/json nor application/octet-stream"),
        (b"1" * (MAX_BYTES + 1), None, "more than 1000 bytes"),
    ],
)
@pytest.mark.parametrize("more", [False, True])
async def test_an_answer_that_can_not_be_passed_on_is_an_error(rig: Rig, body, content_type, says, more):
    """It is the service's fault, and the client is told so once; a service with more to say is stopped."""
    rig.ask()
    sent = await rig.asked()
    rig.reply(sent, body, content_type, more=more)
    rig.reply(sent)
    (failed,) = rig.told
    assert isinstance(failed, inputs.RequestFailed)
    assert (failed.ref, failed.code) == ("r1", ErrorCode.INTERNAL)
    assert failed.says == f"The service has answered what can't be passed on: {says}"
    if more:
        assert (await rig.asked(2)).key == "orders.get.cancel"
    assert (rig.count("internal"), len(rig.calls)) == (1.0, 0)


async def test_why_there_is_no_answer_is_told(rig: Rig):
    """With the code that the client knows, and counted by it."""
    rig.bus.script("orders.get", Unroutable("?"))
    rig.ask()
    await eventually(lambda: rig.told)
    assert rig.told == [inputs.RequestFailed("r1", ErrorCode.NO_SERVICE, "Nobody serves this")]
    assert rig.count("no_service") == 1.0


async def test_a_durable_request_says_where_its_answer_belongs(rig: Rig):
    """Its own name, by which a router finds the user; the client hears that it is on its way."""
    rig.ask(durable=True)
    sent = await rig.asked()
    assert (sent.properties.reply_to, sent.properties.correlation_id) == ("warren.rpc.replies", "ann~r1")
    assert sent.persistent
    assert rig.told == [inputs.RequestAccepted("r1")]
    rig.requests.cancel("g1~1", "r1")
    assert (rig.bus.keys(), rig.count("accepted")) == (["orders.get"], 1.0)


async def test_a_cancel_is_told_to_the_service_once(rig: Rig):
    """And nothing to the client, which knows."""
    rig.ask()
    sent = await rig.asked()
    rig.requests.cancel("g1~1", "r1")
    rig.requests.cancel("g1~1", "r1")
    rig.requests.cancel("g1~1", "other")
    assert (await rig.asked(2)).key == "orders.get.cancel"
    rig.reply(sent)
    assert (rig.told, rig.count("cancelled")) == ([], 1.0)


async def test_a_ref_is_free_again_when_its_request_is_over(rig: Rig):
    """An earlier request under it ends nothing of the later one."""
    rig.ask()
    first = await rig.asked(1)
    rig.requests.cancel("g1~1", "r1")
    rig.ask()
    second = await rig.asked(3)
    rig.reply(first)
    rig.reply(second, b"2")
    assert rig.told == [inputs.Responded("r1", b"2", False, 1, False)]


async def test_a_sampled_request_is_one_trace():
    """The span of its entry lasts until the answer; the service goes on below the span of the sending."""
    tracing, spans = recording_tracing()
    rig = Rig(tracing)
    await rig.calls.start()
    rig.ask(traceparent="")
    sent = await rig.asked()
    rig.reply(sent)
    send, receive = spans.get_finished_spans()
    assert (send.name, receive.name) == ("send warren.rpc", "receive warren.v1")
    assert send.parent.span_id == receive.context.span_id
    assert f"{send.context.span_id:016x}" in str(sent.properties.headers["traceparent"])
    await rig.calls.stop()


@pytest.mark.parametrize("more", [False, True])
async def test_a_service_may_refuse_with_a_code_of_its_own(rig: Rig, more: bool):
    """Its body says why, whatever its content type; that is the last word."""
    rig.ask()
    sent = await rig.asked()
    rig.reply(sent, b"no such order", "text/plain", error="no_order", more=more)
    rig.reply(sent)
    assert rig.told == [inputs.RequestFailed("r1", "no_order", "no such order")]
    assert (rig.count("refused"), len(rig.calls)) == (1.0, 0)


@pytest.mark.parametrize("code", ["", "No Order", "x" * 65, 7, True])
async def test_a_code_out_of_the_rule_is_an_internal_error(rig: Rig, code: HeaderValue):
    """The client is told so all the same, and no more than a little of why."""
    rig.ask()
    sent = await rig.asked()
    rig.reply(sent, b"\xff" + b"x" * 5_000, error=code)
    (failed,) = rig.told
    assert isinstance(failed, inputs.RequestFailed)
    assert (failed.code, failed.says) == (ErrorCode.INTERNAL, "x" * 1_023)
