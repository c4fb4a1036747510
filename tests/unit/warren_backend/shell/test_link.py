"""The connection is made again whenever it is lost, and each part gets one channel after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiormq.exceptions import AMQPConnectionError, ChannelAccessRefused, ProbableAuthenticationError
from tests.support.eventually import eventually
from tests.support.scripted_channel import ScriptedChannel, turns

from warren_backend.core.errors import AccessRefused, BackendError, BrokerUnavailable
from warren_backend.shell import link as module
from warren_backend.shell.link import Link


class Broker:
    """Stands in for ``aio_pika.connect``: fails as it is told, then makes connections."""

    def __init__(self) -> None:
        self.failures: list[BaseException] = []
        self.dialled: list[str] = []
        self.connections: list[Connection] = []

    async def connect(self, url: Any) -> Connection:
        self.dialled.append(str(url))
        if self.failures:
            raise self.failures.pop(0)
        self.connections.append(Connection())
        return self.connections[-1]


class Connection:
    def __init__(self) -> None:
        self.main = ScriptedChannel()  # what has a `closing`
        self.transport = SimpleNamespace(connection=self.main)
        self.channels: list[ScriptedChannel] = []
        self.closed = False
        self.closing = asyncio.Event()
        self.may_close = asyncio.Event()
        self.may_close.set()
        self.failing = False

    @property
    def is_closed(self) -> bool:
        return self.main.is_closed

    def channel(self, **_: Any) -> Any:
        channel = ScriptedChannel()

        async def close() -> None:
            channel.end()

        channel.close = close  # type: ignore[attr-defined]

        async def initialize() -> None:
            if self.failing:
                raise AMQPConnectionError("no channel")
            self.channels.append(channel)

        async def underlay() -> ScriptedChannel:
            return channel

        return SimpleNamespace(initialize=initialize, get_underlay_channel=underlay)

    async def close(self) -> None:
        self.closing.set()
        await self.may_close.wait()
        self.closed = True
        self.main.end()


class Part:
    def __init__(self, name: str = "part") -> None:
        self.name = name
        self.channels: list[ScriptedChannel] = []
        self.troubles: list[BackendError | None] = []
        self.failure: BaseException | None = None

    async def serve(self, channel: Any, ready: Callable[[], None]) -> None:
        self.channels.append(channel)
        if self.failure is not None:
            raise self.failure
        ready()
        closing = channel.closing
        await asyncio.wait([closing])
        if closing.exception():
            raise closing.exception()

    def trouble(self, error: BackendError | None) -> None:
        self.troubles.append(error)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    found = Broker()
    monkeypatch.setattr(module.aio_pika, "connect", found.connect)
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.01)
    return found


async def test_it_has_begun_when_all_parts_are_ready(broker: Broker) -> None:
    """Each on a channel of its own; at the end the connection is closed."""
    parts = [Part("a"), Part("b")]
    link = Link(["amqp://host/%2F"], parts)
    await link.start(5)
    assert len(broker.connections[0].channels) == 2
    assert [part.troubles for part in parts] == [[None], [None]]
    await link.stop()
    assert broker.connections[0].closed


async def test_the_addresses_are_tried_in_turn_with_a_heartbeat(broker: Broker) -> None:
    """Until one answers."""
    broker.failures = [ConnectionRefusedError(), OSError("no route")]
    link = Link(["amqp://one/%2F", "amqp://two/%2F?heartbeat=3"], [Part()])
    await link.start(5)
    assert broker.dialled == [
        "amqp://one/%2F?heartbeat=15", "amqp://two/%2F?heartbeat=3", "amqp://one/%2F?heartbeat=15"
    ]  # fmt: skip
    await link.stop()


async def test_a_lost_connection_is_made_again(broker: Broker) -> None:
    """Each part hears of it, and gets a channel on the new one."""
    part = Part()
    link = Link(["amqp://host/%2F"], [part])
    await link.start(5)
    broker.connections[0].main.end(AMQPConnectionError("reset"))
    await eventually(lambda: len(part.channels) == 2)
    assert isinstance(part.troubles[1], BrokerUnavailable)
    await link.stop()


async def test_it_stops_also_while_it_closes_a_lost_connection(broker: Broker) -> None:
    """And connects no more."""
    link = Link(["amqp://host/%2F"], [Part()])
    await link.start(5)
    (connection,) = broker.connections
    connection.may_close.clear()
    connection.main.end(AMQPConnectionError("reset"))
    await connection.closing.wait()
    async with asyncio.timeout(1):
        await link.stop()
    assert broker.connections == [connection]


async def test_a_connection_that_is_cancelled_while_it_closes_is_made_again(broker: Broker) -> None:
    """That is a matter of the connection alone."""
    link = Link(["amqp://host/%2F"], [Part()])
    await link.start(5)
    (connection,) = broker.connections

    async def close() -> None:
        raise asyncio.CancelledError

    connection.close = close  # type: ignore[method-assign]
    connection.main.end(AMQPConnectionError("reset"))
    await eventually(lambda: len(broker.connections) == 2)
    await link.stop()


async def test_a_channel_that_ends_is_replaced_alone(broker: Broker) -> None:
    """The other part is not disturbed."""
    one, other = Part("a"), Part("b")
    link = Link(["amqp://host/%2F"], [one, other])
    await link.start(5)
    one.channels[0].end(ChannelAccessRefused("no"))
    await eventually(lambda: len(one.channels) == 2)
    assert (len(broker.connections), len(other.channels)) == (1, 1)
    assert isinstance(one.troubles[1], AccessRefused)
    await link.stop()


async def test_a_fault_in_one_part_leaves_the_others_alone(broker: Broker) -> None:
    """It is told and tried again, as whatever else fails."""
    one, other = Part("a"), Part("b")
    link = Link(["amqp://host/%2F"], [one, other])
    await link.start(5)
    one.failure = ValueError("a fault")
    one.channels[0].end()
    await eventually(lambda: len(one.channels) > 3)
    assert (len(broker.connections), len(other.channels)) == (1, 1)
    assert any("a fault" in str(error) for error in one.troubles)
    await link.stop()


async def test_a_connection_that_opens_no_channel_is_given_up(broker: Broker) -> None:
    """Another one is made."""
    part = Part()
    link = Link(["amqp://host/%2F"], [part])
    await link.start(5)
    broker.connections[0].failing = True
    part.channels[0].end()
    await eventually(lambda: len(broker.connections) == 2)
    await eventually(lambda: len(part.channels) == 2)
    await link.stop()


async def test_what_never_will_be_is_told_at_once_and_what_may_be_after_its_time(broker: Broker) -> None:
    """With the reason."""
    broker.failures = [ProbableAuthenticationError("x")]
    with pytest.raises(AccessRefused, match="does not know the user"):
        await Link(["amqp://ann@host/%2F"], [Part()]).start(5)
    refused = Part()
    refused.failure = ChannelAccessRefused("ACCESS_REFUSED - configure")
    with pytest.raises(AccessRefused, match="broker-users"):
        await Link(["amqp://host/%2F"], [refused]).start(5)
    broker.failures = [ConnectionRefusedError() for _ in range(1_000)]
    with pytest.raises(BrokerUnavailable, match="no broker listens at host:5672"):
        await Link(["amqp://host/%2F"], [Part()]).start(0.05)
    await turns()


@pytest.mark.parametrize("url", ["", "http://host", "amqp:///x", "amqp://host:port/"])
def test_an_address_that_is_none_says_how_one_is_written(url: str) -> None:
    """Before anything is connected."""
    with pytest.raises(ValueError, match=r"broker's address"):
        Link([url], [])
