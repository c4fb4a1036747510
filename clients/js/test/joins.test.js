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
