"""scripts/test/asyncapi where it can't work, and what it does with what the parser says; a stand-in plays it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
REAL = ("bash", "dirname", "mkdir", "tail")


def check(folder: Path, *arguments: str, **programs: str) -> subprocess.CompletedProcess[str]:
    """Run it on a PATH of a few real programs and these stand-ins (name and body)."""
    path = folder / "bin"
    path.mkdir()
    for name in REAL:
        found = shutil.which(name)
        assert found
        (path / name).symlink_to(found)
    for name, body in programs.items():
        (path / name).write_text(f"#!/bin/sh\n{body}\n")
        (path / name).chmod(0o755)
    env = {"PATH": str(path), "XDG_CACHE_HOME": str(folder / "cache"), "TMPDIR": str(folder)}
    script = ROOT / "scripts/test/asyncapi"
    return subprocess.run(
        [path / "bash", script, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_without_npm_it_says_so(tmp_path: Path) -> None:
    """One line, and an exit code of its own."""
    done = check(tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "asyncapi: npm is missing, so AsyncAPI's parser does not read the document"
    ]


def test_without_a_network_it_says_so(tmp_path: Path) -> None:
    """What npm says last is passed on."""
    done = check(tmp_path, node="exit 0", npm="echo no network; exit 1")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].endswith(": no network")


@pytest.mark.parametrize("severity", [0, 1, 2])
def test_errors_and_warnings_fail_it(tmp_path: Path, severity: int) -> None:
    """Information does not: that there is a newer version of AsyncAPI is none of our faults."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    parser = tmp_path / "cache/warren/asyncapi-parser-3.6.6/node_modules/@asyncapi/parser"
    parser.mkdir(parents=True)
    (parser / "package.json").write_text('{"main": "index.js"}')
    (parser / "index.js").write_text(
        "const none = { all: () => [] }; const document = { version: () => '3.0.0', channels: () => none, "
        "operations: () => none, messages: () => none }; exports.Parser = class { async parse(text) { return "
        f"{{ document, diagnostics: [{{ severity: {severity}, path: ['info'], message: text.trim() }}] }} }} }}"
    )
    text = tmp_path / "document.json"
    text.write_text("what it says\n")
    done = check(tmp_path, str(text), node=f'exec {node} "$@"', npm="exit 1")
    assert done.returncode == (0 if severity == 2 else 1)
    assert ("info: what it says" in done.stderr) == (severity < 2)
