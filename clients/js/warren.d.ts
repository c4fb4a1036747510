/** Warren's client for browsers. What goes over the wire is in docs/protocol.md. */

/** Where a message stands in its room: `seq` is 1, 2, 3 … in that `epoch`. */
export interface Position {
  epoch: string;
  seq: number;
}

/** A message as it came from the server. */
export interface Message<Payload = unknown> {
  type: string;
  /** As the sender gave it; a `Uint8Array` where the message is binary. */
  payload: Payload;
  version: string;
  /** When Warren took the message in, ms since the Unix epoch. */
  timestamp: number;
  room?: string;
  id?: string;
  /** Left out for messages that are not numbered, such as TYPING. */
  seq?: number;
  epoch?: string;
  /** The sender's user name; left out for a backend's message. */
  sender?: string;
  key?: string;
  encoding?: "base64";
  /** The W3C trace context of the delivery, for sampled messages. */
  traceparent?: string;
  ref?: string;
}

export interface Welcome {
  connection: string;
  user: string;
  heartbeat_ms: number;
  /** The rooms that the server has joined us to by itself: at our first connect. After a reconnect this client joins its rooms itself. */
  rooms: string[];
  /** `rate` messages in `rate_per_ms` (0: no limit); this client keeps it, also with its own PINGs and tokens. */
  limits: { message_bytes: number; rate: number; rate_per_ms: number; rooms: number };
  /** When the token ends, ms since the Unix epoch. */
  expires_at?: number | null;
}

export interface Joined extends Position {
  room: string;
  /** True: we stand at this position, the `missed` messages after it follow, and nothing is lost. */
  recovered: boolean;
  missed: number;
}

/** The message is accepted. No `seq`: it is not numbered. */
export interface Ack {
  id: string;
  room: string;
  seq?: number;
  epoch?: string;
}

export interface Close {
  code: number;
  reason: string;
  /** Whether another try follows, and after how long. */
  reconnect: boolean;
  delayMs: number | null;
}

/** A page of a room's history, the oldest message first. */
export interface HistoryPage {
  room: string;
  messages: Message[];
  /** There are older ones: ask again with `before` = the first message's seq. */
  more: boolean;
}

/** Messages of a room were lost: after `since` (null: of everyone's room `*`, in which nobody has a position) up to `position`. */
export interface Gap {
  room: string;
  since: Position | null;
  position: Position;
}

export type State = "idle" | "connecting" | "open" | "waiting" | "closed";

export interface Events {
  /** WELCOME has come. Each connection has its own. */
  open: Welcome;
  close: Close;
  state: State;
  /** What no promise tells: a refused frame, a silent server, a token that could not be had. */
  error: WarrenError;
  gap: Gap;
  /** Every message of the server, those with a listener of their own too. */
  "*": Message;
}

export interface Options {
  /** The first token. */
  token?: string | null;
  /** Gives a fresh token: at the first connect where `token` is not given, after 4001, and shortly before the old one ends. */
  getToken?: (() => Promise<string> | string) | null;
  /** How the token travels: as the subprotocol `bearer.<token>` (default), or as `?token=`, which servers may write into logs. */
  tokenIn?: "subprotocol" | "query";
  /** A name for servers in anonymous mode; the one that the server makes up is kept across reconnects. */
  user?: string | null;
  /** The n-th try waits a random part of `backoffMs` × 2ⁿ, of at most `backoffCapMs`. Default 1,000 and 30,000. */
  backoffMs?: number;
  backoffCapMs?: number;
  /** How many tries in a row may fail before it stays away. Default: no limit. */
  maxTries?: number;
  /** A connection that has lived so long begins the count of tries anew. Default 5,000. */
  stableMs?: number;
  /** How long to wait for WELCOME. Default 10,000. */
  connectTimeoutMs?: number;
  /** Time between PINGs, and how long the server may be silent after one. Default 30,000 and 10,000. */
  pingMs?: number;
  pongTimeoutMs?: number;
  /** A message that is not answered after so long is sent again under its id. Default 15,000. */
  ackTimeoutMs?: number;
  /** How long before a token's end a fresh one is fetched. Default 30,000. */
  refreshBeforeMs?: number;
  /** How many messages may wait to be sent or acknowledged; one more is refused with `outbox_full`. Default 100. */
  outboxLimit?: number;
  /** How long a message that seems to be missing may be an own one whose ACK is on its way. Default 1,000. */
  gapMs?: number;
  /** Types that go at once or never. Default `["TYPING"]`. */
  ephemeralTypes?: string[];
  /** Where there is no global one (Node 20): the `ws` package's, for example. */
  WebSocket?: unknown;
  /** What asks, once, whether the host answers HTTP at all, where no WebSocket could be opened in three tries. Default: the global one. */
  fetch?: (address: string, options: RequestInit) => Promise<unknown>;
  /** For tests: randomness in [0, 1), monotonic ms, wall ms since the Unix epoch, and timers. */
  random?: () => number;
  now?: () => number;
  wall?: () => number;
  setTimeout?: (then: () => void, ms: number) => unknown;
  clearTimeout?: (timer: unknown) => void;
}

export interface SendOptions {
  /** The message's name; sending again under the same one is counted once. Made up where left out. */
  id?: string;
  /** The sender wants its own copy too. */
  includeSender?: boolean;
  /** For rooms whose slow readers get the latest of each key only. */
  key?: string;
  /** W3C trace context. */
  traceparent?: string;
  /** At once or never, whatever the type. */
  ephemeral?: boolean;
}

/**
 * A refusal. `code` is one of the protocol's, or the client's own: `outbox_full` (retry later), `closed` (the client is, or will not
 * connect any more), `connection` (a try failed), `never_opened` (several tries opened no WebSocket; `message` says what may be the
 * cause, a refused origin above all; it goes on trying).
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
  /** `url`: ws, wss, http or https; in a browser also a path. Nothing happens before `connect`. */
  constructor(url: string | URL, options?: Options);

  readonly state: State;
  readonly user: string | null;
  /** This connection's id, which a backend can address; each connection has another. */
  readonly connection: string | null;
  readonly limits: Welcome["limits"] | null;
  readonly rooms: string[];
  /** Messages that wait to be sent or answered, ephemeral ones dropped, repeats dropped. */
  readonly counters: { waiting: number; dropped: number; repeats: number };

  /** Connect and stay connected; where it waits for its next try, try now. Settled by the first WELCOME, or when it stays away. */
  connect(): Promise<Welcome>;
  /** End it. What waits is rejected with `closed`. Positions are kept for a later `connect`. */
  close(): void;

  /** How far this client has got in a room, own acknowledged messages included where nothing is missing before them. */
  position(room: string): Position | null;
  /**
   * Become a member, now and after each reconnect, until `leave`. Where the server has no room for it now (`rate_limited`,
   * `overloaded`, `unavailable`) it is asked again later; a name out of the rule is refused at once.
   */
  join(room: string): Promise<Joined>;
  leave(room: string): Promise<void>;

  /**
   * Send a message; `room` null is the first room joined at connect. Resolves with the ACK, rejects with a WarrenError. Unless refused, it is
   * sent again after a reconnect until it is acknowledged, and counts once. An ephemeral one resolves at once with null.
   * What the server would refuse (text with half of a surrogate pair, NaN, more than 128 levels, an id or a room out of the rule) is
   * refused at once and goes nowhere. Throws TypeError where JSON can't write the payload (a BigInt, a cycle).
   */
  send(type: string, room: string | null, payload?: unknown, options?: SendOptions): Promise<Ack | null>;

  /** Read back: at most `limit` (50, at most 100) messages of a room that we are in, those before the seq `before` or the newest. */
  history(room: string, options?: { before?: number; limit?: number }): Promise<HistoryPage>;

  /** Listen to the client's events, to a message type, or to all messages (`*`). Returns what ends it. */
  on<Name extends keyof Events>(event: Name, listener: (value: Events[Name]) => void): () => void;
  on<Payload = unknown>(type: string, listener: (message: Message<Payload>) => void): () => void;
}
