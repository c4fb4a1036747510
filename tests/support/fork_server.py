"""A fork server: a process that has imported the services once, and forks each pod from itself.

A pod that is forked begins where ``python -m gateway`` is after its imports, which are most of what a start
costs. It is a process like any other: a session, an environment, a folder and open files of its own, and an
exit code; nothing of the server's is open in it. What the server does not hand on is the seed of Python's
hashes, which all pods of one server share: whoever wants pods that differ in it has two servers. The server
has no thread and no event loop, and ends with the process that holds it, together with all that it forked.

``python -m tests.support.fork_server FD`` is the server; FD is its end of a socket pair.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
# Everything that a pod imports before it serves.
PRELOADED = ("gateway.app", "router.app", "warren.telemetry")
MAIN = ("gateway.__main__", "router.__main__")
# Of one request: an environment.
_MOST_BYTES = 1 << 20
# More than the server ever has.
_OPEN_FILES = 4096


class ForkedChild:
    """One process that a fork server has made, in a process group of its own; as ``Child`` is used."""

    def __init__(self, pid: int, status: int) -> None:
        """``status`` is the reading end of the pipe into which the server writes the exit code."""
        self.pid = pid
        self._status = status
        self._code: int | None = None
        self._lock = threading.Lock()  # one thread may wait while another looks
        os.set_blocking(status, False)

    @property
    def exit_code(self) -> int | None:
        """The exit code (negative: the signal that ended it), None while it runs. Raises RuntimeError where
        the server is gone.
        """
        with self._lock:
            if self._code is None:
                with contextlib.suppress(BlockingIOError):
                    said = os.read(self._status, 16)
                    os.close(self._status)
                    if not said:
                        self._code = -signal.SIGKILL
                        raise RuntimeError(f"the server that forked {self.pid} has ended")
                    self._code = int(said)
            return self._code

    @property
    def running(self) -> bool:
        """Whether it runs (a paused one does)."""
        return self.exit_code is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone; nothing happens where it is gone already."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def pause(self) -> None:
        """Freeze the whole process group."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process group go on."""
        self._signal_group(signal.SIGCONT)

    def wait(self, timeout_s: float) -> int:
        """Wait for the end and return the exit code; raise ``subprocess.TimeoutExpired``."""
        deadline = time.monotonic() + timeout_s
        while (code := self.exit_code) is None:
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout_s)
            ready = select.poll()
            ready.register(self._status, select.POLLIN)
            ready.poll(min(remaining_s, 1.0) * 1_000)
        return code

    def kill(self) -> None:
        """SIGKILL to the whole process group, at once; returns when the process is gone."""
        self._signal_group(signal.SIGKILL)
        self.wait(60.0)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class ForkServer:
    """A server, and the end of it that asks. It takes a second until it forks its first process."""

    def __init__(self) -> None:
        """The server begins to import at once, and nobody waits for it here."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("WARREN_", "OTEL_"))
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())],
                cwd=ROOT,
                env=inherited,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    def launch(self, module: str, *, env: Mapping[str, str], output: IO[bytes], cwd: Path) -> ForkedChild:
        """Fork what ``python -m module`` would be, with just this environment. Raises RuntimeError where the
        server has ended.
        """
        request = {
            "module": module,
            "env": dict(env),
            "cwd": str(cwd),
            "open_files": resource.getrlimit(resource.RLIMIT_NOFILE),
        }
        reading, writing = os.pipe()
        try:
            socket.send_fds(self._socket, [json.dumps(request).encode()], [output.fileno(), writing])
            said = self._socket.recv(16)
        except OSError:
            said = b""
        finally:
            os.close(writing)
        if not said:
            os.close(reading)
            raise RuntimeError(f"the fork server has ended with {self._process.poll()}")
        return ForkedChild(int(said), reading)

    def close(self) -> None:
        """End the server and all that it has forked."""
        self._socket.close()
        self._process.wait()


@dataclass(frozen=True, slots=True)
class _Request:
    """What a new process begins with."""

    module: str
    env: dict[str, str]
    cwd: str
    open_files: tuple[int, int]
    output: int

    def become(self) -> None:
        """Turn this process, a fresh fork, into one that was started by itself."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(self.output, 1)
        os.dup2(self.output, 2)
        os.closerange(3, _OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, self.open_files)
        os.chdir(self.cwd)
        os.environ.clear()
        os.environ.update(self.env)
        time.tzset()
        paths = [path for path in self.env.get("PYTHONPATH", "").split(os.pathsep) if path]
        sys.path[:1] = [self.cwd, *paths]
        sys.argv = [self.module]
        importlib.invalidate_caches()


class _Server:
    """The server's side."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._statuses: dict[int, int] = {}  # process ▶ the pipe that takes its exit code

    def run(self) -> _Request | None:
        """Serve until the other side is gone, and return None; in each fork return what it is to be."""
        reading, writing = os.pipe()
        for end in (reading, writing):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        control = self._control.fileno()
        while True:
            ready, _, _ = select.select([control, reading], [], [])
            if reading in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(reading, 4096)
                self._reap()
            if control in ready:
                said, descriptors, _, _ = socket.recv_fds(self._control, _MOST_BYTES, 2)
                if not said:
                    self._end()
                    return None
                if (request := self._fork(json.loads(said), *descriptors)) is not None:
                    return request

    def _fork(self, wanted: dict[str, Any], output: int, status: int) -> _Request | None:
        begun, begins = os.pipe()
        pid = os.fork()
        if not pid:
            # Signals are sent to the group: nobody hears of the process before it has one.
            os.setsid()
            os.close(begins)
            limits = tuple(wanted.pop("open_files"))
            return _Request(**wanted, open_files=limits, output=output)
        os.close(begins)
        os.read(begun, 1)
        os.close(begun)
        os.close(output)
        self._statuses[pid] = status
        self._control.send(str(pid).encode())
        return None

    def _reap(self) -> None:
        for pid, status in list(self._statuses.items()):
            found, code = os.waitpid(pid, os.WNOHANG)
            if found:
                with contextlib.suppress(BrokenPipeError):
                    os.write(status, str(os.waitstatus_to_exitcode(code)).encode())
                os.close(status)
                del self._statuses[pid]

    def _end(self) -> None:
        for pid in self._statuses:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def main() -> None:
    """Be the server, and in each fork be what was asked for."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in (*PRELOADED, *MAIN):
        importlib.import_module(name)
    for name in MAIN:  # each pod runs it anew, as a program
        del sys.modules[name]
    request = _Server(control).run()
    if request is None:
        return
    control.detach()
    request.become()
    runpy.run_module(request.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
