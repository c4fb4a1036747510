"""Decide who may connect, join and publish, with plain aio-pika.

    python hooks_aio_pika.py amqp://guest:guest@localhost/%2F

It decides for the namespace "chat" of docs/hooks.md. Start as many of these as you like; they share a queue.
"""

import asyncio
import json
import re
import sys
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

# Stands for your own database.
BLOCKED = {"mallory"}
MEMBERS = {"chat:team": {"ann": "Ann A.", "bob": "Bob B."}}
RUDE = re.compile(r"\bdamn\b", re.IGNORECASE)

KEYS = ("connect", "join.chat", "publish.chat")


def decide(question: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a question. It must not depend on ``connection``: one answer may serve several."""
    user = question.get("user", "")
    match question["hook"]:
        case "connect":
            if user in BLOCKED:
                return {"allow": False, "reason": "This account is blocked"}
            return {"allow": True, "ttl": 60}
        case "join":
            name = MEMBERS.get(question["room"], {}).get(user)
            if name is None:
                return {"allow": False, "reason": "You are not invited"}
            # for an hour, whatever restarts meanwhile; the others see the name
            return {"allow": True, "ttl": 3600, "info": {"name": name}}
        case "publish":
            payload = question.get("payload")
            if not isinstance(payload, dict) or not isinstance(payload.get("text"), str):
                return {"allow": False, "reason": "A message needs a text"}
            return {"allow": True, "payload": {**payload, "text": RUDE.sub("****", payload["text"])}}
        case _:
            return {"allow": False, "reason": "Not known here"}


async def serve(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        # Warren declares its exchanges; a backend's user need not, and must not.
        replies = await channel.get_exchange("warren.replies", ensure=False)
        # Bounded, and full is full: then a gateway is told at once, instead of waiting for its time-out.
        queue = await channel.declare_queue(
            "app.hooks.chat",
            durable=True,
            arguments={"x-max-length": 10_000, "x-overflow": "reject-publish"},
        )
        for key in KEYS:
            await queue.bind("warren.hooks", key)

        async def asked(message: AbstractIncomingMessage) -> None:
            async with message.process():
                answer = json.dumps(decide(json.loads(message.body))).encode()
                reply = aio_pika.Message(answer, correlation_id=message.correlation_id)
                await replies.publish(reply, routing_key=message.reply_to or "", mandatory=False)

        await queue.consume(asked)
        print("deciding", flush=True)
        await asyncio.Future()  # until somebody ends us


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
