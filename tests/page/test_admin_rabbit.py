"""The admin page on a real RabbitMQ, with two routers and two gateways as processes of their own: what one
router shows is the whole installation, and what is done on its page happens on the other's gateways.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, async_playwright, expect
from tests.support.client import connect
from tests.support.pods import Gateway, Pods, Router
from tests.support.ports import free_ports

from router.core.api_keys import hash_of

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
KEY = "an-operators-key"

pytestmark = [pytest.mark.rabbit, pytest.mark.page, pytest.mark.slow, pytest.mark.xdist_group("page")]


class Installation(NamedTuple):
    routers: list[Router]
    gateways: list[Gateway]
    pages: list[str]


@pytest_asyncio.fixture
async def installation(pods: Pods, tmp_path: Path) -> Installation:
    keys = tmp_path / "keys.yaml"
    keys.write_text(json.dumps({"keys": [{"name": "ops", "sha256": hash_of(KEY.encode()), "scopes": ["*"]}]}))
    ports = free_ports(2)
    routers = [
        await pods.router(
            {
                "WARREN_ROUTER_API_HOST": "127.0.0.1",
                "WARREN_ROUTER_API_PORT": str(port),
                "WARREN_ROUTER_API_KEYS_FILE": str(keys),
            }
        )
        for port in ports
    ]
    gateways = [await pods.gateway({"WARREN_GATEWAY_GRACE_MS": "0"}) for _ in range(2)]
    return Installation(routers, gateways, [f"http://127.0.0.1:{port}/admin/" for port in ports])


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "Chromium is missing: apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


async def opened(browser: Browser, url: str) -> Page:
    page = await browser.new_page()
    await page.goto(url)
    await page.get_by_label("Key", exact=True).fill(KEY)
    await page.get_by_role("button", name="Open", exact=True).click()
    return page


def _tile(page: Page, name: str) -> Locator:
    return page.locator(".tile", has=page.get_by_text(name, exact=True)).locator("dd")


async def test_a_kick_on_the_page_closes_a_real_client_wherever_it_is(
    installation: Installation, browser: Browser
):
    """Both routers' pages show the same installation; the kick reaches both gateways; and one router goes on
    alone when the other has died, and says so.
    """
    clients = [await connect(gateway.url, user="kim") for gateway in installation.gateways]
    bob = await connect(installation.gateways[1].url, user="bob")
    for client in (*clients, bob):
        await client.join("chat:kick")
    first, second = [await opened(browser, url) for url in installation.pages]
    for page in (first, second):
        for name, value in (("Connections", "3"), ("Users", "2"), ("Gateways", "2")):
            await expect(_tile(page, name)).to_have_text(value, timeout=20_000)
        routers = page.get_by_role("table", name="Routers").locator("tbody tr")
        await expect(routers).to_have_count(2)
        await expect(routers.filter(has_text="(answers)")).to_have_count(1)
        await expect(page.get_by_text("All 4 shards are spoken for")).to_be_visible(timeout=20_000)

    await first.goto(f"{installation.pages[0]}#/user/kim")
    await expect(first.get_by_text(re.compile("kim: online.*, 2 connections"))).to_be_visible()
    await first.get_by_role("button", name="Disconnect all …").click()
    await first.get_by_role("dialog").get_by_role("button", name="Disconnect kim").click()
    await expect(first.locator(".outcome:visible")).to_have_text(
        "2 connections of kim closed.", timeout=15_000
    )
    for client in clients:
        assert (await client.closed())[0] == 4006
    await bob.publish("chat:kick", {"text": "still here"})

    installation.routers[0].kill()
    await expect(second.get_by_role("table", name="Routers").locator("tbody tr")).to_have_count(
        1, timeout=20_000
    )
    await expect(second.get_by_text("All 4 shards are spoken for")).to_be_visible(timeout=20_000)
    await expect(_tile(second, "Connections")).to_have_text("1", timeout=20_000)
    await expect(first.locator(".trouble:visible").first).to_contain_text(
        "The router can't be reached", timeout=20_000
    )
    await asyncio.gather(bob.close(), *(client.close() for client in clients))
