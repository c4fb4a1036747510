/** Which of some users are connected, to any gateway. It sends nothing itself: its owner does. */
import { Listeners } from "./listeners.js";
import type { Waits } from "./types.js";

export const CONTACTS = 100;

export interface ContactsEvents {
  /** The user has a connection now. */
  online: string;
  /** The user has no connection any more. */
  offline: string;
  change: Contacts;
}

/** Which of some users are connected, to any gateway. */
export class Contacts {
  #online = new Map<string, boolean | null>();
  #listeners = new Listeners();
  #watch: (view: Contacts, users: Set<string>) => ReadonlyMap<string, boolean | null>;

  /** Made by `client.contacts`. `watch` asks the server, and returns what is known of users. */
  constructor(watch: (view: Contacts, users: Set<string>) => ReadonlyMap<string, boolean | null>) {
    this.#watch = watch;
  }

  /** Listen to `online` and `offline` (with the user), or `change`. Returns a function that removes the listener. */
  on<Name extends keyof ContactsEvents>(event: Name, listener: (value: ContactsEvents[Name]) => void, options?: Waits): () => void {
    return this.#listeners.on(event, listener, options);
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

  /** Watch these users and no others. Throws RangeError if that are more than 100 with those of all other watches. */
  set(users: Iterable<string>): this {
    const wanted = new Set(users);
    const known = this.#watch(this, wanted);
    this.#online = new Map([...wanted].map((user) => [user, known.get(user) ?? null]));
    return this;
  }

  /** Watch nobody any more. */
  close(): void {
    this.quiet();
    this.set([]);
  }

  /** For the client: called by `close()`. */
  quiet: () => void = () => {};

  /** For the client: this is known of a user now. */
  take(user: string, isOnline: boolean | null): void {
    if (!this.#online.has(user)) return;
    this.#online.set(user, isOnline);
    if (isOnline !== null) this.#listeners.emit(isOnline ? "online" : "offline", user);
    this.#listeners.emit("change", this);
  }
}
