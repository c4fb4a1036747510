/**
 * Finds out which frame was refused if the server's ERROR does not say so: the candidates are sent again one at a time, each followed by
 * a PING. The server handles frames in order, so an ERROR before the PONG belongs to that frame. The number of attempts is bounded. It
 * sends nothing itself.
 */
import type { WarrenError } from "./error.js";
import type { AllOptions } from "./options.js";
import type { Waiting } from "./outbox.js";
import { Timers } from "./timers.js";

const TRIES = 3; // for one frame; connections may close before the answer

export interface SuspectsOwner {
  /** Send a PING and return its id. */
  ask(): string;
  /** Send what may be sent now. */
  go(): void;
}

export class Suspects {
  #ids = new Set<string>();
  #tried: Waiting | null = null; // the entry that was sent alone
  #ping: string | null = null; // the id of the PING after what was sent
  #timers: Timers;
  #options: AllOptions;
  #owner: SuspectsOwner;

  constructor(options: AllOptions, owner: SuspectsOwner) {
    this.#options = options;
    this.#owner = owner;
    this.#timers = new Timers(options);
  }

  get size(): number {
    return this.#ids.size;
  }

  /** Which of these entries may be sent now. */
  among(entries: Waiting[]): Waiting[] {
    if (this.#ids.size === 0) return entries;
    if (this.#tried || this.#ping) return [];
    return entries.filter(({ id }) => this.#ids.has(id)).slice(0, 1);
  }

  /** The server refused one of `sent`, the unanswered entries. Return which one, if that is clear. `alone`: nothing else was unanswered. */
  accuse(sent: Waiting[], alone: boolean, error: WarrenError): Waiting | undefined {
    if (this.#tried) return this.#tried;
    if (this.#ping) return undefined; // another of the suspects
    if (sent.length === 1 && alone) return sent[0];
    for (const entry of sent) {
      Object.assign(entry, { sentAt: null, fault: error });
      this.#ids.add(entry.id);
    }
    if (sent.length) this.#mark(); // further ERRORs for what was sent so far come before its PONG
    return undefined;
  }

  /** Whether an entry has used up its attempts. */
  isOver(entry: Waiting): boolean {
    return this.#ids.has(entry.id) && (entry.tries ?? 0) >= TRIES;
  }

  /** An entry was sent. */
  sent(entry: Waiting): void {
    if (!this.#ids.has(entry.id)) return;
    entry.tries = (entry.tries ?? 0) + 1;
    this.#tried = entry;
    this.#mark();
  }

  /** Whether this is the id of the PING after what was sent. */
  isMark(id: string | undefined): boolean {
    return id !== undefined && id === this.#ping;
  }

  /** A frame was answered: a suspect, or the PING after it. */
  answered(id: string | undefined): void {
    if (id === undefined) return;
    if (this.isMark(id)) this.#passed();
    else this.forget(id);
  }

  /** This entry is settled: it is no longer a suspect. */
  forget(id: string): void {
    this.#ids.delete(id);
    if (this.#tried?.id === id) this.pause();
  }

  /** Everything unanswered will be sent again; suspects stay suspects. */
  pause(): void {
    this.#tried = this.#ping = null;
    this.#timers.clear();
  }

  #mark(): void {
    this.#ping = this.#owner.ask();
    this.#timers.after("ping", this.#options.pongTimeoutMs, () => this.#passed());
  }

  #passed(): void {
    const tried = this.#tried;
    this.pause();
    if (tried) this.#ids.delete(tried.id);
    this.#owner.go();
  }
}
