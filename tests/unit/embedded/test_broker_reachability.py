"""Whether the broker that was named can be reached: None as soon as one address can be, else a line without
secrets.
"""

from __future__ import annotations

import socket
from contextlib import closing

import pytest
from tests.support.ports import free_port

from embedded.broker_reachability import unreachable


def listening() -> socket.socket:
    """A port that takes connections and says nothing."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


def test_one_address_that_answers_is_enough():
    """The first of several may be away."""
    with closing(listening()) as server:
        port = server.getsockname()[1]
        assert (
            unreachable(
                [f"amqp://u:p@127.0.0.1:{free_port()}/", f"amqp://u:p@127.0.0.1:{port}/%2F"], patience_s=0
            )
            is None
        )


def test_a_broker_that_comes_meanwhile_is_taken():
    """It is asked for again until the patience ends."""
    port = free_port()
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tries = 0

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        nonlocal tries
        tries += 1
        if tries == 2:
            server.bind(("127.0.0.1", port))
            server.listen()
        return real(address, timeout)

    real = socket.create_connection
    with pytest.MonkeyPatch.context() as patch, closing(server):
        patch.setattr("embedded.broker_reachability.socket.create_connection", connect)
        assert unreachable([f"amqp://127.0.0.1:{port}"], patience_s=30) is None
    assert tries == 2


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("amqp://u:s3cret@no-such-host.invalid/", "there is no host called no-such-host.invalid"),
        ("amqp://u:s3cret@127.0.0.1:1/", "127.0.0.1:1: Connection refused"),
        ("amqp://u:s3cret@127.0.0.1:70000/", "no readable host and port"),
        ("amqp://u:s3/cret@[::1/", "no readable host and port"),
    ],
)
def test_each_reason_is_plain_and_shows_no_password(url: str, says: str):
    """The line names the variable, the host and the port, what an address looks like, and nothing of the
    user.
    """
    line = unreachable([url], patience_s=0)
    assert line is not None
    assert says in line
    assert "WARREN_AMQP_URL" in line
    assert "s3" not in line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(("scheme", "port"), [("amqp", 5672), ("amqps", 5671)])
def test_the_usual_ports(scheme: str, port: int, monkeypatch: pytest.MonkeyPatch):
    """An address without a port means the scheme's own."""
    asked = []

    def connect(address: tuple[str, int], _: float) -> socket.socket:
        asked.append(address)
        return socket.socket()

    monkeypatch.setattr("embedded.broker_reachability.socket.create_connection", connect)
    assert unreachable([f"{scheme}://broker.example"], patience_s=0) is None
    assert asked == [("broker.example", port)]
