/** The part "presence": the rosters of a client's rooms, and its contacts. What they want to know goes out, what arrives goes to them. */
import { Contacts } from "./contacts.js";
import { rejected } from "./error.js";
import type { Host, Part } from "./parts.js";
import type { JoinedFrame, JoinPresence, PresenceFrame, PresenceRequestPayload } from "./protocol.js";
import { Roster } from "./roster.js";
import { Timers } from "./timers.js";
import type { JoinOptions } from "./types.js";

export { Contacts, Roster };
export type { ContactsEvents } from "./contacts.js";
export type { RosterEvents } from "./roster.js";

export class Presence implements Part {
  readonly name = "presence";
  #rosters = new Map<string, Roster>();
  #contacts: Contacts | null = null;
  #timers: Timers;
  #host: Host;

  constructor(host: Host) {
    this.#host = host;
    this.#timers = new Timers(host.options);
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

  /** Watch these users and no others. */
  contacts(users: Iterable<string>): Contacts {
    this.#contacts ??= new Contacts();
    const asked = this.#contacts.set(users);
    if (this.#host.state === "open" && Object.keys(asked).length) this.#ask(asked);
    return this.#contacts;
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
    if (this.#contacts?.users.length) this.#ask({ watch: this.#contacts.users });
  }

  take(frame: { type: string }): void {
    if (frame.type !== "PRESENCE") return;
    const { room, payload } = frame as PresenceFrame;
    if (!room) return;
    this.#rosters.get(room)?.take(payload);
    if (room[0] === "@") this.#contacts?.take(room.slice(1), payload);
  }

  down(): void {
    for (const roster of this.#rosters.values()) roster.disconnect();
    this.#timers.clear();
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
