"""Errors of the broker say what to do, and hold no password."""

from __future__ import annotations

import socket

import pytest
from aiormq import exceptions
from yarl import URL

from warren_backend.core.errors import (
    AccessRefused,
    BackendError,
    BrokerUnavailable,
    Overloaded,
    QueueMismatch,
    Unroutable,
)
from warren_backend.shell.broker_errors import LASTING, explained

URL_ = URL("amqp://shop:secret@broker.example/%2F")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (exceptions.ChannelAccessRefused("ACCESS_REFUSED - no"), AccessRefused, "docs/broker-users.md"),
        (exceptions.ChannelPreconditionFailed("inequivalent arg"), QueueMismatch, "other arguments"),
        (exceptions.ChannelNotFoundEntity("no exchange"), Unroutable, "has Warren started here"),
        (exceptions.ProbableAuthenticationError("x"), AccessRefused, "the user 'shop'"),
        (exceptions.ConnectionNotAllowed(530, "vhost x"), AccessRefused, "virtual host"),
        (socket.gaierror(-2, "x"), BrokerUnavailable, "'broker.example'"),
        (ConnectionRefusedError(), BrokerUnavailable, "no broker listens at broker.example:5672"),
        (exceptions.ProtocolSyntaxError(), BrokerUnavailable, "speaks no AMQP"),
        (TimeoutError(), BrokerUnavailable, "TimeoutError"),
        (exceptions.AMQPConnectionError("gone"), BrokerUnavailable, "gone"),
        (RuntimeError("odd"), BrokerUnavailable, "odd"),
        (None, BrokerUnavailable, "has ended"),
    ],
)
def test_each_says_what_to_do(error: BaseException | None, kind: type[BackendError], said: str) -> None:
    """And where it was."""
    found = explained(error, URL_)
    assert type(found) is kind
    assert said in str(found)
    assert "secret" not in str(found)


def test_what_the_system_said_is_what_counts() -> None:
    """Aiormq puts it into an error of its own."""
    wrapped = exceptions.AMQPConnectionError(111, "Connect call failed")
    wrapped.__cause__ = ConnectionRefusedError(111, "Connect call failed")
    assert "no broker listens at" in str(explained(wrapped, URL_))


def test_our_own_stay_what_they_are() -> None:
    """Only some of them are no use to try again."""
    error = Overloaded("x")
    assert explained(error) is error
    assert AccessRefused in LASTING
    assert BrokerUnavailable not in LASTING
