"""Backend queues: what those queues hold that a router passes on into the logs: backends' notifications, and
services' answers that are to outlive whoever asked.

Each says which queue it is and what one delivery becomes. They keep nothing, and never raise for what comes.
"""

from __future__ import annotations

from typing import Protocol

from router.core.answer_parser import DurableAnswer, parse_answer
from router.core.notification_list_parser import Parsed, is_list
from router.core.notification_parser import Notification, parse
from warren.bus import Delivery
from warren.topology import Queue, Topology


class BackendQueue(Protocol):
    """What one queue holds."""

    @property
    def name(self) -> str:
        """What its buffers and tasks are called."""
        ...

    def queue(self, topology: Topology) -> Queue:
        """Return the queue."""
        ...

    def is_list(self, delivery: Delivery) -> bool:
        """Say whether a delivery brings a list of notifications."""
        ...

    def parsed(self, delivery: Delivery, now_us: int, max_bytes: int) -> Parsed:
        """Return what a delivery that is no list becomes, or why it becomes nothing."""
        ...


class NotificationQueue:
    """Backends' notifications, one by one or in lists."""

    name = "intake"

    def queue(self, topology: Topology) -> Queue:
        """Return the queue of notifications."""
        return topology.notify_queue()

    def is_list(self, delivery: Delivery) -> bool:
        """Say whether a delivery brings a list."""
        return is_list(delivery.properties.content_type)

    def parsed(self, delivery: Delivery, now_us: int, max_bytes: int) -> Parsed:
        """Return what a notification becomes."""
        properties = delivery.properties
        notification = Notification(
            key=delivery.routing_key,
            body=delivery.body,
            content_type=properties.content_type,
            type=properties.type,
            id=properties.message_id,
            expiration_ms=properties.expiration_ms,
            latest_key=properties.headers.get("key"),
            receipt=properties.headers.get("receipt") if properties.reply_to else None,
            seen_within_ms=properties.headers.get("seen_within_ms"),
        )
        return Parsed(parse(notification, now_us=now_us, max_bytes=max_bytes), _traceparent(delivery))


class AnswerQueue:
    """Services' durable answers."""

    name = "answers"

    def queue(self, topology: Topology) -> Queue:
        """Return the queue of durable answers."""
        return topology.rpc_replies_queue()

    def is_list(self, delivery: Delivery) -> bool:
        """Say that none is a list."""
        return False

    def parsed(self, delivery: Delivery, now_us: int, max_bytes: int) -> Parsed:
        """Return what an answer becomes."""
        properties = delivery.properties
        answer = DurableAnswer(
            request=properties.correlation_id,
            body=delivery.body,
            content_type=properties.content_type,
            number=properties.headers.get("n"),
            more=properties.headers.get("more"),
            error=properties.headers.get("error"),
        )
        return Parsed(parse_answer(answer, now_us=now_us, max_bytes=max_bytes), _traceparent(delivery))


def _traceparent(delivery: Delivery) -> str:
    traceparent = delivery.properties.headers.get("traceparent")
    return traceparent if isinstance(traceparent, str) else ""
