"""FastStream on Warren's exchanges, with FastStream's own RabbitBroker and nothing of Warren's.

    pip install "faststream[rabbit]"
    AMQP_URL=amqp://guest:guest@localhost/%2F python faststream_app.py

It greets each user that comes, and answers the service "echo".
"""

import asyncio
import os
from typing import Any

from faststream import FastStream
from faststream.rabbit import (
    ExchangeType,
    QueueType,
    RabbitBroker,
    RabbitExchange,
    RabbitMessage,
    RabbitQueue,
)

broker = RabbitBroker(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost/%2F"))
app = FastStream(broker)

# Warren declares its exchanges; a backend's user need not, and must not.
EVENTS = RabbitExchange("warren.events", type=ExchangeType.TOPIC, declare=False)
NOTIFY = RabbitExchange("warren.notify", type=ExchangeType.TOPIC, declare=False)
RPC = RabbitExchange("warren.rpc", type=ExchangeType.TOPIC, declare=False)
REPLIES = RabbitExchange("warren.replies", type=ExchangeType.DIRECT, declare=False)


def queue(name: str, key: str) -> RabbitQueue:
    """Return a queue of this backend that outlives its processes, and is shared by them."""
    return RabbitQueue(name, durable=True, queue_type=QueueType.QUORUM, routing_key=key)


@broker.subscriber(queue("app.faststream.events", "client.connected"), EVENTS)
async def came(event: dict[str, Any], message: RabbitMessage) -> None:
    if event.get("connections") != 1:
        return  # one more tab
    await broker.publish(
        {"text": f"hello {event['user']}"},
        exchange=NOTIFY,
        routing_key=f"user.{event['user']}",
        message_type="greeting",
        # an event may come twice, with the same id: then the greeting counts once
        message_id=f"greeting-{message.message_id}",
        persist=True,
        mandatory=True,
    )


# FastStream would answer a returned value by the default exchange, which takes a right that reaches further.
@broker.subscriber(queue("app.faststream.echo", "echo"), RPC, no_reply=True)
async def echo(asked: Any, message: RabbitMessage) -> None:
    await broker.publish(
        {"user": message.headers["user"], "payload": asked},
        exchange=REPLIES,
        routing_key=message.reply_to,
        correlation_id=message.correlation_id,
        mandatory=False,
    )


@app.after_startup
async def started() -> None:
    print("serving echo", flush=True)


if __name__ == "__main__":
    asyncio.run(app.run())
