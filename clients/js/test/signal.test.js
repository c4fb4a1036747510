/** Whatever waits can be given up, `once` waits for one, and a token callback can say stop. */
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";

import { scene, settled } from "../support/fakes.js";

test("once gives the next message or event, and listens to no more", async () => {
  const s = scene();
  const socket = await s.open();
  socket.joined("r");
  const [chat, state] = [s.client.once("CHAT"), s.client.once("state")];
  socket.chat("r", 1);
  socket.chat("r", 2);
  assert.equal((await chat).payload, "m1");
  socket.drop();
  assert.equal(await state, "waiting");
});

test("once is rejected when the client is closed, or when its signal fires", async () => {
  const s = scene();
  await s.open();
  const stop = new AbortController();
  const [given, waiting] = [s.client.once("CHAT", { signal: stop.signal }), s.client.once("CHAT")];
  stop.abort();
  await assert.rejects(given, { code: "cancelled" });
  await assert.rejects(s.client.once("CHAT", { signal: stop.signal }), { code: "cancelled" });
  s.client.close();
  await assert.rejects(waiting, { code: "closed" });
});

test("a listener goes with its signal", async () => {
  const s = scene();
  const socket = await s.open();
  const stop = new AbortController();
  const heard = [];
  s.client.on("CHAT", ({ payload }) => heard.push(payload), { signal: stop.signal });
  socket.chat("r", 1);
  stop.abort();
  socket.chat("r", 2);
  s.client.on("CHAT", ({ payload }) => heard.push(payload), { signal: stop.signal });
  socket.chat("r", 3);
  assert.deepEqual(heard, ["m1"]);
});

test("connect is given up by its signal, which does nothing once the client is open", async () => {
  const s = scene();
  const stop = new AbortController();
  const connecting = s.client.connect({ signal: stop.signal });
  await settled();
  stop.abort();
  await assert.rejects(connecting, { code: "cancelled" });
  assert.equal(s.client.state, "closed");
  await assert.rejects(s.client.connect({ signal: stop.signal }), { code: "cancelled" });
  const other = new AbortController();
  const ready = s.client.connect({ signal: other.signal });
  await settled();
  s.socket.welcome();
  await ready;
  other.abort();
  await settled();
  assert.equal(s.client.state, "open");
});

test("the client's own signal closes it for good", async () => {
  const stop = new AbortController();
  const s = scene({ signal: stop.signal });
  await s.open();
  stop.abort();
  assert.equal(s.client.state, "closed");
  await assert.rejects(s.client.connect(), { code: "cancelled" });
});

test("a message that is given up is not sent again, and is known as an own one if it comes back", async () => {
  const s = scene();
  const socket = await s.open();
  s.client.join("r");
  socket.joined("r");
  const stop = new AbortController();
  const sent = s.client.send("CHAT", "r", "x", { id: "m1", signal: stop.signal });
  stop.abort();
  await assert.rejects(sent, { code: "cancelled", ref: "m1" });
  socket.ack(socket.of("CHAT")[0], { seq: 1, epoch: "e1" });
  const next = await s.again();
  next.joined("r", { recovered: true, missed: 1 });
  next.chat("r", 1, { sender: "ann", id: "m1" });
  await s.clock.pass(60_000);
  assert.equal(next.of("CHAT").length, 0);
  assert.deepEqual([s.client.counters.waiting, s.log.chats], [0, []]);
  await assert.rejects(s.client.send("CHAT", "r", "y", { signal: stop.signal }), { code: "cancelled" });
});

test("a message that waits is not sent at all once it is given up, and the next one goes", async () => {
  const s = scene();
  const stop = new AbortController();
  const sent = s.client.send("CHAT", "r", "x", { signal: stop.signal });
  s.client.send("CHAT", "r", "y");
  stop.abort();
  await assert.rejects(sent, { code: "cancelled" });
  const socket = await s.open();
  assert.deepEqual(socket.of("CHAT").map(({ payload }) => payload), ["y"]);
});

test("who sends under an id that is in flight gives up only the own promise", async () => {
  const s = scene();
  const socket = await s.open();
  const first = s.client.send("CHAT", "r", "x", { id: "m1" });
  const stop = new AbortController();
  const second = s.client.send("CHAT", "r", "x", { id: "m1", signal: stop.signal });
  stop.abort();
  await assert.rejects(second, { code: "cancelled" });
  socket.ack(socket.last, { seq: 1, epoch: "e1" });
  assert.equal((await first).seq, 1);
});

test("join and history are given up: a room that nobody else wanted is left", async () => {
  const s = scene();
  const socket = await s.open();
  const stop = new AbortController();
  const { signal } = stop;
  s.client.join("old");
  socket.joined("old");
  const waiting = [s.client.join("new", { signal }), s.client.join("old", { signal }), s.client.history("old", { signal })];
  stop.abort();
  for (const each of waiting) await assert.rejects(each, { code: "cancelled" });
  assert.deepEqual(s.client.rooms, ["old"]);
  assert.deepEqual(socket.of("LEAVE").map(({ room }) => room), ["new"]);
  assert.equal(s.client.counters.waiting, 2); // the JOIN of "old", and the LEAVE
});

test("getToken that returns null stops the client: no more attempts", async () => {
  for (const getToken of [() => null, async () => null]) {
    const s = scene({ getToken });
    await assert.rejects(s.client.connect(), { code: "closed", message: /getToken returned null/ });
    await s.clock.pass(600_000);
    assert.deepEqual([s.client.state, s.sockets.length], ["closed", 0]);
    assert.deepEqual(s.log.closes.map(({ reconnect }) => reconnect), [false]);
  }
});

test("getToken that returns null after 4001, or when the token runs out, stops the client too", async () => {
  let token = "first";
  const s = scene({ getToken: () => token, pingMs: 1e9 });
  const socket = await s.open({ expires_at: 1_764_000_100_000 });
  token = null;
  await s.clock.pass(80_000);
  assert.equal(s.client.state, "closed");
  assert.deepEqual(socket.closed, { code: 1000, reason: "Bye" });
  const other = scene({ token: "old", getToken: () => null });
  await other.open();
  other.socket.drop(4001);
  await other.clock.pass(600_000);
  assert.deepEqual([other.client.state, other.sockets.length], ["closed", 1]);
});

test("a getToken that fails is asked again with back-off, and one that is not waited for is told", async () => {
  const signals = [];
  const s = scene({
    connectTimeoutMs: 1_000,
    getToken: ({ signal }) => {
      signals.push(signal);
      return new Promise(() => {});
    },
  });
  s.client.connect().catch(() => {});
  await s.clock.pass(1_000);
  assert.equal(signals[0].aborted, true);
  await s.clock.pass(500);
  assert.deepEqual(signals.map(({ aborted }) => aborted), [true, false]);
  s.client.close();
  assert.equal(signals[1].aborted, true);
  const failing = scene({ getToken: () => Promise.reject(new Error("no network")) });
  failing.client.connect().catch(() => {});
  await failing.clock.pass(500);
  assert.equal(failing.log.errors.length, 2);
  assert.equal(failing.client.state, "waiting");
});

test("a signal that outlives what it was for is not listened to any more", async () => {
  const s = scene();
  const socket = await s.open();
  const { signal } = new AbortController();
  const done = [s.client.connect({ signal }), s.client.once("CHAT", { signal })];
  const room = s.client.room("r", { signal });
  socket.joined("r");
  socket.chat("r", 1);
  s.client.on("CHAT", () => {}, { signal })();
  s.client.contacts.watch(["bob"], { signal }).close();
  room.messages({ signal }).return();
  done.push(s.client.send("CHAT", "r", "x", { signal }), s.client.history("r", { signal }), s.client.request("a", null, { signal }));
  const loop = s.client.stream("a", null, { signal });
  for (const { type, id } of socket.sent.slice()) {
    if (type === "CHAT") socket.say({ type: "ACK", ref: id, room: "r", payload: {} });
    if (type === "HISTORY") socket.say({ type, ref: id, room: "r", payload: { messages: [], more: false } });
    if (type === "REQUEST") socket.say({ type: "RESPONSE", ref: id, payload: 1 });
  }
  await Promise.all(done);
  await settled();
  assert.equal((await loop.next()).value, 1);
  room.leave();
  assert.equal(getEventListeners(signal, "abort").length, 0);
});
