/** The vectors that gateway and clients share: what a client sends, and what a server sends, byte for byte. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { scene, settled } from "../support/fakes.js";

function vectors(side) {
  const folder = new URL(`../../../tests/vectors/${side}/`, import.meta.url);
  const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
  return names.sort().map((name) => JSON.parse(readFileSync(new URL(name, folder), "utf8")));
}

const FIELDS = ["type", "room", "payload", "id", "key", "include_sender", "traceparent", "encoding"].concat(
  ["service", "timeout_ms", "durable", "ref", "receipt"],
);

/** The meaning of a frame, without what the client adds itself. */
function meaning(frame) {
  return Object.fromEntries(FIELDS.filter((field) => frame[field] !== undefined).map((field) => [field, frame[field]]));
}

const isControl = ({ type }) => ["JOIN", "LEAVE", "HISTORY", "PING", "AUTH", "PRESENCE", "SEEN"].includes(type);
const isRequest = ({ type }) => ["REQUEST", "CANCEL"].includes(type);

/** Ask a service as a frame does, or a message that has its fields. */
function ask(client, { service, payload, payload_base64: encoded, id, timeout_ms: timeoutMs, durable, traceparent }, more) {
  const bytes = encoded === undefined ? payload : new Uint8Array(Buffer.from(encoded, "base64"));
  return client.request(service, bytes, { id, timeoutMs, durable, traceparent, ...more });
}

const said = vectors("client").filter((vector) => vector.message);
const messages = said.filter(({ message }) => !isControl(message) && !isRequest(message));
assert.ok(messages.length > 5, "there are vectors");

for (const { name, message } of messages) {
  test(`client vector "${name}": send transmits exactly that`, async () => {
    const s = scene();
    const socket = await s.open();
    const { type, room, id, key, traceparent, receipt } = message;
    const binary = message.payload_base64 !== undefined;
    const payload = binary ? new Uint8Array(Buffer.from(message.payload_base64, "base64")) : message.payload;
    const ephemeral = id === undefined; // what wants no answer has no id
    s.client.send(type, room, payload, { id, key, traceparent, receipt, ephemeral, includeSender: message.include_sender });
    const { payload_base64: encoded, ...expected } = message;
    assert.deepEqual(meaning(socket.last), binary ? { ...expected, payload: encoded, encoding: "base64" } : expected);
  });
}

for (const { name, message } of said.filter((vector) => isRequest(vector.message))) {
  test(`client vector "${name}": request transmits exactly that`, async () => {
    const s = scene();
    const socket = await s.open();
    const { payload_base64: encoded, ...expected } = message;
    if (encoded !== undefined) Object.assign(expected, { payload: encoded, encoding: "base64" });
    if (message.type === "CANCEL") {
      delete expected.payload; // left out means null
      const abort = new AbortController();
      ask(s.client, { service: "s", id: message.ref }, { signal: abort.signal });
      abort.abort();
    } else ask(s.client, message);
    assert.deepEqual(meaning(socket.last), expected);
  });
}

/** Have the client send a PRESENCE with the same meaning; those that it never sends are checked as they are. */
function askPresence({ client }, { room, payload }) {
  const { watch, unwatch, update } = payload;
  if (update !== undefined) {
    client.join(room, { presence: true });
    client.presence(room).update(update);
  } else if (Array.isArray(watch)) client.contacts(watch);
  else if (Array.isArray(unwatch)) {
    client.contacts([...unwatch, "ann"]);
    client.contacts(["ann"]);
  }
}

/**
 * Forms that this client never uses: it reads in pages of its own size, is told of a room as long as it is a member, and shows its
 * first token, and a grant, before AUTH.
 */
const isOthers = ({ type, payload }) =>
  (type === "PRESENCE" && !payload.update && !Array.isArray(payload.watch ?? payload.unwatch)) || (type === "AUTH" && payload.grant);

for (const { name, message } of said.filter((vector) => isControl(vector.message) && !isOthers(vector.message))) {
  test(`client vector "${name}": the client's own ${message.type} has the same form`, async () => {
    const s = scene({ getToken: async () => message.payload?.token ?? "t" });
    const socket = await s.open({ expires_at: s.clock.epoch + 32_000 });
    const since = message.payload?.since;
    if (message.type === "JOIN") {
      const presence = message.payload?.presence;
      s.client.join(message.room, { presence: presence && { info: presence.info } });
      if (since) {
        socket.joined(message.room, { ...since, grant: message.payload.grant });
        const proof = presence?.digest;
        if (proof) socket.presence(message.room, { page: true, after: "", more: false, joined: [{ user: "bob", proof }], digest: proof });
        s.client.join(message.room);
      }
    } else if (message.type === "PRESENCE") askPresence(s, message);
    else if (message.type === "SEEN") {
      s.client.join(message.room);
      socket.joined(message.room, { epoch: message.payload.epoch });
      s.client.seen(message.room, message.payload);
    } else if (message.type === "LEAVE") s.client.leave(message.room);
    else if (message.type === "HISTORY") s.client.history(message.room, message.payload);
    else await s.clock.pass(message.type === "AUTH" ? 2_000 : 30_000);
    const { id, ...frame } = meaning(socket.of(message.type).at(-1));
    assert.equal(typeof id, "string");
    const { id: _, ...expected } = message;
    if (message.type === "PING") delete expected.payload; // anything: ours carries nothing
    if (expected.payload === null) delete expected.payload; // left out means null
    assert.deepEqual(frame, expected);
  });
}

/** The meaning of a vector's frame, if an application could make `send` transmit it; else undefined. */
function sendable({ frame }) {
  try {
    const parsed = JSON.parse(frame);
    const own = ["encoding", "version", "include_sender", "timestamp"]; // the client writes these itself
    return parsed && typeof parsed === "object" && !Array.isArray(parsed) && !own.some((field) => field in parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

const refused = vectors("client").filter((vector) => vector.error && sendable(vector));
const refusals = refused.filter((vector) => !isRequest(sendable(vector)));
assert.ok(refusals.length > 15, "there are vectors of what is refused");

for (const vector of refusals) {
  test(`client vector "${vector.name}": send refuses it at once, with the server's code`, async () => {
    const { type, room, payload, ...options } = sendable(vector);
    const s = scene();
    const socket = await s.open();
    for (const ephemeral of options.id === undefined ? [true, false] : [false]) {
      await assert.rejects(s.client.send(type, room, payload, { ...options, ephemeral }), { code: vector.error });
    }
    assert.deepEqual(socket.sent, []);
  });
}

for (const vector of refused.filter((each) => isRequest(sendable(each)))) {
  test(`client vector "${vector.name}": request refuses it at once, with the server's code`, async () => {
    const s = scene();
    const socket = await s.open();
    await assert.rejects(ask(s.client, sendable(vector)), { code: vector.error, ref: vector.ref });
    assert.deepEqual(socket.sent, []);
  });
}

for (const { name, frame, fields, struct } of vectors("server")) {
  test(`server vector "${name}": delivered once, with its meaning`, async () => {
    const s = scene();
    const socket = await s.open();
    const heard = [];
    const parsed = JSON.parse(frame);
    s.client.on(parsed.type, (message) => heard.push(message));
    s.log.all.length = 0;
    socket.say(frame);
    await settled();
    assert.equal(heard.length, 1);
    assert.deepEqual(s.log.all, heard);
    const [message] = heard;
    if (fields.payload_base64 !== undefined) {
      assert.deepEqual(message.payload, new Uint8Array(Buffer.from(fields.payload_base64, "base64")));
    } else assert.deepEqual(message.payload, parsed.payload);
    if (struct === "Deliver") {
      assert.equal(message.room, fields.room);
      assert.equal(message.seq, fields.seq || undefined);
      assert.equal(message.sender, fields.user || undefined);
      assert.equal(message.traceparent, fields.trace || undefined);
    }
    if (struct === "Welcome") {
      const { connection, user, limits } = s.client;
      assert.deepEqual([connection, user, limits.rate], [fields.connection, fields.user, fields.rate]);
    }
    if (struct === "Joined" && !fields.ref) {
      assert.deepEqual(s.client.position(fields.room), { epoch: fields.epoch, seq: fields.seq });
    }
    if (struct === "Error") assert.equal(s.log.errors[0].code, fields.code);
  });
}
