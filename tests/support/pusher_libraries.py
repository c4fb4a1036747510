"""The official Pusher libraries, fetched by scripts/test/pusher, in processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import subprocess
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from tests.support.eventually import eventually, stretched
from tests.support.pusher import APP, KEY, SECRET

ROOT = Path(__file__).parents[2]
# Of 32 bytes, for encrypted channels.
MASTER_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
HERE = ROOT / "tests" / "pusher"


def fetched() -> Path:
    """Return the folder with the libraries; skip the test where they can't be had."""
    said = subprocess.run([ROOT / "scripts/test/pusher"], capture_output=True, text=True, check=False)
    if said.returncode == 3:
        pytest.skip(said.stderr.strip())
    assert said.returncode == 0, said.stderr
    return Path(said.stdout.strip().splitlines()[-1])


class Clients:
    """Clients on pusher-js and laravel-echo, and a backend on the library for Node.js. What they were told is in
    ``told``.
    """

    def __init__(
        self, home: Path, api_port: int, app: str = APP, key: str = KEY, secret: str = SECRET
    ) -> None:
        self._home = home
        self._settings = {
            "appId": app,
            "key": key,
            "secret": secret,
            "apiPort": api_port,
            "masterKey": MASTER_KEY,
        }
        self.told: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._process: Process
        self._reader: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            "node", HERE / "clients.mjs", self._home, json.dumps(self._settings), stdin=PIPE, stdout=PIPE
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            if "id" in said and ("result" in said or "failed" in said):
                answer = self._answers.pop(said["id"])
                if not answer.done():
                    answer.set_result(said)
            else:
                self.told.append(said)

    async def do(self, command: str, **said: Any) -> Any:
        """Have something done; return what came of it. Raises AssertionError where it fails."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "command": command, **said}).encode() + b"\n")
        found = await asyncio.wait_for(answer, stretched(20))
        assert "failed" not in found, found["failed"]
        return found["result"]

    def of(self, name: str, **wanted: Any) -> list[dict[str, Any]]:
        """Return what one was told that has these fields."""
        return [
            told
            for told in self.told
            if told.get("name") == name and all(told.get(field) == value for field, value in wanted.items())
        ]

    async def expect(self, name: str, count: int = 1, **wanted: Any) -> dict[str, Any]:
        """Wait for what one is told; return the last of so many."""
        await eventually(
            lambda: len(self.of(name, **wanted)) >= count, 20, what=f"{name} {wanted}: {self.told[-20:]}"
        )
        return self.of(name, **wanted)[count - 1]

    async def connected(self, name: str, port: int, user: str) -> str:
        """Connect one; return its socket_id."""
        await self.do("connect", name=name, port=port, user=user)
        return str((await self.expect(name, state="connected"))["socketId"])


class PythonBackend:
    """A backend on the library for Python."""

    def __init__(
        self, home: Path, api_port: int, app: str = APP, key: str = KEY, secret: str = SECRET
    ) -> None:
        self._command = [home / "python/bin/python", HERE / "backend.py", app, key, secret, str(api_port)]
        self._process: Process

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the library; return what it returns, or what it raises as a text."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        said = json.dumps({"call": name, "args": args, "kwargs": kwargs})
        self._process.stdin.write(said.encode() + b"\n")
        line = await asyncio.wait_for(self._process.stdout.readline(), stretched(20))
        found = json.loads(line)
        return found["failed"] if "failed" in found else found["result"]
