/**
 * The client's core: no dependencies, speaks `warren.v1` (docs/protocol.md).
 *
 * It keeps one WebSocket open, passes messages to listeners by type, and delivers what was sent to the server once and in order even if
 * the connection drops. It never renders, stores nothing outside its own object, and never waits or buffers without a bound.
 * Time, randomness and the WebSocket class can be passed in. types.ts documents the options; README.md is the overview.
 */
import { decode } from "./binary.js";
import { controlText, messageText, roomFault } from "./encode.js";
import { WarrenError, rejected } from "./error.js";
import { Link } from "./link.js";
import { Listeners } from "./listeners.js";
import { withDefaults, type AllOptions } from "./options.js";
import { Outbox, type Entry, type Waiting } from "./outbox.js";
import type { Host, Part } from "./parts.js";
import type { Presence } from "./presence.js";
import type { AckFrame, ErrorFrame, LeftFrame, Message as ApplicationMessage, ServerFrame, WelcomeFrame } from "./protocol.js";
import type { Delivery } from "./receipts.js";
import type { Numbered } from "./room_position.js";
import type { Room, RoomHolds } from "./room.js";
import { Rooms } from "./rooms.js";
import type { Roster } from "./roster.js";
import type { Requests } from "./rpc.js";
import { cancelled, onAbort, unless } from "./signal.js";
import type {
  Ack, AnswerOf, ContactsWatch, Events, HistoryPage, Joined, JoinOptions, Message, MessagesOf, Options, PartOf, PayloadOf, Position, RequestOf,
  RequestOptions, RoomOptions, SendOptions, ServicesOf, Snapshot, State, StreamOptions, TypesOf, Waits, Welcome,
} from "./types.js";

const NAMELESS = new Set(["invalid_format", "invalid_message"]); // codes of ERRORs for frames whose id the server could not read
const TOLD = new Set(["message", "REQUEST", "RECEIPT"]); // kinds of entries whose promises report an ERROR

/** The frames of the server itself, told apart by `type`. */
type Control = Exclude<ServerFrame, ApplicationMessage>;

/** `App` names the types of an application's messages: see `Application`. */
export class WarrenClient<App = {}> {
  #options: AllOptions;
  #link: Link;
  #outbox: Outbox;
  #rooms: Rooms;
  #parts: Part[];
  #prefix: string;
  #count = 0;
  #welcome: Welcome | null = null;
  #listeners = new Listeners("open", "close", "state", "error", "gap", "left", "receipt");

  /** `url`: ws, wss, http or https; in a browser also a path. Nothing happens before `connect()`. */
  constructor(url: string | URL, options: Options = {}) {
    this.#options = withDefaults(options);
    this.#outbox = new Outbox(this.#options, {
      ping: () => this.#control("PING"),
      refused: (entry, error) => this.#reject(entry, error),
    });
    this.#rooms = this.#makeRooms();
    this.#link = new Link(url, this.#options, {
      frame: (data) => this.#hear(data),
      down: (why, isOwn) => this.#down(why, isOwn),
      state: (state) => this.#listeners.emit("state", state),
      report: (event, value) => this.#listeners.emit(event, value),
    });
    // an id counts once for a room and user, so the ids of another page or an earlier life must differ
    this.#prefix = Math.floor(this.#options.random() * 36 ** 10).toString(36);
    const host = this.#makeHost();
    this.#parts = this.#options.parts.map((make) => make(host));
    onAbort(options.signal, () => this.close());
  }

  get state(): State {
    return this.#link.state;
  }

  get user(): string | null {
    return this.#welcome?.user ?? this.#link.user;
  }

  /** The id of the current connection, which a backend can address. */
  get connection(): string | null {
    return this.#welcome?.connection ?? null;
  }

  get limits(): Welcome["limits"] | null {
    return this.#welcome?.limits ?? null;
  }

  get rooms(): string[] {
    return this.#rooms.names;
  }

  /** Messages waiting to be sent or answered, ephemeral messages dropped, repeats dropped. */
  get counters(): { waiting: number; dropped: number; repeats: number } {
    return { waiting: this.#outbox.size, dropped: this.#outbox.dropped, repeats: this.#rooms.repeats };
  }

  /** This client's position in a room, including own acknowledged messages if nothing is missing before them. */
  position(room: string): Position | null {
    return this.#rooms.get(room)?.since ?? null;
  }

  /** Listen to the client's events, to a message type, or to all messages (`*`). Returns a function that removes the listener. */
  on<Name extends keyof Events>(event: Name, listener: (value: Events[Name]) => void, options?: Waits): () => void;
  on<Type extends TypesOf<App>>(type: Type, listener: (message: Message<PayloadOf<App, Type>>) => void, options?: Waits): () => void;
  on<Payload = unknown>(type: string, listener: (message: Message<Payload>) => void, options?: Waits): () => void;
  on(type: string, listener: (value: any) => void, options?: Waits): () => void {
    return this.#listeners.on(type, listener, options);
  }

  /** The next event or message of this type. Rejected when the client is closed first. */
  once<Name extends keyof Events>(event: Name, options?: Waits): Promise<Events[Name]>;
  once<Type extends TypesOf<App>>(type: Type, options?: Waits): Promise<Message<PayloadOf<App, Type>>>;
  once<Payload = unknown>(type: string, options?: Waits): Promise<Message<Payload>>;
  once(type: string, options?: Waits): Promise<any> {
    return this.#listeners.once(type, options);
  }

  /**
   * Connect and stay connected; while waiting for the next attempt, try now. Settled by the first WELCOME, or when the client gives up. If
   * the signal fires before, the client closes.
   */
  connect({ signal }: Waits = {}): Promise<Welcome> {
    const over = [signal, this.#options.signal].find((each) => each?.aborted);
    if (over) return rejected(cancelled("connect", over));
    return unless(signal, "connect", this.#link.connect(), () => this.close());
  }

  /** Close the connection and stay closed. Waiting messages are rejected with `closed`. Positions are kept for a later `connect()`. */
  close(): void {
    for (const part of this.#parts) part.closing?.();
    this.#link.close();
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
    const { signal } = options;
    if (signal?.aborted) return rejected(cancelled("the message", signal, options.id));
    const isEphemeral = options.ephemeral ?? this.#options.ephemeralTypes.includes(type);
    const id = isEphemeral ? undefined : (options.id ?? this.#id());
    let text: string;
    try {
      text = messageText(type, room, payload ?? null, { ...options, id }, this.#options.wall());
    } catch (fault) {
      return rejected(fault);
    }
    if (id === undefined) {
      this.#outbox.ephemeral(text);
      return Promise.resolve(null);
    }
    const before = this.#outbox.get(id);
    if (before && before.kind !== "RECEIPT") return unless(signal, "the message", before.promise); // already in flight
    const fault = this.#fault(id, true);
    if (fault) return rejected(fault);
    const receipt = options.receipt && this.#part<Delivery>("receipts").receipts.want(id, room, options.receipt, text);
    const build = receipt ? receipt.build : () => text;
    const promise = this.#outbox.add({ id, kind: "message", room, build, text, echo: options.includeSender === true, receipt });
    this.#changed();
    return unless(signal, "the message", promise, (error) => this.#giveUp(id, error));
  }

  /**
   * Become a member, now and after each reconnect, until `leave()`. If the server can't accept the JOIN now (`rate_limited`,
   * `overloaded`, `unavailable`), the client asks again later; an invalid name is refused at once.
   */
  join(name: string, { presence, signal }: JoinOptions = {}): Promise<Joined> {
    const fault = (signal?.aborted ? cancelled("join", signal) : roomFault(name)) ?? this.#fault();
    if (fault) return rejected(fault);
    if (presence) this.#part<Presence>("presence").want(name, presence);
    const isNew = !this.#rooms.get(name);
    const joined = this.#rooms.join(name);
    this.#changed();
    return unless(signal, "join", joined, () => isNew && this.leave(name));
  }

  leave(name: string): Promise<void> {
    const fault = roomFault(name);
    if (fault) return rejected(fault);
    for (const part of this.#parts) part.leaving?.(name);
    this.#rooms.leave(name);
    this.#changed();
    return this.state === "open" ? this.#outbox.add(this.#control("LEAVE", name)) : Promise.resolve();
  }

  /**
   * The room as an object, with listeners, state and a loop over its messages of its own. The client joins it, and leaves it when the last
   * object has left; one that the server or `join()` has joined, it stays in. Throws WarrenError for an invalid name.
   */
  room<Messages extends object>(name: string, options?: RoomOptions): Room<Messages>;
  room<Name extends string>(name: Name, options?: RoomOptions): Room<MessagesOf<App, Name>>;
  room(name: string, options: RoomOptions = {}): Room<any> {
    return this.#part<RoomHolds>("room").hold(name, options);
  }

  /** Read at most `limit` messages (default 50, at most 100) of a joined room: those before the seq `before`, or the newest. */
  history(room: string, { before, limit, signal }: Waits & { before?: number | undefined; limit?: number | undefined } = {}): Promise<HistoryPage> {
    const fault = (signal?.aborted ? cancelled("history", signal) : roomFault(room)) ?? this.#fault(undefined, true);
    if (fault) return rejected(fault);
    try {
      const entry = this.#control("HISTORY", room, { before, limit });
      return unless(signal, "history", this.#outbox.add(entry), () => this.#outbox.settle(entry.id));
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
    return this.#part<Requests>("rpc").request(service, payload, options);
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
    return this.#part<Requests>("rpc").stream(service, payload, options);
  }

  /** Who is in a room that was joined with `presence`; null: it was not. */
  presence(room: string): Roster<any> | null {
    return this.#find<Presence>("presence")?.roster(room) ?? null;
  }

  /**
   * `contacts.watch(["bob", "eve"])`: whether these users are connected, to any gateway; at most 100 in all. The server must allow it:
   * `isOnline` stays null, and the event `error` says `forbidden`, if it does not.
   */
  get contacts(): ContactsWatch {
    return this.#part<Presence>("presence").contacts;
  }

  /**
   * The user has seen the room up to `position` (a message, for example), by default up to the last one that was delivered there. It may be
   * called for each message: it is said at most once a second, the last word also before `leave()` and `close()`, and again after a
   * reconnect. It says nothing where this client is not, and of another epoch. A room that does not tell who has seen what refuses it: the
   * event `error` says `forbidden`, once on each connection (`presence(room).tellsSeen` says it before). Throws WarrenError for an invalid
   * name.
   */
  seen(name: string, position?: { epoch?: string; seq?: number } | null): void {
    const fault = roomFault(name);
    if (fault) throw fault;
    const { seen } = this.#part<Delivery>("receipts");
    const room = this.#rooms.get(name);
    const { epoch, seq = 0 } = (position === undefined ? room?.delivered : position) ?? {};
    if (epoch && seq > 0 && epoch === room?.position?.epoch) seen.saw(name, { epoch, seq });
  }

  /** What another client needs to go on where this one is: positions, and messages without an answer. Requests are not among it. */
  snapshot(): Snapshot {
    const outbox = this.#outbox.of("message").map(({ id, room = null, text, echo }) => ({ id, room, text: text!, echo: echo === true }));
    const { grant, manual: hasConnected } = this.#link;
    return { version: 1, user: this.user, grant, hasConnected, ...this.#rooms.snapshot(), outbox };
  }

  /**
   * Go on where another client has ended; before `connect()`. Its messages without an answer are sent again under their ids, and count
   * once; `send` with such an id returns the promise, and the event `error` says if one is refused.
   */
  restore(snapshot: Snapshot): void {
    if (this.state !== "idle") throw new TypeError("restore: only before the first connect()");
    if (snapshot?.version !== 1) throw new TypeError("restore: this is no snapshot of version 1");
    if (!this.#options.user) this.#link.user = snapshot.user;
    this.#link.grant = snapshot.grant;
    this.#link.manual = snapshot.hasConnected;
    this.#rooms.restore(snapshot);
    for (const { id, room, text, echo } of snapshot.outbox) {
      this.#outbox.add({ id, kind: "message", room, text, echo, build: () => text, isRestored: true });
    }
  }

  // ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  #makeHost(): Host {
    const [client, link, rooms] = [this, this.#link, this.#rooms];
    return {
      client,
      options: this.#options,
      outbox: this.#outbox,
      get state() {
        return link.state;
      },
      get user() {
        return client.user;
      },
      id: () => this.#id(),
      control: (type, room, payload) => this.#control(type, room, payload),
      fault: (ref, counts) => this.#fault(ref, counts),
      position: (room) => rooms.get(room)?.since ?? null,
      delivered: (room) => rooms.get(room)?.delivered ?? null,
      joined: (room) => rooms.get(room)?.last ?? null,
      want: (room, presence) => {
        if (presence) this.#part<Presence>("presence").want(room, presence);
        rooms.want(room);
        this.#changed();
      },
      isKept: (room) => rooms.get(room)?.isKept === true,
      emit: (event, value) => this.#listeners.emit(event, value),
    };
  }

  #makeRooms(): Rooms {
    const client = this;
    return new Rooms(this.#options, this.#outbox, {
      get isOpen() {
        return client.state === "open";
      },
      get user() {
        return client.user;
      },
      id: () => this.#id(),
      joining: (room) => {
        for (const part of this.#parts) {
          const asked = part.joining?.(room);
          if (asked) return asked;
        }
        return undefined;
      },
      joined: (frame) => {
        for (const part of this.#parts) part.joined?.(frame);
        return { presence: this.presence(frame.room) };
      },
      stopped: (room) => this.#parts.forEach((part) => part.stopped?.(room)),
      entered: (joined) => this.#parts.forEach((part) => part.entered?.(joined)),
      forgot: (room, why, reason) => this.#parts.forEach((part) => part.forget?.(room, why, reason)),
      gap: (room, since, position) => {
        const gap = { room, since, position };
        this.#parts.forEach((part) => part.gap?.(gap));
        this.#listeners.emit("gap", gap);
      },
      hand: (message) => this.#hand(message),
    });
  }

  #find<Found extends Part>(name: string): Found | undefined {
    return this.#parts.findLast((part) => part.name === name) as Found | undefined;
  }

  #part<Found extends Part>(name: string): Found {
    const part = this.#find<Found>(name);
    if (!part) throw new TypeError(`this client lacks ${name}: import it from "warren-client/${name}" and pass it in the option parts`);
    return part;
  }

  // ── outgoing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Why nothing can be sent now. `counts`: what is to be sent counts for `outboxLimit`. */
  #fault(ref?: string, counts = false): WarrenError | null {
    if (this.state === "closed") return new WarrenError("closed", "the client is closed; call connect() first", { ref });
    if (!counts || !(this.#outbox.isFull || this.#parts.some((part) => part.isFull?.()))) return null;
    const message = `${this.#options.outboxLimit} messages are waiting already (outboxLimit)`;
    return new WarrenError("outbox_full", message, { ref, retry: true });
  }

  #id(): string {
    return `${this.#prefix}-${++this.#count}`;
  }

  #control(type: string, room?: string, payload?: unknown): Entry {
    const id = this.#id();
    const text = controlText(type, room, payload, id, this.#options.wall());
    return { id, kind: type, room, build: () => text };
  }

  /** Nobody waits for the ACK of this message any more. It may have been sent. */
  #giveUp(id: string, error: WarrenError): void {
    const entry = this.#outbox.get(id);
    if (!entry) return;
    if (!entry.echo) this.#rooms.sent(id);
    this.#reject(entry, error);
  }

  #changed(): void {
    for (const part of this.#parts) part.changed?.();
  }

  #refresh(expiresAt: number | null | undefined): void {
    this.#link.refresh(expiresAt, (token) => this.#outbox.first(this.#control("AUTH", undefined, { token })));
  }

  // ── incoming ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

  #hear(data: string): void {
    let frame: Control;
    try {
      frame = JSON.parse(data);
      if (typeof frame?.type !== "string") throw new TypeError("no type");
      decode(frame as Message);
      if (frame.type === "HISTORY") frame.payload.messages.forEach((message) => decode(message as Message));
    } catch (cause) {
      const message = `the server sent an invalid message: ${(cause as Error).message}`;
      return this.#listeners.emit("error", new WarrenError("invalid_format", message, { cause }));
    }
    const message = frame as Message;
    let isControl = true;
    this.#outbox.answered(message.ref);
    switch (frame.type) {
      case "WELCOME":
        return this.#welcomed(frame);
      case "JOINED":
        this.#rooms.joined(frame);
        break;
      case "LEFT":
        this.#wasLeft(frame);
        break;
      case "ACK":
        this.#acked(frame);
        break;
      case "ERROR":
        this.#refused(frame);
        break;
      case "HISTORY":
        this.#outbox.settle(frame.ref)?.resolve({ room: frame.room, ...frame.payload });
        break;
      case "PRESENCE":
      case "RECEIPT":
      case "ACCEPTED":
        for (const part of this.#parts) part.take?.(frame);
        if (frame.type === "PRESENCE") this.#outbox.settle(frame.ref)?.resolve(frame.payload);
        break;
      case "DROPPED":
        this.#rooms.get(frame.room)?.withheld(frame.payload?.seq ?? 0);
        for (const part of this.#parts) part.dropped?.(frame);
        break;
      case "RECONNECT":
        this.#link.move(frame.payload?.after_ms ?? 0);
        break;
      case "DEGRADED":
      case "RESTORED":
        this.#outbox.degraded(frame.type === "DEGRADED");
        break;
      case "AUTHENTICATED":
        this.#refresh(frame.payload?.expires_at);
        break;
      default:
        if (!message.seq || this.#rooms.isNew(message as Numbered)) this.#hand(message);
        else return;
        isControl = false;
    }
    if (isControl) this.#listeners.hand(message);
    if (message.seq || message.type === "ACK") this.#rooms.goOn(message.room);
    this.#outbox.pump();
    this.#changed();
  }

  /** Pass on a message of the application. */
  #hand(message: Message): void {
    this.#rooms.handed(message);
    for (const part of this.#parts) part.hand?.(message);
    this.#listeners.hand(message);
  }

  #welcomed(frame: WelcomeFrame): void {
    const welcome = (this.#welcome = frame.payload);
    const first = this.#link.manual ? this.#rooms.resume(welcome.user) : this.#rooms.begin(welcome.rooms);
    this.#link.manual = true; // from now on we know our rooms and our positions in them
    this.#link.opened(welcome, (sent) => this.#outbox.first({ ...this.#control("PING"), sent }));
    this.#listeners.hand(frame);
    this.#listeners.emit("open", welcome);
    if (this.state !== "open") return; // a listener has closed the client
    this.#outbox.open((text) => this.#link.write(text), welcome.limits, first);
    this.#refresh(welcome.expires_at);
    for (const part of this.#parts) part.opened?.();
  }

  #acked(frame: AckFrame): void {
    const entry = this.#outbox.settle(frame.ref);
    if (entry?.kind !== "message") return;
    const { seq, epoch } = frame.payload ?? {};
    if (!entry.echo) this.#rooms.sent(frame.ref, frame.room, frame.payload);
    entry.resolve({ id: frame.ref, room: frame.room, seq, epoch, ...entry.receipt?.promises });
    for (const part of this.#parts) part.acked?.(entry, frame.room, seq);
  }

  #wasLeft(frame: LeftFrame): void {
    const entry = this.#outbox.settle(frame.ref);
    if (entry) return entry.resolve(undefined);
    this.#rooms.left(frame);
    if (frame.ref === undefined) this.#listeners.emit("left", { room: frame.room, reason: frame.payload?.reason ?? null });
  }

  #refused(frame: ErrorFrame): void {
    const { code = "internal", message = "refused", retry = false, close, reconnect, retry_after_ms: retryAfterMs } = frame.payload ?? {};
    const error = new WarrenError(code, message, { retry, retryAfterMs, ref: frame.ref });
    const isNameless = frame.ref === undefined && close === undefined && NAMELESS.has(code);
    const entry = isNameless ? this.#outbox.accuse(error) : this.#outbox.get(frame.ref);
    if (close !== undefined) Object.assign(this.#link, { advice: reconnect ?? null, words: message, afterMs: retryAfterMs ?? 0 });
    if (entry?.kind === "JOIN" && retry) this.#outbox.postpone(entry, retryAfterMs); // the room is still wanted
    else if (entry && (close === undefined || reconnect === "no")) this.#reject(entry, error);
    for (const part of this.#parts) part.refused?.(frame.ref, error);
    const isTold = (TOLD.has(entry?.kind ?? "") && !entry?.isRestored) || code === "cancelled"; // by the promise
    if (!isTold) this.#listeners.emit("error", error);
  }

  /** An entry was refused permanently. */
  #reject(entry: Waiting, error: WarrenError): void {
    error.ref ??= entry.id;
    for (const part of this.#parts) if (part.rejects?.(entry, error)) return;
    this.#outbox.settle(entry.id)?.reject(error);
    if (entry.kind === "JOIN") this.#rooms.refused(entry.room!, error);
  }

  /** The connection is closed; with `why`, permanently. */
  #down(why?: WarrenError, isOwn?: boolean): void {
    this.#rooms.down(why);
    for (const part of this.#parts) part.down?.(why, isOwn);
    if (why) this.#outbox.close(why);
    else this.#outbox.disconnect();
    this.#changed();
  }
}
