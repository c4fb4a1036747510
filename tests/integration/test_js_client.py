"""The JavaScript client against a real gateway with its default limits: what counts there is what goes out,
and what it can't read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.js_client import run_script
from tests.support.ports import free_port

from embedded.app import Embedded
from embedded.settings import read_embedded
from warren.lifecycle import Part

SECRET = "0123456789abcdef0123456789abcdef"

BUSY = """
import { createHmac } from "node:crypto";
import { WarrenClient } from "%(client)s";

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
let tokens = 0;
const getToken = () => {
  tokens++;
  const body = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: "ann", exp: Math.floor(Date.now() / 1000) + 5 })}`;
  return `${body}.${createHmac("sha256", "%(secret)s").update(body).digest("base64url")}`;
};
const client = new WarrenClient("%(url)s", { getToken, refreshBeforeMs: 4_000, pingMs: 600, pongTimeoutMs: 400 });
const found = { closes: [], errors: [], acks: 0, pongs: 0 };
client.on("close", ({ code, reason }) => found.closes.push([code, reason]));
client.on("error", ({ code, message }) => found.errors.push([code, message]));
client.on("PONG", () => found.pongs++);
await client.connect();
await client.join("r");
const typing = setInterval(() => client.send("TYPING", "r", true), 300);
const sent = [];
for (let n = 0; n < 50; n++) sent.push(client.send("CHAT", "r", n).then(() => found.acks++));
await Promise.all(sent);
clearInterval(typing);
console.log(JSON.stringify({ ...found, tokens, closes: found.closes }));
client.close();
"""

CUT = """
import { WarrenClient } from "%(client)s";

// a server judges what this client would not send: its own check is passed by
const client = new WarrenClient("%(url)s", { ackTimeoutMs: 3_000, WebSocket: class extends WebSocket {
  send(text) { super.send(text.replaceAll("CUT", "\\\\ud83d")); }
} });
const found = { closes: 0, bad: [], good: 0, refused: null };
client.on("close", () => found.closes++);
client.on("error", () => {});
await client.connect();
await client.join("r");
found.refused = await client.send("CHAT", "r", { text: "ab😀".slice(0, 3) }).catch(({ code }) => code);
const sent = [];
for (let n = 0; n < 5; n++) sent.push(client.send("CHAT", "r", { text: `CUT ${n}` }).catch(({ code }) => found.bad.push(code)));
for (let n = 0; n < 3; n++) sent.push(client.send("CHAT", "r", n).then(() => found.good++));
await Promise.all(sent);
console.log(JSON.stringify({ ...found, waiting: client.counters.waiting, closes: found.closes }));
client.close();
"""


@asynccontextmanager
async def gateway(**env: str) -> AsyncIterator[str]:
    """Run a gateway of an embedded Warren with its default limits; give its address."""
    embedded = Embedded(read_embedded({"PORT": str(free_port()), "WARREN_ROUTER_API_PORT": "0", **env}))
    begun: list[Part] = []
    try:
        for part in embedded.parts():
            begun.append(part)
            await part.start()
        yield f"ws://{embedded.addresses[0]}/ws"
    finally:
        for part in reversed(begun):
            await part.stop()


async def run(script: str, url: str) -> dict[str, Any]:
    """Run it and return what it prints."""
    return await run_script(script, url=url, secret=SECRET)


@pytest.mark.slow
async def test_a_busy_client_that_refreshes_its_token_and_pings_is_not_too_fast() -> None:
    """Fifty messages at 5 a second, with typing, PINGs and fresh tokens between them: nothing is closed, all
    are acknowledged.
    """
    async with gateway(
        WARREN_GATEWAY_AUTH="jwt", WARREN_GATEWAY_JWT_SECRET=SECRET, WARREN_GATEWAY_JWT_LEEWAY_S="0"
    ) as url:
        found = await run(BUSY, url)
    assert (found["closes"], found["errors"], found["acks"]) == ([], [], 50)
    assert found["tokens"] >= 5
    assert found["pongs"] >= 5


@pytest.mark.slow
async def test_what_the_gateway_can_not_read_settles_and_does_not_hold_up_the_rest() -> None:
    """Half an emoji is refused by the client; five that reach the gateway are found out, and what comes
    behind them goes.
    """
    async with gateway() as url:
        found = await run(CUT, url)
    assert found == {
        "closes": 0,
        "bad": ["invalid_format"] * 5,
        "good": 3,
        "refused": "invalid_format",
        "waiting": 0,
    }
