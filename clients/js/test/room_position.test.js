/** What JOINED does to a room's position: gaps are reported exactly where they are, and the answers to a JOIN that was sent twice. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { scene } from "../support/fakes.js";

/** A client in room r at position 5. */
async function inRoom(options) {
  const s = scene(options);
  const socket = await s.open();
  s.client.join("r");
  socket.joined("r", { seq: 5 });
  return s;
}

const since = (socket) => socket.of("JOIN").at(-1).payload?.since;

/** What the application is told of room r from now on, in order: seqs, and gaps as [after, up to]. */
function toldOf(s) {
  const told = [];
  s.client.on("gap", ({ since, position }) => told.push([since.seq, position.seq]));
  s.client.on("CHAT", ({ seq }) => told.push(seq));
  return told;
}

test("gaps are reported exactly where messages are missing, before, between and after those that have come", async () => {
  const s = await inRoom();
  const told = toldOf(s);
  const next = await s.again();
  for (const seq of [7, 8, 10]) next.chat("r", seq);
  next.joined("r", { seq: 12 });
  next.chat("r", 13);
  assert.deepEqual(told, [[5, 6], 7, 8, [8, 9], 10, [10, 12], 13]);
  assert.deepEqual(s.client.position("r"), { epoch: "e1", seq: 13 });
});

test("what lies behind the position of recovered: false waits for what is missing before it", async () => {
  const s = await inRoom();
  const told = toldOf(s);
  const next = await s.again();
  for (const seq of [8, 11]) next.chat("r", seq);
  next.joined("r", { seq: 9 });
  assert.deepEqual(told, [[5, 7], 8, [8, 9]]);
  assert.deepEqual(since(next), { epoch: "e1", seq: 9 });
  next.joined("r", { seq: 9, recovered: true, missed: 2 });
  for (const seq of [10, 11]) next.chat("r", seq);
  assert.deepEqual(told.slice(3), [10, 11]);
});

test("a new epoch after held messages: no gap between them and what they follow, and none of them later", async () => {
  const s = await inRoom();
  const told = toldOf(s);
  const next = await s.again();
  next.chat("r", 6);
  next.chat("r", 2, { epoch: "e2" });
  next.chat("r", 7);
  next.joined("r", { epoch: "e2", seq: 3 });
  assert.deepEqual(told, [6, [6, 1], 2, [2, 3]]);
  assert.deepEqual(s.client.position("r"), { epoch: "e2", seq: 3 });
});

test("if the JOIN is refused, what was held back is delivered, and the gap before it is reported", async () => {
  const s = await inRoom();
  const told = toldOf(s);
  for (const seq of [8, 9]) s.socket.chat("r", seq);
  s.socket.say({ type: "ERROR", ref: s.socket.last.id, payload: { code: "forbidden", message: "no", retry: false } });
  assert.deepEqual(told, [[5, 7], 8, 9]);
});

/** A client in room r at position 5 on its second connection, whose JOIN was sent twice. */
async function askedTwice() {
  const s = await inRoom({ ackTimeoutMs: 2_000 });
  await s.again();
  const told = toldOf(s);
  await s.clock.pass(2_000);
  const [first, second, ...more] = s.socket.of("JOIN");
  assert.deepEqual([first.id, more], [second.id, []]);
  return [s, told];
}

test("own messages in the second replay of a JOIN that was sent twice do not prove that the room sends own copies", async () => {
  const [s, told] = await askedTwice();
  s.socket.joined("r", { seq: 5, recovered: true, missed: 1 });
  s.socket.chat("r", 6);
  s.client.send("CHAT", "r", "mine");
  const { id } = s.socket.last;
  s.socket.ack(s.socket.last, { epoch: "e1", seq: 7 });
  s.socket.joined("r", { seq: 5, recovered: true, missed: 2 });
  s.socket.chat("r", 6);
  s.socket.chat("r", 7, { id, sender: "ann" });
  s.client.send("CHAT", "r", "more");
  s.socket.ack(s.socket.last, { epoch: "e1", seq: 8 });
  s.socket.chat("r", 9);
  assert.deepEqual(told, [6, 9]);
  assert.deepEqual(since(await s.again()), { epoch: "e1", seq: 9 });
});

test("a replay that a second one supersedes goes on there, without messages that have expired", async () => {
  const [s, told] = await askedTwice();
  s.socket.joined("r", { seq: 5, recovered: true, missed: 4 });
  s.socket.chat("r", 6);
  s.socket.joined("r", { seq: 5, recovered: true, missed: 6 });
  for (const seq of [6, 8, 9, 11, 12]) s.socket.chat("r", seq);
  assert.deepEqual(told, [6, 8, 9, 11, 12]);
  assert.equal(s.socket.of("JOIN").length, 2);
});

test("a replay that the second answer ends is asked for again, and what can't be had is a gap", async () => {
  const [s, told] = await askedTwice();
  s.socket.joined("r", { seq: 5, recovered: true, missed: 4 });
  s.socket.chat("r", 6);
  s.socket.joined("r", { seq: 9 });
  assert.deepEqual(since(s.socket), { epoch: "e1", seq: 6 });
  s.socket.chat("r", 10);
  s.socket.joined("r", { seq: 10 });
  assert.deepEqual(told, [6, [6, 9], 10]);
});

test("the second answer to a JOIN without a position tells nothing, if nothing is missing", async () => {
  const s = scene({ ackTimeoutMs: 2_000 });
  const socket = await s.open();
  const joined = s.client.join("r");
  await s.clock.pass(2_000);
  socket.joined("r", { seq: 5 });
  assert.equal((await joined).seq, 5);
  socket.chat("r", 6);
  socket.joined("r", { seq: 6 });
  socket.chat("r", 7);
  assert.deepEqual([s.log.chats, s.log.gaps, socket.of("JOIN").length], [["m6", "m7"], [], 2]);
});

test("an own message of a late second replay is not delivered, even if its room is asked about again meanwhile", async () => {
  const [s, told] = await askedTwice();
  s.socket.joined("r", { seq: 5, recovered: true, missed: 0 });
  s.client.send("CHAT", "r", "mine");
  const { id } = s.socket.last;
  const [, join] = s.socket.of("JOIN");
  s.socket.chat("r", 9);
  await s.clock.pass(1_000); // 6 may be the own message, but not 7 and 8
  assert.equal(s.socket.of("JOIN").length, 3);
  s.socket.say({ type: "JOINED", room: "r", ref: join.id, payload: { epoch: "e1", seq: 5, recovered: true, missed: 1 } });
  s.socket.chat("r", 6, { id, sender: "ann" });
  s.socket.joined("r", { seq: 9 });
  assert.deepEqual(told, [[6, 8], 9]);
});
