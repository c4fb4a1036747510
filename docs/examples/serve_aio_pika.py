"""Answer what clients ask for in parts, with plain aio-pika: a service that counts until it is told to stop.

    python serve_aio_pika.py amqp://guest:guest@localhost/%2F count

A client asks with {"to": 5, "every_ms": 200}, and gets 1, 2, 3, 4, 5 one after the other.
"""

import asyncio
import json
import sys

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue


class Counter:
    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._working: dict[str, asyncio.Task[None]] = {}  # correlation_id ▶ what is at work on it

    async def requested(self, asked: AbstractIncomingMessage) -> None:
        task = asyncio.ensure_future(self._answer(asked))
        name = asked.correlation_id or ""
        self._working[name] = task
        task.add_done_callback(lambda _: self._working.pop(name, None))

    async def cancelled(self, cancel: AbstractIncomingMessage) -> None:
        """The client has gone, or wants no more; every process hears of it, and one has something to stop."""
        task = self._working.get(cancel.correlation_id or "")
        if task is not None:
            task.cancel()

    async def _answer(self, asked: AbstractIncomingMessage) -> None:
        try:
            wanted = json.loads(asked.body)
            last = int(wanted["to"])
            for n in range(1, last + 1):
                await self._send(asked, n, more=n < last)
                await asyncio.sleep(wanted.get("every_ms", 0) / 1_000)
        finally:
            await asked.ack()

    async def _send(self, asked: AbstractIncomingMessage, n: int, more: bool) -> None:
        part = aio_pika.Message(
            json.dumps(n).encode(),
            content_type="application/json",
            correlation_id=asked.correlation_id,
            headers={
                "n": n,
                "more": more,
            },  # the parts are numbered 1, 2, 3 …; more: this is not the last one
        )
        await self._channel.default_exchange.publish(part, routing_key=asked.reply_to or "", mandatory=False)


async def bound_queue(channel: AbstractChannel, name: str, key: str) -> AbstractQueue:
    """Return a queue that goes with this process if it has no name, and is shared by all if it has."""
    if name:
        queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
    else:
        queue = await channel.declare_queue(exclusive=True)
    await queue.bind("warren.rpc", key)
    return queue


async def serve(url: str, service: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=16)
        counter = Counter(channel)
        await (await bound_queue(channel, f"service.{service}", service)).consume(counter.requested)
        await (await bound_queue(channel, "", f"{service}.cancel")).consume(counter.cancelled, no_ack=True)
        print(f"serving {service}", flush=True)
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
