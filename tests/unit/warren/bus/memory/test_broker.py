"""MemoryBroker: declaring, routing, topic patterns, dead letters."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.eventually import eventually

from warren.bus import Delivery, Properties
from warren.bus.memory.broker import MemoryBroker, topic_matches
from warren.errors import TopologyMismatch
from warren.topology import Binding, Exchange, Queue, Topology

WORDS = st.lists(st.sampled_from(["a", "b", "room", "x-1"]), max_size=5).map(".".join)
PATTERNS = st.lists(st.sampled_from(["a", "b", "room", "*", "#"]), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("#", "", True),
        ("#", "room.a.b", True),
        ("room.*", "room.a", True),
        ("room.*", "room.a.b", False),
        ("room.*", "room", False),
        ("room.#", "room", True),
        ("#.end", "end", True),
        ("#.end", "a.b.end", True),
        ("#.end", "a.end.b", False),
        ("*.*", "a", False),
        ("a.#.#.b", "a.b", True),
        ("a.#.b.*", "a.x.b.b.c", True),
        ("r*", "room", False),
    ],
)
def test_topic_patterns(pattern: str, key: str, matches: bool) -> None:
    """A star is one word, a hash any number of words, and anything else itself."""
    assert topic_matches(pattern, key) == matches


@given(PATTERNS, WORDS)
def test_topic_patterns_agree_with_a_regular_expression(parts: list[str], key: str) -> None:
    """The matching agrees with the same pattern as a regular expression over words that each end
    with a dot.
    """
    expression = "".join(
        {"*": r"[^.]+\.", "#": r"(?:[^.]+\.)*"}.get(part, re.escape(part) + r"\.") for part in parts
    )
    assert topic_matches(".".join(parts), key) == bool(re.fullmatch(expression, key + "." if key else ""))


def test_many_hashes_cost_no_more() -> None:
    """A pattern of many hashes is matched in a time that grows with its length, not with its power."""
    assert not topic_matches(".".join(["#", "a"] * 50), ".".join(["a"] * 200 + ["b"]))


class Bench:
    """A broker with a topology and one more of each kind."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.topology = Topology(shards=2)
        self.broker.declare(self.topology)
        self.owner = object()

    def put(self, exchange: str, key: str, properties: Properties | None = None) -> str:
        return self.broker.publish(exchange, key, b"x", properties or Properties())


async def test_declaring_again_changes_nothing() -> None:
    """The same topology can be declared any number of times, and what is in the queues stays."""
    bench = Bench()
    assert bench.put(bench.topology.ingress, "0") == "confirmed"
    bench.broker.declare(bench.topology)
    assert bench.broker.depth(bench.topology.log(0).name) == 1


@pytest.mark.parametrize(
    "queue",
    [
        Queue("warren.log.0", "quorum", {}),
        Queue("warren.guard", "quorum", {"x-max-length": 3}),
        Queue("warren.guard", "stream", {"x-max-length": 2}),
    ],
)
async def test_other_settings_are_a_mismatch(queue: Queue) -> None:
    """A queue that exists with other arguments or as another kind is refused."""
    bench = Bench()
    with pytest.raises(TopologyMismatch, match=queue.name):
        bench.broker.declare_queue(queue, None)


async def test_another_exchange_type_is_a_mismatch() -> None:
    """An exchange that exists with another type is refused."""
    bench = Bench()

    class Other(Topology):
        def exchanges(self) -> tuple[Exchange, ...]:
            return (Exchange(self.ingress, "fanout"),)

    with pytest.raises(TopologyMismatch, match="exchange"):
        bench.broker.declare(Other(shards=2))


async def test_an_exclusive_queue_is_its_owners() -> None:
    """Another bus can't declare an exclusive queue, and it goes with its owner, bindings and all."""
    bench = Bench()
    queue, bindings = bench.topology.gateway_queue("g", "n")
    bench.broker.declare_queue(queue, bench.owner)
    for binding in bindings:
        bench.broker.bind(binding)
    assert bench.put(bench.topology.egress, "g") == "confirmed"
    with pytest.raises(TopologyMismatch, match="another connection"):
        bench.broker.declare_queue(queue, object())
    bench.broker.forget(object())
    assert queue.name in bench.broker.queues()
    bench.broker.forget(bench.owner)
    assert queue.name not in bench.broker.queues()
    assert bench.put(bench.topology.egress, "g") == "returned"


async def test_binding_needs_both_ends() -> None:
    """A binding to what is not there is refused."""
    bench = Bench()
    for binding in (Binding("none", bench.topology.notify, "k"), Binding(bench.topology.notify, "none", "k")):
        with pytest.raises(TopologyMismatch, match="nothing to bind"):
            bench.broker.bind(binding)


async def test_a_queue_that_several_bindings_match_gets_one_copy() -> None:
    """However many bindings of an exchange lead to a queue, a message arrives there once."""
    bench = Bench()
    bench.broker.bind(Binding(bench.topology.notify, bench.topology.notify, "room.*"))
    bench.broker.bind(Binding(bench.topology.notify, bench.topology.notify, "room.*"))
    assert bench.put(bench.topology.notify, "room.a") == "confirmed"
    assert bench.broker.depth(bench.topology.notify) == 1


async def test_what_leads_nowhere_says_so() -> None:
    """An unknown exchange, a key nobody bound and an unknown queue are three ways to reach nothing."""
    bench = Bench()
    assert bench.put("none", "k") == "no exchange"
    assert bench.put(bench.topology.ingress, "99") == "returned"
    assert bench.put("", "none") == "returned"
    assert bench.broker.depth("none") is None
    assert bench.broker.consume("none", lambda _: None, 1, lambda: None) is None
    assert bench.broker.stream(bench.topology.notify) is None


async def test_a_dead_letter_keeps_its_first_death() -> None:
    """A dead message arrives with its reason, queue and exchange, without its expiration; a second death does
    not change that.
    """
    bench = Bench()
    taken: list[Delivery] = []
    bench.broker.consume(bench.topology.notify_dead, taken.append, 5, lambda: None)
    sent = Properties(expiration_ms=1, message_id="m", headers={"mine": 1})
    bench.put(bench.topology.notify, "room.a", sent)
    await eventually(lambda: taken)
    properties = taken[0].properties
    assert (properties.message_id, properties.expiration_ms, taken[0].routing_key) == ("m", None, "room.a")
    died = {
        "x-first-death-exchange": bench.topology.notify,
        "x-first-death-queue": bench.topology.notify,
        "x-first-death-reason": "expired",
    }
    assert properties.headers == {"mine": 1, **died}
    bench.put(
        bench.topology.notify,
        "room.b",
        Properties(expiration_ms=1, headers={**died, "x-first-death-reason": "rejected"}),
    )
    bench.broker.consume(
        bench.topology.notify, lambda delivery: delivery.reject(requeue=False), 5, lambda: None
    )
    await eventually(lambda: len(taken) == 2)
    assert taken[1].properties.headers["x-first-death-reason"] == "rejected"


async def test_timestamps_are_whole_seconds() -> None:
    """As over AMQP, a timestamp comes out in whole seconds."""
    bench = Bench()
    taken: list[Delivery] = []
    bench.broker.consume(bench.topology.notify, taken.append, 5, lambda: None)
    bench.put(bench.topology.notify, "all", Properties(timestamp_ms=1_234_567))
    await eventually(lambda: taken)
    assert taken[0].properties.timestamp_ms == 1_234_000
