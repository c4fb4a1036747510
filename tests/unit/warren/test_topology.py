"""Topology: it fits together, its limits are explicit, and nothing in it RabbitMQ would refuse."""

from warren.topology import ALL, Binding, Exchange, Limits, Topology, former_text

TOPOLOGY = Topology(shards=5)


def test_every_binding_joins_what_is_there() -> None:
    """Each binding's exchange and queue are part of the topology, and no name is used twice."""
    exchanges = [exchange.name for exchange in TOPOLOGY.exchanges()]
    queues = [queue.name for queue in TOPOLOGY.queues()]
    assert len(set(exchanges)) == len(exchanges)
    assert len(set(queues)) == len(queues)
    for binding in TOPOLOGY.bindings():
        assert binding.exchange in exchanges
        assert binding.queue in queues


def test_every_shard_is_reached_by_its_key() -> None:
    """For each shard there is one log, bound to the ingress exchange by the shard's key and nothing else."""
    bound = [(each.key, each.queue) for each in TOPOLOGY.bindings() if each.exchange == TOPOLOGY.ingress]
    for shard in range(5):
        mine = [queue for key, queue in bound if key == TOPOLOGY.shard_key(shard)]
        assert mine == [TOPOLOGY.log(shard).name]


def test_a_log_drops_its_beginning_in_small_steps() -> None:
    """A log is a stream; it has sixteen segments within its bytes."""
    log = Topology("w", 3, Limits(log_bytes=16_000_000)).log(2)
    assert (log.name, log.kind) == ("w.log.2", "stream")
    assert log.arguments == {"x-max-length-bytes": 16_000_000, "x-stream-max-segment-size-bytes": 1_000_000}


def test_a_log_keeps_its_bytes_but_for_a_segment() -> None:
    """A whole segment goes at once, so no more is sure."""
    limits = Limits(log_bytes=16_000_000)
    assert (limits.segment_bytes, limits.kept_bytes) == (1_000_000, 15_000_000)


def test_what_must_not_be_lost_says_so() -> None:
    """The notify queue has one consumer at a time, refuses when full, and sets poison aside after a limit."""
    queue = TOPOLOGY.notify_queue()
    arguments = queue.arguments
    assert queue.kind == "quorum"
    assert arguments["x-single-active-consumer"] is True
    assert arguments["x-overflow"] == "reject-publish"
    assert arguments["x-delivery-limit"] == Limits().delivery_limit
    assert arguments["x-consumer-disconnected-timeout"] == Limits().disconnected_ms
    assert arguments["x-dead-letter-exchange"] in {exchange.name for exchange in TOPOLOGY.exchanges()}


def test_commands_are_shared_and_not_lost() -> None:
    """Every router takes from the queue; it refuses when full, and sets poison aside after a limit."""
    arguments = TOPOLOGY.control_queue().arguments
    assert "x-single-active-consumer" not in arguments
    assert arguments["x-overflow"] == "reject-publish"
    assert arguments["x-dead-letter-exchange"] == TOPOLOGY.dead
    assert arguments["x-delivery-limit"] == Limits().delivery_limit


def test_every_queue_has_a_bound() -> None:
    """No queue can grow without a limit, durable or exclusive."""
    gateway, _ = TOPOLOGY.gateway_queue("g", "n")
    router, _ = TOPOLOGY.router_queue("r", "n")
    for queue in (*TOPOLOGY.queues(), gateway, router):
        assert {"x-max-length", "x-max-length-bytes"} & set(queue.arguments), queue.name


def test_dead_letters_do_not_go_round() -> None:
    """Where dead letters end there is no dead-letter exchange, so nothing comes back."""
    for queue in TOPOLOGY.queues():
        if queue.name in (TOPOLOGY.dead, TOPOLOGY.notify_dead):
            assert "x-dead-letter-exchange" not in queue.arguments
            assert queue.arguments["x-overflow"] == "drop-head"


def test_the_guard_differs_with_the_number_of_shards() -> None:
    """Two services that are set to different numbers of shards declare a different guard, and the same one
    otherwise.
    """
    assert TOPOLOGY.guard_queue().arguments == Topology(shards=5).guard_queue().arguments
    assert TOPOLOGY.guard_queue().arguments != Topology(shards=6).guard_queue().arguments
    assert TOPOLOGY.queues()[0] == TOPOLOGY.guard_queue()  # it is declared first, so that it is what refuses


def test_own_queues_are_reached_by_id_and_by_all() -> None:
    """A gateway's and a router's queue have new names for each nonce and are bound by their id and by
    ``all``.
    """
    queue, bindings = TOPOLOGY.gateway_queue("g1", "x")
    other, _ = TOPOLOGY.gateway_queue("g1", "y")
    assert queue.kind == "exclusive"
    assert queue.name != other.name
    assert [(each.exchange, each.queue, each.key) for each in bindings] == [
        (TOPOLOGY.egress, queue.name, "g1"),
        (TOPOLOGY.egress, queue.name, ALL),
    ]
    queue, bindings = TOPOLOGY.router_queue("r1", "x")
    assert queue.kind == "exclusive"
    assert [(each.exchange, each.key) for each in bindings] == [
        (TOPOLOGY.routers, "r1"),
        (TOPOLOGY.routers, ALL),
    ]


def test_an_own_queue_has_a_door_of_its_name() -> None:
    """A gateway's and a router's queue is reached through an exchange of its name; no other name is taken for
    such a guard exchange.
    """
    for queue, _ in (TOPOLOGY.gateway_queue("g1", "x"), TOPOLOGY.router_queue("r1", "x")):
        assert TOPOLOGY.guard_exchange(queue) == Exchange(queue.name, "fanout", guard=True)
        assert TOPOLOGY.is_guard_exchange(queue.name)
    for exchange in TOPOLOGY.exchanges():
        assert not TOPOLOGY.is_guard_exchange(exchange.name)
    assert not TOPOLOGY.is_guard_exchange(Topology("other").gateway_queue("g1", "x")[0].name)


def test_an_older_warrens_queues_are_no_part_of_it() -> None:
    """They are known by their names, under the same prefix; what is said of one names it and what to do."""
    topology = Topology("w", 2)
    assert topology.former() == ("w.shard.0", "w.history.0")
    assert not {queue.name for queue in topology.queues()} & set(topology.former())
    text = former_text("w.shard.0", topology)
    assert "\n" not in text
    for part in ("w.shard.0", "'w'", "w.shard.*", "w.history.*", "WARREN_PREFIX"):
        assert part in text


def test_installations_with_other_prefixes_share_nothing() -> None:
    """Under another prefix every name is another one."""
    mine, theirs = Topology("a", 2), Topology("b", 2)

    def names(topology: Topology) -> set[str]:
        return {each.name for each in (*topology.exchanges(), *topology.queues())}

    assert names(mine).isdisjoint(names(theirs))


def test_events_have_keys_that_backends_can_bind_by_pattern() -> None:
    """Their kind for clients and rooms; type and room for messages, the room last because it may
    have dots.
    """
    (exchange,) = [each for each in TOPOLOGY.exchanges() if each.name == TOPOLOGY.events]
    assert exchange.type == "topic"
    assert TOPOLOGY.event("client.connected") == "client.connected"
    assert TOPOLOGY.message_event("CHAT", "a.b") == "message.CHAT.a.b"
    assert len(TOPOLOGY.message_event("T" * 64, "r" * 128)) <= 255


def test_backends_are_asked_by_a_topic_exchange_and_answer_to_queues_by_their_names():
    """A gateway's own, named anew each time, goes with it; what outlives a gateway has a queue on disk."""
    topology = Topology("w", 2)
    assert {each.name: each.type for each in topology.exchanges()}[topology.rpc] == "topic"
    assert topology.asking == ("w.rpc", "w.hooks")
    assert topology.cancel_key("orders.get") == "orders.get.cancel"
    own, bindings = topology.replies_queue("g1", "n")
    assert bindings == (Binding(topology.replies, own.name, own.name),)
    assert (own.name, own.kind) == ("w.gateway.g1.replies.n", "exclusive")
    assert topology.is_guard_exchange(own.name)
    durable = topology.rpc_replies_queue()
    assert (durable.name, durable.kind) == ("w.rpc.replies", "quorum")
    assert durable.arguments["x-single-active-consumer"] is True
    bound = [binding for binding in topology.bindings() if binding.queue == durable.name]
    assert bound == [Binding(topology.replies, durable.name, durable.name)]


def test_warrens_own_queues_are_known_by_their_names():
    """All of them, and no backend's whose name only begins alike."""
    topology = Topology("w", 2)
    own = [topology.gateway_queue("g", "n")[0], topology.replies_queue("g", "n")[0], *topology.queues()]
    assert all(topology.is_own(queue.name) for queue in own)
    assert not any(topology.is_own(name) for name in ("app.replies", "wx", "warren.log.0", ""))
    assert topology.is_direct_reply("amq.rabbitmq.reply-to.g1h2AA5y")
    assert not topology.is_direct_reply("amq.gen-1")


def test_a_hook_has_a_key_of_its_own() -> None:
    """One for each namespace, so that backends bind what they decide about; one for who may connect."""
    topology = Topology("w")
    assert {each.name: each.type for each in topology.exchanges()}[topology.hooks] == "topic"
    assert topology.hook_key("connect", "") == "connect"
    assert topology.hook_key("join", "chat") == "join.chat"


def test_the_queue_of_webhooks_is_not_for_everybody():
    """It is declared where it is needed, bounded, drops its oldest and goes when nobody needs it any more."""
    topology = Topology("blue", 2)
    queue, bindings = topology.webhooks_queue()
    assert queue not in topology.queues()
    assert (queue.name, queue.kind, queue.arguments["x-overflow"]) == (
        "blue.pusher.webhooks",
        "quorum",
        "drop-head",
    )
    assert queue.arguments["x-expires"] == 3_600_000
    assert [(each.exchange, each.key) for each in bindings] == [
        ("blue.events", "room.joined"), ("blue.events", "room.left"), ("blue.events", "pusher.#"),
    ]  # fmt: skip
    assert topology.pusher_event("cache_miss") == "pusher.cache_miss"
