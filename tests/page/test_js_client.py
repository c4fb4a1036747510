"""The JavaScript client as built, in a real Chromium, on a page of another site: a refused origin, and a network
that goes and comes back.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route, async_playwright
from tests.support.eventually import eventually
from tests.support.ports import embedded_port
from tests.support.proxy import Proxy

from embedded.app import Embedded
from embedded.settings import read_embedded
from warren.lifecycle import Part

CLIENT = (Path(__file__).parents[2] / "clients" / "js" / "warren.js").read_text()
FOREIGN = "http://app.example"
LOCAL = "http://localhost:5173"
# The gateway stands on this machine, where a foreign page may not reach by the browser's own rules.
ANYWHERE = "--disable-features=LocalNetworkAccessChecks"
# A client that finds out by nothing but what wakes it: no heartbeat of its own, and no attempt for hours.
OPEN = """async ({url, options}) => {
  const { WarrenClient } = await import("/warren.js");
  const heard = (window.heard = { states: [], errors: [], chats: [], joined: 0 });
  const client = (window.client = new WarrenClient(url, options));
  client.on("state", (state) => heard.states.push(state));
  client.on("error", ({ code, message }) => heard.errors.push([code, message]));
  window.room = client.room("r");
  room.on("CHAT", ({ payload }) => heard.chats.push(payload));
  room.on("state", (state) => (heard.joined += state === "joined"));
  client.connect().catch(() => {});
}"""
ONLY_WOKEN = {"pingMs": 1e8, "backoffMs": 1e8, "backoffCapMs": 1e8, "user": "ann"}

pytestmark = [pytest.mark.page, pytest.mark.slow, pytest.mark.xdist_group("page")]


@asynccontextmanager
async def gateway() -> AsyncIterator[int]:
    """Run an embedded Warren; give a gateway's port."""
    port = embedded_port()
    embedded = Embedded(read_embedded({"PORT": str(port), "WARREN_ROUTER_API_PORT": "0"}))
    begun: list[Part] = []
    try:
        for part in embedded.parts():
            begun.append(part)
            await part.start()
        yield port
    finally:
        for part in reversed(begun):
            await part.stop()


@asynccontextmanager
async def page_of(origin: str) -> AsyncIterator[Page]:
    """Give a page of this origin, which has the client; no such host has to exist."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "Chromium is missing: apt-get install chromium"

    async def serve(route: Route) -> None:
        if route.request.url.endswith("/warren.js"):
            await route.fulfill(body=CLIENT, content_type="text/javascript")
        else:
            await route.fulfill(body="<!doctype html><title>app</title>", content_type="text/html")

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--no-first-run", ANYWHERE]
        )
        page = await browser.new_page()
        await page.route(f"{origin}/**", serve)
        await page.goto(f"{origin}/")
        yield page
        await browser.close()


async def heard(page: Page) -> dict[str, Any]:
    """Return what the page's client has said so far."""
    found: dict[str, Any] = await page.evaluate("heard")
    return found


async def until_joined(page: Page, times: int) -> None:
    """Wait until the room was joined so often."""

    async def joined() -> bool:
        return bool((await heard(page))["joined"] == times)

    await eventually(joined)


async def test_a_refused_origin_is_named_by_the_client_and_by_the_gateway(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The page's developer reads in the console which setting allows it, and so does who runs the gateway."""
    with caplog.at_level(logging.WARNING):
        async with gateway() as port, page_of(FOREIGN) as page:
            await page.evaluate(OPEN, {"url": f"ws://127.0.0.1:{port}/ws", "options": {"backoffMs": 1}})

            async def said() -> bool:
                return bool((await heard(page))["errors"])

            await eventually(said)
            [code, message], *_ = (await heard(page))["errors"]
    assert code == "never_opened"
    assert f"this page's origin, {FOREIGN}, is not one that the gateway allows" in message
    assert f"WARREN_GATEWAY_ORIGINS={FOREIGN} allows it" in message
    assert "the host answers HTTP" in message
    refused = [vars(record) for record in caplog.records if record.getMessage() == "upgrade_refused"]
    assert refused
    assert FOREIGN in str(refused[0])
    assert "WARREN_GATEWAY_ORIGINS" in str(refused[0])


async def test_a_page_that_is_online_again_replaces_a_dead_connection_and_misses_nothing() -> None:
    """Nothing but the browser's events tells: a silent connection is proved dead and replaced, and one that
    waits for its next attempt makes it; what was said meanwhile comes once and in order. The page is another
    site's on the developer's own machine, which embedded mode lets in.
    """
    async with gateway() as port, Proxy("127.0.0.1", port) as proxy, page_of(LOCAL) as page:
        await page.evaluate(OPEN, {"url": f"ws://127.0.0.1:{proxy.port}/ws", "options": ONLY_WOKEN})
        await until_joined(page, 1)
        bob = """async (url) => {
          const { WarrenClient } = await import("/warren.js");
          window.bob = new WarrenClient(url, { user: "bob" });
          await bob.connect();
          await bob.join("r");
        }"""
        say = "(n) => bob.send('CHAT', 'r', n)"
        await page.evaluate(bob, f"ws://127.0.0.1:{port}/ws")
        await page.evaluate(say, 1)

        proxy.stall()  # the connection is open, and dead
        await page.evaluate(say, 2)
        await page.context.set_offline(True)
        await page.context.set_offline(False)

        async def dials() -> bool:
            return bool((await heard(page))["states"].count("connecting") == 2)

        await eventually(dials)
        proxy.slow()  # whoever comes now gets through
        await until_joined(page, 2)

        await proxy.cut()  # the next attempt is hours away

        async def waits() -> bool:
            return bool((await heard(page))["states"][-1] == "waiting")

        await eventually(waits)
        await page.evaluate(say, 3)
        await proxy.restore()
        await page.context.set_offline(True)
        await page.context.set_offline(False)
        await until_joined(page, 3)
        await page.evaluate(say, 4)

        async def complete() -> bool:
            return bool((await heard(page))["chats"] == [1, 2, 3, 4])

        await eventually(complete)
        found = await heard(page)
        await page.evaluate("bob.close(), client.close()")
    assert found["errors"][0][0] == "heartbeat_missed"
    assert "after a wake-up" in found["errors"][0][1]
