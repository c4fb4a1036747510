/** The rosters of a client's rooms, and its contacts: what they want to know goes out, what arrives goes to them. Part of warren.js. */
import { Contacts } from "./contacts.js";
import { Roster } from "./roster.js";
import { Timers } from "./timers.js";

export class Presence {
  #rosters = new Map(); // room ▶ Roster
  #contacts = null;
  #timers;
  #options;
  #send;
  #user;

  /** `send(room, payload, once)` sends a PRESENCE and returns a promise; with `once`, on this connection only. `user()` is who we are. */
  constructor(options, send, user) {
    this.#options = options;
    this.#send = send;
    this.#user = user;
    this.#timers = new Timers(options);
  }

  roster(room) {
    return this.#rosters.get(room) ?? null;
  }

  /** Keep a roster of a room; `wanted` is true, or has `info`. */
  want(room, wanted) {
    if (!this.#rosters.has(room)) {
      const owner = {
        random: this.#options.random,
        user: this.#user,
        later: (ms, then) => (ms === null ? this.#timers.cancel(room) : this.#timers.after(room, ms, then)),
        isWaiting: () => this.#timers.has(room),
        ask: (payload) => this.#send(room, payload, true),
        update: (info) => this.#send(room, { update: info }),
      };
      this.#rosters.set(room, new Roster(owner));
    }
    if (wanted.info !== undefined) this.#rosters.get(room).info = wanted.info;
  }

  forget(room) {
    this.#rosters.get(room)?.disconnect();
    this.#rosters.delete(room);
  }

  /** The server took us out of this room, which is still wanted. */
  stopped(room) {
    this.#rosters.get(room)?.disconnect();
  }

  /** What a JOIN of this room asks of presence; undefined: nothing. */
  joining(room) {
    return this.#rosters.get(room)?.joining();
  }

  joined({ room, payload }) {
    if (payload.presence) this.#rosters.get(room)?.joined(payload.presence.watching);
  }

  /** Watch these users and no others. */
  contacts(users, isOpen) {
    this.#contacts ??= new Contacts();
    const asked = this.#contacts.set(users);
    if (isOpen && Object.keys(asked).length) this.#ask(asked);
    return this.#contacts;
  }

  /** A new connection knows nothing of contacts. */
  opened() {
    if (this.#contacts?.users.length) this.#ask({ watch: this.#contacts.users });
  }

  take({ room, payload }) {
    if (!room) return;
    this.#rosters.get(room)?.take(payload);
    if (room[0] === "@") this.#contacts?.take(room.slice(1), payload);
  }

  disconnect() {
    for (const roster of this.#rosters.values()) roster.disconnect();
    this.#timers.clear();
  }

  #ask(asked) {
    this.#send(undefined, asked, true).catch(() => {}); // the client's event `error` reports it
  }
}
