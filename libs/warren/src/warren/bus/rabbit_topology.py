"""Declaring: Topology's and Source's data as AMQP declarations.

It only declares; it never changes what is there, deletes nothing but doors, and says what is there with other settings, or how much. The bus
calls it at its first connect, after each later one and for the doors of the dead; subscriptions for their own queue.
"""

from __future__ import annotations

from typing import Any

from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from warren.bus import Source
from warren.bus.rabbit_channel import RabbitChannel, broker_call, describe
from warren.bus.rabbit_connection import RabbitConnection
from warren.errors import TopologyMismatch
from warren.topology import Binding, Exchange, Queue, Topology, former_text


async def declare_topology(connection: RabbitConnection, topology: Topology) -> None:
    """Declare all of it on a channel of its own. Raises BusUnavailable, TopologyMismatch."""
    channel = await RabbitChannel.opened(connection)
    try:
        for exchange in topology.exchanges():
            await _declare_exchange(channel, exchange)
        for queue in topology.queues():
            await declare_queue(channel, queue, topology)
        for binding in topology.bindings():
            await _bind(channel, binding)
    finally:
        await channel.leave()


async def refuse_former(connection: RabbitConnection, topology: Topology, timeout_s: float) -> None:
    """Raise TopologyMismatch where the broker has an older Warren's queues under this prefix. Each is asked for on a channel of its own,
    which a queue that is not there ends. Raises BusUnavailable.
    """
    for name in topology.former():
        channel = await RabbitChannel.opened(connection)
        try:
            with broker_call(f"looking for {name}"):
                try:
                    await channel.queue_declare(name, passive=True, timeout=timeout_s)
                except ChannelNotFoundEntity:
                    continue
        finally:
            await channel.leave()
        raise TopologyMismatch(former_text(name, topology))


async def declare_source(channel: RabbitChannel, source: Source, topology: Topology) -> None:
    """Declare a subscription's queue and its bindings (a durable queue's are in the topology); an exclusive queue gets its door."""
    queue = source.queue
    await declare_queue(channel, queue, topology)
    if queue.kind == "exclusive":
        door = topology.door(queue)
        await _declare_exchange(channel, door)
        await _bind(channel, Binding(door.name, queue.name, ""))
        for binding in source.bindings:
            with broker_call(f"binding {binding.exchange} to {door.name}"):
                await channel.exchange_bind(door.name, binding.exchange, binding.key)
        return
    durable = tuple(binding for binding in topology.bindings() if binding.queue == queue.name)
    for binding in (*durable, *source.bindings):
        await _bind(channel, binding)


async def delete_door(connection: RabbitConnection, queue: str, timeout_s: float) -> None:
    """Delete an exclusive queue's door, whoever owns the queue; nothing where there is none. Raises BusUnavailable."""
    channel = await RabbitChannel.opened(connection)
    try:
        with broker_call(f"deleting the door of {queue}"):
            # The channel is thrown away, so it may be ended by a time-out.
            await channel.exchange_delete(queue, timeout=timeout_s)
    finally:
        await channel.leave()


async def queue_depth(connection: RabbitConnection, queue: str, timeout_s: float) -> int | None:
    """Return how many messages are ready in a queue. Raises BusUnavailable, also where there is no such queue."""
    channel = await RabbitChannel.opened(connection)
    try:
        with broker_call(f"looking at {queue}"):
            # The channel is thrown away, so it may be ended by a time-out: a queue whose node is dead never answers.
            answer = await channel.queue_declare(queue, passive=True, timeout=timeout_s)
    finally:
        await channel.leave()
    return answer.message_count


async def declare_queue(channel: RabbitChannel, queue: Queue, topology: Topology) -> None:
    """Declare a queue or stream. Raises BusUnavailable, TopologyMismatch."""
    exclusive = queue.kind == "exclusive"
    arguments: dict[str, Any] = dict(queue.arguments) if exclusive else {"x-queue-type": queue.kind, **queue.arguments}
    with broker_call(f"declaring queue {queue.name}"):
        try:
            await channel.queue_declare(
                queue.name, durable=not exclusive, exclusive=exclusive, auto_delete=exclusive, arguments=arguments
            )
        except ChannelPreconditionFailed as refused:
            raise TopologyMismatch(_explain(queue, topology, describe(refused))) from None


def _explain(queue: Queue, topology: Topology, text: str) -> str:
    if queue.name == topology.guard_queue().name:
        return (
            f"the number of shards differs: this service is set to {topology.shards}, and the broker's topology "
            f"{topology.prefix!r} was made with another number, which is fixed for its life ({queue.name}: {text})"
        )
    if "-bytes'" in text:
        return (
            f"the size of {queue.name} differs: all services need the same WARREN_BROKER_…_BYTES, and a queue keeps the size that it was made "
            f"with until somebody deletes it ({text})"
        )
    return f"queue {queue.name} exists with other settings: {text}"


async def _declare_exchange(channel: RabbitChannel, exchange: Exchange) -> None:
    with broker_call(f"declaring exchange {exchange.name}"):
        try:
            await channel.exchange_declare(
                exchange.name, exchange_type=exchange.type, durable=not exchange.door, auto_delete=exchange.door
            )
        except ChannelPreconditionFailed as refused:
            raise TopologyMismatch(f"exchange {exchange.name} exists with another type: {describe(refused)}") from None


async def _bind(channel: RabbitChannel, binding: Binding) -> None:
    with broker_call(f"binding {binding.exchange} to {binding.queue}"):
        await channel.queue_bind(binding.queue, binding.exchange, binding.key)
