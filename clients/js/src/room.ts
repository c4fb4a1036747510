/**
 * The part "room": rooms as objects. Several may hold one room; the client joins it for the first and leaves it after the last. Each has
 * listeners, loops and a state of its own, which end with it, so that whoever leaves and joins again hears nothing twice.
 */
import type { WarrenClient } from "./client.js";
import { WarrenError, deferred, rejected, type Deferred } from "./error.js";
import { Listeners } from "./listeners.js";
import type { Host, Part } from "./parts.js";
import type { DroppedFrame } from "./protocol.js";
import { Queue } from "./queue.js";
import type { Roster } from "./roster.js";
import { onAbort } from "./signal.js";
import type {
  Ack, DroppedItem, Gap, Joined, LeftRoom, Member, Message, Position, RoomEvents, RoomItem, RoomOptions, RoomState, SendOptions, TypedMessage,
  Waits,
} from "./types.js";

const QUEUED = 1_000;
const NONE: ReadonlyMap<string, Member<any>> = new Map();

export class Room<Messages extends object = Record<string, unknown>> implements AsyncIterable<RoomItem<Messages>> {
  readonly name: string;
  #client: WarrenClient<any>;
  #owner: RoomHolds;
  #state: RoomState = "joining";
  #joined: Deferred<Joined> = deferred();
  #listeners = new Listeners("state", "gap", "dropped", "left", "presence");
  #queues = new Set<Queue<RoomItem<Messages>>>();
  #isClosed = false; // as the client is
  #error: WarrenError | null = null; // why it is left, unless by ourselves
  #watched: Roster<any> | null = null;
  #quiet: (() => void)[] = [];

  /** Made by `client.room()`. */
  constructor(name: string, client: WarrenClient<any>, owner: RoomHolds) {
    this.name = name;
    this.#client = client;
    this.#owner = owner;
  }

  /** `joining` (also while there is no connection), `joined`, `left`. */
  get state(): RoomState {
    return this.#state;
  }

  /** Resolves when we are in, now or with the next JOINED; rejected when the room is refused or left. */
  get joined(): Promise<Joined> {
    return this.#joined.promise;
  }

  /** Who is in the room, live: by connection or by user. Empty without the option `presence`. */
  get presence(): ReadonlyMap<string, Member<any>> {
    return this.roster?.members ?? NONE;
  }

  /** The same with counts, events and who has seen what; null without the option `presence`. */
  get roster(): Roster<any> | null {
    return this.#state === "left" ? null : this.#client.presence(this.name);
  }

  get position(): Position | null {
    return this.#client.position(this.name);
  }

  /** Listen to the room's events, to a message type, or to all messages (`*`), until the room is left. Returns a function that removes it. */
  on<Name extends keyof RoomEvents>(event: Name, listener: (value: RoomEvents[Name]) => void, options?: Waits): () => void;
  on<Type extends keyof Messages & string>(
    type: Type,
    listener: (message: TypedMessage<Messages, Type>) => void,
    options?: Waits,
  ): () => void;
  on(type: string, listener: (value: any) => void, options?: Waits): () => void {
    return this.#state === "left" ? () => {} : this.#listeners.on(type, listener, options);
  }

  /** The next event or message of this type. Rejected when the room is left first. */
  once<Name extends keyof RoomEvents>(event: Name, options?: Waits): Promise<RoomEvents[Name]>;
  once<Type extends keyof Messages & string>(type: Type, options?: Waits): Promise<TypedMessage<Messages, Type>>;
  once(type: string, options?: Waits): Promise<any> {
    const next = this.#listeners.once(type, options);
    if (this.#state === "left") this.#listeners.end(this.#over);
    return next;
  }

  /**
   * The messages from now on, in order, and between them `GAP` and `DROPPED` where some are missing. Ends when the room is left or the
   * client is closed, and throws if the room is refused or the server takes us out. At most `limit` (1,000) wait: if the loop is slower,
   * the oldest are lost, and a `DROPPED` in their place says how many.
   */
  messages({ limit = QUEUED, signal }: Waits & { limit?: number } = {}): AsyncIterableIterator<RoomItem<Messages>> {
    if (!(limit >= 2)) throw new RangeError("limit: must be at least 2");
    const queue: Queue<RoomItem<Messages>> = new Queue(limit, () => {
      this.#queues.delete(queue);
      quiet();
    });
    this.#queues.add(queue);
    const quiet = onAbort(signal, () => queue.end());
    if (this.#state === "left") queue.end(this.#error ?? undefined);
    return queue;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<RoomItem<Messages>> {
    return this.messages();
  }

  /** Send a message to this room: see `client.send`. */
  send<Type extends keyof Messages & string>(type: Type, payload?: Messages[Type], options?: SendOptions): Promise<Ack | null> {
    if (this.#state === "left") return rejected(this.#over);
    return this.#client.send(type, this.name, payload ?? null, options);
  }

  /** The room's older messages, the newest first, page by page as they are read: those before the seq `before`. */
  async *history({ before, limit, signal }: Waits & { before?: number; limit?: number } = {}): AsyncGenerator<Message, void, void> {
    await this.joined;
    for (;;) {
      const page = await this.#client.history(this.name, { before, limit, signal });
      yield* [...page.messages].reverse();
      before = page.messages[0]?.seq;
      if (!page.more || before === undefined) return;
    }
  }

  /** The user has seen the room up to this message: see `client.seen`. */
  seen(position?: { epoch?: string; seq?: number } | null): void {
    if (this.#state !== "left") this.#client.seen(this.name, position);
  }

  /** Hold the room no longer. Listeners are removed and loops end at once; the client leaves the room if nobody else holds it. */
  leave(): Promise<void> {
    if (this.#state === "left") return Promise.resolve();
    this.end(null);
    return this.#owner.release(this);
  }

  // ── for the part ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The messages that loops are not done with. */
  get unread(): RoomItem<Messages>[] {
    return [...this.#queues].flatMap(({ current, items }) => (current ? [current, ...items] : items));
  }

  /** We are in. */
  entered(joined: Joined): void {
    this.watch(joined.presence);
    this.#joined.resolve(joined);
    this.#become("joined");
  }

  /** Tell listeners when the roster changes, which may be made later, for another who holds the room. */
  watch(roster: Roster<any> | null): void {
    if (!roster || roster === this.#watched) return;
    this.#watched = roster;
    this.#quiet.push(roster.on("change", (now) => this.#listeners.emit("presence", now)));
  }

  /** We are out, and will be in again. */
  away(): void {
    if (this.#state !== "joined") return;
    this.#joined = deferred();
    this.#become("joining");
  }

  hand(message: Message): void {
    this.#listeners.hand(message);
    this.#put(message as unknown as RoomItem<Messages>);
  }

  gap(gap: Gap): void {
    this.#listeners.emit("gap", gap);
    this.#put({ type: "GAP", lost: "gap", room: this.name, payload: gap });
  }

  dropped({ payload }: DroppedFrame): void {
    this.#listeners.emit("dropped", payload);
    this.#put({ type: "DROPPED", lost: "dropped", room: this.name, payload });
  }

  /** The client is closed, by itself (`isOwn`) or by the server: loops end. It may connect again, and is in the room then. */
  closed(why: WarrenError, isOwn: boolean): void {
    this.#joined.reject(why);
    this.#isClosed = true;
    this.#listeners.end(why);
    for (const queue of [...this.#queues]) queue.end(isOwn ? undefined : why);
  }

  /** The client connects again. */
  opened(): void {
    if (this.#isClosed) this.#joined = deferred();
    this.#isClosed = false;
  }

  /** It is over: by ourselves (null), or for this reason. */
  end(error: WarrenError | null, reason: string | null = null): void {
    if (this.#state === "left") return;
    this.#error = error;
    const joined = deferred<Joined>();
    for (const each of [this.#joined, joined]) each.reject(this.#over);
    this.#joined = joined;
    this.#become("left");
    this.#listeners.emit("left", { room: this.name, reason, error } satisfies LeftRoom);
    this.#listeners.end(this.#over);
    this.#listeners = new Listeners();
    for (const queue of [...this.#queues]) queue.end(error ?? undefined);
    for (const quiet of this.#quiet.splice(0)) quiet();
  }

  /** Keep something that ends with the room. */
  until(quiet: () => void): void {
    this.#quiet.push(quiet);
  }

  get #over(): WarrenError {
    return this.#error ?? new WarrenError("closed", `left ${this.name}`);
  }

  #become(state: RoomState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#listeners.emit("state", state);
  }

  #put(item: RoomItem<Messages>): void {
    for (const queue of this.#queues) {
      if (queue.isFull) drop(queue.items, queue.limit, this.name);
      queue.put(item);
    }
  }
}

/** Make room for one more in a loop's queue: the oldest are replaced by one item that counts them. */
function drop(items: RoomItem<any>[], limit: number, room: string): void {
  const first = items[0]!;
  let told: DroppedItem;
  if (first.lost === "dropped" && first.payload.local) told = first;
  else {
    told = { type: "DROPPED", lost: "dropped", room, payload: { count: 0, seq: 0, local: true } };
    items.unshift(told);
  }
  while (items.length >= limit) {
    const lost = items.splice(1, 1)[0]!;
    const { count, seq } = lost.lost === "dropped" ? lost.payload : { count: lost.lost ? 0 : 1, seq: lost.lost ? 0 : (lost.seq ?? 0) };
    told.payload.count += count;
    told.payload.seq = Math.max(told.payload.seq, seq);
  }
}

/** Who holds which room. */
export class RoomHolds implements Part {
  readonly name = "room";
  #held = new Map<string, Set<Room<any>>>();
  #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  hold(name: string, { presence, signal }: RoomOptions): Room<any> {
    const fault = this.#host.roomFault(name);
    if (fault) throw fault;
    const { client } = this.#host;
    const room = new Room<any>(name, client, this);
    if (signal?.aborted) {
      room.end(null);
      return room;
    }
    this.#held.set(name, this.#of(name).add(room));
    room.until(onAbort(signal, () => void room.leave()));
    const joined = this.#host.rooms.get(name)?.last;
    const before = client.presence(name);
    if (!joined || (presence && !before)) this.#host.want(name, presence);
    else if (typeof presence === "object" && "info" in presence) before?.update(presence.info).catch(() => {}); // the event `error` reports it
    const roster = client.presence(name);
    room.watch(roster);
    if (joined) room.entered({ ...joined, presence: roster });
    return room;
  }

  /** A room is held by one less. */
  async release(room: Room<any>): Promise<void> {
    const { name } = room;
    const all = this.#of(name);
    all.delete(room);
    if (all.size) return;
    this.#held.delete(name);
    await null; // who takes it again at once (a component that is mounted anew) neither leaves nor joins
    const position = this.#host.rooms.get(name); // it may be left already
    if (position && !position.isKept && !this.#held.has(name)) await this.#host.client.leave(name);
  }

  entered(joined: Joined): void {
    this.#each(joined.room, (room) => room.entered(joined));
  }

  stopped(name: string): void {
    this.#each(name, (room) => room.away());
  }

  forget(name: string, why: WarrenError | null, reason?: string | null): void {
    const all = this.#of(name);
    this.#held.delete(name);
    for (const room of [...all]) room.end(why, reason);
  }

  opened(): void {
    this.#everywhere((room) => room.opened());
  }

  down(why?: WarrenError, isOwn = false): void {
    this.#everywhere((room) => {
      room.away();
      if (why) room.closed(why, isOwn);
    });
  }

  hand(message: Message): void {
    this.#each(message.room, (room) => room.hand(message));
  }

  gap(gap: Gap): void {
    this.#each(gap.room, (room) => room.gap(gap));
  }

  take(frame: { type: string }): void {
    const { type, room: name } = frame as DroppedFrame;
    if (type === "DROPPED") this.#each(name, (room) => room.dropped(frame as DroppedFrame));
  }

  /** The first message that a loop is not done with. */
  unread(name: string): Message | undefined {
    const all = [...this.#of(name)].flatMap(({ unread }) => unread).filter(({ lost }) => !lost) as Message[];
    return all.filter(({ seq }) => seq).sort((a, b) => a.timestamp - b.timestamp || a.seq! - b.seq!)[0];
  }

  #of(name: string | undefined): Set<Room<any>> {
    return this.#held.get(name!) ?? new Set();
  }

  #each(name: string | undefined, then: (room: Room<any>) => void): void {
    [...this.#of(name)].forEach(then);
  }

  #everywhere(then: (room: Room<any>) => void): void {
    for (const name of [...this.#held.keys()]) this.#each(name, then);
  }
}

/** Rooms as objects: `new WarrenClient(url, { parts: [room] })`. */
export const room = (host: Host): Part => new RoomHolds(host);
