"""Why a broker could not be connected to, and what to do about it, for whoever has to mend it.

It only reads errors and addresses, and repeats no password.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator

from aiormq.connection import DEFAULT_PORTS
from aiormq.exceptions import (
    AMQPError,
    ChannelAccessRefused,
    ConnectionClosed,
    IncompatibleProtocolError,
    InvalidFrameError,
    ProbableAuthenticationError,
    ProtocolSyntaxError,
)
from pamqp import commands as spec
from yarl import URL

_ACCESS_REFUSED = 403
# What has failed while a certificate was verified, by OpenSSL's own numbers.
_WRONG_HOST = (62, 64)


def refusal(frame: spec.Connection.Close) -> AMQPError:
    """Return the ``connection.close`` by which a broker refuses a connection as an error with its text."""
    if frame.reply_code == _ACCESS_REFUSED:
        return ProbableAuthenticationError(frame.reply_text)
    return ConnectionClosed(frame.reply_code, frame.reply_text)


def shown(url: URL) -> str:
    """Return an address without its credentials and options."""
    return f"{_host_and_port(url)}{url.raw_path}"


def _host_and_port(url: URL) -> str:
    return f"{url.host}:{url.port or DEFAULT_PORTS[url.scheme]}"


def remedy(error: BaseException, url: URL) -> str | None:
    """Return what to do about an error (or what caused it) at this address; None where only time can tell."""
    for cause in _causes(error):
        if (found := _remedy(cause, url)) is not None:
            return found
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _remedy(error: BaseException, url: URL) -> str | None:
    text = str(error)
    match error:
        case ProbableAuthenticationError():
            return (
                f"no such user as {url.user!r}, or another password: mend WARREN_AMQP_URL, or the user "
                f"at the broker"
            )
        case ConnectionClosed() if re.search(r"vhost .* not found", text):
            return (
                f"make the virtual host (rabbitmqctl add_vhost {_vhost(url)}), or mend the path of "
                f"WARREN_AMQP_URL"
            )
        case ConnectionClosed() if "refused for user" in text:
            return (
                f"let the user in: rabbitmqctl set_permissions -p {_vhost(url)} {url.user} CONFIGURE "
                f"WRITE READ"
            )
        case ChannelAccessRefused():
            return (
                f"the user {url.user!r} needs the permissions configure, write and read on all names that "
                f"begin with WARREN_PREFIX: "
                f"rabbitmqctl set_permissions -p {_vhost(url)} {url.user} CONFIGURE WRITE READ"
            )
        case ssl.SSLCertVerificationError() if error.verify_code in _WRONG_HOST:
            return (
                f"the broker's certificate is not for {url.host!r}: use a name that it has in WARREN_AMQP_URL"
            )
        case ssl.SSLCertVerificationError():
            return (
                f"the broker's certificate is not to be trusted ({error.verify_message}): name its CA "
                f"by WARREN_AMQP_CA_FILE"
            )
        case ssl.SSLError() if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text:
            return (
                "no TLS is spoken on this port: name the broker's TLS port, or begin the address with amqp://"
            )
        case ssl.SSLError() if "ALERT" in text and ("CERTIFICATE" in text or "UNKNOWN_CA" in text):
            return (
                "the broker refuses our certificate, or wants one: WARREN_AMQP_CERT_FILE and "
                "WARREN_AMQP_KEY_FILE"
            )
        case ssl.SSLError() if error.reason in (
            "PEM_LIB",
            "NO_CERTIFICATE_OR_CRL_FOUND",
            "KEY_VALUES_MISMATCH",
            None,
        ):
            return f"of {_files(url)} one holds no certificate or key in PEM, or they do not belong together"
        case socket.gaierror():
            return (
                f"no such host as {url.host!r} is known here: mend the host in WARREN_AMQP_URL, or this "
                f"machine's name service"
            )
        case ProtocolSyntaxError() | IncompatibleProtocolError() | InvalidFrameError():
            return (
                f"what answers at {_host_and_port(url)} speaks no AMQP 0-9-1: mend the port in "
                f"WARREN_AMQP_URL (5672; with TLS 5671)"
            )
        case FileNotFoundError() | PermissionError() if url.scheme == "amqps" and _files(url):
            return f"of {_files(url)} one can't be read here"
        case _:
            return None


def _vhost(url: URL) -> str:
    return url.path[1:].replace("%2F", "/") or "/"


def _files(url: URL) -> str:
    return ", ".join(url.query[name] for name in ("cafile", "certfile", "keyfile") if url.query.get(name))
