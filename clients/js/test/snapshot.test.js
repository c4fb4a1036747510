/** Where one client has ended another one goes on: nothing is lost, and nothing comes twice. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { scene, settled } from "../support/fakes.js";

/** A snapshot as it comes back from a storage. */
const kept = (client) => JSON.parse(JSON.stringify(client.snapshot()));

test("rooms go on from their positions, with grants and the user's name", async () => {
  const s = scene();
  const socket = await s.open({ user: "guest-7", grant: "g.mac", rooms: ["@guest-7"] });
  s.client.join("r");
  socket.joined("r", { seq: 3, grant: "room.mac" });
  socket.chat("r", 4);
  const next = scene();
  next.client.restore(kept(s.client));
  const again = await next.open({ user: "guest-7" });
  assert.deepEqual([again.protocols, again.url.search], [["warren.v1", "grant.g.mac"], "?user=guest-7&join=manual"]);
  const joins = Object.fromEntries(again.of("JOIN").map(({ room, payload }) => [room, payload]));
  assert.deepEqual(joins, { "@guest-7": undefined, r: { since: { epoch: "e1", seq: 4 }, grant: "room.mac" } });
  again.joined("r", { seq: 4, recovered: true, missed: 1 });
  again.chat("r", 4);
  again.chat("r", 5);
  assert.deepEqual(next.log.chats, ["m5"]);
});

test("messages without an answer are sent again, in order and under their ids; send() with the id has the promise", async () => {
  const s = scene();
  const socket = await s.open();
  s.client.join("r");
  socket.joined("r");
  s.client.send("CHAT", "r", "a", { id: "a" });
  s.client.send("CHAT", "r", new Uint8Array([1, 2]), { id: "b", receipt: "seen", includeSender: true });
  s.client.send("CHAT", "r", "c", { id: "c" });
  socket.ack(socket.of("CHAT")[0], { seq: 1, epoch: "e1" });
  const next = scene();
  next.client.restore(kept(s.client));
  const promise = next.client.send("CHAT", "r", "c", { id: "c" });
  const again = await next.open();
  const sent = again.of("CHAT");
  assert.deepEqual(sent.map(({ id }) => id), ["b", "c"]);
  assert.deepEqual([sent[0].encoding, sent[0].include_sender, sent[0].receipt], ["base64", true, undefined]);
  again.ack(sent[1], { seq: 3, epoch: "e1" });
  assert.equal((await promise).seq, 3);
});

test("one that is refused is told by the event error, as nobody has its promise", async () => {
  const s = scene();
  s.client.send("CHAT", "r", "a", { id: "a" }).catch(() => {});
  const next = scene();
  next.client.restore(kept(s.client));
  const socket = await next.open();
  socket.say({ type: "ERROR", ref: "a", payload: { code: "forbidden", message: "no" } });
  assert.deepEqual(next.log.errors.map(({ code, ref }) => [code, ref]), [["forbidden", "a"]]);
});

test("own messages that a replay brings are known as own", async () => {
  const s = scene();
  const socket = await s.open();
  s.client.join("r");
  socket.joined("r");
  s.client.send("CHAT", "r", "x", { id: "m1" });
  socket.ack(socket.last, { seq: 2, epoch: "e1" }); // seq 1 has not come yet
  const next = scene();
  next.client.restore(kept(s.client));
  const again = await next.open();
  again.joined("r", { seq: 0, recovered: true, missed: 2 });
  again.chat("r", 1);
  again.chat("r", 2, { sender: "ann", id: "m1" });
  assert.deepEqual(next.log.chats, ["m1"]);
});

test("a room that was only held is joined when it is held again, from its position", async () => {
  const s = scene();
  const socket = await s.open();
  s.client.room("r");
  socket.joined("r", { seq: 3 });
  const snapshot = kept(s.client);
  const next = scene();
  next.client.restore(snapshot);
  assert.deepEqual(next.client.snapshot().rooms, snapshot.rooms); // it is not forgotten
  const again = await next.open();
  assert.equal(again.of("JOIN").length, 0);
  next.client.room("r");
  await settled();
  assert.deepEqual(again.last.payload, { since: { epoch: "e1", seq: 3 } });
});

test("it is taken before the first connect only, and of its own version only", async () => {
  const s = scene();
  const snapshot = kept(s.client);
  assert.throws(() => s.client.restore({ ...snapshot, version: 2 }), /no snapshot of version 1/);
  assert.throws(() => s.client.restore(null), TypeError);
  await s.open();
  assert.throws(() => s.client.restore(snapshot), /only before the first connect/);
});
