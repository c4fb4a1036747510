"""Pages for tests of the JavaScript client: bundled from its sources, and served on a port of their own."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError

import pytest
from tests.support.ports import embedded_port

from rabbit_nodes.child import Child

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "clients/js/src"
SUB_PATHS = ("react", "sse", "storage", "tabs")
_NO_NPM = 3
_START_S = 30.0
_PAGE = "<!doctype html><meta charset=utf-8><link rel=icon href=data:,><title></title><body>{script}"


def js_tools(*packages: str) -> Path:
    """Return the folder that has esbuild, TypeScript, React and further packages; skip the test where there
    is no npm.
    """
    asked = subprocess.run(
        [ROOT / "scripts/js/tools", *packages], capture_output=True, text=True, check=False
    )
    if asked.returncode == _NO_NPM:
        pytest.skip(asked.stderr.strip())
    assert asked.returncode == 0, asked.stderr
    return Path(asked.stdout.strip())


def bundle(pages: Iterable[Path], folder: Path) -> None:
    """Make a page of each script: ``name.html`` and ``name.js``."""
    home = js_tools()
    aliases = [f"--alias:warren-client/{name}={SOURCES / name}.ts" for name in SUB_PATHS]
    options = ["--bundle", "--format=esm", "--target=es2022", "--jsx=automatic", f"--outdir={folder}"]
    # where esbuild looks for React, beside the sources' own folder
    env = {"PATH": "/usr/bin:/bin", "NODE_PATH": str(home / "node_modules")}
    made = subprocess.run(
        [
            home / "node_modules/.bin/esbuild",
            *pages,
            *options,
            *aliases,
            f"--alias:warren-client={SOURCES / 'index.ts'}",
        ],
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    assert made.returncode == 0, made.stderr
    for page in pages:
        script = f'<script type=module src="{page.stem}.js"></script>'
        (folder / f"{page.stem}.html").write_text(_PAGE.format(script=script))


def bundle_program(script: Path, made: Path) -> None:
    """Make one file for Node of a script and the client's sources that it imports."""
    options = ["--bundle", "--format=esm", "--platform=node", "--target=node20", "--log-level=warning"]
    esbuild = js_tools() / "node_modules/.bin/esbuild"
    subprocess.run([esbuild, script, *options, f"--outfile={made}"], check=True)


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path, port: int) -> Iterator[str]:
    """Serve a folder; give its address."""
    files = functools.partial(_Files, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), files) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.shutdown()
            thread.join()


def await_page(child: Child, port: int, log: Path, path: str = "/") -> None:
    """Wait until a server answers; ``log`` is what it writes."""
    ends = time.monotonic() + _START_S
    while time.monotonic() < ends:
        assert child.running, log.read_text()
        with (
            suppress(URLError, ConnectionError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1),
        ):
            return
        time.sleep(0.05)
    pytest.fail(f"no page within {_START_S} s:\n{log.read_text()}")


@contextmanager
def embedded(folder: Path, port: int = 0, **settings: str) -> Iterator[int]:
    """Run an embedded Warren; give the first gateway's port (0: a free one), whose neighbour is the second
    one's. ``folder`` takes its log, in which there may be no traceback at the end.
    """
    port, log = port or embedded_port(), folder / "log"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("WARREN_", "OTEL_"))}
    with log.open("wb") as output:
        command = [sys.executable, "-m", "embedded"]
        child = Child(command, env={**env, "PORT": str(port), **settings}, output=output, cwd=ROOT)
        try:
            await_page(child, port, log)
            yield port
        finally:
            child.kill()
    assert "Traceback" not in log.read_text(), log.read_text()
