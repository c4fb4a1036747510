/**
 * The promise, against a correct server: connections are cut at any moment, with frames in flight in both directions, and answers
 * overtake messages. In the end, each message of others was delivered once and in order, and each own message is in the room once and
 * in order.
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

  constructor({ atConnect }) {
    this.atConnect = atConnect;
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
      const since = frame.payload?.since;
      const missed = since ? this.log.length - since.seq : 0;
      this.down.push(this.joined(since ? { ...since, recovered: true, missed } : { recovered: false, missed: 0 }, frame.id));
      for (let seq = this.log.length - missed + 1; seq <= this.log.length; seq++) this.down.push(this.frame(seq));
      this.live = true;
    } else if (frame.type === "PING") this.down.push({ type: "PONG", ref: frame.id });
  }

  get deaf() {
    return !this.socket || this.socket.closed || this.heard >= this.socket.sent.length;
  }
}

async function walk(seed, options) {
  const random = randomOf(seed);
  const s = scene({ random, outboxLimit: 1_000 });
  const server = new Server(options);
  const [heard, own] = [[], []];
  let [others, first] = [0, null];
  s.client.on("CHAT", (message) => heard.push(message));
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
  };
  const names = Object.keys(steps);
  for (let n = 0; n < 300; n++) {
    await steps[names[Math.floor(random() * names.length)]]();
    await settled();
  }
  for (let n = 0; n < 5_000; n++) {
    // no more cuts: everything comes to rest
    await steps.move();
    steps.hear();
    steps.say();
    const rest = server.deaf && !server.down.length && !server.acks.length;
    if (rest && s.client.state === "open" && s.client.counters.waiting === 0) break;
  }
  return { server, heard, own, first, log: s.log };
}

for (const options of [
  { atConnect: false, copies: false },
  { atConnect: true, copies: false },
  { atConnect: false, copies: true },
  { atConnect: true, copies: true },
]) {
  const how = `${options.atConnect ? "joined by the server" : "joined by the client"}${options.copies ? ", own copies" : ""}`;
  test(`whatever is cut, each message is delivered once and in order (${how})`, async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const { server, heard, own, first, log } = await walk(seed, options);
      const story = `seed ${seed}`;
      const mine = server.log.filter(({ sender }) => sender === "ann");
      assert.deepEqual(mine.map(({ payload }) => payload), own.map((_, n) => n + 1), story);
      for (const sent of own) assert.ok((await sent).seq > 0, story);
      const expected = server.log
        .map((message, n) => ({ ...message, seq: n + 1 }))
        .filter(({ seq, sender, include_sender: copy }) => seq > first && (sender === "bob" || copy));
      assert.deepEqual(heard.map(({ seq }) => seq), expected.map(({ seq }) => seq), story);
      assert.deepEqual(log.gaps, [], story);
    }
  });
}
