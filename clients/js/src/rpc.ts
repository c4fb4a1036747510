/**
 * The part "rpc": requests to services that have no last word yet. A request waits in the outbox until it is answered; a durable one that
 * was accepted waits here for the message with its answer. Each promise is settled once, and `onPart` gets each part once, in order.
 * Bounded: the outbox limits what waits in it, and `outboxLimit` what waits here.
 */
import { controlFrame } from "./encode.js";
import { WarrenError, rejected } from "./error.js";
import type { Entry, Waiting } from "./outbox.js";
import type { Host, Part } from "./parts.js";
import { Queue } from "./queue.js";
import { requestFrame } from "./request_frame.js";
import { cancelled, onAbort } from "./signal.js";
import { Timers } from "./timers.js";
import type { Message, RequestOptions, StreamOptions } from "./types.js";

const QUEUED = 1_000; // parts of an answer that wait for a loop
const GRACE_MS = 1_000; // the server's own time-out comes first, unless the connection is lost

interface Request extends Entry {
  durable: boolean;
  timeoutMs: number | undefined;
  onPart: ((part: any, n: number) => void) | undefined;
  /** The number of the last part that has arrived. */
  n: number;
  /** Listen to the AbortSignal no more. */
  quiet?: () => void;
}

export class Requests implements Part {
  readonly name = "rpc";
  #accepted = new Map<string, Request & Waiting>(); // durable requests
  #timers: Timers;
  #host: Host;

  constructor(host: Host) {
    this.#host = host;
    this.#timers = new Timers(host.options);
  }

  isFull(): boolean {
    return this.#accepted.size >= this.#host.options.outboxLimit;
  }

  get(id: string | undefined): (Request & Waiting) | undefined {
    const entry = this.#host.outbox.get(id) ?? this.#accepted.get(id!);
    return entry?.kind === "REQUEST" ? (entry as Request & Waiting) : undefined;
  }

  request(service: string, payload: unknown, options: RequestOptions<any>): Promise<any> {
    const id = options.id ?? this.#host.id();
    let text: string;
    try {
      this.#host.checks?.id(id);
      text = this.#host.text(requestFrame(service, payload, { ...options, id }, this.#host.options.wall()));
    } catch (fault) {
      return rejected(fault);
    }
    const before = this.get(id);
    if (before) return before.promise; // already in flight
    const fault = this.#host.fault(id, true);
    return fault ? rejected(fault) : this.#ask(id, text, options);
  }

  /** The parts of an answer as they come. */
  stream(service: string, payload: unknown, { limit = QUEUED, signal, onPart, ...options }: StreamOptions): Queue<any> {
    const left = new AbortController();
    const queue = new Queue<any>(limit, () => {
      quiet();
      left.abort(new WarrenError("cancelled", "the loop was left"));
    });
    const quiet = onAbort(signal, () => left.abort(signal!.reason));
    let parts = 0;
    const take = (part: unknown, n: number) => {
      parts++;
      onPart?.(part, n);
      if (queue.isFull) queue.end(new WarrenError("too_slow", `more than ${limit} parts of an answer waited to be read`));
      else queue.put(part);
    };
    this.request(service, payload, { ...options, signal: left.signal, onPart: take }).then(
      (answer) => {
        if (!parts) queue.put(answer); // it came in one piece
        queue.end();
      },
      (error) => queue.end(error),
    );
    return queue;
  }

  /** Ask; return the promise of the answer's last part. `text` is the frame. */
  #ask(id: string, text: string, { timeoutMs, durable = false, onPart, signal }: RequestOptions<any>): Promise<any> {
    if (signal?.aborted) return rejected(cancelled("the request", signal, id));
    const request: Request = { id, kind: "REQUEST", build: () => text, durable, onPart, timeoutMs, n: 0 };
    const promise = this.#host.outbox.add(request); // it may be refused in here
    const entry = this.get(id);
    if (!entry) return promise;
    this.#wait(entry);
    if (signal) entry.quiet = onAbort(signal, () => this.#giveUp(entry, cancelled("the request", signal, id)));
    return promise;
  }

  /** A RESPONSE: an answer, or a part of one. */
  hand(message: { type: string }): void {
    if (message.type !== "RESPONSE") return;
    const { ref, n = 1, more = false, payload } = message as Message;
    const entry = this.get(ref);
    if (!entry || n <= entry.n) return;
    entry.n = n;
    if (more) this.#wait(entry);
    else this.#over(entry)?.resolve(payload);
    if (more || n > 1) entry.onPart?.(payload, n);
  }

  /** ACCEPTED: the answer to a durable request will come as a message. */
  take({ type, ref }: { type: string; ref?: string }): void {
    const entry = this.get(ref);
    if (type !== "ACCEPTED" || !entry) return;
    this.#timers.cancel(entry.id);
    this.#host.outbox.settle(ref);
    this.#accepted.set(entry.id, entry);
  }

  rejects(entry: Waiting, error: WarrenError): boolean {
    if (entry.kind !== "REQUEST") return false;
    this.#over(entry)?.reject(error);
    return true;
  }

  /** What has parts of an answer can't go on on another connection. */
  down(why?: WarrenError): void {
    for (const entry of this.#host.outbox.of("REQUEST")) {
      const lost = new WarrenError("connection", "the connection was lost in the middle of an answer", { retry: true, ref: entry.id });
      if (why || (entry as Request & Waiting).n > 0) this.rejects(entry, why ?? lost);
    }
    if (why) for (const entry of [...this.#accepted.values()]) this.rejects(entry, why);
  }

  #wait(entry: Request & Waiting): void {
    const { id, timeoutMs, durable } = entry;
    if (timeoutMs === undefined || durable) return;
    const late = new WarrenError("timeout", `no answer within ${timeoutMs} ms`, { retry: true, ref: id });
    this.#timers.after(id, timeoutMs + GRACE_MS, () => this.#giveUp(entry, late));
  }

  #giveUp(entry: Waiting, error: WarrenError): void {
    if (this.get(entry.id) !== entry) return;
    const isSent = entry.sentAt !== null && !this.#accepted.has(entry.id);
    this.rejects(entry, error);
    if (isSent) {
      const build = () => JSON.stringify(controlFrame("CANCEL", { ref: entry.id }, this.#host.options.wall()));
      this.#host.outbox.first({ build });
    }
  }

  #over(entry: Waiting): Waiting | undefined {
    const found = this.get(entry.id);
    if (found !== entry) return undefined;
    this.#timers.cancel(entry.id);
    found.quiet?.();
    this.#host.outbox.settle(entry.id);
    this.#accepted.delete(entry.id);
    return entry;
  }
}

/** Requests to services: `new WarrenClient(url, { parts: [rpc] })`. */
export const rpc = (host: Host): Part => new Requests(host);
