/**
 * What waits to be sent or answered, in order and bounded, no faster than the server allows. Everything in it has an id,
 * so sending it again is harmless: after a reconnect, when the broker is back, and when an answer is overdue.
 * Part of warren.js.
 */
import { WarrenError, deferred } from "./error.js";
import { Timers } from "./timers.js";

/**
 * Keeps under the server's rate: a place is free again one period after its message was answered, so that no delay on
 * the way can make two bursts one.
 */
class Pace {
  #places = new Map();
  #unanswered = 0;

  reset({ rate = 0, rate_per_ms: perMs = 0 } = {}) {
    Object.assign(this, { rate, perMs });
    this.#places.clear();
  }

  /** Milliseconds until something may be sent: 0 now, Infinity after the next answer. */
  wait(now) {
    for (const [id, freeAt] of this.#places) if (freeAt <= now) this.#places.delete(id);
    if (!this.rate || this.#places.size < this.rate) return 0;
    return Math.min(...this.#places.values()) - now;
  }

  take(id, now) {
    if (!this.rate) return;
    // what nobody answers frees its place a little later than the period, for the unevenness of the way
    if (id === undefined) this.#places.set(`~${++this.#unanswered}`, now + this.perMs * 1.25);
    else this.#places.set(id, Infinity);
  }

  answered(id, now) {
    if (this.#places.has(id)) this.#places.set(id, now + this.perMs);
  }
}

export class Outbox {
  dropped = 0; // ephemeral messages that could not go at once
  #entries = new Map(); // id ▶ {id, kind, room, build, sentAt, notBefore, promise, resolve, reject}
  #pace = new Pace();
  #limits = {};
  #write = null; // while the connection is open
  #degraded = false;
  #timers;
  #options;

  /** `options` has now, ackTimeoutMs, outboxLimit and the timers' functions. */
  constructor(options) {
    this.#options = options;
    this.#timers = new Timers(options);
    this.#pace.reset();
  }

  get size() {
    return this.#entries.size;
  }

  get isFull() {
    let messages = 0;
    for (const { kind } of this.#entries.values()) if (kind === "message" || kind === "HISTORY") messages++;
    return messages >= this.#options.outboxLimit;
  }

  get(id) {
    return this.#entries.get(id);
  }

  /** Whether own messages to this room (null: to the first one) are sent and not acknowledged. */
  hasSentTo(room) {
    const sent = ({ kind, sentAt, room: to }) => kind === "message" && sentAt !== null && (to == null || to === room);
    return [...this.#entries.values()].some(sent);
  }

  /** The connection is open: the `first` entries (JOINs) go before all that waits. */
  open(write, limits = {}, first = []) {
    const rest = [...this.#entries.values()];
    this.#entries = new Map([...first.map(prepared), ...rest].map((entry) => [entry.id, entry]));
    this.#write = write;
    this.#limits = limits;
    this.#degraded = false;
    this.again();
  }

  /** The connection is gone: messages wait for the next, JOINs are asked anew, and who is not connected is in no room. */
  disconnect() {
    this.#write = null;
    this.#timers.clear();
    for (const entry of [...this.#entries.values()]) {
      if (entry.sentAt !== null) entry.resent = true;
      entry.sentAt = null;
      if (entry.kind === "JOIN") this.#entries.delete(entry.id);
      if (entry.kind === "LEAVE") this.settle(entry.id).resolve();
    }
  }

  /** No connection will come: everybody who waits is told why. */
  close(why) {
    this.disconnect();
    for (const id of [...this.#entries.keys()]) this.settle(id).reject(why);
  }

  add(entry) {
    this.#entries.set(entry.id, prepared(entry));
    this.pump();
    return entry.promise;
  }

  /** Take an entry out; its caller resolves or rejects it. */
  settle(id) {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    return entry;
  }

  /** Send an entry again, not before `ms` from now. */
  postpone(entry, ms) {
    Object.assign(entry, { sentAt: null, notBefore: this.#options.now() + ms });
  }

  answered(id) {
    this.#pace.answered(id, this.#options.now());
  }

  /** Send at once, and past the queue: a heartbeat. */
  now(text, id) {
    this.#pace.take(id, this.#options.now());
    this.#write?.(text);
  }

  /** Send at once or never. */
  ephemeral(text) {
    if (this.#write && this.#pace.wait(this.#options.now()) === 0) this.now(text);
    else this.dropped++;
  }

  degraded(yes) {
    this.#degraded = yes;
    if (!yes) this.again();
  }

  /** Send all that is not answered again, in order. */
  again() {
    for (const entry of this.#entries.values()) entry.sentAt = null;
    this.#pace.reset(this.#limits);
    this.pump();
  }

  /** Send what waits, in order, as fast as the server allows. */
  pump() {
    if (!this.#write) return;
    const now = this.#options.now();
    for (const entry of [...this.#entries.values()]) {
      if (entry.sentAt !== null) continue;
      if (entry.notBefore > now) {
        this.#timers.after("later", entry.notBefore - now, () => this.pump());
        continue;
      }
      const wait = this.#pace.wait(now);
      if (wait > 0) {
        if (wait < Infinity) this.#timers.after("pace", wait, () => this.pump());
        return; // else the next answer pumps
      }
      const text = entry.build();
      if (exceeds(text, this.#limits.message_bytes)) {
        const message = `the message is larger than ${this.#limits.message_bytes} bytes`;
        this.settle(entry.id).reject(new WarrenError("message_too_large", message, { ref: entry.id }));
        continue;
      }
      entry.sentAt = now;
      this.now(text, entry.id);
      if (!this.#timers.has("ack")) this.#timers.after("ack", this.#options.ackTimeoutMs, () => this.#overdue());
    }
  }

  /** An answer can be lost between the servers; then the same id gets the same answer again. */
  #overdue() {
    const sent = [...this.#entries.values()].filter((entry) => entry.sentAt !== null);
    if (sent.length === 0) return;
    const { ackTimeoutMs, now } = this.#options;
    const due = Math.min(...sent.map((entry) => entry.sentAt)) + ackTimeoutMs - now();
    if (due > 0 || this.#degraded) {
      this.#timers.after("ack", Math.max(due, 1_000), () => this.#overdue());
    } else this.again();
  }
}

function prepared(entry) {
  return Object.assign(entry, deferred(), { sentAt: null, notBefore: 0 });
}

function exceeds(text, bytes) {
  return bytes !== undefined && text.length * 3 > bytes && new TextEncoder().encode(text).length > bytes;
}
