"""Installation: what is left of a bench that is ended from outside."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[3]
BENCH = """
import sys, tempfile, time
from pathlib import Path
from bench.installation import Process
folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
process = Process("router", {"WARREN_AMQP_URL": "amqp://127.0.0.1:1", "WARREN_ROUTER_INTERNAL_PORT": "0"}, 0, folder)
print(process.child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_bench_that_is_ended_leaves_no_process_and_no_folder(
    number: signal.Signals, tmp_path: Path
) -> None:
    """Not even where nothing in it could tidy up."""
    command = [sys.executable, "-c", BENCH, str(tmp_path)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as bench:
        assert bench.stdout is not None
        pid = int(bench.stdout.readline())
        assert psutil.pid_exists(pid)
        assert len(list(tmp_path.iterdir())) == 1
        bench.send_signal(number)
    asyncio.run(eventually(lambda: not psutil.pid_exists(pid) and not list(tmp_path.iterdir())))


FORMING = """
import sys, tempfile, time
tempfile.tempdir = sys.argv[1]
from rabbit_nodes.node import RabbitNode
from bench.installation import Installation
def start(node):
    print("starting", flush=True)
    time.sleep(60)
RabbitNode.start = start
with Installation():
    pass
"""


@pytest.mark.rabbit
def test_a_bench_that_is_told_to_end_while_it_starts_leaves_no_folder(tmp_path: Path) -> None:
    """SIGTERM unwinds it, also where no process runs yet, and the exit code says so."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
    command = [sys.executable, "-c", FORMING, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as bench:
        assert bench.stdout is not None
        assert bench.stdout.readline() == "starting\n"
        assert len(list(tmp_path.iterdir())) == 2
        bench.send_signal(signal.SIGTERM)
        assert bench.wait(20) == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
