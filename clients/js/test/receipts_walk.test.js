/**
 * Against a correct server: connections are cut at any moment, receipts are told, given up or lost with their connection, the user sees
 * more. In the end each own message is in the room once, each receipt was told once, the server has never had more open than it takes,
 * was never told of what is seen more often than once a second or outside the room, and knows the last word.
 */
import assert from "node:assert/strict";
import { test } from "node:test";

import { scene, settled } from "../support/fakes.js";
import { randomOf } from "../support/random.js";

const ROOM = "r";
const MOST = 32;

/** One room, and the frames in flight on the client's current connection. */
class Server {
  log = []; // {id, sender}
  down = []; // to the client, in order
  open = new Map(); // id ▶ level: receipts on this connection
  live = false; // whether the client is a member
  seen = 0; // as this connection has said
  saidAt = -Infinity; // when the client has said last what is seen
  most = 0; // receipts that were open at a time
  wrong = [];

  connect(socket, clock) {
    const send = socket.send.bind(socket);
    socket.send = (text) => {
      send(text);
      if (socket.last.type !== "SEEN") return;
      if (clock.time - this.saidAt < 1_000) this.wrong.push("said too often");
      this.saidAt = clock.time;
    };
    Object.assign(this, { socket, heard: 0, down: [], open: new Map(), live: false, seen: 0 });
    this.down.push({ type: "WELCOME", payload: { connection: "g~1", user: "ann", rooms: [], limits: {} } });
  }

  publish(message) {
    const seq = this.log.push(message);
    if (this.live && message.sender !== "ann") this.down.push(this.frame(seq));
    return seq;
  }

  frame(seq) {
    return { type: "CHAT", room: ROOM, epoch: "e", seq, payload: seq, ...this.log[seq - 1] };
  }

  /** Handle the next frame from the client. */
  hear() {
    const { type, room, id, payload, receipt } = this.socket.sent[this.heard++];
    if (type === "CHAT") {
      if (receipt) this.open.delete(id), this.open.set(id, receipt);
      this.most = Math.max(this.most, this.open.size);
      const known = this.log.findIndex((message) => message.sender === "ann" && message.id === id) + 1;
      const seq = known || this.publish({ id, sender: "ann" });
      this.down.push({ type: "ACK", ref: id, room: ROOM, payload: { epoch: "e", seq } });
    } else if (type === "JOIN") {
      const since = payload?.since ?? { epoch: "e", seq: this.log.length };
      const missed = this.log.length - since.seq;
      this.down.push({ type: "JOINED", room, ref: id, payload: { ...since, recovered: payload?.since !== undefined, missed } });
      for (let seq = since.seq + 1; seq <= this.log.length; seq++) this.down.push(this.frame(seq));
      this.live = true;
    } else if (type === "SEEN") {
      if (!this.live || payload.seq > this.log.length) this.wrong.push("seen without a message");
      if (payload.seq <= this.seen) this.wrong.push("no news");
      this.seen = payload.seq;
    } else if (type === "PING") this.down.push({ type: "PONG", ref: id });
  }

  /** Say what has become of a message. */
  tell(id, isWritten, complete) {
    const level = this.open.get(id);
    const say = (payload) => this.down.push({ type: "RECEIPT", ref: id, room: ROOM, payload });
    if (level === "seen" && isWritten) say({ level: "written", complete: true });
    say({ level, complete, ...(level === "seen" && { readers: 1, seen: +complete }) });
    this.open.delete(id);
  }

  get deaf() {
    return !this.socket || this.socket.closed || this.heard >= this.socket.sent.length;
  }
}

async function walk(seed, { tells }) {
  const random = randomOf(seed);
  const s = scene({ random, outboxLimit: 1_000 });
  const server = new Server();
  const [own, events] = [[], []];
  let saw = 0; // what the client was last told that its user has seen
  s.client.on("receipt", ({ id, level }) => events.push(`${id} ${level}`));
  s.client.connect();
  s.client.join(ROOM);

  const steps = {
    async move() {
      const isFresh = s.socket !== server.socket && s.client.state === "connecting";
      if (isFresh) server.connect(s.socket, s.clock);
      else await s.clock.pass(200);
    },
    other: () => server.publish({ sender: "bob", id: `b${server.log.length}` }),
    own() {
      const receipt = ["written", "seen", undefined][Math.floor(random() * 3)];
      own.push({ receipt, sent: s.client.send("CHAT", ROOM, own.length, { receipt }) });
    },
    see() {
      const seq = Math.ceil(random() * (s.client.position(ROOM)?.seq ?? 0));
      if (!seq) return;
      saw = Math.max(saw, seq);
      s.client.seen(ROOM, { epoch: "e", seq });
    },
    hear: () => server.deaf || server.hear(),
    say() {
      if (server.socket && !server.socket.closed && server.down.length) server.socket.say(server.down.shift());
    },
    tell() {
      const [id] = server.open.keys();
      if (id && random() < tells) server.tell(id, random() < 0.8, random() < 0.8);
    },
    cut() {
      if (random() < 0.08 && server.socket && !server.socket.closed) server.socket.drop(1006);
    },
  };
  const names = [...Object.keys(steps), "hear", "say", "own", "hear", "say"];
  for (let n = 0; n < 500; n++) {
    await steps[names[Math.floor(random() * names.length)]]();
    await settled();
  }
  for (let n = 0; n < 2_000; n++) {
    // no more cuts: everything comes to rest
    await steps.move();
    for (const step of ["hear", "say"]) for (let each = 0; each < 5; each++) steps[step](), await settled();
    for (const id of [...server.open.keys()]) server.tell(id, true, true);
    const isResting = server.deaf && !server.down.length && !server.open.size && s.client.state === "open";
    if (isResting && s.client.counters.waiting === 0 && server.seen === saw) break;
  }
  return { server, own, events, saw };
}

for (const [how, tells] of [["soon", 1], ["late", 0.02]]) {
  test(`whatever is cut, receipts that are told ${how} are told once, and the last word of what is seen arrives`, async () => {
    let most = 0;
    for (let seed = 1; seed <= 30; seed++) {
      const { server, own, events, saw } = await walk(seed, { tells });
      const story = `seed ${seed}`;
      const acks = await Promise.all(own.map(({ sent }) => sent));
      const mine = server.log.filter(({ sender }) => sender === "ann").map(({ id }) => id);
      assert.deepEqual(mine, acks.map(({ id }) => id), story);
      const expected = [];
      for (const [n, { receipt }] of own.entries()) {
        for (const level of receipt ? ["written", "seen"].slice(0, receipt === "seen" ? 2 : 1) : []) {
          assert.equal((await acks[n][level]).level, level, story);
          expected.push(`${acks[n].id} ${level}`);
        }
      }
      assert.deepEqual(events.toSorted(), expected.toSorted(), story);
      assert.deepEqual(server.wrong, [], story);
      assert.equal(server.seen, saw, story);
      most = Math.max(most, server.most);
    }
    assert.ok(how === "late" ? most === MOST : most < MOST, `${most} were open at a time`);
  });
}
