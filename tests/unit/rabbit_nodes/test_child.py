"""Children end with us, however we end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests.support.eventually import stretched

from rabbit_nodes.child import Child, end_all

ROOT = Path(__file__).parents[3]
STUBBORN = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 60; done"]


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + stretched(timeout_s)
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def lives(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A file for what a child prints."""
    return tmp_path / "output"


def start(arguments: list[str], output: Path) -> Child:
    with output.open("wb") as file:
        return Child(arguments, env=dict(os.environ), output=file)


def test_end_asks_first(output: Path) -> None:
    """A child that heeds SIGTERM ends by it, with its own exit code and well before the time is up."""
    child = start(["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done"], output)
    until(lambda: "ready" in output.read_text())
    assert child.running
    assert child.end(stretched(10.0)) == 7
    assert not child.running


def test_end_kills_what_does_not_heed(output: Path) -> None:
    """A child that ignores SIGTERM is killed with its own children once the time is up."""
    child = start(STUBBORN, output)
    until(lambda: "ready" in output.read_text() and len(psutil.Process(child.pid).children()) == 1)
    grandchild = psutil.Process(child.pid).children()[0].pid
    assert child.end(0.1) == -signal.SIGKILL
    until(lambda: not lives(grandchild))


def test_end_all_shares_one_deadline(tmp_path: Path) -> None:
    """Several stubborn children take one time-out together, not one each."""
    children = [start(STUBBORN, tmp_path / str(number)) for number in range(8)]
    until(lambda: all("ready" in (tmp_path / str(number)).read_text() for number in range(8)))
    began = time.monotonic()
    end_all(children, stretched(1.0))
    assert time.monotonic() - began < stretched(1.0) * 8
    assert [child.exit_code for child in children] == [-signal.SIGKILL] * 8


def test_a_paused_child_can_be_resumed_and_killed(output: Path) -> None:
    """SIGSTOP freezes the child, SIGCONT lets it go on, and a frozen one can be killed all the same."""
    # not a shell: one that waits for its vforked, stopped child is frozen too, but is not shown as such
    child = start([sys.executable, "-uc", "import time\nwhile True: print('tick'); time.sleep(0.01)"], output)
    until(lambda: "tick" in output.read_text())
    child.pause()
    until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
    child.resume()
    seen = output.stat().st_size
    until(lambda: output.stat().st_size > seen)
    child.pause()
    child.kill()
    assert child.exit_code == -signal.SIGKILL


def test_no_child_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL to the parent ends the child and its children, and removes the child's folder."""
    folder = tmp_path / "belongs to the child"
    folder.mkdir()
    script = (
        "import os, sys, time; from pathlib import Path; from rabbit_nodes.child import Child\n"
        "child = Child(['sh', '-c', 'sleep 60 & wait'], env=dict(os.environ), folder=Path(sys.argv[1]))\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
    until(lambda: len(psutil.Process(pid).children()) == 1)
    grandchild = psutil.Process(pid).children()[0].pid
    parent.kill()
    parent.wait()
    until(lambda: not lives(pid) and not lives(grandchild) and not folder.exists())
