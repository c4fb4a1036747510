"""Which part has which core, and that processes are on it with all their threads, and only meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.peers.placement import Placement, move, pinned, placement

# A process with a second thread and a child with its own; it ends with its input.
PROGRAM = """
import subprocess, sys, threading
child = subprocess.Popen([sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"], stdout=subprocess.PIPE)
child.stdout.readline()
threading.Thread(target=threading.Event().wait, daemon=True).start()
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def process() -> Iterator[tuple[int, int]]:
    """The ids of a process and of its child."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        yield running.pid, int(running.stdout.readline())
        running.communicate("")


def cores_of(pid: int) -> set[frozenset[int]]:
    threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    return {frozenset(os.sched_getaffinity(thread)) for thread in threads}


@pytest.mark.parametrize(
    ("cores", "store", "services", "generator"),
    [([1, 0], {0}, {1}, {0}), ([2, 5, 7], {2}, {5}, {7}), (range(8), {0}, {1}, {2, 3, 4, 5, 6, 7})],
)
def test_services_never_share_their_core(
    cores: list[int], store: set[int], services: set[int], generator: set[int]
) -> None:
    """The load generator is with the broker or store where there are two cores, and by itself where there are
    more.
    """
    where = placement(cores)
    assert where == Placement(frozenset(store), frozenset(services), frozenset(generator))


@pytest.mark.parametrize("cores", [[], [3]])
def test_one_core_cannot_be_divided(cores: list[int]) -> None:
    """The scenario is then skipped."""
    assert placement(cores) is None


def test_all_threads_and_descendants_are_moved(process: tuple[int, int]) -> None:
    """A thread left behind would make the figures those of two cores."""
    parent, child = process
    one = frozenset({max(os.sched_getaffinity(0))})
    assert len(list(Path(f"/proc/{parent}/task").iterdir())) == 2
    move([parent], one)
    assert cores_of(parent) == cores_of(child) == {one}


def test_the_store_and_this_process_are_free_again_afterwards(process: tuple[int, int]) -> None:
    """Even if the measurement fails; the next scenario is to have all cores."""
    before = frozenset(os.sched_getaffinity(0))
    first, last = frozenset({min(before)}), frozenset({max(before)})

    def fail() -> None:
        with pinned(Placement(store=first, services=last, generator=first), [process[0]], []):
            assert cores_of(process[0]) == {first}
            assert os.sched_getaffinity(0) == first
            raise RuntimeError("could not measure")

    with pytest.raises(RuntimeError, match="could not measure"):
        fail()
    assert os.sched_getaffinity(0) == before
    assert cores_of(process[0]) == cores_of(process[1]) == {before}


def test_a_core_that_there_is_not_is_a_clear_error(process: tuple[int, int]) -> None:
    """It fails this scenario of this peer, and not the whole run."""
    with pytest.raises(RuntimeError, match=r"a server can't be put on core \[1000\]"):
        move([process[0]], {1_000})


def test_processes_that_have_ended_are_skipped() -> None:
    """A server that dies is found by who runs the scenario."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    move([ended.pid], os.sched_getaffinity(0))
