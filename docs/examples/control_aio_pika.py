"""Have Warren do something, with plain aio-pika (asyncio), and print what it came to.

    python control_aio_pika.py amqp://guest:guest@localhost/%2F count.room.default
    python control_aio_pika.py amqp://guest:guest@localhost/%2F remove.room.default '{"user": "ann"}'

The routing key is the verb and the address; the body has the other fields.
"""

import asyncio
import json
import sys
import uuid

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

ANSWERS = "amq.rabbitmq.reply-to"  # RabbitMQ's direct reply-to: it needs no queue and no right


async def command(url: str, key: str, fields: object) -> object:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        answered: asyncio.Future[AbstractIncomingMessage] = asyncio.get_running_loop().create_future()
        answers = await channel.get_queue(ANSWERS, ensure=False)

        async def take(message: AbstractIncomingMessage) -> None:
            answered.set_result(message)

        await answers.consume(take, no_ack=True)
        control = await channel.get_exchange("warren.control", ensure=False)
        message = aio_pika.Message(
            json.dumps(fields).encode(),
            content_type="application/json",
            # it counts once for its address, however often it is sent under the same id
            message_id=str(uuid.uuid4()),
            reply_to=ANSWERS,
            correlation_id="1",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await control.publish(message, key)
        told = await asyncio.wait_for(answered, 15)  # no answer: send it again under the same message_id
        answer: object = json.loads(told.body)
        if told.type == "problem":
            raise RuntimeError(answer)
        return answer


if __name__ == "__main__":
    asked = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
    print(json.dumps(asyncio.run(command(sys.argv[1], sys.argv[2], asked)), indent=2))
