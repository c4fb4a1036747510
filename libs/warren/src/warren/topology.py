"""Every exchange, queue, stream and binding, with every argument, as data; the only place that spells an AMQP
name.

It declares nothing itself (the bus does) and reads no setting (its caller passes prefix and shards).
``docs/topology.md`` is printed from here. No queue and no binding is per client or per room: broker load
grows with pods and messages alone.

An exclusive queue is reached through its **guard exchange**, an auto-delete exchange of the same name. A
queue whose broker node is down can stay bound and locked (RabbitMQ 4.3), and then spoils the confirm of each
publish that also goes to it; its guard exchange is locked to nobody, so it can be deleted.

    warren.ingress  direct   key <shard>          ▶ warren.log.<n>: what came in for shard n, in order
    warren.egress   direct   key <gateway> | all  ▶ warren.gateway.<id>.<nonce>: guard exchange ▶ exclusive
                                                    queue, one per gateway connection; from routers, and
                                                    what a gateway passes on to another one
    warren.routers  direct   key <router> | all   ▶ warren.router.<id>.<nonce>: guard exchange ▶ exclusive
                                                    queue, one per router connection
    warren.events   topic    client.* room.* message.<type>.<room>: what backends bind themselves;
                             room.* and pusher.* ▶ warren.pusher.webhooks, where a Pusher app has webhooks
    warren.notify   topic    room.* user.* conn.* all ▶ warren.notify: quorum, single active consumer
    warren.control  topic    <verb>.<address>  ▶ warren.control: quorum; backends' commands
    warren.notify.dead, warren.dead  fanout           ▶ the queue of the same name: what could not be handled,
                                                        with a reason
    warren.rpc      topic    <service>, <service>.cancel: what clients ask of services; backends bind their
                             queues themselves. They answer to the queue that the request names: the
                             gateway's own, or warren.rpc.replies, where the answer is to outlive it
    warren.replies  direct   key <queue> ▶ those two: the way to them for who may not publish to each queue
                             there is, as the default exchange has it
    warren.hooks    topic    connect, join.<namespace>, publish.<namespace>: what backends are asked before a
                             client may do it; as with warren.rpc, they bind their queues themselves
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

QueueKind = Literal["quorum", "stream", "exclusive"]
ArgumentValue = str | int | bool

ALL = "all"  # the routing key that reaches every gateway (egress) or every router (routers)
DEFAULT_PREFIX = "warren"
DEFAULT_SHARDS = 2
# A stream drops whole segments of its beginning.
LOG_SEGMENTS = 16
WEBHOOKS_EXPIRE_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange. A ``guard`` belongs to one exclusive queue and goes with it; all others are durable."""

    name: str
    type: Literal["direct", "topic", "fanout"]
    guard: bool = False


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue or stream. ``exclusive`` ones belong to one connection, are named anew for each, and go with
    it.
    """

    name: str
    kind: QueueKind
    arguments: Mapping[str, ArgumentValue] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Binding:
    """From an exchange to a queue by a routing key; where the queue is exclusive, to its guard exchange."""

    exchange: str
    queue: str
    key: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what may wait in the broker."""

    notify_bytes: int = 256 * 1024 * 1024
    gateway_bytes: int = 128 * 1024 * 1024
    replies_bytes: int = 64 * 1024 * 1024
    dead_bytes: int = 64 * 1024 * 1024
    control_bytes: int = 64 * 1024 * 1024
    log_bytes: int = 256 * 1024 * 1024
    delivery_limit: int = 20
    disconnected_ms: int = 3_000

    @property
    def segment_bytes(self) -> int:
        """What a log drops at once."""
        return self.log_bytes // LOG_SEGMENTS

    @property
    def kept_bytes(self) -> int:
        """What a log keeps at least of what was written last."""
        return self.log_bytes - self.segment_bytes


def former_text(name: str, topology: Topology) -> str:
    """Say what to do about a queue of an older Warren."""
    return (
        f"the broker has {name}, a queue of an older Warren under the prefix {topology.prefix!r}: end the "
        f"services of that version and delete its "
        f"queues {topology.prefix}.shard.* and {topology.prefix}.history.*, or take another WARREN_PREFIX"
    )


class Topology:
    """One installation's names and arguments."""

    def __init__(
        self, prefix: str = DEFAULT_PREFIX, shards: int = DEFAULT_SHARDS, limits: Limits | None = None
    ) -> None:
        """``prefix`` lets several installations share a virtual host; ``shards`` is fixed for an
        installation's life.
        """
        self.prefix = prefix
        self.shards = shards
        self.limits = limits or Limits()
        self.ingress = f"{prefix}.ingress"
        self.egress = f"{prefix}.egress"
        self.routers = f"{prefix}.routers"
        self.events = f"{prefix}.events"
        self.notify = f"{prefix}.notify"
        self.notify_dead = f"{prefix}.notify.dead"
        self.dead = f"{prefix}.dead"
        self.rpc = f"{prefix}.rpc"
        self.rpc_replies = f"{prefix}.rpc.replies"
        self.replies = f"{prefix}.replies"
        self.hooks = f"{prefix}.hooks"
        self.control = f"{prefix}.control"
        # Exchanges by which backends are asked: the queues behind them are theirs, and refuse as they like.
        self.asking = (self.rpc, self.hooks)

    def exchanges(self) -> tuple[Exchange, ...]:
        """Return every exchange."""
        return (
            Exchange(self.ingress, "direct"),
            Exchange(self.egress, "direct"),
            Exchange(self.routers, "direct"),
            Exchange(self.events, "topic"),
            Exchange(self.notify, "topic"),
            Exchange(self.control, "topic"),
            Exchange(self.notify_dead, "fanout"),
            Exchange(self.dead, "fanout"),
            Exchange(self.rpc, "topic"),
            Exchange(self.replies, "direct"),
            Exchange(self.hooks, "topic"),
        )

    def queues(self) -> tuple[Queue, ...]:
        """Return every durable queue and stream."""
        return (
            self.guard_queue(),
            *(self.log(shard) for shard in range(self.shards)),
            self.notify_queue(),
            self.control_queue(),
            self._dead_queue(self.notify_dead),
            self._dead_queue(self.dead),
            self.rpc_replies_queue(),
        )

    def bindings(self) -> tuple[Binding, ...]:
        """Return every binding of a durable queue."""
        return (
            *(
                Binding(self.ingress, self.log(shard).name, self.shard_key(shard))
                for shard in range(self.shards)
            ),
            Binding(self.notify, self.notify, "#"),
            Binding(self.control, self.control, "#"),
            Binding(self.notify_dead, self.notify_dead, ""),
            Binding(self.dead, self.dead, ""),
            Binding(self.replies, self.rpc_replies, self.rpc_replies),
        )

    def shard_key(self, shard: int) -> str:
        """Return the routing key of a shard on the ingress exchange."""
        return str(shard)

    def event(self, kind: str) -> str:
        """Return the routing key of an event of a client or a room: ``client.connected``, ``room.left`` …;
        its kind, as it is.
        """
        return kind

    def message_event(self, type: str, room: str) -> str:  # noqa: A002 - the protocol's own word
        """Return the routing key of a message's event. The room comes last, since its name may have dots."""
        return f"message.{type}.{room}"

    def undelivered_event(self, type: str, room: str) -> str:  # noqa: A002 - as above
        """Return the routing key of the event that nobody was there for a message."""
        return f"message.undelivered.{type}.{room}"

    def log(self, shard: int) -> Queue:
        """Return a shard's log. A stream refuses nothing and drops whole segments of its beginning, so it has
        sixteen of them within its limit.
        """
        return Queue(
            f"{self.prefix}.log.{shard}",
            "stream",
            {
                "x-max-length-bytes": self.limits.log_bytes,
                "x-stream-max-segment-size-bytes": self.limits.segment_bytes,
            },
        )

    def former(self) -> tuple[str, ...]:
        """Return queues that an older Warren had under this prefix; while they are there the broker is that
        one's. No service declares them.
        """
        return (f"{self.prefix}.shard.0", f"{self.prefix}.history.0")

    def notify_queue(self) -> Queue:
        """Return the queue of backends' notifications: one consumer at a time, so that order per publisher
        and room is kept.
        """
        return Queue(
            self.notify,
            "quorum",
            {
                "x-single-active-consumer": True,
                "x-delivery-limit": self.limits.delivery_limit,
                "x-dead-letter-exchange": self.notify_dead,
                "x-max-length-bytes": self.limits.notify_bytes,
                "x-overflow": "reject-publish",
                "x-consumer-disconnected-timeout": self.limits.disconnected_ms,
            },
        )

    def control_queue(self) -> Queue:
        """Return the queue of backends' commands. All routers take from it: what must have an order has it by
        the log.
        """
        return Queue(
            self.control,
            "quorum",
            {
                "x-delivery-limit": self.limits.delivery_limit,
                "x-dead-letter-exchange": self.dead,
                "x-max-length-bytes": self.limits.control_bytes,
                "x-overflow": "reject-publish",
                "x-consumer-disconnected-timeout": self.limits.disconnected_ms,
            },
        )

    def rpc_replies_queue(self) -> Queue:
        """Return the queue of answers that outlive the connection which asked: one consumer at a time, so
        that the parts of an answer stay in order. Who answers reaches it by its name, by way of the default
        exchange or of ``replies``.
        """
        return Queue(
            self.rpc_replies,
            "quorum",
            {
                "x-single-active-consumer": True,
                "x-delivery-limit": self.limits.delivery_limit,
                "x-dead-letter-exchange": self.notify_dead,
                "x-max-length-bytes": self.limits.notify_bytes,
                "x-overflow": "reject-publish",
                "x-consumer-disconnected-timeout": self.limits.disconnected_ms,
            },
        )

    def pusher_event(self, kind: str) -> str:
        """Return the routing key of what gateways tell of the Pusher protocol on the events exchange."""
        return f"pusher.{kind}"

    def webhooks_queue(self) -> tuple[Queue, tuple[Binding, ...]]:
        """Return the queue of what the webhooks of Pusher apps tell, and its bindings: one consumer at a
        time, so that order is kept. It is declared where an app has webhooks, and goes an hour after the last
        consumer has. Where it overflows the oldest go: events hold up nothing.
        """
        name = f"{self.prefix}.pusher.webhooks"
        queue = Queue(
            name,
            "quorum",
            {
                "x-single-active-consumer": True,
                "x-max-length-bytes": self.limits.dead_bytes,
                "x-overflow": "drop-head",
                "x-expires": WEBHOOKS_EXPIRE_MS,
                "x-consumer-disconnected-timeout": self.limits.disconnected_ms,
            },
        )
        keys = (self.event("room.joined"), self.event("room.left"), self.pusher_event("#"))
        return queue, tuple(Binding(self.events, name, key) for key in keys)

    def cancel_key(self, service: str) -> str:
        """Return the routing key by which a service is told that an answer is wanted no more."""
        return f"{service}.cancel"

    def hook_key(self, hook: str, namespace: str) -> str:
        """Return the routing key of a hook's questions: ``connect``, ``join.<namespace>`` …"""
        return f"{hook}.{namespace}" if namespace else hook

    def replies_queue(self, gateway: str, nonce: str) -> tuple[Queue, tuple[Binding, ...]]:
        """Return the queue in which a gateway is answered, and its binding; who answers reaches it by its
        name, by way of the default exchange or of ``replies``. Where it overflows the oldest go, which are
        wanted least.
        """
        name = f"{self.prefix}.gateway.{gateway}.replies.{nonce}"
        queue = Queue(
            name, "exclusive", {"x-max-length-bytes": self.limits.replies_bytes, "x-overflow": "drop-head"}
        )
        return queue, (Binding(self.replies, name, name),)

    def is_direct_reply(self, queue: str) -> bool:
        """Say whether what goes to a queue of this name goes to a client's channel (RabbitMQ's direct
        reply-to). There ``mandatory`` says nothing: up to 4.1 what was delivered comes back all the same.
        """
        return queue.startswith("amq.rabbitmq.reply-to.")

    def is_own(self, queue: str) -> bool:
        """Say whether a queue's name is one of Warren's own: nothing that a backend names may lead there."""
        return queue.startswith(f"{self.prefix}.")

    def service_queue(self, service: str, nonce: str) -> tuple[Queue, tuple[Binding, ...]]:
        """Return the queue of a service that Warren itself brings, and its binding."""
        name = f"{self.prefix}.service.{service}.{nonce}"
        queue = Queue(
            name,
            "exclusive",
            {"x-max-length-bytes": self.limits.replies_bytes, "x-overflow": "reject-publish"},
        )
        return queue, (Binding(self.rpc, name, service),)

    def guard_queue(self) -> Queue:
        """Return a queue that nobody uses: its length limit is the number of shards, so that a service which
        disagrees is refused by the broker (406) when it declares the topology.
        """
        return Queue(f"{self.prefix}.guard", "quorum", {"x-max-length": self.shards})

    def _dead_queue(self, name: str) -> Queue:
        return Queue(
            name, "quorum", {"x-max-length-bytes": self.limits.dead_bytes, "x-overflow": "drop-head"}
        )

    def guard_exchange(self, queue: Queue) -> Exchange:
        """Return the exchange that stands between an exclusive queue and what it is bound to."""
        return Exchange(queue.name, "fanout", guard=True)

    def is_guard_exchange(self, name: str) -> bool:
        """Say whether an exchange is the guard exchange of a gateway, a router or a service of ours."""
        return name.startswith(tuple(f"{self.prefix}.{kind}." for kind in ("gateway", "router", "service")))

    def gateway_queue(self, gateway: str, nonce: str) -> tuple[Queue, tuple[Binding, ...]]:
        """Return a gateway's own queue and its bindings. Where it overflows the oldest go; positions heal
        that.
        """
        name = f"{self.prefix}.gateway.{gateway}.{nonce}"
        queue = Queue(
            name, "exclusive", {"x-max-length-bytes": self.limits.gateway_bytes, "x-overflow": "drop-head"}
        )
        return queue, (Binding(self.egress, name, gateway), Binding(self.egress, name, ALL))

    def router_queue(self, router: str, nonce: str) -> tuple[Queue, tuple[Binding, ...]]:
        """Return a router's inbox and its bindings."""
        name = f"{self.prefix}.router.{router}.{nonce}"
        queue = Queue(
            name, "exclusive", {"x-max-length-bytes": self.limits.gateway_bytes, "x-overflow": "drop-head"}
        )
        return queue, (Binding(self.routers, name, router), Binding(self.routers, name, ALL))
