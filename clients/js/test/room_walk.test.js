/** Whoever holds, leaves, loses and comes again in any order: membership follows the count, and each object hears each message once. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { FakeSocket, scene, settled } from "../support/fakes.js";
import { randomOf } from "../support/random.js";

const NAMES = ["a", "b"];

/** A server that answers at once or later, and knows who is in which room. */
class Server {
  log = { a: [], b: [] };
  in = new Set();
  #seen = 0;
  #socket = null;

  /** Take what was sent since, up to `most` frames. */
  serve(socket, most) {
    if (socket !== this.#socket) {
      this.#socket = socket;
      this.#seen = 0;
      this.in.clear();
    }
    for (const frame of socket.sent.slice(this.#seen, this.#seen + most)) {
      this.#seen++;
      const { type, room, id, payload } = frame;
      if (type === "LEAVE") {
        this.in.delete(room);
        socket.say({ type: "LEFT", room, ref: id });
      } else if (type === "JOIN") {
        const seq = this.log[room].length;
        const since = payload?.since?.seq;
        this.in.add(room);
        const recovered = since !== undefined;
        socket.say({ type: "JOINED", room, ref: id, payload: { epoch: "e1", seq: since ?? seq, recovered, missed: recovered ? seq - since : 0 } });
        for (let n = (since ?? seq) + 1; n <= seq; n++) socket.chat(room, n);
      }
    }
  }

  say(socket, room) {
    this.log[room].push(null);
    if (this.in.has(room)) socket.chat(room, this.log[room].length);
  }
}

for (let seed = 1; seed <= 60; seed++) {
  test(`holds and connections in any order (${seed})`, async () => {
    const random = randomOf(seed);
    const pick = (list) => list[Math.floor(random() * list.length)];
    const s = scene({ gapMs: 10 });
    const server = new Server();
    await s.open();
    const live = { a: new Set(), b: new Set() };
    const kept = { a: false, b: false };
    const over = [];
    for (let step = 0; step < 120; step++) {
      const name = pick(NAMES);
      const open = s.client.state === "open";
      const what = pick(["hold", "hold", "release", "release", "join", "leave", "drop", "serve", "serve", "serve", "say", "say", "say", "turn"]);
      if (what === "hold") {
        const room = s.client.room(name);
        const record = { room, heard: [] };
        room.on("CHAT", ({ seq }) => record.heard.push(seq));
        room.on("gap", ({ position }) => record.heard.push({ upTo: position.seq }));
        live[name].add(record);
      } else if (what === "release" && live[name].size) {
        const record = pick([...live[name]]);
        live[name].delete(record);
        record.room.leave();
        over.push([record, record.heard.length]);
      } else if (what === "join") {
        s.client.join(name);
        kept[name] = true;
      } else if (what === "leave") {
        s.client.leave(name);
        for (const record of live[name]) over.push([record, record.heard.length]);
        live[name].clear();
        kept[name] = false;
      } else if (what === "drop" && open && random() < 0.3) await s.again();
      else if (what === "serve" && open) server.serve(FakeSocket.all.at(-1), Math.ceil(random() * 3));
      else if (what === "say" && open) server.say(FakeSocket.all.at(-1), name);
      if (random() < 0.5) await settled();
    }
    for (let n = 0; n < 20; n++) {
      await s.clock.pass(100);
      server.serve(FakeSocket.all.at(-1), Infinity);
    }
    await settled();
    for (const name of NAMES) {
      const wanted = kept[name] || live[name].size > 0;
      assert.deepEqual([name, s.client.rooms.includes(name), server.in.has(name)], [name, wanted, wanted]);
      const last = server.log[name].length;
      for (const { room, heard } of live[name]) {
        assert.equal(room.state, "joined");
        // once and in order, up to the end, or told: what comes from a membership that is being left may be followed by a gap
        let at = null;
        for (const each of heard) {
          if (at !== null && typeof each === "number") assert.equal(each, at + 1);
          at = each.upTo ?? each;
        }
        if (at !== null) assert.equal(at, last);
      }
    }
    for (const [{ room, heard }, then] of over) assert.deepEqual([room.state, heard.length], ["left", then]);
  });
}
