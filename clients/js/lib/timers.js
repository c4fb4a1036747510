/** Named timers: at most one for each name, and all can be cancelled at once. Part of warren.js. */
export class Timers {
  #running = new Map();
  #options;

  /** `options` has setTimeout and clearTimeout. */
  constructor(options) {
    this.#options = options;
  }

  /** Run `then` after `ms`, replacing a running timer of that name. */
  after(name, ms, then) {
    this.cancel(name);
    const fire = () => {
      this.#running.delete(name);
      then();
    };
    this.#running.set(name, this.#options.setTimeout(fire, ms));
  }

  has(name) {
    return this.#running.has(name);
  }

  cancel(name) {
    if (this.#running.has(name)) this.#options.clearTimeout(this.#running.get(name));
    this.#running.delete(name);
  }

  clear() {
    for (const name of [...this.#running.keys()]) this.cancel(name);
  }
}
