/**
 * Finds out which frame a server refused that does not say which: the frames that may be meant are sent again one at a time, each with
 * a PING behind it. The server judges in order, so a refusal before the PONG is that frame's. None is tried without end. It sends
 * nothing itself. Part of warren.js.
 */
import { Timers } from "./timers.js";

const TRIES = 3; // of one frame; connections may end before the answer

export class Suspects {
  #ids = new Set();
  #tried = null; // the entry that is sent alone
  #ping = null; // the id of the PING behind what was sent
  #timers;
  #options;
  #owner;

  /** `owner`: `ask()` sends a PING and returns its id, `go()` sends what may be sent now. */
  constructor(options, owner) {
    this.#options = options;
    this.#owner = owner;
    this.#timers = new Timers(options);
  }

  get size() {
    return this.#ids.size;
  }

  /** Of these entries, those that may be sent now. */
  among(entries) {
    if (this.#ids.size === 0) return entries;
    if (this.#tried || this.#ping) return [];
    return entries.filter(({ id }) => this.#ids.has(id)).slice(0, 1);
  }

  /** The server refused one of `sent`, the entries under way. Return which, where that is clear; `alone`: nothing else was under way. */
  accuse(sent, alone, error) {
    if (this.#tried) return this.#tried;
    if (this.#ping) return undefined; // one more of those that are to be tried
    if (sent.length === 1 && alone) return sent[0];
    for (const entry of sent) {
      Object.assign(entry, { sentAt: null, fault: error });
      this.#ids.add(entry.id);
    }
    if (sent.length) this.#mark(); // other refusals of what was sent so far come before its PONG
    return undefined;
  }

  /** Whether an entry that is about to be sent was tried often enough. */
  isOver(entry) {
    return this.#ids.has(entry.id) && (entry.tries ?? 0) >= TRIES;
  }

  /** An entry was sent. */
  sent(entry) {
    if (!this.#ids.has(entry.id)) return;
    entry.tries = (entry.tries ?? 0) + 1;
    this.#tried = entry;
    this.#mark();
  }

  /** Whether this id is that of the PING behind what was sent. */
  isMark(id) {
    return id !== undefined && id === this.#ping;
  }

  /** A frame was answered: a suspect itself, or the PING behind it. */
  answered(id) {
    if (id === undefined) return;
    if (this.isMark(id)) this.#passed();
    else this.forget(id);
  }

  /** This entry is settled, or was judged. */
  forget(id) {
    this.#ids.delete(id);
    if (this.#tried?.id === id) this.pause();
  }

  /** What was under way is to be sent anew; who is suspected stays so. */
  pause() {
    this.#tried = this.#ping = null;
    this.#timers.clear();
  }

  #mark() {
    this.#ping = this.#owner.ask();
    this.#timers.after("ping", this.#options.pongTimeoutMs, () => this.#passed());
  }

  #passed() {
    const tried = this.#tried;
    this.pause();
    if (tried) this.#ids.delete(tried.id);
    this.#owner.go();
  }
}
