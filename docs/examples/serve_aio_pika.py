"""Answer what clients ask for in parts, with plain aio-pika: a service that counts until it is told to stop.

    python serve_aio_pika.py amqp://guest:guest@localhost/%2F count

A client asks with {"to": 5, "every_ms": 200}, and gets 1, 2, 3, 4, 5 one after the other.
"""

import asyncio
import json
import sys
import uuid

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage


class Counter:
    def __init__(self, replies: AbstractExchange) -> None:
        self._replies = replies
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
            last, pause_s = int(wanted["to"]), float(wanted.get("every_ms", 0)) / 1_000
            for n in range(1, last + 1):
                # The parts are numbered 1, 2, 3 …; "more" says that this is not the last one.
                await self._send(asked, json.dumps(n), {"n": n, "more": n < last})
                await asyncio.sleep(pause_s)
        except (ValueError, TypeError, KeyError) as error:
            # The client gets ERROR with this code and this text.
            await self._send(asked, f"ask with a number as 'to': {error!r}", {"error": "bad_count"})
        finally:
            await asked.ack()

    async def _send(self, asked: AbstractIncomingMessage, text: str, headers: dict[str, int | str]) -> None:
        part = aio_pika.Message(
            text.encode(),
            content_type="application/json",
            correlation_id=asked.correlation_id,
            headers={**headers},
        )
        await self._replies.publish(part, routing_key=asked.reply_to or "", mandatory=False)


async def consume(channel: AbstractChannel, service: str, counter: Counter) -> None:
    """Take requests from a queue that all processes share, and cancels from one of this process alone."""
    requests = await channel.declare_queue(
        f"app.{service}", durable=True, arguments={"x-queue-type": "quorum"}
    )
    await requests.bind("warren.rpc", service)
    cancels = await channel.declare_queue(f"app.{service}.cancel.{uuid.uuid4()}", exclusive=True)
    await cancels.bind("warren.rpc", f"{service}.cancel")
    await cancels.consume(counter.cancelled, no_ack=True)
    await requests.consume(counter.requested)


async def serve(url: str, service: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=16)
        counter = Counter(await channel.get_exchange("warren.replies"))
        await consume(channel, service, counter)
        print(f"serving {service}", flush=True)
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
