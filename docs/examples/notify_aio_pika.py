"""Send one notification to clients, with plain aio-pika.

    python notify_aio_pika.py amqp://guest:guest@localhost/%2F room.default '{"text": "hello"}'

The routing key is the recipient: room.<room>, user.<user>, conn.<connection id> or all.
"""

import asyncio
import json
import sys
import uuid

import aio_pika


async def notify(url: str, key: str, payload: object) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(on_return_raises=True)  # publisher confirms are on by default
        exchange = await channel.get_exchange("warren.notify")
        message = aio_pika.Message(
            json.dumps(payload).encode(),
            content_type="application/json",
            type="NOTIFICATION",  # or a type of your own
            # it counts once, however often it is published under the same id
            message_id=str(uuid.uuid4()),
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await exchange.publish(message, routing_key=key, mandatory=True)


if __name__ == "__main__":
    asyncio.run(notify(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
