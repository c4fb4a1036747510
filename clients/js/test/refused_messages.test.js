/** Invalid messages are refused at once, and messages that the server refused permanently are never sent again, even without a ref. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

import { scene, settled } from "../support/fakes.js";

const CUT = "ab😀".slice(0, 3);
const nested = (depth) => (depth === 0 ? 1 : [nested(depth - 1)]);
const cyclic = {};
cyclic.self = cyclic;

for (const [what, code, send] of [
  ["half of an emoji in the text", "invalid_format", ["CHAT", "r", { text: CUT }]],
  ["the other half", "invalid_format", ["CHAT", "r", { text: "ab😀".slice(3) }]],
  ["halves in the wrong order", "invalid_format", ["CHAT", "r", "\udc07\ud83d"]],
  ["half of an emoji deep inside", "invalid_format", ["CHAT", "r", [{ a: [0, { b: CUT }] }]]],
  ["half of an emoji in a key", "invalid_format", ["CHAT", "r", { [CUT]: 1 }]],
  ["half of an emoji behind a backslash", "invalid_format", ["CHAT", "r", `\\${CUT}`]],
  ["a payload that nests too deep", "invalid_format", ["CHAT", "r", nested(129)]],
  ["a payload that nests far too deep", "invalid_format", ["CHAT", "r", nested(5_000)]],
  ["NaN", "invalid_format", ["CHAT", "r", { price: NaN }]],
  ["infinity", "invalid_format", ["CHAT", "r", [-Infinity]]],
  ["a function", "invalid_format", ["CHAT", "r", () => 1]],
  ["a symbol inside", "invalid_format", ["CHAT", "r", { a: Symbol("b") }]],
  ["half of an emoji as the room", "invalid_format", ["CHAT", CUT, 1]],
  ["an empty room", "invalid_room", ["CHAT", "", 1]],
  ["a room with a blank", "invalid_room", ["CHAT", "no room", 1]],
  ["a room of too many characters", "invalid_room", ["CHAT", "r".repeat(129), 1]],
  ["everyone's room", "invalid_room", ["CHAT", "*", 1]],
  ["a room that is a number", "invalid_message", ["CHAT", 7, 1]],
  ["a type with a blank", "invalid_message", ["my type", "r", 1]],
  ["a type that is no text", "invalid_message", [null, "r", 1]],
  ["a type of the protocol", "unknown_type", ["JOIN", "r"]],
  ["a type that the protocol may get", "unknown_type", ["REQUEST_2", "r"]],
  ["an empty id", "invalid_message", ["CHAT", "r", 1, { id: "" }]],
  ["an id of too many characters", "invalid_message", ["CHAT", "r", 1, { id: "i".repeat(65) }]],
  ["an id with a line's end", "invalid_message", ["CHAT", "r", 1, { id: "a\nb" }]],
  ["an id with a no-break space", "invalid_message", ["CHAT", "r", 1, { id: "a\u00a0b" }]],
  ["an id that begins as the server's do", "invalid_message", ["CHAT", "r", 1, { id: "~a" }]],
  ["half of an emoji as the id", "invalid_format", ["CHAT", "r", 1, { id: CUT }]],
  ["an id that is a number", "invalid_message", ["CHAT", "r", 1, { id: 7 }]],
  ["half of an emoji as the key", "invalid_format", ["CHAT", "r", 1, { key: CUT }]],
  ["a key of too many characters", "invalid_message", ["CHAT", "r", 1, { key: "k".repeat(129) }]],
  ["a key that is a number", "invalid_message", ["CHAT", "r", 1, { key: 7 }]],
  ["half of an emoji as the trace", "invalid_format", ["CHAT", "r", 1, { traceparent: CUT }]],
]) {
  test(`${what}: send is refused at once with ${code}, and nothing is sent`, async () => {
    const s = scene();
    const socket = await s.open();
    const fault = await s.client.send(...send).catch((error) => error);
    assert.deepEqual([fault.name, fault.code, fault.retry], ["WarrenError", code, false]);
    assert.match(fault.message, /[a-z]+: .{8}|is reserved/);
    assert.deepEqual([socket.sent.length, s.client.counters.waiting], [0, 0]);
    s.client.send("CHAT", "r", "the next one");
    assert.equal(socket.last.payload, "the next one");
  });
}

test("ephemeral messages are checked, too", async () => {
  const s = scene();
  const socket = await s.open();
  await assert.rejects(s.client.send("TYPING", "r", CUT), { code: "invalid_format" });
  assert.equal(socket.sent.length, 0);
});

test("valid messages are sent unchanged", async () => {
  const s = scene();
  const socket = await s.open();
  for (const payload of ["ab😀", { "😀": "\\ud83d" }, '"[[{{\\', nested(128), "[".repeat(500), -0.5, "", null, { a: undefined }]) {
    s.client.send("CHAT", "r/1:a-b_c.d@e", payload);
    assert.deepEqual(socket.last.payload, JSON.parse(JSON.stringify(payload)));
  }
  for (const id of ["a b", "é".repeat(64), "😀".repeat(64), "a~"]) {
    s.client.send("CHAT", "r", 1, { id, key: "😀".repeat(128) });
    assert.equal(socket.last.id, id);
  }
  for (const type of ["DATA_UPDATE", "NOTIFICATION", "own", "Own.1", "7"]) {
    s.client.send(type, null, 1);
    assert.equal(socket.last.type, type);
  }
});

test("checking a payload takes linear time: backslashes, quotes, brackets, emojis", () => {
  // no clock is read: what is linear ends in a fraction of a second, and what grows with the square would take hours
  const check = `
    import { checks } from "${new URL("../dist/esm/checks.js", import.meta.url)}";
    const messageText = (type, room, payload) => checks().text({ type, room, payload });
    for (const piece of ${JSON.stringify(["\\", '"', "[{", "😀"])}) {
      const whole = piece.repeat(2_000_000);
      messageText("CHAT", "r", whole);
      try {
        messageText("CHAT", "r", whole + "\\ud83d");
      } catch (fault) {
        console.log(fault.code);
      }
    }`;
  const { stdout, signal } = spawnSync(process.execPath, ["--input-type=module", "-e", check], { timeout: 120_000 });
  assert.equal(signal, null, "the check was still at work after two minutes");
  assert.deepEqual(String(stdout).trim().split("\n"), Array(4).fill("invalid_format"));
});

test("a payload that JSON can't represent throws at the call", async () => {
  const s = scene();
  await s.open();
  for (const payload of [10n, cyclic]) assert.throws(() => s.client.send("CHAT", "r", payload), TypeError);
  assert.equal(s.client.counters.waiting, 0);
});

for (const page of [{ limit: NaN }, { before: CUT }]) {
  test(`an invalid page of history (${JSON.stringify(page)}) rejects instead of throwing`, async () => {
    const s = scene();
    const socket = await s.open();
    await assert.rejects(s.client.history("r", page), { code: "invalid_format" });
    assert.equal(socket.sent.length, 0);
  });
}

for (const room of [CUT, "", "no room", "*", "@", "@@ann", "@a\n", 7, undefined]) {
  test(`join, leave and history refuse ${JSON.stringify(room)} at once, and no later connection sends it`, async () => {
    const s = scene();
    const socket = await s.open();
    for (const ask of ["join", "leave", "history"]) {
      await assert.rejects(s.client[ask](room), ({ code }) => ["invalid_room", "invalid_message", "invalid_format"].includes(code));
    }
    assert.equal(socket.sent.length, 0);
    const next = await s.again();
    assert.deepEqual(next.sent, []);
  });
}

test("the user's own room can be joined, whatever the user's name", async () => {
  const s = scene({ user: "o'brien@example.org" });
  const socket = await s.open();
  s.client.join("@o'brien@example.org");
  assert.equal(socket.last.room, "@o'brien@example.org");
});

test("a fresh token that is not valid text is reported, and not sent", async () => {
  const tokens = ["t1", CUT];
  const s = scene({ getToken: async () => tokens.shift() });
  const socket = await s.open({ expires_at: s.clock.epoch + 32_000 });
  await s.clock.pass(3_000);
  assert.equal(socket.of("AUTH").length, 0);
  assert.match(s.log.errors[0].message, /can't get a fresh token/);
});

// ── what the server refuses ─────────────────────────────────────────────────────────────────────────────────────────────

test("an ERROR with retry: false rejects the message of its ref, which is not sent again", async () => {
  const s = scene();
  const socket = await s.open();
  const sent = s.client.send("CHAT", "r", "no");
  const { id } = socket.last;
  socket.say({ type: "ERROR", ref: id, payload: { code: "invalid_format", message: "half a character", retry: false } });
  await assert.rejects(sent, { code: "invalid_format", ref: id, retry: false });
  assert.deepEqual((await s.again()).sent, []);
});

/** A server whose ERRORs for invalid frames have no ref. It handles frames in order and acknowledges late. */
function nameless(socket, { isBad, answersPing = true }) {
  const judged = { frames: [], acks: [] };
  const send = socket.send.bind(socket);
  const down = [];
  socket.send = (text) => {
    send(text);
    const frame = socket.last;
    judged.frames.push(frame);
    if (isBad(frame)) {
      down.push({ type: "ERROR", payload: { code: "invalid_format", message: "Invalid message format", retry: false } });
    } else if (frame.type === "PING" && answersPing) down.push({ type: "PONG", ref: frame.id });
    else if (frame.type === "JOIN") {
      const payload = { epoch: "e1", seq: 0, recovered: false, missed: 0 };
      down.push({ type: "JOINED", room: frame.room, ref: frame.id, payload });
    } else judged.acks.push(frame);
  };
  judged.speak = async () => {
    while (down.length) {
      socket.say(down.shift());
      await settled();
    }
  };
  judged.acknowledge = async () => {
    for (const frame of judged.acks.splice(0)) socket.ack(frame, { seq: 1 });
    await settled();
  };
  judged.tries = (payload) => judged.frames.filter((frame) => frame.payload === payload).length;
  return judged;
}

test("an ERROR without a ref belongs to the only message in flight", async () => {
  const s = scene();
  const socket = await s.open();
  const server = nameless(socket, { isBad: ({ payload }) => payload === "bad" });
  const sent = s.client.send("CHAT", "r", "bad");
  await server.speak();
  await assert.rejects(sent, { code: "invalid_format", retry: false });
  assert.equal(s.client.counters.waiting, 0);
  await s.clock.pass(60_000);
  assert.equal(server.tries("bad"), 1);
});

for (const bad of [["b2"], ["b1", "b2"], ["b1", "b2", "b3"], ["b3"]]) {
  test(`of several messages in flight, it finds out which were refused without a ref (${bad})`, async () => {
    const s = scene();
    const socket = await s.open();
    const server = nameless(socket, { isBad: ({ payload }) => bad.includes(payload) });
    const sent = Object.fromEntries(["b1", "b2", "b3"].map((text) => [text, s.client.send("CHAT", "r", text)]));
    const outcome = {};
    for (const [text, promise] of Object.entries(sent)) {
      promise.then(() => (outcome[text] = "sent"), (error) => (outcome[text] = error.code));
    }
    await server.speak();
    const later = s.client.send("CHAT", "r", "later");
    await server.speak();
    await server.acknowledge();
    for (const text of Object.keys(sent)) assert.equal(outcome[text], bad.includes(text) ? "invalid_format" : "sent", text);
    await later;
    for (const text of bad) assert.ok(server.tries(text) <= 2, `${text} was tried ${server.tries(text)} times`);
    assert.equal(s.client.counters.waiting, 0);
    await s.clock.pass(120_000);
    for (const text of bad) assert.ok(server.tries(text) <= 2);
  });
}

test("a frame that answers nothing, between two ERRORs without a ref, lets no valid message be taken for the refused one", async () => {
  const s = scene();
  const socket = await s.open();
  const server = nameless(socket, { isBad: ({ payload }) => payload === "bad" });
  const sent = ["good", "bad", "bad"].map((text) => s.client.send("CHAT", "r", text));
  const say = socket.say.bind(socket);
  socket.say = (frame) => {
    say(frame);
    if (frame.type === "ERROR") say({ type: "LEFT", room: "q", payload: { reason: "removed" } });
  };
  await server.speak();
  await server.acknowledge();
  for (const promise of sent.slice(1)) await assert.rejects(promise, { code: "invalid_format" });
  await sent[0];
});

test("five invalid messages do not block the next one, at the server's rate", async () => {
  const s = scene();
  const socket = await s.open({ limits: { rate: 5, rate_per_ms: 1_000 } });
  const server = nameless(socket, { isBad: ({ payload }) => payload === "bad" });
  const outcomes = [];
  for (let n = 0; n < 5; n++) s.client.send("CHAT", "r", "bad").catch(({ code }) => outcomes.push(code));
  const good = s.client.send("CHAT", "r", "good");
  for (let n = 0; n < 60 && s.client.counters.waiting; n++) {
    await server.speak();
    await server.acknowledge();
    await s.clock.pass(100);
  }
  assert.deepEqual(outcomes, Array(5).fill("invalid_format"));
  await good;
});

test("a JOIN in flight is not mistaken for the refused frame", async () => {
  const s = scene();
  const socket = await s.open();
  const server = nameless(socket, { isBad: ({ payload }) => payload === "bad" });
  const joined = s.client.join("q");
  const sent = s.client.send("CHAT", "r", "bad");
  await server.speak();
  await assert.rejects(sent, { code: "invalid_format" });
  assert.equal((await joined).room, "q");
});

test("without a PONG, the refused frame is still found, in a bounded number of attempts", async () => {
  const s = scene({ pingMs: 1e9, ackTimeoutMs: 3_000 });
  const socket = await s.open();
  const server = nameless(socket, { isBad: ({ payload }) => payload === "bad", answersPing: false });
  const sent = [s.client.send("CHAT", "r", "bad"), s.client.send("CHAT", "r", "good")];
  for (let n = 0; n < 100 && s.client.counters.waiting; n++) {
    await server.speak();
    await server.acknowledge();
    await s.clock.pass(1_000);
  }
  await assert.rejects(sent[0], { code: "invalid_format" });
  await sent[1];
  assert.ok(server.tries("bad") <= 5);
});

test("a suspect is given up after a few connections that closed before its answer", async () => {
  const s = scene();
  let socket = await s.open();
  const sent = ["bad", "worse"].map((text) => s.client.send("CHAT", "r", text));
  const refusal = { type: "ERROR", payload: { code: "invalid_format", message: "Invalid message format", retry: false } };
  socket.say(refusal);
  const tries = [];
  for (let n = 0; n < 8; n++) {
    socket = await s.again(); // cut as soon as something is sent
    tries.push(...socket.of("CHAT").map(({ payload }) => payload));
  }
  for (const promise of sent) await assert.rejects(promise, { code: "invalid_format" });
  assert.deepEqual(tries, ["bad", "bad", "bad", "worse", "worse", "worse"]);
});

test("an ERROR without a ref that must belong to an ephemeral message rejects nothing", async () => {
  const s = scene();
  const socket = await s.open({ limits: { rate: 5, rate_per_ms: 1_000 } });
  const server = nameless(socket, { isBad: ({ type }) => type === "TYPING" });
  const sent = s.client.send("CHAT", "r", "good");
  await s.client.send("TYPING", "r", true);
  await server.speak();
  await server.acknowledge();
  await sent;
  assert.equal(s.log.errors[0].code, "invalid_format");
});
