/**
 * Keeps the client below the server's rate limit. Each frame occupies a slot until one period after its answer, so that no network delay
 * can merge two bursts into one. One slot is reserved for frames that must not wait behind messages (heartbeat, token).
 * It sends nothing and has no clock.
 */
interface Slot {
  at: number;
  freeAt: number;
  silent: boolean;
}

export class Pace {
  #slots = new Map<string, Slot>(); // in the order of sending
  #unnamed = 0;
  #rate = 0;
  #perMs = 0;

  /** A new connection: WELCOME allows `rate` messages (0: no limit) in `rate_per_ms`. */
  reset({ rate = 0, rate_per_ms: perMs = 0 }: { rate?: number; rate_per_ms?: number } = {}): void {
    this.#rate = rate;
    this.#perMs = perMs;
    this.#slots.clear();
  }

  /** Whether a frame without an answer was sent, and no later frame has been answered yet. */
  get isUncertain(): boolean {
    return [...this.#slots.values()].some(({ silent }) => silent);
  }

  /** Milliseconds until a frame may be sent: 0 is now, Infinity after the next answer. `urgent` may use the last slot. */
  wait(now: number, urgent = false): number {
    for (const [name, { freeAt }] of this.#slots) if (freeAt <= now) this.#slots.delete(name);
    const usable = urgent ? this.#rate : Math.max(1, this.#rate - 1);
    const excess = this.#slots.size - usable;
    if (!this.#rate || excess < 0) return 0;
    // a frame without an answer for long has arrived nevertheless: a heartbeat must find out whether the connection is dead
    const free = ({ at, freeAt }: Slot) => (urgent ? Math.min(freeAt, at + 2 * this.#perMs) : freeAt);
    const moments = [...this.#slots.values()].map(free).sort((a, b) => a - b);
    return Math.max(0, moments[excess]! - now);
  }

  /** A frame is sent; without an `id` it gets no answer. */
  take(id: string | undefined, now: number): void {
    if (id !== undefined) this.#keep(id, now);
    // without an answer: a second period for network jitter, unless a later answer shows that the frame has arrived
    const freeAt = id === undefined ? now + 2 * this.#perMs : Infinity;
    this.#slots.set(id ?? this.#name(), { at: now, freeAt, silent: id === undefined });
  }

  /** A frame was answered. `all`: earlier frames count as answered too, because the answers to them have no id. */
  answered(id: string | undefined, now: number, all = false): void {
    const found = this.#slots.get(id!);
    if (!found) return;
    for (const slot of this.#slots.values()) {
      // the server handles frames in order, so earlier ones have arrived
      if (slot === found) break;
      if (slot.silent || all) Object.assign(slot, { freeAt: Math.min(slot.freeAt, now + this.#perMs), silent: false });
    }
    if (found.freeAt === Infinity) found.freeAt = now + this.#perMs;
  }

  /** Stop waiting for answers: frames without one may have arrived just now. */
  giveUp(now: number): void {
    for (const [id, { freeAt }] of [...this.#slots]) if (freeAt === Infinity) this.#keep(id, now);
  }

  /** An earlier frame with this id continues to count, although the id may be sent again. */
  #keep(id: string, now: number): void {
    const slot = this.#slots.get(id);
    if (!slot) return;
    this.#slots.delete(id);
    this.#slots.set(this.#name(), { ...slot, freeAt: Math.min(slot.freeAt, now + this.#perMs) });
  }

  #name(): string {
    return `~${++this.#unnamed}`; // no id starts with ~
  }
}
