/** Which of some users are connected, to any gateway. It sends nothing itself: its owner does. */
import { Listeners } from "./listeners.js";
import type { PresencePayload, PresenceRequestPayload } from "./protocol.js";

export const CONTACTS = 100;

export interface ContactsEvents {
  /** The user has a connection now. */
  online: string;
  /** The user has no connection any more. */
  offline: string;
  change: Contacts;
}

export class Contacts {
  #online = new Map<string, boolean | null>(); // user ▶ true, false, or null: not known (yet)
  #listeners = new Listeners();

  /** Listen to `online` and `offline` (with the user), or `change`. Return a function that removes the listener. */
  on<Name extends keyof ContactsEvents>(event: Name, listener: (value: ContactsEvents[Name]) => void): () => void {
    return this.#listeners.on(event, listener);
  }

  /** The users that are watched. */
  get users(): string[] {
    return [...this.#online.keys()];
  }

  get online(): string[] {
    return this.users.filter((user) => this.#online.get(user));
  }

  /** True, false, or null: not known (yet), or not told to this client. */
  isOnline(user: string): boolean | null {
    return this.#online.get(user) ?? null;
  }

  // ── for the client ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Watch these users and no others. Returns what the server has to be asked for. */
  set(users: Iterable<string>): PresenceRequestPayload {
    const wanted = new Set(users);
    if (wanted.size > CONTACTS) throw new RangeError(`at most ${CONTACTS} contacts`);
    const unwatch = this.users.filter((user) => !wanted.has(user));
    const watch = [...wanted].filter((user) => !this.#online.has(user));
    for (const user of unwatch) this.#online.delete(user);
    for (const user of watch) this.#online.set(user, null);
    return { ...(watch.length && { watch }), ...(unwatch.length && { unwatch }) };
  }

  /** A PRESENCE of a user's own room has arrived. */
  take(user: string, { count, watching }: PresencePayload): void {
    const known = this.#online.get(user);
    if (known === undefined) return;
    const isOnline = watching === false ? null : count ? count.users > 0 || count.connections > 0 : known;
    if (isOnline === known) return;
    this.#online.set(user, isOnline);
    if (isOnline !== null) this.#listeners.emit(isOnline ? "online" : "offline", user);
    this.#listeners.emit("change", this);
  }
}
