"""What a connection needs of a transport, each transport has."""

from __future__ import annotations

import inspect

import pytest

from gateway.shell.client_transport import ClientTransport
from gateway.shell.event_stream_transport import EventStreamTransport
from gateway.shell.one_message import NoTransport
from gateway.shell.websocket_transport import WebSocketTransport

MEMBERS = {name for name in vars(ClientTransport) if not name.startswith("_")}
FIELDS = set(inspect.get_annotations(ClientTransport))


@pytest.mark.parametrize("kind", [WebSocketTransport, EventStreamTransport])
def test_each_transport_has_it_all(kind: type):
    """Methods, properties and fields; what is asynchronous in one is so in the other."""
    assert set(dir(kind)) >= MEMBERS | FIELDS
    for name in MEMBERS:
        wanted, found = getattr(ClientTransport, name), getattr(kind, name)
        assert inspect.iscoroutinefunction(wanted) == inspect.iscoroutinefunction(found), name


def test_one_that_writes_nothing_has_it_too():
    """Its fields are made with it."""
    assert set(dir(NoTransport(0.0))) >= MEMBERS | FIELDS
