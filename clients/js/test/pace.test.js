/** Nothing that counts against the server's rate exceeds it: messages, JOINs, heartbeats, tokens, repeats. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { scene } from "../support/fakes.js";

/** Counts like the gateway: `rate` at once, one more each `perMs / rate`; a frame that comes too fast closes the connection with 4002. */
class Bucket {
  #fullAt = -Infinity;
  counted = 0;

  constructor({ rate, rate_per_ms: perMs }) {
    Object.assign(this, { interval: perMs / rate, burst: perMs - perMs / rate });
  }

  take(now) {
    this.counted++;
    const fullAt = Math.max(this.#fullAt, now);
    if (fullAt - now > this.burst + 1e-6) return false;
    this.#fullAt = fullAt + this.interval;
    return true;
  }
}

/** A server behind a network that takes `delay()` ms in each direction, in order; it acknowledges `late` ms after that. */
function serve(s, limits, { delay = () => 20, late = 0, silent = () => false } = {}) {
  const bucket = new Bucket(limits);
  const server = { bucket, closed: [], heard: [] };
  const { setTimeout: after } = s.clock.options();
  const { socket } = s;
  const send = socket.send.bind(socket);
  let [arrives, comes] = [0, 0];
  const answer = (frame, ms) => {
    comes = Math.max(comes, s.clock.time + ms);
    after(() => socket.say(frame), comes - s.clock.time);
  };
  socket.send = (text) => {
    send(text);
    const frame = socket.last;
    arrives = Math.max(arrives, s.clock.time + delay());
    after(() => {
      server.heard.push([s.clock.time, frame.type]);
      if (!bucket.take(s.clock.time)) server.closed.push([s.clock.time, frame.type]);
      if (silent(frame)) return;
      const { type, id: ref, room } = frame;
      if (type === "PING") answer({ type: "PONG", ref }, delay());
      else if (type === "AUTH") {
        answer({ type: "AUTHENTICATED", ref, payload: { expires_at: s.clock.epoch + s.clock.time + 4_000 } }, delay());
      } else if (type === "JOIN") {
        answer({ type: "JOINED", room, ref, payload: { epoch: "e", seq: 0, recovered: false, missed: 0 } }, delay() + late);
      } else if (ref) answer({ type: "ACK", ref, room, payload: {} }, delay() + late);
    }, arrives - s.clock.time);
  };
  return server;
}

const LIMITS = { rate: 5, rate_per_ms: 1_000 };
const BUSY = { pingMs: 700, pongTimeoutMs: 900, refreshBeforeMs: 2_500, outboxLimit: 1_000 };

/** A small generator, so that a seed reproduces the whole run. */
function randomOf(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

for (const [rate, perMs] of [[5, 1_000], [2, 500], [1, 1_000], [30, 10_000]]) {
  test(`a busy sender at ${rate} in ${perMs} ms that refreshes its token and pings never exceeds the rate`, async () => {
    for (let seed = 1; seed <= 8; seed++) {
      const random = randomOf(seed);
      let tokens = 0;
      const s = scene({ ...BUSY, getToken: async () => `t${++tokens}` });
      await s.open({ limits: { rate, rate_per_ms: perMs }, expires_at: s.clock.epoch + 4_000 });
      const server = serve(s, { rate, rate_per_ms: perMs }, { delay: () => random() * 60, late: 30 });
      for (let n = 0; n < 200; n++) s.client.send("CHAT", "r", n);
      for (let n = 0; n < 150; n++) {
        if (random() < 0.3) s.client.send("TYPING", "r", true);
        await s.clock.pass(200);
      }
      assert.deepEqual(server.closed, [], `seed ${seed}`);
      assert.equal(s.client.state, "open", `seed ${seed}`);
      const kinds = new Set(server.heard.map(([, type]) => type));
      for (const type of ["CHAT", "PING", "AUTH"]) assert.ok(kinds.has(type), `seed ${seed}: ${type}`);
    }
  });
}

test("messages use all of the rate except one slot, which is reserved for heartbeat and token", async () => {
  const s = scene({ pingMs: 3_000 });
  await s.open({ limits: LIMITS });
  const server = serve(s, LIMITS, { delay: () => 10 });
  for (let n = 0; n < 80; n++) s.client.send("CHAT", "r", n);
  await s.clock.pass(10_000);
  const messages = server.heard.filter(([, type]) => type === "CHAT").length;
  assert.ok(messages >= 36 && messages <= 44, `${messages} messages in 10 s`);
});

test("a heartbeat is sent before waiting messages, and its timeout starts when it is sent", async () => {
  const s = scene({ pingMs: 5_000, pongTimeoutMs: 1_000, ackTimeoutMs: 1e9, outboxLimit: 1_000 });
  const socket = await s.open({ limits: { rate: 1, rate_per_ms: 4_000 } });
  for (let n = 0; n < 9; n++) s.client.send("CHAT", "r", n); // nobody answers
  await s.clock.pass(7_900);
  assert.deepEqual([socket.of("CHAT").length, socket.of("PING").length], [1, 0]);
  assert.equal(s.client.state, "open");
  await s.clock.pass(200);
  assert.deepEqual([socket.of("CHAT").length, socket.of("PING").length], [1, 1]);
  socket.say({ type: "PONG", ref: socket.last.id });
  await s.clock.pass(2_000);
  assert.equal(s.client.state, "open");
  assert.deepEqual(s.log.errors, []);
});

test("a dead connection is detected even if all slots are taken by unanswered frames", async () => {
  const s = scene({ ackTimeoutMs: 1e9 });
  await s.open({ limits: LIMITS });
  for (let n = 0; n < 9; n++) s.client.send("CHAT", "r", n);
  await s.clock.pass(40_100);
  assert.equal(s.log.errors[0].code, "heartbeat_missed");
});

test("repeats keep to the rate, too", async () => {
  for (let seed = 1; seed <= 8; seed++) {
    const random = randomOf(seed);
    const s = scene({ ackTimeoutMs: 2_000, outboxLimit: 1_000 });
    const socket = await s.open({ limits: LIMITS });
    let away = true;
    const server = serve(s, LIMITS, { delay: () => random() * 50, silent: ({ type }) => away && type === "CHAT" });
    for (let n = 0; n < 20; n++) s.client.send("CHAT", "r", n);
    for (let n = 0; n < 25; n++) {
      if (n % 5 === 0) socket.say({ type: "DEGRADED" });
      if (n % 5 === 3) socket.say({ type: "RESTORED" });
      await s.clock.pass(400);
    }
    away = false;
    await s.clock.pass(20_000);
    assert.deepEqual(server.closed, [], `seed ${seed}`);
    assert.equal(s.client.counters.waiting, 0, `seed ${seed}`);
  }
});

test("a JOIN that is refused and sent again counts twice", async () => {
  const limits = { rate: 2, rate_per_ms: 1_000 };
  const s = scene({ random: () => 0 });
  const socket = await s.open({ limits });
  s.client.join("r");
  socket.say({ type: "ERROR", ref: socket.last.id, payload: { code: "overloaded", message: "", retry: true, retry_after_ms: 10 } });
  await s.clock.pass(100);
  assert.equal(socket.of("JOIN").length, 1); // one place is the heartbeat's
  await s.clock.pass(900);
  assert.equal(socket.of("JOIN").length, 2);
});

test("TYPING, which gets no answer, does not exceed the rate on a connection with jitter", async () => {
  for (let seed = 1; seed <= 8; seed++) {
    const random = randomOf(seed);
    const s = scene();
    await s.open({ limits: LIMITS });
    const server = serve(s, LIMITS, { delay: () => random() * 700 });
    for (let n = 0; n < 200; n++) {
      s.client.send("TYPING", "r", true);
      await s.clock.pass(50);
    }
    assert.deepEqual(server.closed, [], `seed ${seed}`);
    assert.ok(server.heard.length >= 15, `seed ${seed}: ${server.heard.length}`);
  }
});
