/** Rosters of rooms and contacts, over a client with a fake server. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { scene, settled } from "../support/fakes.js";

const member = (user, proof, more = {}) => ({ user, proof: proof.toString(16).padStart(16, "0"), ...more });
const digest = (...proofs) => proofs.reduce((sum, proof) => (sum + BigInt(proof)) % 2n ** 64n, 0n).toString(16).padStart(16, "0");
const BIG = 2n ** 64n - 5n; // sums of proofs wrap around
const page = (members, more = {}) => ({ page: true, after: "", more: false, joined: members, ...more });
const [ann, bob, eve] = [member("ann", 1), member("bob", 2, { info: { status: "away" } }), member("eve", BIG)];

/** A client that is in the room "r" and has its first page. */
async function inRoom(options, presence = true) {
  const s = scene(options);
  const socket = await s.open();
  const joined = s.client.join("r", { presence });
  socket.joined("r", { presence: { watching: true } });
  const { presence: roster } = await joined;
  const log = [];
  for (const event of ["join", "leave", "update"]) roster.on(event, ({ user }) => log.push(`${event} ${user}`));
  const changes = [];
  roster.on("change", () => changes.push(roster.members.size));
  return { ...s, s, socket, roster, log, changes };
}

const names = (roster) => [...roster].map(({ user }) => user);

test("a JOIN with presence watches the room, and the first page fills its roster", async () => {
  const { socket, roster, client, log, changes } = await inRoom({}, { info: { status: "here" } });
  assert.deepEqual(socket.of("JOIN")[0].payload, { presence: { watch: true, info: { status: "here" } } });
  assert.equal(client.presence("r"), roster);
  assert.equal(roster.watching, true);
  assert.equal(roster.isComplete, false);
  socket.presence("r", page([ann, bob], { count: { users: 2, connections: 3 }, digest: digest(1, 2) }));
  assert.deepEqual([...roster], [{ user: "ann" }, { user: "bob", info: { status: "away" } }]);
  assert.deepEqual(roster.count, { users: 2, connections: 3 });
  assert.equal(roster.isComplete, true);
  assert.deepEqual(log, ["join ann", "join bob"]);
  assert.deepEqual(changes, [2]);
});

test("without presence a JOIN says nothing of it", async () => {
  const s = scene();
  const socket = await s.open();
  const joined = s.client.join("r");
  socket.joined("r");
  assert.equal((await joined).presence, null);
  assert.equal(socket.of("JOIN")[0].payload, undefined);
  socket.presence("r", { joined: [ann] });
  assert.equal(s.client.presence("r"), null);
});

test("diffs are applied, and a client that agrees stays silent", async () => {
  const { socket, roster, log, clock } = await inRoom();
  socket.presence("r", page([ann], { digest: digest(1) }));
  socket.presence("r", { version: 2, joined: [bob, eve], digest: digest(1, 2, BIG), count: { users: 3, connections: 3 } });
  socket.presence("r", { version: 3, left: ["ann"], updated: [member("bob", 9)], digest: digest(9, BIG) });
  socket.presence("r", { version: 3, digest: digest(9, BIG) });
  socket.presence("r", { version: 3, joined: [eve], digest: digest(9, BIG) });
  assert.deepEqual(names(roster), ["bob", "eve"]);
  assert.deepEqual(log, ["join ann", "join bob", "join eve", "leave ann", "update bob"]);
  await clock.pass(20_000);
  assert.equal(socket.of("PRESENCE").length, 0);
});

test("a client that differs reads the room after a random delay, page by page", async () => {
  const { socket, roster, log, clock } = await inRoom();
  socket.presence("r", page([ann], { digest: digest(1), count: { users: 1, connections: 1 } }));
  socket.presence("r", { version: 5, digest: digest(2, BIG), count: { users: 2, connections: 2 } });
  assert.equal(socket.of("PRESENCE").length, 0);
  await clock.pass(129); // half of 250 + 5 for each user
  assert.equal(socket.of("PRESENCE").length, 0);
  await clock.pass(1);
  const first = socket.of("PRESENCE")[0];
  assert.deepEqual([first.room, first.payload], ["r", { limit: 500, after: "" }]);
  const now = { version: 5, digest: digest(2, BIG), count: { users: 2, connections: 2 } };
  socket.presence("r", page([bob], { ...now, more: true }), first.id);
  await settled();
  const second = socket.of("PRESENCE")[1];
  assert.deepEqual(second.payload, { limit: 500, after: "bob" });
  assert.deepEqual(names(roster), ["ann"], "nothing changes before all of it is read");
  socket.presence("r", page([eve], { ...now, after: "bob" }), second.id);
  assert.deepEqual(names(roster), ["bob", "eve"]);
  assert.deepEqual(log, ["join ann", "leave ann", "join bob", "join eve"]);
  await clock.pass(20_000);
  assert.equal(socket.of("PRESENCE").length, 2);
});

test("a later diff that makes it agree again saves the read", async () => {
  const { socket, clock } = await inRoom();
  socket.presence("r", page([ann], { digest: digest(1) }));
  socket.presence("r", { version: 5, digest: digest(2) });
  socket.presence("r", { version: 6, left: ["ann"], digest: digest() });
  await clock.pass(20_000);
  assert.equal(socket.of("PRESENCE").length, 0);
});

test("what changes while a room is read counts where it is newer than its page", async () => {
  const { socket, roster, clock } = await inRoom();
  socket.presence("r", page([ann], { digest: digest(1) }));
  socket.presence("r", { version: 5, digest: digest(1, 2) });
  await clock.pass(1_000);
  const [asked] = socket.of("PRESENCE");
  socket.presence("r", { version: 4, left: ["ann"], digest: digest() });
  socket.presence("r", { version: 6, left: ["bob"], joined: [eve], digest: digest(1, BIG) });
  socket.presence("r", page([ann, bob], { version: 5, digest: digest(1, 2) }), asked.id);
  assert.deepEqual(names(roster).sort(), ["ann", "eve"]);
  assert.equal(roster.isComplete, true);
});

test("reads that do not help become rarer", async () => {
  const { socket, clock } = await inRoom();
  socket.presence("r", page([ann], { digest: digest(1) }));
  socket.presence("r", { version: 5, digest: digest(7) });
  const times = [];
  for (let n = 0; n < 8; n++) {
    const [before, began] = [socket.of("PRESENCE").length, clock.time];
    while (socket.of("PRESENCE").length === before) await clock.pass(5);
    times.push(clock.time - began);
    socket.presence("r", page([ann], { version: 5, digest: digest(7) }), socket.last.id);
  }
  assert.ok(times.every((time, n) => n === 0 || time >= times[n - 1]), String(times));
  assert.ok(times.at(-1) > 3_000, String(times));
});

test("a read that is refused is repeated only if the server says so", async () => {
  for (const retry of [true, false]) {
    const { socket, clock, log, s } = await inRoom();
    socket.presence("r", { version: 5, digest: digest(7) });
    await clock.pass(1_000);
    socket.say({ type: "ERROR", ref: socket.last.id, payload: { code: "overloaded", message: "", retry } });
    await clock.pass(20_000);
    assert.equal(new Set(socket.of("PRESENCE").map(({ id }) => id)).size, retry ? 2 : 1);
    assert.deepEqual([log, s.log.errors.length], [[], 1]);
  }
});

test("a reconnect does not flicker: who is there stays until the server says otherwise", async () => {
  const { s, socket, roster, log, changes } = await inRoom();
  socket.presence("r", page([ann, bob], { digest: digest(1, 2), count: { users: 2, connections: 2 } }));
  log.length = changes.length = 0;
  const next = await s.again();
  const joins = next.of("JOIN").filter(({ room }) => room === "r");
  assert.deepEqual(joins[0].payload.presence, { watch: true, digest: digest(1, 2) });
  next.joined("r", { presence: { watching: true } });
  next.presence("r", { version: 9, digest: digest(1, 2), count: { users: 2, connections: 2 } });
  assert.deepEqual([names(roster), log, changes], [["ann", "bob"], [], []]);
  const last = await s.again();
  last.joined("r", { presence: { watching: true } });
  last.presence("r", page([ann, eve], { version: 12, digest: digest(1, BIG), count: { users: 2, connections: 2 } }));
  assert.deepEqual(log, ["leave bob", "join eve"]);
});

test("a read of a connection that is gone is not awaited on the next one", async () => {
  const { s, socket, roster, clock } = await inRoom();
  socket.presence("r", { version: 5, digest: digest(1) });
  await clock.pass(1_000);
  assert.equal(socket.of("PRESENCE").length, 1);
  const next = await s.again();
  next.joined("r", { presence: { watching: true } });
  assert.equal(next.of("PRESENCE").length, 0);
  next.presence("r", page([ann], { version: 5, digest: digest(1) }));
  assert.equal(roster.isComplete, true);
});

test("a room with too many members tells numbers only, and names again when there are fewer", async () => {
  const { socket, roster, log, clock } = await inRoom();
  socket.presence("r", page([ann], { digest: digest(1) }));
  socket.presence("r", { version: 5, digest: digest(77), count: { users: 6_000, connections: 6_100 }, counts_only: true });
  assert.deepEqual([roster.countsOnly, roster.members.size, roster.count.users], [true, 0, 6_000]);
  await clock.pass(5_000);
  assert.equal(socket.of("PRESENCE").length, 0);
  socket.presence("r", { version: 6, digest: digest(1), count: { users: 1, connections: 1 } });
  await clock.pass(5_000);
  socket.presence("r", page([ann], { version: 6, digest: digest(1) }), socket.of("PRESENCE")[0].id);
  assert.deepEqual([roster.countsOnly, names(roster)], [false, ["ann"]]);
  assert.deepEqual(log, ["join ann", "join ann"]);
});

test("connections are members of their own where the room tells of them", async () => {
  const { socket, roster } = await inRoom();
  const tabs = [member("ann", 1, { connection: "g1~1" }), member("ann", 2, { connection: "g1~2" })];
  socket.presence("r", page(tabs, { digest: digest(1, 2), count: { users: 1, connections: 2 } }));
  assert.deepEqual([...roster.members.keys()], ["g1~1", "g1~2"]);
  socket.presence("r", { version: 5, left: ["g1~1"], digest: digest(2) });
  assert.deepEqual([...roster], [{ user: "ann", connection: "g1~2" }]);
});

test("a room that does not tell says so", async () => {
  const s = scene();
  const socket = await s.open();
  const joined = s.client.join("r", { presence: true });
  socket.joined("r", { presence: { watching: false } });
  const { presence } = await joined;
  assert.deepEqual([presence.watching, presence.members.size], [false, 0]);
  socket.joined("r", { presence: { watching: true } });
  socket.say({ type: "PRESENCE", room: "r", payload: { watching: false } });
  assert.equal(presence.watching, false);
});

test("an update is sent, and said again at the next JOIN", async () => {
  const { s, socket, roster } = await inRoom();
  const updated = roster.update({ status: "away" });
  const [frame] = socket.of("PRESENCE");
  assert.deepEqual([frame.room, frame.payload], ["r", { update: { status: "away" } }]);
  socket.say({ type: "PRESENCE", room: "r", ref: frame.id, payload: {} });
  await updated;
  const next = await s.again();
  assert.deepEqual(next.of("JOIN").at(-1).payload.presence.info, { status: "away" });
});

test("a refused update tells its caller", async () => {
  const { socket, roster } = await inRoom();
  const updated = roster.update(1);
  socket.say({ type: "ERROR", ref: socket.last.id, payload: { code: "forbidden", message: "no", retry: false } });
  await assert.rejects(updated, { code: "forbidden" });
});

test("leaving a room ends its roster", async () => {
  const { client, socket, clock } = await inRoom();
  socket.presence("r", { version: 5, digest: digest(7) });
  client.leave("r");
  assert.equal(client.presence("r"), null);
  await clock.pass(20_000);
  assert.equal(socket.of("PRESENCE").length, 0);
});

test("contacts say who is connected, and are watched again on the next connection", async () => {
  const s = scene();
  const contacts = s.client.contacts(["ann", "bob"]);
  const log = [];
  for (const event of ["online", "offline"]) contacts.on(event, (user) => log.push(`${event} ${user}`));
  const socket = await s.open();
  assert.deepEqual(socket.of("PRESENCE")[0].payload, { watch: ["ann", "bob"] });
  socket.say({ type: "PRESENCE", ref: socket.of("PRESENCE")[0].id, payload: { watching: true } });
  assert.equal(contacts.isOnline("ann"), null);
  socket.presence("@ann", page([ann], { digest: digest(1) }));
  socket.presence("@bob", page([], { count: { users: 0, connections: 0 } }));
  socket.presence("@eve", page([eve], {}));
  assert.deepEqual([contacts.online, contacts.isOnline("bob"), contacts.isOnline("eve")], [["ann"], false, null]);
  socket.presence("@ann", { version: 9, count: { users: 0, connections: 0 } });
  const next = await s.again();
  assert.deepEqual(next.of("PRESENCE")[0].payload, { watch: ["ann", "bob"] });
  next.presence("@ann", page([], { count: { users: 0, connections: 0 } }));
  next.presence("@bob", page([bob], {}));
  assert.deepEqual(log, ["online ann", "offline bob", "offline ann", "online bob"]);
});

test("other contacts take the place of those before", async () => {
  const s = scene();
  const socket = await s.open();
  const contacts = s.client.contacts(["ann", "bob"]);
  assert.equal(s.client.contacts(["bob", "eve"]), contacts);
  assert.deepEqual(socket.of("PRESENCE").at(-1).payload, { watch: ["eve"], unwatch: ["ann"] });
  s.client.contacts(["bob", "eve"]);
  assert.equal(socket.of("PRESENCE").length, 2);
  assert.deepEqual(contacts.users, ["bob", "eve"]);
  socket.presence("@bob", page([bob], {}));
  socket.say({ type: "PRESENCE", room: "@bob", payload: { watching: false } });
  assert.equal(contacts.isOnline("bob"), null);
  assert.throws(() => s.client.contacts(Array.from({ length: 101 }, (_, n) => `u${n}`)), RangeError);
});
