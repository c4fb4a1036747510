"""Names: Warren's exchanges under a prefix, and this backend's own queues. It is the only place that spells
an AMQP name, and declares nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DEFAULT_PREFIX: Final = "warren"
# What the names of a backend's own queues begin with, as the rights of docs/broker-users.md have it.
DEFAULT_OWN: Final = "app"
# RabbitMQ's direct reply-to: it needs no queue and no right.
DIRECT_REPLY: Final = "amq.rabbitmq.reply-to"


@dataclass(frozen=True, slots=True)
class Names:
    """One installation's exchanges (``prefix``), and how a backend's own queues are called (``own``)."""

    prefix: str = DEFAULT_PREFIX
    own: str = DEFAULT_OWN

    @property
    def notify(self) -> str:
        """Takes notifications."""
        return f"{self.prefix}.notify"

    @property
    def control(self) -> str:
        """Takes commands."""
        return f"{self.prefix}.control"

    @property
    def events(self) -> str:
        """Where events come from."""
        return f"{self.prefix}.events"

    @property
    def rpc(self) -> str:
        """Where requests of clients come from."""
        return f"{self.prefix}.rpc"

    @property
    def hooks(self) -> str:
        """Where questions of gateways come from."""
        return f"{self.prefix}.hooks"

    @property
    def replies(self) -> str:
        """Takes answers, by the name of the queue that a request names."""
        return f"{self.prefix}.replies"

    @property
    def durable_replies(self) -> str:
        """The queue that requests name whose answer is to outlive the connection."""
        return f"{self.prefix}.rpc.replies"

    def queue(self, name: str) -> str:
        """Return the full name of a queue of this backend."""
        return name if name.startswith(f"{self.own}.") else f"{self.own}.{name}"


def dead_of(queue: str) -> str:
    """Return the name of the exchange and the queue that take what a queue sets aside."""
    return f"{queue}.dead"


def cancel_key(service: str) -> str:
    """Return the routing key by which a service hears that an answer is wanted no more."""
    return f"{service}.cancel"
