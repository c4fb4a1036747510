/** What becomes of own messages: receipts asked for, told, asked again and given up. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { scene, settled } from "../support/fakes.js";

const receipt = (frame, payload) => ({ type: "RECEIPT", ref: frame.id, room: frame.room, payload });
const numbered = (seq) => (seq ? { seq, epoch: "e1" } : {});

/** An open client, and what it says of receipts. */
async function opened(options, welcome) {
  const s = scene(options);
  const told = [];
  s.client.on("receipt", (each) => told.push(each));
  const socket = await s.open(welcome);
  return { s, told, socket, client: s.client, clock: s.clock, asked: (on = s.socket) => on.of("CHAT").filter((frame) => frame.receipt) };
}

/** Send a message that wants a receipt, and acknowledge it. */
async function send({ client, s }, text, level, seq = 1, options = {}) {
  const sent = client.send("CHAT", "r", text, { receipt: level, ...options });
  await settled();
  s.socket.ack(s.socket.of("CHAT").at(-1), numbered(seq));
  return sent;
}

test("a message that asks for it says what becomes of it: written, then seen", async () => {
  const it = await opened();
  const ack = await send(it, "hi", "seen", 7);
  const [[frame], timers] = [it.socket.of("CHAT"), it.clock.pending];
  assert.equal(frame.receipt, "seen");
  assert.deepEqual([ack.id, ack.seq], [frame.id, 7]);
  it.socket.say(receipt(frame, { level: "written", complete: true }));
  assert.deepEqual(await ack.written, { id: frame.id, room: "r", level: "written", complete: true });
  it.socket.say(receipt(frame, { level: "seen", complete: true, readers: 2, seen: 2 }));
  const seen = { id: frame.id, room: "r", level: "seen", complete: true, readers: 2, seen: 2 };
  assert.deepEqual(await ack.seen, seen);
  assert.deepEqual(it.told.map(({ level }) => level), ["written", "seen"]);
  assert.deepEqual(it.told[1], seen);
  assert.equal(it.clock.pending, timers - 1, "nothing is waited for any more");
});

test("who asks for written alone has no promise of seen, and who asks for nothing has none", async () => {
  const it = await opened();
  const ack = await send(it, "hi", "written");
  assert.equal(it.socket.last.receipt, "written");
  assert.ok(ack.written instanceof Promise);
  assert.equal("seen" in ack, false);
  const plain = await send(it, "hi", undefined, 2);
  assert.equal("receipt" in it.socket.last, false);
  assert.deepEqual(Object.keys(plain), ["id", "room", "seq", "epoch"]);
});

test("the room of a receipt is the one that the ACK names", async () => {
  const it = await opened();
  const sent = it.client.send("CHAT", null, "hi", { receipt: "written" });
  await settled();
  it.socket.say({ type: "ACK", ref: it.socket.last.id, room: "default", payload: numbered(1) });
  it.socket.say({ type: "RECEIPT", ref: it.socket.last.id, room: "default", payload: { level: "written", complete: true } });
  assert.equal((await (await sent).written).room, "default");
});

test("a receipt may come before its ACK", async () => {
  const it = await opened();
  const sent = it.client.send("CHAT", "r", "hi", { receipt: "seen" });
  await settled();
  const frame = it.socket.last;
  it.socket.say(receipt(frame, { level: "written", complete: true }));
  it.socket.say(receipt(frame, { level: "seen", complete: true, readers: 0, seen: 0 }));
  it.socket.ack(frame, numbered(1));
  const ack = await sent;
  assert.deepEqual([(await ack.written).complete, (await ack.seen).complete], [true, true]);
});

test("a last word of seen alone settles what is written, too", async () => {
  for (const complete of [true, false]) {
    const it = await opened();
    const ack = await send(it, "hi", "seen");
    it.socket.say(receipt(it.socket.last, { level: "seen", complete, readers: 3, seen: 1 }));
    assert.equal((await ack.written).complete, complete);
    assert.deepEqual([(await ack.seen).seen, (await ack.seen).complete], [1, complete]);
  }
});

test("receipts of nothing that is waited for, and repeated ones, change nothing", async () => {
  const it = await opened();
  const ack = await send(it, "hi", "written");
  const frame = it.socket.last;
  it.socket.say(receipt({ id: "another", room: "r" }, { level: "written", complete: true }));
  it.socket.say(receipt(frame, { level: "seen", complete: true, readers: 1, seen: 1 }));
  for (const complete of [true, false]) it.socket.say(receipt(frame, { level: "written", complete }));
  assert.equal((await ack.written).complete, true);
  assert.equal(it.told.length, 1);
});

test("what the server would refuse is refused at once", async () => {
  const it = await opened();
  await assert.rejects(it.client.send("CHAT", "r", 1, { receipt: "read" }), { code: "invalid_message", message: /written or seen/ });
  await assert.rejects(it.client.send("TYPING", "r", 1, { receipt: "written" }), { code: "invalid_message", message: /ephemeral/ });
  assert.deepEqual(it.socket.sent, []);
});

test("a refused message has no receipt, and what waited for it is gone", async () => {
  const it = await opened();
  const sent = it.client.send("CHAT", "r", "hi", { receipt: "seen" });
  await settled();
  it.socket.say({ type: "ERROR", ref: it.socket.last.id, payload: { code: "forbidden", message: "no", retry: false } });
  await assert.rejects(sent, { code: "forbidden" });
  await it.clock.pass(200_000);
  await it.s.again();
  assert.deepEqual([it.told, it.asked().length], [[], 0]);
});

test("without any word from the server a receipt is given up", async () => {
  for (const [level, ms] of [["written", 45_000], ["seen", 75_000]]) {
    const it = await opened({ pongTimeoutMs: 1e9 });
    const ack = await send(it, "hi", level);
    await it.clock.pass(ms - 1);
    assert.deepEqual(it.told, []);
    await it.clock.pass(1);
    assert.deepEqual(it.told.map(({ complete }) => complete), level === "seen" ? [false, false] : [false]);
    assert.equal((await ack[level]).complete, false);
  }
});

test("closing the client ends all receipts of accepted messages", async () => {
  const it = await opened();
  const ack = await send(it, "hi", "seen");
  const unsent = it.client.send("CHAT", "r", "two", { receipt: "seen" });
  it.client.close();
  await assert.rejects(unsent, { code: "closed" });
  assert.deepEqual([(await ack.written).complete, (await ack.seen).complete], [false, false]);
  assert.equal(it.told.length, 2);
  assert.equal(it.clock.pending, 0);
});

test("what is open when the connection is lost is asked again, under the same id, as an answer is only told there", async () => {
  const it = await opened();
  const [first, second] = [await send(it, "one", "seen", 1), await send(it, "two", "written", 2)];
  const third = await send(it, "three", "written", 3);
  const [one, , three] = it.socket.of("CHAT");
  it.socket.say(receipt(one, { level: "written", complete: true }));
  it.socket.say(receipt(three, { level: "written", complete: true }));
  const next = await it.s.again();
  const again = next.of("CHAT");
  assert.deepEqual(again.map(({ id, payload, receipt: level }) => [id, payload, level]), [
    [first.id, "one", "seen"],
    [second.id, "two", "written"],
  ]);
  for (const [n, frame] of again.entries()) next.ack(frame, numbered(n + 1));
  next.say(receipt(again[0], { level: "written", complete: true }));
  next.say(receipt(again[0], { level: "seen", complete: true, readers: 1, seen: 1 }));
  next.say(receipt(again[1], { level: "written", complete: true }));
  assert.deepEqual(await Promise.all([first.seen, second.written, third.written].map(async (each) => (await each).complete)), [true, true, true]);
  assert.deepEqual(it.told.map(({ id }) => id), [first.id, third.id, first.id, second.id], "each level once");
  assert.equal(it.client.counters.waiting, 0);
});

test("messages do not wait for what is asked again", async () => {
  const limits = { rate: 2, rate_per_ms: 1_000 };
  const it = await opened({}, { limits });
  const asked = it.client.send("CHAT", "r", "old", { receipt: "seen" });
  it.socket.ack(it.socket.last, numbered(1));
  await asked;
  it.client.join("r");
  const next = await it.s.again({ limits });
  assert.deepEqual(next.sent.map(({ type }) => type), ["JOIN"]);
  it.client.send("CHAT", "r", "new");
  next.joined("r");
  await it.clock.pass(1_000);
  next.ack(next.last, numbered(2));
  await it.clock.pass(1_000);
  assert.deepEqual(next.of("CHAT").map(({ payload }) => payload), ["new", "old"]);
});

test("a message without an ACK is sent again as ever, and asks again", async () => {
  const it = await opened();
  const sent = it.client.send("CHAT", "r", "hi", { receipt: "written" });
  await settled();
  const next = await it.s.again();
  assert.deepEqual(it.asked(next).map(({ id }) => id), [it.socket.of("CHAT")[0].id]);
  next.ack(next.last, numbered(1));
  next.say(receipt(next.last, { level: "written", complete: true }));
  assert.equal((await (await sent).written).complete, true);
});

test("a message that the server may have forgotten is not sent again", async () => {
  const it = await opened({ backoffMs: 200_000, backoffCapMs: 200_000 });
  const ack = await send(it, "hi", "seen");
  it.socket.drop();
  await it.clock.pass(61_000);
  it.client.connect();
  await settled();
  it.s.socket.welcome();
  assert.deepEqual(it.s.socket.of("CHAT"), []);
  assert.equal((await ack.seen).complete, false);
});

test("a message that has no number is not sent again: it would be another one", async () => {
  const it = await opened();
  const ack = await send(it, "hi", "written", 0);
  const next = await it.s.again();
  assert.deepEqual(next.of("CHAT"), []);
  assert.equal((await ack.written).complete, false);
});

test("of long texts only so many are kept to be sent again", async () => {
  const it = await opened();
  const acks = [];
  for (let n = 1; n <= 4; n++) acks.push(await send(it, "x".repeat(100_000), "written", n));
  assert.equal(it.asked().length, 4);
  const next = await it.s.again();
  assert.equal(it.asked(next).length, 2);
  assert.deepEqual(it.told.map(({ id }) => id), acks.slice(2).map(({ id }) => id));
});

test("at most 32 are asked for at a time: the messages go, and are asked of when there is a place", async () => {
  const it = await opened();
  const acks = [];
  for (let n = 1; n <= 34; n++) acks.push(await send(it, n, "written", n));
  const frames = it.socket.of("CHAT");
  assert.equal(frames.length, 34);
  assert.equal(it.asked().length, 32);
  for (const frame of frames.slice(0, 2)) it.socket.say(receipt(frame, { level: "written", complete: true }));
  assert.deepEqual(it.asked().slice(32).map(({ id, payload }) => [id, payload]), [[acks[32].id, 33], [acks[33].id, 34]]);
  it.socket.ack(it.socket.last, numbered(34));
  it.socket.say(receipt(it.socket.last, { level: "written", complete: true }));
  assert.equal((await acks[33].written).complete, true);
});

test("beyond 100 a message goes, and its receipt is given up at once", async () => {
  const it = await opened({ outboxLimit: 1_000 });
  const acks = [];
  for (let n = 1; n <= 101; n++) acks.push(await send(it, n, "written", n));
  assert.deepEqual(it.told, [{ id: acks[100].id, room: "r", level: "written", complete: false }]);
  assert.equal((await acks[100].written).complete, false);
  assert.equal(it.socket.of("CHAT").length, 101);
});

test("a question that still waits when its receipt is given up is not asked", async () => {
  const limits = { rate: 2, rate_per_ms: 100_000 };
  const it = await opened({ pingMs: 1e9 }, { limits });
  const ack = await send(it, "hi", "written");
  it.client.join("r");
  const next = await it.s.again({ limits });
  next.joined("r");
  await it.clock.pass(50_000);
  assert.equal((await ack.written).complete, false);
  await it.clock.pass(200_000);
  assert.deepEqual([next.of("CHAT"), it.client.counters.waiting], [[], 0]);
});

test("a question that is refused is given up, and told by the promise alone", async () => {
  const it = await opened();
  const ack = await send(it, "hi", "written");
  const next = await it.s.again();
  next.say({ type: "ERROR", ref: next.last.id, payload: { code: "overloaded", message: "", retry: true } });
  assert.equal((await ack.written).complete, false);
  assert.deepEqual([it.s.log.errors, it.client.counters.waiting], [[], 0]);
});

test("an own message that is replayed while it is asked of again stays an own one", async () => {
  const it = await opened();
  const joined = it.client.join("r");
  it.socket.joined("r");
  await joined;
  await send(it, "mine", "seen", 2);
  const next = await it.s.again();
  const { id } = it.asked(next)[0];
  next.joined("r", { recovered: true, seq: 0, missed: 2 });
  next.chat("r", 1);
  next.chat("r", 2, { id, sender: "ann", payload: "mine" });
  next.chat("r", 3);
  assert.deepEqual(it.s.log.chats, ["m1", "m3"]);
});

test("the application may ask anew by sending the same id", async () => {
  const it = await opened();
  const first = await send(it, "hi", "written", 1, { id: "m1" });
  it.socket.say(receipt(it.socket.last, { level: "written", complete: false }));
  assert.equal((await first.written).complete, false);
  const second = await send(it, "hi", "written", 1, { id: "m1" });
  const third = await send(it, "hi", "written", 1, { id: "m1" });
  assert.equal((await second.written).complete, false, "its place is taken");
  it.socket.say(receipt(it.socket.last, { level: "written", complete: true }));
  assert.equal((await third.written).complete, true);
  await send(it, "hi", "written", 1, { id: "m2" });
  const next = await it.s.again();
  assert.equal(next.last.id, "m2");
  const fourth = it.client.send("CHAT", "r", "hi", { id: "m2" }); // while it is asked of again
  next.ack(next.last, numbered(1));
  assert.equal((await fourth).seq, 1);
});

test("a message whose type is receipt or left is no event of the client", async () => {
  const it = await opened();
  const left = [];
  it.client.on("left", (each) => left.push(each));
  for (const type of ["receipt", "left"]) it.socket.say({ type, room: "r", payload: {}, sender: "eve" });
  assert.deepEqual([it.told, left, it.s.log.all.slice(-2).map(({ type }) => type)], [[], [], ["receipt", "left"]]);
});
