"""Have Warren do something, with plain pika (blocking), and print what it came to.

    python control_pika.py amqp://guest:guest@localhost/%2F presence.room.default
    python control_pika.py amqp://guest:guest@localhost/%2F disconnect.user.ann '{"reason": "bye"}'

The routing key is the verb and the address; the body has the other fields.
"""

import json
import sys
import time
import uuid

import pika

ANSWERS = "amq.rabbitmq.reply-to"  # RabbitMQ's direct reply-to: it needs no queue and no right


def command(url: str, key: str, fields: object) -> object:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        found: list[tuple[pika.BasicProperties, bytes]] = []
        channel.basic_consume(
            ANSWERS, lambda _channel, _method, told, body: found.append((told, body)), auto_ack=True
        )
        properties = pika.BasicProperties(
            content_type="application/json",
            # it counts once for its address, however often it is sent under the same id
            message_id=str(uuid.uuid4()),
            reply_to=ANSWERS,
            correlation_id="1",
            delivery_mode=2,  # persistent
        )
        channel.basic_publish("warren.control", key, json.dumps(fields).encode(), properties, mandatory=True)
        until = time.monotonic() + 15
        while not found:
            if time.monotonic() > until:
                raise TimeoutError("no answer: send it again under the same message_id")
            connection.process_data_events(0.1)
        told, body = found[0]
        answer: object = json.loads(body)
        if told.type == "problem":
            raise RuntimeError(answer)
        return answer


if __name__ == "__main__":
    asked = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
    print(json.dumps(command(sys.argv[1], sys.argv[2], asked), indent=2))
