"""The demo page in headless Chromium against ``python -m embedded``: two windows on two gateways, as a
newcomer would try it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect
from tests.support.axe import RUN_AXE
from tests.support.eventually import stretched
from tests.support.js_site import await_page
from tests.support.ports import embedded_port

from rabbit_nodes.child import Child

ROOT = Path(__file__).parents[2]
END_S = stretched(5.0)
# Keeps every socket that the page opens, so that a test can misbehave on it.
SOCKETS = """
  window.sockets = [];
  window.WebSocket = class extends WebSocket {
    constructor(...given) { super(...given); window.sockets.push(this); }
  };
"""
FLOOD = "for (let n = 0; n < 20; n++) sockets.at(-1).send(JSON.stringify({type: 'PING'}))"

pytestmark = [pytest.mark.page, pytest.mark.slow, pytest.mark.xdist_group("page")]
expect.set_options(timeout=10_000)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The first gateway's port of an embedded Warren, which must end in time and leave nothing behind."""
    port = embedded_port()
    log = tmp_path_factory.mktemp("embedded") / "log"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("WARREN_", "OTEL_"))}
    with log.open("wb") as output:
        child = Child(
            [sys.executable, "-m", "embedded"], env={**env, "PORT": str(port)}, output=output, cwd=ROOT
        )
        try:
            await_page(child, port, log)
            yield port
            assert child.end(END_S) == 0, log.read_text()
        finally:
            child.kill()
    written = log.read_text()
    assert f"http://127.0.0.1:{port}" in written
    assert "Traceback" not in written, written


class Window:
    """One browser window, and the page in it."""

    def __init__(self, browser: Browser, name: str, **options: object) -> None:
        """A window without a page; ``options`` as for a context of Playwright's."""
        self.name = name
        self.complaints: list[str] = []
        self.context = browser.new_context(**options)  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.page.add_init_script(SOCKETS)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, port: int, gateway: int, room: str) -> Self:
        """Load the page, whatever was there before (it keeps nothing in the browser)."""
        self.page.goto(f"http://127.0.0.1:{port}/?name={quote(self.name)}&room={room}")
        gateways = self.page.get_by_label("Gateway")
        expect(gateways.locator("option")).to_have_count(2)
        if gateway != port:
            gateways.select_option(f"127.0.0.1:{gateway}")
        return self

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    @property
    def status(self) -> Locator:
        return self.page.locator("#status-text")

    def join(self) -> None:
        self.page.get_by_role("button", name="Join").click()
        expect(self.status).to_contain_text("connected to 127.0.0.1:")
        expect(self.page.locator("#position")).to_contain_text("epoch")

    def say(self, text: str) -> None:
        self.page.get_by_label("Message", exact=True).fill(text)
        self.page.get_by_role("button", name="Send").click()

    def row(self, text: str) -> Locator:
        return self.page.locator(".message", has_text=text)

    def seqs(self) -> list[str]:
        return self.page.locator(".message .rail").all_text_contents()


@pytest.fixture(scope="module")
def pair(browser: Browser) -> Iterator[tuple[Window, Window]]:
    """Two windows for many tests: a new one costs more than what most of them do in it."""
    ann, bob = Window(browser, "ann"), Window(browser, "bob")
    yield ann, bob
    for window in (ann, bob):
        window.context.close()


@pytest.fixture
def windows(
    pair: tuple[Window, Window], port: int, request: pytest.FixtureRequest
) -> Iterator[tuple[Window, Window]]:
    """Two windows, on different gateways, in a room of the test's own; neither may have complained by the
    end.
    """
    room = "chat:" + re.sub(r"[^a-z0-9]", "-", request.node.name.lower())[-60:]
    for n, window in enumerate(pair):
        window.complaints.clear()
        window.open(port, port + n, room).join()
    yield pair
    complaints = [window.complaints for window in pair]
    for window in pair:
        window.page.goto("about:blank")
    assert complaints == [[], []]


Two = tuple[Window, Window]


def _meta(row: Locator, name: str) -> str:
    return (row.locator(f".meta-{name}").text_content() or "").removeprefix(f"{name} ")


def test_two_windows_on_two_gateways_chat(windows: Two):
    """What one says the other sees once, in the same place: the same seq, the same epoch, the same trace."""
    ann, bob = windows
    ann.say("hello bob")
    expect(bob.row("hello bob")).to_have_count(1)
    expect(ann.row("hello bob").locator(".rail")).to_have_text("1")
    bob.say("hello ann")
    expect(ann.row("hello ann")).to_have_count(1)
    expect(bob.row("hello ann").locator(".rail")).to_have_text("2")
    expect(ann.row("hello ann").locator(".who")).to_contain_text("bob")
    assert ann.seqs() == bob.seqs() == ["1", "2"]
    for text in ("hello bob", "hello ann"):
        for part in ("seq", "epoch", "trace"):
            assert _meta(ann.row(text), part) == _meta(bob.row(text), part)
        assert re.fullmatch(r"[0-9a-f]{32}", _meta(bob.row(text), "trace"))


def test_both_windows_show_who_is_there(windows: Two, browser: Browser, port: int):
    """Each its own name first; who leaves is gone at once, and a page that is loaded anew was never away."""
    ann, bob = windows
    room = ann.page.get_by_label("Room", exact=True).input_value()
    names = [window.page.locator("#people .names li") for window in windows]
    expect(names[0]).to_have_text(["ann (you)", "bob"])
    expect(names[1]).to_have_text(["bob (you)", "ann"])
    expect(ann.page.locator("#people .count")).to_have_text("2 here")
    eve = Window(browser, "eve").open(port, port + 1, room)
    eve.join()
    expect(names[0]).to_have_text(["ann (you)", "bob", "eve"])
    ann.page.evaluate(
        """() => {
          window.seen = [];
          const names = document.querySelector("#people .names");
          new MutationObserver(() => seen.push(names.innerText)).observe(names, {childList: true});
        }"""
    )
    bob.open(port, port + 1, room).join()
    expect(bob.page.locator("#people .names li")).to_have_text(["bob (you)", "ann", "eve"])
    assert all("bob" in text for text in ann.page.evaluate("seen"))
    eve.page.get_by_role("button", name="Leave").click()
    expect(names[0]).to_have_text(["ann (you)", "bob"], timeout=2_500)
    eve.context.close()
    assert eve.complaints == []


def test_own_messages_say_who_has_seen_them(windows: Two):
    """First that they are sent or delivered, then by how many they are seen; in words, and each in its own
    row alone.
    """
    ann, bob = windows
    expect(ann.page.locator("#people .names li")).to_have_count(2)
    ann.say("hello bob")
    ticks = ann.row("hello bob").locator(".ticks")
    expect(ticks).to_have_text("✓✓ seen by 1")
    expect(ticks).to_have_attribute("title", "bob")
    expect(ticks.locator("[aria-hidden=true]")).to_have_text("✓✓")
    expect(bob.page.locator(".message")).to_have_count(1)
    expect(bob.page.locator(".ticks")).to_have_count(0)
    bob.say("hello ann")
    expect(bob.row("hello ann").locator(".ticks")).to_have_text("✓✓ seen by 1")
    expect(bob.row("hello ann").locator(".ticks")).to_have_attribute("title", "ann")


# Lets a test hide the page, and keeps what it says to have seen.
READER = """() => {
  window.visibility = 'visible';
  Object.defineProperty(document, 'visibilityState', {get: () => window.visibility});
  window.show = (state) => {
    window.visibility = state;
    document.dispatchEvent(new Event('visibilitychange'));
  };
  window.said = [];
  const socket = window.sockets.at(-1);
  const send = socket.send.bind(socket);
  socket.send = (text) => {
    const frame = JSON.parse(text);
    if (frame.type === 'SEEN') window.said.push(frame.payload.seq);
    send(text);
  };
}"""
# What is on the screen is known once it has been painted.
PAINTED = """() => new Promise((then) => {
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(then)));
})"""


def test_what_arrives_in_a_hidden_page_is_not_seen(windows: Two):
    """It is delivered, and seen once somebody looks at the page."""
    ann, bob = windows
    expect(ann.page.locator("#people .names li")).to_have_count(2)
    bob.page.evaluate(READER)
    bob.page.evaluate("show('hidden')")
    ann.say("are you there?")
    expect(bob.row("are you there?")).to_have_count(1)
    expect(ann.row("are you there?").locator(".ticks")).to_have_text("✓✓ delivered")
    bob.page.evaluate(PAINTED)
    assert bob.page.evaluate("said") == []
    bob.page.evaluate("show('visible')")
    expect(ann.row("are you there?").locator(".ticks")).to_have_text("✓✓ seen by 1")
    assert bob.page.evaluate("said") == [1]


def test_what_is_not_on_the_screen_is_not_seen(windows: Two):
    """A message below the others is seen when it is scrolled to, and one that is higher than the window
    when it fills it.
    """
    ann, bob = windows
    expect(ann.page.locator("#people .names li")).to_have_count(2)
    bob.page.evaluate(READER)
    ann.say("far too long: " + "la " * 1_300)
    expect(ann.row("far too long").locator(".ticks")).to_have_text("✓✓ seen by 1")
    bob.page.evaluate("document.getElementById('feed').scrollTop = 0")
    ann.say("and below it")
    expect(bob.row("and below it")).to_have_count(1)
    expect(ann.row("and below it").locator(".ticks")).to_have_text("✓✓ delivered")
    bob.page.evaluate(PAINTED)
    assert bob.page.evaluate("said") == [1]
    bob.page.evaluate("document.getElementById('feed').scrollTop = 1e6")
    expect(ann.row("and below it").locator(".ticks")).to_have_text("✓✓ seen by 1")
    assert bob.page.evaluate("said") == [1, 2]


def test_a_room_that_does_not_tell_what_is_seen_is_not_asked(browser: Browser, port: int):
    """It would refuse a message with that question, and each word about what is seen."""
    window = Window(browser, "ann")
    window.page.add_init_script(
        """
        const Real = window.WebSocket;
        window.sent = [];
        window.WebSocket = class extends Real {
          send(text) {
            window.sent.push(JSON.parse(text));
            super.send(text);
          }
          set onmessage(listener) {
            super.onmessage = listener && (({data}) => {
              const frame = JSON.parse(data);
              if (frame.type === 'PRESENCE') delete frame.payload.seen;
              listener({data: JSON.stringify(frame)});
            });
          }
        };
        """
    )
    window.open(port, port, "chat:untold").join()
    expect(window.page.locator("#people .names li")).to_have_text(["ann (you)"])
    window.say("hello")
    expect(window.row("hello").locator(".ticks")).to_have_text("✓ sent")
    window.page.get_by_role("button", name="Publish").click()
    expect(window.page.locator(".notice")).to_have_count(1)
    window.page.evaluate(PAINTED)
    sent = window.page.evaluate("sent")
    assert [frame["type"] for frame in sent if frame["type"] in ("CHAT", "SEEN")] == ["CHAT"]
    assert all("receipt" not in frame for frame in sent)
    window.context.close()
    assert window.complaints == []


def test_a_message_that_is_not_sampled_carries_no_trace(windows: Two):
    """Without the check mark the other side gets no trace id, and the page says so."""
    ann, bob = windows
    ann.page.get_by_label("sample the trace").uncheck()
    ann.say("quiet")
    expect(bob.row("quiet").locator(".meta")).to_contain_text("not sampled")


def test_many_messages_stay_in_order(windows: Two):
    """Both windows show what both say in the order of the seqs, faster than the rate limit and without being
    thrown out.
    """
    ann, bob = windows
    for number in range(6):
        ann.say(f"a{number}")
        bob.say(f"b{number}")
    for window in windows:
        expect(window.page.locator(".message")).to_have_count(12)
        expect(window.page.locator(".sending")).to_have_count(0)
        assert window.seqs() == [str(number) for number in range(1, 13)]
        said = window.page.locator(".said").all_text_contents()
        for letter in "ab":
            assert [text for text in said if text[0] == letter] == [
                f"{letter}{number}" for number in range(6)
            ]


def test_typing_is_shown_until_the_message_comes(windows: Two):
    """The other window says who types, and stops when the message is there."""
    ann, bob = windows
    ann.page.get_by_label("Message", exact=True).press_sequentially("hi")
    expect(bob.page.locator("#typing")).to_have_text("ann is typing …")
    ann.page.get_by_label("Message", exact=True).press("Enter")
    expect(bob.row("hi")).to_have_count(1)
    expect(bob.page.locator("#typing")).to_have_text("")


@pytest.mark.parametrize(
    ("target", "arrives"), [("a room", 2), ("a user", 1), ("one connection", 1), ("everyone", 2)]
)
def test_a_notification_as_a_backend_sends_it_arrives(windows: Two, target: str, arrives: int):
    """The form publishes, says with which key, and the notification comes to the room, user, connection or
    everyone it is for.
    """
    ann, bob = windows
    ann.page.get_by_label("To").select_option(target)
    ann.page.get_by_label("Payload").fill(json.dumps({"news": target}))
    ann.page.get_by_role("button", name="Publish").click()
    expect(ann.page.locator("#notified")).to_contain_text("Published with the routing key")
    expect(ann.row(f'"news":"{target}"')).to_have_count(1)
    if arrives == 2:
        expect(bob.row(f'"news":"{target}"')).to_have_count(1)
    row = ann.row(f'"news":"{target}"')
    expect(row.locator(".who")).to_contain_text("a backend")
    expect(row.locator(".who")).to_contain_text("NOTIFICATION")
    assert re.fullmatch(r"[0-9a-f]{32}", _meta(row, "trace"))
    ann.say("after it")  # in the one order of the room, so nothing else is on its way
    expect(bob.row("after it")).to_have_count(1)
    assert bob.row(f'"news":"{target}"').count() == arrives - 1


def test_a_window_that_the_gateway_throws_out_comes_back(windows: Two):
    """After a flood the gateway closes with 4002; the page says so, reconnects, and what was written
    meanwhile arrives once.
    """
    ann, bob = windows
    ann.say("before")
    expect(bob.row("before")).to_have_count(1)
    ann.page.evaluate(FLOOD)
    expect(ann.page.locator("#log")).to_contain_text("closed: 4002")
    ann.say("meanwhile")
    expect(ann.status).to_contain_text("connected to 127.0.0.1:")
    expect(bob.row("meanwhile")).to_have_count(1)
    expect(ann.row("meanwhile").locator(".rail")).to_have_text("2")
    bob.say("welcome back")
    expect(ann.row("welcome back")).to_have_count(1)
    assert ann.page.evaluate("sockets.length") > 1
    assert ann.seqs() == bob.seqs() == ["1", "2", "3"]


def test_what_was_said_before_is_read_on_demand(windows: Two, browser: Browser, port: int):
    """One who comes later sees what was said before, page by page up to the beginning, in order and once; the
    button goes with the first message.
    """
    ann, _ = windows
    room = ann.page.get_by_label("Room", exact=True).input_value()
    expect(ann.page.locator("#earlier")).to_be_hidden()
    for number in range(5):
        ann.say(f"early {number}")
    expect(ann.page.locator(".sending")).to_have_count(0)
    eve = Window(browser, "eve").open(port, port + 1, room)
    eve.join()
    ann.say("while eve is there")
    expect(eve.row("while eve is there")).to_have_count(1)
    eve.page.get_by_role("button", name="Earlier messages").click()
    expect(eve.page.locator(".message")).to_have_count(6)
    assert eve.seqs() == ["1", "2", "3", "4", "5", "6"]
    expect(eve.page.locator("#earlier")).to_be_hidden()
    eve.context.close()
    assert eve.complaints == []


def test_a_service_can_be_asked(windows: Two):
    """The answer and how long it took stand below the form; one that may not be called is told by its code,
    and neither shows as a message.
    """
    ann, _ = windows
    ann.page.get_by_role("button", name="Ask").click()
    answer = ann.page.locator("#answer")
    expect(answer).to_contain_text(re.compile(r'^\{"how":"are you\?"\} after \d+ ms$'))
    ann.page.locator("#service").fill("nobody")
    ann.page.get_by_role("button", name="Ask").click()
    expect(answer).to_contain_text("forbidden: You may not call this service")
    expect(ann.page.locator(".message")).to_have_count(0)


def test_one_who_waits_to_reconnect_sees_how_long_and_need_not(windows: Two):
    """The seconds count down where nobody hears them; the button tries at once, and the waiting is over."""
    ann, bob = windows
    ann.page.evaluate("""() => {
      window.Real = window.WebSocket;
      window.WebSocket = class extends EventTarget {
        constructor() { super(); setTimeout(() => this.onclose?.({code: 1006, reason: ''})); }
        close() {}
      };
      window.sockets.at(-1).close();
    }""")
    countdown = ann.page.locator("#countdown")
    expect(countdown).to_have_text(re.compile(r"^in \d+ s$"))
    expect(countdown).to_have_attribute("aria-hidden", "true")
    ann.page.evaluate("() => { window.WebSocket = window.Real; }")
    ann.page.evaluate("document.getElementById('retry-now').click()")
    expect(ann.status).to_contain_text("connected to 127.0.0.1:")
    expect(countdown).to_be_hidden()
    bob.say("there you are")
    expect(ann.row("there you are")).to_have_count(1)


def test_only_what_others_say_is_read_aloud(windows: Two):
    """Each message once and without its numbers; many at once by how many they are; nothing that one wrote
    oneself, and no typing.
    """
    ann, bob = windows
    live = "[...document.querySelectorAll('[aria-live], [role=status], [role=alert], [role=log]')].map(e => e.id || e.className)"
    assert set(ann.page.evaluate(live)) == {"status-text", "trouble", "news", "notified", "answer"}
    ann.say("to myself")
    bob.say("to ann")
    expect(ann.page.locator("#news")).to_have_text("bob: to ann")
    expect(bob.page.locator("#news")).to_have_text("ann: to myself")
    expect(ann.row("to myself").locator("details")).not_to_have_attribute("open", "")
    ann.page.evaluate("""async () => {
      const { News } = await import('/demo/news.js');
      const news = new News(document.getElementById('news'));
      for (const n of [1, 2, 3]) news.tell('bob', `${n}`);
    }""")
    expect(ann.page.locator("#news")).to_have_text("3 new messages")


def test_leaving_ends_the_connection(windows: Two):
    """Leave closes the socket and writing is no longer possible; joining again begins anew."""
    ann, bob = windows
    ann.page.get_by_role("button", name="Leave").click()
    expect(ann.status).to_have_text("not connected")
    expect(ann.page.get_by_role("button", name="Send")).to_be_disabled()
    ann.join()
    bob.say("again")
    expect(ann.row("again")).to_have_count(1)


def test_mistakes_are_told_plainly(windows: Two):
    """A payload that is no JSON, a wrong target and a room's name out of the rule each get a sentence, and
    nothing breaks.
    """
    ann, _ = windows
    ann.page.get_by_label("Payload").fill("{nonsense")
    ann.page.get_by_role("button", name="Publish").click()
    expect(ann.page.locator("#notified")).to_contain_text("The payload is not valid JSON")
    ann.page.get_by_label("Payload").fill("1")
    ann.page.get_by_label("Room", exact=True).fill("no such room!")
    ann.page.get_by_role("button", name="Join").click()
    expect(ann.page.get_by_role("alert")).to_contain_text("You can't join no such room!")
    ann.page.get_by_label("Room", exact=True).fill("chat:fine")
    ann.join()
    expect(ann.page.get_by_role("alert")).to_be_hidden()
    ann.page.get_by_label("To").select_option("a user")
    ann.page.locator("#target").fill("a b")
    ann.page.get_by_role("button", name="Publish").click()
    expect(ann.page.locator("#notified")).to_contain_text("is no user")
    ann.complaints = [
        line for line in ann.complaints if "400" not in line
    ]  # Chromium's own line for the refused request


@pytest.mark.parametrize("which", [0, 1])
def test_each_gateways_page_begins_with_that_gateway(browser: Browser, port: int, which: int):
    """So two pages that are opened side by side chat over two gateways without a click."""
    window = Window(browser, "ann").open(port + which, port + which, "chat:own")
    expect(window.page.get_by_label("Gateway")).to_have_value(f"127.0.0.1:{port + which}")
    window.join()
    expect(window.status).to_have_text(f"connected to 127.0.0.1:{port + which}")
    window.context.close()
    assert window.complaints == []


def test_a_name_with_a_blank_is_refused_before_it_is_asked_for(browser: Browser, port: int):
    """The field says what is wrong, whether it was typed or came with the address; what the server refuses is
    told in its words.
    """
    window = Window(browser, "Ann Lee").open(port, port, "chat:names")
    name = window.page.get_by_label("Name").first
    window.page.get_by_role("button", name="Join").click()
    assert "can't contain spaces" in str(name.evaluate("field => field.validationMessage"))
    expect(window.status).to_have_text("not connected")
    name.fill("ann#lee")
    window.page.get_by_role("button", name="Join").click()
    expect(window.page.get_by_role("alert")).to_contain_text("user: 1 to 127 characters")
    expect(window.status).to_have_text("not connected")
    name.fill("ann-lee")
    window.join()
    expect(window.page.get_by_role("alert")).to_be_hidden()
    window.context.close()
    assert window.complaints == []


def test_a_cut_emoji_is_refused_and_the_next_message_goes(windows: Two):
    """The reason stands beside the message that could not go, and the connection is as good as before."""
    ann, bob = windows
    ann.page.evaluate(
        """() => {
          document.getElementById('text').value = 'ab😀'.slice(0, 3);
          document.getElementById('composer').requestSubmit();
        }"""
    )
    expect(ann.page.locator(".failed .why")).to_contain_text("half of a surrogate pair")
    for number in range(6):
        ann.say(f"fine {number}")
    expect(bob.page.locator(".message")).to_have_count(6)
    assert ann.page.evaluate("sockets.length") == 1


def test_a_gateway_that_refuses_the_origin_is_explained(browser: Browser, port: int):
    """A browser says nothing of a refused upgrade; after three tries the page names the setting, and hides it
    again when it connects.
    """
    window = Window(browser, "ann").open(port, port, "chat:origin")
    window.page.add_init_script(
        """
        window.refused = true;
        const Real = window.WebSocket;
        window.WebSocket = class extends Real {
          constructor(url, ...given) {
            super(window.refused ? url.replace('/ws', '/no-such-path') : url, ...given);
            window.sockets.push(this);
          }
        };
        """
    )
    window.page.reload()
    expect(window.page.get_by_label("Gateway").locator("option")).to_have_count(2)
    window.page.get_by_role("button", name="Join").click()
    alert = window.page.get_by_role("alert")
    expect(alert).to_contain_text("WARREN_GATEWAY_ORIGINS", timeout=60_000)
    expect(alert).to_contain_text("the host answers HTTP")
    window.page.evaluate("window.refused = false")
    expect(window.status).to_contain_text("connected to", timeout=60_000)
    expect(alert).to_be_hidden()
    window.context.close()


def test_a_gap_is_told_in_words(windows: Two):
    """A room whose log began anew, empty then and empty now, is a line in the log and no mark among messages;
    a real gap is both.
    """
    ann, _ = windows
    room = ann.page.get_by_label("Room", exact=True).input_value()
    say = """([room, epoch, seq]) => sockets.at(-1).onmessage({data: JSON.stringify(
      {type: 'JOINED', room, payload: {epoch, seq, recovered: false, missed: 0}})})"""
    ann.page.evaluate(say, [room, "another", 0])
    log = ann.page.locator("#log")
    expect(log).to_contain_text(f"messages of {room} may be missing: last seen: seq 0 of epoch")
    expect(log).to_contain_text("now: seq 0 of epoch another")
    expect(ann.page.locator(".divider")).to_have_count(0)
    ann.page.evaluate(say, [room, "another", 7])
    expect(ann.page.locator(".divider")).to_have_count(1)
    ann.page.evaluate(say, ["*", "another", 7])
    expect(log).to_contain_text("messages of * may be missing: last seen: nothing")


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 405, "content_type": "text/html", "body": "<html>405 Not Allowed</html>"},
        {"status": 404, "content_type": "application/json", "body": '{"error": "not here"}'},
    ],
    ids=["HTML", "JSON"],
)
def test_a_server_that_can_not_publish_is_told_plainly(
    browser: Browser, port: int, answer: dict[str, object]
):
    """Neither HTML nor an error breaks the form."""
    window = Window(browser, "ann").open(port, port, "chat:form")
    window.page.route("**/demo/notify", lambda route: route.fulfill(**answer))  # type: ignore[arg-type]
    window.page.get_by_role("button", name="Publish").click()
    says = "not here" if answer["status"] == 404 else "This page's server can't publish (405"
    expect(window.page.locator("#notified")).to_contain_text(says)
    window.context.close()


def test_a_page_whose_server_says_that_it_can_not_publish_offers_no_form(browser: Browser, port: int):
    """As that of docker-compose.yml does."""
    window = Window(browser, "ann").open(port, port, "chat:form")
    config = json.dumps({"gateways": [f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"], "notify": False})
    window.page.route(
        "**/demo/config.json", lambda route: route.fulfill(content_type="application/json", body=config)
    )
    window.page.reload()
    expect(window.page.get_by_role("button", name="Publish")).to_be_disabled()
    expect(window.page.locator("#notified")).to_contain_text("make run-rabbit")
    window.context.close()


# Each text that can be read, with the colours that the browser computed for it and for what is behind it.
CONTRASTS = """
() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], under) => [r, g, b].map((value, n) => value * a + under[n] * (1 - a));
  const luminance = (color) => {
    const [r, g, b] = color.map((value) => {
      value /= 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const field = element.matches('input:not([type=checkbox]), textarea, select');
    if (!(hasText || field) || element.closest('[hidden], .unseen, :disabled, option') || !element.getClientRects().length) continue;
    const chain = [];
    for (let each = element; each; each = each.parentElement) chain.unshift(each);
    let [under, alpha] = [[255, 255, 255], 1];
    for (const each of chain) {
      const style = getComputedStyle(each);
      under = over(parse(style.backgroundColor), under);
      alpha *= Number(style.opacity);
    }
    const isEmpty = element.placeholder && !element.value;
    const color = parse(getComputedStyle(element, isEmpty ? '::placeholder' : null).color);
    const ink = over([...color.slice(0, 3), (color[3] ?? 1) * alpha], under);
    const [light, dark] = [luminance(ink), luminance(under)].sort((a, b) => b - a);
    const where = `${element.localName}.${element.className}#${element.id} in .${element.parentElement.className}`;
    found.push([where, (light + 0.05) / (dark + 0.05)]);
  }
  return found;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(browser: Browser, port: int, scheme: str):
    """WCAG 2.1 AA: at least 4.5 to 1 for each text on the page, with messages, a notice, a failure, a mark
    and the log in it.
    """
    window = Window(browser, "ann", color_scheme=scheme).open(port, port, "chat:contrast")
    window.join()
    window.say("hello")
    expect(window.row("hello").locator(".ticks")).to_have_text("✓✓ delivered")
    window.page.get_by_role("button", name="Publish").click()
    expect(window.page.locator(".notice")).to_have_count(1)
    expect(window.page.locator(".sending")).to_have_count(0)
    window.page.evaluate(
        """async () => {
          const { MessageList } = await import('/demo/message_list.js');
          const feed = new MessageList(document.getElementById('feed'));
          feed.failed(feed.sending('ann', {text: 'x'}, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'), 'no');
          feed.sending('ann', {text: 'x'}, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
          feed.divide('Messages may be missing here');
          const trouble = document.getElementById('trouble');
          Object.assign(trouble, { hidden: false, textContent: 'trouble' });
          document.getElementById('notified').className = 'wide note bad';
          document.getElementById('typing').textContent = 'bob is typing';
          for (const details of document.querySelectorAll('details')) details.open = true;
          document.getElementById('retry').hidden = false;
          document.getElementById('countdown').textContent = 'in 3 s';
          document.getElementById('earlier').hidden = false;
        }"""
    )
    # In one go: whatever is seen next writes the ticks anew.
    marked = "document.querySelector('.mine .ticks').classList.add('seen')"
    found = window.page.evaluate(f"() => {{ {marked}; return ({CONTRASTS})(); }}")
    assert any(where.startswith("b.") and "meta-seq" in where for where, _ in found)
    assert any(where.startswith("span.ticks seen") for where, _ in found)
    assert len(found) > 40
    poor = [(where, round(ratio, 2)) for where, ratio in found if ratio < 4.5]
    assert poor == []
    window.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(browser: Browser, port: int, axe: str, scheme: str):
    """axe-core finds nothing to say, before and in a chat with a message, its details, a notice and an error,
    on a desk and on a phone.
    """
    # axe-core is put into the page, which the page's own policy would not let in
    window = Window(browser, "ann", color_scheme=scheme, bypass_csp=True)
    window.open(port, port, "chat:axe")
    window.page.evaluate(axe)
    found = {"before": window.page.evaluate(RUN_AXE, None)}
    window.join()
    window.say("hello")
    expect(window.row("hello").locator(".ticks")).to_have_text("✓✓ delivered")
    window.row("hello").locator("summary").click()
    window.page.get_by_role("button", name="Publish").click()
    expect(window.page.locator(".notice")).to_have_count(1)
    window.page.locator("#service").fill("nobody")
    window.page.get_by_role("button", name="Ask").click()
    expect(window.page.locator("#answer")).to_contain_text("forbidden")
    for name, width in (("desk", 1280), ("phone", 390)):
        window.page.set_viewport_size({"width": width, "height": 800})
        found[name] = window.page.evaluate(RUN_AXE, None)
    assert found == {"before": [], "desk": [], "phone": []}
    window.context.close()


@pytest.mark.parametrize(
    ("size", "scheme"),
    [((1280, 800), "light"), ((1280, 800), "dark"), ((390, 844), "light")],
    ids=["wide", "dark", "phone"],
)
def test_it_fits_its_window(browser: Browser, port: int, tmp_path: Path, size: tuple[int, int], scheme: str):
    """On a desk and on a phone nothing sticks out sideways, every field has a label, and a
    picture is taken.
    """
    width, height = size
    window = Window(browser, "ann", viewport={"width": width, "height": height}, color_scheme=scheme)
    window.open(port, port, "chat:look").join()
    window.say("The burrow by the oak has room for three more. Shall we?")
    window.say("https://example.org/" + "a-very-long-address/" * 8)
    window.page.get_by_role("button", name="Publish").click()
    expect(window.page.locator(".notice")).to_have_count(1)
    expect(window.page.locator(".sending")).to_have_count(0)
    # the last message is seen whole, and the head has got as far as the messages have
    feed = "(feed => feed.scrollHeight - feed.scrollTop - feed.clientHeight)(document.getElementById('feed'))"
    assert window.page.evaluate(feed) < 2
    expect(window.page.locator("#position")).to_contain_text(f"seq {window.seqs()[-1]} ")
    assert window.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    unlabelled = (
        "[...document.querySelectorAll('input, select, textarea')].filter((field) => "
        "!field.labels.length).length"
    )
    assert window.page.evaluate(unlabelled) == 0
    picture = Path(os.environ.get("WARREN_TEST_PICTURES") or tmp_path) / f"page-{scheme}-{width}.png"
    window.page.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > 10_000
    window.context.close()
    assert window.complaints == []
