/**
 * Against a correct server: frames are lost, repeated and reordered, members come, go and change, users see more and are forgotten, epochs
 * end, the connection drops. When nothing more is lost, each roster has just the members of the room and what is seen there, its events
 * add up to them, and nothing more is asked.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";

import { Roster } from "../dist/esm/roster.js";
import { FakeClock, settled } from "../support/fakes.js";
import { randomOf } from "../support/random.js";

const NAMES = "abcdefghij".split("");
const MODULUS = 1n << 64n;

/** A room, and what it tells at each beat. */
class Room {
  members = new Map(); // name ▶ revision
  before = new Map(); // as it was told last
  version = 0;
  life = 0;
  seen = new Map(); // name ▶ seq, the one that has grown last at the end
  saw = new Set(); // since it was told last

  constructor(remembered) {
    this.remembered = remembered; // the seqs of so many are kept
  }

  proof(name, revision) {
    const bytes = [...`${this.life} ${name} ${revision}`].reduce((hash, c) => (hash * 1_099_511_628_211n + BigInt(c.charCodeAt(0))) % MODULUS, 7n);
    return bytes.toString(16).padStart(16, "0");
  }

  member(name) {
    const revision = this.members.get(name);
    return { user: name, info: revision, proof: this.proof(name, revision) };
  }

  get state() {
    const sum = [...this.members].reduce((sum, [name, revision]) => (sum + BigInt(`0x${this.proof(name, revision)}`)) % MODULUS, 0n);
    const count = { users: this.members.size, connections: this.members.size };
    return { version: this.version, count, digest: sum.toString(16).padStart(16, "0"), seen: this.seenBy([]) };
  }

  seenBy(names) {
    const users = Object.fromEntries([...this.seen].filter(([name]) => names.includes(name)));
    const sum = [...this.seen.values()].reduce((sum, seq) => sum + seq, 0);
    return { epoch: `e${this.life}`, sum, ...(Object.keys(users).length && { users }) };
  }

  see(name, more) {
    const seq = (this.seen.get(name) ?? 0) + more;
    this.seen.delete(name);
    this.seen.set(name, seq);
    this.saw.add(name);
    if (this.seen.size > this.remembered) this.seen.delete(this.seen.keys().next().value);
  }

  turn(name) {
    this.version++;
    if (!this.members.delete(name)) this.members.set(name, this.version);
  }

  update(name) {
    if (this.members.has(name)) this.members.set(name, ++this.version);
  }

  /** The log was lost: all begins anew with the same members. */
  begin() {
    this.life++;
    this.version = 0;
    for (const name of this.members.keys()) this.members.set(name, ++this.version);
    this.before = new Map();
    this.seen.clear();
    this.saw.clear();
  }

  diff() {
    const joined = [...this.members.keys()].filter((name) => !this.before.has(name)).map((name) => this.member(name));
    const updated = [...this.members].filter(([name, revision]) => this.before.has(name) && this.before.get(name) !== revision);
    const left = [...this.before.keys()].filter((name) => !this.members.has(name));
    this.before = new Map(this.members);
    const seen = this.seenBy([...this.saw]);
    this.saw.clear();
    return { ...this.state, joined, left, updated: updated.map(([name]) => this.member(name)), seen };
  }

  page(limit, after) {
    const names = [...this.members.keys()].sort().filter((name) => name > after);
    const joined = names.slice(0, limit).map((name) => this.member(name));
    const seen = after ? undefined : this.seenBy(NAMES);
    return { ...this.state, page: true, after, more: names.length > limit, joined, seen };
  }
}

async function walk(seed, remembered) {
  const random = randomOf(seed);
  const [clock, room] = [new FakeClock(), new Room(remembered)];
  const { setTimeout, clearTimeout } = clock.options();
  const wire = []; // to the client, in order
  const asked = [];
  let [timer, lossy, reads] = [null, true, 0];
  const roster = new Roster({
    random,
    user: () => "a",
    later(ms, then) {
      if (timer !== null) clearTimeout(timer);
      timer = ms === null ? null : setTimeout(() => ((timer = null), then()), ms);
    },
    isWaiting: () => timer !== null,
    ask(payload) {
      reads++;
      return new Promise((resolve) => asked.push({ payload, resolve }));
    },
    update: async () => {},
  });
  const heard = new Map(); // what the events add up to
  const wrong = []; // events that can't be
  const hear = (event, member, isRight) => isRight ? heard.set(member.user, member.info) : wrong.push([event, member]);
  roster.on("join", (member) => hear("join", member, !heard.has(member.user)));
  roster.on("update", (member) => hear("update", member, heard.has(member.user)));
  roster.on("leave", (member) => heard.delete(member.user) || wrong.push(["leave", member]));
  let seen = new Map(); // as the last event left it
  roster.on("seen", () => {
    if (isDeepStrictEqual(roster.seen, seen)) wrong.push(["seen", seen]);
    seen = new Map(roster.seen);
  });
  const steps = {
    come: () => room.turn(NAMES[Math.floor(random() * NAMES.length)]),
    update: () => room.update(NAMES[Math.floor(random() * NAMES.length)]),
    see: () => room.see(NAMES[Math.floor(random() * NAMES.length)], 1 + Math.floor(random() * 1_000_000)),
    tell() {
      const diff = room.diff();
      if (lossy && random() < 0.3) return; // lost
      wire.push(diff);
      if (lossy && random() < 0.2) wire.push(structuredClone(diff)); // told by two routers
    },
    hear() {
      const at = lossy && random() < 0.1 ? Math.floor(random() * wire.length) : 0; // reordered
      const [frame] = wire.splice(at, 1);
      if (!frame) return;
      frame.resolve?.();
      roster.take(JSON.parse(JSON.stringify(frame.payload ?? frame)));
    },
    answer() {
      const question = asked.shift();
      if (!question) return;
      const { payload, resolve } = question;
      wire.push({ payload: room.page(Math.min(3, payload.limit), payload.after), resolve });
    },
    cut() {
      if (random() > 0.1) return;
      roster.disconnect();
      wire.length = asked.length = 0;
      const agrees = roster.joining().digest === room.state.digest;
      wire.push(agrees ? room.state : room.page(3, ""));
    },
    anew: () => random() < 0.03 && room.begin(),
    pass: () => clock.pass(300),
  };
  const names = Object.keys(steps);
  for (let n = 0; n < 400; n++) {
    await steps[names[Math.floor(random() * names.length)]]();
    await settled();
  }
  lossy = false;
  const rest = async () => {
    for (let n = 0; n < 60; n++) {
      for (const step of ["answer", "hear"]) while (step === "answer" ? asked.length : wire.length) steps[step](), await settled();
      await clock.pass(30_000);
    }
  };
  steps.tell();
  await rest();
  const story = `seed ${seed}`;
  assert.deepEqual([...roster.members.keys()].sort(), [...room.members.keys()].sort(), story);
  assert.deepEqual(new Map([...heard].sort()), new Map([...room.members].sort()), story);
  assert.deepEqual(wrong, [], story);
  assert.deepEqual(roster.seen, new Map(room.seen), story);
  assert.deepEqual(seen, roster.seen, story);
  assert.deepEqual(roster.seenBy(1).sort(), [...room.seen.keys()].filter((name) => name !== "a").sort(), story);
  assert.ok(roster.isComplete, story);
  assert.deepEqual(roster.count, room.state.count, story);
  const before = reads;
  wire.push(room.state);
  await rest();
  assert.equal(reads, before, `${story}: who agrees is silent`);
}

test("whatever is lost, repeated and reordered, in the end a roster has just who is there, and what they have seen", async () => {
  for (let seed = 1; seed <= 120; seed++) await walk(seed, NAMES.length);
});

test("it has also forgotten whom the server has forgotten", async () => {
  for (let seed = 201; seed <= 260; seed++) await walk(seed, 4);
});
