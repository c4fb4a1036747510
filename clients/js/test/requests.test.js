import assert from "node:assert/strict";
import { test } from "node:test";

import { scene, settled } from "../support/fakes.js";

const LIMITS = { limits: { rate: 5, rate_per_ms: 1_000, message_bytes: 1_000_000 } };

function respond(socket, ref, payload, more = {}) {
  socket.say({ type: "RESPONSE", ref, payload, version: "1.0", timestamp: 1, ...more });
}

function fail(socket, ref, code, more = {}) {
  socket.say({ type: "ERROR", ref, payload: { code, message: code, retry: true, ...more } });
}

test("a request is a frame of its own, and its answer resolves the promise", async () => {
  const s = scene();
  const socket = await s.open();
  const asked = s.client.request("orders.get", { order: 7 }, { timeoutMs: 2_000, traceparent: "00-1" });
  const { id, ...frame } = socket.last;
  assert.deepEqual(frame, {
    type: "REQUEST",
    service: "orders.get",
    payload: { order: 7 },
    timestamp: s.clock.epoch + s.clock.time,
    version: "1.0",
    timeout_ms: 2_000,
    traceparent: "00-1",
  });
  respond(socket, id, { total: 12 });
  assert.deepEqual(await asked, { total: 12 });
  assert.equal(s.client.counters.waiting, 0);
  assert.equal(s.clock.pending, 1, "only the heartbeat's timer is left");
});

test("an ERROR rejects the promise, and is no error event", async () => {
  const s = scene();
  const socket = await s.open();
  const asked = s.client.request("s");
  fail(socket, socket.last.id, "unavailable", { retry_after_ms: 250 });
  await assert.rejects(asked, { name: "WarrenError", code: "unavailable", retry: true, retryAfterMs: 250 });
  assert.deepEqual(s.log.errors, []);
});

test("parts are handed on in order and once, and the last one resolves the promise", async () => {
  const s = scene();
  const socket = await s.open();
  const parts = [];
  const asked = s.client.request("s", null, { onPart: (part, n) => parts.push([n, part]) });
  const { id } = socket.last;
  respond(socket, id, "a", { n: 1, more: true });
  respond(socket, id, "b", { n: 2, more: true });
  respond(socket, id, "b", { n: 2, more: true });
  respond(socket, id, "c", { n: 3 });
  respond(socket, id, "d", { n: 4 });
  assert.equal(await asked, "c");
  assert.deepEqual(parts, [[1, "a"], [2, "b"], [3, "c"]]);
});

test("an answer in one piece is no part", async () => {
  const s = scene();
  const socket = await s.open();
  const parts = [];
  const asked = s.client.request("s", null, { onPart: (part) => parts.push(part) });
  respond(socket, socket.last.id, 1);
  assert.deepEqual([await asked, parts], [1, []]);
});

test("bytes come as bytes", async () => {
  const s = scene();
  const socket = await s.open();
  const asked = s.client.request("s", Uint8Array.of(1, 2));
  assert.deepEqual([socket.last.payload, socket.last.encoding], ["AQI=", "base64"]);
  respond(socket, socket.last.id, "AAH/", { encoding: "base64" });
  assert.deepEqual(await asked, Uint8Array.of(0, 1, 255));
});

test("a request without an answer is asked again after a reconnect, under its id", async () => {
  const s = scene();
  const first = await s.open();
  const asked = s.client.request("s", 1);
  const second = await s.again();
  assert.deepEqual(second.of("REQUEST").map(({ id }) => id), [first.last.id]);
  respond(second, first.last.id, 2);
  assert.equal(await asked, 2);
});

test("in the middle of an answer in parts, a lost connection rejects it", async () => {
  const s = scene();
  const first = await s.open();
  const asked = s.client.request("s");
  respond(first, first.last.id, "a", { n: 1, more: true });
  const second = await s.again();
  await assert.rejects(asked, { code: "connection", retry: true });
  assert.deepEqual(second.of("REQUEST"), []);
});

test("a request that takes long is not sent again on the same connection, and holds up nothing", async () => {
  const s = scene({ pingMs: 1e9 });
  const socket = await s.open(LIMITS);
  const asked = [1, 2, 3, 4].map((n) => s.client.request("s", n));
  await s.clock.pass(60_000);
  assert.equal(socket.of("REQUEST").length, 4);
  s.client.send("CHAT", "r", "hi");
  await settled();
  assert.equal(socket.of("CHAT").length, 1);
  socket.say({ type: "DEGRADED" });
  socket.say({ type: "RESTORED" });
  await s.clock.pass(5_000);
  assert.equal(socket.of("REQUEST").length, 4);
  for (const { id, payload } of socket.of("REQUEST")) respond(socket, id, payload);
  assert.deepEqual(await Promise.all(asked), [1, 2, 3, 4]);
});

test("a signal cancels: the server is told, and the promise is rejected", async () => {
  const s = scene();
  const socket = await s.open();
  const abort = new AbortController();
  const asked = s.client.request("s", null, { signal: abort.signal });
  const { id } = socket.last;
  abort.abort(new Error("enough"));
  await assert.rejects(asked, { code: "cancelled", ref: id });
  assert.deepEqual([socket.last.type, socket.last.ref], ["CANCEL", id]);
  fail(socket, id, "cancelled", { retry: false });
  assert.deepEqual(s.log.errors, []);
  await assert.rejects(s.client.request("s", null, { signal: abort.signal }), { code: "cancelled" });
  assert.equal(socket.of("REQUEST").length, 1);
});

test("a signal cancels a request that was not sent yet without a word to the server", async () => {
  const s = scene();
  s.client.connect();
  await settled();
  const abort = new AbortController();
  const asked = s.client.request("s", null, { signal: abort.signal });
  abort.abort();
  await assert.rejects(asked, { code: "cancelled" });
  s.socket.welcome();
  await settled();
  assert.deepEqual(s.socket.sent, []);
});

test("a signal that aborts after the answer changes nothing", async () => {
  const s = scene();
  const socket = await s.open();
  const abort = new AbortController();
  const asked = s.client.request("s", null, { signal: abort.signal });
  respond(socket, socket.last.id, 1);
  abort.abort();
  assert.equal(await asked, 1);
  assert.deepEqual(socket.of("CANCEL"), []);
});

test("timeoutMs ends a request even if the connection is lost; each part begins it anew", async () => {
  const s = scene();
  const socket = await s.open();
  const asked = s.client.request("s", null, { timeoutMs: 2_000 });
  await s.clock.pass(2_900);
  respond(socket, socket.last.id, "a", { n: 1, more: true });
  await s.clock.pass(2_900);
  assert.deepEqual(socket.of("CANCEL"), []);
  await s.clock.pass(100);
  await assert.rejects(asked, { code: "timeout", retry: true });
  assert.equal(socket.last.type, "CANCEL");
});

test("a durable request is accepted, and its answer comes as a message, after a reconnect too", async () => {
  const s = scene();
  const first = await s.open({ rooms: ["@ann"] });
  first.say({ type: "JOINED", room: "@ann", payload: { epoch: "e1", seq: 0, recovered: false, missed: 0 } });
  const asked = s.client.request("report", null, { durable: true, timeoutMs: 1_000 });
  const { id, durable } = first.last;
  assert.equal(durable, true);
  first.say({ type: "ACCEPTED", ref: id });
  assert.equal(s.client.counters.waiting, 0);
  const second = await s.again();
  assert.deepEqual(second.of("REQUEST"), []);
  await s.clock.pass(20_000);
  const answer = { type: "RESPONSE", room: "@ann", epoch: "e1", ref: id, version: "1.0", timestamp: 1 };
  second.joined("@ann", { seq: 0, recovered: true, missed: 1 });
  second.say({ ...answer, seq: 1, payload: "here it is" });
  second.say({ ...answer, seq: 1, payload: "here it is" });
  assert.equal(await asked, "here it is");
  assert.deepEqual(s.client.position("@ann"), { epoch: "e1", seq: 1 });
});

test("a durable answer of an earlier page is a message like any other", async () => {
  const s = scene();
  const socket = await s.open();
  const heard = [];
  s.client.on("RESPONSE", ({ ref, payload }) => heard.push([ref, payload]));
  socket.say({ type: "RESPONSE", room: "@ann", epoch: "e1", seq: 1, ref: "old", payload: 1, version: "1.0", timestamp: 1 });
  assert.deepEqual(heard, [["old", 1]]);
});

test("close rejects everything that is open, accepted or not", async () => {
  const s = scene();
  const socket = await s.open();
  const asked = [s.client.request("s"), s.client.request("s", null, { durable: true })];
  socket.say({ type: "ACCEPTED", ref: socket.last.id });
  s.client.close();
  for (const each of asked) await assert.rejects(each, { code: "closed" });
  await assert.rejects(s.client.request("s"), { code: "closed" });
});

test("what waits is bounded, requests and messages together", async () => {
  const s = scene({ outboxLimit: 2 });
  const socket = await s.open();
  s.client.request("s");
  s.client.request("s");
  await assert.rejects(s.client.request("s"), { code: "outbox_full", retry: true });
  await assert.rejects(s.client.send("CHAT", "r", 1), { code: "outbox_full" });
  for (const { id } of socket.of("REQUEST")) respond(socket, id, 1);
  s.client.send("CHAT", "r", 1);
  await settled();
  assert.equal(socket.of("CHAT").length, 1);
});

test("the same id twice is one request", async () => {
  const s = scene();
  const socket = await s.open();
  const first = s.client.request("s", 1, { id: "mine" });
  const second = s.client.request("s", 1, { id: "mine" });
  assert.equal(socket.of("REQUEST").length, 1);
  respond(socket, "mine", 5);
  assert.deepEqual(await Promise.all([first, second]), [5, 5]);
});

test("what the server would refuse is refused at once", async () => {
  const s = scene();
  const socket = await s.open();
  for (const [service, options] of [
    ["", {}],
    ["a b", {}],
    ["orders.cancel", {}],
    ["x".repeat(129), {}],
    ["s", { timeoutMs: 0 }],
    ["s", { timeoutMs: 60_001 }],
    ["s", { id: "ä".repeat(61) }],
    ["s", { id: "" }],
  ]) {
    await assert.rejects(s.client.request(service, null, options), { code: "invalid_message" });
  }
  await assert.rejects(s.client.request("s", "\ud83d"), { code: "invalid_format" });
  assert.deepEqual(socket.sent, []);
});
