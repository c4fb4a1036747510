/**
 * Who is in one room and who has seen what, kept right by proofs: each frame says the sum of the proofs of all members, so a client that
 * has the same sum has the same members, and only one that differs reads them. It sends nothing itself: its owner does. Part of warren.js.
 */
import { Listeners } from "./listeners.js";
import { SeenPositions } from "./seen_positions.js";

const MODULUS = 1n << 64n;
const PAGE = 500;
/** Clients that lack the same read it at different times: within so many ms for each user in the room, and within these limits. */
const SPREAD_MS = { least: 250, perUser: 5, most: 5_000 };

export class Roster {
  members = new Map(); // key ▶ {user, connection?, info?}; the key is the connection if connections are told of, otherwise the user
  count = { users: 0, connections: 0 };
  countsOnly = false; // the room has too many members to tell them by name
  watching = null; // null: not answered yet; false: the room does not tell
  info; // what the room shows of this client; undefined: what the token says
  #proofs = new Map(); // key ▶ BigInt
  #sum = 0n;
  #told = null; // {version, digest}: what the room has
  #read = null; // {after, found, ranges, diffs}: a read in progress
  #failures = 0; // reads in a row that did not help
  #isKnown = false; // the members were told at least once
  #seen = new SeenPositions();
  #listeners = new Listeners();
  #owner;

  /** `owner` has `random()`, `user()`, `later(ms, then)` (one timer), `ask(payload)` and `update(info)`; both return promises. */
  constructor(owner) {
    this.#owner = owner;
  }

  /** Listen to `join`, `leave` and `update` (with the member), `seen` or `change`. Return a function that removes the listener. */
  on(event, listener) {
    return this.#listeners.on(event, listener);
  }

  [Symbol.iterator]() {
    return this.members.values();
  }

  /** Whether these are all members, as the room's proof says. */
  get isComplete() {
    return !this.countsOnly && this.#told !== null && this.#told.digest === this.#sum;
  }

  get seen() {
    return this.#seen.users;
  }

  /** Whether the room tells who has seen what. */
  get tellsSeen() {
    return this.#seen.epoch !== null;
  }

  /** Which users have seen a message, without our own: `message` is its seq, or whatever has its seq and epoch. */
  seenBy(message) {
    const { seq, epoch = this.#seen.epoch } = typeof message === "number" ? { seq: message } : message;
    const own = this.#owner.user();
    return epoch === this.#seen.epoch ? [...this.seen.keys()].filter((user) => user !== own && this.seen.get(user) >= seq) : [];
  }

  /** Have the room show `info` (any JSON of at most 1 KiB; null: nothing) with this client from now on. */
  update(info) {
    this.info = info ?? null;
    return this.#owner.update(this.info);
  }

  // ── for the client ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What a JOIN asks of presence. */
  joining() {
    const asked = { watch: true };
    if (this.info !== undefined) asked.info = this.info;
    if (this.#isKnown && !this.countsOnly) asked.digest = this.#sum.toString(16).padStart(16, "0");
    return asked;
  }

  joined(watching) {
    this.#becomes(watching);
  }

  /** The connection is closed: the members stay as they were, until the next one says otherwise. */
  disconnect() {
    this.#read = null;
    this.#owner.later(null);
  }

  /** A PRESENCE of the room has arrived. */
  take(payload) {
    if (payload.watching !== undefined) return this.#becomes(payload.watching);
    if (payload.count === undefined) return;
    const before = JSON.stringify([this.count, this.countsOnly]);
    this.countsOnly = payload.counts_only === true;
    if (this.countsOnly) this.#clear();
    const isNews = this.#takeSeen(payload);
    const told = { version: payload.version, digest: BigInt(`0x${payload.digest}`), count: payload.count };
    const named = payload.page ? this.#takePage(payload, told) : this.#takeDiff(payload, told);
    this.count = this.#told.count;
    if (named || before !== JSON.stringify([this.count, this.countsOnly])) this.#listeners.emit("change", this);
    if (isNews) this.#listeners.emit("seen", this);
    this.#check();
  }

  /** Take who has seen what; of the pages of a read, only the first one tells that. Returns whether it is news. */
  #takeSeen({ seen, page, after }) {
    if (after) return false;
    if (!seen) return this.#seen.clear();
    const later = (this.#read?.diffs ?? []).flatMap((diff) => diff.seen ?? []);
    return page ? this.#seen.replace(seen, later) : this.#seen.take(seen);
  }

  // ── diffs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

  #takeDiff(payload, told) {
    this.#told = told;
    this.#read?.diffs.push(payload);
    if (this.countsOnly) return false;
    const changes = opsOf(payload).filter(([key, entry]) => this.#put(key, entry));
    return changes.length > 0;
  }

  /** Set or remove (`entry` null) a member, and say so. Returns whether anything changed. */
  #put(key, entry) {
    const [known, proof] = [this.members.get(key), this.#proofs.get(key)];
    if (entry === null ? !known : proof === entry.proof) return false;
    this.#sum = (this.#sum - (proof ?? 0n) + (entry?.proof ?? 0n) + MODULUS) % MODULUS;
    if (entry === null) {
      this.members.delete(key);
      this.#proofs.delete(key);
    } else {
      this.members.set(key, entry.member);
      this.#proofs.set(key, entry.proof);
    }
    this.#listeners.emit(entry === null ? "leave" : known ? "update" : "join", entry?.member ?? known);
    return true;
  }

  // ── reads ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

  get #hasAll() {
    return this.countsOnly || (this.isComplete && this.#seen.isComplete);
  }

  /** A difference is read after a random delay, which grows while reads do not help. */
  #check() {
    if (this.countsOnly || this.isComplete) this.#isKnown = true;
    if (this.#hasAll) {
      this.#failures = 0;
      return this.#owner.later(null);
    }
    if (this.#read || this.#owner.isWaiting()) return;
    const { least, perUser, most } = SPREAD_MS;
    const spread = Math.min(most, least + perUser * this.count.users) * 2 ** Math.min(this.#failures, 5);
    this.#owner.later(this.#owner.random() * spread, () => this.#begin());
  }

  #begin() {
    if (this.#hasAll || this.#read) return;
    this.#failures++;
    this.#read = newRead();
    this.#next();
  }

  async #next() {
    const read = this.#read;
    try {
      // each first page has all who have seen anything
      await this.#owner.ask({ limit: this.isComplete ? 1 : PAGE, after: read.after });
    } catch (error) {
      if (this.#read !== read) return;
      this.#read = null;
      if (error.retry) this.#check();
    }
  }

  #takePage(payload, told) {
    if (this.countsOnly) {
      this.#told = told;
      this.#read = null;
      return false;
    }
    const { after, more, joined = [] } = payload;
    if (!this.#read && after === "") this.#read = newRead(); // the first page comes unasked
    const read = this.#read;
    if (read?.diffs.length === 0 || !this.#told || told.version >= this.#told.version) this.#told = told;
    if (!read || read.after !== after) return false;
    if (this.isComplete) {
      this.#read = null; // the members are proved without it
      return false;
    }
    const found = joined.map(entryOf);
    for (const [key, entry] of found) read.found.set(key, entry);
    const isLast = !more || found.length === 0;
    read.ranges.push({ last: isLast ? null : found.at(-1)[0], version: payload.version });
    if (!isLast) {
      read.after = found.at(-1)[0];
      this.#next();
      return false;
    }
    this.#read = null;
    this.#isKnown = true;
    return this.#replace(read);
  }

  /** Take what was read for what is there: what came meanwhile and is newer than its page counts. */
  #replace({ found, ranges, diffs }) {
    for (const diff of diffs) {
      for (const [key, entry] of opsOf(diff)) {
        const { version } = ranges.find(({ last }) => last === null || key <= last);
        if (diff.version <= version) continue;
        if (entry) found.set(key, entry);
        else found.delete(key);
      }
    }
    let changes = 0;
    for (const key of [...this.members.keys()]) if (!found.has(key)) changes += this.#put(key, null);
    for (const [key, entry] of found) changes += this.#put(key, entry);
    return changes > 0;
  }

  #clear() {
    this.members.clear();
    this.#proofs.clear();
    this.#sum = 0n;
    this.#read = null;
  }

  #becomes(watching) {
    if (this.watching === watching) return;
    this.watching = watching;
    this.#listeners.emit("change", this);
  }
}

function newRead() {
  return { after: "", found: new Map(), ranges: [], diffs: [] };
}

function entryOf({ proof, ...member }) {
  return [member.connection ?? member.user, { member, proof: BigInt(`0x${proof}`) }];
}

/** What a diff says, one after the other: [key, {member, proof}], or [key, null] for one who has left. */
function opsOf({ joined = [], left = [], updated = [] }) {
  return [...left.map((key) => [key, null]), ...joined.map(entryOf), ...updated.map(entryOf)];
}
