"""`make run-rabbit`: what it says where it can't run. That it runs is shown by tests/integration."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from scripts.run_rabbit import CannotRun, service_env, wanted_port
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("text", ["x", "0", "65535", "-1", "80 80", "²"])
def test_a_wrong_port_is_named(text: str) -> None:
    """PORT has to be a number that leaves room for the second gateway."""
    with pytest.raises(CannotRun, match=r"PORT=.* is no port"):
        wanted_port({"PORT": text})


@pytest.mark.parametrize("offset", [0, 1])
def test_a_taken_port_is_named(offset: int) -> None:
    """Where the first or the second gateway's port is taken, one line says which and what to do."""
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port + offset))
        taken.listen()
        with pytest.raises(CannotRun, match=rf"port {port + offset} is taken; choose another with PORT="):
            wanted_port({"PORT": str(port)})


def test_what_the_caller_sets_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the caller's environment wins over what a trial would use, but the broker is the one chosen."""
    monkeypatch.setenv("WARREN_GATEWAY_AUTH", "jwt")
    monkeypatch.setenv("WARREN_AMQP_URL", "amqp://elsewhere/")
    env = service_env("amqp://here/")
    assert (env["WARREN_GATEWAY_AUTH"], env["WARREN_AMQP_URL"]) == ("jwt", "amqp://here/")
    assert env["WARREN_GATEWAY_HOST"] == "127.0.0.1"


def test_the_command_fails_in_one_line() -> None:
    """The command itself ends with 1 and a line for people, not a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.run_rabbit"],
        cwd=ROOT,
        env={**os.environ, "PORT": "nine"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "PORT=nine is no port: give a number from 1 to 65534 (the second gateway takes the next one)"
    ]
