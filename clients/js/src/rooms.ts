/**
 * The rooms that the client is in or wants to be in: it makes their JOINs, asks for messages that are missing, and says which messages are
 * to be passed on, and when. It knows no listeners, and writes nothing itself.
 */
import { WarrenError, deferred } from "./error.js";
import { controlFrame, type Frame } from "./encode.js";
import type { AllOptions } from "./options.js";
import type { Entry, Outbox, Waiting } from "./outbox.js";
import type { JoinedFrame, JoinPresence, LeftFrame } from "./protocol.js";
import { RoomPosition, remember, type Found, type Numbered } from "./room_position.js";
import { Timers } from "./timers.js";
import type { Gap, Joined, Message } from "./types.js";

/** What the rooms need of the client. */
export interface RoomsOwner {
  readonly isOpen: boolean;
  readonly user: string | null;
  id(): string;
  text(frame: Frame): string;
  joining(room: string): JoinPresence | undefined;
  /** A room was joined; return what JOINED tells the caller besides its position. */
  joined(frame: JoinedFrame): Pick<Joined, "presence">;
  /** The server took us out of a room that is still wanted. */
  stopped(room: string): void;
  /** We are in. */
  entered(joined: Joined): void;
  /** We are no longer in this room: we have left it (null), or for this reason; `reason` is LEFT's. */
  forgot(room: string, why: WarrenError | null, reason?: string | null): void;
  gap(gap: Gap): void;
  hand(message: Message): void;
}

export class Rooms {
  repeats = 0;
  #rooms = new Map<string, RoomPosition>();
  #atConnect = new Set<string>(); // rooms that the server joined for us at our first connect
  #left = new Set<string>(); // rooms of #atConnect that we left
  readonly mine = new Set<string>(); // ids of own messages that a replay may bring
  /** Of a snapshot: what is known of rooms that nobody has wanted again yet. */
  readonly known = new Map<string, Pick<RoomPosition, "position" | "grant" | "isKept">>();
  #timers: Timers;
  #options: AllOptions;
  #outbox: Outbox;
  #owner: RoomsOwner;

  constructor(options: AllOptions, outbox: Outbox, owner: RoomsOwner) {
    this.#options = options;
    this.#outbox = outbox;
    this.#owner = owner;
    this.#timers = new Timers(options);
  }

  get all(): RoomPosition[] {
    return [...this.#rooms.values()];
  }

  get names(): string[] {
    return [...this.#rooms.keys()];
  }

  get(name: string | undefined): RoomPosition | undefined {
    return this.#rooms.get(name!);
  }

  // ── wishes ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The promise of the next JOINED in a room, which is kept; `want` it next. */
  join(name: string): Promise<Joined> {
    const room = this.#room(name);
    const joined = deferred<Joined>();
    room.waiting.push(joined);
    room.isKept = true;
    return joined.promise;
  }

  /** Want to be in a room. */
  want(name: string): void {
    this.#left.delete(name);
    this.#want(this.#room(name));
  }

  /** Want to be in a room no longer. */
  leave(name: string): void {
    const room = this.#rooms.get(name);
    if (room) this.#forget(room, new WarrenError("closed", `left ${name}`), true);
    if (this.#atConnect.has(name)) this.#left.add(name);
  }

  /** A JOIN was refused for good. */
  refused(name: string, why: WarrenError): void {
    const room = this.#rooms.get(name);
    if (room) this.#forget(room, why);
  }

  // ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The first connection: the server has joined some rooms for us. Return the JOINs to send first. */
  begin(joined: string[]): Entry[] {
    this.#atConnect = new Set(joined);
    const wanted = this.all.filter(
      ({ name, waiting }) => !isReserved(name) && (!this.#atConnect.has(name) || waiting.length || this.#owner.joining(name)),
    );
    for (const name of this.#atConnect) if (!this.#left.has(name)) this.#room(name).isKept = true;
    return wanted.map((room) => this.#joinFor(room));
  }

  /** A later connection: return the JOINs for all our rooms, each with our position. */
  resume(user: string): Entry[] {
    if (this.#atConnect.size) this.#room(`@${user}`).isKept = true;
    return this.all.filter(({ name }) => !isReserved(name, user)).map((room) => this.#joinFor(room));
  }

  /** The connection is closed; with `why`, permanently. */
  down(why?: WarrenError): void {
    this.#timers.clear();
    for (const room of this.all) {
      room.disconnect();
      if (why) for (const joined of room.waiting.splice(0)) joined.reject(why);
    }
  }

  // ── what arrives ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** JOINED: an answer, or the server has put us into a room. */
  joined(frame: JoinedFrame): void {
    const { room: name, ref } = frame;
    const { epoch, seq, recovered, missed } = frame.payload;
    if (this.#left.has(name) || (ref !== undefined && !this.#rooms.has(name))) return;
    if (name === "*") { // nobody joins this room, so nobody can ask for what was missed there
      return this.#owner.gap({ room: name, since: null, position: { epoch, seq } });
    }
    const room = this.#room(name);
    if (ref === undefined) room.isKept = true; // the server has put us there
    if ((ref ?? null) !== room.asked) { // only the answer to our own JOIN says what was missed
      if (!room.again(frame.payload)) this.#want(room);
      return;
    }
    this.#pass(room.joined(frame.payload));
    const joined = (room.last = { room: name, epoch, seq, recovered, missed, ...this.#owner.joined(frame) });
    this.#owner.entered(joined);
    for (const waiting of room.waiting.splice(0)) waiting.resolve(joined);
    this.#outbox.settle(ref)?.resolve(undefined);
    this.#timers.cancel(name);
    if (room.lacks) this.#miss(room);
  }

  /** LEFT: the server took us out of a room. */
  left({ room: name, payload }: LeftFrame): void {
    const reason = payload?.reason ?? null;
    const room = this.#rooms.get(name);
    if (!room) return;
    if (reason === "unavailable") {
      // the room is still wanted: the JOIN is postponed while nobody can decide
      this.#owner.stopped(name);
      this.#want(room);
    } else this.#forget(room, new WarrenError("closed", `removed from ${name}${reason ? ` (${reason})` : ""}`), false, reason);
  }

  /** A numbered message has arrived. Returns whether it is to be passed on now. */
  isNew(message: Numbered): boolean {
    const room = this.#rooms.get(message.room);
    if (!room) return true;
    const entry = this.#outbox.get(message.id);
    const isOwn = message.sender === this.#owner.user && this.#isMine(message.id, entry);
    const verdict = room.take(message, isOwn, entry?.resent || entry?.isRestored);
    if (verdict === "new") return true;
    if (verdict === "repeat") this.repeats++;
    this.goOn(room.name);
    return false;
  }

  /** An own message, of which no copy was wanted, was accepted, or is given up. */
  sent(id: string, name?: string, position: { epoch?: string; seq?: number } = {}): void {
    remember(this.mine, id);
    this.get(name)?.ack(position);
  }

  /** A message was passed on: it is the last one of its room. */
  handed({ room, epoch, seq }: Message): void {
    const found = seq && epoch && this.get(room);
    if (found) found.delivered = { epoch, seq };
  }

  /** Pass on the held messages that are now in sequence. */
  goOn(name: string | undefined): void {
    const room = this.get(name);
    if (!room?.lacks) return;
    this.#pass(room.following());
    if (room.lacks) this.#miss(room);
    else this.#timers.cancel(room.name);
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Whether this client sent the message without asking for a copy. */
  #isMine(id: string | undefined, entry: Waiting | undefined): boolean {
    return entry?.kind === "message" ? !entry.echo : this.mine.has(id!);
  }

  /** Messages of a room are missing. Ask for them, unless they are in flight, or may be own messages that are not acknowledged yet. */
  #miss(room: RoomPosition): void {
    if (isReserved(room.name, this.#owner.user)) return;
    if ((room.isReplayed || this.#outbox.hasSentTo(room.name)) && !room.isFull) {
      if (!this.#timers.has(room.name)) this.#timers.after(room.name, this.#options.gapMs, () => this.#ask(room));
    } else this.#ask(room);
  }

  #ask(room: RoomPosition): void {
    this.#timers.cancel(room.name);
    if (room.lacks) this.#want(room);
  }

  #want(room: RoomPosition): void {
    if (this.#owner.isOpen && !room.asked) this.#outbox.add(this.#joinFor(room));
  }

  #pass(found: Found): void {
    for (const each of found) "seq" in each ? this.#owner.hand(each) : this.#owner.gap(each);
  }

  #joinFor(room: RoomPosition): Entry {
    const id = this.#owner.id();
    room.asked = id;
    const build = () => {
      const asked = room.request;
      const presence = this.#owner.joining(room.name);
      const payload = asked || presence ? { ...asked, presence } : undefined;
      return this.#owner.text(controlFrame("JOIN", { room: room.name, payload, id }, this.#options.wall()));
    };
    return { id, kind: "JOIN", room: room.name, build };
  }

  #room(name: string): RoomPosition {
    let room = this.#rooms.get(name);
    if (!room) {
      this.#rooms.set(name, (room = new RoomPosition(name)));
      Object.assign(room, this.known.get(name));
      this.known.delete(name);
    }
    return room;
  }

  #forget(room: RoomPosition, why: WarrenError, isOwn = false, reason: string | null = null): void {
    this.#rooms.delete(room.name);
    this.#owner.forgot(room.name, isOwn ? null : why, reason);
    this.#timers.cancel(room.name);
    this.#outbox.settle(room.asked)?.reject(why);
    for (const joined of room.waiting.splice(0)) joined.reject(why);
    this.#pass(room.release());
  }
}

/** Whether a client may not join this room by name. The user's own room may be joined. */
function isReserved(room: string, user?: string | null): boolean {
  return (room.startsWith("@") && room !== `@${user}`) || room.startsWith("*");
}
