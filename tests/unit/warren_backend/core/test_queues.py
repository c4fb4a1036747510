"""What is declared."""

from __future__ import annotations

from typing import Any

from pamqp.commands import Queue as Frames

from warren_backend.core.names import Names
from warren_backend.core.queues import cancel_queue, event_queue, hook_queue, service_queue
from warren_backend.core.routes import Routes


def routes() -> Routes:
    async def anything(_: Any) -> None:
        """Do nothing."""

    found = Routes()
    found.service("orders.*", waiting=5)(anything)
    found.on("client.#")(anything)
    found.on("message.#", queue="audit")(anything)
    found.hook.join("chat")(anything)
    return found


def test_a_services_queue_is_shared_and_refuses_when_it_is_full() -> None:
    """Cancels reach each process."""
    (route,) = routes().services
    queue = service_queue(Names(), route)
    assert (queue.name, queue.exchange, queue.keys, queue.exclusive) == (
        "app.orders.+", "warren.rpc", ("orders.*",), False
    )  # fmt: skip
    assert (queue.arguments["x-max-length"], queue.arguments["x-overflow"]) == (5, "reject-publish")
    own = cancel_queue(Names(), route, "n")
    assert (own.name, own.keys, own.exclusive) == ("app.orders.+.cancel.n", ("orders.*.cancel",), True)


def test_events_are_kept_in_a_named_queue_and_one_process_hears_them_at_a_time() -> None:
    """What can't be handled goes beside it."""
    live, kept = routes().events
    own = event_queue(Names(), live, "n")
    assert (own.name, own.exclusive, own.dead) == ("app.events.n", True, "")
    queue = event_queue(Names(), kept, "n")
    assert (queue.name, queue.exclusive, queue.dead) == ("app.audit", False, "app.audit.dead")
    assert queue.arguments["x-single-active-consumer"] is True
    assert queue.arguments["x-dead-letter-exchange"] == "app.audit.dead"
    assert "x-max-length-bytes" in queue.dead_arguments


def test_aiormq_takes_every_name() -> None:
    """It looks at them before the broker does."""
    found = routes()
    made = [service_queue(Names(), found.services[0]), cancel_queue(Names(), found.services[0], "n")]
    made += [event_queue(Names(), route, "n") for route in found.events]
    made += [hook_queue(Names(), route) for route in found.hooks]
    for queue in made:
        Frames.Declare(queue=queue.name)
        Frames.Bind(queue=queue.name, exchange=queue.exchange, routing_key=queue.keys[0])


def test_a_hooks_queue_refuses_when_it_is_full() -> None:
    """So that a gateway knows at once."""
    (route,) = routes().hooks
    queue = hook_queue(Names("blue"), route)
    assert (queue.name, queue.exchange, queue.keys) == ("app.hooks.join.chat", "blue.hooks", ("join.chat",))
    assert queue.arguments["x-overflow"] == "reject-publish"
