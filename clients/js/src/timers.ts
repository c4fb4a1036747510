/** Named timers: at most one for each name, and all can be cancelled at once. It has no clock of its own. */
import type { Clock } from "./options.js";

export class Timers {
  #running = new Map<string, unknown>();
  #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Run `then` after `ms`, replacing a running timer of that name. */
  after(name: string, ms: number, then: () => void): void {
    this.cancel(name);
    const fire = () => {
      this.#running.delete(name);
      then();
    };
    this.#running.set(name, this.#clock.setTimeout(fire, ms));
  }

  has(name: string): boolean {
    return this.#running.has(name);
  }

  cancel(name: string): void {
    if (this.has(name)) this.#clock.clearTimeout(this.#running.get(name));
    this.#running.delete(name);
  }

  clear(): void {
    for (const name of [...this.#running.keys()]) this.cancel(name);
  }
}
