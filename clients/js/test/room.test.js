/** Rooms as objects: counted, with listeners, loops and a state of their own. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { scene, settled } from "../support/fakes.js";

/** Read `count` items of a loop. */
async function read(loop, count) {
  const found = [];
  for (let n = 0; n < count; n++) found.push((await loop.next()).value);
  return found;
}
const brief = (item) => (item.lost ? [item.type, item.payload.count ?? item.payload.position.seq] : item.payload);

test("a room is joined for the first who holds it, and left after the last", async () => {
  const s = scene();
  const socket = await s.open();
  const [one, two] = [s.client.room("r"), s.client.room("r")];
  assert.equal(socket.of("JOIN").length, 1);
  assert.equal(one.state, "joining");
  socket.joined("r", { seq: 7 });
  assert.equal((await one.joined).seq, 7);
  assert.equal((await two.joined).room, "r");
  assert.deepEqual([one.state, two.state], ["joined", "joined"]);
  await one.leave();
  assert.deepEqual([one.state, two.state, socket.of("LEAVE").length], ["left", "joined", 0]);
  two.leave();
  await settled();
  assert.equal(socket.of("LEAVE").length, 1);
  assert.deepEqual(s.client.rooms, []);
});

test("one who comes when the client is in already is in at once", async () => {
  const s = scene();
  const socket = await s.open();
  s.client.room("r");
  socket.joined("r", { seq: 7 });
  const late = s.client.room("r");
  assert.equal(late.state, "joined");
  assert.equal((await late.joined).seq, 7);
  assert.equal(socket.of("JOIN").length, 1);
});

test("leaving and holding again in the same turn, as a component that is mounted anew does, sends nothing and hears once", async () => {
  const s = scene();
  const socket = await s.open();
  const heard = [];
  for (let n = 0; n < 5; n++) {
    const room = s.client.room("r");
    room.on("CHAT", ({ payload }) => heard.push(payload));
    if (n === 0) socket.joined("r");
    if (n < 4) room.leave();
  }
  await settled();
  assert.deepEqual([socket.of("JOIN").length, socket.of("LEAVE").length], [1, 0]);
  socket.chat("r", 1);
  assert.deepEqual(heard, ["m1"]);
});

test("a room that join() or the server has joined is not left by those who hold it", async () => {
  const s = scene();
  const socket = await s.open({ rooms: ["@ann", "lobby"] });
  socket.say({ type: "JOINED", room: "lobby", payload: { epoch: "e1", seq: 0, recovered: false, missed: 0 } });
  const [lobby, own] = [s.client.room("lobby"), s.client.room("own")];
  s.client.join("own");
  socket.joined("own");
  await Promise.all([lobby.leave(), own.leave()]);
  await settled();
  assert.equal(socket.of("LEAVE").length, 0);
  assert.deepEqual(s.client.rooms.sort(), ["@ann", "lobby", "own"]);
});

test("leave() of the client ends all who hold the room, without an error", async () => {
  const s = scene();
  const socket = await s.open();
  const room = s.client.room("r");
  socket.joined("r");
  const left = room.once("left");
  const loop = room.messages();
  s.client.leave("r");
  assert.deepEqual(await left, { room: "r", reason: null, error: null });
  assert.deepEqual(await loop.next(), { value: undefined, done: true });
  await assert.rejects(room.joined, { code: "closed" });
  await assert.rejects(room.send("CHAT", "x"), { code: "closed", message: /left r/ });
});

test("one who leaves in the moment in which the client leaves, or is taken out, leaves once", async () => {
  const s = scene();
  const socket = await s.open();
  const [r, q] = [s.client.room("r"), s.client.room("q")];
  for (const name of ["r", "q"]) socket.joined(name);
  r.leave();
  s.client.leave("r");
  q.leave();
  socket.say({ type: "LEFT", room: "q", payload: { reason: "removed" } });
  await settled();
  assert.deepEqual(socket.of("LEAVE").map(({ room }) => room), ["r"]);
});

test("listeners of a room hear its messages alone, and none after it is left", async () => {
  const s = scene();
  const socket = await s.open();
  const [r, q] = [s.client.room("r"), s.client.room("q")];
  const heard = [];
  r.on("CHAT", ({ payload }) => heard.push(["r", payload]));
  r.on("*", ({ type }) => heard.push(["r", type]));
  q.on("CHAT", ({ payload }) => heard.push(["q", payload]));
  for (const name of ["r", "q"]) socket.joined(name);
  socket.chat("r", 1);
  socket.chat("q", 1);
  r.leave();
  socket.chat("r", 2);
  r.on("CHAT", () => heard.push("late"));
  socket.chat("r", 3);
  assert.deepEqual(heard, [["r", "m1"], ["r", "CHAT"], ["q", "m1"]]);
});

test("a message whose type is the name of a room's event reaches listeners of all messages only", async () => {
  const s = scene();
  const socket = await s.open();
  const room = s.client.room("r");
  const heard = [];
  for (const type of ["gap", "left", "state", "*"]) room.on(type, (value) => heard.push([type, value.type ?? value]));
  socket.joined("r");
  for (const [n, type] of ["gap", "left", "state"].entries()) socket.chat("r", n + 1, { type });
  assert.deepEqual(heard, [["state", "joined"], ["*", "gap"], ["*", "left"], ["*", "state"]]);
});

test("the state follows the connection, and `joined` the next JOINED", async () => {
  const s = scene();
  const socket = await s.open();
  const room = s.client.room("r");
  const states = [];
  room.on("state", (state) => states.push(state));
  socket.joined("r", { seq: 1 });
  await room.joined;
  const next = await s.again();
  assert.equal(room.state, "joining");
  next.joined("r", { seq: 1, recovered: true });
  assert.equal((await room.joined).recovered, true);
  assert.deepEqual(states, ["joined", "joining", "joined"]);
});

test("a loop gets messages in order, and sees gaps and what was withheld", async () => {
  const s = scene();
  const socket = await s.open();
  const room = s.client.room("r");
  socket.joined("r");
  const loop = room[Symbol.asyncIterator]();
  const events = [];
  room.on("gap", ({ position }) => events.push(["gap", position.seq]));
  room.on("dropped", ({ count }) => events.push(["dropped", count]));
  socket.chat("r", 1);
  socket.say({ type: "DROPPED", room: "r", payload: { count: 3, seq: 4 } });
  socket.chat("r", 5);
  const next = await s.again();
  next.joined("r", { epoch: "e2", seq: 9, recovered: false });
  next.chat("r", 10, { epoch: "e2" });
  assert.deepEqual((await read(loop, 5)).map(brief), ["m1", ["DROPPED", 3], "m5", ["GAP", 9], "m10"]);
  assert.deepEqual(events, [["dropped", 3], ["gap", 9]]);
});

test("a loop that is too slow loses the oldest, and is told how many in their place", async () => {
  const s = scene();
  const socket = await s.open();
  const room = s.client.room("r");
  socket.joined("r");
  const loop = room.messages({ limit: 3 });
  for (let seq = 1; seq <= 10; seq++) socket.chat("r", seq);
  const found = await read(loop, 3);
  assert.deepEqual(found.map(brief), [["DROPPED", 8], "m9", "m10"]);
  assert.deepEqual(found[0].payload, { count: 8, seq: 8, local: true });
  socket.chat("r", 11);
  assert.equal((await loop.next()).value.payload, "m11");
  assert.throws(() => room.messages({ limit: 1 }), /limit: must be at least 2/);
});

test("what a slow loop loses of gaps and of what was withheld is counted with the rest", async () => {
  const s = scene();
  const socket = await s.open();
  const room = s.client.room("r");
  socket.joined("r");
  const loop = room.messages({ limit: 2 });
  socket.chat("r", 1);
  socket.say({ type: "DROPPED", room: "r", payload: { count: 5, seq: 6 } });
  const next = await s.again();
  next.joined("r", { epoch: "e2", seq: 9, recovered: false });
  for (const seq of [10, 11]) next.chat("r", seq, { epoch: "e2" });
  const [dropped, last] = await read(loop, 2);
  assert.deepEqual([dropped.payload, last.payload], [{ count: 7, seq: 10, local: true }, "m11"]); // 1, five that were withheld, 10
});

test("the count is right whatever is put and read, and the queue keeps its limit", async () => {
  const s = scene();
  const socket = await s.open();
  const room = s.client.room("r");
  socket.joined("r");
  for (const limit of [2, 3, 7]) {
    const loop = room.messages({ limit });
    let [sent, told] = [0, 0];
    const take = (item) => (told += item.lost === "dropped" ? item.payload.count : 1);
    const from = s.client.position("r").seq;
    for (let turn = 1; turn < 40; turn++) {
      for (let n = 0; n < turn % 5; n++) socket.chat("r", from + ++sent);
      if (loop.items.length) take((await loop.next()).value);
      assert.ok(loop.items.length <= limit);
    }
    while (loop.items.length) take((await loop.next()).value);
    assert.equal(told, sent);
    loop.return();
  }
});

test("a loop that is left keeps nothing, and its signal ends it", async () => {
  const s = scene();
  const socket = await s.open();
  const room = s.client.room("r");
  socket.joined("r");
  const loop = room.messages();
  const stop = new AbortController();
  const other = room.messages({ signal: stop.signal });
  const waiting = other.next();
  await loop.return();
  stop.abort();
  socket.chat("r", 1);
  assert.equal(loop.items.length, 0);
  assert.deepEqual([await waiting, await loop.next(), await other.next()].map(({ done }) => done), [true, true, true]);
});

test("a loop ends when the client is closed by itself, and throws when the server does it, or takes us out", async () => {
  const ended = async (act) => {
    const s = scene();
    const socket = await s.open();
    const room = s.client.room("r");
    socket.joined("r");
    socket.chat("r", 1);
    const loop = room.messages();
    socket.chat("r", 2);
    await act(s, socket);
    assert.equal((await loop.next()).value.payload, "m2"); // what had come is given out first
    return loop.next().then(({ done }) => done, ({ code, message }) => [code, message]);
  };
  assert.equal(await ended(({ client }) => client.close()), true);
  assert.deepEqual(await ended((_, socket) => socket.drop(4006, "kicked")), ["closed", "the server closed the connection: 4006 kicked"]);
  const taken = (_, socket) => socket.say({ type: "LEFT", room: "r", payload: { reason: "removed" } });
  assert.deepEqual(await ended(taken), ["closed", "removed from r (removed)"]);
});

test("a room that is refused says why: `joined`, `left`, its loops and its state", async () => {
  const s = scene();
  const socket = await s.open();
  const room = s.client.room("r");
  const left = room.once("left");
  const next = room.messages().next();
  socket.say({ type: "ERROR", ref: socket.last.id, payload: { code: "forbidden", message: "not for you" } });
  await assert.rejects(room.joined, { code: "forbidden" });
  await assert.rejects(next, { code: "forbidden" });
  assert.equal((await left).error.code, "forbidden");
  assert.equal(room.state, "left");
  await room.leave();
  assert.equal(socket.of("LEAVE").length, 0);
  await assert.rejects(room.once("CHAT"), { code: "forbidden" });
  assert.deepEqual(s.log.errors.map(({ code }) => code), ["forbidden"]);
});

test("LEFT with `unavailable` is no end: the room is joined again", async () => {
  const s = scene();
  const socket = await s.open();
  const room = s.client.room("r");
  socket.joined("r");
  socket.say({ type: "LEFT", room: "r", payload: { reason: "unavailable" } });
  assert.equal(room.state, "joining");
  socket.joined("r");
  assert.equal(room.state, "joined");
});

test("a client that was closed is in its rooms again after the next connect", async () => {
  const s = scene();
  await s.open();
  const room = s.client.room("r");
  s.socket.joined("r", { seq: 3 });
  s.client.close();
  await assert.rejects(room.joined, { code: "closed" });
  const other = s.client.room("q"); // wanted for then
  const socket = await s.open();
  socket.joined("r", { seq: 3, recovered: true });
  socket.joined("q");
  assert.deepEqual([(await room.joined).seq, (await other.joined).seq], [3, 0]);
});

test("presence is live, and asked for once", async () => {
  const s = scene();
  const socket = await s.open();
  const plain = s.client.room("r");
  socket.joined("r");
  assert.deepEqual([plain.presence.size, plain.roster], [0, null]);
  const room = s.client.room("r", { presence: { info: "here" } });
  s.client.room("r", { presence: true });
  const joins = socket.of("JOIN");
  assert.deepEqual([joins.length, joins[1].payload.presence], [2, { watch: true, info: "here" }]);
  socket.joined("r", { presence: { watching: true }, recovered: true });
  const changes = [];
  for (const each of [room, plain]) each.on("presence", (roster) => changes.push(roster.count.users));
  socket.presence("r", { page: true, after: "", joined: [{ user: "bob", proof: "1" }], digest: "0000000000000001" });
  assert.deepEqual([[...room.presence.keys()], [...plain.presence.keys()], changes], [["bob"], ["bob"], [1, 1]]);
  s.client.room("r", { presence: { info: "away" } });
  assert.deepEqual(socket.last.payload, { update: "away" });
  const [{ presence }, { users }] = [await room.joined, room.roster.count];
  assert.deepEqual([presence === room.roster, users], [true, 1]);
});

test("a room of the first connect that is held with presence is joined for it", async () => {
  const s = scene();
  const room = s.client.room("lobby", { presence: true });
  const socket = await s.open({ rooms: ["lobby"] });
  assert.deepEqual(socket.of("JOIN").map(({ payload }) => payload), [{ presence: { watch: true } }]);
  socket.joined("lobby", { presence: { watching: true } });
  assert.equal(room.state, "joined");
});

test("history goes back page by page as it is read, the newest first", async () => {
  const s = scene();
  const socket = await s.open();
  const room = s.client.room("r");
  socket.joined("r", { seq: 5 });
  const page = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => ({ type: "CHAT", seq: from + n, payload: from + n }));
  const answer = async (messages, more) => {
    await settled();
    socket.say({ type: "HISTORY", room: "r", ref: socket.last.id, payload: { messages, more } });
  };
  const found = [];
  const reading = (async () => {
    for await (const { payload } of room.history({ limit: 3 })) found.push(payload);
  })();
  await answer(page(3, 5), true);
  await answer(page(1, 2), false);
  await reading;
  assert.deepEqual(found, [5, 4, 3, 2, 1]);
  assert.deepEqual(socket.of("HISTORY").map(({ payload }) => payload), [{ limit: 3 }, { before: 3, limit: 3 }]);
});

test("what a room sends and has seen goes to it", async () => {
  const s = scene();
  const socket = await s.open();
  const room = s.client.room("r");
  socket.joined("r");
  const sent = room.send("CHAT", { text: "hi" }, { id: "m1" });
  assert.deepEqual([socket.last.room, socket.last.payload, socket.last.id], ["r", { text: "hi" }, "m1"]);
  socket.ack(socket.last, { seq: 1, epoch: "e1" });
  assert.equal((await sent).seq, 1);
  socket.chat("r", 2);
  room.seen();
  assert.deepEqual(socket.last.payload, { epoch: "e1", seq: 2 });
  assert.deepEqual(room.position, { epoch: "e1", seq: 2 });
});

test("the signal of a room leaves it, also if it has fired before", async () => {
  const s = scene();
  const socket = await s.open();
  const stop = new AbortController();
  const room = s.client.room("r", { signal: stop.signal });
  socket.joined("r");
  stop.abort();
  await settled();
  assert.deepEqual([room.state, socket.of("LEAVE").length], ["left", 1]);
  assert.equal(s.client.room("q", { signal: stop.signal }).state, "left");
  assert.equal(socket.of("JOIN").length, 1);
  assert.throws(() => s.client.room("a b"), { code: "invalid_room" });
});
