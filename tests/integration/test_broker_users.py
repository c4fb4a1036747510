"""Each kind of backend with the user of least rights that Warren gives out, on a real RabbitMQ: it can do its
work, and one step beyond is refused with 403.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker, UnroutableError
from scripts.chart.amqp_definitions import USER, backend_definitions, definitions
from scripts.chart.broker_users import backends
from tests.support.rabbit import Rabbit

from warren.topology import Topology
from warren_backend import AccessRefused, Backend, CommandUnanswered, Control

pytestmark = pytest.mark.rabbit

PASSWORD = "a-password"
TOPOLOGY = Topology(shards=2)
REPLY_TO = "amq.rabbitmq.reply-to"
WITHIN_S = 15
# Whoever answers services may take the requests of these alone, where an operator says so.
LIMITED = "limited"
# Whoever commands may command so much alone.
READING = "reading"

Step = Callable[[BlockingChannel], object]


@dataclass(frozen=True)
class Site:
    """A virtual host with Warren's topology, and the users."""

    rabbit: Rabbit
    vhost: str

    @contextmanager
    def channel(self, user: str) -> Iterator[BlockingChannel]:
        """Open a channel with confirms as this user."""
        vhost = quote(self.vhost, safe="")
        url = f"amqp://{user}:{PASSWORD}@{self.rabbit.host}:{self.rabbit.port}/{vhost}"
        with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            yield channel

    def refuses(self, user: str, **steps: Step) -> None:
        """Take each step on a channel of its own, and see it refused for want of a right."""
        found: dict[str, object] = {}
        for name, step in steps.items():
            try:
                with self.channel(user) as channel:
                    step(channel)
                found[name] = "allowed"
            except ChannelClosedByBroker as closed:
                found[name] = closed.reply_code
        assert found == dict.fromkeys(steps, 403)


@pytest.fixture
def site(rabbit: Rabbit) -> Iterator[Site]:
    """All of it comes by one import; without their virtual host the users have no rights."""
    vhost = rabbit.prefix()
    made = definitions(TOPOLOGY, vhost)
    declared = {exchange["name"] for exchange in made["exchanges"]}
    for name in {TOPOLOGY.hooks, TOPOLOGY.control} - declared:
        made["exchanges"].append(made["exchanges"][-1] | {"name": name, "type": "topic"})
    users = backend_definitions(backends(TOPOLOGY), "warren", vhost)
    rpc = next(each for each in users["permissions"] if each["user"] == "warren-rpc")
    control = next(each for each in users["permissions"] if each["user"] == "warren-control")
    made["permissions"] += [*users["permissions"], rpc | {"user": LIMITED}, control | {"user": READING}]
    made["users"] = [
        {"name": name, "password": PASSWORD, "tags": ""}
        for name in (USER, LIMITED, READING, *(each["name"] for each in users["users"]))
    ]
    made["topic_permissions"] = [
        {"user": LIMITED, "vhost": vhost, "exchange": TOPOLOGY.rpc, "write": "", "read": r"^orders\."},
        {
            "user": READING,
            "vhost": vhost,
            "exchange": TOPOLOGY.control,
            "write": r"^(presence|count|status)\.",
            "read": "",
        },
    ]
    rabbit.node.import_definitions(made)
    try:
        yield Site(rabbit, vhost)
    finally:
        rabbit.node.delete_vhost(vhost)


def publish(exchange: str, key: str, **properties: object) -> Step:
    """Return the publishing of a message that has to reach a queue."""
    return lambda channel: channel.basic_publish(
        exchange, key, b"{}", pika.BasicProperties(**properties), mandatory=True
    )


def answer(channel: BlockingChannel, properties: pika.BasicProperties) -> None:
    """Answer as routers do, at the queue that was named."""
    channel.basic_publish("", str(properties.reply_to), b"{}")


def declare(queue: str) -> Step:
    """Return the declaring of a queue."""
    return lambda channel: channel.queue_declare(queue, durable=True)


def bind(queue: str, exchange: str, key: str = "#") -> Step:
    """Return the declaring of an own queue, and its binding."""

    def step(channel: BlockingChannel) -> None:
        channel.queue_declare(queue, durable=True)
        channel.queue_bind(queue, exchange, key)

    return step


def get(queue: str) -> Step:
    """Return the reading of a queue."""
    return lambda channel: channel.basic_get(queue)


def take(channel: BlockingChannel, queue: str) -> tuple[str, pika.BasicProperties]:
    """Return the key and the properties of the next message."""
    for method, properties, _ in channel.consume(queue, inactivity_timeout=WITHIN_S, auto_ack=True):
        assert method is not None, f"nothing came to {queue}"
        channel.cancel()
        return method.routing_key, properties
    raise AssertionError(queue)


# What no backend may do, whatever it is for.
EVERYWHERE: dict[str, Step] = {
    "speak_as_any_user": publish(TOPOLOGY.ingress, TOPOLOGY.shard_key(0)),
    "speak_as_any_user_by_name": publish("", TOPOLOGY.log(0).name),
    "speak_for_routers": publish(TOPOLOGY.egress, "all"),
    "speak_to_routers": publish(TOPOLOGY.routers, "all"),
    "tell_events": publish(TOPOLOGY.events, "room.joined"),
    "ask_services": publish(TOPOLOGY.rpc, "orders.get"),
    "ask_hooks": publish(TOPOLOGY.hooks, "connect"),
    "read_the_log": get(TOPOLOGY.log(0).name),
    "read_notifications": get(TOPOLOGY.notify),
    "read_dead_letters": get(TOPOLOGY.notify_dead),
    "read_answers": get(TOPOLOGY.rpc_replies),
    "declare_warrens": declare("warren.gateway.mine"),
    "declare_others": declare("bookkeeping"),
    "delete_warrens": lambda channel: channel.queue_delete(TOPOLOGY.notify),
    "purge_warrens": lambda channel: channel.queue_purge(TOPOLOGY.notify),
    "replace_an_exchange": lambda channel: channel.exchange_delete(TOPOLOGY.notify),
}
EXCHANGES = {TOPOLOGY.events, TOPOLOGY.rpc, TOPOLOGY.hooks}
LISTENING: dict[str, Step] = {
    "hear_notifications": bind("app.q", TOPOLOGY.notify),
    "hear_commands": bind("app.q", TOPOLOGY.control),
    "hear_what_members_hear": bind("app.q", TOPOLOGY.egress, "all"),
    "hear_answers": bind("app.q", TOPOLOGY.replies, TOPOLOGY.rpc_replies),
}


def others(*exchanges: str) -> dict[str, Step]:
    """Return the listening to what is another kind's."""
    return {f"hear_{name}": bind("app.q", name) for name in EXCHANGES - set(exchanges)}


def test_a_notifier_notifies_and_gets_receipts(site: Site) -> None:
    """The receipt by RabbitMQ's direct reply-to, which needs no right and no queue."""
    with site.channel("warren-notifier") as notifier, site.channel(USER) as router:
        answers: list[bytes] = []
        notifier.basic_consume(REPLY_TO, lambda *delivery: answers.append(delivery[3]), auto_ack=True)
        publish(TOPOLOGY.notify, "room.a", reply_to=REPLY_TO, headers={"receipt": "written"})(notifier)
        key, properties = take(router, TOPOLOGY.notify)
        assert key == "room.a"
        assert not TOPOLOGY.is_own(str(properties.reply_to))
        answer(router, properties)
        notifier.connection.process_data_events(WITHIN_S)
        assert answers == [b"{}"]
    site.refuses(
        "warren-notifier",
        **EVERYWHERE,
        **LISTENING,
        command=publish(TOPOLOGY.control, "disconnect.user.ann"),
        answer_for_others=publish(TOPOLOGY.replies, TOPOLOGY.rpc_replies),
        have_a_queue=declare("app.q"),
    )


def test_an_event_consumer_hears_events(site: Site) -> None:
    """In a queue of its own, bound by patterns."""
    with site.channel("warren-events") as consumer, site.channel(USER) as router:
        bind("app.events", TOPOLOGY.events, "room.#")(consumer)
        publish(TOPOLOGY.events, "room.joined")(router)
        assert take(consumer, "app.events")[0] == "room.joined"
        consumer.queue_delete("app.events")
    site.refuses(
        "warren-events",
        **EVERYWHERE,
        **LISTENING,
        **others(TOPOLOGY.events),
        notify=publish(TOPOLOGY.notify, "all"),
        command=publish(TOPOLOGY.control, "disconnect.user.ann"),
        answer_for_others=publish(TOPOLOGY.replies, TOPOLOGY.rpc_replies),
    )


@pytest.mark.parametrize(
    ("user", "exchange", "key"),
    [("warren-rpc", TOPOLOGY.rpc, "orders.get"), ("warren-hooks", TOPOLOGY.hooks, "join.chat")],
)
def test_who_is_asked_answers(site: Site, user: str, exchange: str, key: str) -> None:
    """The gateway that asked, and where the answer outlives it; by the exchange for answers it reaches no
    other queue, whatever key it takes.
    """
    replies, bindings = TOPOLOGY.replies_queue("g", "n")
    with site.channel(user) as server, site.channel(USER) as gateway:
        gateway.queue_declare(replies.name, exclusive=True)
        gateway.queue_bind(replies.name, bindings[0].exchange, bindings[0].key)
        bind("app.server", exchange, key)(server)
        publish(exchange, key, reply_to=replies.name, correlation_id="c1")(gateway)
        asked, properties = take(server, "app.server")
        assert asked == key
        publish(TOPOLOGY.replies, str(properties.reply_to), correlation_id=properties.correlation_id)(server)
        assert take(gateway, replies.name)[1].correlation_id == "c1"
        publish(TOPOLOGY.replies, TOPOLOGY.rpc_replies)(server)
        assert take(gateway, TOPOLOGY.rpc_replies)
        for other in (TOPOLOGY.log(0).name, TOPOLOGY.notify, TOPOLOGY.dead, "app.server"):
            with pytest.raises(UnroutableError):
                publish(TOPOLOGY.replies, other)(server)
    site.refuses(
        user,
        **EVERYWHERE,
        **LISTENING,
        **others(exchange),
        notify=publish(TOPOLOGY.notify, "all"),
        command=publish(TOPOLOGY.control, "disconnect.user.ann"),
    )


def test_a_control_client_commands_and_is_answered(site: Site) -> None:
    """By direct reply-to as well."""
    with site.channel("warren-control") as client, site.channel(USER) as router:
        router.queue_declare("warren.test", exclusive=True)
        router.queue_bind("warren.test", TOPOLOGY.control, "#")
        answers: list[bytes] = []
        client.basic_consume(REPLY_TO, lambda *delivery: answers.append(delivery[3]), auto_ack=True)
        publish(TOPOLOGY.control, "disconnect.user.ann", reply_to=REPLY_TO)(client)
        answer(router, take(router, "warren.test")[1])
        client.connection.process_data_events(WITHIN_S)
        assert answers == [b"{}"]
    site.refuses(
        "warren-control",
        **EVERYWHERE,
        **LISTENING,
        notify=publish(TOPOLOGY.notify, "all"),
        answer_for_others=publish(TOPOLOGY.replies, TOPOLOGY.rpc_replies),
        have_a_queue=declare("app.q"),
    )


def test_a_service_can_be_kept_to_its_own_requests(site: Site) -> None:
    """With topic permissions it can't bind what other services are asked."""
    with site.channel(LIMITED) as server:
        bind("app.orders", TOPOLOGY.rpc, "orders.*")(server)
    site.refuses(
        LIMITED,
        everything=bind("app.orders", TOPOLOGY.rpc, "#"),
        another_service=bind("app.orders", TOPOLOGY.rpc, "invoices.get"),
    )


def test_who_may_ask_can_be_kept_from_changing_anything(site: Site) -> None:
    """With topic permissions on the verbs."""
    with site.channel(READING) as client, site.channel(USER) as router:
        router.queue_declare("warren.test", exclusive=True)
        router.queue_bind("warren.test", TOPOLOGY.control, "#")
        publish(TOPOLOGY.control, "presence.room.a")(client)
        assert take(router, "warren.test")[0] == "presence.room.a"
    site.refuses(
        READING,
        disconnect=publish(TOPOLOGY.control, "disconnect.user.ann"),
        block=publish(TOPOLOGY.control, "block.user.ann"),
        a_verb_that_only_begins_alike=publish(TOPOLOGY.control, "presences.room.a"),
    )


async def test_the_python_package_needs_no_more(site: Site) -> None:
    """As each kind it begins and does its work; what is another kind's is refused at once, with what to do."""
    for kind in ("notifier", "events", "rpc", "hooks", "control"):
        await of_a_kind(site, kind)


async def of_a_kind(site: Site, kind: str) -> None:
    vhost = quote(site.vhost, safe="")
    url = f"amqp://warren-{kind}:{PASSWORD}@{site.rabbit.host}:{site.rabbit.port}/{vhost}"
    backend, other = Backend(url), Backend(url)

    async def anything(_: object) -> None:
        """Do nothing."""

    match kind:
        case "events":
            backend.on("client.#")(anything)
            backend.on("room.#", queue="audit")(anything)
        case "rpc":
            backend.service("orders.*")(anything)
        case "hooks":
            backend.hook.connect(anything)
    async with backend:
        if kind == "notifier":
            await backend.notify("room.a", 1)
        else:
            with pytest.raises(AccessRefused, match="broker-users"):
                await backend.notify("room.a", 1)
        expected = CommandUnanswered if kind == "control" else AccessRefused
        with pytest.raises(expected):
            await Control(backend.control.commander, timeout_s=1.0).count("room.a")
    if kind == "events":
        other.service("orders.get")(anything)
    else:
        other.on("client.#", queue="audit")(anything)
    with pytest.raises(AccessRefused, match="broker-users"):
        await other.start()
