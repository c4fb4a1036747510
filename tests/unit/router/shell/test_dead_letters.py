"""DeadLetters: what is kept, with what."""

from prometheus_client import CollectorRegistry
from tests.support.scripted_bus import ScriptedBus

from router.shell.dead_letters import BODY_HEADER, HEADERS_HEADER, MAX_BODY_BYTES, REASON_HEADER, DeadLetters
from router.shell.retrying_publisher import RetryingPublisher
from warren.bus import Properties
from warren.errors import NotConfirmed, Unroutable
from warren.metrics import RouterMetrics


def count(metrics, reason):
    return metrics.registry.get_sample_value("warren_router_dead_total", {"reason": reason})


async def test_a_message_is_kept_with_its_properties_its_headers_and_the_reason():
    """Everything that says what it was, but no expiration: in the dead-letter queue it stays."""
    bus, metrics = ScriptedBus(), RouterMetrics(CollectorRegistry())
    properties = Properties("text/plain", "T", "m1", "c1", "reply", 5, 6, {"mine": 1, REASON_HEADER: "old"})
    await DeadLetters(RetryingPublisher(bus), "warren.x", metrics).put(
        b"body", "bad: because", properties, {"more": 2}
    )
    (published,) = bus.published
    assert (published.exchange, published.key, published.body, published.persistent) == (
        "warren.x",
        "",
        b"body",
        True,
    )
    assert published.properties == Properties(
        "text/plain", "T", "m1", "c1", None, None, 6, {"mine": 1, "more": 2, REASON_HEADER: "bad: because"}
    )
    assert count(metrics, "bad") == 1


async def test_it_is_kept_for_certain():
    """A publish whose fate is not known is repeated."""
    bus = ScriptedBus()
    bus.script("", NotConfirmed())
    await DeadLetters(RetryingPublisher(bus), "warren.x", RouterMetrics(CollectorRegistry())).put(
        b"1", "why", Properties(), {}
    )
    assert len(bus.published) == 2


async def test_a_missing_dead_letter_queue_is_waited_for():
    """A message that reached no queue is not kept: it goes again, and ``put`` returns only once a queue has
    it.
    """
    bus = ScriptedBus()
    bus.script("", Unroutable(), Unroutable())
    await DeadLetters(RetryingPublisher(bus), "warren.x", RouterMetrics(CollectorRegistry())).put(
        b"1", "why", Properties(), {}
    )
    assert [(kept.mandatory, kept.body) for kept in bus.published] == [(True, b"1")] * 3


async def test_what_no_frame_can_carry_is_left_out_and_said():
    """Headers beyond a limit go, floats become text, a giant body is cut: what is set aside can always be
    published.
    """
    bus = ScriptedBus()
    dead_letters = DeadLetters(RetryingPublisher(bus), "warren.x", RouterMetrics(CollectorRegistry()))
    await dead_letters.put(b"1", "why", Properties(headers={"h": "x" * 131_000}), {"more": 2})
    await dead_letters.put(b"1", "why", Properties(headers={"f": 1e300}), {})
    await dead_letters.put(b"x" * (MAX_BODY_BYTES + 1), "why", Properties(), {})
    big, double, body = bus.published
    assert big.properties.headers == {"more": 2, REASON_HEADER: "why", HEADERS_HEADER: 131_017}
    assert double.properties.headers["f"] == "1e+300"
    assert len(body.body) == MAX_BODY_BYTES
    assert body.properties.headers[BODY_HEADER] == MAX_BODY_BYTES + 1
