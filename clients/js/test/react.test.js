/** The hooks on a server; in a browser, under StrictMode, they are in tests/page/test_js_paths.py. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { createElement } from "react";
import { renderToString } from "react-dom/server";

import { WarrenClient } from "../dist/esm/index.js";
import { WarrenProvider, useConnectionState, usePresence, useRequest, useRoom, useWarren } from "../dist/esm/react.js";

function Page() {
  const { state, messages } = useRoom("r", { presence: true });
  const { members, count } = usePresence("r");
  const { isWaiting } = useRequest("s", { n: 1 });
  const found = [useWarren() !== null, useConnectionState(), state, messages.length, members.length, count.users, isWaiting];
  return createElement("p", null, JSON.stringify(found));
}

const shown = (html) => JSON.parse(html.replace(/<[^>]*>/g, "").replaceAll("&quot;", '"'));

test("on a server nothing is made, connected, joined or asked", () => {
  const made = () => assert.fail("no client is made on a server");
  const html = renderToString(createElement(WarrenProvider, { client: made }, createElement(Page)));
  assert.deepEqual(shown(html), [false, "idle", "idle", 0, 0, 0, false]);
});

test("a client that is there is used, and left alone, on a server", () => {
  const client = new WarrenClient("ws://warren.test/ws", { transport: () => assert.fail("nothing is dialled") });
  const html = renderToString(createElement(WarrenProvider, { client }, createElement(Page)));
  assert.deepEqual(shown(html), [true, "idle", "idle", 0, 0, 0, false]);
  assert.deepEqual([client.state, client.rooms, client.counters.waiting], ["idle", [], 0]);
});

test("without a provider the hooks say what is missing", () => {
  assert.throws(() => renderToString(createElement(Page)), /no <WarrenProvider>/);
});
