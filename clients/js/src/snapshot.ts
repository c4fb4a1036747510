/** The part "snapshot": what a client needs to go on where another one has ended, as JSON. It stores nothing. */
import type { Host, Part } from "./parts.js";
import type { RoomPosition } from "./room_position.js";
import type { Message, Position, Snapshot } from "./types.js";

export class Snapshots implements Part {
  readonly name = "snapshot";
  #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  take(): Snapshot {
    const { outbox, rooms, link, user } = this.#host;
    const known = [...rooms.known].map(([name, { position, grant, isKept }]) => ({ name, position, grant, isKept }));
    const present = rooms.all.filter(({ name }) => name !== "*").map((room) => {
      const { name, grant, isKept } = room;
      return { name, position: this.#done(room), grant, isKept };
    });
    return {
      version: 1,
      user,
      grant: link.grant,
      hasConnected: link.manual,
      rooms: [...known, ...present],
      mine: [...rooms.mine],
      outbox: outbox.of("message").map(({ id, room = null, text, echo }) => ({ id, room, text: text!, echo: echo === true })),
    };
  }

  /** How far the application is: what waits for a loop, or is in its hands, comes again. */
  #done({ name, since }: RoomPosition): Position | null {
    let first: Message | undefined;
    this.#host.each((part) => (first ??= part.unread?.(name)));
    return first?.epoch && first.seq ? { epoch: first.epoch, seq: first.seq - 1 } : since;
  }

  /** Throws TypeError after the first connect, and for what is no snapshot. */
  restore(snapshot: Snapshot): void {
    const { outbox, rooms, link, options, state } = this.#host;
    if (state !== "idle") throw new TypeError("restore: only before the first connect()");
    if (snapshot?.version !== 1) throw new TypeError("restore: this is no snapshot of version 1");
    if (!options.user) link.user = snapshot.user;
    link.grant = snapshot.grant;
    link.manual = snapshot.hasConnected;
    for (const { name, ...known } of snapshot.rooms) {
      rooms.known.set(name, known);
      if (known.isKept) rooms.want(name);
    }
    for (const id of snapshot.mine) rooms.sent(id);
    for (const { id, room, text, echo } of snapshot.outbox) {
      outbox.add({ id, kind: "message", room, text, echo, build: () => text, isRestored: true });
    }
  }
}

/** Snapshots: `new WarrenClient(url, { parts: [snapshot] })`. */
export const snapshot = (host: Host): Part => new Snapshots(host);
