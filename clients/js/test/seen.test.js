/** Up to where this user has seen rooms, and when a client says so. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { scene, settled } from "../support/fakes.js";

/** A client in the room "r" with `count` messages. */
async function inRoom(count = 3, options = {}, welcome = {}) {
  const s = scene(options);
  const socket = await s.open(welcome);
  const joined = s.client.join("r");
  socket.joined("r");
  await joined;
  for (let seq = 1; seq <= count; seq++) socket.chat("r", seq);
  return { s, socket, client: s.client, clock: s.clock, said: (on = s.socket) => on.of("SEEN").map(({ payload }) => payload.seq) };
}

const refusal = (frame, payload) => ({ type: "ERROR", ref: frame.id, payload: { code: "forbidden", message: "no", retry: false, ...payload } });

test("what is seen is said with its epoch: by default the last message that was delivered", async () => {
  const { client, socket } = await inRoom();
  client.seen("r");
  const { type, room, payload } = socket.last;
  assert.deepEqual([type, room, payload], ["SEEN", "r", { epoch: "e1", seq: 3 }]);
});

test("at most once a second in a room, the last word, and only what is more", async () => {
  const { client, socket, clock, said } = await inRoom(9);
  for (let seq = 1; seq <= 5; seq++) client.seen("r", { epoch: "e1", seq });
  client.seen("r", { epoch: "e1", seq: 2 });
  assert.deepEqual(said(), [1]);
  await clock.pass(999);
  assert.deepEqual(said(), [1]);
  await clock.pass(1);
  assert.deepEqual(said(), [1, 5]);
  for (const seq of [5, 4]) client.seen("r", { epoch: "e1", seq });
  await clock.pass(20_000);
  assert.deepEqual(said(), [1, 5], "nothing is said that is no news");
  client.seen("r");
  assert.deepEqual(said(), [1, 5, 9], "after a rest at once");
  assert.equal(socket.of("SEEN").length, 3);
});

test("each room has its own pace", async () => {
  const { client, socket } = await inRoom(1);
  const joined = client.join("q");
  socket.joined("q");
  await joined;
  socket.chat("q", 1);
  for (const room of ["r", "q"]) client.seen(room);
  assert.deepEqual(socket.of("SEEN").map(({ room }) => room), ["r", "q"]);
});

test("a position of another epoch, none, and a room that we are not in say nothing", async () => {
  const { client, socket, clock } = await inRoom(0);
  client.seen("r");
  for (const position of [null, {}, { epoch: "e1", seq: 0 }, { seq: 1 }, { epoch: "e0", seq: 5 }]) client.seen("r", position);
  client.seen("elsewhere", { epoch: "e1", seq: 5 });
  await clock.pass(5_000);
  assert.deepEqual(socket.of("SEEN"), []);
  assert.throws(() => client.seen("no such room!"), { code: "invalid_room" });
});

test("the last word is said before the room is left", async () => {
  const { client, socket, clock } = await inRoom(2);
  client.seen("r", { epoch: "e1", seq: 1 });
  client.seen("r");
  client.leave("r");
  assert.deepEqual(socket.sent.slice(-2).map(({ type, payload }) => [type, payload?.seq]), [["SEEN", 2], ["LEAVE", undefined]]);
  await clock.pass(5_000);
  assert.equal(socket.of("SEEN").length, 2);
});

test("the last word is said before the client closes", async () => {
  const { client, socket, said } = await inRoom(2);
  client.seen("r", { epoch: "e1", seq: 1 });
  client.seen("r");
  client.close();
  assert.deepEqual(said(socket), [1, 2]);
});

test("where the rate is used up the last word waits before LEAVE, in its order", async () => {
  const { client, socket, clock } = await inRoom(2, {}, { limits: { rate: 3, rate_per_ms: 1_000 } });
  for (let n = 0; n < 3; n++) client.send("CHAT", "r", n);
  client.seen("r");
  client.leave("r");
  for (let n = 0; n < 10; n++) {
    for (const frame of socket.of("CHAT")) socket.ack(frame, { epoch: "e1", seq: 10 });
    await clock.pass(1_000);
  }
  assert.deepEqual(socket.sent.slice(-2).map(({ type }) => type), ["SEEN", "LEAVE"]);
});

test("messages do not wait for it, but it does not wait for LEAVE", async () => {
  const { client, socket, clock } = await inRoom(2, {}, { limits: { rate: 2, rate_per_ms: 1_000 } });
  client.seen("r", { epoch: "e1", seq: 1 }); // the JOIN has used up the rate
  client.send("CHAT", "r", "x");
  await clock.pass(1_000);
  assert.equal(socket.last.payload, "x");
  client.leave("r");
  socket.ack(socket.last, { epoch: "e1", seq: 3 });
  await clock.pass(5_000);
  assert.deepEqual(socket.sent.slice(-3).map(({ type }) => type), ["CHAT", "SEEN", "LEAVE"]);
});

test("what waits for the rate says the newest when it goes, and once", async () => {
  const { client, socket, clock, said } = await inRoom(4, {}, { limits: { rate: 3, rate_per_ms: 1_000 } });
  client.send("CHAT", "r", "x"); // JOIN and this one fill the rate
  client.seen("r", { epoch: "e1", seq: 1 });
  client.seen("r");
  assert.deepEqual(said(), []);
  socket.ack(socket.last, { epoch: "e1", seq: 5 });
  await clock.pass(3_000);
  assert.deepEqual(said(), [4]);
});

test("the next connection is told again what was seen, once we are in the room", async () => {
  const { s, client, clock, said } = await inRoom();
  client.seen("r");
  await clock.pass(2_000);
  const next = await s.again();
  assert.deepEqual(said(next), []);
  next.joined("r", { recovered: true, seq: 3 });
  assert.deepEqual(said(next), [3]);
  next.joined("r", { recovered: true, seq: 3 });
  await clock.pass(5_000);
  assert.deepEqual(said(next), [3]);
});

test("what was not said anywhere is not said on the next connection", async () => {
  const { s, clock, said } = await inRoom();
  const next = await s.again();
  next.joined("r", { recovered: true, seq: 3 });
  await clock.pass(5_000);
  assert.deepEqual(said(next), []);
});

test("what is seen without a connection is said on the next one", async () => {
  const { s, client, socket, said } = await inRoom();
  socket.drop();
  client.seen("r");
  const next = await s.again();
  next.joined("r", { recovered: true, seq: 3 });
  assert.deepEqual([said(socket), said(next)], [[], [3]]);
});

test("a word that waited when the connection was lost is said on the next one, and once", async () => {
  const { s, client, socket, clock, said } = await inRoom(3, {}, { limits: { rate: 3, rate_per_ms: 1_000 } });
  client.send("CHAT", "r", "x");
  client.seen("r");
  assert.deepEqual(said(socket), []);
  const next = await s.again();
  next.joined("r", { recovered: true, seq: 3 });
  await clock.pass(10_000);
  assert.deepEqual(said(next), [3]);
});

test("another epoch voids what was seen", async () => {
  const { s, client, clock, said } = await inRoom();
  client.seen("r");
  const next = await s.again();
  next.joined("r", { epoch: "e2", seq: 9 });
  await clock.pass(5_000);
  assert.deepEqual(said(next), []);
  next.chat("r", 10, { epoch: "e2" });
  client.seen("r");
  assert.deepEqual(next.last.payload, { epoch: "e2", seq: 10 });
});

test("a room that does not tell refuses once on a connection", async () => {
  const { s, client, socket, clock, said } = await inRoom();
  client.seen("r", { epoch: "e1", seq: 1 });
  socket.say(refusal(socket.last));
  client.seen("r");
  await clock.pass(5_000);
  assert.deepEqual(said(socket), [1]);
  assert.deepEqual(s.log.errors.map(({ code }) => code), ["forbidden"]);
  const next = await s.again();
  next.joined("r", { recovered: true, seq: 3 });
  assert.deepEqual(said(next), [3]);
});

test("what is refused for now is said later", async () => {
  const { client, socket, clock, said } = await inRoom();
  client.seen("r", { epoch: "e1", seq: 1 });
  client.seen("r", { epoch: "e1", seq: 2 });
  socket.say(refusal(socket.last, { code: "rate_limited", retry: true, retry_after_ms: 3_000 }));
  await clock.pass(2_999);
  assert.deepEqual(said(), [1]);
  await clock.pass(1);
  assert.deepEqual(said(), [1, 2]);
});

test("out of a room nothing more is said there", async () => {
  const { client, socket, clock, said } = await inRoom(3, {}, { limits: { rate: 4, rate_per_ms: 1_000 } });
  client.seen("r", { epoch: "e1", seq: 1 });
  client.seen("r");
  socket.say({ type: "LEFT", room: "r", payload: { reason: "removed" } });
  await clock.pass(10_000);
  assert.deepEqual(said(), [1]);
});

test("a word that waits for the rate is not said in a room that we were taken out of", async () => {
  const { client, socket, clock } = await inRoom(3, {}, { limits: { rate: 3, rate_per_ms: 1_000 } });
  client.send("CHAT", "r", "x");
  client.seen("r");
  socket.say({ type: "LEFT", room: "r", payload: { reason: "removed" } });
  socket.ack(socket.of("CHAT")[0]);
  await clock.pass(10_000);
  assert.deepEqual(socket.of("SEEN"), []);
  assert.equal(client.counters.waiting, 0);
});

test("it counts in the rate, and nothing waits for its answer", async () => {
  const { s, client, socket, clock } = await inRoom(1, { ackTimeoutMs: 5_000 }, { limits: { rate: 2, rate_per_ms: 1_000 } });
  await clock.pass(5_000);
  client.seen("r");
  client.send("CHAT", "r", "a");
  assert.equal(socket.last.type, "SEEN");
  await clock.pass(2_000);
  assert.equal(socket.last.payload, "a");
  socket.ack(socket.last, { epoch: "e1", seq: 2 });
  await clock.pass(20_000);
  assert.deepEqual(socket.of("SEEN").length, 1);
  assert.deepEqual([client.counters.waiting, s.log.errors], [0, []]);
});

test("what is delivered while others are missing is not what was seen last", async () => {
  const { s, client, socket, clock, said } = await inRoom(2, { gapMs: 100 });
  socket.chat("r", 4); // 3 is missing, so 4 waits
  client.seen("r");
  assert.deepEqual(said(), [2]);
  await clock.pass(200);
  socket.joined("r", { recovered: true, seq: 2, missed: 2 });
  for (const seq of [3, 4]) socket.chat("r", seq);
  client.seen("r");
  await clock.pass(1_000);
  await settled();
  assert.deepEqual([said(), s.log.chats], [[2, 4], ["m1", "m2", "m3", "m4"]]);
});
