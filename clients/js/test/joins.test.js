/** JOINs that the server can't accept at the moment. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { scene } from "../support/fakes.js";

for (const code of ["unavailable", "rate_limited", "overloaded"]) {
  test(`a JOIN with a retryable refusal (${code}) is sent again after the server's delay plus a random one`, async () => {
    for (const [random, extra] of [[0, 0], [0.5, 500], [0.999, 999]]) {
      const s = scene({ random: () => random });
      const socket = await s.open();
      const joined = s.client.join("r");
      const payload = { code, message: "", retry: true, retry_after_ms: 700 };
      socket.say({ type: "ERROR", ref: socket.last.id, payload });
      assert.deepEqual(s.client.rooms, ["r"]);
      await s.clock.pass(699 + extra);
      assert.equal(socket.of("JOIN").length, 1);
      await s.clock.pass(1);
      assert.equal(socket.of("JOIN").length, 2);
      socket.joined("r");
      await joined;
    }
  });
}

test("the random part of the delay grows with each refusal of a JOIN, up to the cap of the back-off", async () => {
  const s = scene({ random: () => 0.999999, backoffCapMs: 3_000 });
  const socket = await s.open();
  const joined = s.client.join("r");
  const waits = [];
  for (let n = 0; n < 5; n++) {
    socket.say({ type: "ERROR", ref: socket.last.id, payload: { code: "overloaded", message: "", retry: true } });
    const [asked, began] = [socket.of("JOIN").length, s.clock.time];
    while (socket.of("JOIN").length === asked) await s.clock.pass(1);
    waits.push(s.clock.time - began);
  }
  assert.deepEqual(waits, [1_000, 2_000, 3_000, 3_000, 3_000]);
  socket.joined("r");
  await joined;
});

test("several refused JOINs are each sent again at their own time", async () => {
  const s = scene({ random: () => 0 });
  const socket = await s.open();
  for (const [room, ms] of [["a", 300], ["b", 700], ["c", 500]]) {
    s.client.join(room);
    const payload = { code: "rate_limited", message: "", retry: true, retry_after_ms: ms };
    socket.say({ type: "ERROR", ref: socket.last.id, payload });
  }
  const again = () => socket.of("JOIN").slice(3).map(({ room }) => room);
  await s.clock.pass(300);
  assert.deepEqual(again(), ["a"]);
  await s.clock.pass(200);
  assert.deepEqual(again(), ["a", "c"]);
  await s.clock.pass(200);
  assert.deepEqual(again(), ["a", "c", "b"]);
});

const shown = (socket) => socket.of("JOIN").at(-1).payload;

test("a grant is shown at each later JOIN of its room, beside the position, until a newer one comes", async () => {
  const s = scene();
  const socket = await s.open();
  s.client.join("r");
  assert.equal(shown(socket), undefined);
  socket.joined("r", { seq: 5, grant: "first" });
  s.client.join("other");
  assert.equal(shown(socket), undefined);
  const next = await s.again();
  assert.deepEqual(next.of("JOIN").map(({ room, payload }) => [room, payload]), [
    ["r", { since: { epoch: "e1", seq: 5 }, grant: "first" }],
    ["other", undefined],
  ]);
  next.joined("r", { seq: 5, recovered: true }); // allowed by the grant, so there is no new one
  next.chat("r", 8); // 6 and 7 are missing
  await s.clock.pass(5_000);
  assert.deepEqual(shown(next), { since: { epoch: "e1", seq: 5 }, grant: "first" });
  next.joined("r", { seq: 8, grant: "second" });
  const last = await s.again();
  assert.deepEqual(last.of("JOIN")[0].payload, { since: { epoch: "e1", seq: 8 }, grant: "second" });
});

test("a grant stays where the JOIN that shows it can't be decided at the moment", async () => {
  const s = scene({ random: () => 0 });
  await s.open();
  s.client.join("r");
  s.socket.joined("r", { seq: 1, grant: "g" });
  const next = await s.again();
  const payload = { code: "unavailable", message: "", retry: true, retry_after_ms: 700 };
  next.say({ type: "ERROR", ref: next.last.id, payload });
  await s.clock.pass(700);
  assert.equal(next.of("JOIN").length, 2);
  assert.deepEqual(shown(next), { since: { epoch: "e1", seq: 1 }, grant: "g" });
});

test("who has left a room shows no grant of before", async () => {
  const s = scene();
  const socket = await s.open();
  s.client.join("r");
  socket.joined("r", { grant: "g" });
  s.client.leave("r");
  s.client.join("r");
  assert.equal(shown(socket), undefined);
});
