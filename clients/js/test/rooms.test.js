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

test("join asks without a position the first time and resolves with the one it got", async () => {
  const s = await inRoom();
  assert.equal(since(s.socket), undefined);
  assert.deepEqual(s.client.position("r"), { epoch: "e1", seq: 5 });
  assert.deepEqual(s.client.rooms, ["r"]);
  assert.deepEqual(s.log.gaps, []);
});

test("after a reconnect it gives the position of the last message it saw", async () => {
  const s = await inRoom();
  s.socket.chat("r", 6);
  s.socket.chat("r", 7);
  const next = await s.again();
  assert.deepEqual(since(next), { epoch: "e1", seq: 7 });
});

test("what was missed is handed on in order, and nobody is told of a gap", async () => {
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

test("a new life of the room's log that comes unasked is a gap, and the new position holds", async () => {
  const s = await inRoom();
  s.socket.say({ type: "JOINED", room: "r", payload: { epoch: "e2", seq: 0, recovered: false, missed: 0 } });
  assert.equal(s.log.gaps.length, 1);
  s.socket.chat("r", 1, { epoch: "e2" });
  assert.deepEqual(s.log.chats, ["m1"]);
});

test("JOINED at the position where we are is no gap, whatever it says", async () => {
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

test("a jump is asked for, and what comes behind it waits for what is missing", async () => {
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

test("a jump that can't be filled is a gap, told before what lies behind it", async () => {
  const s = await inRoom();
  const order = [];
  s.client.on("gap", () => order.push("gap"));
  s.client.on("CHAT", (message) => order.push(message.seq));
  s.socket.chat("r", 8);
  s.socket.joined("r", { seq: 8 });
  s.socket.chat("r", 9);
  assert.deepEqual(order, ["gap", 8, 9]);
});

test("an epoch that nobody told us of is asked about, and a new life is a gap", async () => {
  const s = await inRoom();
  s.socket.chat("r", 3, { epoch: "e2" });
  assert.deepEqual(s.log.chats, []);
  s.socket.joined("r", { epoch: "e2", seq: 3 });
  s.socket.chat("r", 4, { epoch: "e2" });
  assert.equal(s.log.gaps.length, 1);
  assert.deepEqual(s.log.chats, ["m3", "m4"]);
});

test("a jump over an own message whose ACK is on its way is none: what waits for it follows the ACK", async () => {
  const s = await inRoom();
  s.client.send("CHAT", "r", "mine");
  const mine = s.socket.last;
  s.socket.chat("r", 7);
  assert.deepEqual(s.log.chats, []);
  s.socket.ack(mine, { epoch: "e1", seq: 6 });
  assert.deepEqual(s.log.chats, ["m7"]);
  assert.equal(s.socket.of("JOIN").length, 1);
});

test("a jump that an ACK does not explain is asked for, at the latest after gapMs", async () => {
  for (const acked of [true, false]) {
    const s = await inRoom();
    s.client.send("CHAT", "r", "mine");
    s.socket.chat("r", 8);
    if (acked) s.socket.ack(s.socket.last, { epoch: "e1", seq: 6 });
    else await s.clock.pass(1_000);
    assert.deepEqual(since(s.socket), { epoch: "e1", seq: acked ? 6 : 5 });
  }
});

test("what the server says that it withheld is no gap; the listener is told how much it was", async () => {
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

test("what has expired is missing from a replay, and that is no gap", async () => {
  const s = await inRoom();
  const next = await s.again();
  next.joined("r", { seq: 5, recovered: true, missed: 3 });
  for (const seq of [7, 9]) next.chat("r", seq);
  assert.deepEqual(s.log.chats, ["m7", "m9"]);
  assert.equal(next.of("JOIN").length, 1);
});

test("what is behind the replay and came before it is handed on after it", async () => {
  const s = await inRoom();
  const next = await s.again();
  for (const seq of [7, 8]) next.chat("r", seq);
  next.joined("r", { seq: 5, recovered: true, missed: 2 });
  for (const seq of [6, 7]) next.chat("r", seq);
  assert.deepEqual(s.log.chats, ["m6", "m7", "m8"]);
});

test("the second answer to one JOIN does not move the position back", async () => {
  const s = await inRoom();
  const next = await s.again();
  next.joined("r", { seq: 5, recovered: true, missed: 1 });
  next.chat("r", 6);
  next.joined("r", { seq: 5, recovered: true, missed: 1 });
  next.chat("r", 6);
  assert.deepEqual(s.log.chats, ["m6"]);
});

test("an own message that was sent on two connections and comes back from the first is no copy that the room sends", async () => {
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

test("everyone's room, which nobody joins, is passed on as it comes; where something was lost there a gap says so", async () => {
  const s = await inRoom();
  s.socket.chat("*", 4);
  s.socket.say({ type: "JOINED", room: "*", payload: { epoch: "e1", seq: 8, recovered: false, missed: 0 } });
  s.socket.chat("*", 9);
  assert.deepEqual(s.log.chats, ["m4", "m9"]);
  assert.deepEqual(s.log.gaps, [{ room: "*", since: null, position: { epoch: "e1", seq: 8 } }]);
  assert.deepEqual(s.client.rooms, ["r"]);
});

test("what is not numbered passes as it comes", async () => {
  const s = await inRoom();
  const heard = [];
  s.client.on("TYPING", (message) => heard.push(message.sender));
  for (const sender of ["bob", "bob"]) s.socket.say({ type: "TYPING", room: "r", sender, payload: true });
  assert.deepEqual(heard, ["bob", "bob"]);
});

test("own messages, which do not come back, count for the position as far as no other is missing", async () => {
  const s = await inRoom();
  const [one, two] = [s.client.send("CHAT", "r", "a"), s.client.send("CHAT", "r", "b")];
  s.socket.ack(s.socket.sent.at(-2), { epoch: "e1", seq: 6 });
  s.socket.ack(s.socket.sent.at(-1), { epoch: "e1", seq: 8 }); // 7 is another's, and not here yet
  await Promise.all([one, two]);
  assert.deepEqual(s.client.position("r"), { epoch: "e1", seq: 6 });
  assert.deepEqual(since(await s.again()), { epoch: "e1", seq: 6 });
});

test("an ACK that overtakes another's message does not make that message a repeat", async () => {
  const s = await inRoom();
  s.client.send("CHAT", "r", "mine");
  s.socket.ack(s.socket.last, { epoch: "e1", seq: 7 });
  s.socket.chat("r", 6);
  assert.deepEqual(s.log.chats, ["m6"]);
  assert.deepEqual(since(await s.again()), { epoch: "e1", seq: 7 });
});

test("a replay leaves out what this client sent itself and knows to be accepted", async () => {
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

test("own copies that were asked for come, also when the ACK was first and also in a replay", async () => {
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

test("after a reconnect the client joins all its rooms itself, those too that the server had joined it to, and its own", async () => {
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

test("the own room is another one where the token is another user's", async () => {
  const s = scene();
  await s.open({ rooms: ["@ann"] });
  const next = await s.again({ user: "bob" });
  assert.deepEqual(next.of("JOIN").map(({ room }) => room), ["@bob"]);
});

test("what came before the answer closes the way by itself: no gap is told where nothing is missing", async () => {
  const s = await inRoom();
  const next = await s.again();
  next.chat("r", 6);
  next.joined("r", { seq: 6 });
  assert.deepEqual(s.log.gaps, []);
  assert.deepEqual(s.log.chats, ["m6"]);
});

test("where something is missing the gap is told before the messages behind it", async () => {
  const s = await inRoom();
  const order = [];
  s.client.on("gap", () => order.push("gap"));
  s.client.on("CHAT", (message) => order.push(message.seq));
  const next = await s.again();
  next.chat("r", 7);
  next.joined("r", { seq: 8 });
  next.chat("r", 9);
  assert.deepEqual(order, ["gap", 7, 9]);
});

test("joins of a reconnect go before the messages that wait", async () => {
  const s = await inRoom();
  s.client.send("CHAT", "r", "waits");
  s.client.join("q");
  const next = await s.again();
  assert.deepEqual(next.sent.map(({ type }) => type), ["JOIN", "JOIN", "CHAT"]);
});

test("join before there is a connection is kept, and several callers get the one answer", async () => {
  const s = scene();
  const joins = [s.client.join("r"), s.client.join("r")];
  const socket = await s.open();
  assert.equal(socket.of("JOIN").length, 1);
  socket.joined("r", { seq: 2 });
  assert.deepEqual((await Promise.all(joins)).map(({ seq }) => seq), [2, 2]);
});

test("a JOIN that is refused breaks the promise and is not asked again", async () => {
  const s = scene();
  const socket = await s.open();
  const joined = s.client.join("secret");
  socket.say({ type: "ERROR", ref: socket.last.id, payload: { code: "forbidden", message: "no", retry: false } });
  await assert.rejects(joined, { code: "forbidden" });
  assert.equal((await s.again()).of("JOIN").length, 0);
});

test("leave is answered by LEFT, and the room is not asked for again", async () => {
  const s = await inRoom();
  const left = s.client.leave("r");
  assert.equal(s.socket.last.type, "LEAVE");
  s.socket.say({ type: "LEFT", room: "r", ref: s.socket.last.id });
  await left;
  assert.deepEqual(s.client.rooms, []);
  assert.equal((await s.again()).of("JOIN").length, 0);
});

test("leave is done when the connection is: nobody waits for ever", async () => {
  const s = await inRoom();
  const left = s.client.leave("r");
  s.socket.drop();
  await left;
});

test("a room of the server's that was left is not joined again after a reconnect", async () => {
  const s = scene();
  await s.open({ rooms: ["default", "news"] });
  s.client.leave("default");
  const next = await s.again();
  assert.deepEqual(next.sent.map(({ type, room }) => [type, room]).sort(), [["JOIN", "@ann"], ["JOIN", "news"]]);
});

test("the late answer to a JOIN of a room that was left makes us no member", async () => {
  const s = scene();
  const socket = await s.open();
  const joined = s.client.join("r");
  s.client.leave("r");
  socket.joined("r", { seq: 1 });
  await assert.rejects(joined, { code: "closed" });
  assert.deepEqual(s.client.rooms, []);
});

test("a backend that removes us is heard, and the room is not asked for again", async () => {
  const s = await inRoom();
  s.socket.say({ type: "LEFT", room: "r" });
  assert.deepEqual(s.client.rooms, []);
  assert.equal((await s.again()).of("JOIN").length, 0);
  await settled();
});
