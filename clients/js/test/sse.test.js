/** The choice between WebSocket and event stream, on fakes; a real server of the event stream is in sse_socket.test.js. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { sse } from "../dist/esm/sse.js";
import { FakeClock, FakeSocket, scene, settled } from "../support/fakes.js";

/** A client by whose network WebSockets, streams or both pass. */
function network({ sockets = false, streams = true, ...more } = {}) {
  const clock = new FakeClock();
  const net = { sockets, streams, dials: [], status: 200, headers: {} };
  class Upgrade extends FakeSocket {
    constructor(url, protocols) {
      super(url, protocols);
      net.dials.push(["ws", clock.time]);
      if (net.sockets) clock.options().setTimeout(() => this.welcome(), 1);
      else if (net.sockets === false) clock.options().setTimeout(() => this.drop(1006), 1);
    }
  }
  const fetch = async (address, { method = "GET", headers, signal }) => {
    if (method === "POST") return new Response(null, { status: 202 });
    const url = new URL(address);
    if (url.pathname !== "/sse") throw new TypeError("nothing else is there");
    net.dials.push(["sse", clock.time]);
    Object.assign(net, { url, sent: headers });
    if (!net.streams) throw new TypeError("fetch failed");
    const body = new ReadableStream({
      start(stream) {
        const write = (text) => stream.enqueue(new TextEncoder().encode(text));
        net.write = write;
        net.end = () => stream.close();
        signal.addEventListener("abort", () => (net.aborted = true));
        if (net.status === 200) write(`data: ${JSON.stringify({ type: "WELCOME", payload: { ...WELCOME, post: "secret" } })}\n\n`);
      },
    });
    return new Response(net.status === 200 ? body : null, { status: net.status, headers: { "Content-Type": "text/event-stream", ...net.headers } });
  };
  const options = { fetch, WebSocket: Upgrade, random: () => 0.5, ...clock.options() };
  const s = scene({ ...options, pingMs: 1e9, transport: sse({ ...options, ...more }) });
  return Object.assign(net, { client: s.client, log: s.log, clock, kinds: () => net.dials.map(([kind]) => kind) });
}

const WELCOME = { connection: "g1~1", user: "ann", heartbeat_ms: 30_000, rooms: [], limits: {}, expires_at: null };

test("two failed upgrades, and the third attempt is an upgrade with the event stream behind it", async () => {
  const net = network();
  net.client.connect();
  await net.clock.pass(10_000);
  assert.equal(net.client.state, "open");
  assert.deepEqual(net.kinds(), ["ws", "ws", "ws", "sse"]);
  assert.equal(net.url.href, "http://warren.test/sse");
  assert.deepEqual(net.log.errors, []);
});

test("the secret for posting is not told to the application", async () => {
  const net = network();
  const welcomes = [];
  net.client.on("open", (welcome) => welcomes.push(welcome));
  net.client.connect();
  await net.clock.pass(10_000);
  assert.deepEqual(welcomes, [WELCOME]);
});

test("where WebSockets work, no event stream is ever dialled, also after an outage", async () => {
  const net = network({ sockets: false, streams: false });
  net.client.connect();
  await net.clock.pass(60_000);
  assert.ok(net.kinds().includes("sse"));
  net.dials.length = 0;
  Object.assign(net, { sockets: true, streams: true });
  await net.clock.pass(60_000);
  assert.equal(net.client.state, "open");
  assert.deepEqual(net.kinds(), ["ws"]);
});

test("where both are refused, attempts become rarer as without the fallback", async () => {
  const net = network({ streams: false });
  net.client.connect();
  await net.clock.pass(600_000);
  const first = net.dials.filter(([kind]) => kind === "ws").map(([, at]) => at);
  // half of 1, 2, 4, 8, 16, 30, 30 … seconds between attempts, each of at most one upgrade and one stream
  assert.ok(first.length < 50, String(first.length));
  const pauses = first.slice(8).map((at, n) => at - first[n + 7]);
  assert.ok(pauses.every((pause) => pause >= 15_000), String(pauses));
  assert.ok(net.dials.filter(([kind]) => kind === "sse").length <= first.length);
});

test("an upgrade that hangs gives way to the event stream within the same attempt", async () => {
  const net = network({ sockets: null }); // neither opened nor refused
  net.client.connect();
  await net.clock.pass(10_000); // the client gives up waiting, twice
  await net.clock.pass(10_500);
  await net.clock.pass(1_500);
  assert.deepEqual(net.kinds(), ["ws", "ws", "ws"]);
  await net.clock.pass(3_000);
  assert.equal(net.client.state, "open");
  assert.deepEqual(net.kinds(), ["ws", "ws", "ws", "sse"]);
});

test("a lost stream is dialled again at once as a stream; later on a WebSocket is tried, and used if it opens", async () => {
  const net = network();
  net.client.connect();
  await net.clock.pass(10_000);
  net.dials.length = 0;
  net.end();
  await net.clock.pass(2_000);
  assert.deepEqual(net.kinds(), ["sse"]);
  net.dials.length = 0;
  net.sockets = true;
  await net.clock.pass(299_000);
  assert.deepEqual(net.kinds(), []);
  await net.clock.pass(200_000);
  assert.deepEqual(net.kinds(), ["ws"]);
  assert.equal(net.client.state, "open");
  assert.ok(net.aborted);
});

test("while WebSockets stay blocked, they are tried ever more rarely, and the client is back by the stream each time", async () => {
  const net = network();
  net.client.connect();
  await net.clock.pass(10_000);
  net.dials.length = 0;
  const upgrades = [];
  for (let hour = 0; hour < 10; hour++) {
    await net.clock.pass(3_600_000);
    assert.equal(net.client.state, "open");
    upgrades.push(net.dials.filter(([kind]) => kind === "ws").length);
    net.dials.length = 0;
  }
  assert.ok(upgrades[0] >= 2 && upgrades[0] <= 4, String(upgrades));
  assert.ok(upgrades.slice(4).every((n) => n <= 1), String(upgrades));
});

test("a server that closes a WebSocket and says why is there: no fallback", async () => {
  const net = network({ sockets: null });
  net.client.connect();
  for (let n = 0; n < 4; n++) {
    await settled();
    FakeSocket.all.at(-1).drop(1013, "Overloaded");
    await net.clock.pass(9_000);
  }
  assert.deepEqual(new Set(net.kinds()), new Set(["ws"]));
});

test("Retry-After of a refused stream holds the client back", async () => {
  const net = network();
  net.client.connect();
  Object.assign(net, { status: 503, headers: { "Retry-After": "40" } });
  await net.clock.pass(10_000);
  const count = net.dials.length;
  assert.equal(net.kinds().at(-1), "sse");
  await net.clock.pass(30_000);
  assert.equal(net.dials.length, count);
  net.status = 200;
  await net.clock.pass(30_000);
  assert.equal(net.client.state, "open");
});

test("a token goes into a header and a grant into the query; 401 asks for a fresh token", async () => {
  let tokens = 0;
  const clock = new FakeClock();
  const dials = [];
  const fetch = async (address, { headers }) => {
    if (!new URL(address).pathname.endsWith("/sse")) throw new TypeError("nothing else is there");
    dials.push([new URL(address).search, headers.Authorization]);
    return new Response(null, { status: 401 });
  };
  class Refused extends FakeSocket {
    constructor(...given) {
      super(...given);
      clock.options().setTimeout(() => this.drop(1006), 1);
    }
  }
  const options = { fetch, WebSocket: Refused, random: () => 0.5, ...clock.options() };
  const { client } = scene({ ...options, getToken: () => `t${++tokens}`, transport: sse(options) });
  client.connect();
  await clock.pass(10_000);
  assert.deepEqual(dials.slice(0, 2), [
    ["", "Bearer t1"],
    ["", "Bearer t2"],
  ]);
  client.close();
});

test("close() ends everything: nothing is dialled any more, and no timer is left", async () => {
  const net = network();
  net.client.connect();
  await net.clock.pass(10_000);
  net.client.close();
  await settled();
  assert.ok(net.aborted);
  net.dials.length = 0;
  await net.clock.pass(4_000_000);
  assert.deepEqual(net.dials, []);
  assert.equal(net.clock.pending, 0);
});
