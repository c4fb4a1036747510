/** The core without parts, parts of one's own, other transports, and who watches whom. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { WarrenClient } from "../dist/esm/core.js";
import { FakeClock, FakeSocket, scene, settled } from "../support/fakes.js";

async function bare(options = {}) {
  FakeSocket.all = [];
  const clock = new FakeClock();
  const client = new WarrenClient("ws://warren.test/ws", { WebSocket: FakeSocket, random: () => 0.5, ...clock.options(), ...options });
  client.connect();
  await settled();
  const socket = FakeSocket.all[0];
  socket.welcome();
  return { client, socket, clock };
}

test("the core joins, sends and hears, and says which part is missing", async () => {
  const { client, socket } = await bare();
  client.on("error", () => {});
  const joined = client.join("r");
  socket.joined("r");
  assert.equal((await joined).presence, null);
  const sent = client.send("CHAT", "r", "x");
  socket.ack(socket.last, { seq: 1, epoch: "e1" });
  assert.equal((await sent).seq, 1);
  const chat = client.once("CHAT");
  socket.chat("r", 2);
  assert.equal((await chat).payload, "m2");
  const lacks = (part) => ({ name: "TypeError", message: new RegExp(`lacks ${part}: import it from "warren-client/${part}"`) });
  assert.throws(() => client.request("a"), lacks("rpc"));
  assert.throws(() => client.stream("a"), lacks("rpc"));
  assert.throws(() => client.room("r"), lacks("room"));
  assert.throws(() => client.contacts, lacks("presence"));
  assert.throws(() => client.join("q", { presence: true }), lacks("presence"));
  assert.throws(() => client.send("CHAT", "r", "x", { receipt: "seen" }), lacks("receipts"));
  assert.throws(() => client.seen("r"), lacks("receipts"));
  assert.throws(() => client.snapshot(), lacks("snapshot"));
  assert.deepEqual([client.rooms, client.counters.waiting], [["r"], 0]);
});

test("without the part diagnosis, the core says in short that nothing opens, once", async () => {
  FakeSocket.all = [];
  const clock = new FakeClock();
  const client = new WarrenClient("ws://warren.test/ws", { WebSocket: FakeSocket, random: () => 0.5, ...clock.options() });
  const errors = [];
  client.on("error", ({ code, message }) => errors.push([code, message]));
  client.connect();
  for (let n = 0; n < 6; n++) {
    await settled();
    FakeSocket.all.at(-1).drop();
    await clock.pass(30_000);
  }
  const [said, ...more] = errors.filter(([code]) => code === "never_opened");
  assert.match(said[1], /in 3 attempts; does WARREN_GATEWAY_ORIGINS allow this page\?/);
  assert.deepEqual(more, []);
});

test("a part is told what happens, and may use the client", async () => {
  const told = [];
  const part = (host) => ({
    name: "mine",
    opened: () => told.push(["opened", host.state]),
    joined: ({ room }) => told.push(["joined", room]),
    hand: ({ type }) => told.push(["hand", type]),
    changed: () => told.at(-1)?.[0] !== "changed" && told.push(["changed"]),
    down: (why, isOwn) => told.push(["down", why?.code, isOwn]),
  });
  const { client, socket } = await bare({ parts: [part] });
  client.join("r");
  socket.joined("r");
  socket.chat("r", 1);
  client.close();
  const met = told.filter(([what]) => what !== "changed");
  assert.deepEqual(met, [["opened", "open"], ["joined", "r"], ["hand", "CHAT"], ["down", "closed", true]]);
  assert.ok(told.length > met.length);
});

test("another transport gets what it needs to dial, and how often that has failed", async () => {
  const dials = [];
  const transport = (dial) => {
    dials.push(dial);
    return new FakeSocket(dial.url, dial.protocols);
  };
  const s = scene({ transport, WebSocket: undefined, token: "t", connectTimeoutMs: 1e9 });
  s.client.connect();
  await settled();
  for (let n = 0; n < 2; n++) {
    s.socket.drop();
    await s.clock.pass(30_000);
  }
  s.socket.welcome({ grant: "g" });
  const [first, , third] = dials;
  assert.deepEqual([first.token, first.manual, first.unopened, first.protocols], ["t", false, 0, ["warren.v1", "bearer.t"]]);
  assert.deepEqual([third.unopened, s.client.state], [2, "open"]);
  s.socket.drop();
  await s.clock.pass(30_000);
  assert.deepEqual([dials[3].unopened, dials[3].grant, dials[3].manual], [0, "g", true]);
});

test("those who watch contacts do not disturb each other", async () => {
  const s = scene();
  const socket = await s.open();
  const stop = new AbortController();
  const one = s.client.contacts.watch(["bob", "eve"]);
  const two = s.client.contacts.watch(["bob"], { signal: stop.signal });
  assert.deepEqual(socket.of("PRESENCE").map(({ payload }) => payload), [{ watch: ["bob", "eve"] }]);
  const heard = [];
  one.on("online", (user) => heard.push(["one", user]));
  two.on("online", (user) => heard.push(["two", user]));
  for (const user of ["bob", "eve"]) socket.presence(`@${user}`, { count: { users: 1, connections: 1 } });
  assert.deepEqual(heard, [["one", "bob"], ["two", "bob"], ["one", "eve"]]);
  assert.deepEqual(s.client.contacts.watch(["eve"]).online, ["eve"]); // what is known is known at once
  assert.equal(socket.of("PRESENCE").length, 1);
  one.close();
  assert.equal(socket.of("PRESENCE").length, 1); // the others watch both still
  stop.abort();
  assert.deepEqual([socket.last.payload, two.users], [{ unwatch: ["bob"] }, []]);
  const next = await s.again();
  assert.deepEqual(next.of("PRESENCE").map(({ payload }) => payload), [{ watch: ["eve"] }]);
});

test("a hundred users can be watched in all", async () => {
  const s = scene();
  const socket = await s.open();
  const names = (from, count) => Array.from({ length: count }, (_, n) => `u${from + n}`);
  const one = s.client.contacts.watch(names(0, 60));
  assert.throws(() => s.client.contacts.watch(names(40, 61)), { name: "RangeError", message: /at most 100/ });
  assert.equal(socket.of("PRESENCE").length, 1);
  const two = s.client.contacts.watch(names(20, 80));
  one.close();
  assert.deepEqual([one.users.length, two.users.length, socket.last.payload.unwatch.length], [0, 80, 20]);
});
