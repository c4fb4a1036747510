"""inputs: what a connection is told."""

import typing

import pytest

from gateway.core import inputs
from gateway.shell.connection import Connection
from gateway.shell.pusher_connection import PusherConnection


@pytest.mark.parametrize("kind", [kind for kind in typing.get_args(inputs.Input) if kind not in (str, bytes)])
def test_an_input_is_frozen(kind):
    """One object may be put into the queues of all connections."""
    assert kind.__struct_config__.frozen


def test_a_connection_handles_each_kind_of_input():
    """And no other: there is one place for each. Only those of the Pusher protocol follow a room."""
    every = set(typing.get_args(inputs.Input))
    assert set(PusherConnection._HANDLERS) == every
    assert set(Connection._HANDLERS) == every - {inputs.MembersListed}
