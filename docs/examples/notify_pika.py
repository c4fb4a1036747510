"""Send one notification to clients, with plain pika (blocking).

    python notify_pika.py amqp://guest:guest@localhost/%2F room.default '{"text": "hello"}'

The routing key is the recipient: room.<room>, user.<user>, conn.<connection id> or all.
"""

import json
import sys
import uuid

import pika


def notify(url: str, key: str, payload: object) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()  # basic_publish now raises unless the broker accepts the message
        properties = pika.BasicProperties(
            content_type="application/json",
            type="NOTIFICATION",  # or a type of your own
            # it counts once, however often it is published under the same id
            message_id=str(uuid.uuid4()),
            delivery_mode=2,  # persistent
        )
        channel.basic_publish("warren.notify", key, json.dumps(payload).encode(), properties, mandatory=True)


if __name__ == "__main__":
    notify(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
