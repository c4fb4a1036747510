/** What React's hooks read: stores, without React. */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { WarrenClient } from "../dist/esm/index.js";
import { NOWHERE, RequestStore, hold, roomStore } from "../dist/esm/react_stores.js";
import { FakeGateway } from "../support/fake_gateway.js";
import { until } from "../support/sse_server.js";

const clients = [];
afterEach(() => clients.splice(0).forEach((client) => client.close()));

function make(gateway) {
  const client = new WarrenClient("ws://warren.test/ws", { transport: gateway.transport, backoffMs: 5, backoffCapMs: 20, page: null });
  clients.push(client);
  client.on("error", () => {});
  return client;
}

const turn = () => new Promise((then) => setTimeout(then, 20));
const outsider = (gateway, payload) => gateway.publish("r", { type: "CHAT", payload });
const frames = (gateway, type) => gateway.received.filter(({ frame }) => frame.type === type && frame.room === "r");

test("a snapshot stays the same object until something changes", async () => {
  const gateway = new FakeGateway();
  const client = make(gateway);
  await client.connect();
  const store = roomStore(client, "r", false);
  let told = 0;
  const end = store.subscribe(() => told++);
  const forget = store.keep(2);
  await until(() => store.view().state === "joined", "the room is joined");
  const before = store.view();
  assert.equal(store.view(), before);
  for (const n of [1, 2, 3]) outsider(gateway, n);
  await until(() => store.view().messages.at(-1)?.payload === 3, "the messages");
  assert.notEqual(store.view(), before);
  assert.deepEqual(store.view().messages.map(({ payload }) => payload), [2, 3]);
  assert.ok(told >= 4);
  forget();
  end();
});

test("mounting, unmounting and mounting again in one turn joins once, and no message comes twice", async () => {
  const gateway = new FakeGateway();
  const client = make(gateway);
  await client.connect();
  const store = roomStore(client, "r", false);
  const heard = [];
  store.subscribe(() => {})();
  store.listen(() => heard.push("gone"))();
  const end = store.subscribe(() => {});
  const deaf = store.listen(({ payload }) => heard.push(payload));
  await until(() => store.view().state === "joined", "the room is joined");
  outsider(gateway, 1);
  await until(() => heard.length, "the message");
  await turn();
  assert.deepEqual([heard, frames(gateway, "JOIN").length, frames(gateway, "LEAVE").length], [[1], 1, 0]);
  deaf();
  end();
  await until(() => frames(gateway, "LEAVE").length === 1, "the room is left after the last one");
  assert.equal(store.view(), NOWHERE);
});

test("components share a store; another wish for presence is another store, and the room is left after both", async () => {
  const gateway = new FakeGateway();
  const client = make(gateway);
  await client.connect();
  assert.equal(roomStore(client, "r", true), roomStore(client, "r", true));
  const [plain, watching] = [roomStore(client, "r", false), roomStore(client, "r", true)];
  const ends = [plain.subscribe(() => {}), plain.subscribe(() => {}), watching.subscribe(() => {})];
  await until(() => watching.view().state === "joined" && plain.view().state === "joined", "both are in");
  for (const end of ends) {
    assert.equal(frames(gateway, "LEAVE").length, 0);
    end();
    end(); // once more says nothing
    await turn();
  }
  assert.equal(frames(gateway, "LEAVE").length, 1);
});

test("a name that no room can have is an error in the view, and nothing is thrown", () => {
  const client = make(new FakeGateway());
  const store = roomStore(client, "no room", false);
  const end = store.subscribe(() => {});
  assert.deepEqual([store.view().state, store.view().error.code], ["left", "invalid_room"]);
  end();
});

test("a room that is refused says why", async () => {
  const gateway = new FakeGateway();
  gateway.forbids = () => true;
  const client = make(gateway);
  await client.connect();
  const store = roomStore(client, "r", false);
  const end = store.subscribe(() => {});
  await until(() => store.view().error, "the error");
  assert.deepEqual([store.view().state, store.view().error.code], ["left", "forbidden"]);
  end();
});

test("who holds a client again at once finds it connected; after the last one it is closed", async () => {
  const gateway = new FakeGateway();
  const client = make(gateway);
  hold(client)(); // as StrictMode mounts
  const [one, two] = [hold(client), hold(client)];
  await until(() => client.state === "open", "it is connected");
  one();
  one(); // once more says nothing
  await turn();
  assert.equal(client.state, "open");
  two();
  await until(() => client.state === "closed", "it is closed");
  assert.equal(gateway.connections.length, 1);
});

test("of two questions only the answer to the later one counts", async () => {
  const store = new RequestStore();
  const asked = [];
  const client = {
    request: (service, payload, { signal }) =>
      new Promise((resolve, reject) => {
        asked.push({ payload, resolve, signal });
        signal.addEventListener("abort", () => reject(Object.assign(new Error("cancelled"), { code: "cancelled" })));
      }),
  };
  const first = store.ask(client, "s", 1).catch(({ code }) => code);
  assert.equal(store.view().isWaiting, true);
  const second = store.ask(client, "s", 2);
  assert.ok(asked[0].signal.aborted);
  asked[1].resolve("two");
  assert.deepEqual([await first, await second], ["cancelled", "two"]);
  assert.deepEqual(store.view(), { data: "two", error: null, isWaiting: false });
  const third = store.ask(client, "s", 3).catch(({ code }) => code);
  store.cancel();
  assert.equal(await third, "cancelled");
  assert.equal(store.view().data, "two");
});
