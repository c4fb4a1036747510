/**
 * What stands behind a client: its connection, outbox, rooms and parts, and what each frame from the server means for them. It never
 * renders, stores nothing outside its own object, and never waits or buffers without a bound.
 */
import { decode } from "./binary.js";
import type { Checks } from "./checks.js";
import type { WarrenClient } from "./client.js";
import { controlFrame, type Frame } from "./encode.js";
import { WarrenError } from "./error.js";
import { Link } from "./link.js";
import { Listeners } from "./listeners.js";
import { withDefaults, type AllOptions } from "./options.js";
import { Outbox, type Entry, type Waiting } from "./outbox.js";
import type { Host, Part } from "./parts.js";
import type { Presence } from "./presence.js";
import type {
  AckFrame, ErrorFrame, JoinedFrame, JoinedPayload, JoinPresence, LeftFrame, Message as ApplicationMessage, ServerFrame, WelcomeFrame,
} from "./protocol.js";
import type { Numbered } from "./room_position.js";
import { Rooms } from "./rooms.js";
import type { Gap, Joined, JoinOptions, Message, Options, State, Welcome } from "./types.js";

const NAMELESS = new Set(["invalid_format", "invalid_message"]); // codes of ERRORs for frames whose id the server could not read
const TOLD = new Set(["message", "REQUEST", "RECEIPT"]); // kinds of entries whose promises report an ERROR

/** The frames of the server itself, told apart by `type`. */
type Control = Exclude<ServerFrame, ApplicationMessage>;

/** Throws TypeError for what is no frame, or has no valid position where it has one. */
function checkFrame({ type, seq, epoch, payload }: Message): void {
  if (typeof type !== "string") throw new TypeError("no type");
  const isJoined = type === "JOINED";
  if (seq == null && !isJoined) return;
  const found = isJoined ? (payload as JoinedPayload) : { epoch, seq, missed: 0 };
  const areNumbers = [found.seq, found.missed ?? 0].every((n) => Number.isSafeInteger(n) && n! >= 0);
  if (typeof found.epoch !== "string" || !areNumbers) throw new TypeError(`${type} without a position`);
}

export class Session implements Host {
  readonly client: WarrenClient<any>;
  readonly options: AllOptions;
  readonly outbox: Outbox;
  readonly rooms: Rooms;
  readonly link: Link;
  readonly listeners = new Listeners("open", "close", "state", "error", "gap", "left", "receipt");
  welcome: Welcome | null = null;
  #parts: Part[];
  #prefix: string;
  #count = 0;

  constructor(url: string | URL, options: Options, client: WarrenClient<any>) {
    this.client = client;
    this.options = withDefaults(options);
    this.outbox = new Outbox(this.options, {
      ping: () => this.control("PING"),
      refused: (entry, error) => this.#reject(entry, error),
    });
    this.rooms = new Rooms(this.options, this.outbox, this);
    this.link = new Link(url, this.options, this);
    // an id counts once for a room and user, so the ids of another page or an earlier life must differ
    this.#prefix = Math.floor(this.options.random() * 36 ** 10).toString(36);
    this.#parts = this.options.parts.map((make) => make(this));
  }

  get state(): State {
    return this.link.state;
  }

  get isOpen(): boolean {
    return this.state === "open";
  }

  get user(): string | null {
    return this.welcome?.user ?? this.link.user;
  }

  // ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The part of this name, if the client has it. */
  find<Found extends Part>(name: string): Found | undefined {
    return this.#parts.findLast((part) => part.name === name) as Found | undefined;
  }

  part<Found extends Part>(name: string): Found {
    const part = this.find<Found>(name);
    if (!part) throw new TypeError(`this client lacks ${name}: import it from "warren-client/${name}" and pass it in the option parts`);
    return part;
  }

  /** All parts, in their order. */
  each(then: (part: Part) => void): void {
    this.#parts.forEach(then);
  }

  /** Tell all parts. */
  tell<Name extends Exclude<keyof Part, "name">>(name: Name, ...what: Parameters<NonNullable<Part[Name]>>): void {
    for (const part of this.#parts) (part[name] as ((...what: unknown[]) => unknown) | undefined)?.apply(part, what);
  }

  /** The positions or the outbox may have changed. */
  changed(): void {
    this.tell("changed");
  }

  // ── outgoing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Why nothing can be sent now. `counts`: what is to be sent counts for `outboxLimit`. */
  fault(ref?: string, counts = false): WarrenError | null {
    if (this.state === "closed") return new WarrenError("closed", "the client is closed; call connect() first", { ref });
    if (!counts || !(this.outbox.isFull || this.#parts.some((part) => part.isFull?.()))) return null;
    const message = `${this.options.outboxLimit} messages are waiting already (outboxLimit)`;
    return new WarrenError("outbox_full", message, { ref, retry: true });
  }

  /** What is wrong with the name of a room. */
  roomFault(name: string): WarrenError | null {
    return this.checks?.room(name) ?? null;
  }

  get checks(): Checks | undefined {
    return this.find<Checks>("checks");
  }

  id(): string {
    return `${this.#prefix}-${++this.#count}`;
  }

  text(frame: Frame): string {
    return this.checks?.text(frame) ?? JSON.stringify(frame);
  }

  control(type: string, room?: string, payload?: unknown): Entry {
    const id = this.id();
    const text = this.text(controlFrame(type, { room, payload, id }, this.options.wall()));
    return { id, kind: type, room, build: () => text };
  }

  /** Want to be in a room. */
  want(name: string, presence?: JoinOptions["presence"]): void {
    if (presence) this.part<Presence>("presence").want(name, presence);
    this.rooms.want(name);
    this.changed();
  }

  /** Nobody waits for the ACK of this message any more. It may have been sent. */
  giveUp(id: string, error: WarrenError): void {
    const entry = this.outbox.get(id);
    if (!entry) return;
    if (!entry.echo) this.rooms.sent(id);
    this.#reject(entry, error);
  }

  #refresh(expiresAt: number | null | undefined): void {
    this.link.refresh(expiresAt, (token) => this.outbox.first(this.control("AUTH", undefined, { token })));
  }

  // ── what the rooms say ───────────────────────────────────────────────────────────────────────────────────────────────────

  joining(room: string): JoinPresence | undefined {
    for (const part of this.#parts) {
      const asked = part.joining?.(room);
      if (asked) return asked;
    }
    return undefined;
  }

  joined(frame: JoinedFrame): Pick<Joined, "presence"> {
    this.tell("joined", frame);
    return { presence: this.client.presence(frame.room) };
  }

  entered(joined: Joined): void {
    this.tell("entered", joined);
  }

  stopped(room: string): void {
    this.tell("stopped", room);
  }

  forgot(room: string, why: WarrenError | null, reason?: string | null): void {
    this.tell("forget", room, why, reason);
  }

  gap(gap: Gap): void {
    this.tell("gap", gap);
    this.emit("gap", gap);
  }

  /** Pass on a message of the application. */
  hand(message: Message): void {
    this.rooms.handed(message);
    this.tell("hand", message);
    this.listeners.hand(message);
  }

  // ── what the connection says ─────────────────────────────────────────────────────────────────────────────────────────────

  emit(event: string, value: unknown): void {
    this.listeners.emit(event, value);
  }

  neverOpened(url: URL, tries: number, hasOpened: () => boolean): void {
    this.tell("neverOpened", url, tries, hasOpened);
    if (this.find("diagnosis")) return;
    const message = `no connection in ${tries} attempts; does WARREN_GATEWAY_ORIGINS allow this page?`;
    this.emit("error", new WarrenError("never_opened", message, { retry: true }));
  }

  /** A frame that is not what the protocol says is reported, and nothing else suffers. */
  frame(data: string): void {
    try {
      this.#take(JSON.parse(data));
    } catch (cause) {
      const message = `the server sent an invalid message: ${(cause as Error).message}`;
      this.emit("error", new WarrenError("invalid_format", message, { cause }));
    }
  }

  #take(frame: Control): void {
    const message = frame as Message;
    checkFrame(message);
    decode(message);
    if (frame.type === "HISTORY") frame.payload.messages.forEach((each) => decode(each as Message));
    let isControl = true;
    this.outbox.answered(message.ref);
    switch (frame.type) {
      case "WELCOME":
        return this.#welcomed(frame);
      case "JOINED":
        this.rooms.joined(frame);
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
        this.outbox.settle(frame.ref)?.resolve({ room: frame.room, ...frame.payload });
        break;
      case "PRESENCE":
      case "RECEIPT":
      case "ACCEPTED":
      case "DROPPED":
        if (frame.type === "DROPPED") this.rooms.get(frame.room)?.withheld(frame.payload?.seq ?? 0);
        this.tell("take", frame);
        if (frame.type === "PRESENCE") this.outbox.settle(frame.ref)?.resolve(frame.payload);
        break;
      case "RECONNECT":
        this.link.move(frame.payload?.after_ms ?? 0);
        break;
      case "DEGRADED":
      case "RESTORED":
        this.outbox.degraded(frame.type === "DEGRADED");
        break;
      case "AUTHENTICATED":
        this.#refresh(frame.payload?.expires_at);
        break;
      default:
        if (message.seq && !this.rooms.isNew(message as Numbered)) return;
        this.hand(message);
        isControl = false;
    }
    if (isControl) this.listeners.hand(message);
    if (message.seq || message.type === "ACK") this.rooms.goOn(message.room);
    this.outbox.pump();
    this.changed();
  }

  /** The connection is closed; with `why`, permanently. */
  down(why?: WarrenError, isOwn?: boolean): void {
    this.rooms.down(why);
    this.tell("down", why, isOwn);
    if (why) this.outbox.close(why);
    else this.outbox.disconnect();
    if (why) this.listeners.end(why);
    this.changed();
  }

  #welcomed(frame: WelcomeFrame): void {
    const welcome = (this.welcome = frame.payload);
    const { link } = this;
    const first = link.manual ? this.rooms.resume(welcome.user) : this.rooms.begin(welcome.rooms);
    link.manual = true; // from now on we know our rooms and our positions in them
    link.opened(welcome, (sent) => this.outbox.first({ ...this.control("PING"), sent }));
    this.listeners.hand(frame);
    this.emit("open", welcome);
    if (!this.isOpen) return; // a listener has closed the client
    this.outbox.open((text) => link.write(text), welcome.limits, first);
    this.#refresh(welcome.expires_at);
    this.tell("opened");
  }

  #acked(frame: AckFrame): void {
    const entry = this.outbox.settle(frame.ref);
    if (entry?.kind !== "message") return;
    const { seq, epoch } = frame.payload ?? {};
    if (!entry.echo) this.rooms.sent(frame.ref, frame.room, frame.payload);
    entry.resolve({ id: frame.ref, room: frame.room, seq, epoch, ...entry.receipt?.promises });
    this.tell("acked", entry, frame.room, seq);
  }

  #wasLeft(frame: LeftFrame): void {
    const entry = this.outbox.settle(frame.ref);
    if (entry) return entry.resolve(undefined);
    this.rooms.left(frame);
    if (frame.ref === undefined) this.emit("left", { room: frame.room, reason: frame.payload?.reason ?? null });
  }

  #refused(frame: ErrorFrame): void {
    const { code = "internal", message = "refused", retry = false, close, reconnect, retry_after_ms: retryAfterMs } = frame.payload ?? {};
    const error = new WarrenError(code, message, { retry, retryAfterMs, ref: frame.ref });
    const isNameless = frame.ref === undefined && close === undefined && NAMELESS.has(code);
    const entry = isNameless ? this.outbox.accuse(error) : this.outbox.get(frame.ref);
    if (close !== undefined) Object.assign(this.link, { advice: reconnect ?? null, words: message, afterMs: retryAfterMs ?? 0 });
    if (entry?.kind === "JOIN" && retry) this.outbox.postpone(entry, retryAfterMs); // the room is still wanted
    else if (entry && (close === undefined || reconnect === "no")) this.#reject(entry, error);
    this.tell("refused", frame.ref, error);
    const isTold = (TOLD.has(entry?.kind ?? "") && !entry?.isRestored) || code === "cancelled"; // by the promise
    if (!isTold) this.emit("error", error);
  }

  /** An entry was refused permanently. */
  #reject(entry: Waiting, error: WarrenError): void {
    error.ref ??= entry.id;
    if (this.#parts.some((part) => part.rejects?.(entry, error))) return;
    this.outbox.settle(entry.id)?.reject(error);
    if (entry.kind === "JOIN") this.rooms.refused(entry.room!, error);
  }
}
