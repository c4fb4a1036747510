"""The JavaScript client against a real gateway with its default limits: what counts there is what goes out,
and what it can't read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.js_client import run_script
from tests.support.ports import embedded_port
from tests.support.proxy import Proxy

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

RECEIPTS = """
import { WarrenClient } from "%(client)s";

const sockets = [];
const Kept = class extends WebSocket { constructor(...given) { super(...given); sockets.push(this); } };
const ann = new WarrenClient("%(url)s", { user: "ann", backoffMs: 50, WebSocket: Kept });
const bob = new WarrenClient("%(url)s", { user: "bob" });
const found = { receipts: [], errors: [] };
ann.on("receipt", ({ level, complete, readers, seen }) => found.receipts.push([level, complete, readers, seen]));
ann.on("error", ({ code }) => found.errors.push(code));
await Promise.all([ann.connect(), bob.connect()]);
const { presence } = await ann.join("r", { presence: true });
await bob.join("r");
const arrived = new Promise((then) => bob.on("CHAT", then));
const ack = await ann.send("CHAT", "r", "hi", { receipt: "seen" });
await ack.written;
const opened = new Promise((then) => ann.on("open", then));
sockets[0].close(4000); // who waits for the answer is another connection then
await opened;
const seen = new Promise((then) => presence.on("seen", () => presence.seenBy(ack).length && then()));
bob.seen("r", await arrived);
await ack.seen;
await seen;
found.by = presence.seenBy(ack);
found.chats = (await bob.history("r")).messages.length;
await ann.join("quiet");
found.refused = await ann.send("CHAT", "quiet", "hi", { receipt: "seen" }).catch(({ code }) => code);
found.written = (await (await ann.send("CHAT", "quiet", "hi", { receipt: "written" })).written).complete;
const answered = new Promise((then) => ann.on("CHAT", then));
await bob.send("CHAT", "quiet", "ho");
await answered;
const told = new Promise((then) => ann.on("error", then));
ann.seen("quiet");
await told;
console.log(JSON.stringify(found));
ann.close();
bob.close();
"""


CUTS = """
import { WarrenClient } from "%(client)s";

const options = { backoffMs: 20, backoffCapMs: 50, connectTimeoutMs: 2_000, maxTries: Infinity };
const ann = new WarrenClient("%(far)s", { user: "ann", ...options });
const bob = new WarrenClient("%(url)s", { user: "bob" });
const found = { heard: [], listened: [], gaps: 0, lost: 0, opened: 0, held: 0, acks: 0, errors: [] };
ann.on("open", () => found.opened++);
ann.on("error", ({ code }) => ["connection", "never_opened"].includes(code) || found.errors.push(code));
await Promise.all([ann.connect(), bob.connect()]);
const room = ann.room("r");
room.on("CHAT", ({ payload }) => found.listened.push(payload));
room.on("gap", () => found.gaps++);
await Promise.all([room.joined, bob.join("r")]);
// others hold the room for a moment, again and again
const holds = setInterval(() => { ann.room("r").leave(); found.held++; }, 7);
const sending = (async () => {
  for (let n = 0; n < 300; n++) {
    found.acks += (await bob.send("CHAT", "r", n)).seq > 0;
    await new Promise((then) => setTimeout(then, 10));
  }
})();
for await (const message of room) {
  if (message.lost) found.lost++;
  else found.heard.push(message.payload);
  if (message.payload === 299) break;
}
await sending;
clearInterval(holds);
console.log(JSON.stringify(found));
ann.close();
bob.close();
"""


@asynccontextmanager
async def gateway(**env: str) -> AsyncIterator[str]:
    """Run a gateway of an embedded Warren with its default limits; give its address."""
    embedded = Embedded(read_embedded({"PORT": str(embedded_port()), "WARREN_ROUTER_API_PORT": "0", **env}))
    begun: list[Part] = []
    try:
        for part in embedded.parts():
            begun.append(part)
            await part.start()
        yield f"ws://{embedded.addresses[0]}/ws"
    finally:
        for part in reversed(begun):
            await part.stop()


async def run(script: str, url: str, **names: str) -> dict[str, Any]:
    """Run it and return what it prints."""
    return await run_script(script, url=url, secret=SECRET, **names)


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


@pytest.mark.slow
async def test_receipts_outlive_a_connection_and_users_tell_what_they_have_seen() -> None:
    """A message is in the room once, though its receipt is asked for on two connections; a room that tells
    less refuses the question, and to be told what is seen.
    """
    namespaces = (
        "[{name: quiet, pattern: quiet, receipts: written},"
        " {name: all, pattern: '*', presence: users, receipts: seen}]"
    )
    async with gateway(WARREN_NAMESPACES=namespaces) as url:
        found = await run(RECEIPTS, url)
    assert found == {
        "receipts": [
            ["written", True, None, None],
            ["seen", True, 1, 1],
            ["written", True, None, None],
        ],
        "errors": ["forbidden"],
        "by": ["bob"],
        "chats": 1,
        "refused": "forbidden",
        "written": True,
    }


@pytest.mark.slow
async def test_a_loop_over_a_room_gets_all_once_and_in_order_however_often_it_is_cut() -> None:
    """The connection is reset every few tenths of a second, and others hold the room and leave it; the loop and
    the listener have each message once and in order, and no gap.
    """
    async with gateway(WARREN_GATEWAY_RATE="0") as url:
        host, _, port = url.removeprefix("ws://").removesuffix("/ws").rpartition(":")
        async with Proxy(host, int(port)) as proxy:
            running = asyncio.create_task(run(CUTS, url, far=f"ws://{proxy.host}:{proxy.port}/ws"))
            while not running.done():
                accepted = proxy.accepted
                await asyncio.wait([running], timeout=0.25)
                # a client that is not back yet is left alone
                if proxy.accepted > accepted or proxy.connections:
                    proxy.reset()
            found = await running
    assert found["heard"] == list(range(300))
    assert found["listened"] == list(range(300))
    assert (found["gaps"], found["lost"], found["errors"], found["acks"]) == (0, 0, [], 300)
    assert found["opened"] > 3
    assert found["held"] > 10
