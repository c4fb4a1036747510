"""The admin page in headless Chromium against ``python -m embedded``: what an operator sees and does, with
real clients on the other side.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect, sync_playwright
from tests.support.axe import RUN_AXE
from tests.support.eventually import stretched
from tests.support.ports import embedded_port
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from rabbit_nodes.child import Child
from router.core.api_keys import hash_of

ROOT = Path(__file__).parents[2]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
KEYS = {
    "all": ["*"],
    "look": ["overview", "rooms:chat:*", "presence:chat:*", "history:chat:*"],
    "kick": ["presence:*", "disconnect:@*"],
}
# Both themes, and a screen as wide as a phone's, where only what may be different there is measured.
SCREENS: list[tuple[str, int, list[str] | None]] = [
    ("light", 1280, None),
    ("dark", 390, ["color-contrast", "scrollable-region-focusable", "target-size"]),
]

pytestmark = [pytest.mark.page, pytest.mark.slow, pytest.mark.xdist_group("page")]
expect.set_options(timeout=10_000)


class Client:
    """A user's connection, by a stock client."""

    def __init__(self, socket: ClientConnection, user: str, *rooms: str) -> None:
        self.user = user
        self.socket = socket
        self._ids = count(1)
        self.await_type("WELCOME")
        for room in rooms:
            self.send(type="JOIN", room=room)
            self.await_type("JOINED")

    def send(self, **frame: Any) -> None:
        self.socket.send(json.dumps(frame))

    def await_type(self, wanted: str) -> dict[str, Any]:
        while True:
            frame: dict[str, Any] = json.loads(self.socket.recv(timeout=stretched(10.0)))
            if frame["type"] == wanted:
                return frame

    def say(self, room: str, text: str) -> str:
        """Return the id of a message that is in the log."""
        ident = f"{self.user}-{next(self._ids)}"
        self.send(type="CHAT", room=room, id=ident, payload={"text": text})
        self.await_type("ACK")
        return ident

    def closed_with(self) -> tuple[int, str]:
        """Return why the gateway closes the connection, which it must."""
        with suppress(ConnectionClosed):
            while True:
                self.socket.recv(timeout=stretched(10.0))
        found = self.socket.protocol.close_rcvd
        assert found is not None
        return found.code, found.reason


class Installation:
    """An embedded Warren with an HTTP API whose keys the tests know."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.admin = f"http://127.0.0.1:{port + 10}/admin/"
        self._open = ExitStack()

    def client(self, user: str, *rooms: str, gateway: int = 0) -> Client:
        url = f"ws://127.0.0.1:{self.port + gateway}/ws?user={user}"
        socket = self._open.enter_context(connect(url, subprotocols=[Subprotocol("warren.v1")]))
        return Client(socket, user, *rooms)

    def end_clients(self) -> None:
        self._open.close()


@pytest.fixture(scope="module")
def warren(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Return the running installation, which all tests here share."""
    folder, port = tmp_path_factory.mktemp("admin"), embedded_port()
    keys = folder / "keys.yaml"
    listed = [
        {"name": name, "sha256": hash_of(name.encode()), "scopes": scopes} for name, scopes in KEYS.items()
    ]
    keys.write_text(json.dumps({"keys": listed}))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("WARREN_", "OTEL_"))}
    env |= {
        "PORT": str(port),
        "WARREN_ROUTER_API_KEYS_FILE": str(keys),
        "WARREN_GATEWAY_GRACE_MS": "0",  # whoever is gone is not counted in the next test
        "WARREN_GATEWAY_RATE": "0",
    }
    log = folder / "log"
    with log.open("wb") as output:
        child = Child([sys.executable, "-m", "embedded"], env=env, output=output, cwd=ROOT)
    try:
        installation = Installation(port)
        _await(child, installation.admin, log)
        yield installation
        installation.end_clients()
        assert child.end(5.0) == 0, log.read_text()
    finally:
        child.kill()
    written = log.read_text()
    assert installation.admin in written
    assert "Traceback" not in written, written


def _await(child: Child, url: str, log: Path) -> None:
    ends = time.monotonic() + stretched(30.0)
    while time.monotonic() < ends:
        assert child.running, log.read_text()
        with suppress(URLError, ConnectionError), urlopen(url, timeout=1):
            if "Ctrl-C" in log.read_text():
                return
        time.sleep(0.05)
    pytest.fail(f"no page:\n{log.read_text()}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return the system's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "Chromium is missing: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Tab:
    """One browser tab with the page in it."""

    def __init__(self, browser: Browser, warren: Installation, **options: Any) -> None:
        self.admin = warren.admin
        self.complaints: list[str] = []
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.page.on(
            "console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text)
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, key: str = "all", view: str = "") -> Self:
        """Let in by a key; ``view`` as behind the # of the address."""
        self.page.goto(f"{self.admin}#/{view}")
        self.page.get_by_label("Key", exact=True).fill(key)
        self.page.get_by_role("button", name="Open", exact=True).click()
        expect(self.page.get_by_text(f"Key {key}", exact=True)).to_be_visible()
        return self

    def go(self, view: str) -> None:
        self.page.evaluate("view => { location.hash = `#/${view}` }", view)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    @property
    def outcome(self) -> Locator:
        return self.page.locator(".outcome:visible")


@pytest.fixture
def tab(browser: Browser, warren: Installation) -> Iterator[Tab]:
    """Return a tab that has no key yet. It may not have complained by the end, and all clients end with it."""
    tab = Tab(browser, warren)
    yield tab
    tab.context.close()
    warren.end_clients()
    assert tab.complaints == []


# ── the key ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_key_stays_in_the_tab(tab: Tab):
    """A wrong one is refused in the API's words with what to do; a right one is in no address, no cookie and
    nothing that outlives the tab, survives a reload where its user wants that, and can be forgotten.
    """
    page = tab.page
    page.goto(tab.admin)
    page.get_by_label("Key", exact=True).fill("wrong")
    tab.button("Open").click()
    expect(page.get_by_role("alert")).to_have_text("The key is not known. Type another key.")
    assert [text for text in tab.complaints if "401" not in text] == []
    tab.complaints.clear()
    tab.open("all", "rooms")
    kept = page.evaluate(
        "[localStorage.length, document.cookie, Object.values(sessionStorage), location.href]"
    )
    assert kept == [0, "", ["all"], f"{tab.admin}#/rooms"]
    page.reload()
    expect(page.get_by_role("heading", name="Rooms", exact=True)).to_be_visible()
    tab.button("Forget the key").click()
    assert page.evaluate("sessionStorage.length") == 0
    page.get_by_label("Keep it until this tab is closed").uncheck()
    page.get_by_label("Key", exact=True).fill("all")
    tab.button("Open").click()
    expect(page.get_by_text("Key all", exact=True)).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    page.reload()
    expect(page.get_by_label("Key", exact=True)).to_be_visible()


def test_what_a_key_may_not_do_is_not_offered(tab: Tab, warren: Installation):
    """It is said which scope is missing; and what slips through is refused in the API's own words."""
    warren.client("ann", "chat:lobby")
    page = tab.open("look", "room/chat%3Alobby").page
    expect(page.get_by_role("link", name="ann")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Disconnect|Remove|Block|Send"))).to_have_count(0)
    expect(page.get_by_text("Your key has no scope explain:chat:lobby")).to_be_visible()
    tab.go("room/other")
    expect(page.get_by_text("Your key has no scope presence:other")).to_be_visible()
    tab.go("send")
    expect(page.get_by_text("Your key has no scope publish")).to_be_visible()
    tab.go("rooms")
    prefix = page.get_by_label("Names begin with")
    expect(prefix).to_have_value("chat:")
    expect(page.get_by_role("link", name="chat:lobby")).to_be_visible()
    prefix.fill("")
    tab.button("List").click()
    expect(
        page.get_by_text("The key has no scope that covers rooms. Whoever keeps the keys file")
    ).to_be_visible()
    assert [text for text in tab.complaints if "403" not in text] == []
    tab.complaints.clear()


# ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_overview_shows_the_whole_installation(tab: Tab, warren: Installation):
    """Sums, lines of the last minutes, and each router, gateway and shard."""
    for number in range(3):
        warren.client(f"user{number % 2}", "chat:a", gateway=number % 2)
    page = tab.open().page

    def tile(name: str) -> Locator:
        return page.locator(".tile", has=page.get_by_text(name, exact=True)).locator("dd")

    for name, value in (
        ("Connections", "3"),
        ("Users", "2"),
        ("Rooms", "2"),
        ("Members", "6"),  # all are in the room "default" too
        ("Gateways", "2"),
    ):
        expect(tile(name)).to_have_text(value)
    expect(page.get_by_text("are spoken for, and the broker takes what is published")).to_be_visible()
    for name, rows in (("Routers", 1), ("Gateways", 2), ("Shards", 2)):
        expect(page.get_by_role("table", name=name, exact=True).locator("tbody tr")).to_have_count(rows)
    chart = page.get_by_role("img", name=re.compile("^Connections from .* connections now 3, at most"))
    expect(chart).to_be_visible(timeout=15_000)
    expect(chart.locator(".line-0")).to_have_attribute("d", re.compile(r"^M[\d.]+ [\d.]+L"))


def test_rooms_are_listed_in_pages(tab: Tab, warren: Installation):
    """By the beginning of their names, there and back; a room is opened by its name too."""
    warren.client("ann", *(f"paged:{number:02}" for number in range(60)))
    page = tab.open("all", "rooms").page
    prefix = page.get_by_label("Names begin with")
    prefix.fill("paged:")
    prefix.press("Enter")
    rows = page.get_by_role("table", name="Rooms").locator("tbody tr")
    expect(rows).to_have_count(50)
    tab.button("Next").click()
    expect(rows).to_have_count(10)
    expect(rows.first).to_contain_text("paged:50")
    expect(tab.button("Next")).to_be_disabled()
    tab.button("Previous").click()
    expect(rows.first).to_contain_text("paged:00")
    page.get_by_label("Open a room by its name").fill("no room")
    tab.button("Open").click()
    expect(page.get_by_role("alert")).to_contain_text("A room's name has 1 to 128 letters")
    page.get_by_role("link", name="paged:07").click()
    expect(page.get_by_role("heading", name="Room paged:07")).to_be_focused()


def test_a_room_is_looked_into(tab: Tab, warren: Installation):
    """Who is there, what was said (as text, whatever it looks like) and what became of it."""
    ann = warren.client("ann", "chat:look")
    warren.client("bob", "chat:look", gateway=1)
    for number in range(12):
        ann.say("chat:look", f"message {number}")
    ident = ann.say("chat:look", "<img src=x onerror=alert(1)>")
    page = tab.open("all", "room/chat%3Alook").page
    expect(page.get_by_text("2 users with 2 connections.")).to_be_visible()
    messages = page.locator(".messages > li")
    expect(messages).to_have_count(10)
    expect(messages.first.locator("pre")).to_have_text('{ "text": "<img src=x onerror=alert(1)>" }')
    tab.button("Older").click()
    expect(messages).to_have_count(13)
    expect(tab.button("Older")).to_be_hidden()
    messages.first.get_by_role("button", name="Explain message 13").click()
    expect(messages.first).to_contain_text(f"Message {ident} was accepted at")
    expect(messages.first).to_contain_text("Written to 1 connection.")
    expect(messages.first.get_by_role("table").locator("tbody tr")).to_have_count(2)
    page.get_by_text("Explain a message by its id").click()
    page.get_by_label("Id", exact=True).fill("nothing")
    tab.button("Explain").last.click()
    expect(page.get_by_role("alert").filter(has_text="No message of this id is known there")).to_be_visible()
    assert [text for text in tab.complaints if "404" not in text] == []
    tab.complaints.clear()


def test_users_are_looked_up(tab: Tab, warren: Installation):
    """Several are listed with their status, one is opened; those who are connected are found by a prefix."""
    warren.client("zoe", "chat:a")
    page = tab.open("all", "users").page
    names = page.get_by_label("Names", exact=True)
    names.fill("zoe, nobody")
    tab.button("Look up").click()
    table = page.get_by_role("table", name="Users that were looked up")
    expect(table.locator("tbody tr")).to_have_text([re.compile("zoeonline.*1"), re.compile("nobodyoffline0")])
    page.get_by_label("Names begin with").fill("zo")
    tab.button("List").click()
    expect(page.get_by_role("table", name="Connected users").locator("tbody tr")).to_have_count(1)
    names.fill("zoe")
    tab.button("Look up").click()
    expect(page.get_by_text(re.compile("zoe: online.*, 1 connection."))).to_be_visible()


# ── doing ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_is_sent_with_its_receipt(tab: Tab, warren: Installation):
    """It comes to the client; a payload that is no JSON is refused before it is sent."""
    ann = warren.client("ann", "chat:sent")
    page = tab.open("all", "send").page
    page.get_by_label("Name").fill("chat:sent")
    page.get_by_label("Payload (JSON)").fill("{text: 1}")
    tab.button("Send").click()
    expect(page.get_by_role("alert")).to_contain_text("The payload is no JSON")
    page.get_by_label("Payload (JSON)").fill('{"text": "from an operator"}')
    page.get_by_label("Wait for").select_option("until gateways have written it")
    tab.button("Send").click()
    expect(tab.outcome).to_contain_text("Its number is 1. 1 user with 1 connection were there.")
    expect(tab.outcome).to_contain_text("1 gateway of 1 has written it.")
    assert ann.await_type("NOTIFICATION")["payload"] == {"text": "from an operator"}


def test_what_is_sent_again_after_a_failure_counts_once(tab: Tab, warren: Installation):
    """The answer got lost: the same form goes under the same id."""
    warren.client("ann", "chat:twice")
    page = tab.open("all", "room/chat%3Atwice").page
    lose = iter([True])

    def lost(route: Route) -> None:
        response = route.fetch()
        route.abort() if next(lose, False) else route.fulfill(response=response)

    page.route("**/v1/publish", lost)
    tab.button("Send").click()
    expect(page.get_by_role("alert").filter(has_text="can't be reached")).to_contain_text("counts once")
    tab.button("Send").click()
    expect(tab.outcome).to_contain_text("It had been sent before, and counts once.")
    expect(page.locator(".messages > li")).to_have_count(1)
    assert [text for text in tab.complaints if "ERR_FAILED" not in text] == []
    tab.complaints.clear()


def test_a_kick_names_whom_it_meets_and_closes_exactly_that(tab: Tab, warren: Installation):
    """Nothing is done before it is confirmed; one connection goes, then all of the user."""
    first, second = warren.client("kim", "chat:kick"), warren.client("kim", "chat:kick", gateway=1)
    bob = warren.client("bob", "chat:kick")
    page = tab.open("all", "room/chat%3Akick").page
    expect(page.get_by_text("2 users with 3 connections.")).to_be_visible()
    row = page.get_by_role("row", name=re.compile("^kim"))
    button = row.get_by_role("button", name=re.compile("Disconnect .* of kim")).first
    button.click()
    expect(tab.dialog).to_contain_text("Other connections of kim stay.")
    expect(tab.dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    tab.go("user/kim")
    tab.button("Disconnect all …").click()
    expect(tab.dialog).to_contain_text("All connections of the user kim (2 connections now) will be closed")
    tab.dialog.get_by_label("Reason").fill("Please stop")
    tab.dialog.get_by_role("button", name="Disconnect kim").click()
    expect(tab.outcome).to_have_text("2 connections of kim closed.")
    assert first.closed_with() == second.closed_with() == (4006, "Please stop")
    bob.say("chat:kick", "still here")
    expect(page.get_by_text(re.compile("kim: .*0 connections"))).to_be_visible()


def test_a_question_that_was_left_does_nothing(tab: Tab, warren: Installation):
    """Neither when it was cancelled nor when its view was left; the next one is asked once."""
    kim = warren.client("kim", "chat:left")
    page = tab.open("kick", "user/kim").page
    sent: list[str] = []
    page.on("request", lambda request: request.method == "POST" and sent.append(request.post_data or ""))
    for leave in (lambda: page.keyboard.press("Escape"), lambda: tab.go("user/bob")):
        tab.button("Disconnect all …").click()
        expect(tab.dialog).to_be_visible()
        leave()
        expect(tab.dialog).to_be_hidden()
    tab.go("room/chat%3Aleft")
    expect(page.get_by_role("link", name="kim")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Disconnect"))).to_have_count(0)  # of one connection
    tab.go("user/kim")
    tab.button("Disconnect all …").click()
    assert sent == []
    tab.dialog.get_by_role("button", name="Disconnect kim").click()
    expect(tab.outcome).to_have_text("1 connection of kim closed.")
    assert [json.loads(each)["address"] for each in sent] == ["user.kim"]
    assert kim.closed_with()[0] == 4006


def test_a_user_is_taken_out_of_a_room_and_kept_out(tab: Tab, warren: Installation):
    """Removed, blocked there, and let in again; the connection stays throughout."""
    leo = warren.client("leo", "chat:door")
    page = tab.open("all", "room/chat%3Adoor").page
    page.get_by_role("button", name="Remove leo").click()
    expect(tab.dialog).to_contain_text(
        "taken out of the room chat:door with all connections (1 connection now), and stays"
    )
    tab.dialog.get_by_role("button", name="Remove leo").click()
    expect(tab.outcome).to_have_text("1 connection of leo taken out of chat:door.")
    leo.await_type("LEFT")
    expect(page.get_by_text("Nobody is here.")).to_be_visible()
    page.get_by_label("User", exact=True).fill("leo")
    tab.button("Block here …").click()
    tab.dialog.get_by_role("button", name="Block leo here").click()
    expect(tab.outcome).to_contain_text("leo is blocked in chat:door")
    leo.send(type="JOIN", room="chat:door")
    assert leo.await_type("ERROR")["payload"]["code"] == "blocked"
    row = page.get_by_label("Who is kept out").get_by_role("row").nth(1)
    expect(row).to_contain_text(re.compile("leo.*in 1[45] min"))
    tab.button("Unblock here …").click()
    tab.dialog.get_by_role("button", name="Unblock leo here").click()
    expect(tab.outcome).to_have_text("leo may come into chat:door again.")
    expect(page.get_by_text("Nobody is kept out of this room alone.")).to_be_visible()
    leo.send(type="JOIN", room="chat:door")
    leo.await_type("JOINED")


def test_who_is_blocked_is_listed_and_let_in_where_it_stands(tab: Tab, warren: Installation):
    """Under the user with all rooms, and among the users with what is kept out of everything."""
    ada = warren.client("ada", "chat:hall")
    page = tab.open("all", "room/chat%3Ahall").page
    page.get_by_label("User", exact=True).fill("ada")
    tab.button("Block here …").click()
    tab.dialog.get_by_role("button", name="Block ada here").click()
    ada.await_type("LEFT")
    tab.go("user/ada")
    tab.button("Block …").click()
    tab.dialog.get_by_label("For how long").select_option("1 hour")
    tab.dialog.get_by_role("button", name="Block ada").click()
    assert ada.closed_with()[0] == 4006
    rows = page.get_by_label("Blocks").get_by_role("row")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text(re.compile("everything.*in (1 h|59 min)"))
    expect(rows.nth(2)).to_contain_text("chat:hall")
    page.get_by_role("button", name="Unblock ada in chat:hall").click()
    tab.dialog.get_by_role("button", name="Unblock ada here").click()
    expect(tab.outcome).to_have_text("ada may come into chat:hall again.")
    expect(rows).to_have_count(2)
    tab.go("users")
    page.get_by_role("button", name="Unblock ada", exact=True).click()
    tab.dialog.get_by_role("button", name="Unblock ada").click()
    expect(tab.outcome).to_have_text("ada may come in again.")
    expect(page.get_by_text("Nobody is kept out of everything.")).to_be_visible()
    warren.client("ada", "chat:hall")


def test_a_users_connections_join_rooms_and_its_tokens_end(tab: Tab, warren: Installation):
    """As the question says: whoever is there joins; who came by an older token is closed."""
    mia = warren.client("mia")
    page = tab.open("all", "user/mia").page
    page.get_by_label("Rooms", exact=True).fill("chat:a, chat:?")
    tab.button("Add …").click()
    expect(page.get_by_role("alert")).to_contain_text("chat:? can't be a room.")
    page.get_by_label("Rooms", exact=True).fill("chat:a, chat:b")
    tab.button("Add …").click()
    expect(tab.dialog).to_contain_text("will join chat:a, chat:b, whatever their tokens allow")
    tab.dialog.get_by_role("button", name="Have mia join").click()
    expect(tab.outcome).to_have_text("1 connection of mia joined.")
    joined = {mia.await_type("JOINED")["room"] for _ in range(4)}
    assert joined == {"@mia", "default", "chat:a", "chat:b"}
    tab.button("Revoke tokens …").click()
    tab.dialog.get_by_label("Tokens are valid for at most").select_option("1 day")
    tab.dialog.get_by_role("button", name="Revoke the tokens of mia").click()
    expect(tab.outcome).to_contain_text("Tokens of mia revoked")


# ── when something is wrong ─────────────────────────────────────────────────────────────────────────────────


WRONG: list[tuple[int, dict[str, Any] | None, str]] = [
    (
        429,
        {"detail": "The key's rate is used up.", "retry_after_ms": 2_400},
        "Wait 3 s, or use a key with a higher rate.",
    ),
    (
        503,
        {"detail": "No router that knows it has answered in time."},
        "look at the broker and at the routers' logs",
    ),
    (502, None, "Something between this page and the router has answered 502."),
    (
        0,
        None,
        "The router can't be reached. Check that it runs, and that your port-forward or tunnel is open.",
    ),
]


def test_what_goes_wrong_is_said_with_what_to_do_and_ends_by_itself(tab: Tab):
    """What was shown before stays, and all is well again once it is answered."""
    page = tab.open().page
    figure = page.locator(".tile dd").first
    expect(figure).not_to_have_text("–")
    wrong = list(WRONG)

    def refuse(route: Route) -> None:
        status, problem, _ = wrong[0]
        if not status:
            route.abort()
        elif problem is None:
            route.fulfill(status=status, content_type="text/html", body="<h1>Bad Gateway</h1>")
        else:
            route.fulfill(status=status, content_type="application/problem+json", body=json.dumps(problem))

    page.route("**/v1/overview*", refuse)
    trouble = page.locator(".trouble:visible").first
    while True:
        expect(trouble).to_contain_text(wrong[0][2])
        expect(trouble).to_contain_text("what is shown is of before")
        if len(wrong) == 1:
            break
        del wrong[0]
        trouble.get_by_role("button", name="Try now").click()
    expect(figure).not_to_have_text("–")
    page.unroute("**/v1/overview*")
    trouble.get_by_role("button", name="Try now").click()
    expect(page.locator(".trouble:visible")).to_have_count(0)
    tab.complaints.clear()


def test_a_key_that_counts_no_more_is_asked_for_again(tab: Tab):
    """With the API's sentence; it is forgotten."""
    page = tab.open().page
    body = json.dumps({"detail": "The key all has expired."})
    page.route(
        "**/v1/overview*",
        lambda route: route.fulfill(status=401, content_type="application/problem+json", body=body),
    )
    expect(page.get_by_role("alert")).to_have_text("The key all has expired. Type another key.")
    expect(page.get_by_label("Key", exact=True)).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    tab.complaints.clear()


POLLS = """async () => {
  const {Poll, HIDDEN_MS} = await import('/admin/poll.js');
  let hidden = false;
  Object.defineProperty(document, 'hidden', {get: () => hidden, configurable: true});
  window.asked = 0;
  window.waits = [];
  window.fails = false;
  window.hide = (now) => { hidden = now; document.dispatchEvent(new Event('visibilitychange')); };
  const poll = new Poll(2000, async () => { asked++; if (fails) throw Object.assign(new Error('no'), {retryAfterMs: 0}); },
    (error, wait) => waits.push(wait));
  window.stop = () => poll.stop();
  return HIDDEN_MS;
}"""


def test_a_hidden_page_asks_once_a_minute_and_a_failing_one_less_and_less(tab: Tab):
    """It asks at once when it is seen again, and no more when its view is left."""
    page = tab.page
    page.goto(tab.admin)
    page.clock.install(time=0)
    page.clock.pause_at(1_000)  # from here on time passes as the test says
    assert page.evaluate(POLLS) == 60_000
    page.clock.run_for(6_100)
    assert page.evaluate("asked") == 4
    page.evaluate("hide(true)")
    page.clock.run_for(61_000)
    assert page.evaluate("asked") == 5  # the one that was due already
    assert page.evaluate("waits.at(-1)") == 60_000
    before = page.evaluate("asked")
    page.evaluate("fails = true")
    page.evaluate("hide(false)")
    page.clock.run_for(1)
    assert page.evaluate("asked") == before + 1
    page.clock.run_for(120_000)
    waits = page.evaluate("waits.slice(-7)")
    assert waits == sorted(waits)
    assert waits[-1] == 30_000
    page.evaluate("stop()")
    before = page.evaluate("asked")
    page.clock.run_for(120_000)
    assert page.evaluate("asked") == before


def test_no_text_can_become_markup(tab: Tab):
    """The policy forbids it, and scripts that stand in the page or come from elsewhere."""
    page = tab.page
    page.goto(tab.admin)
    for attempt in (
        "document.body.innerHTML = '<b>x</b>'",
        "document.createElement('script').src = 'data:text/javascript,1'",
    ):
        name = page.evaluate(f"() => {{ try {{ {attempt}; }} catch (error) {{ return error.name; }} }}")
        assert name == "TypeError", attempt
    page.evaluate("document.querySelector('main').setAttribute('style', 'color: red')")
    assert page.evaluate("getComputedStyle(document.querySelector('main')).color") != "rgb(255, 0, 0)"
    assert tab.complaints
    tab.complaints.clear()


# ── for everybody ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("theme", "width", "only"), SCREENS, ids=["light desk", "dark phone"])
def test_every_view_is_accessible_and_as_wide_as_the_screen(
    browser: Browser, warren: Installation, axe: str, theme: Any, width: int, only: list[str] | None
):
    """axe-core finds nothing to say (contrast AA is among what it measures), and nothing sticks out."""
    room = f"chat:axe-{theme}"
    ann = warren.client("ann", room)
    warren.client("bob", room, gateway=1)
    ann.say(room, "hello")
    # axe-core is put into the page, which the page's own policy would not let in
    tab = Tab(browser, warren, color_scheme=theme, viewport={"width": width, "height": 800}, bypass_csp=True)
    page = tab.page
    found: dict[str, list[str]] = {}

    def look(name: str) -> None:
        page.evaluate(axe)
        found[name] = page.evaluate(RUN_AXE, only)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found[name].append("it is wider than the screen")

    page.goto(tab.admin)
    expect(page.get_by_label("Key", exact=True)).to_be_visible()
    look("the key")
    tab.open()
    expect(page.get_by_role("table", name="Shards").locator("tbody tr")).to_have_count(2)
    expect(page.locator(".plot .line-0").first).to_have_attribute("d", re.compile("L"), timeout=15_000)
    look("overview")
    tab.go("rooms")
    expect(page.get_by_role("link", name=room)).to_be_visible()
    look("rooms")
    tab.go(f"room/{quote(room)}")
    page.get_by_role("button", name="Explain message 1").click()
    expect(page.get_by_text("Written to 1 connection.")).to_be_visible()
    expect(page.get_by_role("button", name="Remove ann")).to_be_visible()
    page.get_by_label("User", exact=True).fill("zoe")
    tab.button("Block here …").click()
    tab.dialog.get_by_role("button", name="Block zoe here").click()
    expect(tab.outcome).to_contain_text("zoe is blocked")
    expect(page.get_by_role("link", name="zoe")).to_be_visible()
    look("a room")
    page.get_by_role("button", name="Remove ann").click()
    expect(tab.dialog).to_be_visible()
    look("the question")
    page.keyboard.press("Escape")
    tab.go("users")
    expect(page.get_by_role("link", name="bob")).to_be_visible()
    look("users")
    tab.go("user/ann")
    tab.button("Send").click()
    expect(tab.outcome).to_contain_text("It is in the log")
    look("a user")
    tab.go("user/zoe")
    expect(page.get_by_role("button", name=f"Unblock zoe in {room}")).to_be_visible()
    look("a user who is blocked")
    tab.go("user/ann")
    expect(page.get_by_text("ann: online")).to_be_visible()
    page.route("**/v1/status*", lambda route: route.abort())
    expect(page.locator(".trouble:visible")).to_have_count(1)
    look("a user, when the router is away")
    tab.context.close()
    warren.end_clients()
    assert {name: violations for name, violations in found.items() if violations} == {}


def test_all_can_be_done_by_keyboard(tab: Tab, warren: Installation):
    """The content is reached past the menu, a user is disconnected without a pointer, and the focus comes
    back.
    """
    kim = warren.client("kim", "chat:keys")
    page = tab.open("all", "users").page
    page.get_by_role("link", name="Skip to the content").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Names", exact=True)).to_be_focused()
    page.keyboard.type("kim")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="User kim")).to_be_focused()
    expect(page.get_by_text(re.compile("kim: online"))).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(tab.button("Disconnect all …")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(tab.dialog.get_by_role("button", name="Disconnect kim")).to_be_focused()
    page.keyboard.press("Enter")
    expect(tab.outcome).to_have_text("1 connection of kim closed.")
    expect(tab.button("Disconnect all …")).to_be_focused()
    assert kim.closed_with()[0] == 4006


def test_figures_that_change_are_not_read_out(tab: Tab):
    """What is polled stands in no live region; what came of an action does."""
    page = tab.open().page
    expect(page.locator(".tile dd").first).not_to_have_text("–")
    live = page.evaluate(
        """() => [...document.querySelectorAll('[role=status],[role=alert],[aria-live]')]
          .filter((each) => each.querySelector('.tile, .chart, td') || each.matches('.state')).length"""
    )
    assert live == 0
    assert page.evaluate("matchMedia('(prefers-reduced-motion: reduce)').matches") is False
    page.emulate_media(reduced_motion="reduce")
    moving = page.evaluate(
        "[...document.querySelectorAll('*')].filter((each) => parseFloat(getComputedStyle(each).transitionDuration) > 0).length"
    )
    assert moving == 0


def test_names_stay_names(tab: Tab, warren: Installation):
    """A user may be called nearly anything; it is found by a link and met by a command."""
    name = "a/b?c&d'%41|{x}"
    odd = warren.client(quote(name, safe=""), "chat:odd")
    page = tab.open("all", "room/chat%3Aodd").page
    page.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name=f"User {name}", exact=True)).to_be_visible()
    tab.button("Disconnect all …").click()
    tab.dialog.get_by_role("button", name=re.compile("^Disconnect")).click()
    expect(tab.outcome).to_contain_text("1 connection of")
    assert odd.closed_with()[0] == 4006
