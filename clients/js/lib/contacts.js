/** Which of some users are connected anywhere. It sends nothing itself: its owner does. Part of warren.js. */
import { Listeners } from "./listeners.js";

export const CONTACTS = 100;

export class Contacts {
  #online = new Map(); // user ▶ true, false, or null: not known (yet)
  #listeners = new Listeners();

  /** Listen to `online` and `offline` (with the user), or `change`. Return a function that removes the listener. */
  on(event, listener) {
    return this.#listeners.on(event, listener);
  }

  /** The users that are watched. */
  get users() {
    return [...this.#online.keys()];
  }

  get online() {
    return this.users.filter((user) => this.#online.get(user));
  }

  /** True, false, or null: not known (yet), or not told to this client. */
  isOnline(user) {
    return this.#online.get(user) ?? null;
  }

  // ── for the client ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Watch these users and no others. Returns what the server has to be asked for. */
  set(users) {
    const wanted = new Set(users);
    if (wanted.size > CONTACTS) throw new RangeError(`at most ${CONTACTS} contacts`);
    const unwatch = this.users.filter((user) => !wanted.has(user));
    const watch = [...wanted].filter((user) => !this.#online.has(user));
    for (const user of unwatch) this.#online.delete(user);
    for (const user of watch) this.#online.set(user, null);
    return { ...(watch.length && { watch }), ...(unwatch.length && { unwatch }) };
  }

  /** A PRESENCE of a user's own room has arrived. */
  take(user, { count, watching }) {
    if (!this.#online.has(user)) return;
    const isOnline = watching === false ? null : count ? count.users > 0 || count.connections > 0 : this.#online.get(user);
    if (isOnline === this.#online.get(user)) return;
    this.#online.set(user, isOnline);
    if (isOnline !== null) this.#listeners.emit(isOnline ? "online" : "offline", user);
    this.#listeners.emit("change", this);
  }
}
