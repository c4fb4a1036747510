import assert from "node:assert/strict";
import { test } from "node:test";

import { scene, settled } from "../support/fakes.js";

const LIMITS = { limits: { rate: 5, rate_per_ms: 1_000, message_bytes: 1_000 } };

test("send transmits type, room, payload, id, time and version, and the ACK resolves its promise", async () => {
  const s = scene();
  const socket = await s.open();
  const sent = s.client.send("CHAT", "chat:a", { text: "hi" }, { key: "k", includeSender: true, traceparent: "00-1" });
  const { id, ...frame } = socket.last;
  assert.deepEqual(frame, {
    type: "CHAT",
    room: "chat:a",
    payload: { text: "hi" },
    timestamp: s.clock.epoch + s.clock.time,
    version: "1.0",
    key: "k",
    include_sender: true,
    traceparent: "00-1",
  });
  assert.match(id, /^[0-9a-z]+-\d+$/);
  socket.ack(socket.last, { seq: 7, epoch: "e1" });
  assert.deepEqual(await sent, { id, room: "chat:a", seq: 7, epoch: "e1" });
  assert.equal(s.client.counters.waiting, 0);
});

test("an ERROR for a message rejects its promise, with code, retry and delay", async () => {
  const s = scene();
  const socket = await s.open();
  const sent = s.client.send("CHAT", "r", 1);
  const payload = { code: "rate_limited", message: "slower", retry: true, retry_after_ms: 250 };
  socket.say({ type: "ERROR", ref: socket.last.id, payload });
  await assert.rejects(sent, { name: "WarrenError", code: "rate_limited", retry: true, retryAfterMs: 250 });
  assert.deepEqual(s.log.errors, []);
});

test("an ERROR without a message is an error event", async () => {
  const s = scene();
  const socket = await s.open();
  socket.say({ type: "ERROR", payload: { code: "invalid_format", message: "Invalid message format" } });
  assert.equal(s.log.errors[0].code, "invalid_format");
});

test("messages are passed to listeners of their type and of *, until these are removed", async () => {
  const s = scene();
  const socket = await s.open();
  const heard = [];
  const off = s.client.on("score", (message) => heard.push(message.payload));
  socket.say({ type: "score", payload: 1 });
  socket.say({ type: "NOTIFICATION", payload: 2 });
  off();
  socket.say({ type: "score", payload: 3 });
  assert.deepEqual(heard, [1]);
  assert.deepEqual(s.log.all.map(({ type }) => type), ["WELCOME", "score", "NOTIFICATION", "score"]);
});

test("a message whose type equals one of the client's events is passed to * only", async () => {
  const s = scene();
  const socket = await s.open();
  socket.say({ type: "gap", payload: "not yours" });
  assert.deepEqual(s.log.gaps, []);
  assert.equal(s.log.all.at(-1).payload, "not yours");
});

test("an invalid message is reported, and the next one is handled", async () => {
  const s = scene();
  const socket = await s.open();
  for (const data of ["{", "null", "7", '{"payload":1}']) socket.say(data);
  assert.deepEqual(s.log.errors.map(({ code }) => code), Array(4).fill("invalid_format"));
  socket.say({ type: "CHAT", payload: "ok" });
  assert.deepEqual(s.log.chats, ["ok"]);
});

test("bytes are sent as base64 and received as bytes", async () => {
  const s = scene();
  const socket = await s.open();
  const bytes = Uint8Array.from({ length: 20_000 }, (_, i) => i % 256);
  s.client.send("blob", "r", bytes);
  assert.equal(socket.last.encoding, "base64");
  assert.deepEqual(Uint8Array.from(Buffer.from(socket.last.payload, "base64")), bytes);
  let got;
  s.client.on("blob", (message) => (got = message.payload));
  socket.say({ type: "blob", payload: "AAH/", encoding: "base64" });
  assert.deepEqual(got, Uint8Array.of(0, 1, 255));
});

test("messages sent without a connection wait, and are sent in order once there is one", async () => {
  const s = scene();
  for (const n of [1, 2, 3]) s.client.send("CHAT", "r", n);
  const socket = await s.open();
  assert.deepEqual(socket.of("CHAT").map(({ payload }) => payload), [1, 2, 3]);
});

test("a full outbox refuses at once with a clear error, and accepts again when there is room", async () => {
  const s = scene({ outboxLimit: 2 });
  s.client.send("CHAT", "r", 1);
  s.client.send("CHAT", "r", 2);
  await assert.rejects(s.client.send("CHAT", "r", 3), { code: "outbox_full", retry: true });
  const socket = await s.open();
  await assert.rejects(s.client.send("CHAT", "r", 3), { code: "outbox_full" });
  socket.ack(socket.sent[0], { seq: 1 });
  s.client.send("CHAT", "r", 4);
  assert.deepEqual(socket.of("CHAT").map(({ payload }) => payload), [1, 2, 4]);
});

test("unacknowledged messages are sent again after a reconnect: same ids, in order, before later ones", async () => {
  const s = scene();
  const first = await s.open();
  const sent = [1, 2, 3].map((n) => s.client.send("CHAT", "r", n));
  first.ack(first.sent[1], { seq: 9, epoch: "e" });
  first.drop();
  s.client.send("CHAT", "r", 4);
  await s.clock.pass(1_000);
  const second = s.socket;
  second.welcome();
  assert.deepEqual(second.of("CHAT").map(({ payload }) => payload), [1, 3, 4]);
  assert.deepEqual(second.sent.slice(0, 2).map(({ id }) => id), [first.sent[0].id, first.sent[2].id]);
  for (const frame of second.sent) second.ack(frame, { seq: 10 });
  await Promise.all(sent);
});

test("an id that is in flight is not added to the outbox again", async () => {
  const s = scene();
  const socket = await s.open();
  const [one, two] = [s.client.send("CHAT", "r", 1, { id: "a" }), s.client.send("CHAT", "r", 1, { id: "a" })];
  assert.equal(socket.of("CHAT").length, 1);
  socket.ack(socket.last, { seq: 1 });
  assert.equal((await one).seq, (await two).seq);
});

test("an ERROR with a close that allows a reconnect leaves the message for the next connection", async () => {
  const s = scene();
  const socket = await s.open();
  s.client.send("CHAT", "r", 1);
  const payload = { code: "rate_limited", message: "", retry: true, close: 4002, reconnect: "yes" };
  socket.say({ type: "ERROR", ref: socket.last.id, payload });
  const next = await s.again({}, 4002);
  assert.deepEqual(next.of("CHAT").map((frame) => frame.payload), [1]);
});

test("an ephemeral message is sent now or never: no id, nothing to wait for, nothing kept", async () => {
  const s = scene();
  assert.equal(await s.client.send("TYPING", "r", true), null);
  assert.equal(s.client.counters.dropped, 1);
  const socket = await s.open();
  assert.equal(socket.of("TYPING").length, 0);
  assert.equal(await s.client.send("TYPING", "r", true), null);
  assert.equal(socket.of("TYPING")[0].id, undefined);
  await s.client.send("cursor", "r", 1, { ephemeral: true });
  assert.equal(socket.last.id, undefined);
});

test("it keeps below the server's rate: a slot is free one period after its answer, and one is reserved for the heartbeat", async () => {
  const s = scene();
  const socket = await s.open(LIMITS);
  for (let n = 1; n <= 7; n++) s.client.send("CHAT", "r", n);
  assert.equal(socket.of("CHAT").length, 4);
  await s.clock.pass(400);
  for (const frame of socket.of("CHAT")) socket.ack(frame, { seq: frame.payload });
  await s.clock.pass(999);
  assert.equal(socket.of("CHAT").length, 4);
  await s.client.send("TYPING", "r", true);
  assert.equal(s.client.counters.dropped, 1);
  await s.clock.pass(1);
  assert.deepEqual(socket.of("CHAT").map(({ payload }) => payload), [1, 2, 3, 4, 5, 6, 7]);
});

test("an exhausted rate does not delay the heartbeat", async () => {
  const s = scene({ ackTimeoutMs: 1e9 });
  const socket = await s.open(LIMITS);
  for (let n = 1; n <= 7; n++) s.client.send("CHAT", "r", n);
  await s.clock.pass(30_000);
  assert.equal(socket.of("PING").length, 1);
});

test("a message without an answer is sent again under its id", async () => {
  const s = scene();
  const socket = await s.open(LIMITS);
  const sent = s.client.send("CHAT", "r", 1);
  await s.clock.pass(14_999);
  assert.equal(socket.of("CHAT").length, 1);
  await s.clock.pass(1);
  assert.equal(socket.of("CHAT").length, 2);
  assert.equal(socket.sent[0].id, socket.sent[1].id);
  socket.ack(socket.last, { seq: 4 });
  assert.equal((await sent).seq, 4);
});

test("nothing is sent again while the broker is unavailable; unanswered messages are once it is back", async () => {
  const s = scene();
  const socket = await s.open();
  s.client.send("CHAT", "r", 1);
  socket.say({ type: "DEGRADED" });
  await s.clock.pass(20_000);
  assert.equal(socket.of("CHAT").length, 1);
  socket.say({ type: "RESTORED" });
  assert.equal(socket.of("CHAT").length, 2);
});

test("a message above the server's limit is refused by the client, because the server would close the connection", async () => {
  const s = scene();
  const socket = await s.open(LIMITS);
  await assert.rejects(s.client.send("CHAT", "r", "é".repeat(500)), { code: "message_too_large" });
  s.client.send("CHAT", "r", "é".repeat(400));
  assert.equal(socket.of("CHAT").length, 1);
});

test("two clients generate different ids", async () => {
  const ids = [];
  for (const random of [() => 0.1234567, () => 0.7654321]) {
    const s = scene({ random });
    const socket = await s.open();
    s.client.send("CHAT", "r", 1);
    ids.push(socket.last.id);
  }
  assert.notEqual(ids[0], ids[1]);
  await settled();
});

test("history returns a page, with binary payloads as bytes, and is requested again after a reconnect", async () => {
  const s = scene();
  const socket = await s.open();
  s.client.join("r");
  socket.joined("r", { seq: 9 });
  const asked = s.client.history("r", { before: 8, limit: 2 });
  assert.deepEqual(socket.last.payload, { before: 8, limit: 2 });
  const next = await s.again();
  next.joined("r", { seq: 9, recovered: true, missed: 0 });
  const { id } = next.of("HISTORY")[0];
  const messages = [
    { type: "CHAT", room: "r", seq: 6, epoch: "e1", payload: "old" },
    { type: "CHAT", room: "r", seq: 7, epoch: "e1", payload: "AAH/", encoding: "base64" },
  ];
  next.say({ type: "HISTORY", room: "r", ref: id, payload: { messages, more: true } });
  const page = await asked;
  assert.deepEqual([page.room, page.more, page.messages[0].payload], ["r", true, "old"]);
  assert.deepEqual(page.messages[1].payload, new Uint8Array([0, 1, 255]));
  assert.deepEqual(s.log.chats, []); // what is read back is not heard again
  assert.deepEqual(s.client.position("r"), { epoch: "e1", seq: 9 });
});

test("a refused history rejects its promise", async () => {
  const s = scene();
  const socket = await s.open();
  const asked = s.client.history("elsewhere");
  assert.deepEqual(socket.last.payload, {});
  socket.say({ type: "ERROR", ref: socket.last.id, payload: { code: "not_joined", message: "no", retry: false } });
  await assert.rejects(asked, { code: "not_joined" });
});
