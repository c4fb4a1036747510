"""Declare what Topology and Source describe, over AMQP.

It only declares; it never changes what is there, deletes nothing but guard exchanges, and says what is there
with other settings, or how much.

What is declared together goes out together, and only the last answer is waited for: a channel does one after
the other. Who waits for the answer to a queue's declaration waits until the broker has counted what is in it,
which it can't while the queue's node stands still or has just died.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed
from pamqp import commands as spec

from warren.bus import Source
from warren.bus.rabbit.broker_call import broker_call, describe
from warren.bus.rabbit.channel import RabbitChannel
from warren.bus.rabbit.connection import RabbitConnection
from warren.errors import BusUnavailable, TopologyMismatch
from warren.topology import Binding, Exchange, Queue, Topology, former_text


@dataclass(frozen=True, slots=True)
class _Step:
    """The declaration of one thing. ``other`` says, with the broker's words, that it is there with other
    settings.
    """

    what: str
    frame: spec.Exchange.Declare | spec.Exchange.Bind | spec.Queue.Declare | spec.Queue.Bind
    other: Callable[[str], str] | None = None


async def declare_topology(connection: RabbitConnection, topology: Topology) -> None:
    """Declare all of it on a channel of its own. Raises BusUnavailable, TopologyMismatch."""
    channel = await RabbitChannel.opened(connection)
    try:
        await _declare(
            channel,
            [
                *(_exchange(exchange) for exchange in topology.exchanges()),
                *(_queue(queue, topology) for queue in topology.queues()),
                *(_binding(binding) for binding in topology.bindings()),
            ],
        )
    finally:
        await channel.leave()


async def refuse_former(connection: RabbitConnection, topology: Topology, timeout_s: float) -> None:
    """Raise TopologyMismatch where the broker has an older Warren's queues under this prefix. Each is asked
    for on a channel of its own, which a queue that is not there ends. Who may not ask goes on: declaring says
    which rights are missing. Raises BusUnavailable.
    """
    for name in topology.former():
        channel = await RabbitChannel.opened(connection)
        try:
            with broker_call(f"looking for {name}"):
                try:
                    await channel.queue_declare(name, passive=True, timeout=timeout_s)
                except (ChannelNotFoundEntity, ChannelAccessRefused):
                    continue
        finally:
            await channel.leave()
        raise TopologyMismatch(former_text(name, topology))


async def declare_source(channel: RabbitChannel, source: Source, topology: Topology) -> None:
    """Declare a subscription's queue and its bindings (a durable queue's are in the topology); an exclusive
    queue gets its guard exchange.

    Raises BusUnavailable, TopologyMismatch; the channel may be over then.
    """
    queue = source.queue
    steps = [_queue(queue, topology)]
    if queue.kind == "exclusive":
        guard = topology.guard_exchange(queue)
        steps += [_exchange(guard), _binding(Binding(guard.name, queue.name, ""))]
        steps += [_guard_binding(binding, guard) for binding in source.bindings]
    else:
        durable = (binding for binding in topology.bindings() if binding.queue == queue.name)
        steps += [_binding(binding) for binding in (*durable, *source.bindings)]
    await _declare(channel, steps)


async def _declare(channel: RabbitChannel, steps: Sequence[_Step]) -> None:
    """Do all of it, and wait for the last answer alone. Raises BusUnavailable, TopologyMismatch."""
    *others, last = steps
    try:
        for step in others:
            step.frame.nowait = True
            with broker_call(step.what):
                await channel.rpc(step.frame)
        await _wait_for(last, channel, alone=not others)
    except BusUnavailable:
        connection = cast("RabbitConnection", channel.connection)
        if not connection.is_closed:
            await _find_out(connection, steps)
        raise


async def _find_out(connection: RabbitConnection, steps: Sequence[_Step]) -> None:
    """Raise what the broker has against one of them: of what went out together it says only that something
    was wrong.
    """
    channel = await RabbitChannel.opened(connection)
    try:
        for step in steps:
            await _wait_for(step, channel, alone=True)
    finally:
        await channel.leave()


async def _wait_for(step: _Step, channel: RabbitChannel, *, alone: bool) -> None:
    """Do it and wait for the answer, which is about this step where it is ``alone``. Raises BusUnavailable,
    TopologyMismatch.
    """
    step.frame.nowait = False
    with broker_call(step.what):
        try:
            await channel.rpc(step.frame)
        except ChannelPreconditionFailed as refused:
            if not alone or step.other is None:
                raise
            raise TopologyMismatch(step.other(describe(refused))) from None


async def delete_guard_exchange(connection: RabbitConnection, queue: str, timeout_s: float) -> None:
    """Delete an exclusive queue's guard exchange, whoever owns the queue; nothing where there is none. Raises
    BusUnavailable.
    """
    channel = await RabbitChannel.opened(connection)
    try:
        with broker_call(f"deleting the guard exchange of {queue}"):
            # The channel is thrown away, so it may be ended by a time-out.
            await channel.exchange_delete(queue, timeout=timeout_s)
    finally:
        await channel.leave()


async def queue_depth(connection: RabbitConnection, queue: str, timeout_s: float) -> int | None:
    """Return how many messages are ready in a queue. Raises BusUnavailable, also where there is no such
    queue.
    """
    channel = await RabbitChannel.opened(connection)
    try:
        with broker_call(f"looking at {queue}"):
            # The channel is thrown away, so it may be ended by a time-out: a queue whose node is dead never
            # answers.
            answer = await channel.queue_declare(queue, passive=True, timeout=timeout_s)
    finally:
        await channel.leave()
    return answer.message_count


def _queue(queue: Queue, topology: Topology) -> _Step:
    exclusive = queue.kind == "exclusive"
    arguments: dict[str, Any] = (
        dict(queue.arguments) if exclusive else {"x-queue-type": queue.kind, **queue.arguments}
    )
    frame = spec.Queue.Declare(
        queue=queue.name,
        durable=not exclusive,
        exclusive=exclusive,
        auto_delete=exclusive,
        arguments=arguments,
    )
    return _Step(f"declaring queue {queue.name}", frame, lambda text: _explain(queue, topology, text))


def _explain(queue: Queue, topology: Topology, text: str) -> str:
    if queue.name == topology.guard_queue().name:
        return (
            f"the number of shards differs: this service is set to {topology.shards}, and the broker's "
            f"topology "
            f"{topology.prefix!r} was made with another number, which is fixed for its life ({queue.name}: "
            f"{text})"
        )
    if "-bytes'" in text:
        return (
            f"the size of {queue.name} differs: all services need the same WARREN_BROKER_…_BYTES, and a "
            f"queue keeps the size that it was made "
            f"with until somebody deletes it ({text})"
        )
    return f"queue {queue.name} exists with other settings: {text}"


def _exchange(exchange: Exchange) -> _Step:
    frame = spec.Exchange.Declare(
        exchange=exchange.name,
        exchange_type=exchange.type,
        durable=not exchange.guard,
        auto_delete=exchange.guard,
    )
    return _Step(
        f"declaring exchange {exchange.name}",
        frame,
        lambda text: f"exchange {exchange.name} exists with another type: {text}",
    )


def _binding(binding: Binding) -> _Step:
    frame = spec.Queue.Bind(queue=binding.queue, exchange=binding.exchange, routing_key=binding.key)
    return _Step(f"binding {binding.exchange} to {binding.queue}", frame)


def _guard_binding(binding: Binding, guard: Exchange) -> _Step:
    frame = spec.Exchange.Bind(destination=guard.name, source=binding.exchange, routing_key=binding.key)
    return _Step(f"binding {binding.exchange} to {guard.name}", frame)
