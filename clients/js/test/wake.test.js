/** A page that is back, or whose network is: the connection is proved or replaced at once, and once. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { scene, settled } from "../support/fakes.js";

/** A window whose events the test makes. */
class FakePage extends EventTarget {
  document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  count = 0;

  constructor() {
    super();
    for (const target of [this, this.document]) {
      for (const [name, step] of [["addEventListener", 1], ["removeEventListener", -1]]) {
        const real = target[name];
        target[name] = (...given) => {
          this.count += step;
          real.apply(target, given);
        };
      }
    }
  }

  say(type, fields = {}) {
    const target = type === "visibilitychange" ? this.document : this;
    target.dispatchEvent(Object.assign(new Event(type), fields));
  }
}

function woken(options = {}) {
  const page = new FakePage();
  return Object.assign(scene({ page, ...options }), { page });
}

const WAYS = [
  ["online", (page) => page.say("online")],
  ["pageshow from the back/forward cache", (page) => page.say("pageshow", { persisted: true })],
  ["visibilitychange to visible", (page) => page.say("visibilitychange")],
];

for (const [name, wake] of WAYS) {
  test(`${name}: a PING, and after 3 s of silence a new connection without back-off`, async () => {
    const s = woken();
    const socket = await s.open();
    await s.clock.pass(5_000);
    wake(s.page);
    assert.equal(socket.of("PING").length, 1);
    await s.clock.pass(2_999);
    assert.equal(s.sockets.length, 1);
    await s.clock.pass(1);
    assert.equal(s.sockets.length, 2);
    assert.equal(s.log.closes[0].delayMs, 0);
    assert.deepEqual(s.log.errors.map(({ code }) => code), ["heartbeat_missed"]);
  });
}

test("a connection that answers stays, and only one PING is under way", async () => {
  const s = woken();
  const socket = await s.open();
  await s.clock.pass(1);
  for (const [, wake] of WAYS) wake(s.page);
  assert.equal(socket.of("PING").length, 1);
  socket.say({ type: "PONG", ref: socket.last.id });
  await s.clock.pass(3_000);
  s.page.say("online");
  assert.equal(socket.of("PING").length, 2); // a later wake-up asks anew
  socket.say({ type: "PONG", ref: socket.last.id });
  await s.clock.pass(20_000);
  assert.deepEqual([s.sockets.length, s.log.errors], [1, []]);
});

test("who waits for the next attempt makes it at once, once, and begins with a short back-off again", async () => {
  const s = woken();
  await s.open();
  s.socket.drop();
  for (let n = 0; n < 4; n++) {
    await s.clock.pass(30_000);
    if (s.client.state === "connecting") s.socket.drop();
  }
  const before = s.sockets.length;
  s.page.say("online");
  s.page.say("visibilitychange");
  await settled();
  assert.equal(s.sockets.length, before + 1);
  s.socket.drop();
  assert.equal(s.log.closes.at(-1).delayMs, 500);
  await s.clock.pass(500);
  assert.equal(s.sockets.length, before + 2);
});

test("a network that comes and goes all the time makes one attempt a second at most", async () => {
  const s = woken();
  await s.open();
  s.socket.drop();
  const before = s.sockets.length;
  for (let n = 0; n < 100; n++) {
    s.page.say("online");
    await s.clock.pass(100);
    if (s.client.state === "connecting") s.socket.drop();
  }
  assert.ok(s.sockets.length - before <= 11, String(s.sockets.length - before));
  assert.ok(s.sockets.length - before >= 9);
});

test("an attempt that hangs is given up 3 s after a wake-up, however often the page wakes", async () => {
  const s = woken();
  s.client.connect();
  await s.clock.pass(1_000);
  for (let n = 0; n < 2; n++) {
    s.page.say("online");
    await s.clock.pass(1_500);
  }
  assert.equal(s.client.state, "waiting");
  assert.deepEqual(s.log.errors.map(({ message }) => message), ["no WELCOME within 3000 ms after a wake-up"]);
  s.page.say("online");
  await settled();
  s.socket.welcome();
  await s.clock.pass(5_000);
  assert.equal(s.client.state, "open");
});

test("the server's wish to stay away holds over a wake-up", async () => {
  const s = woken();
  const socket = await s.open();
  socket.say({ type: "ERROR", payload: { code: "overloaded", message: "later", close: 4100, retry_after_ms: 8_000 } });
  socket.drop(4100);
  await s.clock.pass(4_000);
  s.page.say("online");
  await settled();
  assert.equal(s.sockets.length, 1);
  await s.clock.pass(4_000);
  s.page.say("online");
  await settled();
  assert.equal(s.sockets.length, 2);
});

test("offline asks whether the connection lives, and dials nothing", async () => {
  const s = woken();
  const socket = await s.open();
  s.page.say("offline");
  assert.equal(socket.of("PING").length, 1);
  socket.drop();
  s.page.say("offline");
  await settled();
  assert.deepEqual([s.sockets.length, s.client.state], [1, "waiting"]);
});

test("a page that is hidden, or shown for the first time, is no wake-up", async () => {
  const s = woken();
  const socket = await s.open();
  s.page.document.visibilityState = "hidden";
  s.page.say("visibilitychange");
  s.page.say("pageshow", { persisted: false });
  assert.equal(socket.of("PING").length, 0);
});

test("a closed client listens to the page no more, and each connect listens once", async () => {
  const s = woken();
  assert.equal(s.page.count, 0);
  for (let n = 0; n < 3; n++) {
    await s.open();
    assert.equal(s.page.count, 4);
    s.client.close();
    assert.equal(s.page.count, 0);
    for (const [, wake] of WAYS) wake(s.page);
    await s.clock.pass(60_000);
    assert.equal(s.client.state, "closed");
  }
  assert.equal(s.sockets.length, 3);
});

test("a PING that has to wait for the rate is no dead connection", async () => {
  const s = woken();
  const socket = await s.open({ limits: { rate: 2, rate_per_ms: 1_000 } });
  socket.joined("r");
  for (let n = 0; n < 6; n++) s.client.send("CHAT", "r", n).catch(() => {});
  s.page.say("online");
  const answer = () => {
    for (const frame of socket.sent.splice(0)) {
      if (frame.type === "CHAT") socket.ack(frame, { seq: frame.payload + 1, epoch: "e1" });
      else socket.say({ type: "PONG", ref: frame.id });
    }
  };
  for (let n = 0; n < 30; n++) {
    answer();
    await s.clock.pass(500);
  }
  assert.deepEqual([s.sockets.length, s.log.errors], [1, []]);
});
