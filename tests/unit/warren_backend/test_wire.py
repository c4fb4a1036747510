"""What a backend has at the broker follows from its routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from warren_backend import wire as module
from warren_backend.core.names import Names
from warren_backend.core.notification import Notification
from warren_backend.core.outbox import Limits
from warren_backend.core.routes import Routes
from warren_backend.wire import AmqpWire


class Link:
    """Keeps the parts."""

    made: ClassVar[list[Link]] = []
    failure: Exception | None = None

    def __init__(self, urls: Sequence[str], parts: Sequence[Any]) -> None:
        self.names = [part.name for part in parts]
        self.stopped = False
        Link.made.append(self)

    async def start(self, timeout_s: float) -> None:
        if Link.failure is not None:
            raise Link.failure

    async def stop(self) -> None:
        self.stopped = True


@pytest.fixture(autouse=True)
def _link(monkeypatch: pytest.MonkeyPatch) -> None:
    Link.made, Link.failure = [], None
    monkeypatch.setattr(module, "Link", Link)


def wire() -> AmqpWire:
    return AmqpWire(["amqp://host/%2F"], Names(), Limits())


async def anything(_: Any) -> None:
    """Do nothing."""


async def test_who_only_sends_has_no_channel_for_answers() -> None:
    """A broker user of a narrow kind is enough."""
    one = wire()
    await one.start(Routes(), 1)
    assert Link.made[0].names == ["notify", "control"]
    await one.stop(0)
    assert Link.made[0].stopped


async def test_each_route_has_a_part() -> None:
    """With a name of its own."""
    routes = Routes()
    routes.service("orders.get")(anything)
    routes.on("client.#")(anything)
    routes.on("client.#")(anything)
    routes.on("room.#", queue="audit")(anything)
    routes.hook.connect(anything)
    one = wire()
    await one.start(routes, 1)
    names = Link.made[0].names
    assert names[:5] == ["notify", "control", "replies", "service orders.get", "hook connect"]
    assert len(set(names)) == len(names) == 8
    await one.stop(0)


async def test_a_start_that_fails_leaves_nothing_behind() -> None:
    """The consumers' tasks end, and what was to be sent is told."""
    Link.failure = OSError("away")
    routes = Routes()
    routes.on("client.#")(anything)
    one = wire()
    with pytest.raises(OSError, match="away"):
        await one.start(routes, 1)
    with pytest.raises(Exception, match="stopped"):
        await one.send(Notification(address="all", payload=1), None, 1, None)
    with pytest.raises(Exception, match="stopped"):
        await one.send_many([Notification(address="all", payload=1)], 1)
    with pytest.raises(Exception, match="stopped"):
        await one.commander("count", {}, address="room.a", ident=None, timeout_s=1)
