"""Listening: one port on every family that the machine has, and a clear error where it can't be had."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import web

from warren.http_server import HttpLimits, HttpServer
from warren.listen_sockets import open_sockets

V4, V6 = socket.AF_INET, socket.AF_INET6


def has_ipv6() -> bool:
    try:
        with socket.socket(V6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


class Machine:
    """Stands for ``socket.socket`` on a machine that lacks a family, or where a port is taken in one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lacks: dict[int, int] = {}  # family ▶ what making a socket of it fails with
        self.refuses: list[tuple[int, int]] = []  # (family, error): the next binds of that family
        self.made: list[socket.socket] = []
        machine = self

        class Socket(socket.socket):
            def __init__(
                self,
                family: int = V4,
                type: int = socket.SOCK_STREAM,  # noqa: A002 - that is its name
                *rest: int,
                **named: object,
            ) -> None:
                if family in machine.lacks:
                    raise OSError(machine.lacks[family], "Address family not supported")
                super().__init__(family, type, *rest, **named)  # type: ignore[arg-type]
                machine.made.append(self)

            def bind(self, address: object) -> None:
                for number, (family, error) in enumerate(machine.refuses):
                    if family == self.family:
                        del machine.refuses[number]
                        raise OSError(error, "no")
                super().bind(address)  # type: ignore[arg-type]

        monkeypatch.setattr("warren.listen_sockets.socket.socket", Socket)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    sockets: list[socket.socket] = []
    yield sockets
    for each in sockets:
        each.close()


def families(sockets: list[socket.socket]) -> list[int]:
    return [each.family for each in sockets]


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=request.remote)


@needs_ipv6
@pytest.mark.parametrize("port", [0, 1])
async def test_both_families_are_served_on_one_port(port: int) -> None:
    """An asterisk is every address of both families, on the same port, also a free one; each peer has an
    address of its own family.
    """
    if port:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    app = web.Application()
    app.router.add_get("/", hello)
    server = HttpServer(app, HttpLimits(5.0, 1.0))
    try:
        chosen = await server.start("*", port)
        assert chosen == port or not port
        async with aiohttp.ClientSession() as http:
            for host, peer in (("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")):
                async with http.get(f"http://{host}:{chosen}/") as answer:
                    assert await answer.text() == peer
    finally:
        await server.stop()


@pytest.mark.parametrize("error", [errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT])
@pytest.mark.parametrize(("lacking", "left"), [(V6, V4), pytest.param(V4, V6, marks=needs_ipv6)])
def test_a_machine_of_one_family_is_served_in_that(
    machine: Machine, opened: list[socket.socket], error: int, lacking: int, left: int
) -> None:
    """Without IPv6 (or without IPv4) the other is listened on all the same."""
    machine.lacks[lacking] = error
    opened += open_sockets("*", 0)
    assert families(opened) == [left]


@needs_ipv6
def test_a_family_without_an_address_is_left_out(machine: Machine, opened: list[socket.socket]) -> None:
    """A kernel that knows IPv6 and has it switched off lets the socket be made and not bound."""
    machine.refuses = [(V6, errno.EADDRNOTAVAIL)]
    opened += open_sockets("*", 0)
    assert families(opened) == [V4]


@needs_ipv6
def test_a_free_port_is_free_in_both_families(machine: Machine, opened: list[socket.socket]) -> None:
    """Where the port that IPv4 was given is taken in IPv6, another one is tried, and nothing of the first try
    is left open.
    """
    machine.refuses = [(V6, errno.EADDRINUSE), (V6, errno.EADDRINUSE)]
    opened += open_sockets("*", 0)
    assert families(opened) == [V4, V6]
    assert len({each.getsockname()[1] for each in opened}) == 1
    assert [each.fileno() for each in machine.made if each not in opened] == [-1] * (len(machine.made) - 2)


def test_a_machine_that_never_has_a_free_port_is_given_up(machine: Machine) -> None:
    """After some tries the error is told."""
    machine.refuses = [(V4, errno.EADDRINUSE)] * 100
    with pytest.raises(OSError, match=r"can't listen on 0\.0\.0\.0:0"):
        open_sockets("*", 0)
    assert 0 < len(machine.refuses) < 100


@needs_ipv6
def test_a_port_that_one_family_lacks_is_an_error(machine: Machine) -> None:
    """A port that was named must be had in both: half of the clients would reach somebody else. The first
    socket is closed again.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    machine.made.clear()
    machine.refuses = [(V6, errno.EADDRINUSE)]
    with pytest.raises(OSError, match=rf"\[::\]:{port}") as refused:
        open_sockets("*", port)
    assert refused.value.errno == errno.EADDRINUSE
    assert {each.fileno() for each in machine.made} == {-1}


def test_a_taken_port_is_named() -> None:
    """The error says the address and the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"can't listen on 127.0.0.1:{port}") as refused:
            open_sockets("127.0.0.1", port)
    assert refused.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("host", ["no such host", "nowhere.invalid", "[::1]", "x" * 300])
def test_a_host_that_is_none_is_named(host: str) -> None:
    """What is no address and no name is an OSError like any other, with the text as it was given."""
    with pytest.raises(OSError, match="can't listen on '") as refused:
        open_sockets(host, 0)
    assert host in str(refused.value)


@pytest.mark.parametrize(
    ("host", "expected"), [("0.0.0.0", [V4]), ("127.0.0.1", [V4]), pytest.param("::", [V6], marks=needs_ipv6)]
)
def test_an_address_is_that_alone(opened: list[socket.socket], host: str, expected: list[int]) -> None:
    """One family's wildcard is that family's alone."""
    opened += open_sockets(host, 0)
    assert families(opened) == expected


async def test_a_server_that_does_not_come_up_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where serving begins on one socket and fails on the next, none stays open."""
    made: list[socket.socket] = []

    def opening(host: str, port: int) -> list[socket.socket]:
        made.extend(open_sockets(host, port))
        made.append(socket.socket())  # not bound: listening on it is fine, but it is closed first
        made[-1].close()
        return list(made)

    monkeypatch.setattr("warren.http_server.open_sockets", opening)
    server = HttpServer(web.Application(), HttpLimits(5.0, 1.0))
    with pytest.raises(OSError, match="descriptor"):
        await server.start("127.0.0.1", 0)
    assert {each.fileno() for each in made} == {-1}
