"""MessageWriter: messages into the logs of their shards, and who waits is told when they stand there."""

import asyncio

import pytest_asyncio
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.eventually import eventually
from tests.support.router_context import router_context
from tests.support.scripted_bus import ScriptedBus

from router.shell.message_writer import MessageWriter
from warren.address import shard_of
from warren.batch import BatchLimits
from warren.envelope import Notified, Publish, decode
from warren.errors import NotConfirmed
from warren.telemetry import Tracing
from warren.topology import Topology

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Harness:
    def __init__(self, limits=None, tracing=None):
        self.bus, self.topology = ScriptedBus(), Topology(shards=2)
        self.context = router_context(self.bus, topology=self.topology, tracing=tracing)
        self.writer = MessageWriter(self.context, limits or BatchLimits())

    def records(self):
        return [(each.key, decode(each.body)) for each in self.bus.published]


def message(number, room="a", **more):
    return Publish(room, "X", b"%d" % number, 1, id=f"m{number}", **more)


@pytest_asyncio.fixture
async def harness():
    harness = Harness()
    yield harness
    harness.bus.release()
    await harness.writer.close()


async def test_what_comes_while_a_record_is_under_way_goes_as_the_next_one(harness):
    """In its order, into the log of its room's shard; and each is told when it stands there."""
    harness.bus.held = True
    written = [harness.writer.offer(message(0))]
    await eventually(lambda: harness.bus.published)
    written += [harness.writer.offer(message(number)) for number in range(1, 4)]
    assert not any(each.done() for each in written)
    harness.bus.release()
    await asyncio.wait(written)
    assert [each.exception() for each in written] == [None] * 4
    (key, (head, *first)), (_, (_, *rest)) = harness.records()
    assert key == str(shard_of("a", 2))
    assert head == Notified("r1", harness.context.clock.wall_us())
    assert [each.id for each in [*first, *rest]] == ["m0", "m1", "m2", "m3"]


async def test_a_record_is_repeated_until_it_is_confirmed(harness):
    """The same bytes: a repeat counts once."""
    harness.bus.script(str(shard_of("a", 2)), NotConfirmed(), NotConfirmed())
    await harness.writer.offer(message(1))
    bodies = {each.body for each in harness.bus.published}
    assert (len(harness.bus.published), len(bodies)) == (3, 1)


async def test_what_nobody_waits_for_is_not_written(harness):
    """Given up before its turn, or while it is repeated."""
    harness.bus.held = True
    first = harness.writer.offer(message(0))
    await eventually(lambda: harness.bus.published)
    second, third = [harness.writer.offer(message(number)) for number in (1, 2)]
    second.cancel()
    harness.bus.script(str(shard_of("a", 2)), *[NotConfirmed() for _ in range(100)])
    harness.bus.release()
    await first
    await eventually(lambda: len(harness.bus.published) > 2)
    assert [each.id for each in harness.records()[-1][1][1:]] == ["m2"]
    third.cancel()
    tried = len(harness.bus.published)
    await eventually(
        lambda: (
            harness.context.metrics.registry.get_sample_value("warren_router_waiting", {"buffer": "control"})
            == 0
        )
    )
    assert len(harness.bus.published) <= tried + 1


async def test_what_has_no_room_is_refused():
    """And nothing waits for it."""
    harness = Harness(BatchLimits(batch_count=1, waiting_count=2))
    harness.bus.held = True
    taken = [harness.writer.offer(message(0))]
    await eventually(lambda: harness.bus.published)
    taken += [harness.writer.offer(message(number)) for number in range(1, 4)]
    assert [each is None for each in taken] == [False, False, False, True]
    assert harness.writer.offer(message(9, room="b")) is not None or shard_of("a", 2) == shard_of("b", 2)
    harness.bus.release()
    await harness.writer.close()


async def test_a_message_without_an_id_gets_one_that_no_backend_can_have(harness):
    """Each another one; one that has an id keeps it."""
    writer = harness.writer
    own = [writer.identified(Publish("a", "X", b"1", 1)).id for _ in range(2)]
    assert own == ["~r1.c1", "~r1.c2"]
    assert writer.identified(message(7)).id == "m7"


async def test_a_sampled_message_carries_on_its_trace():
    """From the backend's own context to the log."""
    exporter = InMemorySpanExporter()
    tracing = Tracing("router", {}, processor=SimpleSpanProcessor(exporter))
    harness = Harness(tracing=tracing)
    await harness.writer.offer(message(1), TRACE)
    ((_, (_, sent)),) = harness.records()
    await eventually(lambda: len(exporter.get_finished_spans()) == 2)
    assert sent.trace[:35] == TRACE[:35]
    assert {span.name for span in exporter.get_finished_spans()} == {
        "receive warren.control", "send warren.ingress",
    }  # fmt: skip
    await harness.writer.close()
