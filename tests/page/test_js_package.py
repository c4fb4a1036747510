"""The JavaScript client as npm packs it: installed into a fresh Vite project with React and strict TypeScript,
whose page talks to a real gateway in Chromium, and into a CommonJS program in Node.

What the projects need is pinned by their lock files. npm fetches it once; a second run needs no network.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, expect
from tests.support.js_site import ROOT, embedded, js_tools, served

from rabbit_nodes.ports import free_port

pytestmark = [pytest.mark.page, pytest.mark.slow, pytest.mark.xdist_group("page")]

HERE = Path(__file__).parent
NPM = ["--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"]


def run(folder: Path, *command: str | Path, timeout_s: float = 240.0) -> str:
    """Run it to its end; return what it prints."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=timeout_s)
    assert done.returncode == 0, f"{command}: {done.stdout[-4_000:]}{done.stderr[-4_000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built from a copy of the sources, since others build in the checkout meanwhile."""
    js_tools()
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(
        ROOT / "clients/js",
        folder / "clients/js",
        ignore=shutil.ignore_patterns("node_modules", "dist", "test"),
    )
    shutil.copytree(ROOT / "scripts/js", folder / "scripts/js")
    shutil.copy(ROOT / "LICENSE", folder)
    # it is built first, which prints the sizes
    said = run(folder / "clients/js", "npm", "pack", "--json", "--pack-destination", folder)
    packed = json.loads(said[said.index("\n[") :])
    files = {each["path"] for each in packed[0]["files"]}
    for name in ("index", "core", "react", "sse", "storage", "tabs"):
        assert {f"dist/{kind}/{name}.{end}" for kind in ("esm", "cjs") for end in ("js", "d.ts")} <= files
    assert not [path for path in files if path.startswith(("test/", "support/", "node_modules/"))]
    return folder / str(packed[0]["filename"])


def installed(project: str, package: Path, folder: Path) -> Path:
    """A fresh project with the package in it."""
    place = folder / project
    shutil.copytree(HERE / project, place, ignore=shutil.ignore_patterns("node_modules", "dist"))
    run(place, "npm", "ci", *NPM)
    run(place, "npm", "install", "--no-save", *NPM, package)
    return place


@pytest.fixture(scope="module")
def pages() -> int:
    """The port of the pages."""
    return free_port()


@pytest.fixture(scope="module")
def gateway(pages: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a gateway that lets these pages in."""
    folder = tmp_path_factory.mktemp("embedded")
    with embedded(folder, WARREN_GATEWAY_ORIGINS=f"http://127.0.0.1:{pages}") as port:
        yield f"ws://127.0.0.1:{port}/ws"


def test_a_page_and_a_program_made_with_the_package_talk(
    browser: Browser, package: Path, gateway: str, pages: int, tmp_path: Path
):
    """The Vite project compiles under --strict and builds; its page in Chromium and the CommonJS program in
    Node hear each other through a real gateway.
    """
    project = installed("project_vite", package, tmp_path)
    run(project, "npm", "run", "build")
    program = installed("project_node", package, tmp_path)
    with served(project / "dist", pages) as address:
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}/?{urlencode({'url': gateway, 'user': 'page'})}")
        expect(page.locator("#state")).to_have_text("open, joined, 1, echo", timeout=30_000)
        running = subprocess.Popen(
            ["node", "main.js", gateway],
            cwd=program,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            expect(page.locator("li")).to_have_text(["program: from the program"], timeout=30_000)
            expect(page.locator("#state")).to_have_text("open, joined, 2, echo")
            page.locator("input").fill("from the page")
            page.get_by_role("button", name="Say").click()
            printed, _ = running.communicate(timeout=60)
        finally:
            running.kill()
        assert running.returncode == 0, printed
        found = [json.loads(line) for line in printed.splitlines()]
        assert found == [{"seq": 1, "refused": "invalid_room"}, {"heard": "from the page"}]
        expect(page.locator("li")).to_have_text(["program: from the program", "page: from the page"])
        assert complaints == []
        page.close()
