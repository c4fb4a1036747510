"""Which cores the services, the broker or store, and the load generator run on when each is to have its own.

It moves processes that are there and starts none; it never moves a process that it was not given.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Placement:
    """The cores of each part, as the system counts them."""

    store: frozenset[int]
    services: frozenset[int]
    generator: frozenset[int]


def placement(cores: Iterable[int]) -> Placement | None:
    """Divide the cores: one for the broker or store, one for all services, what remains for the load
    generator. With two cores, the generator shares that of the broker or store: the services are what is
    compared, so nothing else takes from theirs. None: there are fewer than two cores.
    """
    ordered = sorted(cores)
    if len(ordered) < 2:
        return None
    store, services, *rest = ordered
    return Placement(frozenset({store}), frozenset({services}), frozenset(rest or {store}))


@contextmanager
def pinned(where: Placement, store: Sequence[int], services: Sequence[int]) -> Iterator[None]:
    """Keep the processes (by id, with their descendants) on their cores, and this process on the generator's,
    which a child process inherits. The store and this process have their former cores back afterwards.
    """
    before = os.sched_getaffinity(0)
    try:
        move(services, where.services)
        move(store, where.store)
        os.sched_setaffinity(0, where.generator)
        yield
    finally:
        os.sched_setaffinity(0, before)
        move(store, before)  # it outlives the peer, and the next peer is to find it as this one did


def move(pids: Iterable[int], cores: Iterable[int]) -> None:
    """Put all threads of the processes and of their descendants on these cores. Processes that have ended are
    skipped. Raises RuntimeError if the system refuses it.
    """
    on = frozenset(cores)
    moved: set[int] = set()
    # A thread that one still to be moved has started meanwhile is found in the next round; a moved one's
    # threads inherit its cores.
    while found := {thread for pid in pids for thread in _threads(pid)} - moved:
        for thread in found:
            try:
                os.sched_setaffinity(thread, on)
            except ProcessLookupError:
                pass
            except OSError as error:
                raise RuntimeError(f"a server can't be put on core {sorted(on)}: {error.strerror}") from error
        moved |= found


def _threads(pid: int) -> Iterator[int]:
    processes = [pid]
    with contextlib.suppress(psutil.NoSuchProcess):
        processes += [child.pid for child in psutil.Process(pid).children(recursive=True)]
    for process in processes:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield from [int(task.name) for task in Path(f"/proc/{process}/task").iterdir()]
