/** The part "presence": the rosters of a client's rooms, and its contacts. What they want to know goes out, what arrives goes to them. */
import { CONTACTS, Contacts } from "./contacts.js";
import { rejected } from "./error.js";
import type { Host, Part } from "./parts.js";
import type { JoinedFrame, JoinPresence, PresenceFrame, PresencePayload, PresenceRequestPayload } from "./protocol.js";
import { Roster } from "./roster.js";
import { onAbort } from "./signal.js";
import { Timers } from "./timers.js";
import type { ContactsWatch, JoinOptions, Waits } from "./types.js";

export { Contacts, Roster };
export type { ContactsEvents } from "./contacts.js";
export type { RosterEvents } from "./roster.js";

export class Presence implements Part {
  readonly name = "presence";
  #rosters = new Map<string, Roster>();
  readonly contacts: ContactsWatch;
  #watched = new Map<string, boolean | null>(); // user ▶ online or not, or null: not known (yet)
  #views = new Set<Contacts>();
  #timers: Timers;
  #host: Host;

  constructor(host: Host) {
    this.#host = host;
    this.#timers = new Timers(host.options);
    const own = this.#view();
    const watch = (users: Iterable<string>, { signal }: Waits = {}) => {
      const view = this.#view().set(users);
      view.quiet = onAbort(signal, () => view.close());
      return view;
    };
    this.contacts = Object.assign((users: Iterable<string>) => own.set(users), { watch });
  }

  roster(room: string): Roster | null {
    return this.#rosters.get(room) ?? null;
  }

  /** Keep a roster of a room. */
  want(room: string, wanted: NonNullable<JoinOptions["presence"]>): void {
    let roster = this.#rosters.get(room);
    if (!roster) {
      const { options } = this.#host;
      const owner = {
        random: () => options.random(),
        user: () => this.#host.user,
        later: (ms: number | null, then?: () => void) =>
          ms === null ? this.#timers.cancel(room) : this.#timers.after(room, ms, then!),
        isWaiting: () => this.#timers.has(room),
        ask: (payload: PresenceRequestPayload) => this.#send(room, payload, true),
        update: (info: unknown) => this.#send(room, { update: info }),
      };
      this.#rosters.set(room, (roster = new Roster(owner)));
    }
    if (typeof wanted === "object" && wanted.info !== undefined) roster.info = wanted.info;
  }

  forget(room: string): void {
    this.stopped(room);
    this.#rosters.delete(room);
  }

  stopped(room: string): void {
    this.#rosters.get(room)?.disconnect();
  }

  joining(room: string): JoinPresence | undefined {
    return this.#rosters.get(room)?.joining();
  }

  joined({ room, payload }: JoinedFrame): void {
    if (payload.presence) this.#rosters.get(room)?.joined(payload.presence.watching);
  }

  /** A new connection knows nothing of contacts. */
  opened(): void {
    if (this.#watched.size) this.#ask({ watch: [...this.#watched.keys()] });
  }

  take(frame: { type: string }): void {
    if (frame.type !== "PRESENCE") return;
    const { room, payload } = frame as PresenceFrame;
    if (!room) return;
    this.#rosters.get(room)?.take(payload);
    if (room[0] === "@") this.#hear(room.slice(1), payload);
  }

  down(): void {
    for (const roster of this.#rosters.values()) roster.disconnect();
    this.#timers.clear();
  }

  #view(): Contacts {
    return new Contacts((view, users) => this.#watch(view, users));
  }

  /** A view wants these users. Ask the server for what no view had before. Returns what is known of them. */
  #watch(view: Contacts, users: Set<string>): ReadonlyMap<string, boolean | null> {
    const others = [...this.#views].filter((each) => each !== view).flatMap((each) => each.users);
    const wanted = new Set([...others, ...users]);
    if (wanted.size > CONTACTS) throw new RangeError(`at most ${CONTACTS} contacts`);
    if (users.size) this.#views.add(view);
    else this.#views.delete(view);
    const unwatch = [...this.#watched.keys()].filter((user) => !wanted.has(user));
    const watch = [...wanted].filter((user) => !this.#watched.has(user));
    for (const user of unwatch) this.#watched.delete(user);
    for (const user of watch) this.#watched.set(user, null);
    const asked = { ...(watch.length && { watch }), ...(unwatch.length && { unwatch }) };
    if (this.#host.state === "open" && Object.keys(asked).length) this.#ask(asked);
    return this.#watched;
  }

  /** A PRESENCE of a user's own room has arrived. */
  #hear(user: string, { count, watching }: PresencePayload): void {
    const known = this.#watched.get(user);
    if (known === undefined) return;
    const isOnline = watching === false ? null : count ? count.users > 0 || count.connections > 0 : known;
    if (isOnline === known) return;
    this.#watched.set(user, isOnline);
    for (const view of [...this.#views]) view.take(user, isOnline);
  }

  #ask(asked: PresenceRequestPayload): void {
    this.#send(undefined, asked, true).catch(() => {}); // the client's event `error` reports it
  }

  /** Send a PRESENCE; with `once`, on this connection only. */
  #send(room: string | undefined, payload: PresenceRequestPayload, once = false): Promise<unknown> {
    const fault = this.#host.fault(undefined, !once);
    if (fault) return rejected(fault);
    try {
      return this.#host.outbox.add({ ...this.#host.control("PRESENCE", room, payload), once });
    } catch (unwritten) {
      return rejected(unwritten);
    }
  }
}

/** Rosters and contacts: `new WarrenClient(url, { parts: [presence] })`. */
export const presence = (host: Host): Part => new Presence(host);
