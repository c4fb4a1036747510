"""Child processes that never outlive us: each in a session of its own, each with a guard that ends it when we
die.

The guard is a shell that waits for the end of a pipe that only we hold. However we go, even by SIGKILL, the
pipe closes and the guard kills the child's whole process group and removes its folder. (PR_SET_PDEATHSIG
would not do: it fires when the *thread* that started the child ends, and says nothing to grandchildren.) This
module never reads what a child prints.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

_GUARD = 'read -r _; kill -s KILL -- "-$1" 2>/dev/null; if [ -n "$2" ]; then sleep 0.2; rm -rf -- "$2"; fi'


class Child:
    """One child process in its own process group. Start it by constructing it; ``end`` or ``kill`` it exactly
    once you are done.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        output: IO[bytes] | int | None = None,
        cwd: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        """``output`` takes stdout and stderr (None: ours); ``folder`` is removed if we die without having
        ended the child.
        """
        self._process = subprocess.Popen(
            [str(argument) for argument in arguments],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output if output is None else subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", str(self.pid), str(folder or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def exit_code(self) -> int | None:
        """The exit code (negative: the signal that ended it), None while it runs."""
        return self._process.poll()

    @property
    def running(self) -> bool:
        """Whether it runs (a paused one does)."""
        return self.exit_code is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the child alone; nothing happens where it is gone already."""
        self._process.send_signal(number)

    def pause(self) -> None:
        """Freeze the whole process group."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process group go on."""
        self._signal_group(signal.SIGCONT)

    def wait(self, timeout_s: float) -> int:
        """Wait for the end and return the exit code; raise ``subprocess.TimeoutExpired``."""
        return self._process.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL to the whole process group, at once; returns when the child is gone."""
        self._signal_group(signal.SIGKILL)
        self._process.wait()
        self._dismiss_guard()

    def end(self, timeout_s: float) -> int:
        """SIGTERM, then SIGKILL for what is still there after ``timeout_s``; return the exit code."""
        self.send(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        self.kill()
        return self._process.wait()

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _dismiss_guard(self) -> None:
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()


def end_all(children: Iterable[Child], timeout_s: float) -> None:
    """SIGTERM to all at once, then SIGKILL for those still there after ``timeout_s`` in all."""
    remaining = list(children)
    deadline = time.monotonic() + timeout_s
    for child in remaining:
        child.send(signal.SIGTERM)
    for child in remaining:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(0.0, deadline - time.monotonic()))
    for child in remaining:
        child.kill()
