"""Broker errors: what aiormq and the operating system say, as errors of this package that say what to do.

It repeats no password.
"""

from __future__ import annotations

import socket
import ssl

from aiormq.exceptions import (
    AMQPConnectionError,
    AMQPError,
    ChannelAccessRefused,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ConnectionNotAllowed,
    IncompatibleProtocolError,
    ProbableAuthenticationError,
    ProtocolSyntaxError,
)
from yarl import URL

from warren_backend.core.errors import (
    AccessRefused,
    BackendError,
    BrokerUnavailable,
    QueueMismatch,
    Unroutable,
)

# What a lost connection, or a channel that has ended, can raise in whoever waits for something there.
LOST = (AMQPError, ChannelInvalidStateError, OSError, EOFError, TimeoutError)
# Those that trying again does not mend.
LASTING = (AccessRefused, QueueMismatch)


def shown(url: URL) -> str:
    """Return an address without its credentials and options."""
    return f"{url.host}:{url.port or 5672}{url.raw_path}"


def explained(error: BaseException | None, url: URL | None = None) -> BackendError:
    """Return an error of this package that says the same, and what can be done about it."""
    if isinstance(error, BackendError):
        return error
    if type(error) is AMQPConnectionError and error.__cause__ is not None:
        error = error.__cause__  # what the operating system, or OpenSSL, said
    text = _text(error)
    where = f" at {shown(url)}" if url is not None else ""
    match error:
        case ChannelAccessRefused():
            return AccessRefused(f"{text}: give the broker's user the right (docs/broker-users.md)")
        case ChannelPreconditionFailed():
            return QueueMismatch(
                f"{text}: a queue of this name has other arguments; delete it, or take another name"
            )
        case ChannelNotFoundEntity():
            return Unroutable(f"{text}: has Warren started here, under this prefix and virtual host?")
        case ProbableAuthenticationError():
            user = url.user if url is not None else ""
            return AccessRefused(
                f"the broker{where} does not know the user {user!r}, or another password of it"
            )
        case ConnectionNotAllowed():
            return AccessRefused(f"the broker{where} does not let this user into the virtual host: {text}")
        case ssl.SSLError():
            return BrokerUnavailable(f"no TLS with the broker{where}: {text}")
        case socket.gaierror():
            return BrokerUnavailable(f"no such host as {url.host!r} is known here" if url else text)
        case ProtocolSyntaxError() | IncompatibleProtocolError():
            return BrokerUnavailable(f"what answers{where} speaks no AMQP 0-9-1: is the port right (5672)?")
        case ConnectionRefusedError():
            return BrokerUnavailable(f"no broker listens{where}")
        case AMQPConnectionError() | OSError() | TimeoutError():
            return BrokerUnavailable(f"no connection to the broker{where}: {text}")
        case _:
            return BrokerUnavailable(text)


def _text(error: BaseException | None) -> str:
    if error is None:
        return "the connection has ended"
    said = [str(each) for each in error.args if isinstance(each, str) and each]
    return "; ".join(said) or type(error).__name__
