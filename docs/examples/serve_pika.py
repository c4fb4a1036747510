"""Answer what clients ask for, with plain pika (blocking): a service that says who has asked, and what.

    python serve_pika.py amqp://guest:guest@localhost/%2F echo

Start it several times, and the processes share the requests.
"""

import json
import sys

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic, BasicProperties


def answer(user: str, payload: object) -> object:
    return {"user": user, "payload": payload}


def on_request(channel: BlockingChannel, method: Basic.Deliver, asked: BasicProperties, body: bytes) -> None:
    answered = answer(asked.headers["user"], json.loads(body))
    # The answer goes to where the request says, under the request's correlation_id.
    properties = BasicProperties(correlation_id=asked.correlation_id, content_type="application/json")
    channel.basic_publish("warren.replies", asked.reply_to, json.dumps(answered).encode(), properties)
    # Last: if this process dies before, another one is given the request. So a request may come twice, always
    # with the same message_id.
    channel.basic_ack(method.delivery_tag)


def serve(url: str, service: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        queue = f"app.{service}"
        # When a hundred requests wait, further ones are refused: their clients are told "overloaded" at once.
        limits = {"x-queue-type": "quorum", "x-max-length": 100, "x-overflow": "reject-publish"}
        channel.queue_declare(queue, durable=True, arguments=limits)
        channel.queue_bind(queue, "warren.rpc", service)
        channel.basic_qos(prefetch_count=16)
        channel.basic_consume(queue, on_request)
        print(f"serving {service}", flush=True)
        channel.start_consuming()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
