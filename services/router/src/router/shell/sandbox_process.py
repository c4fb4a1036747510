"""SandboxProcess: has work tried out in a process of its own, which may freeze, crash or run out of memory in
the place of this one.

The process is a fork, so that it has just what this one has; it handles one piece of work after the other,
says so after each, and ends. The kernel ends it where one takes longer than the bound, and bounds its memory.
Whoever fails is tried once more, alone: a machine that stood still for a moment condemns nobody. It changes
nothing in this process and opens no socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from warren.logs import event, get_logger

# how long one piece of work may take; a whole batch of the largest size takes some milliseconds
ENTRY_S = 5.0
MEMORY_BYTES = 256 * 1024 * 1024  # how much more memory than this process it may take
AT_ONCE = 256  # pieces that one process tries
# Where the kernel's own timer does not end it, we do.
GRACE_S = 5.0
POISON = "poison"
_PASSED = b"+"
_NO_MEMORY = 71
_ABORTED = 70

Work = Callable[[], object]

_logger = get_logger("router.sandbox_process")


class SandboxProcess:
    """Tries work out in processes of their own, one process at a time."""

    def __init__(self, entry_s: float = ENTRY_S, memory_bytes: int = MEMORY_BYTES) -> None:
        """Nothing is started before ``tried``."""
        self._entry_s = entry_s
        self._memory_bytes = memory_bytes
        self._turn = asyncio.Lock()

    async def tried(self, works: Sequence[Work]) -> list[str]:
        """Try pieces of work in their order; return for each why it must not be done here, empty where it
        may. What a piece returns or raises (an Exception) is no matter: it comes to its end.
        """
        reasons: list[str] = []
        while len(reasons) < len(works):
            rest = works[len(reasons) : len(reasons) + AT_ONCE]
            # Whoever else has something tried has its turn between two processes: a row of poison does not
            # hold it up for long.
            async with self._turn:
                passed, why = await self._run(rest)
            reasons += [""] * passed
            if why:
                async with self._turn:
                    again, why = await self._run(rest[passed : passed + 1])
                reasons.append("" if again else why)
        return reasons

    async def _run(self, works: Sequence[Work]) -> tuple[int, str]:
        """Return how many have come to their end, and what became of the next one."""
        try:
            pid, pipe = self._fork(works)
        except OSError as error:
            # Nobody is condemned for it: what is handed on is handled as a first try is, and the queue's
            # delivery limit is the last resort.
            event(_logger, "sandbox_failed", level=logging.ERROR, reason=str(error))
            return len(works), ""
        status: int | None = None
        try:
            passed, late = await self._progress(pipe, pid)
            status = await asyncio.shield(asyncio.to_thread(_reaped, pid))
        finally:
            os.close(pipe)
            if status is None:
                _kill(pid)
                _reaped(pid)
        if passed < 0:  # it never came to the first piece, which is no fault of that
            event(
                _logger,
                "sandbox_failed",
                level=logging.ERROR,
                reason=f"it ended before it began, with {status}",
            )
            return len(works), ""
        return passed, "" if passed == len(works) else self._reason(status, late=late)

    async def _progress(self, pipe: int, pid: int) -> tuple[int, bool]:
        """Count what comes to its end until the process is gone (-1: it never began); and whether it was we
        who ended it.
        """
        loop = asyncio.get_running_loop()
        news, passed, late = asyncio.Event(), -1, False
        loop.add_reader(pipe, news.set)
        try:
            while True:
                try:
                    async with asyncio.timeout(self._entry_s + GRACE_S):
                        await news.wait()
                except TimeoutError:
                    late = True
                    _kill(pid)
                    continue
                news.clear()
                try:
                    said = os.read(pipe, AT_ONCE)
                except BlockingIOError:  # the loop told of the same bytes twice
                    continue
                if not said:
                    return passed, late
                passed += len(said)
        finally:
            loop.remove_reader(pipe)

    def _reason(self, status: int, *, late: bool) -> str:
        if late or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM):
            return f"{POISON}: it takes longer than {self._entry_s:g} s"
        if os.WIFSIGNALED(status):
            return f"{POISON}: it ends the process by {signal.Signals(os.WTERMSIG(status)).name}"
        if os.WEXITSTATUS(status) == _NO_MEMORY:
            return f"{POISON}: it takes more than {self._memory_bytes >> 20} MiB of memory"
        return f"{POISON}: it ends the process"

    def _fork(self, works: Sequence[Work]) -> tuple[int, int]:
        """Begin the process; return its id and the pipe that it tells its progress by."""
        reading, writing = os.pipe()
        try:
            with warnings.catch_warnings():
                # Of threads that this process may have (a tracing exporter's) the new one has none, and waits
                # for none.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
        except OSError:
            os.close(reading)
            os.close(writing)
            raise
        if not pid:
            self._inside(writing, works)
        os.close(writing)
        os.set_blocking(reading, False)  # the event loop must not wait for what the new process does
        return pid, reading

    def _inside(self, pipe: int, works: Sequence[Work]) -> NoReturn:
        """Be the new process. Whatever happens, nothing of the old one's is run or said, and no connection of
        it is held open.
        """
        try:
            signal.set_wakeup_fd(-1)
            for each in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
                signal.signal(each, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM, signal.SIGTERM})
            _close_all_but(pipe)
            gc.disable()
            _go_first()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            _bound_memory(self._memory_bytes)
            os.write(pipe, _PASSED)  # it has begun
            for work in works:
                signal.setitimer(signal.ITIMER_REAL, self._entry_s)
                try:
                    work()
                except MemoryError:
                    os._exit(_NO_MEMORY)
                except Exception:  # noqa: BLE001, S110 - whoever does the work in earnest hears of it
                    pass
                os.write(pipe, _PASSED)
            os._exit(0)
        finally:
            os._exit(_ABORTED)


def _close_all_but(kept: int) -> None:
    """Close every file of this process but ``kept`` and the standard ones. The limit of open files may be a
    thousand million: what is open is looked up.
    """
    try:
        files = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - nothing but its names
    except (OSError, ValueError):
        files = list(range(3, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 65_536)))
    for file in files:
        if file > 2 and file != kept:
            with contextlib.suppress(OSError):
                os.close(file)


def _go_first() -> None:
    """Where memory runs out, the kernel is to end this process and not the router."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _bound_memory(more: int) -> None:
    """Let this process have so much more memory than it has."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return  # no Linux: the time is bounded all the same
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = pages * resource.getpagesize() + more
    if hard == resource.RLIM_INFINITY or wanted < hard:
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _reaped(pid: int) -> int:
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:  # reaped while the waiting was given up
        return 0
