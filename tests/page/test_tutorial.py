"""docs/tutorial.md, step by step: its files as they stand there, its commands, and two people in Chromium.

What it leaves to the reader's machine is given here: free ports in place of those that it names, and the
packages' versions of the test project's lock file, so that nothing moves under it; and the client is the
package that the tests have built already.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.support.js_package import NPM, run
from tests.support.js_site import ROOT, await_page, embedded
from tests.support.ports import embedded_port, free_port

from rabbit_nodes.child import Child

pytestmark = [pytest.mark.page, pytest.mark.slow, pytest.mark.xdist_group("page")]

TUTORIAL = (ROOT / "docs/tutorial.md").read_text()
LOCKED = ROOT / "tests/page/project_vite"
# `name`: or `name` … : before a block of code
FILES = re.findall(r"^`([\w./]+)`[^\n]*\n(?:[^\n]+\n)*\n```\w+\n(.*?)^```$", TUTORIAL, re.M | re.S)
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", TUTORIAL, re.M | re.S)


def command(begins: str) -> str:
    """Return the block of commands that has a line which begins so."""
    [found] = [block for block in COMMANDS if re.search(f"^{re.escape(begins)}", block, re.M)]
    return found


@contextmanager
def running(block: str, folder: Path, log: Path, port: int) -> Iterator[None]:
    """Run commands until they answer on a port, and end them."""
    with log.open("wb") as output:
        child = Child(["bash", "-c", block], env=dict(os.environ), output=output, cwd=folder)
        try:
            await_page(child, port, log)
            yield
        finally:
            child.kill()


def test_all_files_of_the_tutorial_are_found() -> None:
    """A file that is written another way would not be tested."""
    names = {name for name, _ in FILES}
    assert names == {
        "package.json", "tsconfig.json", "vite.config.ts", "index.html", "backend.mjs", "src/Chat.tsx", "src/main.tsx",
    }  # fmt: skip
    package = json.loads(dict(FILES)["package.json"])
    locked = json.loads((LOCKED / "package.json").read_text())
    for kind in ("dependencies", "devDependencies"):
        assert package[kind] == locked[kind]


def test_the_steps_of_the_tutorial_make_a_chat(browser: Browser, package: Path, tmp_path: Path) -> None:
    """Two people with tokens talk in the page of one's own, see each other, and hear the backend."""
    ports = {
        "8080": (gateway := embedded_port()),
        "8090": gateway + 10,
        "5173": free_port(),
        "3001": free_port(),
    }

    def here(text: str) -> str:
        """Put free ports in place of those of the text."""
        return re.sub("|".join(ports), lambda found: str(ports[found[0]]), text)

    secret = re.search(r"JWT_SECRET=(\S+)", command("export JWT_SECRET"))
    assert secret is not None
    assert f"JWT_SECRET={secret[1]} node" in command("JWT_SECRET=")
    run(tmp_path, "bash", "-euc", command("mkdir"))
    chat = tmp_path / "chat"
    for name, text in FILES:
        (chat / name).write_text(here(text))
    shutil.copy(LOCKED / "package-lock.json", chat)
    build, *install = command("(cd ../warren && make js)").splitlines()
    assert build == "(cd ../warren && make js)"
    steps = "\n".join(install).replace("--install-links ../warren/clients/js", str(package))
    assert str(package) in steps
    run(chat, "bash", "-euc", steps.replace("npm install", f"npm install {' '.join(NPM)}"))
    run(chat, "npm", "run", "build")
    with ExitStack() as stack:
        settings = {"WARREN_GATEWAY_AUTH": "jwt", "WARREN_GATEWAY_JWT_SECRET": secret[1]}
        for name in settings:
            assert f"{name}=" in command("export JWT_SECRET")
        stack.enter_context(embedded(tmp_path, port=gateway, **settings))
        stack.enter_context(running(command("JWT_SECRET="), chat, tmp_path / "backend.log", ports["3001"]))
        stack.enter_context(running(command("npm run dev"), chat, tmp_path / "vite.log", ports["5173"]))
        address = f"http://localhost:{ports['5173']}"
        pages = {name: _open(browser, f"{address}/?name={name}") for name in ("ann", "bob")}
        for page in pages.values():
            expect(page.locator("main p").first).to_contain_text("connected; here: ann, bob", timeout=30_000)
        for name, text in (("ann", "hello bob"), ("bob", "hello ann")):
            pages[name].get_by_label("Message").fill(text)
            pages[name].get_by_role("button", name="Send").click()
            for page in pages.values():
                expect(page.locator("li").last).to_have_text(f"{name}: {text}")
        key = re.search(r"its key +(\S+)", (tmp_path / "log").read_text())
        assert key is not None
        run(chat, "bash", "-euc", f"KEY={key[1]}\n{here(command('curl'))}")
        for page in pages.values():
            expect(page.locator("li")).to_have_text(
                ["ann: hello bob", "bob: hello ann", "the shop: hello from the shop"]
            )
            page.context.close()


def _open(browser: Browser, address: str) -> Page:
    page = browser.new_context().new_page()
    page.goto(address)
    return page
