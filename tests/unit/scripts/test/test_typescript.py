"""scripts/test/typescript where it can't work, and what it makes of the document's examples; a stand-in
plays the compiler.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[4]
REAL = ("bash", "awk", "cp", "dirname", "find", "mktemp", "rm", "tail", "wc", "mkdir", "cat")


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


def test_without_npm_it_says_so(tmp_path: Path) -> None:
    """One line, and an exit code of its own."""
    done = check(tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "typescript: npm is missing, so the TypeScript examples are not compiled"
    ]


def test_without_a_network_it_says_so(tmp_path: Path) -> None:
    """What npm says last is passed on."""
    done = check(tmp_path, node="exit 0", npm="echo no network; exit 1")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].endswith(": no network")


def test_the_blocks_of_the_document_are_compiled_beside_the_declarations(tmp_path: Path) -> None:
    """Each block goes into a file of its own, strictly; an error of the compiler's fails the script."""
    compiler = tmp_path / "cache/warren/typescript-5.9.3/node_modules/typescript/bin/tsc"
    compiler.parent.mkdir(parents=True)
    compiler.touch()
    document = tmp_path / "README.md"
    document.write_text("a\n```ts\none();\n```\n```sh\nnot\n```\n```ts\ntwo();\n```\n")
    seen = (
        'for a in "$@"; do case $a in *.ts) cat "$a" >> "$TMPDIR/seen";; *) echo "$a" >> '
        '"$TMPDIR/flags";; esac; done'
    )
    done = check(tmp_path, str(document), node=seen, npm="exit 1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 TypeScript example(s)" in done.stdout
    text = (tmp_path / "seen").read_text()
    assert text.startswith("one();\ntwo();\n")
    assert "class WarrenClient" in text
    assert "--strict" in (tmp_path / "flags").read_text().split()


def test_a_document_without_examples_fails(tmp_path: Path) -> None:
    """So that a renamed block is not a check of nothing."""
    compiler = tmp_path / "cache/warren/typescript-5.9.3/node_modules/typescript/bin/tsc"
    compiler.parent.mkdir(parents=True)
    compiler.touch()
    document = tmp_path / "README.md"
    document.write_text("nothing\n")
    done = check(tmp_path, str(document), node="exit 0", npm="exit 1")
    assert done.returncode not in (0, 3)
    assert "no ```ts block" in done.stderr
