"""ControlQueue: a command over AMQP is done, answered and settled, in this order."""

import json
import logging

import pytest
import pytest_asyncio
from tests.support.eventually import MS, eventually
from tests.support.gateways import logged
from tests.support.router_context import router_context
from tests.support.scripted_bus import Delivered, ScriptedBus

from router.core.placement import Placement
from router.shell import control as shell
from router.shell import control_queue
from router.shell.control import Control
from router.shell.control_queue import ControlLimits, ControlQueue
from router.shell.dead_letters import DeadLetters
from router.shell.message_writer import MessageWriter
from router.shell.peer_messages import PeerMessages
from router.shell.router_calls import RouterCalls
from router.shell.sandbox_process import SandboxProcess
from warren.batch import BatchLimits
from warren.bus import Properties
from warren.envelope import Command, CommandResult, Publish, decode
from warren.errors import Unroutable
from warren.topology import Topology


class Here:
    """A shard's part in our router."""

    version = 2

    def answer(self, body):
        return None


class Harness:
    def __init__(self):
        self.bus, self.topology = ScriptedBus(), Topology(shards=1)
        context = router_context(self.bus, topology=self.topology)
        self.metrics = context.metrics
        self.outbox = PeerMessages(context)
        self.calls = RouterCalls("r1", Placement("r1", 1), self.outbox, context.metrics)
        self.writer = MessageWriter(context, BatchLimits())
        self.control = Control(context, self.writer, self.calls, [Here()], None)
        dead = DeadLetters(context.publisher, self.topology.dead, context.metrics)
        self.queue = ControlQueue(context, self.control, dead, SandboxProcess(1.0), ControlLimits(10, 100))

    async def start(self):
        await self.queue.start()
        (self.subscription,) = self.bus.subscriptions
        return self

    def give(self, key, body, *, redelivered=False, **properties):
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        delivery = Delivered(text, key, Properties(**properties), redelivered=redelivered)
        self.subscription.deliver(delivery)
        return delivery

    def published(self, exchange):
        return [each for each in self.bus.published if each.exchange == exchange]

    def written(self):
        return [
            each for published in self.published(self.topology.ingress) for each in decode(published.body)[1:]
        ]

    def replies(self):
        return [(each.key, each.properties, json.loads(each.body)) for each in self.published("")]

    def dead(self):
        return [each.properties.headers for each in self.published(self.topology.dead)]


@pytest_asyncio.fixture
async def harness():
    harness = await Harness().start()
    yield harness
    harness.bus.release()
    await harness.queue.stop()
    await harness.writer.close()
    await harness.outbox.close()


async def test_a_message_is_written_answered_and_acknowledged(harness):
    """The address is that of the routing key, the id that of ``message_id``."""
    delivery = harness.give(
        "publish.room.chat:a", {"payload": 1}, message_id="m1", reply_to="answers", correlation_id="c"
    )
    await eventually(lambda: delivery.fate == "acked")
    (message,) = harness.written()
    assert isinstance(message, Publish)
    assert (message.room, message.id) == ("chat:a", "m1")
    ((queue, properties, answer),) = harness.replies()
    assert (queue, properties.correlation_id, properties.type) == ("answers", "c", "result")
    assert answer == {"id": "m1", "address": "room.chat:a"}


async def test_who_wants_no_answer_gets_none(harness):
    """The command is done all the same."""
    delivery = harness.give("publish.all", {"payload": 1, "address": "all"})
    await eventually(lambda: delivery.fate == "acked")
    assert len(harness.written()) == 1
    assert harness.replies() == []


async def test_no_answer_goes_to_a_queue_of_warrens_own(harness):
    """Whoever may command could else write into the logs by way of a router; the command itself is done."""
    queue = harness.topology.log(0).name
    delivery = harness.give("publish.room.a", {"payload": 1}, message_id="m1", reply_to=queue)
    await eventually(lambda: delivery.fate == "acked")
    assert len(harness.written()) == 1
    assert harness.replies() == []
    counted = harness.metrics.registry.get_sample_value
    assert counted("warren_router_rejected_total", {"reason": "control_reply_dropped"}) == 1


async def test_a_command_is_answered_with_what_it_came_to(harness, caplog):
    """It has a line with the broker's user, or what the application calls itself."""
    with caplog.at_level(logging.INFO):
        delivery = harness.give(
            "disconnect.user.ann", b"", message_id="d1", reply_to="answers", user_id="ops", app_id="x"
        )
        await eventually(harness.written)
        (entry,) = harness.written()
        assert entry == Command("d1", "disconnect", "@ann")
        harness.calls.take(CommandResult("d1", "@ann", b'{"connections":1}'))
        await eventually(lambda: delivery.fate == "acked")
    assert harness.replies()[0][2] == {"id": "d1", "connections": 1}
    (line,) = logged(caplog.records, "control_disconnect")
    assert (line["by"], line["protocol"], line["address"]) == ("ops", "amqp", "user.ann")


@pytest.mark.parametrize(
    ("key", "body", "reason"),
    [
        ("dance.room.a", b"{}", "invalid_message: the body: the routing key must begin with"),
        ("publish.nowhere", b'{"payload": 1}', "invalid_message: /address"),
        ("publish.room.a", b'{"payload": 1, "address": "room.b"}', "invalid_message: /address: is not that"),
        ("publish.room.a", b"{", "invalid_format"),
        ("publish.room.a", b"[1]", "invalid_message"),
        ("publish.room.a", b'{"payload": "%s"}' % (b"x" * 200), "message_too_large"),
        ("count.room.a", b" " * 70_000, "message_too_large"),
        ("disconnect.user.ann", b'{"code": 5}', "invalid_message: /code"),
    ],
)
async def test_what_is_invalid_is_set_aside_with_the_reason(harness, key, body, reason):
    """And answered with the problem, where somebody waits for that; it changes nothing."""
    delivery = harness.give(key, body, reply_to="answers")
    await eventually(lambda: delivery.fate == "acked")
    (headers,) = harness.dead()
    assert headers["x-warren-reason"].startswith(reason)
    assert headers["x-warren-routing-key"] == key
    ((_, properties, problem),) = harness.replies()
    assert (properties.type, properties.content_type) == ("problem", "application/problem+json")
    assert reason.startswith(problem["code"])
    assert harness.written() == []


async def test_what_is_no_json_by_its_content_type_is_invalid(harness):
    """Bytes come as base64 inside of it."""
    delivery = harness.give("publish.room.a", b"\x00", content_type="application/octet-stream")
    await eventually(lambda: delivery.fate == "acked")
    assert harness.dead()[0]["x-warren-reason"].startswith("unsupported_media_type")


async def test_what_can_not_be_done_now_is_answered_so_or_goes_back(harness, monkeypatch):
    """Whoever waits sends it again; for whom nobody waits another router may do it."""
    monkeypatch.setattr(shell, "CHANGE_S", 5 * MS)
    monkeypatch.setattr(control_queue, "BACK_S", 0.0)
    answered = harness.give("block.user.ann", b"", reply_to="answers")
    await eventually(lambda: answered.fate == "acked")
    assert harness.replies()[0][2]["code"] == "unavailable"
    alone = harness.give("block.user.ann", b"")
    await eventually(lambda: alone.fate == "requeued")
    assert harness.dead() == []


async def test_a_reply_that_reaches_nobody_holds_up_nothing(harness):
    """It is counted, and the command is done."""
    harness.bus.script("gone", Unroutable())
    delivery = harness.give("publish.room.a", {"payload": 1}, reply_to="gone")
    await eventually(lambda: delivery.fate == "acked")
    rejected = {"reason": "control_reply_dropped"}
    assert harness.metrics.registry.get_sample_value("warren_router_rejected_total", rejected) == 1


async def test_no_answer_goes_into_a_queue_of_warrens_own(harness):
    """Whoever may command must not write into a log by that."""
    delivery = harness.give("count.room.a", b"[", reply_to="warren.log.0")
    await eventually(lambda: delivery.fate == "acked")
    assert harness.replies() == []


async def test_a_command_that_fails_in_our_hands_ends_nothing(harness, monkeypatch):
    """It is told as our fault, and the next one is done."""
    do = harness.control.do

    async def fails(command, scopes):
        if command.id == "bad":
            raise ValueError("a fault")
        return await do(command, scopes)

    monkeypatch.setattr(harness.control, "do", fails)
    bad = harness.give("publish.room.a", {"payload": 1}, message_id="bad", reply_to="answers")
    good = harness.give("publish.room.a", {"payload": 1}, message_id="good")
    await eventually(lambda: (bad.fate, good.fate) == ("acked", "acked"))
    assert harness.replies()[0][2]["code"] == "internal"


async def test_what_comes_again_is_tried_out_first(harness):
    """It may be why the router before is gone; what passes is done."""
    delivery = harness.give("publish.room.a", {"payload": 1}, redelivered=True)
    await eventually(lambda: delivery.fate == "acked", timeout_s=20)
    assert len(harness.written()) == 1


async def test_who_stops_leaves_the_rest_to_the_others(monkeypatch):
    """What is not done soon is not acknowledged."""
    monkeypatch.setattr(control_queue, "STOP_S", 5 * MS)
    harness = await Harness().start()
    delivery = harness.give("block.user.ann", b"")
    await eventually(harness.written)
    await harness.queue.stop()
    late = harness.give("block.user.ann", b"")
    assert (delivery.fate, late.fate) == ("", "")
    await harness.outbox.close()
