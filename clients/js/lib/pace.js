/**
 * Keeps under the server's rate, whatever is sent: each frame takes a place, which is free again one period after its answer, so
 * that no delay on the way can make two bursts one. One place is kept for what may not wait behind messages (heartbeat, token).
 * It sends nothing and knows no clock. Part of warren.js.
 */
export class Pace {
  #places = new Map(); // name ▶ {at, freeAt, silent}, in the order of sending
  #unnamed = 0;

  constructor() {
    this.reset();
  }

  /** A new connection, whose WELCOME says `rate` messages (0: no limit) in `rate_per_ms`. */
  reset({ rate = 0, rate_per_ms: perMs = 0 } = {}) {
    Object.assign(this, { rate, perMs });
    this.#places.clear();
  }

  /** Whether something that gets no answer was sent and nothing after it is answered yet. */
  get isUncertain() {
    return [...this.#places.values()].some(({ silent }) => silent);
  }

  /** Milliseconds until something may be sent: 0 now, Infinity after the next answer. `urgent` may use the last place. */
  wait(now, urgent = false) {
    for (const [name, { freeAt }] of this.#places) if (freeAt <= now) this.#places.delete(name);
    const usable = urgent ? this.rate : Math.max(1, this.rate - 1);
    const excess = this.#places.size - usable;
    if (!this.rate || excess < 0) return 0;
    // what waits long for its answer has arrived nevertheless: a heartbeat must find out whether the line is dead
    const free = ({ at, freeAt }) => (urgent ? Math.min(freeAt, at + 2 * this.perMs) : freeAt);
    const moments = [...this.#places.values()].map(free).sort((a, b) => a - b);
    return Math.max(0, moments[excess] - now);
  }

  /** A frame goes out; without an `id` it gets no answer. */
  take(id, now) {
    if (id !== undefined) this.#keep(id, now);
    // what nobody answers: a second period for the unevenness of the way, unless a later answer says that it has arrived
    const freeAt = id === undefined ? now + 2 * this.perMs : Infinity;
    this.#places.set(id ?? this.#name(), { at: now, freeAt, silent: id === undefined });
  }

  /** A frame was answered. `all`: those before it count as answered too, since what it answers to them says no id. */
  answered(id, now, all = false) {
    const found = this.#places.get(id);
    if (!found) return;
    for (const place of this.#places.values()) {
      // frames are taken in order, so those before it have arrived
      if (place === found) break;
      if (place.silent || all) Object.assign(place, { freeAt: Math.min(place.freeAt, now + this.perMs), silent: false });
    }
    if (found.freeAt === Infinity) found.freeAt = now + this.perMs;
  }

  /** No answer is waited for any more: what has none may have arrived just now. */
  giveUp(now) {
    for (const [id, { freeAt }] of [...this.#places]) if (freeAt === Infinity) this.#keep(id, now);
  }

  /** An earlier frame of this id counts on, though the id may be sent again. */
  #keep(id, now) {
    const place = this.#places.get(id);
    if (!place) return;
    this.#places.delete(id);
    this.#places.set(this.#name(), { ...place, freeAt: Math.min(place.freeAt, now + this.perMs) });
  }

  #name() {
    return `~${++this.#unnamed}`; // no id begins so
  }
}
