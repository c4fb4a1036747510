/**
 * The promise, against a correct server: connections are cut at any moment, with frames in flight in both directions, and answers
 * overtake messages. In the end, each message of others was delivered once and in order, and each own message is in the room once and
 * in order. Where answers are late, so that JOINs are sent twice, nothing changes. Where messages get lost and logs are short, what was not
 * delivered lies in a gap, which was reported exactly where it is.
 */
import assert from "node:assert/strict";
import { test } from "node:test";

import { scene, settled } from "../support/fakes.js";
import { randomOf } from "../support/random.js";

const ROOM = "r";

/** One room with its whole log, and the frames in flight on the client's current connection. */
class Server {
  log = [];
  down = []; // to the client, in order
  acks = []; // to the client, in order among themselves
  live = false; // whether the client is a member
  kept = 1; // messages before this seq have been deleted

  constructor({ atConnect }, random) {
    Object.assign(this, { atConnect, random });
  }

  get position() {
    return { epoch: "e", seq: this.log.length };
  }

  connect(socket) {
    Object.assign(this, { socket, heard: 0, down: [], acks: [], live: false });
    this.live = this.atConnect && !socket.url.searchParams.has("join");
    const payload = { connection: "g~1", user: "ann", rooms: this.live ? [ROOM] : [], limits: {} };
    this.down.push({ type: "WELCOME", payload });
    if (this.live) this.down.push(this.joined({ recovered: false, missed: 0 }));
  }

  joined(payload, ref) {
    return { type: "JOINED", room: ROOM, ref, payload: { ...this.position, ...payload } };
  }

  publish(message) {
    const seq = this.log.push(message);
    if (this.live && (message.sender !== "ann" || message.include_sender)) this.down.push(this.frame(seq));
    return seq;
  }

  frame(seq) {
    const { id, sender, payload } = this.log[seq - 1];
    return { type: "CHAT", room: ROOM, epoch: "e", seq, id, sender, payload };
  }

  /** Handle the next frame from the client. */
  hear() {
    const frame = this.socket.sent[this.heard++];
    if (frame.type === "CHAT") {
      const seen = this.log.findIndex(({ id, sender }) => sender === "ann" && id === frame.id) + 1;
      const seq = seen || this.publish({ ...frame, sender: "ann" });
      this.acks.push({ type: "ACK", ref: frame.id, room: ROOM, payload: { epoch: "e", seq } });
    } else if (frame.type === "JOIN" && frame.room !== ROOM) {
      // the user's own room, in which nothing is said
      const payload = { epoch: "u", seq: 0, recovered: frame.payload?.since !== undefined, missed: 0 };
      this.down.push({ type: "JOINED", room: frame.room, ref: frame.id, payload });
    } else if (frame.type === "JOIN") {
      const asked = frame.payload?.since;
      const since = asked && asked.seq + 1 >= this.kept ? asked : null;
      const missed = since ? this.log.length - since.seq : 0;
      // a replay in progress ends where another begins, or none
      if (this.random() < 0.5) this.down = this.down.filter(({ type }) => type !== "CHAT");
      this.down.push(this.joined(since ? { ...since, recovered: true, missed } : { recovered: false, missed: 0 }, frame.id));
      for (let seq = this.log.length - missed + 1; seq <= this.log.length; seq++) this.down.push({ ...this.frame(seq), promised: true });
      this.live = true;
    } else if (frame.type === "PING") this.down.push({ type: "PONG", ref: frame.id });
  }

  /** A message gets lost on its way. What a JOINED has promised does not. */
  lose() {
    const found = this.down.filter(({ type, promised }) => type === "CHAT" && !promised);
    const lost = found[Math.floor(this.random() * found.length)];
    this.down = this.down.filter((frame) => frame !== lost);
  }

  get deaf() {
    return !this.socket || this.socket.closed || this.heard >= this.socket.sent.length;
  }
}

async function walk(seed, options) {
  const random = randomOf(seed);
  const s = scene({ random, outboxLimit: 1_000, ...(options.late && { ackTimeoutMs: 1_000 }) });
  const server = new Server(options, random);
  const [heard, own, told] = [[], [], []];
  let [others, first] = [0, null];
  s.client.on("CHAT", (message) => (heard.push(message), told.push(message)));
  s.client.on("gap", (gap) => told.push(gap));
  s.client.on("JOINED", ({ payload }) => (first ??= payload.seq));
  s.client.connect();
  if (!options.atConnect) s.client.join(ROOM);

  const steps = {
    async move() {
      const fresh = s.socket !== server.socket && s.client.state === "connecting";
      if (fresh) server.connect(s.socket);
      else await s.clock.pass(200);
    },
    other: () => server.publish({ sender: "bob", id: `b${++others}`, payload: others }),
    own() {
      const payload = own.length + 1;
      own.push(s.client.send("CHAT", ROOM, payload, { includeSender: options.copies && random() < 0.5 }));
    },
    hear: () => server.deaf || server.hear(),
    say() {
      if (!server.socket || server.socket.closed) return;
      const queue = random() < 0.5 && server.acks.length ? server.acks : server.down;
      if (queue === server.acks && server.down.some(({ type }) => type === "WELCOME")) return;
      if (queue.length) server.socket.say(queue.shift());
    },
    cut() {
      if (random() < 0.12 && server.socket && !server.socket.closed) server.socket.drop(1006);
    },
    ...(options.loses && {
      lose: () => random() < 0.3 && server.lose(),
      delete: () => random() < 0.3 && (server.kept = server.log.length + 1 - Math.floor(random() * 4)),
    }),
  };
  const names = Object.keys(steps);
  for (let n = 0; n < 300; n++) {
    await steps[names[Math.floor(random() * names.length)]]();
    await settled();
  }
  let last = options.loses ? 1 : 0; // messages that show whether one before them is missing
  for (let n = 0; n < 5_000; n++) {
    // no more cuts: everything comes to rest
    await steps.move();
    while (!server.deaf) server.hear();
    for (let frames = 0; frames < 20; frames++) steps.say();
    const rest = server.deaf && !server.down.length && !server.acks.length;
    if (!rest || s.client.state !== "open" || s.client.counters.waiting > 0) continue;
    if (last-- > 0) steps.other();
    else break;
  }
  return { server, heard, own, told, first, log: s.log };
}

/** What the application is due, by seq. */
const due = ({ server, first }) =>
  server.log
    .map((message, n) => ({ ...message, seq: n + 1 }))
    .filter(({ seq, sender, include_sender: copy }) => seq > first && (sender === "bob" || copy))
    .map(({ seq }) => seq);

const ways = [
  { atConnect: false, copies: false },
  { atConnect: true, copies: false },
  { atConnect: false, copies: true },
  { atConnect: true, copies: true },
];
const wayOf = ({ atConnect, copies, late }) =>
  `${atConnect ? "joined by the server" : "joined by the client"}${copies ? ", own copies" : ""}${late ? ", late answers" : ""}`;
const both = ways.flatMap((way) => [way, { ...way, late: true }]);

for (const options of both) {
  const how = wayOf(options);
  test(`whatever is cut, each message is delivered once and in order (${how})`, async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const result = await walk(seed, options);
      const { server, heard, own, log } = result;
      const story = `seed ${seed}`;
      const mine = server.log.filter(({ sender }) => sender === "ann");
      assert.deepEqual(mine.map(({ payload }) => payload), own.map((_, n) => n + 1), story);
      for (const sent of own) assert.ok((await sent).seq > 0, story);
      assert.deepEqual(heard.map(({ seq }) => seq), due(result), story);
      assert.deepEqual(log.gaps, [], story);
    }
  });
}

for (const options of both) {
  test(`whatever is lost, each message is delivered once and in order, or lies in a gap (${wayOf(options)})`, async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const result = await walk(seed, { ...options, loses: true });
      let rest = due(result);
      for (const each of result.told) {
        const story = `seed ${seed}: ${each.since ? `a gap from ${each.since.seq} to ${each.position.seq}` : each.seq}, and due was ${rest[0]}`;
        if (each.since) {
          assert.ok(each.since.seq < each.position.seq, story);
          assert.ok(rest.every((seq) => seq > each.since.seq), story);
          rest = rest.filter((seq) => seq > each.position.seq);
        } else assert.equal(each.seq, rest.shift(), story);
      }
      assert.deepEqual(rest, [], `seed ${seed}`);
    }
  });
}
