/** The types of the client's options, events and results. docs/protocol.md describes the wire protocol. It has no code. */
import type { Contacts } from "./contacts.js";
import type { WarrenError } from "./error.js";
import type { PartFactory } from "./parts.js";
import type { Roster } from "./roster.js";

/** A position in a room: `seq` counts 1, 2, 3 … within an `epoch`. */
export interface Position {
  epoch: string;
  seq: number;
}

/** A message from the server. */
export interface Message<Payload = unknown> {
  type: string;
  /** What the sender sent; a `Uint8Array` if the message is binary. */
  payload: Payload;
  version: string;
  /** When Warren accepted the message, in ms since the Unix epoch. */
  timestamp: number;
  room?: string;
  id?: string;
  /** Missing for messages that are not numbered, such as TYPING. */
  seq?: number;
  epoch?: string;
  /** The sender's user name; missing if a backend sent the message. */
  sender?: string;
  key?: string;
  /** Of a RESPONSE that is a part of an answer: its number, and whether further parts follow. */
  n?: number;
  more?: boolean;
  encoding?: "base64";
  /** The W3C trace context of the delivery, on sampled messages. */
  traceparent?: string;
  ref?: string;
}

export interface Welcome {
  connection: string;
  user: string;
  heartbeat_ms: number;
  /** The rooms that the server joined for us, at our first connect. After a reconnect, this client joins its rooms itself. */
  rooms: string[];
  /** `rate` messages in `rate_per_ms` (0: no limit). This client keeps to it, including its own PINGs and tokens. */
  limits: { message_bytes: number; rate: number; rate_per_ms: number; rooms: number };
  /** When the token expires, in ms since the Unix epoch. */
  expires_at?: number | null;
}

export interface Joined extends Position {
  room: string;
  /** True: we are at this position, the `missed` messages after it follow, and nothing is lost. */
  recovered: boolean;
  missed: number;
  /** Who is in the room, if that was asked for. It is the same object after each reconnect. */
  presence: Roster<any> | null;
}

/** One who is in a room. */
export interface Member<Info = unknown> {
  user: string;
  /** The connection, in rooms that tell of each connection; otherwise missing. */
  connection?: string;
  /** What the room shows of the member. */
  info?: Info;
}

export interface Waits {
  /** Gives up waiting: the promise is rejected with `cancelled`. */
  signal?: AbortSignal | undefined;
}

export interface JoinOptions extends Waits {
  /** Keep a roster of who is in the room. `info` is what the room shows of this client: any JSON of at most 1,024 bytes. */
  presence?: boolean | { info?: unknown } | undefined;
}

/** What has become of a message that was sent with `receipt`. */
export interface Receipt {
  /** The message's id. */
  id: string;
  room: string;
  /** `written`: it is on the sockets of all members who were connected. `seen`: all users who were there have said that they have seen it. */
  level: "written" | "seen";
  /** False: not so in time, or not known. To ask anew, send the message again under its id. */
  complete: boolean;
  /** Of `seen`: how many users were there to see it, without its sender, and how many have. Missing if that is not known. */
  readers?: number;
  seen?: number;
}

/** The message is accepted. Without `seq`, it is not numbered. */
export interface Ack {
  id: string;
  room: string;
  seq?: number;
  epoch?: string;
  /** If the message was sent with `receipt`. These promises are always resolved, at the latest when the client is closed, and never rejected. */
  written?: Promise<Receipt>;
  /** If it was sent with `receipt: "seen"`. */
  seen?: Promise<Receipt>;
}

export interface Close {
  /** 4006: a backend disconnected us. 4007: a newer connection of this user took our place. Neither reconnects. */
  code: number;
  /** For the user: what a backend gave as its reason, else what the code means. */
  reason: string;
  /** Whether another attempt follows, and after how long. */
  reconnect: boolean;
  delayMs: number | null;
}

/** A page of a room's history, oldest message first. */
export interface HistoryPage {
  room: string;
  messages: Message[];
  /** There are older messages: ask again with `before` set to the first message's seq. */
  more: boolean;
}

/** Messages of a room were lost, after `since` and up to `position`. `since` is null for the room `*`, in which nobody has a position. */
export interface Gap {
  room: string;
  since: Position | null;
  position: Position;
}

/** The server took us out of a room, without being asked. */
export interface Left {
  room: string;
  /**
   * `removed` or `blocked`: a backend did it. `forbidden`: a fresh token does not allow the room, or a backend that was asked anew does
   * not. `unavailable`: that backend could not be asked; the client keeps asking to join again.
   */
  reason: "removed" | "blocked" | "forbidden" | "unavailable" | (string & {}) | null;
}

/** What is needed to open a connection. */
export interface Dial {
  /** With the token, grant, user and `join` in its query where they belong there. */
  url: URL;
  protocols: string[];
  token: string | null;
  grant: string | null;
  user: string | null;
  /** The server joins no rooms by itself: the client sends a JOIN for each of its rooms. */
  manual: boolean;
  /** How many attempts in a row, before this one, opened no connection; 0 once one has. */
  unopened: number;
}

/** The part of a WebSocket that the client uses. It sets the four functions. Each message is the text of one frame. */
export interface Socket {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: { data: any }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: any) => void) | null;
}

/** The part of a window that wakes the client. */
export interface Page {
  document: { readonly visibilityState: string; addEventListener: Listen; removeEventListener: Listen };
  addEventListener: Listen;
  removeEventListener: Listen;
}
type Listen = (type: any, listener: (event: any) => void) => void;

/** The types of an application's messages, by room and type, and of its services: `new WarrenClient<MyApp>(url)`. */
export interface Application {
  /** Room name (or a template such as `chat:${string}`) ▶ type ▶ payload. */
  rooms?: object;
  /** Service ▶ `{ request, answer, part? }`. */
  services?: object;
}
type RoomsOf<App> = App extends { rooms: infer Rooms } ? Rooms : {};
/** The types of a room's messages. Rooms that the application does not name have any. */
export type MessagesOf<App, Name extends string> = Name extends keyof RoomsOf<App> ? RoomsOf<App>[Name] & object : Record<string, unknown>;
type Union<Messages> = Messages extends object ? keyof Messages & string : never;
/** The types of all messages that the application names. */
export type TypesOf<App> = Union<RoomsOf<App>[keyof RoomsOf<App>]>;
type PayloadIn<Messages, Type> = Messages extends object ? (Type extends keyof Messages ? Messages[Type] : never) : never;
export type PayloadOf<App, Type> = PayloadIn<RoomsOf<App>[keyof RoomsOf<App>], Type>;
export type ServicesOf<App> = App extends { services: infer Services } ? Services : {};
type Field<Service, Name extends string> = Service extends { [field in Name]: infer Value } ? Value : unknown;
export type RequestOf<App, Service> = Service extends keyof ServicesOf<App> ? Field<ServicesOf<App>[Service], "request"> : unknown;
export type AnswerOf<App, Service> = Service extends keyof ServicesOf<App> ? Field<ServicesOf<App>[Service], "answer"> : unknown;
export type PartOf<App, Service> = Service extends keyof ServicesOf<App> ? Field<ServicesOf<App>[Service], "part"> : unknown;

export type TypedMessage<Messages, Type extends keyof Messages & string> = Message<Messages[Type]> & { type: Type; lost?: undefined };

/** What a loop over a room gives: messages, and where some are missing what is known of them. Nobody else can send these two types. */
export type RoomItem<Messages> =
  | { [Type in keyof Messages & string]: TypedMessage<Messages, Type> }[keyof Messages & string]
  | GapItem
  | DroppedItem;
/** Messages of the room were lost. */
export interface GapItem {
  type: "GAP";
  lost: "gap";
  room: string;
  payload: Gap;
}
/** Messages were withheld, as the connection is too slow; or (`local`) lost in this loop's queue, as the loop is. */
export interface DroppedItem {
  type: "DROPPED";
  lost: "dropped";
  room: string;
  payload: Dropped;
}
export interface Dropped {
  count: number;
  /** None of them has a seq above this one; 0: none of them is numbered. */
  seq: number;
  local?: true;
}

export interface RoomOptions extends Waits {
  /** As with `join`. */
  presence?: JoinOptions["presence"];
}
export type RoomState = "joining" | "joined" | "left";
export interface RoomEvents {
  state: RoomState;
  gap: Gap;
  dropped: Dropped;
  left: LeftRoom;
  /** Who is in the room, or what is known of it, has changed. */
  presence: Roster<any>;
  "*": Message;
}
/** A room is over. */
export interface LeftRoom {
  room: string;
  /** Of LEFT, if the server took us out. */
  reason: string | null;
  /** Null: we left it ourselves. */
  error: WarrenError | null;
}

export interface StreamOptions extends RequestOptions {
  /** How many parts may wait for the loop. If there are more, the request is cancelled, and the loop throws `too_slow`. Default 1,000. */
  limit?: number | undefined;
}

/** Watches whether users are connected. */
export interface ContactsWatch {
  /** Watch these users, each time instead of those of the last call. It returns the same object each time. */
  (users: Iterable<string>): Contacts;
  /** Watch these users, beside all others who watch, until `close()` or until the signal fires. */
  watch(users: Iterable<string>, options?: Waits): Contacts;
}

/** What a client needs to go on where another one has ended: `client.snapshot()`. It is JSON. */
export interface Snapshot {
  version: 1;
  user: string | null;
  grant: string | null;
  rooms: { name: string; position: Position | null; grant: string | null; isKept: boolean }[];
  /** Whether the client has been connected: then the rooms that the server joined at its first connect are among `rooms`. */
  hasConnected: boolean;
  /** Ids of own messages that a replay may bring. */
  mine: string[];
  /** Messages without an answer, in order. */
  outbox: { id: string; room: string | null; text: string; echo: boolean }[];
}

export type State = "idle" | "connecting" | "open" | "waiting" | "closed";

export interface Events {
  /** WELCOME has arrived. Each connection has its own. */
  open: Welcome;
  close: Close;
  state: State;
  /** Errors that no promise reports: a refused frame, a silent server, a token that could not be obtained. */
  error: WarrenError;
  gap: Gap;
  left: Left;
  /** Of each message that was sent with `receipt`, one for each level: first `written`, then `seen`. */
  receipt: Receipt;
  /** Every message from the server, including those with a listener for their type. */
  "*": Message;
}

export interface Options {
  /** The first token. */
  token?: string | null | undefined;
  /**
   * Returns a fresh token. Called at the first connect if there is no `token`, after 4001, and shortly before the old one expires. If it
   * returns null, there is no token any more (the user has signed out, for example): the client closes and makes no further attempt. If
   * it throws, the client tries again with back-off. `signal` fires when the answer is not wanted any more.
   */
  getToken?: (((asked: { signal: AbortSignal }) => Promise<string | null> | string | null) | null) | undefined;
  /**
   * How the token is sent: as the subprotocol `bearer.<token>` (default), or as `?token=`, which servers may log. A grant that a WELCOME
   * has brought is sent the same way, as `grant.<grant>` or `?grant=`.
   */
  tokenIn?: "subprotocol" | "query" | undefined;
  /** A name for servers in anonymous mode; a name that the server generates is kept across reconnects. */
  user?: string | null | undefined;
  /** The n-th attempt waits a random part of `backoffMs` × 2ⁿ, at most `backoffCapMs`. Default 1,000 and 30,000. */
  backoffMs?: number | undefined;
  backoffCapMs?: number | undefined;
  /** How many attempts in a row may fail before the client gives up. Default: no limit. */
  maxTries?: number | undefined;
  /** A connection that lasted this long resets the count of attempts. Default 5,000. */
  stableMs?: number | undefined;
  /** How long to wait for WELCOME. Default 10,000. */
  connectTimeoutMs?: number | undefined;
  /** Time between PINGs, and how long the server may stay silent after one. Default 30,000 and 10,000. */
  pingMs?: number | undefined;
  pongTimeoutMs?: number | undefined;
  /** How long the server may stay silent after the PING that is sent when the page or the network is back. Default 3,000. */
  wakeTimeoutMs?: number | undefined;
  /** A message without an answer is sent again under its id after this time. Default 15,000. */
  ackTimeoutMs?: number | undefined;
  /** How long before a token expires a fresh one is fetched. Default 30,000. */
  refreshBeforeMs?: number | undefined;
  /** How many messages may wait to be sent or acknowledged. Further ones are refused with `outbox_full`. Default 100. */
  outboxLimit?: number | undefined;
  /** How long to assume that a missing message is an own one whose ACK is on its way. Default 1,000. */
  gapMs?: number | undefined;
  /** Types that are sent at once or never. Default `["TYPING"]`. */
  ephemeralTypes?: string[] | undefined;
  /** The WebSocket class, if there is no global one (Node 20): that of the `ws` package, for example. */
  WebSocket?: unknown | undefined;
  /** Opens a connection in place of a WebSocket: another transport, or a connection that tabs share. */
  transport?: (((dial: Dial) => Socket) | null) | undefined;
  /** What the client is made of besides its core: presence, rpc, receipts, storage … The import "warren-client" has the first three. */
  parts?: PartFactory[] | undefined;
  /** Whose events `online`, `offline`, `pageshow` and `visibilitychange` wake the client; null: nobody's. Default: the window. */
  page?: Page | null | undefined;
  /** Closes the client when it fires. */
  signal?: AbortSignal | undefined;
  /** Checks once whether the host answers HTTP at all, if three attempts opened no WebSocket. Default: the global `fetch`. */
  fetch?: ((address: string, options: RequestInit) => Promise<unknown>) | undefined;
  /** For tests: randomness in [0, 1), monotonic ms, wall ms since the Unix epoch, and timers. */
  random?: (() => number) | undefined;
  now?: (() => number) | undefined;
  wall?: (() => number) | undefined;
  setTimeout?: ((then: () => void, ms: number) => unknown) | undefined;
  clearTimeout?: ((timer: unknown) => void) | undefined;
}

export interface SendOptions extends Waits {
  /** The message's id. Sending again under the same id counts once. Generated if missing. */
  id?: string | undefined;
  /** The sender wants its own copy too. */
  includeSender?: boolean | undefined;
  /** For rooms in which slow readers get only the latest message of each key. */
  key?: string | undefined;
  /** W3C trace context. */
  traceparent?: string | undefined;
  /** Send at once or never, whatever the type. */
  ephemeral?: boolean | undefined;
  /**
   * Say what becomes of it, by the promises of the Ack and the event `receipt`: when it is written to the members' sockets, and (`seen`)
   * when all who were there have seen it. The room must allow it; the message is refused with `forbidden` if it does not.
   */
  receipt?: "written" | "seen" | undefined;
}

export interface RequestOptions<Part = unknown> {
  /** How long to wait for the answer, and for each further part of it. It can only shorten the time that the server allows the service. */
  timeoutMs?: number | undefined;
  /** The answer outlives the connection: it is a message of type RESPONSE in the user's own room. The promise waits for it, however long. */
  durable?: boolean | undefined;
  /** Called for each part of an answer that comes in parts, the last one included. `n` counts 1, 2, 3 … */
  onPart?: ((part: Part, n: number) => void) | undefined;
  /** Cancels the request: the promise is rejected with `cancelled`, and the service is told. */
  signal?: AbortSignal | undefined;
  /** The request's id, by which the service can tell a repeat. Generated if missing. */
  id?: string | undefined;
  /** W3C trace context. */
  traceparent?: string | undefined;
}
