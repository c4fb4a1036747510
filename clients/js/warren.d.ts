/** Warren's client for browsers. docs/protocol.md describes the wire protocol. */

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
  presence: Roster | null;
}

/** One who is in a room. */
export interface Member<Info = unknown> {
  user: string;
  /** The connection, in rooms that tell of each connection; otherwise missing. */
  connection?: string;
  /** What the room shows of the member. */
  info?: Info;
}

export interface RosterEvents<Info = unknown> {
  join: Member<Info>;
  leave: Member<Info>;
  /** The member's `info` is another one. */
  update: Member<Info>;
  /** Users have seen more. */
  seen: Roster<Info>;
  /** Members, counts, `countsOnly` or `watching` have changed. */
  change: Roster<Info>;
}

/**
 * Who is in one room. It survives reconnects: members stay until the server says otherwise. If something was lost, it reads the room again
 * by itself, at a random time.
 */
export interface Roster<Info = unknown> extends Iterable<Member<Info>> {
  /** By connection in rooms that tell of each connection, otherwise by user. Empty in rooms that tell numbers only. */
  readonly members: ReadonlyMap<string, Member<Info>>;
  readonly count: { users: number; connections: number };
  /** The room has too many members to tell them by name. */
  readonly countsOnly: boolean;
  /** Whether the room tells this client who is there; null: not answered yet. */
  readonly watching: boolean | null;
  /** Whether `members` are all, as the server's proof says. */
  readonly isComplete: boolean;
  /** Whether the room tells who has seen what. */
  readonly tellsSeen: boolean;
  /** User ▶ the seq up to which it has seen the room, in the room's present epoch. It has users who have left, too. */
  readonly seen: ReadonlyMap<string, number>;
  /** Which users have seen a message, without our own: `message` is its seq, or the message or Ack itself. */
  seenBy(message: number | { seq?: number; epoch?: string }): string[];
  /** Have the room show `info` with this client from now on: any JSON of at most 1,024 bytes; null: nothing. */
  update(info: Info | null): Promise<unknown>;
  on<Name extends keyof RosterEvents>(event: Name, listener: (value: RosterEvents<Info>[Name]) => void): () => void;
}

export interface ContactsEvents {
  /** The user has a connection now. */
  online: string;
  /** The user has no connection any more. */
  offline: string;
  change: Contacts;
}

/** Which of some users are connected, to any gateway. */
export interface Contacts {
  /** The users that are watched. */
  readonly users: string[];
  readonly online: string[];
  /** Null: not known yet, or this client may not know. */
  isOnline(user: string): boolean | null;
  on<Name extends keyof ContactsEvents>(event: Name, listener: (value: ContactsEvents[Name]) => void): () => void;
}

export interface JoinOptions {
  /** Keep a roster of who is in the room. `info` is what the room shows of this client: any JSON of at most 1,024 bytes. */
  presence?: boolean | { info?: unknown };
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
  token?: string | null;
  /** Returns a fresh token. Called at the first connect if there is no `token`, after 4001, and shortly before the old one expires. */
  getToken?: (() => Promise<string> | string) | null;
  /**
   * How the token is sent: as the subprotocol `bearer.<token>` (default), or as `?token=`, which servers may log. A grant that a WELCOME
   * has brought is sent the same way, as `grant.<grant>` or `?grant=`.
   */
  tokenIn?: "subprotocol" | "query";
  /** A name for servers in anonymous mode; a name that the server generates is kept across reconnects. */
  user?: string | null;
  /** The n-th attempt waits a random part of `backoffMs` × 2ⁿ, at most `backoffCapMs`. Default 1,000 and 30,000. */
  backoffMs?: number;
  backoffCapMs?: number;
  /** How many attempts in a row may fail before the client gives up. Default: no limit. */
  maxTries?: number;
  /** A connection that lasted this long resets the count of attempts. Default 5,000. */
  stableMs?: number;
  /** How long to wait for WELCOME. Default 10,000. */
  connectTimeoutMs?: number;
  /** Time between PINGs, and how long the server may stay silent after one. Default 30,000 and 10,000. */
  pingMs?: number;
  pongTimeoutMs?: number;
  /** A message without an answer is sent again under its id after this time. Default 15,000. */
  ackTimeoutMs?: number;
  /** How long before a token expires a fresh one is fetched. Default 30,000. */
  refreshBeforeMs?: number;
  /** How many messages may wait to be sent or acknowledged. Further ones are refused with `outbox_full`. Default 100. */
  outboxLimit?: number;
  /** How long to assume that a missing message is an own one whose ACK is on its way. Default 1,000. */
  gapMs?: number;
  /** Types that are sent at once or never. Default `["TYPING"]`. */
  ephemeralTypes?: string[];
  /** The WebSocket class, if there is no global one (Node 20): that of the `ws` package, for example. */
  WebSocket?: unknown;
  /** Checks once whether the host answers HTTP at all, if three attempts opened no WebSocket. Default: the global `fetch`. */
  fetch?: (address: string, options: RequestInit) => Promise<unknown>;
  /** For tests: randomness in [0, 1), monotonic ms, wall ms since the Unix epoch, and timers. */
  random?: () => number;
  now?: () => number;
  wall?: () => number;
  setTimeout?: (then: () => void, ms: number) => unknown;
  clearTimeout?: (timer: unknown) => void;
}

export interface SendOptions {
  /** The message's id. Sending again under the same id counts once. Generated if missing. */
  id?: string;
  /** The sender wants its own copy too. */
  includeSender?: boolean;
  /** For rooms in which slow readers get only the latest message of each key. */
  key?: string;
  /** W3C trace context. */
  traceparent?: string;
  /** Send at once or never, whatever the type. */
  ephemeral?: boolean;
  /**
   * Say what becomes of it, by the promises of the Ack and the event `receipt`: when it is written to the members' sockets, and (`seen`)
   * when all who were there have seen it. The room must allow it; the message is refused with `forbidden` if it does not.
   */
  receipt?: "written" | "seen";
}

export interface RequestOptions<Part = unknown> {
  /** How long to wait for the answer, and for each further part of it. It can only shorten the time that the server allows the service. */
  timeoutMs?: number;
  /** The answer outlives the connection: it is a message of type RESPONSE in the user's own room. The promise waits for it, however long. */
  durable?: boolean;
  /** Called for each part of an answer that comes in parts, the last one included. `n` counts 1, 2, 3 … */
  onPart?: (part: Part, n: number) => void;
  /** Cancels the request: the promise is rejected with `cancelled`, and the service is told. */
  signal?: AbortSignal;
  /** The request's id, by which the service can tell a repeat. Generated if missing. */
  id?: string;
  /** W3C trace context. */
  traceparent?: string;
}

/**
 * `code` is one of the protocol's, or one of the client's own: `outbox_full` (retry later); `closed` (the client is closed, or has given
 * up); `connection` (an attempt failed); `never_opened` (several attempts opened no WebSocket; `message` names the likely causes, above
 * all a refused origin; the client continues to try).
 */
export class WarrenError extends Error {
  code: string;
  /** Whether the same message may be sent again later. */
  retry: boolean;
  retryAfterMs?: number;
  /** The id of the message that was refused. */
  ref?: string;
}

export class WarrenClient {
  /** `url`: ws, wss, http or https; in a browser also a path. Nothing happens before `connect()`. */
  constructor(url: string | URL, options?: Options);

  readonly state: State;
  readonly user: string | null;
  /** The id of the current connection, which a backend can address. */
  readonly connection: string | null;
  readonly limits: Welcome["limits"] | null;
  readonly rooms: string[];
  /** Messages waiting to be sent or answered, ephemeral messages dropped, repeats dropped. */
  readonly counters: { waiting: number; dropped: number; repeats: number };

  /** Connect and stay connected; while waiting for the next attempt, try now. Settled by the first WELCOME, or when the client gives up. */
  connect(): Promise<Welcome>;
  /** Close the connection and stay closed. Waiting messages are rejected with `closed`. Positions are kept for a later `connect()`. */
  close(): void;

  /** This client's position in a room, including own acknowledged messages if nothing is missing before them. */
  position(room: string): Position | null;
  /**
   * Become a member, now and after each reconnect, until `leave()`. If the server can't accept the JOIN now (`rate_limited`,
   * `overloaded`, `unavailable`), the client asks again later; an invalid name is refused at once.
   */
  join(room: string, options?: JoinOptions): Promise<Joined>;
  leave(room: string): Promise<void>;

  /**
   * Send a message; `room` null is the first room joined at connect. Resolves with the ACK, or rejects with a WarrenError. Unless it is
   * refused, the message is sent again after a reconnect until it is acknowledged, and counts once. An ephemeral one resolves at once
   * with null. What the server would refuse (text with half of a surrogate pair, NaN, more than 128 levels, an invalid id or room) is
   * refused at once and not sent. Throws TypeError if JSON can't represent the payload (a BigInt, a cycle).
   */
  send(type: string, room: string | null, payload?: unknown, options?: SendOptions): Promise<Ack | null>;

  /**
   * The user has seen the room up to `position` (a message, for example), by default up to the last one that was delivered there. It may be
   * called for each message: it is said at most once a second, the last word also before `leave()` and `close()`, and again after a
   * reconnect. It says nothing where this client is not, and of another epoch. A room that does not tell who has seen what refuses it: the
   * event `error` says `forbidden`, once on each connection (`presence(room).tellsSeen` says it before). Throws WarrenError for an invalid
   * name.
   */
  seen(room: string, position?: { epoch?: string; seq?: number } | null): void;

  /** Read at most `limit` messages (default 50, at most 100) of a joined room: those before the seq `before`, or the newest. */
  history(room: string, options?: { before?: number; limit?: number }): Promise<HistoryPage>;

  /**
   * Ask a service. Resolves with the answer's payload (of an answer in parts: the last part's), or rejects with a WarrenError: `no_service`,
   * `overloaded`, `timeout`, `forbidden`, `unavailable`, `cancelled` … Without an answer yet, it is asked again after a reconnect, under the
   * same id; in the middle of an answer in parts, a lost connection rejects it with `connection`.
   */
  request<Answer = unknown, Part = Answer>(service: string, payload?: unknown, options?: RequestOptions<Part>): Promise<Answer>;

  /** Who is in a room that was joined with `presence`; null: it was not. */
  presence(room: string): Roster | null;
  /**
   * Watch whether these users (at most 100) are connected, instead of those of the last call. It returns the same object each time. The
   * server must allow it: `isOnline` stays null, and the event `error` says `forbidden`, if it does not.
   */
  contacts(users: string[]): Contacts;

  /** Listen to the client's events, to a message type, or to all messages (`*`). Returns a function that removes the listener. */
  on<Name extends keyof Events>(event: Name, listener: (value: Events[Name]) => void): () => void;
  on<Payload = unknown>(type: string, listener: (message: Message<Payload>) => void): () => void;
}
