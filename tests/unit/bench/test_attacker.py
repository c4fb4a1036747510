"""bench.attack's attacker against a server that is none: what it sends, how it takes an end, and what it
reports.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench.attack.attacker import Attacker, tokens_for
from bench.attack.frames import frame
from bench.attack.plans import Swarm

ROOT = Path(__file__).parents[3]
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
CLOSED = b"\x88\x02\x0f\xa2"  # 4002
Serve = Callable[[socket.socket], None]


@contextlib.contextmanager
def served(serve: Serve) -> Iterator[str]:
    """Serve each connection in a thread of its own; yield the URL."""
    listening = socket.create_server(("127.0.0.1", 0))

    def one(plain: socket.socket) -> None:
        with plain, contextlib.suppress(OSError):
            serve(plain)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listening.accept()[0],), daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield f"ws://127.0.0.1:{listening.getsockname()[1]}/ws"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join()


def read_all(plain: socket.socket) -> None:
    while plain.recv(65_536):
        pass


def test_it_says_its_part_once_and_over_and_over_and_counts_what_it_sent() -> None:
    """After the upgrade, and never faster than it is taken."""
    came: list[bytes] = []

    def serve(plain: socket.socket) -> None:
        plain.recv(65_536)
        plain.sendall(ANSWER)
        data = b""
        while len(data) < 10_000 and (more := plain.recv(65_536)):
            data += more
        came.append(data)
        plain.sendall(CLOSED)
        read_all(plain)

    with served(serve) as url:
        attacker = Attacker(url, Swarm(1, once=b"once", again=b"again", returns=None), [""])
        attacker.run(0.5)
    assert came[0].startswith(b"onceagainagain")
    assert attacker.sent >= 10_000
    assert attacker.opened == 1
    assert attacker.ends == {"4002": 1}
    assert attacker.first_end is not None
    assert attacker.first_end[0] == "4002"


def test_who_is_refused_or_cut_comes_back_and_is_counted_by_how_it_ended() -> None:
    """As often as the time allows."""

    def refuse(plain: socket.socket) -> None:
        plain.recv(65_536)
        plain.sendall(b"HTTP/1.1 503 Full\r\n\r\n")
        read_all(plain)

    def cut(plain: socket.socket) -> None:
        plain.recv(65_536)
        plain.sendall(ANSWER)

    for serve, how in ((refuse, "HTTP 503"), (cut, "closed")):
        with served(serve) as url:
            attacker = Attacker(url, Swarm(2, returns=0.01), [""])
            attacker.run(0.4)
        assert attacker.ends[how] > 2, how


def test_who_is_deaf_goes_on_after_the_close_and_who_does_not_read_never_sees_it() -> None:
    """Both send until the socket is full."""

    def serve(plain: socket.socket) -> None:
        plain.recv(65_536)
        plain.sendall(ANSWER)
        plain.recv(65_536)
        plain.sendall(CLOSED)
        read_all(plain)

    for swarm in (Swarm(1, again=b"x" * 1_000, deaf_after=True), Swarm(1, again=b"x" * 1_000, reads=False)):
        with served(serve) as url:
            attacker = Attacker(url, swarm, [""])
            attacker.run(0.3)
        assert attacker.ends == {"still there": 1}
        assert attacker.sent > 10_000


def test_what_is_said_at_an_interval_is_said_as_often_as_that() -> None:
    """And raw bytes go without an upgrade."""
    came = bytearray()

    def serve(plain: socket.socket) -> None:
        while data := plain.recv(65_536):
            came.extend(data)

    with served(serve) as url:
        Attacker(url, Swarm(1, raw=b"raw", again=b"!", every=0.1), [""]).run(0.55)
    assert came[:3] == b"raw"
    assert 2 <= len(came) - 3 <= 5


def test_it_attacks_nothing_but_the_loopback() -> None:
    """Whatever address it is given."""
    with pytest.raises(AssertionError, match="loopback"):
        Attacker("ws://192.0.2.1:80/ws", Swarm(), [""])


def test_each_connection_has_a_user_of_its_own() -> None:
    """Strangers have no token."""
    assert len(set(tokens_for(Swarm(3, token="member"), "s" * 32))) == 3
    assert tokens_for(Swarm(3), "s" * 32) == [""]


@pytest.mark.rabbit
def test_the_bench_runs_one_attack_from_end_to_end(tmp_path: Path) -> None:
    """Victims are measured in all phases, the attacker was there, and nothing failed but perhaps an aim."""
    told = [
        "--only",
        "close-codes",
        "--seconds",
        "1",
        "--calm",
        "1",
        "--recovery",
        "2",
        "--json",
        str(tmp_path / "out.json"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "bench.attack", *told],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    (found,) = json.loads((tmp_path / "out.json").read_text())["attacks"]
    assert found["died"] == []
    assert found["ends"]["1002"] > 0
    assert found["sent"] > len(frame(b"", 8))
    for phase in ("calm", "attacked", "after"):
        assert found[phase]["ping"]["of"] > 10, phase
        assert found[phase]["ack"]["of"] > 0, phase
    assert found["rss"][0] > 10 << 20
