/** Who has seen what in one room: what is told of it, alone and in a roster. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { SeenPositions } from "../dist/esm/seen_positions.js";
import { scene, settled } from "../support/fakes.js";

const told = (sum, users, epoch = "e1") => ({ epoch, sum, ...(users && { users }) });
const state = (seen) => [Object.fromEntries(seen.users), seen.isComplete];

test("of what is told in any order the greatest seq counts, and the sum says whether that is all", () => {
  const seen = new SeenPositions();
  assert.deepEqual([seen.epoch, ...state(seen)], [null, {}, true]);
  assert.equal(seen.take(told(9, { ann: 9 })), true);
  assert.equal(seen.take(told(9, { ann: 4 })), false);
  assert.deepEqual(state(seen), [{ ann: 9 }, true]);
  assert.equal(seen.take(told(14)), false);
  assert.deepEqual(state(seen), [{ ann: 9 }, false]);
  assert.equal(seen.take(told(14, { bob: 5 })), true);
  assert.deepEqual(state(seen), [{ ann: 9, bob: 5 }, true]);
});

test("another epoch voids what was known, in a diff and in a page", () => {
  const seen = new SeenPositions();
  seen.take(told(9, { ann: 9 }));
  assert.equal(seen.take(told(2, { bob: 2 }, "e2")), true);
  assert.deepEqual([seen.epoch, ...state(seen)], ["e2", { bob: 2 }, true]);
  assert.equal(seen.take(told(0, undefined, "e3")), true, "that nobody has seen anything is news");
  assert.equal(seen.replace(told(4, { ann: 4 }, "e4"), [told(2, { bob: 2 }, "e3")]), true);
  assert.deepEqual([seen.epoch, ...state(seen)], ["e4", { ann: 4 }, true]);
  assert.equal(seen.replace(told(4, { ann: 4 }, "e5"), []), true, "the same seqs of another epoch are news");
});

test("whom a page does not name was forgotten, unless it was named since the page was asked for", () => {
  const seen = new SeenPositions();
  seen.take(told(15, { ann: 10, bob: 5 }));
  const later = [told(18, { eve: 3 }), told(20, { ann: 12 })];
  for (const diff of later) seen.take(diff);
  assert.equal(seen.replace(told(15, { ann: 10, joe: 5 }), later), true);
  assert.deepEqual(state(seen), [{ ann: 12, joe: 5, eve: 3 }, true]);
});

test("a page that is newer than what was told since it was asked for says what is all", () => {
  const seen = new SeenPositions();
  const later = [told(3, { eve: 3 })];
  seen.take(later[0]);
  seen.replace(told(8, { eve: 8 }), later);
  assert.deepEqual(state(seen), [{ eve: 8 }, true]);
  assert.equal(seen.replace(told(8, { eve: 8 }), []), false);
});

test("users may be called anything", () => {
  const seen = new SeenPositions();
  const users = JSON.parse('{"__proto__": 4, "constructor": 2}');
  seen.replace(told(6, users), []);
  assert.deepEqual([[...seen.users], seen.isComplete], [[["__proto__", 4], ["constructor", 2]], true]);
});

// ── in a roster ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const digest = (proof) => proof.toString(16).padStart(16, "0");
const ann = { user: "ann", proof: digest(1) };
const page = (more) => ({ page: true, after: "", more: false, joined: [ann], digest: digest(1), ...more });

/** A client ("ann") in the room "r", whose members it knows. */
async function inRoom(seen) {
  const s = scene();
  const socket = await s.open();
  const joined = s.client.join("r", { presence: true });
  socket.joined("r", { presence: { watching: true } });
  const { presence: roster } = await joined;
  const news = [];
  roster.on("seen", (it) => news.push(Object.fromEntries(it.seen)));
  socket.presence("r", page({ seen }));
  return { s, socket, roster, news, clock: s.clock };
}

test("a roster tells who has seen a message, without our own user", async () => {
  const { socket, roster, news } = await inRoom(told(14, { ann: 9, bob: 5 }));
  assert.deepEqual([roster.seenBy(5), roster.seenBy(6)], [["bob"], []]);
  socket.presence("r", { digest: digest(1), seen: told(22, { bob: 6, eve: 7 }) });
  assert.deepEqual(roster.seenBy(6).sort(), ["bob", "eve"]);
  assert.deepEqual(roster.seenBy({ epoch: "e1", seq: 7 }), ["eve"]);
  assert.deepEqual(roster.seenBy({ epoch: "e0", seq: 1 }), [], "what was seen in another epoch is not known");
  assert.deepEqual(roster.seenBy({}), [], "a message without a number is never seen");
  assert.deepEqual(news, [{ ann: 9, bob: 5 }, { ann: 9, bob: 6, eve: 7 }]);
});

test("a frame without news of that is no event", async () => {
  const { socket, news } = await inRoom(told(9, { ann: 9 }));
  for (const seen of [told(9), told(9, { ann: 9 }), told(9, { ann: 8 })]) socket.presence("r", { digest: digest(1), seen });
  assert.equal(news.length, 1);
});

test("who lacks what others have seen reads at a random time, and no more of the members than one", async () => {
  const { socket, roster, clock, news } = await inRoom(told(9, { ann: 9 }));
  socket.presence("r", { digest: digest(1), seen: told(14) });
  assert.equal(roster.isComplete, true, "the members are all there");
  await clock.pass(127); // half of 250 + 5 for each user
  assert.equal(socket.of("PRESENCE").length, 0);
  await clock.pass(1);
  const [asked] = socket.of("PRESENCE");
  assert.deepEqual(asked.payload, { limit: 1, after: "" });
  socket.presence("r", page({ more: true, seen: told(14, { ann: 9, bob: 5 }) }), asked.id);
  await clock.pass(20_000);
  assert.equal(socket.of("PRESENCE").length, 1);
  assert.deepEqual(news.at(-1), { ann: 9, bob: 5 });
  assert.deepEqual([...roster.members.keys()], ["ann"]);
});

test("one read heals both, what is seen with its first page", async () => {
  const { socket, roster, clock } = await inRoom(told(9, { ann: 9 }));
  socket.presence("r", { version: 5, digest: digest(3), seen: told(14) });
  await clock.pass(1_000);
  const [first] = socket.of("PRESENCE");
  assert.deepEqual(first.payload, { limit: 500, after: "" });
  socket.presence("r", page({ version: 5, more: true, digest: digest(3), seen: told(14, { ann: 9, bob: 5 }) }), first.id);
  assert.deepEqual(roster.seenBy(1), ["bob"]);
  await settled();
  const second = socket.of("PRESENCE")[1];
  const rest = { version: 5, after: "ann", digest: digest(3), joined: [{ user: "bob", proof: digest(2) }] };
  socket.presence("r", page(rest), second.id);
  assert.deepEqual([roster.seenBy(1), roster.isComplete], [["bob"], true]);
  await clock.pass(20_000);
  assert.equal(socket.of("PRESENCE").length, 2);
});

test("members that change while only what is seen is read are read, too", async () => {
  const { socket, roster, clock } = await inRoom(told(9, { ann: 9 }));
  socket.presence("r", { version: 5, digest: digest(1), seen: told(14) });
  await clock.pass(1_000);
  const [first] = socket.of("PRESENCE");
  socket.presence("r", { version: 6, digest: digest(3), seen: told(14) }); // bob has come, and the diff that named him was lost
  const seen = told(14, { ann: 9, bob: 5 });
  socket.presence("r", page({ version: 6, more: true, digest: digest(3), seen }), first.id);
  await settled();
  const second = socket.of("PRESENCE")[1];
  assert.deepEqual(second.payload, { limit: 500, after: "ann" });
  socket.presence("r", page({ version: 6, after: "ann", digest: digest(3), joined: [{ user: "bob", proof: digest(2) }] }), second.id);
  assert.deepEqual([[...roster.members.keys()], roster.seenBy(5), roster.isComplete], [["ann", "bob"], ["bob"], true]);
});

test("a room that does not tell what is seen is not read for it, and says so", async () => {
  const { socket, roster, clock, news } = await inRoom(told(9, { ann: 9 }));
  assert.equal(roster.tellsSeen, true);
  socket.presence("r", { digest: digest(1), seen: told(14) });
  socket.presence("r", { digest: digest(1) }); // another gateway, with other namespaces
  assert.deepEqual([roster.tellsSeen, roster.seen.size, news.at(-1)], [false, 0, {}]);
  await clock.pass(20_000);
  assert.equal(socket.of("PRESENCE").length, 0);
});

test("a room that tells numbers only tells nothing of what is seen", async () => {
  const { socket, roster } = await inRoom(told(9, { ann: 9 }));
  socket.presence("r", { version: 5, digest: digest(77), counts_only: true, count: { users: 6_000, connections: 6_000 } });
  assert.deepEqual([roster.tellsSeen, roster.seen.size], [false, 0]);
});

test("what is seen stays over a reconnect", async () => {
  const { s, roster, news } = await inRoom(told(9, { ann: 9 }));
  const next = await s.again();
  assert.deepEqual([...roster.seen], [["ann", 9]]);
  next.joined("r", { presence: { watching: true } });
  next.presence("r", { digest: digest(1), seen: told(9) });
  assert.equal(news.length, 1);
});
