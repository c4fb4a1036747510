/** Tabs that share a connection: a browser and a gateway in memory, the client and the tabs' code as they are. */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { WarrenClient } from "../dist/esm/index.js";
import { tabs } from "../dist/esm/tabs.js";
import { FakeGateway } from "../support/fake_gateway.js";
import { randomOf } from "../support/random.js";
import { until } from "../support/sse_server.js";
import { Browser } from "../support/tab_world.js";

const PATIENCE_MS = 60;

const visits = new Set();
afterEach(() => {
  end([...visits]); // also after a failure, so that the process ends
  visits.clear();
});

/** A tab with a client, and what its application has seen. */
function visit(browser, gateway, { user = "ann", name, room = "r", tab = browser.open(), patienceMs = PATIENCE_MS, ...options } = {}) {
  const transport = tabs({ name, transport: gateway.transport, patienceMs }, tab);
  const client = new WarrenClient("ws://warren.test/ws", { user, transport, backoffMs: 5, backoffCapMs: 20, gapMs: 20, page: null, ...options });
  const found = { tab, client, seen: [], gaps: [], errors: [], ids: new Set() };
  client.on("CHAT", ({ room: where, payload }) => where === room && found.seen.push(payload));
  client.on("gap", (gap) => found.gaps.push(gap));
  client.on("error", (error) => found.errors.push(error));
  client.connect().catch(() => {});
  visits.add(found);
  return found;
}

async function joined(browser, gateway, count, options) {
  const all = [];
  for (let n = 0; n < count; n++) {
    const one = visit(browser, gateway, options);
    await one.client.join("r");
    all.push(one);
  }
  return all;
}

function end(...all) {
  for (const { client, tab } of all.flat()) {
    tab.close();
    client.close();
  }
}

const outsider = (gateway, payload) => gateway.publish("r", { type: "CHAT", payload });

test("three tabs are one connection; each sees what others say, what its siblings say, and not what it says itself", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const all = await joined(browser, gateway, 3);
  assert.equal(gateway.open.length, 1);
  outsider(gateway, "hello");
  const acks = [];
  for (const [n, { client }] of all.entries()) acks.push(await client.send("CHAT", "r", `from ${n}`));
  outsider(gateway, "bye");
  await until(() => all.every(({ seen }) => seen.length === 4), "all messages in all tabs");
  assert.deepEqual(acks.map(({ seq }) => seq), [2, 3, 4]);
  assert.deepEqual(all.map(({ seen }) => seen), [
    ["hello", "from 1", "from 2", "bye"],
    ["hello", "from 0", "from 2", "bye"],
    ["hello", "from 0", "from 1", "bye"],
  ]);
  assert.equal(gateway.connections.length, 1);
  // nothing had to be asked for again
  assert.equal(gateway.received.filter(({ frame }) => frame.type === "JOIN" && frame.room === "r").length, 3);
  end(all);
});

test("a tab that asks for its own copy gets it, once", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const [one, two] = await joined(browser, gateway, 2);
  await two.client.send("CHAT", "r", "mine", { includeSender: true });
  await until(() => one.seen.length && two.seen.length, "both copies");
  outsider(gateway, "after");
  await until(() => one.seen.length === 2 && two.seen.length === 2, "what follows");
  assert.deepEqual([one.seen, two.seen], [["mine", "after"], ["mine", "after"]]);
  end(one, two);
});

test("a room is left when the last tab leaves it, and tabs that are gone are in no room", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const [one, two, three] = await joined(browser, gateway, 3);
  await three.client.join("own");
  await one.client.leave("r");
  await two.client.leave("r");
  outsider(gateway, "still");
  await until(() => three.seen.length, "the message in the tab that stayed");
  assert.deepEqual([one.seen, two.seen], [[], []]);
  assert.equal(gateway.room("r").members.size, 1);
  three.tab.crash();
  await until(() => !gateway.room("r").members.size && !gateway.room("own").members.size, "both rooms left");
  assert.equal(gateway.open.length, 1);
  end(one, two, three);
});

for (const [how, act] of [
  ["is closed", ({ tab }) => tab.close()],
  ["crashes", ({ tab }) => tab.crash()],
  ["freezes", ({ tab }) => tab.freeze()],
]) {
  test(`when the leading tab ${how}, another one leads: nothing is lost or doubled`, async () => {
    const [browser, gateway] = [new Browser(), new FakeGateway()];
    const [one, two, three] = await joined(browser, gateway, 3);
    outsider(gateway, 1);
    await until(() => three.seen.length === 1, "the first message");
    const before = gateway.open[0];
    act(one);
    if (how !== "is closed") before.onmessage = before.onclose = null; // nobody is there to hear it
    const sent = Promise.all([2, 3, 4].map((n) => two.client.send("CHAT", "r", n)));
    const acks = await sent;
    outsider(gateway, 5);
    await until(() => three.seen.length === 5 && two.seen.length === 2, "all of it");
    assert.deepEqual(three.seen, [1, 2, 3, 4, 5]);
    assert.deepEqual(two.seen, [1, 5]);
    assert.deepEqual(gateway.said("r"), [1, 2, 3, 4, 5]);
    assert.equal(acks.length, 3);
    assert.deepEqual([two.gaps, three.gaps], [[], []]);
    end(two, three);
    one.client.close();
  });
}

test("a frozen leader that thaws joins the others, and has lost nothing", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const [one, two] = await joined(browser, gateway, 2);
  one.tab.freeze();
  outsider(gateway, 1);
  await until(() => two.seen.length === 1 && gateway.connections.length === 2, "the second tab leads");
  one.tab.thaw();
  outsider(gateway, 2);
  await until(() => one.seen.length === 2 && two.seen.length === 2, "both messages in both");
  await until(() => gateway.open.length === 1, "one connection");
  assert.deepEqual([one.seen, two.seen], [[1, 2], [1, 2]]);
  end(one, two);
});

test("a tab that comes later gets the rooms that are joined at connect, and what is said from then on", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  gateway.defaults = ["r"];
  const one = visit(browser, gateway);
  await until(() => one.client.position("r"), "the first tab is in");
  outsider(gateway, "before");
  await until(() => one.seen.length, "the message in the first tab");
  const two = visit(browser, gateway);
  await until(() => two.client.position("r")?.seq === 1, "the second tab is in");
  assert.deepEqual(two.client.rooms.toSorted(), ["@ann", "r"]);
  outsider(gateway, "after");
  await until(() => one.seen.length === 2 && two.seen.length === 1, "what follows in both");
  assert.deepEqual([one.seen, two.seen], [["before", "after"], ["after"]]);
  one.tab.close();
  const three = visit(browser, gateway);
  await until(() => three.client.position("r"), "a third tab, whose leader has come back itself, is in too");
  end(one, two, three);
});

test("a refused JOIN is told to the tab that asked, and to no other", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const [one, two] = await joined(browser, gateway, 2);
  gateway.forbids = (room) => room === "secret";
  await assert.rejects(two.client.join("secret"), { code: "forbidden" });
  await two.client.join("next");
  assert.deepEqual([one.errors, one.client.rooms.includes("secret")], [[], false]);
  end(one, two);
});

test("users are watched as long as one tab watches them", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const [one, two] = await joined(browser, gateway, 2);
  const watched = () => [...gateway.open[0].watched].toSorted().join();
  one.client.contacts(["bob", "eve"]);
  two.client.contacts(["eve", "dan"]);
  await until(() => watched() === "bob,dan,eve", "all three");
  one.client.contacts([]);
  await until(() => watched() === "dan,eve", "two of them");
  two.tab.crash();
  await until(() => watched() === "", "nobody");
  end(one, two);
});

test("all tabs together keep to the server's rate", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  Object.assign(gateway, { rate: 5, perMs: 60 });
  const all = await joined(browser, gateway, 3);
  const sent = all.flatMap(({ client }, tab) => Array.from({ length: 8 }, (_, n) => client.send("CHAT", "r", `${tab}-${n}`)));
  await Promise.all(sent);
  assert.equal(gateway.tooFast, 0);
  assert.equal(gateway.said("r").length, 24);
  end(all);
});

test("tabs of different users, or with different names, share nothing", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const all = [visit(browser, gateway), visit(browser, gateway, { user: "bob" }), visit(browser, gateway, { name: "other" })];
  const jwt = (sub) => `h.${btoa(JSON.stringify({ sub, at: Math.random() }))}.s`;
  for (const sub of ["ann", "bob", "bob"]) all.push(visit(browser, gateway, { token: jwt(sub) }));
  await Promise.all(all.map(({ client }) => client.join("r")));
  assert.equal(gateway.open.length, 5);
  end(all);
});

test("RECONNECT moves all tabs at once, by one new connection", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const all = await joined(browser, gateway, 3);
  const closes = [];
  for (const { client } of all) client.on("close", ({ code, delayMs }) => closes.push([code, delayMs]));
  gateway.open[0].say({ type: "RECONNECT", payload: { after_ms: 5 } });
  await until(() => gateway.connections.length === 2, "a second connection");
  outsider(gateway, 1);
  await until(() => all.every(({ seen }) => seen.length === 1), "the message in all tabs");
  assert.deepEqual(closes, [[1012, 0], [1012, 0], [1012, 0]]);
  assert.equal(gateway.open.length, 1);
  end(all);
});

test("a close code reaches all tabs: after 4006 none of them dials again", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const all = await joined(browser, gateway, 2);
  gateway.open[0].drop(4006, "out");
  await until(() => all.every(({ client }) => client.state === "closed"), "all closed");
  assert.equal(gateway.connections.length, 1);
  end(all);
});

test("the last client that closes ends the connection", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const [one, two] = await joined(browser, gateway, 2);
  one.client.close();
  outsider(gateway, 1);
  await until(() => two.seen.length, "the other tab goes on, although the first one still leads");
  two.client.close();
  await until(() => gateway.open.length === 0, "no connection");
  end(one, two);
});

test("a tab that hears of the leader before it has its own lock is not taken for gone", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const [one] = await joined(browser, gateway, 1);
  const tab = browser.open();
  let allow;
  tab.mayLock = new Promise((then) => (allow = then));
  const two = visit(browser, gateway, { tab });
  const [channel] = tab.channels;
  const hear = channel.onmessage;
  let signs = 0;
  channel.onmessage = (event) => {
    if (event.data.hub) signs++;
    hear(event);
  };
  await until(() => signs > 2, "the leader is heard, because it asks itself too");
  tab.mayLock = null;
  allow();
  void two.client.join("r").catch(() => {});
  await until(() => two.client.position("r"), "the second tab is in");
  outsider(gateway, 1);
  await until(() => two.seen.length, "a message in it");
  assert.equal(gateway.connections.length, 1);
  end(one, two);
});

test("a tab whose own lock is taken from it begins anew", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const [one, two] = await joined(browser, gateway, 2);
  const [own] = browser.held.filter((name) => browser.holder(name) === two.tab);
  await browser.request(browser.open(), own, { steal: true }, () => {});
  await until(() => browser.held.some((name) => browser.holder(name) === two.tab && name !== own), "another lock");
  outsider(gateway, 1);
  await until(() => two.seen.length && one.seen.length, "the message in both");
  assert.deepEqual([one.seen, two.seen, gateway.connections.length], [[1], [1], 1]);
  end(one, two);
});

for (const whose of ["the tab's own", "another tab's"]) {
  test(`a JOIN whose answer is lost is asked again: ${whose}`, async () => {
    const [browser, gateway] = [new Browser(), new FakeGateway()];
    const patienceMs = 60_000; // another leader would ask anew
    const [one] = await joined(browser, gateway, 1, { patienceMs });
    let lost = 0;
    gateway.loses = ({ room }) => room === "next" && !lost++;
    const before = [];
    if (whose !== "the tab's own") {
      before.push(visit(browser, gateway, { patienceMs }));
      void before[0].client.join("next").catch(() => {});
      await until(() => lost, "the first one is lost");
    }
    const two = visit(browser, gateway, { patienceMs, ackTimeoutMs: 50 });
    void two.client.join("next").catch(() => {});
    await until(() => two.client.position("next"), "the tab is in");
    end(one, two, before);
  });
}

test("a leader that was frozen may come back as another user", async () => {
  const [browser, gateway] = [new Browser(), new FakeGateway()];
  const tab = browser.open();
  const transport = tabs({ transport: gateway.transport, patienceMs: PATIENCE_MS }, tab);
  for (const user of ["ann", "bob"]) {
    const socket = transport({ url: new URL("ws://warren.test/ws"), protocols: [], token: null, grant: null, user, manual: false, unopened: 0 });
    let welcome;
    socket.onmessage = ({ data }) => (welcome ??= JSON.parse(data));
    await until(() => welcome, `${user} is let in`);
    assert.equal(welcome.payload.user, user);
    tab.document.dispatchEvent(new Event("freeze"));
  }
  tab.close();
});

test("without Web Locks, each tab has its own connection", () => {
  const transport = () => null;
  assert.equal(tabs({ transport }, { navigator: {}, BroadcastChannel: class {} }), transport);
  assert.equal(tabs({ transport }, { navigator: { locks: {} } }), transport);
});

test("random walk: tabs come, speak, close, crash and freeze, and connections are lost; each sees everything once and in order", async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = randomOf(seed);
    const [browser, gateway] = [new Browser(), new FakeGateway()];
    const all = [];
    const frozen = [];
    let sent = 0;
    const open = async () => {
      const one = visit(browser, gateway);
      one.own = new Set();
      all.push(one);
      await one.client.join("r");
      one.from = one.client.position("r").seq;
    };
    for (let n = 0; n < 3; n++) await open();
    for (let step = 0; step < 60; step++) {
      const one = all[Math.floor(random() * all.length)];
      const chance = random();
      if (chance < 0.5) {
        const payload = `m${++sent}`;
        one.own.add(payload);
        void one.client.send("CHAT", "r", payload).catch(() => {});
      } else if (chance < 0.7) outsider(gateway, `o${++sent}`);
      else if (chance < 0.75) gateway.open[0]?.drop();
      else if (chance < 0.79 && all.length < 5) await open();
      else if (chance < 0.84 && all.length - frozen.length > 2) {
        if (frozen.includes(one)) continue;
        all.splice(all.indexOf(one), 1);
        const { socket } = one;
        if (random() < 0.5) one.tab.close();
        else one.tab.crash();
        for (const each of gateway.open) if (each.tab === one.tab) each.drop();
        one.client.close();
      } else if (chance < 0.87 && !frozen.length && all.length > 2) {
        one.tab.freeze();
        frozen.push(one);
      } else if (chance < 0.95) frozen.pop()?.tab.thaw();
      await new Promise((then) => setTimeout(then, random() * 15));
    }
    for (const one of frozen) one.tab.thaw();
    await until(() => all.every(({ client }) => client.counters.waiting === 0), `seed ${seed}: all is said`);
    outsider(gateway, "last");
    await until(() => all.every(({ seen }) => seen.at(-1) === "last"), `seed ${seed}: all is seen`);
    const said = gateway.said("r");
    assert.equal(new Set(said).size, said.length, `seed ${seed}: something counts twice`);
    for (const { seen, own, from, gaps } of all) {
      assert.deepEqual(seen, said.slice(from).filter((each) => !own.has(each)), `seed ${seed}`);
      assert.deepEqual(gaps, []);
    }
    end(all);
  }
});
