"""What Warren relies on in the aiormq that is installed: each test fails where a new version changes it."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from typing import Any

import pytest
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from aiormq.connection import Connection, FrameReceiver, SSLContextProvider, TransportFactory
from aiormq.exceptions import (
    AMQPConnectionError,
    ConnectionClosed,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from pamqp import commands as spec
from tests.support.amqp_server import AmqpServer
from tests.support.eventually import eventually

from warren.bus.rabbit import aiormq_internals
from warren.bus.rabbit.channel import RabbitChannel
from warren.bus.rabbit.connection import RabbitConnection, Writer


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (Connection.__init__, ["self", "url", "loop", "context", "transport_factory", "client_properties"]),
        (Connection._rpc, ["request", "writer", "frame_receiver", "wait_response"]),
        (Connection.ready, ["self"]),
        (Connection.connect, ["self", "client_properties"]),
        (FrameReceiver.__init__, ["self", "reader"]),
        (FrameReceiver.get_frame, ["self"]),
        (TransportFactory.create, ["self", "url", "kwargs"]),
        (SSLContextProvider.get_context, ["self"]),
        (Channel.__init__, ["self", "connector", "number", "publisher_confirms", "frame_buffer"]),
    ],
)
def test_what_is_called_or_replaced_has_the_parameters_that_are_passed(
    function: Any, parameters: list[str]
) -> None:
    """They begin with these names, in this order."""
    assert list(inspect.signature(function).parameters)[: len(parameters)] == parameters


def test_the_method_that_is_replaced_is_one_that_aiormq_calls() -> None:
    """All that is asked while a connection is made goes through ``_rpc``, which is no instance's method."""
    connect = inspect.getsource(inspect.unwrap(Connection.connect))
    assert connect.count("self._rpc(") == 3
    assert isinstance(inspect.getattr_static(Connection, "_rpc"), staticmethod)
    assert inspect.iscoroutinefunction(Connection._rpc)


@pytest.mark.parametrize(
    ("asked", "code", "text", "error"),
    [
        (spec.Connection.StartOk, 403, "ACCESS_REFUSED - login refused", ProbableAuthenticationError),
        (spec.Connection.Open, 403, "ACCESS_REFUSED - refused for user", ProbableAuthenticationError),
        (spec.Connection.Open, 530, "NOT_ALLOWED - vhost no not found", ConnectionClosed),
    ],
)
async def test_a_refusal_is_told_in_the_brokers_words(
    server: AmqpServer, asked: type, code: int, text: str, error: type[Exception]
) -> None:
    """Whatever was asked while the connection is made."""
    server.refuse[asked] = lambda _: spec.Connection.Close(code, text, 10, 11)
    with pytest.raises(error, match=text):
        await RabbitConnection(server.url).connect()


async def test_aiormq_does_not_tell_why_a_connection_is_refused(server: AmqpServer) -> None:
    """It says what it had waited for: where it tells the reason, the replaced method can go."""
    server.refuse[spec.Connection.Open] = lambda _: spec.Connection.Close(530, "NOT_ALLOWED", 10, 40)
    with pytest.raises(InvalidFrameError, match="Expected one of"):
        await Connection(server.url).connect()


async def test_the_times_and_sizes_that_are_set_are_those_that_count(connection: RabbitConnection) -> None:
    """The queue of frames and the patience with a silent broker follow from the two attributes."""
    assert (Connection.FRAME_BUFFER_SIZE, Connection.HEARTBEAT_GRACE_MULTIPLIER) != (256, 1)
    assert connection.write_queue.maxsize == 256
    assert connection._Connection__heartbeat_grace_timeout == connection.heartbeat_timeout + 1


async def test_ready_waits_while_the_broker_holds_publishers_back(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """And only then."""
    assert not connection.held_back
    server.send(0, spec.Connection.Blocked("memory"))
    await eventually(lambda: connection.held_back)
    server.send(0, spec.Connection.Unblocked())
    await eventually(lambda: not connection.held_back)


async def test_a_channel_is_entered_and_given_out_as_aiormq_does(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """Aiormq's own channels and ours share the table and their numbers; a closed one's number is free."""
    theirs = await connection.channel(1)
    ours = await RabbitChannel.opened(connection)
    assert connection.channels == {1: theirs, 2: ours}
    await ours.leave()
    await eventually(lambda: connection.channels == {1: theirs})


async def test_numbers_go_round(connection: RabbitConnection) -> None:
    """The next one is behind the last one, the first again after the last, and none that is taken."""
    connection.connection_tune.channel_max = 3
    connection.channels.update({2: None})
    numbers = [connection.next_number(former) for former in (0, 1, 2, 3)]
    assert numbers == [1, 3, 3, 1]
    connection.channels.update({1: None, 3: None})
    with pytest.raises(AMQPConnectionError):
        connection.next_number(0)
    connection.channels.clear()


async def test_all_that_a_channel_writes_goes_through_its_queue(connection: RabbitConnection) -> None:
    """Its calls, its end and its answers: nothing else in aiormq's channel writes."""
    assert "connector.write_queue" in inspect.getsource(Channel.__init__)
    assert "connection.write_queue" not in inspect.getsource(Channel)
    channel = await RabbitChannel.opened(connection)
    written: list[ChannelFrame] = []
    put = channel.write_queue.put

    async def noted(frame: ChannelFrame) -> None:
        written.append(frame)
        await put(frame)

    channel.write_queue.put = noted
    await channel.basic_qos(prefetch_count=1)
    await channel.leave()
    assert len(written) == 2


def test_all_that_aiormq_writes_goes_by_the_writer_that_it_is_given() -> None:
    """By methods that write first what waits for the end of the turn (``connection.Writer``), never by the
    transport.
    """
    source = inspect.getsource(sys.modules[Connection.__module__])
    used = set(re.findall(r"\bwriter\.(transport\.\w+|\w+)", source)) - {"transport"}
    writing = {"write", "write_eof", "close"}
    assert used - writing == {
        "can_write_eof", "drain", "is_closing", "transport.abort", "transport.is_closing", "wait_closed",
    }  # fmt: skip
    assert writing <= set(vars(Writer))


async def test_a_consumer_that_the_broker_ends_is_told_of(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """The callbacks of a channel are called for a ``basic.cancel``."""
    channel = await RabbitChannel.opened(connection)
    told = asyncio.Event()
    channel.on_cancel(told.set)
    server.send(channel.number, spec.Basic.Cancel("tag", nowait=True))
    await asyncio.wait_for(told.wait(), 5)
    await channel.leave()


def test_no_other_module_subclasses_or_replaces_anything_of_aiormq() -> None:
    """The other modules of the bus import errors, the ports and the type of a frame, and nothing else."""
    allowed = {"aiormq.abc", "aiormq.connection", "aiormq.exceptions"}
    package = inspect.getfile(aiormq_internals).rsplit("/", 1)[0]
    import ast
    from pathlib import Path

    found = {
        (path.name, node.module, name.name)
        for path in Path(package).glob("*.py")
        if path.name != "aiormq_internals.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aiormq")
        for name in node.names
    }
    assert {module for _, module, _ in found} <= allowed
    assert {name for _, module, name in found if module != "aiormq.exceptions"} == {
        "ChannelFrame",
        "DEFAULT_PORTS",
    }
