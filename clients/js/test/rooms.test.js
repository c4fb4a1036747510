import assert from "node:assert/strict";
import { test } from "node:test";

import { scene, settled } from "../support/fakes.js";

/** A client in room r at position 5. */
async function inRoom(options) {
  const s = scene(options);
  const socket = await s.open();
  const joined = s.client.join("r");
  socket.joined("r", { seq: 5 });
  assert.equal((await joined).seq, 5);
  return s;
}

const since = (socket, room = "r") => socket.of("JOIN").findLast((frame) => frame.room === room)?.payload?.since;

test("the first JOIN has no position, and resolves with the one of JOINED", async () => {
  const s = await inRoom();
  assert.equal(since(s.socket), undefined);
  assert.deepEqual(s.client.position("r"), { epoch: "e1", seq: 5 });
  assert.deepEqual(s.client.rooms, ["r"]);
  assert.deepEqual(s.log.gaps, []);
});

test("after a reconnect it sends the position of the last message", async () => {
  const s = await inRoom();
  s.socket.chat("r", 6);
  s.socket.chat("r", 7);
  const next = await s.again();
  assert.deepEqual(since(next), { epoch: "e1", seq: 7 });
});

test("missed messages are delivered in order, without a gap event", async () => {
  const s = await inRoom();
  const next = await s.again();
  next.joined("r", { seq: 5, recovered: true, missed: 3 });
  for (const seq of [6, 7, 8, 9]) next.chat("r", seq);
  assert.deepEqual(s.log.chats, ["m6", "m7", "m8", "m9"]);
  assert.deepEqual(s.log.gaps, []);
  assert.deepEqual(s.client.position("r"), { epoch: "e1", seq: 9 });
});

test("recovered: false after a reconnect is a gap, with both positions", async () => {
  const s = await inRoom();
  const next = await s.again();
  next.joined("r", { seq: 20 });
  assert.deepEqual(s.log.gaps, [{ room: "r", since: { epoch: "e1", seq: 5 }, position: { epoch: "e1", seq: 20 } }]);
  next.chat("r", 21);
  assert.deepEqual(s.log.chats, ["m21"]);
});

test("an unasked JOINED with a new epoch is a gap, and the new position applies", async () => {
  const s = await inRoom();
  s.socket.say({ type: "JOINED", room: "r", payload: { epoch: "e2", seq: 0, recovered: false, missed: 0 } });
  assert.equal(s.log.gaps.length, 1);
  s.socket.chat("r", 1, { epoch: "e2" });
  assert.deepEqual(s.log.chats, ["m1"]);
});

test("JOINED at our own position is not a gap, even with recovered: false", async () => {
  const s = await inRoom();
  s.socket.say({ type: "JOINED", room: "r", payload: { epoch: "e1", seq: 5, recovered: false, missed: 0 } });
  assert.deepEqual(s.log.gaps, []);
});

test("a repeat is dropped and counted", async () => {
  const s = await inRoom();
  for (const seq of [6, 6, 5, 7]) s.socket.chat("r", seq);
  assert.deepEqual(s.log.chats, ["m6", "m7"]);
  assert.equal(s.client.counters.repeats, 2);
});

test("missing seqs are requested, and later messages wait for them", async () => {
  const s = await inRoom();
  for (const seq of [6, 8, 9]) s.socket.chat("r", seq);
  assert.deepEqual(s.log.chats, ["m6"]);
  assert.equal(s.socket.of("JOIN").length, 2);
  assert.deepEqual(since(s.socket), { epoch: "e1", seq: 6 });
  s.socket.joined("r", { seq: 6, recovered: true, missed: 3 });
  for (const seq of [7, 8, 9, 10]) s.socket.chat("r", seq);
  assert.deepEqual(s.log.chats, ["m6", "m7", "m8", "m9", "m10"]);
  assert.deepEqual(s.log.gaps, []);
});

test("seqs that can't be recovered are a gap, reported before later messages", async () => {
  const s = await inRoom();
  const order = [];
  s.client.on("gap", () => order.push("gap"));
  s.client.on("CHAT", (message) => order.push(message.seq));
  s.socket.chat("r", 8);
  s.socket.joined("r", { seq: 8 });
  s.socket.chat("r", 9);
  assert.deepEqual(order, ["gap", 8, 9]);
});

test("an unannounced epoch is asked about, and a new one is a gap", async () => {
  const s = await inRoom();
  s.socket.chat("r", 3, { epoch: "e2" });
  assert.deepEqual(s.log.chats, []);
  s.socket.joined("r", { epoch: "e2", seq: 3 });
  s.socket.chat("r", 4, { epoch: "e2" });
  assert.equal(s.log.gaps.length, 1);
  assert.deepEqual(s.log.chats, ["m3", "m4"]);
});

test("a missing seq of an own message whose ACK is in flight is not a gap: later messages follow the ACK", async () => {
  const s = await inRoom();
  s.client.send("CHAT", "r", "mine");
  const mine = s.socket.last;
  s.socket.chat("r", 7);
  assert.deepEqual(s.log.chats, []);
  s.socket.ack(mine, { epoch: "e1", seq: 6 });
  assert.deepEqual(s.log.chats, ["m7"]);
  assert.equal(s.socket.of("JOIN").length, 1);
});

test("missing seqs that no ACK explains are requested after gapMs at the latest", async () => {
  for (const acked of [true, false]) {
    const s = await inRoom();
    s.client.send("CHAT", "r", "mine");
    s.socket.chat("r", 8);
    if (acked) s.socket.ack(s.socket.last, { epoch: "e1", seq: 6 });
    else await s.clock.pass(1_000);
    assert.deepEqual(since(s.socket), { epoch: "e1", seq: acked ? 6 : 5 });
  }
});

test("messages announced by DROPPED are not a gap; the listener gets their number", async () => {
  const s = await inRoom();
  const dropped = [];
  s.client.on("DROPPED", ({ room, payload }) => dropped.push([room, payload.count]));
  s.socket.say({ type: "DROPPED", room: "r", payload: { count: 3, seq: 9 } });
  for (const seq of [6, 10]) s.socket.chat("r", seq);
  assert.deepEqual(s.log.chats, ["m6", "m10"]);
  assert.deepEqual(dropped, [["r", 3]]);
  s.socket.chat("r", 12);
  assert.deepEqual(since(s.socket), { epoch: "e1", seq: 10 });
});

test("expired messages are missing from a replay, and that is not a gap", async () => {
  const s = await inRoom();
  const next = await s.again();
  next.joined("r", { seq: 5, recovered: true, missed: 3 });
  for (const seq of [7, 9]) next.chat("r", seq);
  assert.deepEqual(s.log.chats, ["m7", "m9"]);
  assert.equal(next.of("JOIN").length, 1);
});

test("messages that arrived before the replay but belong after it are delivered after it", async () => {
  const s = await inRoom();
  const next = await s.again();
  for (const seq of [7, 8]) next.chat("r", seq);
  next.joined("r", { seq: 5, recovered: true, missed: 2 });
  for (const seq of [6, 7]) next.chat("r", seq);
  assert.deepEqual(s.log.chats, ["m6", "m7", "m8"]);
});

test("a second answer to one JOIN does not move the position back", async () => {
  const s = await inRoom();
  const next = await s.again();
  next.joined("r", { seq: 5, recovered: true, missed: 1 });
  next.chat("r", 6);
  next.joined("r", { seq: 5, recovered: true, missed: 1 });
  next.chat("r", 6);
  assert.deepEqual(s.log.chats, ["m6"]);
});

test("an own message that was sent on two connections does not prove that the room sends own copies", async () => {
  const s = await inRoom();
  s.client.send("CHAT", "r", "mine");
  const { id } = s.socket.last;
  const next = await s.again();
  next.joined("r", { seq: 5, recovered: true, missed: 0 });
  next.chat("r", 6, { id, sender: "ann" });
  next.ack({ id, room: "r" }, { epoch: "e1", seq: 6 });
  s.client.send("CHAT", "r", "more");
  next.ack(next.last, { epoch: "e1", seq: 7 });
  next.chat("r", 8);
  assert.deepEqual(s.log.chats, ["m8"]);
});

test("messages of the room * are delivered as they come, and a loss there is reported as a gap", async () => {
  const s = await inRoom();
  s.socket.chat("*", 4);
  s.socket.say({ type: "JOINED", room: "*", payload: { epoch: "e1", seq: 8, recovered: false, missed: 0 } });
  s.socket.chat("*", 9);
  assert.deepEqual(s.log.chats, ["m4", "m9"]);
  assert.deepEqual(s.log.gaps, [{ room: "*", since: null, position: { epoch: "e1", seq: 8 } }]);
  assert.deepEqual(s.client.rooms, ["r"]);
});

test("unnumbered messages are delivered as they come", async () => {
  const s = await inRoom();
  const heard = [];
  s.client.on("TYPING", (message) => heard.push(message.sender));
  for (const sender of ["bob", "bob"]) s.socket.say({ type: "TYPING", room: "r", sender, payload: true });
  assert.deepEqual(heard, ["bob", "bob"]);
});

test("own messages count for the position as long as no other is missing", async () => {
  const s = await inRoom();
  const [one, two] = [s.client.send("CHAT", "r", "a"), s.client.send("CHAT", "r", "b")];
  s.socket.ack(s.socket.sent.at(-2), { epoch: "e1", seq: 6 });
  s.socket.ack(s.socket.sent.at(-1), { epoch: "e1", seq: 8 }); // 7 is another's, and not here yet
  await Promise.all([one, two]);
  assert.deepEqual(s.client.position("r"), { epoch: "e1", seq: 6 });
  assert.deepEqual(since(await s.again()), { epoch: "e1", seq: 6 });
});

test("an ACK that overtakes a message does not make that message a repeat", async () => {
  const s = await inRoom();
  s.client.send("CHAT", "r", "mine");
  s.socket.ack(s.socket.last, { epoch: "e1", seq: 7 });
  s.socket.chat("r", 6);
  assert.deepEqual(s.log.chats, ["m6"]);
  assert.deepEqual(since(await s.again()), { epoch: "e1", seq: 7 });
});

test("own acknowledged messages in a replay are not delivered", async () => {
  const s = await inRoom();
  s.client.send("CHAT", "r", "mine");
  const { id } = s.socket.last;
  s.socket.ack(s.socket.last, { epoch: "e1", seq: 7 });
  const next = await s.again();
  next.joined("r", { seq: 5, recovered: true, missed: 3 });
  next.chat("r", 6);
  next.chat("r", 7, { id, sender: "ann" });
  next.chat("r", 8);
  assert.deepEqual(s.log.chats, ["m6", "m8"]);
});

test("requested own copies are delivered, also after the ACK and in a replay", async () => {
  const s = await inRoom();
  s.client.send("CHAT", "r", "mine", { includeSender: true });
  const { id } = s.socket.last;
  s.socket.ack(s.socket.last, { epoch: "e1", seq: 6 });
  const next = await s.again();
  assert.deepEqual(since(next), { epoch: "e1", seq: 5 });
  next.joined("r", { seq: 5, recovered: true, missed: 1 });
  next.chat("r", 6, { id, sender: "ann" });
  assert.deepEqual(s.log.chats, ["m6"]);
});

test("after a reconnect the client joins all its rooms itself, including the default rooms and its own", async () => {
  const s = scene();
  const first = await s.open({ rooms: ["default", "@ann"] });
  assert.equal(first.url.searchParams.has("join"), false);
  assert.equal(first.of("JOIN").length, 0);
  first.say({ type: "JOINED", room: "default", payload: { epoch: "e1", seq: 3, recovered: false, missed: 0 } });
  s.client.join("r");
  first.joined("r", { seq: 5 });
  const next = await s.again();
  assert.equal(next.url.searchParams.get("join"), "manual");
  assert.deepEqual(next.of("JOIN").map(({ room }) => [room, since(next, room)?.seq]), [
    ["default", 3],
    ["@ann", undefined], // it had not been answered
    ["r", 5],
  ]);
  next.joined("default", { seq: 3, recovered: true, missed: 3 });
  for (const seq of [4, 5, 6]) next.chat("default", seq);
  assert.deepEqual(s.log.chats, ["m4", "m5", "m6"]);
  assert.deepEqual(s.log.gaps, []);
});

test("with another user's token, the own room is another one", async () => {
  const s = scene();
  await s.open({ rooms: ["@ann"] });
  const next = await s.again({ user: "bob" });
  assert.deepEqual(next.of("JOIN").map(({ room }) => room), ["@bob"]);
});

test("messages that arrived before JOINED can close the gap: no event if nothing is missing", async () => {
  const s = await inRoom();
  const next = await s.again();
  next.chat("r", 6);
  next.joined("r", { seq: 6 });
  assert.deepEqual(s.log.gaps, []);
  assert.deepEqual(s.log.chats, ["m6"]);
});

test("the JOINs of a reconnect are sent before waiting messages", async () => {
  const s = await inRoom();
  s.client.send("CHAT", "r", "waits");
  s.client.join("q");
  const next = await s.again();
  assert.deepEqual(next.sent.map(({ type }) => type), ["JOIN", "JOIN", "CHAT"]);
});

test("join without a connection is kept, and several callers get one answer", async () => {
  const s = scene();
  const joins = [s.client.join("r"), s.client.join("r")];
  const socket = await s.open();
  assert.equal(socket.of("JOIN").length, 1);
  socket.joined("r", { seq: 2 });
  assert.deepEqual((await Promise.all(joins)).map(({ seq }) => seq), [2, 2]);
});

test("a refused JOIN rejects the promise and is not sent again", async () => {
  const s = scene();
  const socket = await s.open();
  const joined = s.client.join("secret");
  socket.say({ type: "ERROR", ref: socket.last.id, payload: { code: "forbidden", message: "no", retry: false } });
  await assert.rejects(joined, { code: "forbidden" });
  assert.equal((await s.again()).of("JOIN").length, 0);
});

test("a room that was left since nobody could decide is still wanted, and joined again from where we stand", async () => {
  const s = scene();
  const left = [];
  s.client.on("left", (event) => left.push(event));
  const socket = await s.open();
  s.client.join("r", { presence: true });
  socket.joined("r", { seq: 3, grant: "g" });
  socket.say({ type: "LEFT", room: "r", payload: { reason: "unavailable" } });
  await settled();
  assert.deepEqual(left, [{ room: "r", reason: "unavailable" }]);
  const [, again] = socket.of("JOIN");
  assert.deepEqual(again.payload, { since: { epoch: "e1", seq: 3 }, grant: "g", presence: { watch: true } });
  socket.say({ type: "ERROR", ref: again.id, payload: { code: "unavailable", message: "away", retry: true, retry_after_ms: 1000 } });
  socket.say({ type: "LEFT", room: "r", payload: { reason: "unavailable" } }); // of one JOIN there is only one at a time
  await s.clock.pass(30_000);
  assert.ok(socket.of("JOIN").length > 2);
  socket.joined("r", { seq: 5, recovered: true, missed: 0 });
  assert.deepEqual(s.client.rooms, ["r"]);
  assert.equal(s.client.position("r").seq, 5);
});

test("leave is answered by LEFT, and the room is not joined again", async () => {
  const s = await inRoom();
  const left = s.client.leave("r");
  assert.equal(s.socket.last.type, "LEAVE");
  s.socket.say({ type: "LEFT", room: "r", ref: s.socket.last.id });
  await left;
  assert.deepEqual(s.client.rooms, []);
  assert.equal((await s.again()).of("JOIN").length, 0);
});

test("leave resolves when the connection closes", async () => {
  const s = await inRoom();
  const left = s.client.leave("r");
  s.socket.drop();
  await left;
});

test("a default room that was left is not joined again after a reconnect", async () => {
  const s = scene();
  await s.open({ rooms: ["default", "news"] });
  s.client.leave("default");
  const next = await s.again();
  assert.deepEqual(next.sent.map(({ type, room }) => [type, room]).sort(), [["JOIN", "@ann"], ["JOIN", "news"]]);
});

test("a late JOINED for a room that was left does not make us a member", async () => {
  const s = scene();
  const socket = await s.open();
  const joined = s.client.join("r");
  s.client.leave("r");
  socket.joined("r", { seq: 1 });
  await assert.rejects(joined, { code: "closed" });
  assert.deepEqual(s.client.rooms, []);
});

test("after a backend removed us from a room, it says why, and the room is not joined again", async () => {
  const s = await inRoom();
  const left = [];
  s.client.on("left", (event) => left.push(event));
  const again = s.client.join("r");
  s.socket.say({ type: "LEFT", room: "r", payload: { reason: "removed" } });
  await assert.rejects(again, { code: "closed", message: "removed from r (removed)" });
  assert.deepEqual(s.client.rooms, []);
  s.socket.say({ type: "LEFT", room: "other" });
  assert.deepEqual(left, [
    { room: "r", reason: "removed" },
    { room: "other", reason: null },
  ]);
  assert.equal((await s.again()).of("JOIN").length, 0);
  await settled();
});
