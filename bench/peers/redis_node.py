"""A private redis-server for the peers that need one: own port on the loopback, own folder, nothing
persisted.

It never touches a Redis that it did not start.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rabbit_nodes.child import Child
from rabbit_nodes.ports import free_port


class RedisNode:
    """One node; `with RedisNode() as redis:` blocks until it answers."""

    def __init__(self) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="warren-redis-"))
        self._child: Child | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"redis://{self.address}"

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._child is not None
        return self._child.pid

    def __enter__(self) -> Self:
        program = shutil.which("redis-server")
        if program is None:
            raise RuntimeError(
                "redis-server is not installed; on Debian or Ubuntu: apt-get install redis-server"
            )
        arguments = [
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self._folder),
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        with (self._folder / "output").open("wb") as output:
            self._child = Child([program, *arguments], env=os.environ, output=output, folder=self._folder)
        deadline = time.monotonic() + 20
        while self.ask("PING") != "+PONG":
            if not self._child.running or time.monotonic() > deadline:
                said = (self._folder / "output").read_text()
                self.__exit__(None, None, None)
                raise RuntimeError(f"redis-server did not start:\n{said[-2000:]}")
            time.sleep(0.05)
        return self

    def ask(self, command: str) -> str:
        """Send one command and return the first line of the answer, or "" if there is none."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 5) as connection,
        ):
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(4096).decode().split("\r\n")[0]
        return ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.end(5.0)
        shutil.rmtree(self._folder, ignore_errors=True)
