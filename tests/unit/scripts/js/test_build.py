"""scripts/js/build on a copy of the client: what is committed must be what the sources make, within budgets."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def tools() -> str:
    """The folder with esbuild; without npm there is nothing to test."""
    found = subprocess.run([ROOT / "scripts/js/tools"], capture_output=True, text=True, check=False)
    if found.returncode == 3:
        pytest.skip(found.stderr.strip())
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


class Copy:
    """A copy of the client and its build."""

    def __init__(self, folder: Path, tools: str) -> None:
        self.client = folder / "clients/js"
        self._folder, self._tools = folder, tools
        names = ("src", "entries.json", "package.json", "README.md", "LICENSE", "warren.js")
        self.client.mkdir(parents=True)
        for name in names:
            source = ROOT / "clients/js" / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, self.client / name)
        shutil.copytree(ROOT / "scripts/js", folder / "scripts/js")
        shutil.copy(ROOT / "LICENSE", folder / "LICENSE")

    def build(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it, without types."""
        command: list[str | Path] = ["node", self._folder / "scripts/js/build.mjs", self._tools, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a file of the client's."""
        text = (self.client / name).read_text()
        assert old in text
        (self.client / name).write_text(text.replace(old, new))


@pytest.fixture
def copy(tmp_path: Path, tools: str) -> Copy:
    """A copy that a test may change."""
    return Copy(tmp_path, tools)


def test_what_is_committed_is_what_the_sources_make(copy: Copy) -> None:
    """A change of the sources is found, and not mended by a check; a build mends it."""
    assert copy.build("--check").stderr == ""
    before = (copy.client / "warren.js").read_text()
    copy.edit("src/link.ts", '"No answer"', '"No answer at all"')
    done = copy.build("--check")
    assert done.returncode == 1
    assert "js: clients/js/warren.js is not in step with clients/js/src: run make js" in done.stderr
    assert (copy.client / "warren.js").read_text() == before
    assert copy.build().returncode == 0
    assert copy.build("--check").returncode == 0


def test_an_entry_over_its_budget_is_named(copy: Copy) -> None:
    """With its size, and where the budget is."""
    copy.edit("entries.json", '"gzip": 10240', '"gzip": 1024')
    done = copy.build("--check")
    assert done.returncode == 1
    assert "js: warren-client/core has " in done.stderr
    assert "and may have 1024 (clients/js/entries.json)" in done.stderr


def test_a_new_entry_gets_its_exports_and_its_row(copy: Copy) -> None:
    """One line in the list is all that it needs; its size is what it adds to the core."""
    (copy.client / "src/clocks.ts").write_text(
        'import { WarrenError } from "./error.js";\nexport const fail = () => new WarrenError("a", "b");\n'
    )
    copy.edit(
        "entries.json",
        '    "./protocol"',
        '    "./clocks": { "source": "clocks", "gzip": 99, "has": "x" },\n    "./protocol"',
    )
    assert "package.json is not in step" in copy.build("--check").stderr
    done = copy.build()
    assert (done.returncode, done.stderr) == (0, "")
    exports = json.loads((copy.client / "package.json").read_text())["exports"]
    assert exports["./clocks"]["require"] == {
        "types": "./dist/cjs/clocks.d.ts",
        "default": "./dist/cjs/clocks.js",
    }
    assert "| `warren-client/clocks` | x | 0.1 | 0.1 |" in (copy.client / "README.md").read_text()
    assert copy.build("--check").returncode == 0


def test_what_is_built_runs_in_every_form(copy: Copy, tmp_path: Path) -> None:
    """As an ES module, by require, as one ES module, and by a script tag's global name; all entries load."""
    assert copy.build().returncode == 0
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/warren-client").symlink_to(copy.client)
    entries = json.loads((copy.client / "entries.json").read_text())["entries"]
    names = [f"warren-client{path[1:]}" for path in entries]
    script = f"""
      const {{ createRequire }} = await import("node:module");
      const require = createRequire(import.meta.url);
      const found = [];
      for (const name of {json.dumps([name for name in names if "react" not in name])}) {{
        found.push(Object.keys(await import(name)).sort().join() === Object.keys(require(name)).sort().join());
      }}
      const {{ readFileSync }} = await import("node:fs");
      const global = new Function(readFileSync("{copy.client}/dist/warren.global.js", "utf8") + "; return Warren")();
      const single = await import("{(copy.client / "warren.js").as_uri()}");
      found.push(typeof global.WarrenClient, typeof single.WarrenClient, require("warren-client").WarrenError.name);
      console.log(JSON.stringify(found));
    """
    (tmp_path / "all.mjs").write_text(script)
    done = subprocess.run(
        ["node", tmp_path / "all.mjs"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {True, "function", "WarrenError"}
