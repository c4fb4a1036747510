"""Declaring a topology: every object with every argument, and what is said when the broker has another."""

from collections.abc import Callable
from typing import Any

import pytest
from pamqp import commands as spec
from tests.support.amqp_server import AmqpServer

from warren.bus import Source
from warren.bus.rabbit.channel import RabbitChannel
from warren.bus.rabbit.connection import RabbitConnection
from warren.bus.rabbit.topology import declare_source, declare_topology, refuse_former
from warren.errors import BusUnavailable, TopologyMismatch
from warren.topology import Queue, Topology


class WithStream(Topology):
    """A topology that has a stream too."""

    def queues(self) -> tuple[Queue, ...]:
        return (*super().queues(), Queue("log", "stream", {"x-max-age": "1h"}))


@pytest.fixture
def topology() -> Topology:
    return WithStream(shards=3)


async def test_everything_is_declared_with_its_arguments(
    server: AmqpServer, connection: RabbitConnection, topology: Topology
) -> None:
    """Each exchange, queue and binding of the topology is declared as it says, durable, on a channel that is
    closed again.
    """
    await declare_topology(connection, topology)
    exchanges = [
        (frame.exchange, frame.exchange_type, frame.durable) for frame in server.of(spec.Exchange.Declare)
    ]
    assert exchanges == [(exchange.name, exchange.type, True) for exchange in topology.exchanges()]
    queues = {frame.queue: frame for frame in server.of(spec.Queue.Declare)}
    assert list(queues) == [queue.name for queue in topology.queues()]
    for queue in topology.queues():
        frame = queues[queue.name]
        assert (frame.durable, frame.exclusive, frame.auto_delete) == (True, False, False)
        assert frame.arguments == {"x-queue-type": queue.kind, **queue.arguments}
    bindings = [(frame.exchange, frame.queue, frame.routing_key) for frame in server.of(spec.Queue.Bind)]
    assert bindings == [(binding.exchange, binding.queue, binding.key) for binding in topology.bindings()]
    assert len(server.of(spec.Channel.Close)) == 1


def refuse(name: str, code: int, text: str) -> Callable[[Any], Any]:
    """Answer a declaration of ``name`` with channel.close, others with yes."""

    def answer(frame: Any) -> Any:
        declared = frame.queue if isinstance(frame, spec.Queue.Declare) else frame.exchange
        if declared == name:
            return spec.Channel.Close(code, text, 50, 10)
        return (
            spec.Queue.DeclareOk(declared, 0, 0)
            if isinstance(frame, spec.Queue.Declare)
            else spec.Exchange.DeclareOk()
        )

    return answer


async def test_the_guard_means_shards(
    server: AmqpServer, connection: RabbitConnection, topology: Topology
) -> None:
    """When the guard queue has another limit the error says that the number of shards differs, and which one
    is set here.
    """
    server.refuse[spec.Queue.Declare] = refuse(
        topology.guard_queue().name, 406, "PRECONDITION_FAILED - inequivalent arg"
    )
    with pytest.raises(TopologyMismatch, match=r"number of shards differs: this service is set to 3"):
        await declare_topology(connection, topology)


async def test_another_queue_is_named(
    server: AmqpServer, connection: RabbitConnection, topology: Topology
) -> None:
    """When another queue differs the error names it and repeats the broker's words."""
    name = topology.notify_queue().name
    server.refuse[spec.Queue.Declare] = refuse(
        name, 406, "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit'"
    )
    with pytest.raises(TopologyMismatch, match=rf"queue {name} .*x-delivery-limit"):
        await declare_topology(connection, topology)


async def test_another_size_names_the_settings(
    server: AmqpServer, connection: RabbitConnection, topology: Topology
) -> None:
    """When a queue or stream has another size the error says which settings must agree, and repeats both
    sizes.
    """
    name = topology.log(1).name
    text = (
        f"PRECONDITION_FAILED - inequivalent arg 'x-max-length-bytes' for queue '{name}': received '2' "
        f"but current is '1'"
    )
    server.refuse[spec.Queue.Declare] = refuse(name, 406, text)
    with pytest.raises(TopologyMismatch, match=rf"size of {name} differs: .*WARREN_BROKER_.*received '2'"):
        await declare_topology(connection, topology)


async def test_another_exchange_is_named(
    server: AmqpServer, connection: RabbitConnection, topology: Topology
) -> None:
    """When an exchange has another type the error names it."""
    server.refuse[spec.Exchange.Declare] = refuse(
        topology.notify, 406, "PRECONDITION_FAILED - inequivalent arg 'type'"
    )
    with pytest.raises(TopologyMismatch, match=rf"exchange {topology.notify} "):
        await declare_topology(connection, topology)


async def test_any_other_refusal_is_no_mismatch(
    server: AmqpServer, connection: RabbitConnection, topology: Topology
) -> None:
    """A refusal for another reason (no permission) is BusUnavailable with the broker's words: it may pass."""
    server.refuse[spec.Queue.Declare] = refuse(topology.notify, 403, "ACCESS_REFUSED - no permission")
    with pytest.raises(BusUnavailable, match="no permission"):
        await declare_topology(connection, topology)


async def test_an_older_warrens_queues_are_refused(
    server: AmqpServer, connection: RabbitConnection, topology: Topology
) -> None:
    """Where one of them is there the error names it; where none is, nothing is said, and nothing is left
    open.
    """
    await refuse_former(connection, topology, 1.0)
    asked = server.of(spec.Queue.Declare)
    assert [(frame.queue, frame.passive) for frame in asked] == [(name, True) for name in topology.former()]
    for name in topology.former():
        server.standing = {name}
        with pytest.raises(TopologyMismatch, match=rf"the broker has {name}, .* WARREN_PREFIX"):
            await refuse_former(connection, topology, 1.0)
    assert set(connection.channels) <= {0}


async def test_who_may_not_ask_for_a_former_queue_hears_of_the_rights_that_it_needs(
    server: AmqpServer, connection: RabbitConnection, topology: Topology
) -> None:
    """RabbitMQ 4.3 refuses the question too; that queue is none that anybody needs rights on."""
    server.standing = set(topology.former())
    server.refuse[spec.Queue.Declare] = lambda _: spec.Channel.Close(
        403, "ACCESS_REFUSED - configure access", 50, 10
    )
    await refuse_former(connection, topology, 1.0)
    with pytest.raises(
        BusUnavailable, match=f"declaring queue {topology.guard_queue().name}.*configure access"
    ):
        await declare_topology(connection, topology)


async def test_a_former_queue_without_an_answer_is_no_mismatch(
    server: AmqpServer, connection: RabbitConnection, topology: Topology
) -> None:
    """One whose node is down does not answer: the broker is not known, and is tried again."""
    server.standing = {topology.former()[0]}
    server.refuse[spec.Queue.Declare] = lambda _: None
    with pytest.raises(BusUnavailable):
        await refuse_former(connection, topology, 0.05)


async def test_only_the_last_answer_is_waited_for(
    server: AmqpServer, connection: RabbitConnection, topology: Topology
) -> None:
    """A broker counts what is in a queue before it answers to its declaration, and can't while the queue's
    node stands still.
    """
    await declare_topology(connection, topology)
    frames = [frame for _, frame in server.frames if hasattr(frame, "nowait")]
    assert len(frames) == len(topology.exchanges()) + len(topology.queues()) + len(topology.bindings())
    assert [frame.nowait for frame in frames] == [True] * (len(frames) - 1) + [False]


async def test_a_gateways_queue_takes_two_answers(server: AmqpServer, connection: RabbitConnection) -> None:
    """That its channel is open, and that all is declared."""
    topology = Topology(shards=3)
    queue, bindings = topology.gateway_queue("g1", "n")
    channel = await RabbitChannel.opened(connection)
    await declare_source(channel, Source(queue, bindings), topology)
    assert [frame.nowait for _, frame in server.frames if hasattr(frame, "nowait")] == [True] * 4 + [False]
    assert [frame.source for frame in server.of(spec.Exchange.Bind)] == [topology.egress] * 2
    assert [frame.queue for frame in server.of(spec.Queue.Bind)] == [queue.name]


async def test_of_a_source_too_it_is_said_what_differs(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """Its bindings, which went out behind it, are not blamed."""
    topology = Topology(shards=3)
    name = topology.notify_queue().name
    server.refuse[spec.Queue.Declare] = refuse(
        name, 406, "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit'"
    )
    channel = await RabbitChannel.opened(connection)
    with pytest.raises(TopologyMismatch, match=rf"queue {name} .*x-delivery-limit"):
        await declare_source(channel, Source(topology.notify_queue()), topology)
    assert set(connection.channels) <= {0}
