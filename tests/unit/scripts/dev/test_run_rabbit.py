"""`make run-rabbit`: what it says where it can't run. That it runs is shown by tests/integration."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from scripts.dev.run_rabbit import (
    BROKER_PORT,
    CannotRun,
    api_env,
    broker_url,
    notify_command,
    private_port,
    service_env,
    wanted_port,
    with_virtual_host,
)
from tests.support.ports import free_port

from rabbit_nodes.ports import PORTS_VARIABLE
from router.core.api_keys import EVERYTHING, ApiKeys

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("text", ["x", "0", "65534", "-1", "80 80", "²"])
def test_a_wrong_port_is_named(text: str) -> None:
    """PORT has to be a number that leaves room for the second gateway and the page."""
    with pytest.raises(CannotRun, match=r"PORT=.* is no port"):
        wanted_port({"PORT": text})


@pytest.mark.parametrize("offset", [0, 1, 2, 10, 11])
def test_a_taken_port_is_named(offset: int) -> None:
    """Where a gateway's port or the page's is taken, one line says which and what to do."""
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port + offset))
        taken.listen()
        with pytest.raises(CannotRun, match=rf"port {port + offset} is taken; choose another with PORT="):
            wanted_port({"PORT": str(port)})


def test_what_the_caller_sets_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the caller's environment wins over what a trial would use, but the broker is the one
    chosen.
    """
    monkeypatch.setenv("WARREN_GATEWAY_AUTH", "jwt")
    monkeypatch.setenv("WARREN_AMQP_URL", "amqp://elsewhere/")
    env = service_env("amqp://here/")
    assert (env["WARREN_GATEWAY_AUTH"], env["WARREN_AMQP_URL"]) == ("jwt", "amqp://here/")
    assert env["WARREN_GATEWAY_HOST"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("amqp://h", "amqp://h/%2F"),
        ("amqp://u:p@h:1/", "amqp://u:p@h:1/%2F"),
        ("amqp://h/%2F", "amqp://h/%2F"),
        ("amqp://h/mine", "amqp://h/mine"),
    ],
)
def test_the_default_virtual_host_is_written_out(url: str, written: str) -> None:
    """Some clients take an empty path for a virtual host without a name."""
    assert with_virtual_host(url) == written


def test_the_printed_command_can_be_pasted() -> None:
    """It names the interpreter that has the library, and of a broker of the user's own only the variable."""
    words = shlex.split(notify_command("amqp://guest:guest@127.0.0.1:5672/%2F"))
    assert Path(words[0]).resolve() == Path(sys.executable).resolve()
    assert (ROOT / words[1]).is_file()
    assert words[2:4] == ["amqp://guest:guest@127.0.0.1:5672/%2F", "room.default"]
    assert json.loads(words[4]) == {"text": "from the backend"}
    assert '"$WARREN_AMQP_URL"' in notify_command(None)


def test_a_broker_that_is_not_there_is_said_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable and the reason are named, and that there is another way; without the variable nothing is
    asked.
    """
    monkeypatch.setattr("scripts.dev.run_rabbit.unreachable", lambda urls: f"no way to {urls}")
    with pytest.raises(
        CannotRun, match=r"no way to \['amqp://a', 'amqp://b'\]\nWithout WARREN_AMQP_URL a private RabbitMQ"
    ):
        broker_url({"WARREN_AMQP_URL": "amqp://a, amqp://b"})
    assert broker_url({}) == ""


@pytest.mark.parametrize(
    "url",
    [
        "amqp://user:4711/topsecret@127.0.0.1:5672/",
        "amqp://topsecret/4711@127.0.0.1/",
        "amqp://user:top#secret@127.0.0.1/",
        "amqp://h/, amqp://user:top?secret@127.0.0.1/",
        "topsecret",
    ],
)
def test_an_address_that_is_wrong_is_refused_before_anything_looks_at_it(url: str) -> None:
    """The reason shows no part of it, and says what to escape."""
    with pytest.raises(CannotRun, match=r"^WARREN_AMQP_URL must be amqp://.* / as %2F") as refused:
        broker_url({"WARREN_AMQP_URL": url})
    assert not any(part in str(refused.value).lower() for part in ("top", "secret", "4711"))


def test_the_private_node_takes_the_usual_port_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a command that worked yesterday works today; not where several runs look for ports side by side."""
    monkeypatch.setattr("scripts.dev.run_rabbit.is_free", lambda port: port == BROKER_PORT)
    assert private_port({}) == 5672
    assert private_port({PORTS_VARIABLE: "20000-20099"}) is None
    monkeypatch.setattr("scripts.dev.run_rabbit.is_free", lambda _: False)
    assert private_port({}) is None


def test_the_command_fails_in_one_line() -> None:
    """The command itself ends with 1 and a line for people, not a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.dev.run_rabbit"],
        cwd=ROOT,
        env={**os.environ, "PORT": "nine"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        (
            "PORT=nine is no port: give a number from 1 to 65524 (the second gateway and the page take the "
            "next ones, the routers the tenth and eleventh)"
        )
    ]


def test_the_routers_let_in_by_a_key_of_this_run(tmp_path: Path) -> None:
    """The file has its hash alone; whoever has a file of keys keeps it."""
    env, key = api_env({}, tmp_path)
    found = ApiKeys.parse(Path(env["WARREN_ROUTER_API_KEYS_FILE"]).read_text(), ()).find(key.encode())
    assert found is not None
    assert found.scopes == EVERYTHING
    assert key not in Path(env["WARREN_ROUTER_API_KEYS_FILE"]).read_text()
    own, key = api_env({"WARREN_ROUTER_API_KEYS_FILE": "/mine"}, tmp_path)
    assert (key, "WARREN_ROUTER_API_KEYS_FILE" in own) == ("", False)
