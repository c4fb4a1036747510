/**
 * What React's hooks read: stores with a snapshot that stays the same object until something changes. They know nothing of React. A store
 * holds its room while somebody subscribes, so that mounting twice, as StrictMode does, neither joins nor listens twice.
 */
import type { WarrenClient } from "./client.js";
import type { WarrenError } from "./error.js";
import type { Room } from "./room.js";
import type { Gap, Member, Message, RequestOptions, RoomState } from "./types.js";

type Client = WarrenClient<any>;

export interface RoomView<Payload = any> {
  /** `idle`: not asked yet. */
  state: RoomState | "idle";
  /** The newest messages since the room is held, the oldest first. */
  messages: readonly Message<Payload>[];
  /** The last gap: messages before it are missing. */
  gap: Gap | null;
  /** Why the room is left. */
  error: WarrenError | null;
}

export interface PresenceView<Info = unknown> {
  members: readonly Member<Info>[];
  count: { users: number; connections: number };
  countsOnly: boolean;
  /** Whether the room tells who is there; null: not answered yet. */
  watching: boolean | null;
  /** Whether `members` are all. */
  isComplete: boolean;
}

export interface RequestView<Answer> {
  data: Answer | undefined;
  error: WarrenError | null;
  isWaiting: boolean;
}

export const NOWHERE: RoomView = Object.freeze({ state: "idle", messages: [], gap: null, error: null });
export const NOBODY: PresenceView<any> = Object.freeze({
  members: [], count: { users: 0, connections: 0 }, countsOnly: false, watching: null, isComplete: false,
});
export const UNASKED: RequestView<any> = Object.freeze({ data: undefined, error: null, isWaiting: false });

/** A value and who wants to know when it is another one. */
class Store {
  protected subscribers = new Set<() => void>();

  readonly subscribe = (subscriber: () => void): (() => void) => {
    // each call counts on its own, also with the same function
    const own = () => subscriber();
    this.subscribers.add(own);
    if (this.subscribers.size === 1) this.started();
    return () => {
      if (this.subscribers.delete(own) && this.subscribers.size === 0) this.stopped();
    };
  };

  protected started(): void {}
  protected stopped(): void {}

  protected tell(): void {
    for (const each of [...this.subscribers]) each();
  }
}

export class RoomStore extends Store {
  /** What the room shows of this client. */
  info: unknown;
  room: Room<any> | null = null;
  #keeps = new Map<object, number>();
  #listeners = new Set<(message: Message) => void>();
  #view = NOWHERE;
  #presence = NOBODY;

  constructor(
    readonly client: Client,
    readonly name: string,
    readonly hasPresence: boolean,
  ) {
    super();
  }

  readonly view = (): RoomView => this.#view;
  readonly presence = (): PresenceView<any> => this.#presence;

  /** Keep so many messages, until the returned function is called. Of several wishes the greatest counts. */
  keep(count: number): () => void {
    const key = {};
    this.#keeps.set(key, count);
    return () => this.#keeps.delete(key);
  }

  /** Call `listener` for each message. */
  listen(listener: (message: Message) => void): () => void {
    const own = (message: Message) => listener(message);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  protected override started(): void {
    try {
      const { info } = this;
      const room = this.client.room(this.name, this.hasPresence ? { presence: info === undefined ? true : { info } } : {});
      this.room = room;
      room.on("*", (message) => this.#took(message));
      room.on("state", (state) => this.#set({ state }));
      room.on("gap", (gap) => this.#set({ gap }));
      room.on("left", ({ error }) => this.#set({ error }));
      room.on("presence", () => this.#look());
      this.#set({ state: room.state, error: null });
      if (this.hasPresence) this.#look();
    } catch (error) {
      this.#set({ state: "left", error: error as WarrenError }); // an invalid name
    }
  }

  protected override stopped(): void {
    void this.room?.leave();
    this.room = null;
    // mounted again at once, it goes on as it was
    queueMicrotask(() => {
      if (this.subscribers.size) return;
      this.#view = NOWHERE;
      this.#presence = NOBODY;
    });
  }

  #took(message: Message): void {
    for (const each of [...this.#listeners]) each(message);
    const keep = Math.max(0, ...this.#keeps.values());
    if (keep > 0 && message.seq) this.#set({ messages: [...this.#view.messages.slice(-keep + 1 || Infinity), message] });
  }

  #look(): void {
    const roster = this.room?.roster;
    if (!roster) return;
    const { members, count, countsOnly, watching, isComplete } = roster;
    this.#presence = { members: [...members.values()], count: { ...count }, countsOnly, watching, isComplete };
    this.tell();
  }

  #set(change: Partial<RoomView>): void {
    this.#view = { ...this.#view, ...change };
    this.tell();
  }
}

const stores = new WeakMap<Client, Map<string, WeakRef<RoomStore>>>();

/** The store of a room; components that want the same share it. */
export function roomStore(client: Client, name: string, hasPresence: boolean): RoomStore {
  let all = stores.get(client);
  if (!all) stores.set(client, (all = new Map()));
  const key = `${hasPresence ? "with" : "without"} ${name}`;
  const known = all.get(key)?.deref();
  if (known) return known;
  for (const [each, store] of all) if (!store.deref()) all.delete(each);
  const made = new RoomStore(client, name, hasPresence);
  all.set(key, new WeakRef(made));
  return made;
}

export class RequestStore<Answer> extends Store {
  #view: RequestView<Answer> = UNASKED;
  #asking: AbortController | null = null;

  readonly view = (): RequestView<Answer> => this.#view;

  /** Ask; the answer to an earlier question counts no more. */
  async ask(client: Client, service: string, payload: unknown, options: RequestOptions = {}): Promise<Answer> {
    this.cancel();
    const asking = (this.#asking = new AbortController());
    const { signal } = options;
    signal?.addEventListener("abort", () => asking.abort(signal.reason), { once: true });
    this.#set(asking, { isWaiting: true, error: null });
    try {
      const data = await client.request<Answer>(service, payload, { ...options, signal: asking.signal });
      this.#set(asking, { data, isWaiting: false });
      return data;
    } catch (error) {
      this.#set(asking, { error: error as WarrenError, isWaiting: false });
      throw error;
    }
  }

  cancel(): void {
    const asking = this.#asking;
    this.#asking = null;
    asking?.abort();
  }

  #set(asking: AbortController, change: Partial<RequestView<Answer>>): void {
    if (this.#asking !== asking) return;
    this.#view = { ...this.#view, ...change };
    this.tell();
  }
}

const held = new WeakMap<Client, number>();

/** Keep a client connected until the returned function is called. Who holds it again at once finds it as it was. */
export function hold(client: Client): () => void {
  const add = (more: number) => {
    held.set(client, (held.get(client) ?? 0) + more);
    return held.get(client)!;
  };
  if (add(1) === 1 && (client.state === "idle" || client.state === "closed")) client.connect().catch(() => {}); // its events tell
  let isOver = false;
  return () => {
    if (isOver) return;
    isOver = true;
    if (add(-1) === 0) setTimeout(() => held.get(client) === 0 && client.close());
  };
}
