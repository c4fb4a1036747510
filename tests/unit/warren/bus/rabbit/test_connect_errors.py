"""Refusals: what an operator is told to do, by the error (the brokers' own words are tried in
``tests/integration/test_refused.py``).
"""

import ssl

import pytest
from aiormq.exceptions import (
    AMQPConnectionError,
    ChannelAccessRefused,
    ConnectionClosed,
    ProbableAuthenticationError,
)
from pamqp import commands as spec
from yarl import URL

from warren.bus.rabbit.connect_errors import refusal, remedy, shown
from warren.errors import BusUnavailable

PLAIN = URL("amqp://ann:secret@broker/v%2F1")
TLS = URL("amqps://ann:secret@broker/?cafile=/ca.pem&certfile=/c.pem")


def verification(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, message)
    error.verify_code, error.verify_message = code, message
    return error


def tls(reason: str | None, text: str) -> ssl.SSLError:
    error = ssl.SSLError(1, text)
    error.reason = reason  # type: ignore[assignment]
    return error


@pytest.mark.parametrize(
    ("error", "url", "told"),
    [
        (ProbableAuthenticationError("ACCESS_REFUSED"), PLAIN, "no such user as 'ann', or another password"),
        (ConnectionClosed(530, "NOT_ALLOWED - vhost v/1 not found"), PLAIN, "rabbitmqctl add_vhost v/1"),
        (
            ConnectionClosed(530, "NOT_ALLOWED - access to vhost 'v/1' refused for user 'ann'"),
            PLAIN,
            "rabbitmqctl set_permissions -p v/1 ann ",
        ),
        (
            ChannelAccessRefused("ACCESS_REFUSED - access to queue"),
            TLS,
            "set_permissions -p / ann CONFIGURE WRITE READ",
        ),
        (verification(62, "Hostname mismatch"), TLS, "is not for 'broker'"),
        (
            verification(20, "unable to get local issuer certificate"),
            TLS,
            "(unable to get local issuer certificate): name its CA by",
        ),
        (
            tls("WRONG_VERSION_NUMBER", "[SSL: WRONG_VERSION_NUMBER] wrong"),
            TLS,
            "no TLS is spoken on this port",
        ),
        (
            tls("TLSV13_ALERT_CERTIFICATE_REQUIRED", "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]"),
            TLS,
            "WARREN_AMQP_CERT_FILE",
        ),
        (tls("TLSV1_ALERT_UNKNOWN_CA", "[SSL: TLSV1_ALERT_UNKNOWN_CA]"), TLS, "refuses our certificate"),
        (
            tls("KEY_VALUES_MISMATCH", "[X509: KEY_VALUES_MISMATCH]"),
            TLS,
            "of /ca.pem, /c.pem one holds no certificate",
        ),
        (FileNotFoundError(2, "No such file or directory"), TLS, "of /ca.pem, /c.pem one can't be read here"),
    ],
)
def test_what_can_be_mended_is_said(error: Exception, url: URL, told: str) -> None:
    """Also where the error is but the cause of another; and no password is repeated."""
    outer = BusUnavailable("connecting")
    outer.__cause__ = AMQPConnectionError()
    outer.__cause__.__cause__ = error
    for seen in (error, outer):
        found = remedy(seen, url)
        assert found is not None
        assert told in found
        assert "secret" not in found


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, "Connect call failed"),
        TimeoutError(),
        ConnectionClosed(320, "CONNECTION_FORCED - broker forced connection closure"),
        FileNotFoundError(2, "No such file or directory"),
        BusUnavailable("the broker is away"),
    ],
)
def test_what_only_time_mends_has_no_remedy(error: Exception) -> None:
    """A broker that is away comes back by itself."""
    assert remedy(error, PLAIN) is None


def test_a_no_is_an_error_with_the_brokers_words() -> None:
    """Wrong credentials are told apart from the rest by the code."""
    refused = refusal(spec.Connection.Close(403, "ACCESS_REFUSED - Login was refused", 0, 0))
    assert isinstance(refused, ProbableAuthenticationError)
    missing = refusal(spec.Connection.Close(530, "NOT_ALLOWED - vhost x not found", 0, 0))
    assert missing.args == (530, "NOT_ALLOWED - vhost x not found")


def test_an_address_is_shown_without_credentials() -> None:
    """What goes to the log has host, port and virtual host alone."""
    assert shown(URL("amqp://user:secret@host/v?heartbeat=3")) == "host:5672/v"
    assert shown(URL("amqps://u:s@host:1234/%2F")) == "host:1234/%2F"
