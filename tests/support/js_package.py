"""The JavaScript client as npm packs it, and commands that end well."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.support.js_site import ROOT, js_tools

NPM = ["--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"]


def run(folder: Path, *command: str | Path, timeout_s: float = 240.0) -> str:
    """Run it to its end; return what it prints."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=timeout_s)
    assert done.returncode == 0, f"{command}: {done.stdout[-4_000:]}{done.stderr[-4_000:]}"
    return done.stdout


def packed(folder: Path) -> Path:
    """Return the package, built from a copy of the sources, since others build in the checkout meanwhile."""
    js_tools()
    shutil.copytree(
        ROOT / "clients/js",
        folder / "clients/js",
        ignore=shutil.ignore_patterns("node_modules", "dist", "test"),
    )
    shutil.copytree(ROOT / "scripts/js", folder / "scripts/js")
    shutil.copy(ROOT / "LICENSE", folder)
    # it is built first, which prints the sizes
    said = run(folder / "clients/js", "npm", "pack", "--json", "--pack-destination", folder)
    told = json.loads(said[said.index("\n[") :])
    files = {each["path"] for each in told[0]["files"]}
    for name in ("index", "core", "react", "sse", "storage", "tabs"):
        assert {f"dist/{kind}/{name}.{end}" for kind in ("esm", "cjs") for end in ("js", "d.ts")} <= files
    assert not [path for path in files if path.startswith(("test/", "support/", "node_modules/"))]
    return folder / str(told[0]["filename"])
