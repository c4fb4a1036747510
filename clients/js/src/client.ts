/**
 * The client's core: no dependencies, speaks `warren.v1` (docs/protocol.md).
 *
 * It keeps one WebSocket open, passes messages to listeners by type, and delivers what was sent to the server once and in order even if
 * the connection drops. It never renders, stores nothing outside its own object, and never waits or buffers without a bound.
 * Time, randomness and the WebSocket class can be passed in. types.ts documents the options; README.md is the overview.
 */
import { decode } from "./binary.js";
import type { Contacts } from "./contacts.js";
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
import { Rooms } from "./rooms.js";
import type { Roster } from "./roster.js";
import type { Requests } from "./rpc.js";
import type { Ack, Events, HistoryPage, Joined, JoinOptions, Message, Options, Position, RequestOptions, SendOptions, State, Welcome } from "./types.js";

const NAMELESS = new Set(["invalid_format", "invalid_message"]); // codes of ERRORs for frames whose id the server could not read
const TOLD = new Set(["message", "REQUEST", "RECEIPT"]); // kinds of entries whose promises report an ERROR

/** The frames of the server itself, told apart by `type`. */
type Control = Exclude<ServerFrame, ApplicationMessage>;

export class WarrenClient {
  #options: AllOptions;
  #link: Link;
  #outbox: Outbox;
  #rooms: Rooms;
  #parts: Part[];
  #prefix: string;
  #count = 0;
  #welcome: Welcome | null = null;
  #listeners = new Listeners();

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
      down: (why) => this.#down(why),
      state: (state) => this.#listeners.emit("state", state),
      report: (event, value) => this.#listeners.emit(event, value),
    });
    // an id counts once for a room and user, so the ids of another page or an earlier life must differ
    this.#prefix = Math.floor(this.#options.random() * 36 ** 10).toString(36);
    const host = this.#makeHost();
    this.#parts = this.#options.parts.map((make) => make(host));
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
  on<Name extends keyof Events>(event: Name, listener: (value: Events[Name]) => void): () => void;
  on<Payload = unknown>(type: string, listener: (message: Message<Payload>) => void): () => void;
  on(type: string, listener: (value: any) => void): () => void {
    return this.#listeners.on(type, listener);
  }

  /** Connect and stay connected; while waiting for the next attempt, try now. Settled by the first WELCOME, or when the client gives up. */
  connect(): Promise<Welcome> {
    return this.#link.connect();
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
  send(type: string, room: string | null, payload: unknown = null, options: SendOptions = {}): Promise<Ack | null> {
    const isEphemeral = options.ephemeral ?? this.#options.ephemeralTypes.includes(type);
    const id = isEphemeral ? undefined : (options.id ?? this.#id());
    let text: string;
    try {
      text = messageText(type, room, payload, { ...options, id }, this.#options.wall());
    } catch (fault) {
      return rejected(fault);
    }
    if (id === undefined) {
      this.#outbox.ephemeral(text);
      return Promise.resolve(null);
    }
    const before = this.#outbox.get(id);
    if (before && before.kind !== "RECEIPT") return before.promise; // already in flight
    const fault = this.#fault(id, true);
    if (fault) return rejected(fault);
    const receipt = options.receipt && this.#part<Delivery>("receipts").receipts.want(id, room, options.receipt, text);
    const build = receipt ? receipt.build : () => text;
    return this.#outbox.add({ id, kind: "message", room, build, echo: options.includeSender === true, receipt });
  }

  /**
   * Become a member, now and after each reconnect, until `leave()`. If the server can't accept the JOIN now (`rate_limited`,
   * `overloaded`, `unavailable`), the client asks again later; an invalid name is refused at once.
   */
  join(name: string, { presence }: JoinOptions = {}): Promise<Joined> {
    const fault = roomFault(name) ?? this.#fault();
    if (fault) return rejected(fault);
    if (presence) this.#part<Presence>("presence").want(name, presence);
    return this.#rooms.join(name);
  }

  leave(name: string): Promise<void> {
    const fault = roomFault(name);
    if (fault) return rejected(fault);
    for (const part of this.#parts) part.leaving?.(name);
    this.#rooms.leave(name);
    return this.state === "open" ? this.#outbox.add(this.#control("LEAVE", name)) : Promise.resolve();
  }

  /** Read at most `limit` messages (default 50, at most 100) of a joined room: those before the seq `before`, or the newest. */
  history(room: string, { before, limit }: { before?: number | undefined; limit?: number | undefined } = {}): Promise<HistoryPage> {
    const fault = roomFault(room) ?? this.#fault(undefined, true);
    if (fault) return rejected(fault);
    try {
      return this.#outbox.add(this.#control("HISTORY", room, { before, limit }));
    } catch (unwritten) {
      return rejected(unwritten);
    }
  }

  /**
   * Ask a service. Resolves with the answer's payload (of an answer in parts: the last part's), or rejects with a WarrenError: `no_service`,
   * `overloaded`, `timeout`, `forbidden`, `unavailable`, `cancelled` … Without an answer yet, it is asked again after a reconnect, under the
   * same id; in the middle of an answer in parts, a lost connection rejects it with `connection`.
   */
  request<Answer = unknown, Part = Answer>(service: string, payload: unknown = null, options: RequestOptions<Part> = {}): Promise<Answer> {
    return this.#part<Requests>("rpc").request(service, payload, options);
  }

  /** Who is in a room that was joined with `presence`; null: it was not. */
  presence(room: string): Roster<any> | null {
    return this.#find<Presence>("presence")?.roster(room) ?? null;
  }

  /**
   * Watch whether these users (at most 100) are connected, instead of those of the last call. It returns the same object each time. The
   * server must allow it: `isOnline` stays null, and the event `error` says `forbidden`, if it does not.
   */
  contacts(users: Iterable<string>): Contacts {
    return this.#part<Presence>("presence").contacts(users);
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

  // ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  #makeHost(): Host {
    const [client, link, rooms] = [this, this.#link, this.#rooms];
    return {
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
      forgot: (room) => this.#parts.forEach((part) => part.forget?.(room)),
      gap: (room, since, position) => this.#listeners.emit("gap", { room, since, position }),
      hand: (message) => this.#hand(message),
    });
  }

  #find<Found extends Part>(name: string): Found | undefined {
    return this.#parts.findLast((part) => part.name === name) as Found | undefined;
  }

  #part<Found extends Part>(name: string): Found {
    const part = this.#find<Found>(name);
    if (!part) throw new TypeError(`this client has no part ${name}: new WarrenClient(url, { parts: [${name}] }) with ${name} from "warren-client/${name}"`);
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
        if (message.seq && !this.#rooms.isNew(message as Numbered)) return;
    }
    this.#hand(message);
    if (message.seq || message.type === "ACK") this.#rooms.goOn(message.room);
    this.#outbox.pump();
  }

  #hand(message: Message): void {
    for (const part of this.#parts) part.hand?.(message);
    this.#rooms.handed(message);
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
    const isTold = TOLD.has(entry?.kind ?? "") || code === "cancelled"; // by the promise
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
  #down(why?: WarrenError): void {
    this.#rooms.down(why);
    for (const part of this.#parts) part.down?.(why);
    if (why) this.#outbox.close(why);
    else this.#outbox.disconnect();
  }
}
