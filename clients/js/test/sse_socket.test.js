/** The event stream and POST against a real server in Node. */
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { WarrenClient } from "../dist/esm/index.js";
import { sse } from "../dist/esm/sse.js";
import { SseServer, until } from "../support/sse_server.js";

let server;
before(async () => (server = await SseServer.start()));
after(() => server.stop());
beforeEach(() => {
  Object.assign(server, { refuse: null, answers: null, posted: null, posts: [], opened: (stream) => stream.welcome() });
});

const Blocked = class {
  constructor() {
    setImmediate(() => this.onclose?.({ code: 1006, reason: "" }));
  }
  close() {}
};

async function connected(options = {}) {
  const client = new WarrenClient(server.url, { backoffMs: 5, backoffCapMs: 20, transport: sse({ WebSocket: Blocked }), ...options });
  client.on("error", () => {});
  await client.connect();
  return client;
}

function acking(stream, frame) {
  if (frame.type === "CHAT") stream.say({ type: "ACK", ref: frame.id, room: frame.room, payload: { epoch: "e1", seq: frame.payload + 1 } });
}

test("what is said while a POST is on its way goes with the next one, in order", async () => {
  server.posted = acking;
  const client = await connected();
  const acks = await Promise.all(Array.from({ length: 50 }, (_, n) => client.send("CHAT", "r", n)));
  assert.deepEqual(acks.map(({ seq }) => seq), Array.from({ length: 50 }, (_, n) => n + 1));
  assert.deepEqual(server.last.frames.map(({ payload }) => payload), Array.from({ length: 50 }, (_, n) => n));
  assert.ok(server.posts.length < 10, String(server.posts.length));
  client.close();
});

test("a POST whose answer is lost is made again, with the same frames", async () => {
  let posts = 0;
  server.answers = () => (++posts <= 2 ? [503, { "Retry-After": "0" }] : null);
  server.posted = acking;
  const client = await connected();
  await client.send("CHAT", "r", 0);
  const [first, second, third] = server.posts.map(({ frames }) => frames);
  assert.deepEqual(first, second);
  assert.deepEqual(first, third);
  client.close();
});

test("where the connection is gone, the client dials again and nothing is lost", async () => {
  server.posted = acking;
  const client = await connected();
  const before = server.streams.length;
  server.refuse = (request) => (request.method === "POST" && server.streams.length === before ? [410, {}] : null);
  const ack = await client.send("CHAT", "r", 0);
  assert.equal(ack.seq, 1);
  assert.equal(server.streams.length, before + 1);
  assert.equal(server.last.url.searchParams.get("join"), "manual");
  client.close();
});

test("what a proxy finds too large goes in smaller parts, and what is too large alone is refused to its sender", async () => {
  const length = (request) => Number(request.headers["content-length"]);
  server.refuse = (request) => (request.method === "POST" && length(request) > 2_000 ? [413, {}] : null);
  server.posted = (stream, frame) => frame.type === "CHAT" && stream.say({ type: "ACK", ref: frame.id, room: "r", payload: {} });
  const client = await connected();
  const sent = [100, 900, 900, 900, 5_000, 900].map((size) => client.send("CHAT", "r", "x".repeat(size)));
  const found = await Promise.all(sent.map((each) => each.then(() => "ack", ({ code }) => code)));
  assert.deepEqual(found, ["ack", "ack", "ack", "ack", "message_too_large", "ack"]);
  client.close();
});

test("the server's farewell is the close of the connection, with its advice", async () => {
  const client = await connected();
  const closes = [];
  client.on("close", (close) => closes.push(close));
  server.last.raw('event: close\ndata: {"code": 4006, "reason": "Disconnected by a backend", "reconnect": "no"}\n\n');
  await until(() => closes.length, "a close");
  assert.deepEqual(closes, [{ code: 4006, reason: "Disconnected by a backend", reconnect: false, delayMs: null }]);
  assert.equal(client.state, "closed");
});

test("a farewell that asks to wait is obeyed", async () => {
  const client = await connected();
  const closes = [];
  client.on("close", (close) => closes.push(close));
  server.last.raw('event: close\ndata: {"code": 1013, "reason": "Overloaded", "reconnect": "yes", "after_ms": 700}\n\n');
  await until(() => closes.length, "a close");
  assert.ok(closes[0].reconnect && closes[0].delayMs >= 700, String(closes[0].delayMs));
  client.close();
});

test("frames sent before close() still get through", async () => {
  const client = await connected();
  const stream = server.last;
  const before = stream.frames.length;
  void client.send("CHAT", "r", 0).catch(() => {});
  void client.send("CHAT", "r", 1).catch(() => {});
  client.close();
  await until(() => stream.frames.length === before + 2 && stream.isOver, "both frames, and the end");
});

test("anything else than an event stream is a failed attempt", async () => {
  server.refuse = (request, url) => (url.pathname === "/sse" ? [200, { "Content-Type": "text/html" }] : null);
  const client = new WarrenClient(server.url, { backoffMs: 1, backoffCapMs: 2, maxTries: 6, transport: sse({ WebSocket: Blocked }) });
  client.on("error", () => {});
  await assert.rejects(client.connect(), /gave up after 6 attempts/);
});
