"""Send one notification to clients, with plain pika (blocking).

    python notify_pika.py amqp://guest:guest@localhost/%2F room.default '{"text": "hello"}'

The key says to whom: room.<room>, user.<user>, conn.<connection id> or all.
"""

import json
import sys
import uuid

import pika


def notify(url: str, key: str, payload: object) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()  # basic_publish then raises unless the broker has taken the message
        properties = pika.BasicProperties(
            content_type="application/json",
            type="NOTIFICATION",  # or a type of your own
            # publish again under the same id as often as need be: it is counted once
            message_id=str(uuid.uuid4()),
            delivery_mode=2,  # persistent
        )
        channel.basic_publish("warren.notify", key, json.dumps(payload).encode(), properties, mandatory=True)


if __name__ == "__main__":
    notify(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
