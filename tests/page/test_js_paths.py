"""The JavaScript client's sub-paths in headless Chromium, against an embedded Warren: reloads, tabs that share
a connection, React under StrictMode, and a network that lets no WebSocket pass.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.faults.balancer import program
from tests.support.js_site import await_page, bundle, embedded, served

import gateway.shell
from rabbit_nodes.child import Child
from rabbit_nodes.ports import free_port

pytestmark = [pytest.mark.page, pytest.mark.slow, pytest.mark.xdist_group("page")]

PAGES = Path(__file__).parent / "js"
WAIT_MS = 30_000
HAS_STREAMS = (Path(gateway.shell.__file__).parent / "event_streams.py").exists()
# Keeps the sockets that a page opens and what goes through them, and can lose what arrives.
SOCKETS = """
  window.sockets = []; window.frames_sent = []; window.deaf = false;
  window.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      sockets.push(this);
      this.addEventListener("message", (event) => { if (window.deaf) event.stopImmediatePropagation(); });
    }
    send(text) { frames_sent.push(JSON.parse(text)); super.send(text); }
  };
"""
OPEN = "sockets.filter(({ readyState }) => readyState === 1).length"


class Site:
    """The pages, and the gateways that they talk to."""

    def __init__(self, pages: str, gateways: tuple[int, int]) -> None:
        """``pages``: where they are served."""
        self.pages = pages
        self.gateways = gateways

    def address(self, page: str, room: str, user: str = "ann", pages: str = "", **options: str) -> str:
        """Return the address of a page that talks to the first gateway."""
        url = options.pop("url", f"ws://127.0.0.1:{self.gateways[0]}/ws")
        return f"{pages or self.pages}/{page}.html?" + urlencode(
            {"room": room, "user": user, "url": url, **options}
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An embedded Warren that lets these pages in, and the pages."""
    folder = tmp_path_factory.mktemp("pages")
    bundle(sorted(PAGES.iterdir()), folder)
    pages = free_port()
    # the pages speak as quickly as they can
    settings = {"WARREN_GATEWAY_ORIGINS": f"http://127.0.0.1:{pages}", "WARREN_GATEWAY_RATE": "100"}
    log = tmp_path_factory.mktemp("embedded")
    with served(folder, pages) as address, embedded(log, **settings) as port:
        yield Site(address, (port, port + 1))


@contextmanager
def windows(browser: Browser, *scripts: str) -> Iterator[tuple[BrowserContext, Callable[[str], Page]]]:
    """A browser of one user: its tabs share locks, channels and databases. The second is how to open a tab."""
    context = browser.new_context()
    for script in (SOCKETS, *scripts):
        context.add_init_script(script)

    def visit(address: str) -> Page:
        page, said = context.new_page(), list[str]()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        try:
            expect(page).to_have_title("joined", timeout=WAIT_MS)
        except AssertionError as error:
            tabs = len(context.pages)
            raise AssertionError(f"tab {tabs} did not join; it has said {said[-20:]}\n{error}") from None
        return page

    try:
        yield context, visit
    finally:
        context.close()


def until(page: Page, holds: str, *, timeout: int = WAIT_MS) -> None:
    """Wait until an expression is true in a page."""
    page.wait_for_function(holds, timeout=timeout, polling=50)


def seen(page: Page) -> list[Any]:
    found: list[Any] = page.evaluate("page.seen")
    return found


def said(page: Page, room: str) -> list[Any]:
    """Return all that was ever said in the room."""
    found: list[Any] = page.evaluate(
        "async (room) => (await page.client.history(room, { limit: 100 })).messages.map((m) => m.payload)",
        room,
    )
    return found


@pytest.mark.parametrize("kept", ["session", "indexed"])
def test_a_reload_loses_nothing_and_doubles_nothing(browser: Browser, site: Site, kept: str):
    """A message whose ACK the page never heard is in the room once, and what was said during the reload is
    seen once, behind what the page had seen before.
    """
    room = f"reload-{kept}"
    with windows(browser) as (_, visit), windows(browser) as (_, visit_other):
        other = visit_other(site.address("plain", room, "bob"))
        ann = visit(site.address("plain", room, kept=kept))
        other.evaluate("page.say(1)")
        until(ann, "page.seen.length === 1")
        ann.evaluate("window.deaf = true; page.say('accepted')")
        until(other, "page.seen.includes('accepted')")
        ann.evaluate("page.say('waits')")
        until(other, "page.seen.includes('waits')")
        ann.goto("about:blank")
        other.evaluate("page.say(2)")
        until(other, "page.acked.includes(2)")
        ann.goto(site.address("plain", room, kept=kept))
        expect(ann).to_have_title("joined", timeout=WAIT_MS)
        other.evaluate("page.say(3)")
        until(ann, "page.seen.length >= 2 && page.acks.length === 2")
        assert seen(ann) == [2, 3]
        assert ann.evaluate("page.restored") == ["accepted", "waits"]
        assert said(other, room) == [1, "accepted", "waits", 2, 3]
        assert ann.evaluate("page.faults") == []
        # nothing is left to be sent by the next one
        ann.reload()
        expect(ann).to_have_title("joined", timeout=WAIT_MS)
        assert (ann.evaluate("page.restored"), seen(ann)) == ([], [])


def _say_from_all(pages: dict[str, Page], count: int, start: int) -> None:
    for n in range(start, start + count):
        for name, page in pages.items():
            page.evaluate("(text) => page.say(text)", f"{name}-{n}")


def _agreed(pages: dict[str, Page], other: Page, room: str) -> None:
    """Every tab has seen all that was said since it came, once and in order, but what it said itself."""
    until(other, "page.client.counters.waiting === 0")
    for page in pages.values():
        until(page, "page.client.counters.waiting === 0")
    other.evaluate("page.say('last')")
    until(other, "page.acked.includes('last')")
    everything = said(other, room)
    assert len(everything) == len(set(everything)), everything
    for name, page in pages.items():
        until(page, "page.seen.includes('last')")
        own = {each for each in everything if each.startswith(f"{name}-")}
        assert seen(page) == [each for each in everything if each not in own], name
        assert page.evaluate("page.faults") == []


def _crash(page: Page) -> None:
    """Have the page's process end at once; nothing in it is told."""
    session = page.context.new_cdp_session(page)
    # the one that crashes never answers, so nobody waits for it
    asked = session._loop.create_task(session._impl_obj.send("Page.crash", None, None))
    asked.add_done_callback(lambda done: done.cancelled() or done.exception())
    with page.expect_event("crash", timeout=WAIT_MS):
        pass


HANG = "setTimeout(() => { const end = Date.now() + 8_000; while (Date.now() < end); })"


@pytest.mark.parametrize("how", ["closed", "hangs", "crashes"])
def test_three_tabs_share_a_connection_and_outlive_the_one_that_leads(browser: Browser, site: Site, how: str):
    """Three tabs have one socket; the leading one is closed, hangs, or crashes: another one leads, and no tab
    misses anything or sees it twice.
    """
    room = f"tabs-{how}"
    with windows(browser) as (_, visit), windows(browser) as (_, visit_other):
        other = visit_other(site.address("plain", room, "bob"))
        pages = {name: visit(site.address("plain", room, tabs="1")) for name in ("one", "two", "three")}
        name = until_one(pages)
        _say_from_all({**pages, "other": other}, 3, 0)
        leader = pages.pop(name)
        if how == "closed":
            leader.close()
        elif how == "hangs":
            leader.evaluate(HANG)
        else:
            _crash(leader)
        _say_from_all({**pages, "other": other}, 3, 3)
        for page in pages.values():
            until(page, "page.client.state === 'open'")
        _agreed(pages, other, room)
        if how == "hangs":
            until(leader, "page.seen.includes('last')")
            assert seen(leader) == [each for each in said(other, room) if not each.startswith(f"{name}-")]
            pages[name] = leader
        until_one(pages)


def until_one(pages: dict[str, Page]) -> str:
    """Wait until all tabs together have one socket; return whose it is."""
    for _ in range(100):
        leaders = [name for name, page in pages.items() for _ in range(page.evaluate(OPEN))]
        if len(leaders) == 1:
            return leaders[0]
        next(iter(pages.values())).wait_for_timeout(100)
    pytest.fail("the tabs have more than one socket, or none")


def test_react_under_strict_mode_does_nothing_twice(browser: Browser, site: Site):
    """One client, one socket, one JOIN, one REQUEST for each question; each message is heard once; the room
    is left with the last component.
    """
    room = "strict"
    with windows(browser) as (context, _), windows(browser) as (_, visit_other):
        other = visit_other(site.address("plain", room, "bob"))
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.goto(site.address("strict", room))
        expect(page.locator("#state")).to_have_text("joined", timeout=WAIT_MS)
        expect(page.locator("#connection")).to_have_text("open")
        expect(page.locator("#people")).to_have_text("2: ann,bob", timeout=WAIT_MS)
        expect(page.locator("#answer")).to_have_text('{"n":1}')
        other.evaluate("page.say({ text: 'hello' })")
        expect(page.locator("#messages li")).to_have_text(["hello"])
        page.locator("input").fill("mine")
        page.get_by_role("button", name="Say").click()
        expect(page.locator("#messages li")).to_have_text(["hello", "mine"])
        page.get_by_role("button", name="Ask").click()
        expect(page.locator("#answer")).to_have_text('{"n":2}')
        assert page.evaluate("[made, sockets.length, heard]") == [1, 1, ["hello", "mine"]]

        def sent(kind: str) -> int:
            count: int = page.evaluate(f"frames_sent.filter(({{ type }}) => type === '{kind}').length")
            return count

        # one hook wants presence and one does not: what was joined is joined again with it, and no more
        assert sent("JOIN") <= 2
        assert (sent("REQUEST"), sent("CHAT"), sent("LEAVE"), sent("CANCEL")) == (2, 1, 0, 0)
        page.get_by_role("button", name="Toggle").click()
        until(page, "frames_sent.filter(({ type }) => type === 'LEAVE').length === 1")
        page.get_by_role("button", name="Toggle").click()
        expect(page.locator("#state")).to_have_text("joined")
        other.evaluate("page.say({ text: 'again' })")
        expect(page.locator("#messages li")).to_have_text(["again"])
        assert page.evaluate("heard") == ["hello", "mine", "again"]
        assert page.evaluate("sockets.length") == 1
        assert complaints == []


NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/log warn;
events {{ worker_connections 256; }}
http {{
  access_log {folder}/access; {paths}
  server {{
    listen 127.0.0.1:{port};
    # no Upgrade and no Connection: HTTP passes, and WebSockets do not
    location / {{ proxy_pass {pages}; }}
    location ~ ^/(ws|sse|publish|websocket-stats)$ {{
      proxy_pass http://gateways; proxy_http_version 1.1; proxy_set_header Host $http_host;
      proxy_set_header Connection "";
    }}
  }}
  upstream gateways {{ server 127.0.0.1:{one}; server 127.0.0.1:{two}; }}
}}
"""


@contextmanager
def blocked(site: Site, folder: Path) -> Iterator[int]:
    """An nginx before pages and gateways that forwards no upgrade."""
    nginx = program("nginx")
    if nginx is None:
        pytest.skip("nginx is not installed: scripts/dev/need nginx")
    port = free_port()
    one, two = site.gateways
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, pages=site.pages, one=one, two=two, paths=paths))
    said = subprocess.run(
        [nginx, "-t", "-p", folder, "-c", config], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    with (folder / "output").open("wb") as output:
        child = Child(
            [nginx, "-p", str(folder), "-c", str(config)], env={"PATH": "/usr/bin:/bin"}, output=output
        )
        try:
            await_page(child, port, folder / "log", "/plain.html")
            yield port
        finally:
            child.kill()


@pytest.mark.skipif(not HAS_STREAMS, reason="this gateway has no event streams")
def test_where_no_upgrade_passes_the_page_talks_by_event_stream(browser: Browser, site: Site, tmp_path: Path):
    """Behind an nginx that forwards no upgrade, the page is connected by an event stream; it loses nothing when
    the stream is cut, and what it says by POST reaches any gateway and counts once.
    """
    room = "blocked"
    with (
        blocked(site, tmp_path) as port,
        windows(browser) as (_, visit),
        windows(browser) as (_, visit_other),
    ):
        other = visit_other(site.address("plain", room, "bob"))
        here = f"http://127.0.0.1:{port}"
        ann = visit(site.address("plain", room, pages=here, sse="1", url=f"{here}/ws", kept="session"))
        assert ann.evaluate(OPEN) == 0
        assert ann.evaluate("sockets.length") == 3
        for n in range(5):
            other.evaluate("(text) => page.say(text)", f"other-{n}")
            ann.evaluate("(text) => page.say(text)", f"ann-{n}")
        until(ann, "page.acked.length === 5 && page.seen.length === 5")
        before = ann.evaluate("page.client.connection")
        # the gateway ends the connection as it would any other, and the client comes back by a stream
        ann.reload()
        expect(ann).to_have_title("joined", timeout=WAIT_MS)
        assert ann.evaluate("page.client.connection") != before
        other.evaluate("page.say('after')")
        until(ann, "page.seen.length === 1")
        assert seen(ann) == ["after"]
        everything = said(other, room)
        assert len(everything) == len(set(everything)) == 11
        assert ann.evaluate("page.faults") == []
