/** A client that survives a reload: pages and a gateway in memory, the client and the storage's code as they are. */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { WarrenClient } from "../dist/esm/index.js";
import { openStorage, sessionStore } from "../dist/esm/storage.js";
import { FakeGateway } from "../support/fake_gateway.js";
import { randomOf } from "../support/random.js";
import { until } from "../support/sse_server.js";
import { Area, Browser } from "../support/tab_world.js";

const clients = new Set();
const ghosts = []; // what pages hear that are gone
afterEach(() => {
  assert.deepEqual(ghosts, []);
  for (const client of clients) client.close();
  clients.clear();
});

/** A page: a client with storage, and what its application has seen. */
async function page(gateway, tab, { client: options = {}, connects = true, ...storageOptions } = {}) {
  const storage = await openStorage(storageOptions, tab);
  const client = new WarrenClient("ws://warren.test/ws", {
    transport: (dial) => (tab.isDead ? { close() {} } : gateway.transport(dial)), parts: [storage], backoffMs: 5, backoffCapMs: 20, gapMs: 20, page: null, ...options,
  });
  clients.add(client);
  const found = { tab, storage, client, seen: [], gaps: [], errors: [] };
  client.on("CHAT", ({ payload }) => found.seen.push(payload));
  client.on("gap", (gap) => found.gaps.push(gap));
  client.on("error", ({ code, message }) => found.errors.push([code, message]));
  if (connects) await client.connect();
  return found;
}

/** The page ends as in a reload: the next one has its sessionStorage, and nobody hears the old connection. */
function gone(browser, { tab, client }, gateway) {
  const next = browser.reload(tab);
  for (const each of gateway.open) if (each.user === client.user) each.close();
  client.on("*", (message) => ghosts.push(message));
  return next;
}

const outsider = (gateway, payload, room = "r") => gateway.publish(room, { type: "CHAT", payload });

/** A store that tabs share, as a database is. */
class Shared {
  texts = new Map();
  writes = 0;
  read = async (key) => this.texts.get(key) ?? null;
  keys = async () => [...this.texts.keys()];
  remove = async (key) => void this.texts.delete(key);
  write = async (key, text) => {
    await null;
    this.writes++;
    this.texts.set(key, text);
  };
}

for (const [kind, store] of [["sessionStorage", () => undefined], ["a shared store", () => new Shared()]]) {
  test(`${kind}: after a reload each room goes on where it was, with nothing lost or doubled`, async () => {
    const [browser, gateway, options] = [new Browser(), new FakeGateway(), { store: store() }];
    gateway.defaults = ["lobby"];
    const one = await page(gateway, browser.open(), options);
    await one.client.join("r");
    await until(() => one.client.position("lobby"), "both rooms");
    outsider(gateway, 1);
    outsider(gateway, 2, "lobby");
    await one.client.send("CHAT", "r", "own");
    await until(() => one.seen.length === 2, "both messages");
    const tab = gone(browser, one, gateway);
    outsider(gateway, 3);
    outsider(gateway, 4, "lobby");
    const two = await page(gateway, tab, options);
    await two.client.join("r");
    await until(() => two.seen.length === 2, "what was missed");
    outsider(gateway, 5);
    await until(() => two.seen.length === 3, "what follows");
    assert.deepEqual(two.seen.toSorted(), [3, 4, 5]);
    assert.deepEqual([two.gaps, two.errors, two.client.user], [[], [], one.client.user]);
    assert.deepEqual(two.storage.restored, []);
  });

  test(`${kind}: what was sent and not acknowledged is sent again under its id, and counts once`, async () => {
    const [browser, gateway, options] = [new Browser(), new FakeGateway(), { store: store() }];
    const one = await page(gateway, browser.open(), options);
    await one.client.join("r");
    gateway.isMute = true; // the gateway has it, and its ACK is lost
    void one.client.send("CHAT", "r", "accepted").catch(() => {});
    await until(() => gateway.said("r").length === 1, "the first message");
    for (const each of gateway.open) each.drop();
    gateway.isMute = false;
    void one.client.send("CHAT", "r", { text: "never sent" }, { includeSender: true }).catch(() => {});
    const tab = gone(browser, one, gateway);
    const two = await page(gateway, tab, { ...options, connects: false });
    assert.deepEqual(
      two.storage.restored.map(({ room, type, payload }) => [room, type, payload]),
      [["r", "CHAT", "accepted"], ["r", "CHAT", { text: "never sent" }]],
    );
    const acks = two.storage.restored.map(({ ack }) => ack);
    await two.client.connect();
    await two.client.join("r");
    assert.deepEqual((await Promise.all(acks)).map(({ seq }) => seq), [1, 2]);
    assert.deepEqual(gateway.said("r"), ["accepted", { text: "never sent" }]);
    outsider(gateway, "after");
    await until(() => two.seen.includes("after"), "what follows");
    assert.deepEqual(two.seen, [{ text: "never sent" }, "after"]); // its own copy was asked for
    assert.deepEqual([two.gaps, two.errors, two.storage.restored], [[], [], []]);
    const three = await page(gateway, gone(browser, two, gateway), options);
    assert.deepEqual(three.storage.restored, []);
  });

  test(`${kind}: a duplicated tab sends nothing again, goes on in the rooms, and both keep their own state`, async () => {
    const [browser, gateway, options] = [new Browser(), new FakeGateway(), { store: store(), client: { user: "ann" } }];
    const one = await page(gateway, browser.open(), options);
    await one.client.join("r");
    outsider(gateway, 1);
    await until(() => one.seen.length, "the first message");
    gateway.isMute = true;
    void one.client.send("CHAT", "r", "mine").catch(() => {});
    await one.storage.flush();
    const two = await page(gateway, browser.duplicate(one.tab), options);
    assert.deepEqual(two.storage.restored, []);
    await two.client.join("r");
    outsider(gateway, 2);
    await until(() => two.seen.includes(2), "the second message");
    assert.equal(gateway.received.filter(({ frame }) => frame.type === "CHAT").length, 1);
    await two.storage.flush();
    gateway.isMute = false;
    const next = browser.reload(one.tab);
    const three = await page(gateway, next, options);
    assert.deepEqual(three.storage.restored.map(({ payload }) => payload), ["mine"]);
  });
}

test("a message that a loop is not done with comes again after a reload; what it is done with does not", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const one = await page(gateway, browser.open());
  const room = one.client.room("r");
  await room.joined;
  const taken = [];
  let goOn;
  void (async () => {
    for await (const { payload } of room) {
      taken.push(payload);
      if (payload === 2) await new Promise((then) => (goOn = then));
    }
  })();
  for (const n of [1, 2, 3]) outsider(gateway, n);
  await until(() => goOn && one.client.position("r").seq === 3, "the loop is at work on the second");
  assert.deepEqual(taken, [1, 2]);
  const two = await page(gateway, gone(browser, one, gateway));
  await two.client.join("r");
  await until(() => two.seen.length === 2, "the second and the third");
  assert.deepEqual(two.seen, [2, 3]);
  assert.deepEqual(two.gaps, []);
});

test("a loop that catches up is kept without a further frame", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const one = await page(gateway, browser.open());
  const room = one.client.room("r");
  await room.joined;
  const messages = room.messages();
  outsider(gateway, 1);
  await until(() => one.client.position("r").seq === 1, "the message");
  const kept = () => JSON.parse(one.tab.sessionStorage.getItem("warren:client:state") ?? "null")?.state.rooms.find(({ name }) => name === "r").position.seq;
  await until(() => kept() === 0, "it is not seen");
  await messages.next();
  void messages.next();
  await until(() => kept() === 1, "it is seen");
});

test("manual: only what the application says it is done with counts as seen", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const one = await page(gateway, browser.open(), { manual: true });
  await one.client.join("r");
  one.client.on("CHAT", (message) => message.payload === 1 && one.storage.done(message));
  for (const n of [1, 2, 3]) outsider(gateway, n);
  await until(() => one.seen.length === 3, "all three");
  const two = await page(gateway, gone(browser, one, gateway), { manual: true });
  await two.client.join("r");
  await until(() => two.seen.length === 2, "two of them again");
  assert.deepEqual(two.seen, [2, 3]);
});

test("what is damaged, foreign or too old is dropped and told, and the client begins anew", async () => {
  const message = (id, age) => ({ id, room: "r", text: JSON.stringify({ type: "CHAT", id, payload: 1, timestamp: Date.now() - age }), echo: false });
  const state = (more) => ({ version: 1, user: "ann", grant: null, rooms: [], mine: [], outbox: [], hasConnected: true, ...more });
  const kept = (more, at = Date.now()) => JSON.stringify({ at, n: 1, state: state(more) });
  const cases = [
    ["{", /can't be read/],
    ["null", /can't be read/],
    ['"text"', /can't be read/],
    [kept({ version: 2 }), /not of this version/],
    [kept({ outbox: [{ id: "a", text: "{" }] }), /can't be read/],
    [kept({ outbox: [{ ...message("a", 0), id: "b" }] }), /not of this version/],
    [kept({ rooms: "r" }), /can't be read/],
    [kept({}, Date.now() - 90_000_000), /too old/],
    [kept({ outbox: [message("a", 700_000), message("b", 0)] }), /a message of type CHAT to r \(a\) .* too old to be sent again/],
  ];
  for (const [text, told] of cases) {
    const [browser, gateway, area] = [new Browser(), new FakeGateway(), new Area()];
    area.setItem("warren:client", "t1");
    area.setItem("warren:client:state", text);
    const one = await page(gateway, browser.open(area));
    assert.equal(one.errors.length, 1, text);
    assert.equal(one.errors[0][0], "storage_dropped");
    assert.match(one.errors[0][1], told);
    await one.client.join("r");
    await one.storage.flush();
    assert.equal(JSON.parse(area.getItem("warren:client:state")).state.version, 1);
  }
});

test("another user neither sends what the one before has left, nor loses its own", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const one = await page(gateway, browser.open(), { client: { user: "ann" } });
  await one.client.join("r");
  for (const each of gateway.open) each.drop();
  void one.client.send("CHAT", "r", "ann's").catch(() => {});
  const two = await page(gateway, gone(browser, one, gateway), { client: { user: "bob" } });
  await two.client.join("r");
  await two.client.send("CHAT", "r", "bob's");
  assert.deepEqual(gateway.said("r"), ["bob's"]);
  assert.deepEqual(two.errors.map(([code]) => code), ["storage_dropped"]);
  assert.match(two.errors[0][1], /is ann's, and this is bob/);
});

test("a full store is told once, and the client goes on; when there is space again, all is kept", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const one = await page(gateway, browser.open());
  await one.client.join("r");
  await one.storage.flush();
  one.tab.sessionStorage.isFull = true;
  for (const n of [1, 2, 3]) {
    outsider(gateway, n);
    await until(() => one.seen.length === n, "the message");
    await one.storage.flush();
  }
  assert.deepEqual(one.errors.map(([code]) => code), ["storage"]);
  assert.match(one.errors[0][1], /quota/);
  one.tab.sessionStorage.isFull = false;
  outsider(gateway, 4);
  await until(() => one.seen.length === 4, "the last message");
  const two = await page(gateway, gone(browser, one, gateway));
  await two.client.join("r");
  assert.equal(two.client.position("r").seq, 4);
});

test("without any storage the client works, and it is told", async () => {
  const gateway = new FakeGateway();
  const place = { get sessionStorage() { throw new DOMException("the user forbids it", "SecurityError"); } };
  const one = await page(gateway, place);
  await one.client.join("r");
  await one.client.send("CHAT", "r", 1);
  assert.deepEqual(one.errors.map(([code]) => code), ["storage"]);
});

test("writes are few and bounded: many messages are one write, and nothing new is none", async () => {
  const [browser, gateway, store] = [new Browser(), new FakeGateway(), new Shared()];
  const one = await page(gateway, browser.open(), { store, limit: 1_000 });
  await one.client.join("r");
  await one.storage.flush();
  const before = store.writes;
  for (let n = 0; n < 500; n++) outsider(gateway, n);
  await until(() => one.seen.length === 500, "all messages");
  await one.storage.flush();
  assert.ok(store.writes - before < 20, String(store.writes - before));
  const after = store.writes;
  await one.storage.flush();
  assert.equal(store.writes, after);
  gateway.isMute = true;
  for (let n = 0; n < 50; n++) void one.client.send("CHAT", "r", "x".repeat(100)).catch(() => {});
  await one.storage.flush();
  assert.ok(Math.max(...[...store.texts.values()].map(({ length }) => length)) < 10_000);
  assert.deepEqual(one.errors.map(([code]) => code), ["storage"]);
  assert.match(one.errors[0][1], /more than 1000 characters wait/);
});

test("what a closed tab has left in a shared store is taken up by the next one, once; a tab that lives keeps its own", async () => {
  const [browser, gateway, store] = [new Browser(), new FakeGateway(), new Shared()];
  const options = { store, client: { user: "ann" } };
  const living = await page(gateway, browser.open(), options);
  const closed = await page(gateway, browser.open(), options);
  for (const each of [living, closed]) {
    await each.client.join("r");
    gateway.isMute = true;
    void each.client.send("CHAT", "r", each === closed ? "left" : "own").catch(() => {});
    gateway.isMute = false;
  }
  gateway.isMute = true;
  await until(() => gateway.said("r").length === 2, "both messages");
  await living.storage.flush();
  gone(browser, closed, new FakeGateway());
  const next = await page(gateway, browser.open(), { ...options, connects: false });
  assert.deepEqual(next.storage.restored.map(({ payload }) => payload), ["left"]);
  const last = await page(gateway, browser.open(), { ...options, connects: false });
  assert.deepEqual(last.storage.restored, []);
});

test("clear() forgets everything, for good", async () => {
  const [browser, gateway, store] = [new Browser(), new FakeGateway(), new Shared()];
  const one = await page(gateway, browser.open(), { store });
  await one.client.join("r");
  await one.storage.flush();
  await one.storage.clear();
  outsider(gateway, 1);
  await until(() => one.seen.length, "a message");
  await one.storage.flush();
  one.tab.close();
  assert.deepEqual([...store.texts], []);
});

test("random walk: a page that is reloaded again and again sees everything once and in order, and what it says counts once", async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const random = randomOf(seed);
    const [browser, gateway] = [new Browser(), new FakeGateway()];
    const options = { store: seed % 2 ? undefined : new Shared(), client: { user: "ann" } };
    let one = await page(gateway, browser.open(), options);
    await one.client.join("r");
    const from = one.client.position("r").seq;
    const [seen, own] = [[], new Set()];
    let count = 0;
    for (let step = 0; step < 60; step++) {
      const chance = random();
      if (chance < 0.35) outsider(gateway, `o${++count}`);
      else if (chance < 0.75) {
        own.add(`m${++count}`);
        void one.client.send("CHAT", "r", `m${count}`).catch(() => {});
      } else if (chance < 0.85) gateway.open[0]?.drop();
      else if (chance < 0.95) {
        const tab = gone(browser, one, gateway);
        seen.push(...one.seen.splice(0));
        one = await page(gateway, tab, options);
        void one.client.join("r").catch(() => {});
      }
      await new Promise((then) => setTimeout(then, random() * 8));
    }
    await until(() => one.client.counters.waiting === 0, `seed ${seed}: all is said`);
    outsider(gateway, "last");
    await until(() => one.seen.at(-1) === "last", `seed ${seed}: all is seen`);
    seen.push(...one.seen);
    const said = gateway.said("r");
    assert.equal(new Set(said).size, said.length, `seed ${seed}: something counts twice`);
    assert.deepEqual([...own].filter((each) => !said.includes(each)), [], `seed ${seed}: something was not sent`);
    assert.deepEqual(seen, said.slice(from).filter((each) => !own.has(each)), `seed ${seed}`);
    one.client.close();
  }
});
