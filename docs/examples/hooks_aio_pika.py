"""Decide who may connect, join and publish, with plain aio-pika.

    python hooks_aio_pika.py amqp://guest:guest@localhost/%2F

It decides for the namespace "chat" of docs/hooks.md. Start as many of these as you like; they share a queue.
"""

import asyncio
import json
import re
import sys

import aio_pika

# Stands for your own database.
BLOCKED = {"mallory"}
MEMBERS = {"chat:team": {"ann": "Ann A.", "bob": "Bob B."}}
RUDE = re.compile(r"\bdamn\b", re.IGNORECASE)

EXCHANGE = "warren.hooks"
KEYS = ("connect", "join.chat", "publish.chat")


def decide(question: dict) -> dict:
    """Return the answer to a question. It must not depend on ``connection``: one answer may serve several."""
    user = question.get("user", "")
    match question["hook"]:
        case "connect":
            return {"allow": user not in BLOCKED, "reason": "This account is blocked", "ttl": 60}
        case "join":
            name = MEMBERS.get(question["room"], {}).get(user)
            if name is None:
                return {"allow": False, "reason": "You are not invited"}
            # for an hour, whoever restarts meanwhile; the others see the name
            return {"allow": True, "ttl": 3600, "info": {"name": name}}
        case "publish":
            payload = question.get("payload")
            if not isinstance(payload, dict) or not isinstance(payload.get("text"), str):
                return {"allow": False, "reason": "A message needs a text"}
            return {"allow": True, "payload": {**payload, "text": RUDE.sub("****", payload["text"])}}
        case _:
            return {"allow": False, "reason": "Not known here"}


async def serve(url: str, exchange_name: str = EXCHANGE) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        exchange = await channel.declare_exchange(exchange_name, "topic", durable=True)
        # Bounded, and full is full: then a gateway is told at once, instead of waiting for its time-out.
        limits = {"x-max-length": 10_000, "x-overflow": "reject-publish"}
        queue = await channel.declare_queue(f"{exchange_name}.chat", durable=True, arguments=limits)
        for key in KEYS:
            await queue.bind(exchange, key)

        async def asked(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            async with message.process():
                answer = decide(json.loads(message.body))
                body = json.dumps(answer).encode()
                reply = aio_pika.Message(body, correlation_id=message.correlation_id)
                # the default exchange: the routing key is the gateway's own queue
                await channel.default_exchange.publish(reply, message.reply_to)

        await queue.consume(asked)
        print("deciding", flush=True)
        await asyncio.Future()  # until somebody ends us


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
