/** Answers that come in parts, as a loop. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { scene, settled } from "../support/fakes.js";

async function opened() {
  const s = scene();
  const socket = await s.open();
  const part = (payload, n, more = true) => socket.say({ type: "RESPONSE", ref: socket.of("REQUEST").at(-1).id, payload, n, more });
  return { ...s, socket, part };
}

async function all(loop) {
  const found = [];
  for await (const part of loop) found.push(part);
  return found;
}

test("a loop gets each part once and in order, and ends with the last", async () => {
  const { client, socket, part } = await opened();
  const loop = client.stream("ai.answer", "why?", { timeoutMs: 2_000 });
  assert.deepEqual([socket.last.service, socket.last.payload, socket.last.timeout_ms], ["ai.answer", "why?", 2_000]);
  const found = all(loop);
  part("be", 1);
  part("be", 1);
  part("cause", 2);
  part(".", 3, false);
  assert.deepEqual(await found, ["be", "cause", "."]);
});

test("an answer in one piece is one part", async () => {
  const { client, part } = await opened();
  const found = all(client.stream("ai.answer"));
  part("42", undefined, false);
  assert.deepEqual(await found, ["42"]);
});

test("leaving the loop cancels the request, once, and the rest is ignored", async () => {
  const { client, socket, part } = await opened();
  const loop = client.stream("ai.answer");
  part("a", 1);
  for await (const each of loop) {
    assert.equal(each, "a");
    break;
  }
  part("b", 2);
  await settled();
  assert.deepEqual(socket.of("CANCEL").map(({ ref }) => ref), [socket.of("REQUEST")[0].id]);
  assert.deepEqual(await all(loop), []);
});

test("a stream that has ended sends no CANCEL", async () => {
  const { client, socket, part } = await opened();
  const found = all(client.stream("ai.answer", null, { signal: new AbortController().signal }));
  part("a", 1, false);
  await found;
  assert.equal(socket.of("CANCEL").length, 0);
});

test("the signal ends the loop with `cancelled`, after what has come", async () => {
  const { client, socket, part } = await opened();
  const stop = new AbortController();
  const loop = client.stream("ai.answer", null, { signal: stop.signal });
  part("a", 1);
  stop.abort();
  assert.equal((await loop.next()).value, "a");
  await assert.rejects(loop.next(), { code: "cancelled" });
  assert.equal((await loop.next()).done, true);
  assert.equal(socket.of("CANCEL").length, 1);
  await assert.rejects(client.stream("ai.answer", null, { signal: stop.signal }).next(), { code: "cancelled" });
  assert.equal(socket.of("REQUEST").length, 1);
});

test("what is refused, or lost in the middle, is thrown", async () => {
  const { client, socket, part, ...s } = await opened();
  const loop = client.stream("ai.answer");
  socket.say({ type: "ERROR", ref: socket.last.id, payload: { code: "no_service", message: "nobody" } });
  await assert.rejects(all(loop), { code: "no_service" });
  const half = client.stream("ai.answer");
  part("a", 1);
  await s.again();
  assert.equal((await half.next()).value, "a");
  await assert.rejects(half.next(), { code: "connection", retry: true });
  await assert.rejects(all(client.stream("not a service")), { code: "invalid_message" });
});

test("a loop that is too slow is told so, and the service is told to stop", async () => {
  const { client, socket, part } = await opened();
  const loop = client.stream("ai.answer", null, { limit: 2 });
  for (let n = 1; n <= 4; n++) part(n, n);
  assert.deepEqual([(await loop.next()).value, (await loop.next()).value], [1, 2]);
  await assert.rejects(loop.next(), { code: "too_slow" });
  assert.equal(socket.of("CANCEL").length, 1);
});
