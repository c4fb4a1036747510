/**
 * Polls: something that is asked again and again while a view is open. At its own rhythm while the page is
 * seen, once a minute while it is hidden, and less and less often while it fails; never two at a time.
 */

export const HIDDEN_MS = 60_000;
const LONGEST_MS = 30_000;

export class Poll {
  #everyMs;
  #ask;
  #told;
  #failures = 0;
  #timer = 0;
  #running = false;
  #again = false;
  #stop = new AbortController();
  #seen = () => {
    if (!document.hidden) this.now();
  };

  /**
   * `ask` gets a signal and returns a promise. `told` is called with `null` when it went well, and else with
   * the error and in how many ms it is tried again.
   */
  constructor(everyMs, ask, told) {
    this.#everyMs = everyMs;
    this.#ask = ask;
    this.#told = told;
    document.addEventListener("visibilitychange", this.#seen);
    this.now();
  }

  /** Ask at once. */
  now() {
    clearTimeout(this.#timer);
    if (this.#running) this.#again = true;
    else this.#run();
  }

  stop() {
    this.#stop.abort();
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#seen);
  }

  async #run() {
    const { signal } = this.#stop;
    if (signal.aborted) return;
    this.#running = true;
    this.#again = false;
    let error = null;
    try {
      await this.#ask(signal);
    } catch (thrown) {
      error = thrown;
    }
    this.#running = false;
    if (signal.aborted) return;
    this.#failures = error ? this.#failures + 1 : 0;
    const wait = this.#again && !error ? 0 : this.#wait(error);
    this.#told(error, wait);
    if (!signal.aborted) this.#timer = setTimeout(() => this.#run(), wait);
  }

  #wait(error) {
    if (document.hidden) return HIDDEN_MS;
    if (!error) return this.#everyMs;
    const slower = Math.min(LONGEST_MS, Math.max(1_000, this.#everyMs) * 2 ** Math.min(6, this.#failures - 1));
    return Math.max(slower, error.retryAfterMs ?? 0);
  }
}
