"""Forked processes: what they have of their own, how they end, and that nothing of them outlives the server."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.eventually import eventually
from tests.support.fork_server import ForkedChild, ForkServer

pytestmark = pytest.mark.xdist_group("fork server")
WAIT_S = 60.0
ABOUT = """
import json, os, random, resource, sys
print(json.dumps({
    "argv": sys.argv[1:], "main": __name__, "path": sys.path[:2], "env": dict(os.environ), "cwd": os.getcwd(),
    "leads": os.getpid() == os.getpgid(0) == os.getsid(0), "parent": os.getppid(),
    "files": sorted(map(int, os.listdir("/proc/self/fd"))), "limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    "chance": random.random(), "hash": hash("x"),
    "imported": [name for name in ("gateway.app", "router.app", "gateway.__main__") if name in sys.modules],
}))
sys.exit(7)
"""
SLEEPER = """
import signal, subprocess, sys
child = subprocess.Popen(["sleep", "1000"])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print(child.pid, flush=True)
while True:
    signal.pause()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two programs."""
    for name, text in (("about", ABOUT), ("sleeper", SLEEPER)):
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def launch(server: ForkServer, module: str, folder: Path, **env: str) -> ForkedChild:
    with (folder / "said").open("wb") as output:
        return server.launch(module, env=env, output=output, cwd=folder)


def about(server: ForkServer, folder: Path, **env: str) -> dict[str, object]:
    """Run the program that tells of itself."""
    child = launch(server, "about", folder, **env)
    assert child.wait(WAIT_S) == 7, (folder / "said").read_text()
    told: dict[str, object] = json.loads((folder / "said").read_text())
    return told


async def sleeping(server: ForkServer, folder: Path) -> tuple[ForkedChild, int]:
    """Return a process that waits for signals, and the id of its own child."""
    child = launch(server, "sleeper", folder, PATH=os.environ["PATH"])
    said = await eventually(lambda: (folder / "said").read_text(), WAIT_S)
    return child, int(said)


def lives(pid: int) -> bool:
    """Whether there is a process of this id that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_it_has_what_a_process_started_by_itself_has(server: ForkServer, folder: Path) -> None:
    """Just the given environment, its folder first on the path, a session, no open file of anybody else's,
    and our limit of open files.
    """
    told = about(server, folder, GIVEN="1", PYTHONPATH="/somewhere")
    assert (told["argv"], told["main"], told["leads"]) == ([], "__main__", True)
    assert told["env"] == {"GIVEN": "1", "PYTHONPATH": "/somewhere"}
    assert (told["cwd"], told["path"]) == (str(folder), [str(folder), "/somewhere"])
    # The fourth is the one that lists them.
    assert told["files"] == [0, 1, 2, 3]
    assert told["limit"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_the_services_are_imported_and_not_begun(server: ForkServer, folder: Path) -> None:
    """Each process runs a service's ``__main__`` anew."""
    assert about(server, folder)["imported"] == ["gateway.app", "router.app"]


def test_two_have_different_chance(server: ForkServer, folder: Path) -> None:
    """Each draws other numbers; the hashes are the server's."""
    first, second = about(server, folder), about(server, folder)
    assert first["chance"] != second["chance"]
    assert first["hash"] == second["hash"]


async def test_signals_and_exit_codes_are_as_of_any_process(server: ForkServer, folder: Path) -> None:
    """SIGTERM reaches the process, which ends as it likes; SIGKILL ends its own child too."""
    child, own = await sleeping(server, folder)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.05)
    assert child.running
    child.send(signal.SIGTERM)
    assert child.wait(WAIT_S) == 3
    assert not child.running
    assert lives(own)
    child.kill()
    await eventually(lambda: not lives(own), WAIT_S)
    child, own = await sleeping(server, folder)
    child.pause()
    child.kill()
    assert child.exit_code == -signal.SIGKILL
    await eventually(lambda: not lives(own), WAIT_S)


def test_a_program_that_is_not_there_says_so(server: ForkServer, folder: Path) -> None:
    """As Python does, with exit code 1."""
    child = launch(server, "nobody", folder)
    assert child.wait(WAIT_S) == 1
    assert "No module named nobody" in (folder / "said").read_text()


@contextmanager
def holding(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a server and a process of it; it says their ids."""
    holder = (
        "import os, pathlib, signal\n"
        "from tests.support.fork_server import ForkServer\n"
        "server = ForkServer()\n"
        "with open('said', 'wb') as output:\n"
        "    child = server.launch('sleeper', env=dict(os.environ), output=output, cwd=pathlib.Path.cwd())\n"
        "print(server.pid, child.pid, flush=True)\n"
        "signal.pause()\n"
    )
    root = str(Path(__file__).parents[3])
    process = subprocess.Popen(
        [sys.executable, "-c", holder],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": root},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process


async def test_nothing_outlives_who_holds_the_server(folder: Path) -> None:
    """Where that process is killed, the server and all that it forked end."""
    with holding(folder) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        own = int(await eventually(lambda: (folder / "said").read_text(), WAIT_S))
        assert all(map(lives, [*pids, own]))
        process.kill()
    await eventually(lambda: not any(map(lives, [*pids, own])), WAIT_S)


def test_a_server_that_has_ended_is_said(folder: Path) -> None:
    """Whoever asks it for a process hears that."""
    server = ForkServer()
    server.close()
    with pytest.raises(RuntimeError, match="the fork server has ended"):
        launch(server, "about", folder)
