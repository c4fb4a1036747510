"""SupervisedConnection: back-off, addresses in turn, what it says, and that it ends."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest
import pytest_asyncio
from aiormq.connection import Connection
from pamqp import commands as spec
from tests.support.amqp_server import AmqpServer
from tests.support.eventually import eventually
from tests.support.ports import free_port
from yarl import URL

from warren.bus.rabbit.connect_errors import shown
from warren.bus.rabbit.supervised_connection import (
    ClientProfile,
    ConnectionListener,
    ConnectionTimes,
    SupervisedConnection,
)
from warren.errors import BusUnavailable, TopologyMismatch

TIMES = ConnectionTimes(heartbeat_s=5, connect_s=1.0, first_pause_s=0.01, longest_pause_s=0.05)


class Owner:
    """What a bus does on a link, written down."""

    def __init__(self) -> None:
        self.moments: list[str] = []
        self.error: Exception | None = None
        self.mismatches: list[TopologyMismatch] = []
        self.link: SupervisedConnection | None = None
        self.blocked: list[bool] = []

    async def up(self, connection: Connection) -> None:
        if self.error is not None:
            raise self.error
        assert self.link is not None
        self.link.adopt(connection)
        self.moments.append("up")

    def down(self) -> None:
        self.moments.append("down")

    def make(self, *urls: str, times: ConnectionTimes = TIMES) -> SupervisedConnection:
        self.link = link = SupervisedConnection(
            "test",
            urls,
            ClientProfile("unit", times, Random(1)),
            ConnectionListener(
                self.up, self.down, self.mismatches.append, lambda: self.blocked.append(link.blocked)
            ),
        )
        return link


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest_asyncio.fixture
async def make(owner: Owner) -> AsyncIterator[Callable[..., SupervisedConnection]]:
    """Makes a link that is started, and ends it."""
    links: list[SupervisedConnection] = []

    def started(*urls: str, times: ConnectionTimes = TIMES) -> SupervisedConnection:
        link = owner.make(*urls, times=times)
        links.append(link)
        link.start()
        link.start()  # the second one does nothing
        return link

    yield started
    for link in links:
        await link.close()


async def test_pauses_double_up_to_the_longest_with_jitter(owner: Owner) -> None:
    """The pauses between attempts go from the first to the longest of the times, each cut by chance."""
    times = ConnectionTimes(first_pause_s=0.1, longest_pause_s=5.0)
    backoff = owner.make("amqp://nowhere", times=times).backoff()
    for failures in range(200):
        full = min(5.0, 0.1 * 2.0**failures)
        assert full / 2 <= backoff.next() <= full


async def test_the_connection_says_who_it_is(
    server: AmqpServer, owner: Owner, make: Callable[..., SupervisedConnection]
) -> None:
    """The broker is told a name for its list of connections, and the heartbeat that was set (unless the URL
    has one).
    """
    link = make(server.url)
    await link.attempted()
    assert link.connection is not None
    assert server.of(spec.Connection.StartOk)[0].client_properties["connection_name"] == "unit/test"
    assert server.of(spec.Connection.TuneOk)[0].heartbeat == 5
    other = make(server.url + "?heartbeat=7")
    await other.attempted()
    assert server.of(spec.Connection.TuneOk)[1].heartbeat == 7


async def test_a_lost_connection_is_made_again(
    server: AmqpServer, owner: Owner, make: Callable[..., SupervisedConnection]
) -> None:
    """When the connection breaks the owner is told, and told again when there is a new one."""
    link = make(server.url)
    await eventually(lambda: owner.moments == ["up"])
    first = link.connection
    server.drop()
    await eventually(lambda: owner.moments == ["up", "down", "up"])
    assert link.connection is not first
    assert server.connections == 2


async def test_a_fault_of_ours_makes_the_connection_anew(
    server: AmqpServer,
    owner: Owner,
    make: Callable[..., SupervisedConnection],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An exception that nobody foresaw ends one connection, with its traceback in the log, and
    not the link.
    """
    owner.error = ZeroDivisionError()
    make(server.url)
    await eventually(lambda: server.connections >= 2)
    owner.error = None
    await eventually(lambda: "up" in owner.moments)
    assert any(line.exc_info and line.exc_info[0] is ZeroDivisionError for line in caplog.records)


async def test_addresses_are_tried_in_turn(
    server: AmqpServer, owner: Owner, make: Callable[..., SupervisedConnection]
) -> None:
    """A round goes over all addresses before it pauses."""
    times = ConnectionTimes(connect_s=1.0, first_pause_s=30.0, longest_pause_s=30.0)
    make(f"amqp://guest:guest@127.0.0.1:{free_port()}/", server.url, times=times)
    await eventually(lambda: "up" in owner.moments)


async def test_a_node_that_does_not_serve_is_left_for_the_next(
    server: AmqpServer, owner: Owner, make: Callable[..., SupervisedConnection]
) -> None:
    """Though the connection to it is open; with one address only, another connection is made to that."""
    async with AmqpServer() as other:
        link = make(server.url, other.url)
        await link.connected()
        assert link.address == shown(URL(server.url))
        link.move()
        link.move()  # it moves already
        await link.connected()
        assert (link.address, owner.moments) == (shown(URL(other.url)), ["up", "down", "up"])
        assert (server.connections, other.connections) == (1, 1)
        link.move()
        await link.connected()
        assert link.address == shown(URL(server.url))
        await link.close()


async def test_it_is_moved_seldom_where_that_is_wanted(
    owner: Owner, make: Callable[..., SupervisedConnection], server: AmqpServer
) -> None:
    """Not again within a time; who does not name one moves it at once."""
    async with AmqpServer() as other:
        link = make(server.url, other.url)
        await link.connected()
        link.move(60.0)
        await link.connected()
        assert link.address == shown(URL(other.url))
        link.move(60.0)
        assert not link._moves
        link.move()
        await link.connected()
        assert link.address == shown(URL(server.url))
        await link.close()


async def test_the_first_attempt_is_told_also_when_it_fails(
    owner: Owner, make: Callable[..., SupervisedConnection]
) -> None:
    """Who waits for the first attempt goes on when no address answers, without a connection."""
    link = make(f"amqp://guest:guest@127.0.0.1:{free_port()}/")
    async with asyncio.timeout(10):
        await link.attempted()
    assert link.connection is None
    assert not link.blocked


async def test_who_waits_for_the_first_attempt_hears_of_the_end(
    owner: Owner, make: Callable[..., SupervisedConnection]
) -> None:
    """Where the link is closed in the middle of it, or before, there is nothing to wait for."""
    arrived = asyncio.Event()
    async with await asyncio.start_server(lambda _, writer: arrived.set(), "127.0.0.1", 0) as mute:
        port = mute.sockets[0].getsockname()[1]
        link = make(f"amqp://guest:guest@127.0.0.1:{port}/", times=ConnectionTimes(connect_s=60.0))
        waiting = asyncio.create_task(link.attempted())
        await arrived.wait()
        await link.close()
        async with asyncio.timeout(10):
            await waiting
            await link.attempted()


async def test_an_owner_that_is_not_ready_gets_another_connection(
    server: AmqpServer,
    owner: Owner,
    make: Callable[..., SupervisedConnection],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """When the owner can't use a connection it is closed and another one is made, with a line in the log."""
    owner.error = BusUnavailable("not today")
    link = make(server.url)
    await eventually(lambda: sum("not today" in record.getMessage() for record in caplog.records) >= 3)
    assert server.connections >= 3
    assert link.connection is None
    owner.error = None
    await eventually(lambda: link.connection is not None)


async def test_a_mismatch_is_told_and_tried_again(
    server: AmqpServer,
    owner: Owner,
    make: Callable[..., SupervisedConnection],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A topology made with other settings is an error in the log, and told to the owner each time."""
    owner.error = TopologyMismatch("other shards")
    make(server.url)
    await eventually(lambda: len(owner.mismatches) >= 2)
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert errors
    assert all("other shards" in record.getMessage() and record.exc_info is None for record in errors)


async def test_blocked_is_seen_and_logged(
    server: AmqpServer,
    owner: Owner,
    make: Callable[..., SupervisedConnection],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """connection.blocked and connection.unblocked are shown at once and logged once each."""
    link = make(server.url)
    await eventually(lambda: owner.moments == ["up"])
    assert not link.blocked
    server.send(0, spec.Connection.Blocked("low on memory"))
    await eventually(lambda: link.blocked)
    await eventually(lambda: "holds publishing back" in caplog.text)
    server.send(0, spec.Connection.Unblocked())
    await eventually(lambda: not link.blocked)
    await eventually(lambda: "takes publishes" in caplog.text)
    assert caplog.text.count("holds publishing back") == 1
    assert owner.blocked[:2] == [True, False]


async def test_close_says_goodbye(
    server: AmqpServer, owner: Owner, make: Callable[..., SupervisedConnection]
) -> None:
    """Closing sends connection.close and makes no other connection; a link that was never started
    closes too.
    """
    link = make(server.url)
    await eventually(lambda: owner.moments == ["up"])
    await link.close()
    assert link.connection is None
    assert owner.moments == ["up", "down"]
    assert len(server.of(spec.Connection.Close)) == 1
    await owner.make(server.url).close()
    assert server.connections == 1
