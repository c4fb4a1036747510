/**
 * Requests to services that have no last word yet. A request waits in the outbox until it is answered; a durable one that was accepted
 * waits here for the message with its answer. Each promise is settled once, and `onPart` gets each part once, in order. Bounded: the
 * outbox limits what waits in it, and `outboxLimit` what waits here. Part of warren.js.
 */
import { WarrenError, rejected } from "./error.js";
import { Timers } from "./timers.js";

const GRACE_MS = 1_000; // the server's own time-out comes first, unless the connection is lost

export class Requests {
  #accepted = new Map(); // id ▶ entry, of durable requests
  #timers;
  #options;
  #outbox;
  #cancel;

  /** `cancel(id)` tells the server that nobody waits for an answer any more. */
  constructor(options, outbox, cancel) {
    this.#options = options;
    this.#outbox = outbox;
    this.#cancel = cancel;
    this.#timers = new Timers(options);
  }

  get isFull() {
    return this.#accepted.size >= this.#options.outboxLimit;
  }

  get(id) {
    const entry = this.#outbox.get(id) ?? this.#accepted.get(id);
    return entry?.kind === "REQUEST" ? entry : undefined;
  }

  /** Ask; return the promise of the answer's last part. `text` is the frame. */
  ask(id, text, { timeoutMs, durable = false, onPart, signal }) {
    if (signal?.aborted) return rejected(cancelled(id, signal));
    const entry = { id, kind: "REQUEST", build: () => text, durable, onPart, timeoutMs, n: 0 };
    const promise = this.#outbox.add(entry); // it may be refused in here
    if (!this.get(id)) return promise;
    this.#wait(entry);
    if (signal) {
      const abort = () => this.#giveUp(entry, cancelled(id, signal));
      signal.addEventListener("abort", abort, { once: true });
      entry.quiet = () => signal.removeEventListener("abort", abort);
    }
    return promise;
  }

  /** A RESPONSE: an answer, or a part of one. */
  answered({ ref, n = 1, more = false, payload }) {
    const entry = this.get(ref);
    if (!entry || n <= entry.n) return;
    entry.n = n;
    if (more) this.#wait(entry);
    else this.#over(entry)?.resolve(payload);
    if (more || n > 1) entry.onPart?.(payload, n);
  }

  /** The answer to a durable request will come as a message. */
  accepted(ref) {
    const entry = this.get(ref);
    if (!entry) return;
    this.#timers.cancel(ref);
    this.#outbox.settle(ref);
    this.#accepted.set(ref, entry);
  }

  /** An ERROR; or the request was given up. */
  refused(entry, error) {
    this.#over(entry)?.reject(error);
  }

  /** The connection is closed; with `why`, permanently. What has parts of an answer can't go on elsewhere. */
  down(why) {
    for (const entry of this.#outbox.of("REQUEST")) {
      const lost = new WarrenError("connection", "the connection was lost in the middle of an answer", { retry: true, ref: entry.id });
      if (why ?? entry.n > 0) this.refused(entry, why ?? lost);
    }
    if (why) for (const entry of [...this.#accepted.values()]) this.refused(entry, why);
  }

  #wait(entry) {
    const { id, timeoutMs, durable } = entry;
    if (timeoutMs === undefined || durable) return;
    const late = new WarrenError("timeout", `no answer within ${timeoutMs} ms`, { retry: true, ref: id });
    this.#timers.after(id, timeoutMs + GRACE_MS, () => this.#giveUp(entry, late));
  }

  #giveUp(entry, error) {
    if (this.get(entry.id) !== entry) return;
    const isSent = entry.sentAt !== null && !this.#accepted.has(entry.id);
    this.refused(entry, error);
    if (isSent) this.#cancel(entry.id);
  }

  #over(entry) {
    if (this.get(entry.id) !== entry) return undefined;
    this.#timers.cancel(entry.id);
    entry.quiet?.();
    this.#outbox.settle(entry.id);
    this.#accepted.delete(entry.id);
    return entry;
  }
}

function cancelled(ref, signal) {
  return new WarrenError("cancelled", "the request was cancelled", { ref, cause: signal.reason });
}
