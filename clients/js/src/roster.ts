/**
 * Who is in one room and who has seen what, kept right by proofs: each frame says the sum of the proofs of all members, so a client that
 * has the same sum has the same members, and only one that differs reads them. It sends nothing itself: its owner does.
 */
import { Listeners } from "./listeners.js";
import type { JoinPresence, PresenceCount, PresenceMember, PresencePayload, PresenceRequestPayload } from "./protocol.js";
import { SeenPositions } from "./seen_positions.js";
import type { Member } from "./types.js";

const MODULUS = 1n << 64n;
const PAGE = 500;
/** Clients that lack the same read it at different times: within so many ms for each user in the room, and within these limits. */
const SPREAD_MS = { least: 250, perUser: 5, most: 5_000 };

export interface RosterEvents<Info = unknown> {
  join: Member<Info>;
  leave: Member<Info>;
  /** The member's `info` is another one. */
  update: Member<Info>;
  /** Users have seen more. */
  seen: Roster<Info>;
  /** Members, counts, `countsOnly` or `watching` have changed. */
  change: Roster<Info>;
}

/** What a roster needs of its client. */
export interface RosterOwner {
  random(): number;
  user(): string | null;
  /** One timer, which replaces a running one; null stops it. */
  later(ms: number | null, then?: () => void): void;
  isWaiting(): boolean;
  ask(payload: PresenceRequestPayload): Promise<unknown>;
  update(info: unknown): Promise<unknown>;
}

interface Told {
  version: number;
  digest: bigint;
  count: PresenceCount;
}
interface Known<Info> {
  member: Member<Info>;
  proof: bigint;
}
/** What is to be set, or (null) removed. */
type Op<Info> = [key: string, entry: Known<Info> | null];
/** A read in progress. */
interface Read<Info> {
  after: string;
  found: Map<string, Known<Info>>;
  ranges: { last: string | null; version: number }[];
  diffs: PresencePayload[];
}

/**
 * Who is in one room. It survives reconnects: members stay until the server says otherwise. If something was lost, it reads the room again
 * by itself, at a random time.
 */
export class Roster<Info = unknown> implements Iterable<Member<Info>> {
  /** By connection in rooms that tell of each connection, otherwise by user. Empty in rooms that tell numbers only. */
  readonly members = new Map<string, Member<Info>>();
  count: PresenceCount = { users: 0, connections: 0 };
  /** The room has too many members to tell them by name. */
  countsOnly = false;
  /** Whether the room tells this client who is there; null: not answered yet. */
  watching: boolean | null = null;
  info: unknown; // what the room shows of this client; undefined: what the token says
  #proofs = new Map<string, bigint>();
  #sum = 0n;
  #told: Told | null = null; // {version, digest}: what the room has
  #read: Read<Info> | null = null;
  #failures = 0; // reads in a row that did not help
  #isKnown = false; // the members were told at least once
  #seen = new SeenPositions();
  #listeners = new Listeners();
  #owner: RosterOwner;

  constructor(owner: RosterOwner) {
    this.#owner = owner;
  }

  /** Listen to `join`, `leave` and `update` (with the member), `seen` or `change`. Return a function that removes the listener. */
  on<Name extends keyof RosterEvents>(event: Name, listener: (value: RosterEvents<Info>[Name]) => void): () => void {
    return this.#listeners.on(event, listener);
  }

  [Symbol.iterator](): IterableIterator<Member<Info>> {
    return this.members.values();
  }

  /** Whether these are all members, as the room's proof says. */
  get isComplete(): boolean {
    return !this.countsOnly && this.#told !== null && this.#told.digest === this.#sum;
  }

  /** User ▶ the seq up to which it has seen the room, in the room's present epoch. It has users who have left, too. */
  get seen(): ReadonlyMap<string, number> {
    return this.#seen.users;
  }

  /** Whether the room tells who has seen what. */
  get tellsSeen(): boolean {
    return this.#seen.epoch !== null;
  }

  /** Which users have seen a message, without our own: `message` is its seq, or whatever has its seq and epoch. */
  seenBy(message: number | { seq?: number; epoch?: string }): string[] {
    const { seq, epoch } = typeof message === "number" ? { seq: message } : message;
    if (seq === undefined || (epoch ?? this.#seen.epoch) !== this.#seen.epoch) return [];
    const own = this.#owner.user();
    return [...this.seen].filter(([user, upTo]) => user !== own && upTo >= seq).map(([user]) => user);
  }

  /** Have the room show `info` (any JSON of at most 1 KiB; null: nothing) with this client from now on. */
  update(info: Info | null): Promise<unknown> {
    this.info = info ?? null;
    return this.#owner.update(this.info);
  }

  // ── for the client ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What a JOIN asks of presence. */
  joining(): JoinPresence {
    const asked: JoinPresence = { watch: true };
    if (this.info !== undefined) asked.info = this.info;
    if (this.#isKnown && !this.countsOnly) asked.digest = this.#sum.toString(16).padStart(16, "0");
    return asked;
  }

  joined(watching: boolean): void {
    this.#becomes(watching);
  }

  /** The connection is closed: the members stay as they were, until the next one says otherwise. */
  disconnect(): void {
    this.#read = null;
    this.#owner.later(null);
  }

  /** A PRESENCE of the room has arrived. */
  take(payload: PresencePayload): void {
    if (payload.watching !== undefined) return this.#becomes(payload.watching);
    if (payload.count === undefined) return;
    // what is no presence throws here, before anything is taken
    const { users, connections } = payload.count;
    const told: Told = { version: payload.version!, digest: BigInt(`0x${payload.digest}`), count: payload.count };
    const ops = opsOf<Info>(payload);
    if (![users, connections, told.version].every(Number.isSafeInteger)) throw new TypeError("PRESENCE without numbers");
    const before = JSON.stringify([this.count, this.countsOnly]);
    this.countsOnly = payload.counts_only === true;
    if (this.countsOnly) this.#clear();
    const isNews = this.#takeSeen(payload);
    const named = payload.page ? this.#takePage(payload, told, ops) : this.#takeDiff(payload, told, ops);
    this.count = this.#told!.count;
    if (named || before !== JSON.stringify([this.count, this.countsOnly])) this.#listeners.emit("change", this);
    if (isNews) this.#listeners.emit("seen", this);
    this.#check();
  }

  /** Take who has seen what; of the pages of a read, only the first one tells that. Returns whether it is news. */
  #takeSeen({ seen, page, after }: PresencePayload): boolean {
    if (after) return false;
    if (!seen) return this.#seen.clear();
    const later = (this.#read?.diffs ?? []).flatMap((diff) => diff.seen ?? []);
    return page ? this.#seen.replace(seen, later) : this.#seen.take(seen);
  }

  // ── diffs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

  #takeDiff(payload: PresencePayload, told: Told, ops: Op<Info>[]): boolean {
    this.#told = told;
    this.#read?.diffs.push(payload);
    if (this.countsOnly) return false;
    const changes = ops.filter(([key, entry]) => this.#put(key, entry));
    return changes.length > 0;
  }

  /** Set or remove (`entry` null) a member, and say so. Returns whether anything changed. */
  #put(key: string, entry: Known<Info> | null): boolean {
    const known = this.members.get(key);
    const proof = this.#proofs.get(key);
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

  get #hasAll(): boolean {
    return this.countsOnly || (this.isComplete && this.#seen.isComplete);
  }

  /** A difference is read after a random delay, which grows while reads do not help. */
  #check(): void {
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

  #begin(): void {
    if (this.#hasAll || this.#read) return;
    this.#failures++;
    this.#read = newRead();
    this.#next();
  }

  async #next(): Promise<void> {
    const read = this.#read!;
    try {
      // each first page has all who have seen anything
      await this.#owner.ask({ limit: this.isComplete ? 1 : PAGE, after: read.after });
    } catch (error) {
      if (this.#read !== read) return;
      this.#read = null;
      if ((error as { retry?: boolean }).retry) this.#check();
    }
  }

  #takePage(payload: PresencePayload, told: Told, ops: Op<Info>[]): boolean {
    if (this.countsOnly) {
      this.#told = told;
      this.#read = null;
      return false;
    }
    const { after, more } = payload;
    if (!this.#read && after === "") this.#read = newRead(); // the first page comes unasked
    const read = this.#read;
    if (read?.diffs.length === 0 || !this.#told || told.version >= this.#told.version) this.#told = told;
    if (!read || read.after !== after) return false;
    if (this.isComplete) {
      this.#read = null; // the members are proved without it
      return false;
    }
    const found = ops as [key: string, entry: Known<Info>][]; // of a page
    for (const [key, entry] of found) read.found.set(key, entry);
    const isLast = !more || found.length === 0;
    read.ranges.push({ last: isLast ? null : found.at(-1)![0], version: payload.version! });
    if (!isLast) {
      read.after = found.at(-1)![0];
      this.#next();
      return false;
    }
    this.#read = null;
    this.#isKnown = true;
    return this.#replace(read);
  }

  /** Take what was read for what is there: what came meanwhile and is newer than its page counts. */
  #replace({ found, ranges, diffs }: Read<Info>): boolean {
    for (const diff of diffs) {
      for (const [key, entry] of opsOf<Info>(diff)) {
        const { version } = ranges.find(({ last }) => last === null || key <= last)!;
        if (diff.version! <= version) continue;
        if (entry) found.set(key, entry);
        else found.delete(key);
      }
    }
    let changes = 0;
    for (const key of [...this.members.keys()]) if (!found.has(key)) changes += Number(this.#put(key, null));
    for (const [key, entry] of found) changes += Number(this.#put(key, entry));
    return changes > 0;
  }

  #clear(): void {
    this.members.clear();
    this.#proofs.clear();
    this.#sum = 0n;
    this.#read = null;
  }

  #becomes(watching: boolean): void {
    if (this.watching === watching) return;
    this.watching = watching;
    this.#listeners.emit("change", this);
  }
}

function newRead<Info>(): Read<Info> {
  return { after: "", found: new Map(), ranges: [], diffs: [] };
}

function entryOf<Info>({ proof, ...member }: PresenceMember): [key: string, entry: Known<Info>] {
  return [member.connection ?? member.user, { member: member as Member<Info>, proof: BigInt(`0x${proof}`) }];
}

/** What a diff says, one after the other: a key with its member, or null for one who has left. */
function opsOf<Info>({ joined = [], left = [], updated = [] }: PresencePayload): Op<Info>[] {
  return [...left.map((key): [string, null] => [key, null]), ...[...joined, ...updated].map((member) => entryOf<Info>(member))];
}
