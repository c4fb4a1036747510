"""MemoryQueue: order, limits and where dead messages go; by examples and by a random walk against a naive
model.
"""

import asyncio
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.support.eventually import eventually

from warren.bus import Delivery, Properties
from warren.bus.memory.queue import BURST, MemoryConsumer, MemoryQueue, Message
from warren.topology import Queue

MUCH = 1_000_000


class Bench:
    """One queue and its dead letters."""

    def __init__(self, *, default_bytes: int = MUCH, **arguments: Any) -> None:
        named = {"x-" + name.replace("_", "-"): value for name, value in arguments.items()}
        self.dead: list[tuple[bytes, str]] = []
        self.queue = MemoryQueue(
            Queue("q", "quorum", named),
            lambda _, message, __, why: self.dead.append((message.body, why)),
            default_bytes,
            None,
        )

    def put(
        self, *bodies: bytes, properties: Properties | None = None, expires_at: float | None = None
    ) -> list[bool]:
        return [
            self.queue.put(Message(body, "ex", "key", properties or Properties(), expires_at=expires_at))
            for body in bodies
        ]

    def consumer(self, prefetch: int = 100) -> tuple[MemoryConsumer, list[Delivery]]:
        taken: list[Delivery] = []
        consumer = MemoryConsumer(self.queue, taken.append, prefetch, lambda: None)
        self.queue.add(consumer)
        return consumer, taken


def bodies(deliveries: list[Delivery]) -> list[bytes]:
    return [delivery.body for delivery in deliveries]


async def test_nothing_is_delivered_inside_the_publish() -> None:
    """A delivery comes in a later turn of the loop than the put and than the consumer."""
    bench = Bench()
    _, taken = bench.consumer()
    bench.put(b"x")
    assert taken == []
    await asyncio.sleep(0)
    assert bodies(taken) == [b"x"]


async def test_many_deliveries_leave_room_for_others() -> None:
    """One turn of the loop delivers a bounded number of messages."""
    bench = Bench()
    bench.put(*[b"x"] * (BURST + 10))
    _, taken = bench.consumer(prefetch=BURST * 2)
    await asyncio.sleep(0)
    assert len(taken) == BURST
    await eventually(lambda: len(taken) == BURST + 10)


async def test_consumers_share_in_turn_within_their_prefetch() -> None:
    """Several consumers get messages in turn; who has its prefetch gets no more."""
    bench = Bench()
    _, one = bench.consumer(prefetch=1)
    _, two = bench.consumer(prefetch=3)
    bench.put(b"a", b"b", b"c", b"d", b"e")
    await asyncio.sleep(0)
    assert bodies(one) == [b"a"]
    assert bodies(two) == [b"b", b"c", b"d"]
    one[0].ack()
    await asyncio.sleep(0)
    assert bodies(one) == [b"a", b"e"]


async def test_a_single_active_consumer_has_all_until_it_goes() -> None:
    """The second consumer gets nothing, then what the first held, in order, and the rest."""
    bench = Bench(single_active_consumer=True)
    first, one = bench.consumer(prefetch=2)
    _, two = bench.consumer()
    bench.put(b"a", b"b", b"c", b"d")
    await asyncio.sleep(0)
    assert (bodies(one), bodies(two)) == ([b"a", b"b"], [])
    one[1].ack()
    await asyncio.sleep(0)
    first.close()
    first.close()
    one[0].ack()  # too late: it does nothing
    await asyncio.sleep(0)
    assert bodies(two) == [b"a", b"c", b"d"]
    assert [delivery.redelivered for delivery in two] == [True, True, False]
    assert two[0].properties.headers == {"x-delivery-count": 1}


async def test_a_full_queue_refuses_or_drops_its_oldest() -> None:
    """With reject-publish the newest is refused, with drop-head the oldest goes to the dead letters; by count
    and by bytes.
    """
    refusing = Bench(max_length=2, overflow="reject-publish")
    assert refusing.put(b"a", b"b", b"c") == [True, True, False]
    dropping = Bench(max_length=2, dead_letter_exchange="dead")
    assert dropping.put(b"a", b"b", b"c") == [True, True, True]
    assert dropping.dead == [(b"a", "maxlen")]
    by_bytes = Bench(max_length_bytes=10, overflow="reject-publish")
    assert by_bytes.put(b"x" * 9, b"y" * 9, b"z") == [True, True, False]
    unlimited = Bench(default_bytes=10)
    assert unlimited.put(b"x" * 10, b"y") == [True, False]


async def test_the_dead_need_an_exchange_and_do_not_go_round() -> None:
    """Without a dead-letter exchange they are gone; a message that died of its length here before is not sent
    round again.
    """
    silent = Bench(max_length=1)
    silent.put(b"a", b"b")
    assert silent.dead == []
    again = Properties(headers={"x-first-death-queue": "q"})
    round_trip = Bench(max_length=1, dead_letter_exchange="dead")
    round_trip.put(b"a", b"b", properties=again)
    assert round_trip.dead == []


async def test_the_delivery_limit_counts_returns() -> None:
    """A message may be given back as often as the limit says; the next time it is set aside."""
    bench = Bench(delivery_limit=2, dead_letter_exchange="dead")
    _, taken = bench.consumer(prefetch=1)
    bench.put(b"poison", b"good")
    for _ in range(3):
        await asyncio.sleep(0)
        taken[-1].reject(requeue=True)
    await asyncio.sleep(0)
    assert bodies(taken) == [b"poison"] * 3 + [b"good"]
    assert bench.dead == [(b"poison", "delivery_limit")]


async def test_what_has_expired_is_buried_from_the_head() -> None:
    """An expired message at the head goes to the dead letters by itself, also without a consumer."""
    bench = Bench(dead_letter_exchange="dead")
    now = asyncio.get_running_loop().time()
    bench.put(b"old", expires_at=now + 0.01)
    bench.put(b"new")
    await eventually(lambda: bench.dead == [(b"old", "expired")])
    assert len(bench.queue) == 1


async def test_a_deleted_queue_is_empty_and_its_consumers_are_dead() -> None:
    """Deleting returns the consumers, who get and settle nothing any more."""
    bench = Bench()
    consumer, taken = bench.consumer()
    bench.put(b"a")
    await asyncio.sleep(0)
    bench.put(b"b")
    assert bench.queue.end() == [consumer]
    await asyncio.sleep(0)
    taken[0].reject(requeue=True)
    assert (len(bench.queue), bodies(taken)) == (0, [b"a"])


class QueueWalk(RuleBasedStateMachine):
    """Puts, deliveries, acks, returns and closes in any order, against plain lists: nothing lost, nothing
    twice, all in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.bench = self.run(Bench)
        self.number = 0
        self.ready: list[int] = []
        self.held: list[int] = []
        self.consumer, self.taken = self.run(lambda: self.bench.consumer(prefetch=4))
        self.deliver()

    def run(self, function: Any) -> Any:
        async def call() -> Any:
            result = function()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return result

        return self.loop.run_until_complete(call())

    def deliver(self) -> None:
        """What the model's queue does whenever it may."""
        while self.ready and len(self.held) < 4:
            self.held.append(self.ready.pop(0))

    @rule(count=st.integers(1, 5))
    def put(self, count: int) -> None:
        for _ in range(count):
            self.number += 1
            body = b"%d" % self.number
            assert self.run(lambda body=body: self.bench.put(body)) == [True]
            self.ready.append(self.number)
            self.deliver()

    @rule(data=st.data(), requeue=st.sampled_from([None, True, False]))
    def settle(self, data: Any, requeue: bool | None) -> None:
        if not self.held:
            return
        number = data.draw(st.sampled_from(self.held))
        delivery = [each for each in self.taken if each.body == b"%d" % number][-1]
        self.run(delivery.ack if requeue is None else lambda: delivery.reject(requeue=requeue))
        self.held.remove(number)
        if requeue:
            self.ready = sorted([*self.ready, number])
        self.deliver()

    @rule()
    def close_and_come_back(self) -> None:
        self.run(self.consumer.close)
        self.ready = sorted([*self.ready, *self.held])
        self.held = []
        self.consumer, self.taken = self.run(lambda: self.bench.consumer(prefetch=4))
        self.deliver()

    @invariant()
    def queue_and_model_agree(self) -> None:
        assert self.run(lambda: len(self.bench.queue)) == len(self.ready)
        assert sorted(int(message.body) for message in self.consumer.unacked.values()) == sorted(self.held)
        assert self.bench.queue.bytes == sum(len(b"%d" % number) for number in self.ready)

    def teardown(self) -> None:
        self.loop.close()


TestQueueWalk = QueueWalk.TestCase
