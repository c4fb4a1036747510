/**
 * The bounded queue of frames that wait to be sent or answered. It sends in order, and no faster than the server allows. Every frame in
 * it has an id, so it can safely be sent again: after a reconnect, when the broker is back, and when an answer is overdue. A frame that
 * was refused permanently is never sent again. One that is `unanswered` is sent once, when its turn comes, and one
 * that `yields` only when no other waits.
 */
import { WarrenError, deferred, type Deferred } from "./error.js";
import type { AllOptions } from "./options.js";
import { Pace } from "./pace.js";
import type { ClientLimits } from "./protocol.js";
import type { Asked } from "./open_receipts.js";
import { Suspects } from "./suspects.js";
import { Timers } from "./timers.js";

const COUNTED = new Set(["message", "HISTORY", "PRESENCE", "REQUEST"]); // what outboxLimit limits

/** What is to be sent, and answered. `build` makes the frame's text at the moment it is sent. */
export interface Entry {
  id: string;
  /** "message", or the frame's type. */
  kind: string;
  room?: string | null | undefined;
  build: () => string;
  /** It belongs to this connection: the next one makes it anew. */
  once?: boolean;
  unanswered?: boolean;
  yields?: boolean;
  /** Of a message: the frame without the wish for a receipt. */
  text?: string;
  /** It comes from a snapshot: nobody has its promise yet. */
  isRestored?: boolean;
  /** The sender wants its own copy too. */
  echo?: boolean;
  /** The sender wants a receipt. */
  receipt?: Asked | undefined;
}

/** An entry in the outbox. */
export interface Waiting extends Entry, Deferred<any> {
  sentAt: number | null;
  notBefore: number;
  /** It was sent on more than one connection. */
  resent?: boolean;
  refusals?: number;
  tries?: number;
  fault?: WarrenError;
}

/** A frame that is sent once, before all entries. `sent` is called afterwards. */
export interface Urgent {
  id?: string | undefined;
  build: () => string;
  sent?: (() => void) | undefined;
}

export interface OutboxOwner {
  ping(): Urgent & { id: string };
  /** An entry will not be sent again. */
  refused(entry: Waiting, error: WarrenError): void;
}

export class Outbox {
  dropped = 0; // ephemeral messages that could not be sent at once
  #entries = new Map<string, Waiting>();
  #urgent: Urgent[] = [];
  #pace = new Pace();
  #suspects: Suspects;
  #limits: Partial<ClientLimits> = {};
  #write: ((text: string) => void) | null = null; // while the connection is open
  #degraded = false;
  #timers: Timers;
  #options: AllOptions;
  #owner: OutboxOwner;

  constructor(options: AllOptions, owner: OutboxOwner) {
    this.#options = options;
    this.#owner = owner;
    this.#timers = new Timers(options);
    this.#suspects = new Suspects(options, { ask: () => this.#ask(), go: () => this.pump() });
  }

  get size(): number {
    return this.#entries.size;
  }

  get isFull(): boolean {
    let messages = 0;
    for (const { kind, once } of this.#entries.values()) if (COUNTED.has(kind) && !once) messages++;
    return messages >= this.#options.outboxLimit;
  }

  get(id: string | undefined): Waiting | undefined {
    return this.#entries.get(id!);
  }

  of(kind: string): Waiting[] {
    return [...this.#entries.values()].filter((entry) => entry.kind === kind);
  }

  /** Whether own messages to this room (or to the default room) are sent and not acknowledged. */
  hasSentTo(room: string): boolean {
    return this.#sent().some(({ kind, room: to }) => kind === "message" && (to == null || to === room));
  }

  /** The connection is open: send the `first` entries (JOINs) before those that wait. */
  open(write: (text: string) => void, limits: Partial<ClientLimits> = {}, first: Entry[] = []): void {
    const rest = [...this.#entries.values()];
    this.#entries = new Map([...first.map(prepared), ...rest].map((entry) => [entry.id, entry] as const));
    this.#write = write;
    this.#limits = limits;
    this.#degraded = false;
    this.#pace.reset(limits);
    this.again();
  }

  /** The connection is closed: messages wait for the next one, JOINs (and what else is `once`) will be made again, and LEAVEs are done. */
  disconnect(): void {
    this.#write = null;
    this.#urgent = [];
    this.#timers.clear();
    this.#suspects.pause();
    for (const entry of [...this.#entries.values()]) {
      if (entry.sentAt !== null) entry.resent = true;
      entry.sentAt = null;
      if (entry.kind === "JOIN" || entry.once) this.settle(entry.id);
      if (entry.kind === "LEAVE") this.settle(entry.id)?.resolve(undefined);
    }
  }

  /** There will be no further connection: reject all entries. */
  close(why: unknown): void {
    this.disconnect();
    for (const id of [...this.#entries.keys()]) this.settle(id)?.reject(why);
  }

  add(entry: Entry): Promise<any> {
    const waiting = prepared(entry);
    this.#entries.set(entry.id, waiting);
    this.pump();
    return waiting.promise;
  }

  /** Send once, before all entries, as soon as the rate allows: a heartbeat, a token. Calls `sent` afterwards. */
  first(frame: Urgent): void {
    if (!this.#write) return;
    this.#urgent.push(frame);
    this.pump();
  }

  /** Remove and return an entry; the caller resolves or rejects it. */
  settle(id: string | null | undefined): Waiting | undefined {
    if (id == null) return undefined;
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    this.#suspects.forget(id);
    return entry;
  }

  /**
   * Send an entry again after `ms` and a random delay that grows with each refusal, so that many clients that were refused together do
   * not come back together.
   */
  postpone(entry: Waiting, ms = 0): void {
    const { now, random, backoffMs, backoffCapMs } = this.#options;
    const more = random() * Math.min(backoffCapMs, backoffMs * 2 ** (entry.refusals ?? 0));
    Object.assign(entry, { sentAt: null, notBefore: now() + ms + more, refusals: (entry.refusals ?? 0) + 1 });
  }

  answered(id: string | undefined): void {
    this.#pace.answered(id, this.#options.now(), this.#suspects.isMark(id));
    this.#suspects.answered(id);
  }

  /** The server refused a frame permanently and does not say which. Return its entry if that is clear; otherwise start to find out. */
  accuse(error: WarrenError): Waiting | undefined {
    const entry = this.#suspects.accuse(this.#sent(), !this.#pace.isUncertain, error);
    if (entry) this.#pace.answered(entry.id, this.#options.now());
    return entry;
  }

  /** Send a frame now or never. */
  ephemeral(text: string): void {
    const isFree = this.#urgent.length === 0 && this.#suspects.size === 0 && this.#pace.wait(this.#options.now()) === 0;
    if (this.#write && isFree) this.#send(text);
    else this.dropped++;
  }

  degraded(yes: boolean): void {
    this.#degraded = yes;
    if (!yes) this.again();
  }

  /** Send everything that has no answer again, in order; but not requests, each of which has its last word on this connection. */
  again(): void {
    for (const entry of this.#entries.values()) if (entry.kind !== "REQUEST") entry.sentAt = null;
    this.#suspects.pause();
    this.#pace.giveUp(this.#options.now());
    this.pump();
  }

  /** Send what waits, in order, as fast as the rate allows. */
  pump(): void {
    if (!this.#write) return;
    const now = this.#options.now();
    while (this.#urgent.length) {
      if (!this.#mayGo(now, true)) return;
      const { id, build, sent } = this.#urgent.shift()!;
      this.#send(build(), id);
      sent?.();
    }
    let later = Infinity;
    const inOrder = [...this.#entries.values()].sort((a, b) => Number(a.yields ?? false) - Number(b.yields ?? false));
    for (const entry of this.#suspects.among(inOrder)) {
      if (entry.sentAt !== null || this.#entries.get(entry.id) !== entry) continue;
      if (entry.notBefore > now) {
        later = Math.min(later, entry.notBefore - now);
        continue;
      }
      if (!this.#mayGo(now)) break;
      const text = entry.build();
      if (this.#suspects.isOver(entry)) this.#owner.refused(entry, new WarrenError(entry.fault!.code, entry.fault!.message));
      else if (exceeds(text, this.#limits.message_bytes)) {
        const message = `the message is larger than ${this.#limits.message_bytes} bytes`;
        this.#owner.refused(entry, new WarrenError("message_too_large", message, { ref: entry.id }));
      } else {
        entry.sentAt = now;
        // the answer to a request may take long: it says nothing of the rate, and is not overdue
        const isAwaited = entry.kind !== "REQUEST" && !entry.unanswered;
        if (entry.unanswered) this.settle(entry.id);
        this.#send(text, isAwaited ? entry.id : undefined);
        if (isAwaited && !this.#timers.has("ack")) this.#timers.after("ack", this.#options.ackTimeoutMs, () => this.#overdue());
        this.#suspects.sent(entry);
        continue;
      }
      if (this.#suspects.size) return this.pump(); // the next suspect
    }
    if (this.#urgent.length) return this.pump(); // the PING after a suspect
    if (later < Infinity) this.#timers.after("later", later, () => this.pump());
  }

  /** Entries that are sent and not answered. */
  #sent(): Waiting[] {
    return [...this.#entries.values()].filter(({ sentAt }) => sentAt !== null);
  }

  /** Whether the rate allows another frame now. If not, a timer or the next answer continues. */
  #mayGo(now: number, urgent = false): boolean {
    const wait = this.#pace.wait(now, urgent);
    if (wait > 0 && wait < Infinity) this.#timers.after("pace", wait, () => this.pump());
    return wait === 0;
  }

  #send(text: string, id?: string): void {
    this.#pace.take(id, this.#options.now());
    this.#write?.(text);
  }

  /** Send a PING after everything that was sent; return its id. */
  #ask(): string {
    const ping = this.#owner.ping();
    this.#urgent.push(ping);
    return ping.id;
  }

  /** An answer can be lost between the servers. Sending the same id again gets the same answer. */
  #overdue(): void {
    const sent = this.#sent().filter(({ kind }) => kind !== "REQUEST");
    if (sent.length === 0) return;
    const { ackTimeoutMs, now } = this.#options;
    const due = Math.min(...sent.map((entry) => entry.sentAt!)) + ackTimeoutMs - now();
    if (due > 0 || this.#degraded) {
      this.#timers.after("ack", Math.max(due, 1_000), () => this.#overdue());
    } else this.again();
  }
}

function prepared(entry: Entry): Waiting {
  return Object.assign(entry, deferred<any>(), { sentAt: null, notBefore: 0 });
}

function exceeds(text: string, bytes: number | undefined): boolean {
  return bytes !== undefined && text.length * 3 > bytes && new TextEncoder().encode(text).length > bytes;
}
