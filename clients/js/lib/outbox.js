/**
 * What waits to be sent or answered, in order and bounded, no faster than the server allows. Everything in it has an id, so sending
 * it again is harmless: after a reconnect, when the broker is back, and when an answer is overdue. What was refused for good is
 * never sent again. Part of warren.js.
 */
import { WarrenError, deferred } from "./error.js";
import { Pace } from "./pace.js";
import { Suspects } from "./suspects.js";
import { Timers } from "./timers.js";

export class Outbox {
  dropped = 0; // ephemeral messages that could not go at once
  #entries = new Map(); // id ▶ {id, kind, room, build, sentAt, notBefore, promise, resolve, reject}
  #urgent = []; // {id, build, sent}: what goes before all entries, once
  #pace = new Pace();
  #suspects;
  #limits = {};
  #write = null; // while the connection is open
  #degraded = false;
  #timers;
  #options;
  #owner;

  /**
   * `options` has now, random, outboxLimit, the times and the timers' functions. `owner`: `ping()` makes a PING, {id, build};
   * `refused(entry, error)` is told of an entry that will not be sent again.
   */
  constructor(options, owner) {
    this.#options = options;
    this.#owner = owner;
    this.#timers = new Timers(options);
    this.#suspects = new Suspects(options, { ask: () => this.#ask(), go: () => this.pump() });
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
    return this.#sent().some(({ kind, room: to }) => kind === "message" && (to == null || to === room));
  }

  /** The connection is open: the `first` entries (JOINs) go before all that waits. */
  open(write, limits = {}, first = []) {
    const rest = [...this.#entries.values()];
    this.#entries = new Map([...first.map(prepared), ...rest].map((entry) => [entry.id, entry]));
    this.#write = write;
    this.#limits = limits;
    this.#degraded = false;
    this.#pace.reset(limits);
    this.again();
  }

  /** The connection is gone: messages wait for the next, JOINs are asked anew, and who is not connected is in no room. */
  disconnect() {
    this.#write = null;
    this.#urgent = [];
    this.#timers.clear();
    this.#suspects.pause();
    for (const entry of [...this.#entries.values()]) {
      if (entry.sentAt !== null) entry.resent = true;
      entry.sentAt = null;
      if (entry.kind === "JOIN") this.settle(entry.id);
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

  /** Send before all that waits, once, as soon as the rate allows: a heartbeat, a token. `sent` is called when it has gone out. */
  first({ id, build, sent }) {
    if (!this.#write) return;
    this.#urgent.push({ id, build, sent });
    this.pump();
  }

  /** Take an entry out; its caller resolves or rejects it. */
  settle(id) {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    this.#suspects.forget(id);
    return entry;
  }

  /**
   * Send an entry again, not before `ms` from now, and a random while after that, which grows with each refusal: who is refused
   * together with many shall not come back together with them.
   */
  postpone(entry, ms = 0) {
    const { now, random, backoffMs, backoffCapMs } = this.#options;
    const more = random() * Math.min(backoffCapMs, backoffMs * 2 ** (entry.refusals ?? 0));
    Object.assign(entry, { sentAt: null, notBefore: now() + ms + more, refusals: (entry.refusals ?? 0) + 1 });
  }

  answered(id) {
    this.#pace.answered(id, this.#options.now(), this.#suspects.isMark(id));
    this.#suspects.answered(id);
  }

  /** The server refused a frame for good and does not say which: return its entry where that is clear, else find out. */
  accuse(error) {
    const entry = this.#suspects.accuse(this.#sent(), !this.#pace.isUncertain, error);
    if (entry) this.#pace.answered(entry.id, this.#options.now());
    return entry;
  }

  /** Send at once or never. */
  ephemeral(text) {
    const isFree = this.#urgent.length === 0 && this.#suspects.size === 0 && this.#pace.wait(this.#options.now()) === 0;
    if (this.#write && isFree) this.#send(text);
    else this.dropped++;
  }

  degraded(yes) {
    this.#degraded = yes;
    if (!yes) this.again();
  }

  /** Send all that is not answered again, in order. */
  again() {
    for (const entry of this.#entries.values()) entry.sentAt = null;
    this.#suspects.pause();
    this.#pace.giveUp(this.#options.now());
    this.pump();
  }

  /** Send what waits, in order, as fast as the server allows. */
  pump() {
    if (!this.#write) return;
    const now = this.#options.now();
    while (this.#urgent.length) {
      if (!this.#mayGo(now, true)) return;
      const { id, build, sent } = this.#urgent.shift();
      this.#send(build(), id);
      sent?.();
    }
    let later = Infinity;
    for (const entry of this.#suspects.among([...this.#entries.values()])) {
      if (entry.sentAt !== null || this.#entries.get(entry.id) !== entry) continue;
      if (entry.notBefore > now) {
        later = Math.min(later, entry.notBefore - now);
        continue;
      }
      if (!this.#mayGo(now)) break;
      const text = entry.build();
      if (this.#suspects.isOver(entry)) this.#owner.refused(entry, new WarrenError(entry.fault.code, entry.fault.message));
      else if (exceeds(text, this.#limits.message_bytes)) {
        const message = `the message is larger than ${this.#limits.message_bytes} bytes`;
        this.#owner.refused(entry, new WarrenError("message_too_large", message, { ref: entry.id }));
      } else {
        entry.sentAt = now;
        this.#send(text, entry.id);
        if (!this.#timers.has("ack")) this.#timers.after("ack", this.#options.ackTimeoutMs, () => this.#overdue());
        this.#suspects.sent(entry);
        continue;
      }
      if (this.#suspects.size) return this.pump(); // the next one's turn
    }
    if (this.#urgent.length) return this.pump(); // the PING behind a suspect
    if (later < Infinity) this.#timers.after("later", later, () => this.pump());
  }

  /** The entries that are sent and not answered. */
  #sent() {
    return [...this.#entries.values()].filter(({ sentAt }) => sentAt !== null);
  }

  /** Whether the rate allows one more now; where it does not, a timer or the next answer goes on. */
  #mayGo(now, urgent = false) {
    const wait = this.#pace.wait(now, urgent);
    if (wait > 0 && wait < Infinity) this.#timers.after("pace", wait, () => this.pump());
    return wait === 0;
  }

  #send(text, id) {
    this.#pace.take(id, this.#options.now());
    this.#write?.(text);
  }

  /** Put a PING behind what was sent; return its id. */
  #ask() {
    const ping = this.#owner.ping();
    this.#urgent.push(ping);
    return ping.id;
  }

  /** An answer can be lost between the servers; then the same id gets the same answer again. */
  #overdue() {
    const sent = this.#sent();
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
