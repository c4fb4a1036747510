import assert from "node:assert/strict";
import { test } from "node:test";

import { WarrenClient, WarrenError } from "../warren.js";
import { FakeSocket, scene, settled } from "../support/fakes.js";

test("it offers warren.v1 and is open after WELCOME", async () => {
  const s = scene();
  const ready = s.client.connect();
  await settled();
  assert.deepEqual(s.socket.protocols, ["warren.v1"]);
  assert.equal(s.client.state, "connecting");
  s.socket.welcome({ connection: "g1~7", user: "ann", limits: { rate: 5, rate_per_ms: 1000 } });
  assert.equal((await ready).user, "ann");
  assert.equal(s.client.connection, "g1~7");
  assert.deepEqual(s.log.states, ["connecting", "open"]);
});

test("an http address becomes the WebSocket address of the same host and path", async () => {
  const client = new WarrenClient("https://warren.test/ws?a=1", { WebSocket: FakeSocket });
  client.connect().catch(() => {});
  await settled();
  assert.equal(FakeSocket.all.at(-1).url.href, "wss://warren.test/ws?a=1");
  client.close();
});

test("the token is sent as a subprotocol, or in the address if tokenIn says so", async () => {
  const quiet = scene({ token: "t.o.k" });
  await quiet.open();
  assert.deepEqual(quiet.socket.protocols, ["warren.v1", "bearer.t.o.k"]);
  assert.equal(quiet.socket.url.search, "");
  const open = scene({ token: "t.o.k", tokenIn: "query" });
  await open.open();
  assert.deepEqual(open.socket.protocols, ["warren.v1"]);
  assert.equal(open.socket.url.search, "?token=t.o.k");
});

test("a grant that WELCOME brought is shown at each later connect, where the token is, until a newer one comes", async () => {
  const s = scene({ token: "t.o.k" });
  await s.open({ grant: "first.mac" });
  assert.deepEqual(s.socket.protocols, ["warren.v1", "bearer.t.o.k"]);
  const next = await s.again(); // let in by the grant, so there is no new one
  assert.deepEqual(next.protocols, ["warren.v1", "bearer.t.o.k", "grant.first.mac"]);
  await s.again({ grant: "second.mac" });
  const last = await s.again();
  assert.deepEqual(last.protocols, ["warren.v1", "bearer.t.o.k", "grant.second.mac"]);
  const open = scene({ token: "t.o.k", tokenIn: "query" });
  await open.open({ grant: "g.mac" });
  const again = await open.again();
  assert.deepEqual(again.protocols, ["warren.v1"]);
  assert.equal(again.url.searchParams.get("grant"), "g.mac");
});

test("an anonymous client shows its grant by the name that WELCOME told it", async () => {
  const s = scene();
  await s.open({ user: "guest-17", grant: "g.mac" });
  const next = await s.again();
  assert.deepEqual(next.protocols, ["warren.v1", "grant.g.mac"]);
  assert.equal(next.url.searchParams.get("user"), "guest-17");
});

test("a grant is not shown again after 4001: it may be what was refused; it is after any other close", async () => {
  const s = scene({ getToken: async () => "t" });
  await s.open({ grant: "g.mac" });
  for (const code of [1006, 1012, 1013]) {
    const next = await s.again({}, code);
    assert.ok(next.protocols.includes("grant.g.mac"), `after ${code}`);
  }
  const next = await s.again({}, 4001);
  assert.deepEqual(next.protocols, ["warren.v1", "bearer.t"]);
});

test("the name that Warren generated for an anonymous user is kept across reconnects", async () => {
  const s = scene();
  await s.open({ user: "guest-17" });
  const next = await s.again();
  assert.equal(next.url.searchParams.get("user"), "guest-17");
});

test("a chosen name is requested from the first attempt on", async () => {
  const s = scene({ user: "ann" });
  await s.open();
  assert.equal(s.socket.url.searchParams.get("user"), "ann");
});

test("the back-off doubles from 1 s to 30 s, and the delay is drawn from the full interval", async () => {
  const s = scene({ random: () => 0.999999 });
  s.client.connect();
  for (let n = 0; n < 8; n++) {
    await settled();
    s.socket.drop();
    await s.clock.pass(s.log.closes.at(-1).delayMs);
  }
  const waits = s.log.closes.map(({ delayMs }) => Math.round(delayMs));
  assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
  for (const share of [0.1, 0.7]) {
    const t = scene({ random: () => share });
    t.client.connect();
    await settled();
    t.socket.drop();
    assert.equal(t.log.closes[0].delayMs, 1000 * share);
  }
});

test("a stable connection resets the back-off; one that is closed at once does not", async () => {
  const s = scene();
  await s.open();
  await s.clock.pass(6_000);
  await s.again();
  await s.again();
  await s.again();
  assert.deepEqual(s.log.closes.map(({ delayMs }) => delayMs), [500, 1000, 2000]);
  await s.clock.pass(6_000);
  await s.again();
  assert.equal(s.log.closes.at(-1).delayMs, 500);
});

test("maxTries 5 gives up after five attempts and rejects waiting promises", async () => {
  const s = scene({ maxTries: 5 });
  const ready = s.client.connect();
  for (let n = 0; n < 6; n++) {
    await settled();
    s.socket.drop();
    await s.clock.pass(s.log.closes.at(-1).delayMs ?? 60_000);
  }
  assert.equal(s.sockets.length, 6);
  assert.equal(s.client.state, "closed");
  assert.equal(s.clock.pending, 0);
  await assert.rejects(ready, (error) => error instanceof WarrenError && /gave up after 5 attempts/.test(error.message));
});

for (const code of [1001, 1006, 1011, 1012, 1013, 4002, 4004, 4005]) {
  test(`after close ${code} it reconnects`, async () => {
    const s = scene();
    await s.open();
    await s.again({}, code);
    assert.equal(s.client.state, "open");
  });
}

for (const code of [1000, 1002, 4003, 4006, 4007]) {
  test(`after close ${code} it does not reconnect`, async () => {
    const s = scene();
    await s.open();
    s.socket.drop(code, "why");
    await s.clock.pass(120_000);
    assert.equal(s.sockets.length, 1);
    assert.deepEqual(s.log.closes, [{ code, reason: "why", reconnect: false, delayMs: null }]);
    assert.equal(s.client.state, "closed");
  });
}

test("after 4001 it gets a fresh token and reconnects with it", async () => {
  const tokens = ["old", "fresh"];
  const s = scene({ getToken: async () => tokens.shift() });
  await s.open();
  assert.deepEqual(s.socket.protocols, ["warren.v1", "bearer.old"]);
  const next = await s.again({}, 4001);
  assert.deepEqual(next.protocols, ["warren.v1", "bearer.fresh"]);
});

test("after 4001 without getToken it does not reconnect", async () => {
  const s = scene({ token: "old" });
  await s.open();
  s.socket.drop(4001, "Unauthorized");
  await s.clock.pass(120_000);
  assert.equal(s.client.state, "closed");
  assert.equal(s.sockets.length, 1);
});

test("a failing getToken is reported and retried after the back-off", async () => {
  let calls = 0;
  const s = scene({
    getToken: async () => {
      if (++calls === 1) throw new Error("the login is away");
      return "t2";
    },
  });
  s.client.connect();
  await settled();
  assert.match(s.log.errors[0].message, /the login is away/);
  await s.clock.pass(1_000);
  assert.deepEqual(s.socket.protocols, ["warren.v1", "bearer.t2"]);
});

test("the reconnect advice of the ERROR before a close overrides that of the close code", async () => {
  const s = scene();
  await s.open();
  s.socket.say({ type: "ERROR", payload: { code: "overloaded", message: "", close: 1013, reconnect: "no" } });
  s.socket.drop(1013);
  assert.equal(s.client.state, "closed");
});

test("waiting promises are rejected with the server's reason for closing permanently", async () => {
  const s = scene();
  const socket = await s.open();
  const joined = s.client.join("r");
  const payload = { code: "unauthorized", message: "user: 1 to 127 characters", retry: false, close: 4001, reconnect: "fresh token" };
  socket.say({ type: "ERROR", payload });
  socket.drop(4001, "Unauthorized");
  await assert.rejects(joined, /the server closed the connection: 4001 Unauthorized \(user: 1 to 127 characters\)/);
});

test("before a token expires, a fresh one is sent by AUTH, again and again", async () => {
  let count = 0;
  const s = scene({ getToken: async () => `t${++count}` });
  await s.open({ expires_at: s.clock.epoch + 100_000 });
  keepAlive(s);
  await s.clock.pass(69_000);
  assert.equal(s.socket.of("AUTH").length, 0);
  await s.clock.pass(1_500);
  assert.deepEqual(s.socket.of("AUTH").map((frame) => frame.payload), [{ token: "t2" }]);
  s.socket.say({ type: "AUTHENTICATED", payload: { expires_at: s.clock.epoch + 140_000 } });
  await s.clock.pass(40_000);
  assert.equal(s.socket.of("AUTH").length, 2);
});

function keepAlive(s) {
  const { socket } = s;
  const send = socket.send.bind(socket);
  socket.send = (text) => {
    send(text);
    if (socket.last.type === "PING") socket.say({ type: "PONG", ref: socket.last.id });
  };
}

test("a PING is sent every 30 s, and the connection lives while it is answered", async () => {
  const s = scene();
  await s.open();
  keepAlive(s);
  await s.clock.pass(125_000);
  assert.equal(s.socket.of("PING").length, 3); // 30 s, then 10 s of listening, then 30 s again …
  assert.equal(s.client.state, "open");
});

test("a PING without an answer in time closes the connection and opens a new one", async () => {
  const s = scene();
  const first = await s.open();
  await s.clock.pass(39_999);
  assert.equal(s.client.state, "open");
  await s.clock.pass(1);
  assert.equal(s.log.errors[0].code, "heartbeat_missed");
  assert.deepEqual(first.closed, { code: 4000, reason: "No answer" });
  await s.clock.pass(1_000);
  assert.equal(s.sockets.length, 2);
  first.drop(1006); // the dead socket's late event changes nothing
  assert.equal(s.client.state, "connecting");
});

test("RECONNECT: it reconnects at its time slot, without back-off", async () => {
  const s = scene();
  const first = await s.open();
  first.say({ type: "RECONNECT", payload: { after_ms: 3_000 } });
  await s.clock.pass(2_999);
  assert.equal(s.sockets.length, 1);
  await s.clock.pass(1);
  assert.equal(s.sockets.length, 2);
  assert.deepEqual(first.closed, { code: 1000, reason: "Moving" });
  s.socket.welcome();
  assert.equal(s.client.state, "open");
});

test("a server that opens the socket and sends nothing is given up after connectTimeoutMs", async () => {
  const s = scene();
  s.client.connect();
  await s.clock.pass(10_000);
  assert.match(s.log.errors[0].message, /no WELCOME within 10000 ms/);
  await s.clock.pass(1_000);
  assert.equal(s.sockets.length, 2);
});

test("connect() during the back-off makes the next attempt now", async () => {
  const s = scene();
  await s.open();
  s.socket.drop();
  assert.equal(s.client.state, "waiting");
  s.client.connect();
  await settled();
  assert.equal(s.sockets.length, 2);
  await s.clock.pass(9_000);
  assert.equal(s.sockets.length, 2);
});

test("close() ends everything: the socket, the timers and the waiting promises", async () => {
  const s = scene();
  const socket = await s.open();
  const sent = s.client.send("CHAT", "r", "x");
  const joined = s.client.join("r");
  s.client.close();
  assert.deepEqual(socket.closed, { code: 1000, reason: "Bye" });
  assert.equal(s.clock.pending, 0);
  await assert.rejects(sent, { code: "closed" });
  await assert.rejects(joined, { code: "closed" });
  await assert.rejects(s.client.send("CHAT", "r", "y"), { code: "closed" });
  socket.say({ type: "CHAT", payload: "late" });
  assert.deepEqual(s.log.chats, []);
  assert.deepEqual(s.log.states, ["connecting", "open", "closed"]);
});

test("close() while a token is fetched prevents the connection", async () => {
  let hand;
  const s = scene({ getToken: () => new Promise((resolve) => (hand = resolve)) });
  const ready = s.client.connect();
  s.client.close();
  hand("late");
  await settled();
  assert.equal(s.sockets.length, 0);
  await assert.rejects(ready, { code: "closed" });
});

test("a closed client connects again when told to", async () => {
  const s = scene();
  await s.open();
  s.client.close();
  await s.open();
  assert.equal(s.client.state, "open");
});

test("a listener that throws affects neither the others nor the client", async (t) => {
  const complaint = t.mock.method(console, "error", () => {});
  const s = scene();
  s.client.on("CHAT", () => {
    throw new Error("mine");
  });
  const heard = [];
  s.client.on("CHAT", (message) => heard.push(message.payload));
  await s.open();
  s.socket.say({ type: "CHAT", payload: 1 });
  assert.deepEqual(heard, [1]);
  assert.equal(complaint.mock.callCount(), 1);
});

test("without a WebSocket class the constructor says what is missing", () => {
  assert.throws(() => new WarrenClient("ws://x/", { WebSocket: undefined }), /pass one as options.WebSocket/);
});

/** Let `count` upgrades fail like refused ones: the socket never opens. */
async function refusedUpgrades(s, count) {
  for (let n = 0; n < count; n++) {
    await settled();
    s.socket.drop(1006);
    await s.clock.pass(s.log.closes.at(-1).delayMs ?? 0);
  }
}

test("after three failed upgrades it asks over HTTP, and names origin, path and proxy as likely causes", async () => {
  const asked = [];
  const s = scene({ token: "secret", tokenIn: "query", fetch: async (...given) => asked.push(given) });
  s.client.connect();
  await refusedUpgrades(s, 2);
  assert.deepEqual([asked, s.log.errors], [[], []]);
  await refusedUpgrades(s, 1);
  const [[address, { mode, credentials }]] = asked;
  assert.deepEqual([address, mode, credentials], ["http://warren.test/websocket-stats", "no-cors", "omit"]);
  const [error] = s.log.errors;
  assert.deepEqual([error.name, error.code, error.retry], ["WarrenError", "never_opened", true]);
  for (const says of ["ws://warren.test/ws in 3 attempts", "WARREN_GATEWAY_ORIGINS", "the host answers HTTP", "/ws is not the gateway's path", "proxy"]) {
    assert.ok(error.message.includes(says), says);
  }
  assert.ok(!error.message.includes("secret"));
  await refusedUpgrades(s, 5);
  assert.deepEqual([asked.length, s.log.errors.length], [1, 1]); // said once
  s.client.close();
  s.client.connect().catch(() => {});
  await refusedUpgrades(s, 3);
  assert.equal(s.log.errors.length, 2); // and anew when it is told to connect
});

test("if nothing answers over HTTP either, it says so, with the reason", async () => {
  const s = scene();
  s.client.connect();
  await refusedUpgrades(s, 3);
  assert.match(s.log.errors[0].message, /nothing answers HTTP there either \(there is no network here\): the address is wrong/);
  assert.match(s.log.errors[0].message, /WARREN_GATEWAY_ORIGINS/);
});

test("the error names the page's origin", async (t) => {
  globalThis.location = { origin: "https://app.example", href: "https://app.example/" };
  t.after(() => delete globalThis.location);
  const s = scene({ fetch: async () => {} });
  s.client.connect();
  await refusedUpgrades(s, 3);
  assert.match(s.log.errors[0].message, /this page's origin, https:\/\/app.example, is not one that the gateway allows/);
  assert.match(s.log.errors[0].message, /WARREN_GATEWAY_ORIGINS=https:\/\/app.example allows it; the gateway logs upgrade_refused/);
});

test("a socket that never answers counts as a failed upgrade", async () => {
  const s = scene({ fetch: async () => {}, connectTimeoutMs: 1_000 });
  s.client.connect();
  await s.clock.pass(12_000);
  assert.ok(s.log.errors.some(({ code }) => code === "never_opened"));
});

test("after a successful upgrade, or without a token, upgrades are not diagnosed", async () => {
  const worked = scene({ fetch: async () => {} });
  worked.client.connect();
  await settled();
  worked.socket.onopen();
  await refusedUpgrades(worked, 6);
  const tokenless = scene({
    fetch: async () => {},
    getToken: async () => {
      throw new Error("the login is away");
    },
  });
  tokenless.client.connect();
  await tokenless.clock.pass(60_000);
  for (const { log } of [worked, tokenless]) assert.ok(!log.errors.some(({ code }) => code === "never_opened"));
});

test("with few attempts, the diagnosis comes with the last one", async () => {
  const s = scene({ maxTries: 0, fetch: async () => {} });
  s.client.connect().catch(() => {});
  await refusedUpgrades(s, 1);
  assert.match(s.log.errors[0].message, /in 1 attempt,/);
  assert.equal(s.client.state, "closed");
});

test("the server says in the ERROR before a close how long to stay away; the back-off comes on top", async () => {
  const s = scene({ random: () => 0.5 });
  const socket = await s.open();
  const payload = { code: "overloaded", message: "later", retry: true, close: 1013, reconnect: "yes", retry_after_ms: 4_000 };
  socket.say({ type: "ERROR", payload });
  socket.drop(1013, "Overloaded");
  assert.equal(s.log.closes.at(-1).delayMs, 4_500);
  await s.clock.pass(4_499);
  assert.equal(s.sockets.length, 1);
  await s.clock.pass(1);
  assert.equal(s.sockets.length, 2);
  s.socket.drop(1006); // the next close says nothing of that
  assert.ok(s.log.closes.at(-1).delayMs < 4_000);
});

for (const [what, wrong] of [
  ["JOINED without a payload", { type: "JOINED", room: "r", payload: null }],
  ["JOINED without numbers", { type: "JOINED", room: "r", payload: { epoch: 1, seq: "x", recovered: "yes", missed: -1 } }],
  ["JOINED that missed less than nothing", { type: "JOINED", room: "r", payload: { epoch: "e1", seq: 1, recovered: true, missed: -1 } }],
  ["a message whose seq is text", { type: "CHAT", room: "r", seq: "2", epoch: "e1", payload: "x" }],
  ["a message without an epoch", { type: "CHAT", room: "r", seq: 2, payload: "x" }],
  ["HISTORY without messages", { type: "HISTORY", room: "r", payload: {} }],
  ["HISTORY of nothings", { type: "HISTORY", room: "r", payload: { messages: [null] } }],
  ["binary that is none", { type: "CHAT", room: "r", encoding: "base64", payload: 7 }],
  ["PRESENCE without a count", { type: "PRESENCE", room: "r", payload: { count: null, digest: "0", version: 1 } }],
  ["PRESENCE whose digest is none", { type: "PRESENCE", room: "r", payload: { count: { users: 1, connections: 1 }, digest: "no", version: 1 } }],
  ["PRESENCE of one without a proof", { type: "PRESENCE", room: "r", payload: { count: { users: 1, connections: 1 }, digest: "0", version: 1, joined: [{ user: "ann" }] } }],
  ["PRESENCE in words", { type: "PRESENCE", room: "r", payload: { count: { users: "one", connections: 1 }, digest: "0", version: 1, left: 7 } }],
  ["nothing", null],
]) {
  test(`a frame that is not what the protocol says is reported, and nothing else suffers: ${what}`, async () => {
    const s = scene();
    const socket = await s.open();
    s.client.join("r", { presence: true });
    socket.joined("r", { presence: { watching: true } });
    socket.presence("r", { page: true, after: "", joined: [{ user: "bob", proof: "1" }], digest: "0000000000000001" });
    socket.chat("r", 1);
    socket.say(JSON.stringify(wrong));
    assert.deepEqual(s.log.errors.map(({ code }) => code), ["invalid_format"]);
    socket.chat("r", 2);
    assert.deepEqual([s.log.chats, s.log.gaps], [["m1", "m2"], []]);
    assert.deepEqual(s.client.position("r"), { epoch: "e1", seq: 2 });
    assert.deepEqual([[...s.client.presence("r").members.keys()], s.client.presence("r").isComplete], [["bob"], true]);
  });
}

test("a socket that reports an error and no close, as in Node 20, is given up at once if it never opened", async () => {
  const s = scene();
  s.client.connect();
  await settled();
  s.socket.onerror();
  assert.equal(s.client.state, "waiting");
  await s.clock.pass(500);
  assert.equal(s.sockets.length, 2);
  s.socket.onopen();
  s.socket.onerror(); // the close follows
  assert.equal(s.client.state, "connecting");
  s.socket.welcome();
  assert.equal(s.client.state, "open");
});
