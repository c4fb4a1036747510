"""Chromium's own EventSource against gateways: what a page gets, and that it goes on where it stood, by
nothing but the browser's own coming back.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright
from tests.page.conftest import FLAGS
from tests.support.client import connect
from tests.support.eventually import eventually
from tests.support.gateways import House, gateway_settings, house
from tests.support.proxy import Proxy

pytestmark = [pytest.mark.page, pytest.mark.xdist_group("page")]

# A page's: it keeps what came, and stays away where it is told to.
SOURCE = """(url) => {
  window.frames_ = []; window.closes = []; window.opens = 0;
  const source = window.source = new EventSource(url);
  source.onopen = () => opens++;
  source.onmessage = ({data, lastEventId}) => frames_.push({...JSON.parse(data), lastEventId});
  source.addEventListener("close", ({data}) => {
    closes.push(JSON.parse(data));
    if (closes.at(-1).reconnect !== "yes") source.close();
  });
}"""
POST = """async ([base, frames]) => {
  const {connection, post} = frames_.findLast((frame) => frame.type === "WELCOME").payload;
  const answer = await fetch(`${base}/publish?connection=${connection}`, {
    method: "POST", headers: {Authorization: `Bearer ${post}`}, body: JSON.stringify(frames)});
  return answer.status;
}"""


@pytest.fixture
async def home() -> AsyncIterator[House]:
    async with house() as built:
        yield built


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "Chromium is missing: apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


async def frames(page: Page, kind: str) -> list[dict[str, Any]]:
    """Return the frames of a type that the page has."""
    found: list[dict[str, Any]] = await page.evaluate(
        "(kind) => frames_.filter(({type}) => type === kind)", kind
    )
    return found


async def test_a_browser_goes_on_where_it_stood(home: House, browser: Browser) -> None:
    """Its stream is cut in the middle of messages, and comes back to another gateway, twice: each message of
    two rooms once and in order. What it posts is answered over the stream.
    """
    first, second = await home.gateway(), await home.gateway()
    async with Proxy("127.0.0.1", first.port) as proxy, await connect(home.url(), user="bob") as bob:
        page = await browser.new_page()
        await page.goto(f"http://127.0.0.1:{proxy.port}/websocket-stats")
        await page.evaluate(SOURCE, "/sse?room=chat:1&room=chat:2&user=ann")

        async def joined() -> bool:
            return len(await frames(page, "JOINED")) == 4

        await eventually(joined)
        await bob.join("chat:1")
        for number in range(1, 91):
            for room in ("chat:1", "chat:2"):
                await bob.send("CHAT", room, number, id=f"{room}{number}")
            if number % 30 == 0:
                proxy.target_port = (second, first)[number // 30 % 2].port
                proxy.reset()

        async def everything() -> bool:
            return len(await frames(page, "CHAT")) >= 180

        await eventually(everything, 30.0)
        chats = await frames(page, "CHAT")
        for room in ("chat:1", "chat:2"):
            assert [chat["payload"] for chat in chats if chat["room"] == room] == list(range(1, 91))
        assert await page.evaluate("opens") >= 2
        again = (await frames(page, "JOINED"))[4:]
        assert again
        assert all(joined["payload"]["recovered"] for joined in again)
        chat = {"type": "CHAT", "room": "chat:1", "payload": "hi", "id": "m1"}
        assert await page.evaluate(POST, ["", [chat]]) == 202
        await bob.expect("CHAT", payload="hi")

        async def acknowledged() -> bool:
            return [ack["ref"] for ack in await frames(page, "ACK")] == ["m1"]

        await eventually(acknowledged)


async def test_a_page_of_another_origin_reads_and_posts(home: House, browser: Browser) -> None:
    """Where it may, with the preflights that a browser sends; a page that may not gets nothing."""
    first = await home.gateway()
    origin = f"http://127.0.0.1:{first.port}"
    second = await home.gateway(gateway_settings(listen={"origins": (origin,)}))
    third = await home.gateway()
    page = await browser.new_page()
    await page.goto(f"{origin}/websocket-stats")
    await page.evaluate(SOURCE, f"http://127.0.0.1:{second.port}/sse?user=ann")

    async def has(kind: str) -> bool:
        return bool(await frames(page, kind))

    await eventually(lambda: has("WELCOME"))
    ping = [{"type": "PING", "id": "p"}]
    assert await page.evaluate(POST, [f"http://127.0.0.1:{second.port}", ping]) == 202
    await eventually(lambda: has("PONG"))
    await page.evaluate("source.close()")
    await page.evaluate(SOURCE, f"http://127.0.0.1:{third.port}/sse?user=ann")

    async def refused() -> bool:
        return bool(await page.evaluate("source.readyState === EventSource.CLOSED"))

    await eventually(refused)
    assert await frames(page, "WELCOME") == []


async def test_a_page_is_told_when_not_to_come_back(home: House, browser: Browser) -> None:
    """By the event; one that goes on listening would come back only after an hour."""
    await home.gateway(gateway_settings(auth={"auth": "jwt", "jwt_secret": "s" * 32}))
    page = await browser.new_page()
    await page.goto(home.url(path="/websocket-stats", scheme="http"))
    await page.evaluate(SOURCE, "/sse?token=none")

    async def told() -> Any:
        return await page.evaluate("closes")

    (close,) = await eventually(told)
    assert (close["code"], close["reconnect"]) == (4001, "token")
    assert await page.evaluate("source.readyState === EventSource.CLOSED")
