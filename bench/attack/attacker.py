"""The attacker: many raw sockets, prebuilt bytes, one thread. A process that reads its orders from standard
input and reports on standard output.

It carries out one Swarm for the given number of seconds and then cuts all connections. It must cost as little
as possible: it builds nothing while it runs, and counts and discards what it receives. Loopback only.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import errno
import heapq
import json
import os
import resource
import selectors
import socket
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import jwt

from bench.attack import backend, catalogue
from bench.attack.frames import Listener
from bench.attack.plans import Flood, Scene, Swarm

READ = 1 << 18
TURN_S = 0.02  # the longest sleep
UPGRADING, OPEN, GONE = range(3)


class Connection:
    """One socket."""

    __slots__ = ("again_at", "began", "head", "listener", "mask", "number", "pending", "plain", "state")

    def __init__(self, number: int, plain: socket.socket, pending: bytes, began: float) -> None:
        self.number = number
        self.plain = plain
        self.state = UPGRADING
        self.pending = memoryview(pending)
        self.head = b""
        self.listener = Listener()
        self.began = began
        self.again_at = 0.0
        self.mask = 0


class Attacker:
    """All connections of one Swarm."""

    def __init__(self, url: str, swarm: Swarm, tokens: list[str]) -> None:
        parts = urlsplit(url)
        assert parts.hostname == "127.0.0.1", "only ever the loopback"
        self._address = (parts.hostname, parts.port or 80)
        self._swarm = swarm
        self._tokens = tokens
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, int]] = []  # (time, number, 0: connect, 1: repeat)
        self._alive: dict[int, Connection] = {}
        self.sent = self.received = self.opened = self.messages = self.failed = 0
        self.ends: collections.Counter[str] = collections.Counter()
        self.first_end: tuple[str, float] | None = None

    def run(self, seconds: float) -> None:
        """Attack for so many seconds."""
        swarm, began = self._swarm, time.monotonic()
        for number in range(swarm.connections):
            heapq.heappush(self._due, (began + number / swarm.opens_per_s, number, 0))
        end = began + seconds
        while (now := time.monotonic()) < end:
            while self._due and self._due[0][0] <= now:
                _, number, what = heapq.heappop(self._due)
                if what == 0:
                    self._connect(number, now)
                elif (one := self._alive.get(number)) is not None:
                    self._say_again(one, now)
            wait = min(TURN_S, end - now, *([self._due[0][0] - now] if self._due else []))
            for key, mask in self._selector.select(max(0.0, wait)):
                one = key.data
                if mask & selectors.EVENT_READ:
                    self._read(one)
                if mask & selectors.EVENT_WRITE and one.state != GONE:
                    self._write(one)
        for one in list(self._alive.values()):
            self._end(one, "still there", comes_back=False)

    def _connect(self, number: int, now: float) -> None:
        plain = socket.socket()
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._swarm.reads:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        with contextlib.suppress(BlockingIOError):
            plain.connect(self._address)
        one = Connection(number, plain, self._swarm.raw or self._request(number), now)
        self._alive[number] = one
        if self._swarm.raw:
            self._opened(one, now)
        self._watch(one)

    def _request(self, number: int) -> bytes:
        swarm = self._swarm
        offers = ["warren.v1.msgpack" if swarm.packed else "warren.v1"]
        if swarm.token:
            offers.append(f"bearer.{self._tokens[number % len(self._tokens)]}")
        key = base64.b64encode(os.urandom(16)).decode()
        extensions = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if swarm.deflate else ""
        return (
            f"GET {swarm.path} HTTP/1.1\r\nHost: 127.0.0.1:{self._address[1]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {', '.join(offers)}\r\n{extensions}"
        ).encode() + (swarm.headers + b"\r\n")

    def _opened(self, one: Connection, now: float) -> None:
        swarm = self._swarm
        one.state = OPEN
        self.opened += 1
        first = swarm.each(one.number) if swarm.each is not None else swarm.once
        if not swarm.raw:
            one.pending = memoryview(first)
        if swarm.every and swarm.again:
            heapq.heappush(self._due, (now + swarm.every, one.number, 1))

    def _say_again(self, one: Connection, now: float) -> None:
        if one.state == OPEN and not one.pending:
            one.pending = memoryview(self._swarm.again)
            self._watch(one)
        heapq.heappush(self._due, (now + self._swarm.every, one.number, 1))

    def _watch(self, one: Connection) -> None:
        swarm = self._swarm
        mask = 0
        if one.pending or (one.state == OPEN and swarm.again and not swarm.every):
            mask |= selectors.EVENT_WRITE
        if one.state == UPGRADING or swarm.reads:
            mask |= selectors.EVENT_READ
        if mask == one.mask:
            return
        if not one.mask:
            self._selector.register(one.plain, mask, one)
        elif not mask:
            self._selector.unregister(one.plain)
        else:
            self._selector.modify(one.plain, mask, one)
        one.mask = mask

    def _write(self, one: Connection) -> None:
        swarm = self._swarm
        if not one.pending and one.state == OPEN and swarm.again and not swarm.every:
            one.pending = memoryview(swarm.again)
        try:
            count = one.plain.send(one.pending)
        except BlockingIOError:
            return
        except OSError as error:
            self._gone(one, error)
            return
        self.sent += count
        one.pending = one.pending[count:]
        if not one.pending:
            if swarm.hangs_up and one.state == OPEN:
                self._end(one, "hung up")
                return
            self._watch(one)

    def _read(self, one: Connection) -> None:
        try:
            data = one.plain.recv(READ)
        except BlockingIOError:
            return
        except OSError as error:
            self._gone(one, error)
            return
        if not data:
            self._gone(one, None)
            return
        self.received += len(data)
        if one.state == UPGRADING:
            one.head += data
            head, found, rest = one.head.partition(b"\r\n\r\n")
            if not found:
                return
            status = head.split(b" ", 2)[1].decode(errors="replace")
            if status != "101":
                self._end(one, f"HTTP {status}")
                return
            data = rest
            self._opened(one, time.monotonic())
            self._watch(one)
        if self._swarm.raw or not data:
            return
        one.listener.feed(data)
        if one.listener.heard.code and not self._swarm.deaf_after:
            self._gone(one, None)

    def _gone(self, one: Connection, error: OSError | None) -> None:
        code = one.listener.heard.code
        if code:
            self._end(one, str(code))
        elif error is not None:
            self._end(one, errno.errorcode.get(error.errno or 0, "error"))
        else:
            self._end(one, "closed")

    def _end(self, one: Connection, how: str, *, comes_back: bool = True) -> None:
        now = time.monotonic()
        if one.mask:
            self._selector.unregister(one.plain)
        one.plain.close()
        one.state = GONE
        self._alive.pop(one.number, None)
        self.messages += one.listener.heard.messages
        self.ends[how] += 1
        if self.first_end is None and comes_back and how != "hung up":
            self.first_end = how, now - one.began
        if comes_back and self._swarm.returns is not None:
            heapq.heappush(self._due, (now + self._swarm.returns, one.number, 0))


def tokens_for(swarm: Swarm, secret: str) -> list[str]:
    """Return a token for each connection, each of another user; signed with another secret if they are to be
    invalid.
    """
    if not swarm.token:
        return [""]
    key = secret if swarm.token == "member" else secret[::-1]
    until = time.time() + 3_600
    return [
        jwt.encode({"sub": f"mallory{number}", "exp": until}, key, "HS256")
        for number in range(min(swarm.connections, 500))
    ]


def run(told: dict[str, Any]) -> dict[str, Any]:
    """Carry out one plan of an attack, and return the result."""
    origins = {room: (epoch, seq) for room, (epoch, seq) in told["origins"].items()}
    scene = Scene(told["seconds"], origins)
    plan = catalogue.find(told["name"]).plans(scene)[told["plan"]]
    if isinstance(plan, Flood):
        report = backend.flood(told["amqp"], plan, lambda: _begin(told))
    else:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        attacker = Attacker(told["url"], plan, tokens_for(plan, told["secret"]))
        attacker.run(_begin(told))
        report = {
            "sent": attacker.sent,
            "received": attacker.received,
            "messages": attacker.messages,
            "opened": attacker.opened,
            "ends": dict(attacker.ends.most_common(5)),
            "first_end": attacker.first_end,
        }
    return {**report, "cpu_s": time.process_time()}


def _begin(told: dict[str, Any]) -> float:
    """Wait until the attack begins (everything is prepared by then); return its duration in seconds."""
    print("ready", flush=True)
    sys.stdin.readline()
    return float(told["seconds"])


if __name__ == "__main__":
    with contextlib.suppress(OSError):
        os.nice(10)  # its own CPU must not be mistaken for its effect
    print(json.dumps(run(json.loads(sys.stdin.readline()))), flush=True)
