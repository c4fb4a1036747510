/**
 * The client: no dependencies, speaks `warren.v1` (docs/protocol.md).
 *
 * It keeps one WebSocket open, passes messages to listeners by type, and delivers what was sent to the server once and in order even if
 * the connection drops. Time, randomness and the WebSocket class can be passed in. types.ts documents the options; README.md is the
 * overview. It only takes wishes: session.ts does what they need.
 */
import { messageFrame } from "./encode.js";
import { rejected } from "./error.js";
import type { Presence } from "./presence.js";
import type { Delivery } from "./receipts.js";
import type { Room, RoomHolds } from "./room.js";
import type { Roster } from "./roster.js";
import type { Requests } from "./rpc.js";
import { Session } from "./session.js";
import { cancelled, onAbort, unless } from "./signal.js";
import type { Snapshots } from "./snapshot.js";
import type {
  Ack, AnswerOf, ContactsWatch, Events, HistoryPage, Joined, JoinOptions, Message, MessagesOf, Options, PartOf, PayloadOf, Position, RequestOf,
  RequestOptions, RoomOptions, SendOptions, ServicesOf, Snapshot, State, StreamOptions, TypesOf, Waits, Welcome,
} from "./types.js";

/** `App` names the types of an application's messages: see `Application`. */
export class WarrenClient<App = {}> {
  #session: Session;

  /** `url`: ws, wss, http or https; in a browser also a path. Nothing happens before `connect()`. */
  constructor(url: string | URL, options: Options = {}) {
    this.#session = new Session(url, options, this);
    onAbort(options.signal, () => this.close());
  }

  get state(): State {
    return this.#session.state;
  }

  get user(): string | null {
    return this.#session.user;
  }

  /** The id of the current connection, which a backend can address. */
  get connection(): string | null {
    return this.#session.welcome?.connection ?? null;
  }

  get limits(): Welcome["limits"] | null {
    return this.#session.welcome?.limits ?? null;
  }

  get rooms(): string[] {
    return this.#session.rooms.names;
  }

  /** Messages waiting to be sent or answered, ephemeral messages dropped, repeats dropped. */
  get counters(): { waiting: number; dropped: number; repeats: number } {
    const { outbox, rooms } = this.#session;
    return { waiting: outbox.size, dropped: outbox.dropped, repeats: rooms.repeats };
  }

  /** This client's position in a room, including own acknowledged messages if nothing is missing before them. */
  position(room: string): Position | null {
    return this.#session.rooms.get(room)?.since ?? null;
  }

  /** Listen to the client's events, to a message type, or to all messages (`*`). Returns a function that removes the listener. */
  on<Name extends keyof Events>(event: Name, listener: (value: Events[Name]) => void, options?: Waits): () => void;
  on<Type extends TypesOf<App>>(type: Type, listener: (message: Message<PayloadOf<App, Type>>) => void, options?: Waits): () => void;
  on<Payload = unknown>(type: string, listener: (message: Message<Payload>) => void, options?: Waits): () => void;
  on(type: string, listener: (value: any) => void, options?: Waits): () => void {
    return this.#session.listeners.on(type, listener, options);
  }

  /** The next event or message of this type. Rejected when the client is closed first. */
  once<Name extends keyof Events>(event: Name, options?: Waits): Promise<Events[Name]>;
  once<Type extends TypesOf<App>>(type: Type, options?: Waits): Promise<Message<PayloadOf<App, Type>>>;
  once<Payload = unknown>(type: string, options?: Waits): Promise<Message<Payload>>;
  once(type: string, options?: Waits): Promise<any> {
    return this.#session.listeners.once(type, options);
  }

  /**
   * Connect and stay connected; while waiting for the next attempt, try now. Settled by the first WELCOME, or when the client gives up. If
   * the signal fires before, the client closes.
   */
  connect({ signal }: Waits = {}): Promise<Welcome> {
    const over = [signal, this.#session.options.signal].find((each) => each?.aborted);
    if (over) return rejected(cancelled("connect", over));
    return unless(signal, "connect", this.#session.link.connect(), () => this.close());
  }

  /** Close the connection and stay closed. Waiting messages are rejected with `closed`. Positions are kept for a later `connect()`. */
  close(): void {
    this.#session.tell("closing");
    this.#session.link.close();
  }

  /**
   * Send a message; `room` null is the first room joined at connect. Resolves with the ACK, or rejects with a WarrenError. Unless it is
   * refused, the message is sent again after a reconnect until it is acknowledged, and counts once. An ephemeral one resolves at once
   * with null. What the server would refuse (text with half of a surrogate pair, NaN, more than 128 levels, an invalid id or room) is
   * refused at once and not sent. Throws TypeError if JSON can't represent the payload (a BigInt, a cycle).
   */
  send<Name extends string, Type extends keyof MessagesOf<App, Name> & string>(
    type: Type,
    room: Name | null,
    payload?: MessagesOf<App, Name>[Type] | null,
    options: SendOptions = {},
  ): Promise<Ack | null> {
    const session = this.#session;
    const { signal } = options;
    if (signal?.aborted) return rejected(cancelled("the message", signal, options.id));
    const isEphemeral = options.ephemeral ?? session.options.ephemeralTypes.includes(type);
    const id = isEphemeral ? undefined : (options.id ?? session.id());
    let text: string;
    try {
      session.checks?.message(type, room, { ...options, id });
      text = session.text(messageFrame(type, room, payload ?? null, { ...options, id }, session.options.wall()));
    } catch (fault) {
      return rejected(fault);
    }
    if (id === undefined) {
      session.outbox.ephemeral(text);
      return Promise.resolve(null);
    }
    const before = session.outbox.get(id);
    if (before && before.kind !== "RECEIPT") return unless(signal, "the message", before.promise); // already in flight
    const fault = session.fault(id, true);
    if (fault) return rejected(fault);
    const receipt = options.receipt && session.part<Delivery>("receipts").receipts.want(id, room, options.receipt, text);
    const build = receipt ? receipt.build : () => text;
    const promise = session.outbox.add({ id, kind: "message", room, build, text, echo: options.includeSender === true, receipt });
    session.changed();
    return unless(signal, "the message", promise, (error) => session.giveUp(id, error));
  }

  /**
   * Become a member, now and after each reconnect, until `leave()`. If the server can't accept the JOIN now (`rate_limited`,
   * `overloaded`, `unavailable`), the client asks again later; an invalid name is refused at once.
   */
  join(name: string, { presence, signal }: JoinOptions = {}): Promise<Joined> {
    const { rooms } = this.#session;
    const fault = (signal?.aborted ? cancelled("join", signal) : this.#session.roomFault(name)) ?? this.#session.fault();
    if (fault) return rejected(fault);
    if (presence) this.#session.part<Presence>("presence").want(name, presence);
    const isNew = !rooms.get(name);
    const joined = rooms.join(name);
    this.#session.want(name);
    return unless(signal, "join", joined, () => isNew && this.leave(name));
  }

  leave(name: string): Promise<void> {
    const session = this.#session;
    const fault = session.roomFault(name);
    if (fault) return rejected(fault);
    session.tell("leaving", name);
    session.rooms.leave(name);
    session.changed();
    return session.isOpen ? session.outbox.add(session.control("LEAVE", name)) : Promise.resolve();
  }

  /**
   * The room as an object, with listeners, state and a loop over its messages of its own. The client joins it, and leaves it when the last
   * object has left; one that the server or `join()` has joined, it stays in. Throws WarrenError for an invalid name.
   */
  room<Name extends string>(name: Name, options?: RoomOptions): Room<MessagesOf<App, Name>>;
  room<Messages extends object>(name: string, options?: RoomOptions): Room<Messages>;
  room(name: string, options: RoomOptions = {}): Room<any> {
    return this.#session.part<RoomHolds>("room").hold(name, options);
  }

  /** Read at most `limit` messages (default 50, at most 100) of a joined room: those before the seq `before`, or the newest. */
  history(room: string, { before, limit, signal }: Waits & { before?: number | undefined; limit?: number | undefined } = {}): Promise<HistoryPage> {
    const session = this.#session;
    const fault = (signal?.aborted ? cancelled("history", signal) : session.roomFault(room)) ?? session.fault(undefined, true);
    if (fault) return rejected(fault);
    try {
      const entry = session.control("HISTORY", room, { before, limit });
      return unless(signal, "history", session.outbox.add(entry), () => session.outbox.settle(entry.id));
    } catch (unwritten) {
      return rejected(unwritten);
    }
  }

  /**
   * Ask a service. Resolves with the answer's payload (of an answer in parts: the last part's), or rejects with a WarrenError: `no_service`,
   * `overloaded`, `timeout`, `forbidden`, `unavailable`, `cancelled` … Without an answer yet, it is asked again after a reconnect, under the
   * same id; in the middle of an answer in parts, a lost connection rejects it with `connection`.
   */
  request<Service extends keyof ServicesOf<App> & string>(
    service: Service,
    payload?: RequestOf<App, Service>,
    options?: RequestOptions<PartOf<App, Service>>,
  ): Promise<AnswerOf<App, Service>>;
  request<Answer = unknown, Part = Answer>(service: string, payload?: unknown, options?: RequestOptions<Part>): Promise<Answer>;
  request(service: string, payload: unknown = null, options: RequestOptions<any> = {}): Promise<any> {
    return this.#session.part<Requests>("rpc").request(service, payload, options);
  }

  /**
   * Ask a service whose answer comes in parts: `for await (const part of client.stream("ai.answer", prompt))`. Leaving the loop cancels the
   * request. It throws what `request` is rejected with, and `too_slow` if more than `limit` parts wait.
   */
  stream<Service extends keyof ServicesOf<App> & string>(
    service: Service,
    payload?: RequestOf<App, Service>,
    options?: StreamOptions,
  ): AsyncIterableIterator<PartOf<App, Service>>;
  stream<Part = unknown>(service: string, payload?: unknown, options?: StreamOptions): AsyncIterableIterator<Part>;
  stream(service: string, payload: unknown = null, options: StreamOptions = {}): AsyncIterableIterator<any> {
    return this.#session.part<Requests>("rpc").stream(service, payload, options);
  }

  /** Who is in a room that was joined with `presence`; null: it was not. */
  presence(room: string): Roster<any> | null {
    return this.#session.find<Presence>("presence")?.roster(room) ?? null;
  }

  /**
   * `contacts.watch(["bob", "eve"])`: whether these users are connected, to any gateway; at most 100 in all. The server must allow it:
   * `isOnline` stays null, and the event `error` says `forbidden`, if it does not.
   */
  get contacts(): ContactsWatch {
    return this.#session.part<Presence>("presence").contacts;
  }

  /**
   * The user has seen the room up to `position` (a message, for example), by default up to the last one that was delivered there. It may be
   * called for each message: it is said at most once a second, the last word also before `leave()` and `close()`, and again after a
   * reconnect. It says nothing where this client is not, and of another epoch. A room that does not tell who has seen what refuses it: the
   * event `error` says `forbidden`, once on each connection (`presence(room).tellsSeen` says it before). Throws WarrenError for an invalid
   * name.
   */
  seen(name: string, position?: { epoch?: string; seq?: number } | null): void {
    this.#session.part<Delivery>("receipts").saw(name, position);
  }

  /** What another client needs to go on where this one is: positions, and messages without an answer. Requests are not among it. */
  snapshot(): Snapshot {
    return this.#session.part<Snapshots>("snapshot").take();
  }

  /**
   * Go on where another client has ended; before `connect()`. Its messages without an answer are sent again under their ids, and count
   * once; `send` with such an id returns the promise, and the event `error` says if one is refused.
   */
  restore(snapshot: Snapshot): void {
    this.#session.part<Snapshots>("snapshot").restore(snapshot);
  }
}
