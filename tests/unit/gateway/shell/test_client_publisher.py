"""Where a client's message comes in."""

from __future__ import annotations

from typing import Any

from tests.support.gateways import recording_tracing

from gateway.core.actions import Publish
from gateway.shell.client_publisher import ClientPublisher
from warren import envelope
from warren.errors import Overloaded, WarrenError
from warren.telemetry import Tracing

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class ListUplink:
    """An uplink that keeps what it is given, or refuses it."""

    def __init__(self, error: WarrenError | None = None) -> None:
        self.error = error
        self.taken: list[tuple[envelope.Publish, Any]] = []

    def publish(self, up: envelope.Publish, shard: int, hop: Any = None) -> WarrenError | None:
        assert shard == 3
        self.taken.append((up, hop))
        return self.error


def message() -> envelope.Publish:
    return envelope.Publish("r", "CHAT", b"1", 1, "g~1", "ann", "m")


def test_an_unsampled_message_is_passed_on_as_it_is():
    """Without sampling the very envelope goes on, no span is opened, and the client's own context does not
    leak into it.
    """
    tracing, spans = recording_tracing()
    for traces, parent in ((Tracing("gateway"), SAMPLED), (tracing, SAMPLED[:-1] + "0")):
        uplink, up = ListUplink(), message()
        assert ClientPublisher(uplink, traces).publish(Publish(up, 3, parent)) is None  # type: ignore[arg-type]
        ((taken, hop),) = uplink.taken
        assert taken is up
        assert (hop, taken.trace) == (None, "")
    assert spans.get_finished_spans() == ()


def test_a_sampled_message_carries_the_context_of_its_sending():
    """A sampled message has a receive span that ends at once and a publish span that the uplink ends; it
    carries the latter's context.
    """
    tracing, spans = recording_tracing()
    uplink = ListUplink()
    ClientPublisher(uplink, tracing).publish(Publish(message(), 3, SAMPLED))  # type: ignore[arg-type]
    ((taken, hop),) = uplink.taken
    assert taken.trace == hop.traceparent
    assert taken.trace[3:35] == SAMPLED[3:35]
    (receive,) = spans.get_finished_spans()
    assert receive.name == "receive warren.v1"
    assert hop._span.parent.span_id == receive.context.span_id


def test_a_refused_message_fails_its_span():
    """Where the uplink refuses, the receive span says why, and so is the caller told."""
    tracing, spans = recording_tracing()
    error = ClientPublisher(ListUplink(Overloaded("full")), tracing).publish(Publish(message(), 3, SAMPLED))  # type: ignore[arg-type]
    assert isinstance(error, Overloaded)
    assert spans.get_finished_spans()[0].attributes["error.type"] == "overloaded"


def test_a_client_cannot_have_its_messages_sampled():
    """The flag and the trace id that it sends decide nothing."""
    tracing, spans = recording_tracing(OTEL_TRACES_SAMPLER="parentbased_always_off")
    uplink = ListUplink()
    for number in range(100):
        forged = f"00-{1:032x}-{number + 1:016x}-01"
        ClientPublisher(uplink, tracing).publish(Publish(message(), 3, forged))  # type: ignore[arg-type]
    assert spans.get_finished_spans() == ()
    assert all((hop, taken.trace) == (None, "") for taken, hop in uplink.taken)
