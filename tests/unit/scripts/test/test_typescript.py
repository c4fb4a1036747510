"""scripts/test/typescript where it can't work, and what it makes of the document's examples; a stand-in
plays the compiler.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[4]
REAL = (
    "bash",
    "awk",
    "cp",
    "dirname",
    "find",
    "mktemp",
    "rm",
    "tail",
    "wc",
    "mkdir",
    "cat",
    "ln",
    "flock",
    "touch",
)


def check(folder: Path, *arguments: str, **programs: str) -> subprocess.CompletedProcess[str]:
    """Run it on a PATH of a few real programs and these stand-ins (name and body)."""
    path = folder / "bin"
    path.mkdir()
    for name in REAL:
        for place in ("/usr/bin", "/bin"):
            if (Path(place) / name).exists():
                (path / name).symlink_to(Path(place) / name)
                break
    for name, body in programs.items():
        (path / name).write_text(f"#!/bin/sh\n{body}\n")
        (path / name).chmod(0o755)
    env = {"PATH": str(path), "XDG_CACHE_HOME": str(folder / "cache"), "TMPDIR": str(folder)}
    script = ROOT / "scripts/test/typescript"
    return subprocess.run(
        [path / "bash", script, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def fetched(folder: Path) -> None:
    """Have the tools in the cache already."""
    name = re.search(r"^packages=\((.*) \"\$@\"\)$", (ROOT / "scripts/js/tools").read_text(), re.MULTILINE)
    assert name is not None
    tools = folder / "cache/warren/js" / name[1].replace("@", "-").replace("/", "-").replace(" ", "_")
    tools.mkdir(parents=True)
    (tools / "complete").touch()


def test_without_npm_it_says_so(tmp_path: Path) -> None:
    """One line, and an exit code of its own."""
    done = check(tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines() == ["js: npm is missing, so the JavaScript client can't be built"]


def test_without_a_network_it_says_so(tmp_path: Path) -> None:
    """What npm says last is passed on."""
    done = check(tmp_path, node="exit 0", npm="echo no network; exit 1")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].endswith(": no network")


def test_the_blocks_of_the_document_are_compiled_against_the_package(tmp_path: Path) -> None:
    """Each block goes into a file of its own, strictly; an error of the compiler's fails the script."""
    fetched(tmp_path)
    document = tmp_path / "README.md"
    document.write_text("a\n```ts\none();\n```\n```sh\nnot\n```\n```ts\ntwo();\n```\n")
    seen = (
        'for a in "$@"; do case $a in *.ts) cat "$a" >> "$TMPDIR/seen";; *) echo "$a" >> '
        '"$TMPDIR/flags";; esac; done; '
        'cat "$TMPDIR"/tmp.*/node_modules/warren-client/package.json > "$TMPDIR/package" 2>&1 || true'
    )
    done = check(tmp_path, str(document), node=seen, npm="exit 1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 TypeScript example(s)" in done.stdout
    assert (tmp_path / "seen").read_text() == "one();\ntwo();\n"
    assert '"name": "warren-client"' in (tmp_path / "package").read_text()
    assert "--strict" in (tmp_path / "flags").read_text().split()


def test_a_document_without_examples_fails(tmp_path: Path) -> None:
    """So that a renamed block is not a check of nothing."""
    fetched(tmp_path)
    document = tmp_path / "README.md"
    document.write_text("nothing\n")
    done = check(tmp_path, str(document), node="exit 0", npm="exit 1")
    assert done.returncode not in (0, 3)
    assert "no ```ts block" in done.stderr
