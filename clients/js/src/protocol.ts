// Made from the code by scripts/docs/generate; edit libs/warren/src/warren/contract instead.
/**
 * The frames of `warren.v1`, and what backends send and get.
 * `ServerFrame` and `ClientFrame` are unions by `type`:
 *
 *     const frame = JSON.parse(text) as ServerFrame;
 *     if (frame.type === "JOINED") console.log(frame.payload.seq);
 *
 * Your own types of messages join the unions by declaration:
 *
 *     declare module "warren-client/protocol" {
 *       interface ApplicationTypes { "deal.done": { price: number } }
 *     }
 */

/** The types of an application's messages, each with its payload. */
export interface ApplicationTypes {
  CHAT: unknown;
  TYPING: unknown;
  NOTIFICATION: unknown;
  DATA_UPDATE: unknown;
}

/** Warren's own error codes. */
export type ErrorCode =
  | "invalid_format"
  | "invalid_message"
  | "unknown_type"
  | "invalid_room"
  | "invalid_payload"
  | "forbidden"
  | "blocked"
  | "not_joined"
  | "too_many_rooms"
  | "rate_limited"
  | "unauthorized"
  | "message_too_large"
  | "heartbeat_missed"
  | "too_slow"
  | "unavailable"
  | "overloaded"
  | "timeout"
  | "no_service"
  | "cancelled"
  | "draining"
  | "disconnected"
  | "replaced"
  | "internal";

// ── What a client sends over the WebSocket.

/** The payload of AUTH. */
export interface AuthPayload {
  /** The JSON Web Token. */
  token: string;
  /** Of the first AUTH: the grant that an earlier WELCOME has brought, so that no hook is asked. */
  grant?: string | null;
}

/**
 * Show a token: the first one lets the client in (WELCOME), later ones replace it (AUTHENTICATED). A token that does not hold
 * closes the connection with 4001.
 */
export interface AuthFrame {
  type: "AUTH";
  /** The client's name for this frame; the answer has it as `ref`. Random ids are best. */
  id?: string | null;
  /** Ms since the Unix epoch; for the client's own use, Warren sets its own. */
  timestamp?: number | null;
  /** The version of the protocol. */
  version?: "1.0" | null;
  /** The token, and the grant that goes with it. */
  payload: AuthPayload;
}

/** What a JOIN asks of the presence of the room. */
export interface JoinPresence {
  /** True: send PRESENCE frames of this room to this connection. */
  watch?: boolean | null;
  /** What others see of this member: any JSON of at most 1 KiB. */
  info?: unknown;
  /** That of the list which the client has: where it is right, nothing is sent. */
  digest?: string | null;
}

/** A position in a room: the last message that the client has seen there. */
export interface Since {
  /** The epoch of the room in which `seq` counts. */
  epoch: string;
  /** The number of the last message seen; 0: none. */
  seq: number;
}

/** The payload of JOIN; it may be left out. */
export interface JoinPayload {
  /** Send what came after this position first; without it nothing old comes. */
  since?: Since | null;
  /** Who is there: watch it, and say something of oneself. */
  presence?: JoinPresence | null;
  /** The grant that an earlier JOINED of this room has brought, so that no hook is asked. */
  grant?: string | null;
}

/**
 * Become a member of a room, or read on in it from a position. The answer is JOINED, or ERROR `forbidden`, `invalid_room`,
 * `too_many_rooms`.
 */
export interface JoinFrame {
  type: "JOIN";
  /** The client's name for this frame; the answer has it as `ref`. Random ids are best. */
  id?: string | null;
  /** Ms since the Unix epoch; for the client's own use, Warren sets its own. */
  timestamp?: number | null;
  /** The version of the protocol. */
  version?: "1.0" | null;
  /** The room; if missing, the first one joined at connect. */
  room?: string | null;
  /** What to send first, and what to watch. */
  payload?: JoinPayload | null;
}

/** Be no member of a room any more. The answer is LEFT. */
export interface LeaveFrame {
  type: "LEAVE";
  /** The client's name for this frame; the answer has it as `ref`. Random ids are best. */
  id?: string | null;
  /** Ms since the Unix epoch; for the client's own use, Warren sets its own. */
  timestamp?: number | null;
  /** The version of the protocol. */
  version?: "1.0" | null;
  /** The room; if missing, the first one joined at connect. */
  room?: string | null;
}

/** The payload of HISTORY; it may be left out. */
export interface HistoryRequestPayload {
  /** Messages before this seq; without it the latest ones. */
  before?: number | null;
  /** How many messages at most; 50 if it is left out. */
  limit?: number | null;
}

/** Read older messages of a room that was joined. The answer is HISTORY, or ERROR `not_joined`. */
export interface HistoryRequestFrame {
  type: "HISTORY";
  /** The client's name for this frame; the answer has it as `ref`. Random ids are best. */
  id?: string | null;
  /** Ms since the Unix epoch; for the client's own use, Warren sets its own. */
  timestamp?: number | null;
  /** The version of the protocol. */
  version?: "1.0" | null;
  /** The room; if missing, the first one joined at connect. */
  room?: string | null;
  /** Which messages. */
  payload?: HistoryRequestPayload | null;
}

/** The payload of PRESENCE from a client: it asks for one thing. Empty, it asks for the first page. */
export interface PresenceRequestPayload {
  /** A page of at most so many members; 100 if it is left out. */
  limit?: number | null;
  /** The page begins behind this user (or connection, where the room tells connections). */
  after?: string | null;
  /** True: only how many are there. */
  count?: boolean | null;
  /** What others see of this member from now on: any JSON of at most 1 KiB; null: nothing. */
  update?: unknown;
  /** Tell whether these users are connected; at most 100 of them. No room is given. */
  watch?: string[] | null;
  /** Tell no more of these users; true: of none of them, or of the room that is given. */
  unwatch?: string[] | boolean | null;
}

/** Ask who is in a room, change the own `info`, or watch a room or users. The answer is PRESENCE. */
export interface PresenceRequestFrame {
  type: "PRESENCE";
  /** The client's name for this frame; the answer has it as `ref`. Random ids are best. */
  id?: string | null;
  /** Ms since the Unix epoch; for the client's own use, Warren sets its own. */
  timestamp?: number | null;
  /** The version of the protocol. */
  version?: "1.0" | null;
  /** The room; if missing, the first one joined at connect. Users are watched without one. */
  room?: string | null;
  /** What is asked for. */
  payload?: PresenceRequestPayload | null;
}

/** The payload of SEEN. */
export interface SeenRequestPayload {
  /** The epoch of the room in which `seq` counts. */
  epoch: string;
  /** All messages up to this one have been seen. */
  seq: number;
}

/**
 * The user has seen a room's messages up to this one. There is no answer but ERROR. Once a second is enough: each says all that
 * those before have said. The room's namespace has to say `receipts: seen`, and the client to be a member.
 */
export interface SeenFrame {
  type: "SEEN";
  /** The client's name for this frame; the answer has it as `ref`. Random ids are best. */
  id?: string | null;
  /** Ms since the Unix epoch; for the client's own use, Warren sets its own. */
  timestamp?: number | null;
  /** The version of the protocol. */
  version?: "1.0" | null;
  /** The room; if missing, the first one joined at connect. */
  room?: string | null;
  /** Up to where. */
  payload: SeenRequestPayload;
}

/**
 * Ask a backend service something. The answer is one RESPONSE or several, or ERROR. ERROR has `no_service` (nobody consumes for
 * this service), `overloaded`, `timeout` or `forbidden`.
 */
export interface RequestFrame {
  type: "REQUEST";
  /** The client's name for this request; each RESPONSE has it as `ref`. */
  id: string;
  /** Ms since the Unix epoch; for the client's own use, Warren sets its own. */
  timestamp?: number | null;
  /** The version of the protocol. */
  version?: "1.0" | null;
  /** The name of the service, such as `orders.get`. */
  service: string;
  /** What the service is asked; any JSON. */
  payload?: unknown;
  /** `base64`: the payload is a base64 string and stands for bytes. */
  encoding?: "base64" | null;
  /** How long to wait for the answer; if missing, as the service is configured. */
  timeout_ms?: number | null;
  /**
   * True: the answer is a numbered message in the user's own room, which outlives the connection; the gateway answers ACCEPTED at
   * once.
   */
  durable?: boolean | null;
  /** W3C trace context. */
  traceparent?: string | null;
}

/** Give a REQUEST up: no further RESPONSE comes, and the service is told. */
export interface CancelFrame {
  type: "CANCEL";
  /** The client's name for this frame; the answer has it as `ref`. Random ids are best. */
  id?: string | null;
  /** Ms since the Unix epoch; for the client's own use, Warren sets its own. */
  timestamp?: number | null;
  /** The version of the protocol. */
  version?: "1.0" | null;
  /** The `id` of the REQUEST. */
  ref: string;
}

/** Ask for a PONG, to measure the round trip or to notice a dead connection. */
export interface PingFrame {
  type: "PING";
  /** The client's name for this frame; the answer has it as `ref`. Random ids are best. */
  id?: string | null;
  /** Ms since the Unix epoch; for the client's own use, Warren sets its own. */
  timestamp?: number | null;
  /** The version of the protocol. */
  version?: "1.0" | null;
  /** Anything; PONG brings it back. */
  payload?: unknown;
}

/**
 * A message for the members of a room: CHAT, TYPING, NOTIFICATION, DATA_UPDATE, or a type of your own. With an `id` the answer is
 * ACK when it is accepted, or ERROR.
 */
export interface ClientMessageOf<Type extends string, Payload> {
  /** CHAT, TYPING, NOTIFICATION, DATA_UPDATE, or any type that is not entirely UPPER CASE. */
  type: Type;
  /** Anything; the members get it byte for byte. */
  payload?: Payload;
  /** The destination; if missing, the first room joined at connect. */
  room?: string | null;
  /** The sender's name for the message: it asks for an ACK and makes repeats harmless. Unique for the user in that room. */
  id?: string | null;
  /** Ms since the Unix epoch; for the client's own use, Warren sets its own. */
  timestamp?: number | null;
  /** The version of the protocol. */
  version?: "1.0" | null;
  /** `base64`: the payload is a base64 string and stands for bytes. */
  encoding?: "base64" | null;
  /** True: the sender gets its own copy too. */
  include_sender?: boolean | null;
  /** For rooms in which slow readers get only the latest message of each key. */
  key?: string | null;
  /**
   * Say by RECEIPT when the message is written to all sockets that it is for, and (`seen`) when as many users have seen it as
   * were there. It needs an `id`, and a room whose namespace says so.
   */
  receipt?: "seen" | "written" | null;
  /** W3C trace context. */
  traceparent?: string | null;
}
/** `ClientMessageOf` any type that `ApplicationTypes` has. */
export type ClientMessage = {
  [Type in keyof ApplicationTypes & string]: ClientMessageOf<Type, ApplicationTypes[Type]>;
}[keyof ApplicationTypes & string];

// ── What a client hears over the WebSocket.

/** What one connection may send. */
export interface ClientLimits {
  /** How large a message may be. */
  message_bytes: number;
  /** How many messages in `rate_per_ms`; 0: no limit. */
  rate: number;
  /** The time in which `rate` messages may be sent. */
  rate_per_ms: number;
  /** In how many rooms a connection may be. */
  rooms: number;
}

/** The payload of WELCOME. */
export interface WelcomePayload {
  /** The id of this connection, which a backend can address. */
  connection: string;
  /** The user's name. */
  user: string;
  /** How often the server sends a WebSocket ping, or a comment. */
  heartbeat_ms: number;
  /** The rooms that the server joins for this connection. */
  rooms: string[];
  /** What this connection may send. */
  limits: ClientLimits;
  /** When the token ends, in ms since the Unix epoch; null: never. */
  expires_at: number | null;
  /** Show it when you connect again, where you show the token: then no hook is asked. */
  grant?: string;
  /** Of an event stream: the secret that each POST of this connection shows. */
  post?: string;
}

/** The client is known. It comes first, as soon as the client is authenticated. */
export interface WelcomeFrame {
  type: "WELCOME";
  /** When the frame was made, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
  /** Who and where the client is, and its limits. */
  payload: WelcomePayload;
}

/** The payload of AUTHENTICATED. */
export interface AuthenticatedPayload {
  /** When the token ends, in ms since the Unix epoch; null: never. */
  expires_at: number | null;
}

/** A fresh token was accepted, and its permissions apply from here on. */
export interface AuthenticatedFrame {
  type: "AUTHENTICATED";
  /** When the frame was made, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
  /** The `id` of the frame that this answers; missing where nothing was asked. */
  ref?: string;
  /** How long the token holds. */
  payload: AuthenticatedPayload;
}

/** What came of a JOIN's wish to watch. */
export interface JoinedPresence {
  /** Whether PRESENCE frames of the room follow; false: it may not be. */
  watching: boolean;
}

/** The payload of JOINED. */
export interface JoinedPayload {
  /** The epoch of the room in which seqs count. */
  epoch: string;
  /** The number of the last message that is not sent again. */
  seq: number;
  /**
   * True: this is the position that `since` gave, and the missed messages follow; false: there is a gap, or no `since` was given.
   */
  recovered: boolean;
  /** How many messages follow, from `seq` + 1 on. */
  missed: number;
  /** Show it in the next JOIN of this room: then no hook is asked. */
  grant?: string;
  /** Whether the room is watched; missing where that was not asked. */
  presence?: JoinedPresence;
}

/**
 * The connection is a member of the room and stands at this position. It comes once after each JOIN. It also comes unasked (no
 * `ref`, `recovered: false`) where something was lost for good, or the room's log began a new life: continue from the new
 * position.
 */
export interface JoinedFrame {
  type: "JOINED";
  /** When the frame was made, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
  /** The room. */
  room: string;
  /** The `id` of the frame that this answers; missing where nothing was asked. */
  ref?: string;
  /** The position, and whether nothing is missing. */
  payload: JoinedPayload;
}

/** The payload of LEFT; it is left out where the client has asked to leave. */
export interface LeftPayload {
  /**
   * `removed` or `blocked` by a backend; `forbidden` by a fresh token, or by a hook that was asked anew; `unavailable`: that hook
   * could not be asked.
   */
  reason: string;
}

/**
 * The connection is no member of the room any more. Without `ref`: a backend has taken it out, or a fresh token does not allow
 * the room.
 */
export interface LeftFrame {
  type: "LEFT";
  /** When the frame was made, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
  /** The room. */
  room: string;
  /** The `id` of the frame that this answers; missing where nothing was asked. */
  ref?: string;
  /** Why, where the client has not asked. */
  payload?: LeftPayload;
}

/** A message of a client or a backend. */
export interface MessageOf<Type extends string, Payload> {
  /** CHAT, TYPING, NOTIFICATION, DATA_UPDATE, or any type that is not entirely UPPER CASE. */
  type: Type;
  /** When Warren accepted it, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
  /** The address that it was sent to. */
  room: string;
  /** Byte for byte what the sender sent. */
  payload: Payload;
  /** The message's number in its room; missing: not numbered (TYPING, for example). */
  seq?: number;
  /** The epoch of the room in which `seq` counts; missing: not numbered. */
  epoch?: string;
  /** The sender's name for the message. */
  id?: string;
  /** The sender's user name; missing if a backend sent the message. */
  sender?: string;
  /** For rooms in which slow readers get only the latest message of each key. */
  key?: string;
  /**
   * `base64`: the payload is a base64 string and stands for bytes; `json` (MessagePack only): it is JSON text, since MessagePack
   * can't hold the value.
   */
  encoding?: "base64" | "json";
  /** W3C trace context of the delivery, on sampled messages. */
  traceparent?: string;
}
/** `MessageOf` any type that `ApplicationTypes` has. */
export type Message = {
  [Type in keyof ApplicationTypes & string]: MessageOf<Type, ApplicationTypes[Type]>;
}[keyof ApplicationTypes & string];

/** The payload of ACK; it is empty where the message is not numbered. */
export interface AckPayload {
  /** The message's number in its room; missing: not numbered. */
  seq?: number;
  /** The epoch of the room in which `seq` counts; missing: not numbered. */
  epoch?: string;
}

/** A message is accepted: it is in the log, and counts once however often it is sent. */
export interface AckFrame {
  type: "ACK";
  /** When the frame was made, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
  /** The message's room. */
  room: string;
  /** The message's `id`. */
  ref: string;
  /** The message's position. */
  payload: AckPayload;
}

/** The payload of RECEIPT. */
export interface ClientReceiptPayload {
  /** What this is about. */
  level: "seen" | "written";
  /** False: not in time, or not known; send the message again (same `id`) to ask anew. */
  complete: boolean;
  /** Of `seen`: how many users were there to see it when it was accepted, without its sender. */
  readers?: number;
  /** Of `seen`: how many have. */
  seen?: number;
}

/**
 * What has become of a message that asked for it: first `written`, then `seen` where that was asked. `written`: each gateway that
 * held members has put it on their sockets, or has died: then its clients come back elsewhere, and get it there.
 */
export interface ReceiptFrame {
  type: "RECEIPT";
  /** When the frame was made, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
  /** The message's room. */
  room: string;
  /** The message's `id`. */
  ref: string;
  /** What has become of it. */
  payload: ClientReceiptPayload;
}

/** The payload of HISTORY. */
export interface HistoryPayload {
  /** Messages as they were delivered, the oldest first. */
  messages: Message[];
  /** There are older ones. */
  more: boolean;
}

/** A page of a room's older messages. */
export interface HistoryFrame {
  type: "HISTORY";
  /** When the frame was made, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
  /** The room. */
  room: string;
  /** The `id` of the frame that this answers; missing where nothing was asked. */
  ref?: string;
  /** The messages. */
  payload: HistoryPayload;
}

/** The payload of DROPPED. */
export interface DroppedPayload {
  /** How many messages were withheld. */
  count: number;
  /** None of them has a seq above this one; 0: none of them is numbered. */
  seq: number;
}

/**
 * The client reads too slowly, and some messages were withheld, as the room's namespace allows. The next messages follow; missing
 * seqs up to `seq` are not a gap.
 */
export interface DroppedFrame {
  type: "DROPPED";
  /** When the frame was made, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
  /** The room. */
  room: string;
  /** How many were withheld. */
  payload: DroppedPayload;
}

/** How many are in a room. */
export interface PresenceCount {
  /** How many users. */
  users: number;
  /** How many connections. */
  connections: number;
}

/** One who is in a room. */
export interface PresenceMember {
  /** The user's name. */
  user: string;
  /** Hexadecimal; the `digest` is the sum of all members' proofs modulo 2^64. */
  proof: string;
  /** The connection, where the room tells connections; missing where it tells users. */
  connection?: string;
  /** What the member says of itself. */
  info?: unknown;
}

/**
 * Who has seen a room's messages up to where: `users` of whom that is news, or all on the first page. A seq only grows, so what
 * is told may be taken in any mixture: the greatest one counts. Whoever has the same `sum` of all seqs knows of all; else read
 * the first page. Another epoch voids all that was known.
 */
export interface SeenPayload {
  /** The epoch of the room in which the seqs count. */
  epoch: string;
  /** The sum of the seqs of all users who have seen anything. */
  sum: number;
  /** User: the seq up to which it has seen all. */
  users?: Record<string, number>;
}

/**
 * The payload of PRESENCE: what there is, with a page of it, or with what has changed. The answer to an update is empty, the
 * answer to who wants to watch has `watching` alone.
 */
export interface PresencePayload {
  /** Grows with each change; what has a lower version than one seen is old. */
  version?: number;
  /** How many are there. */
  count?: PresenceCount;
  /** The sum of the proofs of all who are there: the client's own list is right where it agrees. */
  digest?: string;
  /** True: the room has too many members to name them; only `count` is told. */
  counts_only?: boolean;
  /** True: `joined` is one page of all who are there, in their order. */
  page?: boolean;
  /** Of a page: behind whom it begins. */
  after?: string;
  /** Of a page: whether there are further ones; ask with `after` set to the last. */
  more?: boolean;
  /** Those who have come, or who are on the page. */
  joined?: PresenceMember[];
  /** Those who have gone: users, or connections where the room tells those. */
  left?: string[];
  /** Those whose `info` has changed. */
  updated?: PresenceMember[];
  /** Who has seen what, where the room tells that (`receipts: seen` in its namespace). */
  seen?: SeenPayload;
  /** Whether this connection is told from now on; false: it may not be. */
  watching?: boolean;
}

/**
 * Who is in a room: the answer to PRESENCE, and to those who watch what has changed. Changes are operations on sets, so pages and
 * changes may come in any mixture.
 */
export interface PresenceFrame {
  type: "PRESENCE";
  /** When the frame was made, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
  /** The room; `@<user>` for a user who is watched; missing in answers about such users. */
  room?: string;
  /** The `id` of the frame that this answers; missing where nothing was asked. */
  ref?: string;
  /** Who is there, or who has come and gone. */
  payload: PresencePayload;
}

/** A durable REQUEST has reached its service: the answer will be a message in the user's own room. */
export interface AcceptedFrame {
  type: "ACCEPTED";
  /** When the frame was made, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
  /** The `id` of the REQUEST. */
  ref: string;
}

/**
 * What a service has answered to a REQUEST. The answer to a durable REQUEST is a numbered message: it has `room` (the user's
 * own), `seq` and `epoch`.
 */
export interface ResponseFrame {
  type: "RESPONSE";
  /** When the frame was made, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
  /** The `id` of the REQUEST. */
  ref: string;
  /** The answer. */
  payload: unknown;
  /** As in a message. */
  encoding?: "base64" | "json";
  /** The part's number: 1, 2, 3 …; missing where there is one part only. */
  n?: number;
  /** True: further parts follow. */
  more?: boolean;
  /** The user's own room; only of a durable REQUEST. */
  room?: string;
  /** The number in that room; only of a durable REQUEST. */
  seq?: number;
  /** The epoch in which `seq` counts; only of a durable REQUEST. */
  epoch?: string;
  /** W3C trace context of the answer, on sampled ones. */
  traceparent?: string;
}

/** The answer to PING. */
export interface PongFrame {
  type: "PONG";
  /** When the frame was made, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
  /** The `id` of the frame that this answers; missing where nothing was asked. */
  ref?: string;
  /** As in a message. */
  encoding?: "base64" | "json";
  /** The payload of the PING. */
  payload: unknown;
}

/** The broker is unavailable. The socket stays open; messages wait within a limit or get ERROR. */
export interface DegradedFrame {
  type: "DEGRADED";
  /** When the frame was made, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
}

/** The broker is back. */
export interface RestoredFrame {
  type: "RESTORED";
  /** When the frame was made, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
}

/** The payload of RECONNECT. */
export interface ReconnectPayload {
  /** Connect again after this time. */
  after_ms: number;
}

/** Connect again, with the positions: the pod shuts down, or the connection has its maximum age. */
export interface ReconnectFrame {
  type: "RECONNECT";
  /** When the frame was made, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
  /** When to connect again. */
  payload: ReconnectPayload;
}

/** The payload of ERROR. */
export interface ErrorPayload {
  /** What kind of error it is. */
  code: ErrorCode | (string & {});
  /** What is wrong, for the client's developer. */
  message: string;
  /** Whether the same message may be sent again, under the same `id`. */
  retry: boolean;
  /** How long to wait before sending it again. */
  retry_after_ms?: number;
  /** The connection is closed next, with this WebSocket close code. */
  close?: number;
  /** With `close`: whether to connect again. */
  reconnect?: "fresh token" | "no" | "yes";
}

/** Something was refused. With `close`, the connection is closed next with that code. */
export interface ErrorFrame {
  type: "ERROR";
  /** When the frame was made, in ms since the Unix epoch. */
  timestamp: number;
  /** The version of the protocol. */
  version: "1.0";
  /** The `id` of the refused frame; missing where it had none that can be repeated. */
  ref?: string;
  /** What was refused and why. */
  payload: ErrorPayload;
}

// ── What backends publish, and what they hear of that.

/** The AMQP headers of a notification. */
export interface NotificationHeaders {
  /** W3C trace context. */
  traceparent?: string | null;
  /** For rooms in which slow readers get only the latest message of each key. */
  key?: string | null;
  /** With the property `reply_to`: send a receipt once the message has got so far. */
  receipt?: "accepted" | "seen" | "written" | null;
  /**
   * Tell backends by `message.undelivered` where nobody has seen it after so many milliseconds. The room's namespace has to say
   * `receipts: seen`.
   */
  seen_within_ms?: number | null;
}

/** One entry of a list of notifications. Unknown fields are passed over. */
export interface NotificationEntry {
  /** The recipient: `room.<room>`, `user.<user>`, `conn.<connection id>` or `all`. */
  address: string;
  /** Any JSON. */
  payload: unknown;
  /** The message's type; NOTIFICATION if it is left out. */
  type?: string | null;
  /** Makes the entry idempotent: the same id in the same room counts once. */
  id?: string | null;
  /** `base64`: the payload is a base64 string and stands for bytes. */
  encoding?: "base64" | null;
  /** For rooms in which slow readers get only the latest message of each key. */
  key?: string | null;
  /** Not delivered after so many ms. */
  expiration?: number | null;
  /** W3C trace context. */
  traceparent?: string | null;
  /**
   * Tell backends by `message.undelivered` where nobody has seen it after so many milliseconds. The room's namespace has to say
   * `receipts: seen`.
   */
  seen_within_ms?: number | null;
}

/** The AMQP headers of a notification that can't be delivered; its body is what came. */
export interface DeadLetterHeaders {
  /** What is wrong. */
  "x-warren-reason": string;
  /** The routing key that the notification came with. */
  "x-warren-routing-key": string;
  /** Of an entry of a list: its place there, from 0. */
  "x-warren-index"?: number;
  /** How large the body was, where only its beginning was kept. */
  "x-warren-body-bytes"?: number;
  /** How large the notification's own headers were, where they were not kept. */
  "x-warren-headers-left-out"?: number;
}

/** What is known of a message, for the backend that asked. */
export interface ReceiptPayload {
  /** False: the time was over before all was known; the numbers are what is known. */
  complete: boolean;
  /** The message's id; empty: it had none. */
  id?: string;
  /** The address that the message went to. */
  room?: string;
  /** The epoch of the room; missing: not numbered. */
  epoch?: string;
  /** The message's number in its room; missing: not numbered. */
  seq?: number;
  /** True: a message with this id was accepted before, and this one is its repeat. */
  duplicate?: boolean;
  /** How many users were in the room when it was accepted; missing: not counted there. */
  users?: number;
  /** How many connections those had. */
  connections?: number;
  /** How many gateways held those connections. */
  gateways?: number;
  /** How many gateways have written it to their sockets. */
  written?: number;
  /** How many gateways have ended before they could; their members catch up. */
  lost?: number;
  /** How many users were there to see it; only of a receipt of `seen`. */
  readers?: number;
  /** How many users have seen it, whether they were there or came later; only of `seen`. */
  seen?: number;
  /** Why the message was refused; it was set aside. */
  refused?: string;
  /** Why nothing is known: `overloaded`, too many receipts are open. */
  reason?: string;
}

// ── What backends hear.

/**
 * A connection has come into a room, or gone. In its own room `@<user>` it has connected or disconnected. `generation` and
 * `gateway` together distinguish a late "disconnected" from a newer "connected".
 */
export interface MembershipEvent {
  /** Names the event; a repeat has the same one. It is also the AMQP property `message_id`. */
  event_id: string;
  /** What happened; the routing key, too. */
  event: "client.connected" | "client.disconnected" | "room.joined" | "room.left";
  /** The connection. */
  connection?: string;
  /** Whose connection it is. */
  user?: string;
  /** The room. */
  room?: string;
  /** The gateway that holds the connection; it has a new name in each of its lives. */
  gateway?: string;
  /** The connection's number in its gateway; a later connection has a higher one. */
  generation?: number;
  /** How many connections of the user are in the room after it: 0 is the last one's end. */
  connections?: number;
  /** How many connections are in the room after it: 1 is the first one, 0 the last one's end. */
  members?: number;
  /** When it happened, in ms since the Unix epoch. */
  at: number;
  /** Why one has gone: `left`, `gone` (its gateway has died), `removed`, `blocked`, `disconnected`, `replaced` or `revoked`. */
  reason?: string;
}

/**
 * A message was accepted (`message`), or nobody was there for it, or has seen it in the time that its sender gave
 * (`message.undelivered`). A push service that binds `message.undelivered.#` hears who was away.
 */
export interface MessageEvent {
  /** Names the event; a repeat has the same one. It is also the AMQP property `message_id`. */
  event_id: string;
  /** What happened. */
  event: "message" | "message.undelivered";
  /** The room. */
  room?: string;
  /** The message's type. */
  type?: string;
  /** The epoch of the room in which `seq` counts. */
  epoch?: string;
  /** The message's number in its room. */
  seq?: number;
  /** The sender's connection; missing if a backend sent it. */
  connection?: string;
  /** The sender; missing if a backend sent it. */
  user?: string;
  /** The sender's name for the message. */
  id?: string;
  /** When it happened, in ms since the Unix epoch. */
  at: number;
  /** `base64`: the payload is a base64 string and stands for bytes. */
  encoding?: "base64";
  /** What the sender sent. */
  payload: unknown;
  /**
   * Of `message.undelivered`: `nobody` (was there), `unseen` (in its time), or `overloaded` (too many messages of its shard wait
   * to be seen, so it is told at once).
   */
  reason?: string;
}

/** The AMQP headers of an event, as the AMQP binding of CloudEvents 1.0 has them. */
export interface EventHeaders {
  /** The event's id. */
  "cloudEvents_id": string;
  /** The installation and the shard that the event comes from. */
  "cloudEvents_source": string;
  /** What happened: the field `event`. */
  "cloudEvents_type": string;
  /** The version of CloudEvents. */
  "cloudEvents_specversion": "1.0";
  /** When it happened, as RFC 3339 writes it. */
  "cloudEvents_time"?: string;
  /** The room. */
  "cloudEvents_subject"?: string;
}

// ── What backends may have Warren do or tell, over AMQP or HTTP.

/** A message for one address. */
export interface PublishCommand {
  /** The recipient: `room.<room>`, `user.<user>`, `conn.<connection id>` or `all`. */
  address: string;
  /** Any JSON. */
  payload: unknown;
  /** The message's type: NOTIFICATION where it is missing. An ordinary one or one of your own, never a reserved one. */
  type?: string | null;
  /**
   * What makes it count once: the same id for the same address is a repeat. Printable characters, the first one not `~`. Over
   * HTTP the header `Idempotency-Key` is the same.
   */
  id?: string | null;
  /** `payload` is a string with base64 of bytes, which are the message's payload. */
  encoding?: "base64" | null;
  /** For rooms in which slow readers get only the latest message of each key. */
  key?: string | null;
  /** It is not delivered after so many milliseconds. */
  expiration?: number | null;
  /** W3C trace context of the message, as the header of that name. */
  traceparent?: string | null;
  /**
   * Tell backends by the event `message.undelivered` where nobody has seen it after so many milliseconds. The room's namespace
   * has to say `receipts: seen`.
   */
  seen_within_ms?: number | null;
  /** Wait for so many milliseconds for the message's receipt: its place in its room, and who is there. */
  wait_ms?: number;
  /**
   * What `wait_ms` waits for: the place; that all gateways with members have written it, too; or that as many users have seen it
   * as were there, too.
   */
  receipt?: "accepted" | "seen" | "written";
}

/** The message is in the log, committed by a majority of the broker's nodes. With `wait_ms` also where it stands in its room. */
export interface Published {
  /** The message's id, which it was given where it had none. */
  id: string;
  /** Where it goes. */
  address: string;
  /** The run of numbers that `seq` belongs to. */
  epoch?: string;
  /** Its number in the room; of a repeat, that of the first. */
  seq?: number;
  /** Its id had been counted before, so nothing was sent. */
  duplicate?: boolean;
  /** How many users were there; 0: nobody. */
  users?: number;
  /** How many connections those had. */
  connections?: number;
  /** How many gateways held those connections. */
  gateways?: number;
  /** How many of these have written it. */
  written?: number;
  /** How many of these died before; their clients get it elsewhere. */
  lost?: number;
  /** False: `wait_ms` was over before all was known. */
  complete?: boolean;
  /** How many users were there to see it; with `receipt: seen`. */
  readers?: number;
  /** How many users have seen it; with `receipt: seen`. */
  seen?: number;
}

/** Many messages, each for itself: each is checked, allowed and answered as one that comes alone. */
export interface BatchCommand {
  /** Messages as in `publish`, but for `wait_ms` and `receipt`. */
  messages: PublishCommand[];
  /** Wait for so many milliseconds for the message's receipt: its place in its room, and who is there. */
  wait_ms?: number;
  /**
   * What `wait_ms` waits for: the place; that all gateways with members have written it, too; or that as many users have seen it
   * as were there, too.
   */
  receipt?: "accepted" | "seen" | "written";
}

/** One thing that is wrong with a command. */
export interface Fault {
  /** Where: a JSON pointer (RFC 6901); empty: all of it. */
  pointer: string;
  /** What is wrong there. */
  detail: string;
}

/** What became of one message of several. */
export interface Outcome {
  /** The HTTP status that it would have had alone. */
  status: number;
  /** Where it goes. */
  address?: string;
  /** The message's id. */
  id?: string;
  /** The run of numbers that `seq` belongs to. */
  epoch?: string;
  /** Its number in the room; of a repeat, that of the first. */
  seq?: number;
  /** Its id had been counted before, so nothing was sent. */
  duplicate?: boolean;
  /** How many users were there; 0: nobody. */
  users?: number;
  /** How many connections those had. */
  connections?: number;
  /** How many gateways held those connections. */
  gateways?: number;
  /** How many of these have written it. */
  written?: number;
  /** How many of these died before; their clients get it elsewhere. */
  lost?: number;
  /** False: `wait_ms` was over before all was known. */
  complete?: boolean;
  /** How many users were there to see it; with `receipt: seen`. */
  readers?: number;
  /** How many users have seen it; with `receipt: seen`. */
  seen?: number;
  /** Why it was refused: the code of a problem. */
  code?: string;
  /** What is wrong with it. */
  detail?: string;
  /** Whether it may be sent again. */
  retry?: boolean;
  /** How long to wait before that. */
  retry_after_ms?: number;
  /** Each thing that is wrong with it. */
  errors?: Fault[];
}

/** What became of several messages. */
export interface Outcomes {
  /** One for each message, in their order. */
  results: Outcome[];
  /** How many have another status than 200. */
  failed: number;
}

/** One message for many addresses, or for everyone. */
export interface BroadcastCommand {
  /** Any JSON. */
  payload: unknown;
  /** Where it goes; missing: to everyone. */
  addresses?: string[] | null;
  /** The message's type: NOTIFICATION where it is missing. An ordinary one or one of your own, never a reserved one. */
  type?: string | null;
  /**
   * What makes it count once: the same id for the same address is a repeat. Printable characters, the first one not `~`. Over
   * HTTP the header `Idempotency-Key` is the same.
   */
  id?: string | null;
  /** `payload` is a string with base64 of bytes, which are the message's payload. */
  encoding?: "base64" | null;
  /** For rooms in which slow readers get only the latest message of each key. */
  key?: string | null;
  /** It is not delivered after so many milliseconds. */
  expiration?: number | null;
  /** W3C trace context of the message, as the header of that name. */
  traceparent?: string | null;
  /**
   * Tell backends by the event `message.undelivered` where nobody has seen it after so many milliseconds. The room's namespace
   * has to say `receipts: seen`.
   */
  seen_within_ms?: number | null;
  /** Wait for so many milliseconds for the message's receipt: its place in its room, and who is there. */
  wait_ms?: number;
  /**
   * What `wait_ms` waits for: the place; that all gateways with members have written it, too; or that as many users have seen it
   * as were there, too.
   */
  receipt?: "accepted" | "seen" | "written";
}

/**
 * Close all connections of a user, or one connection. It meets those that came before the command, and none that comes after it.
 */
export interface DisconnectCommand {
  /** `user.<user>`, or `conn.<connection id>`. */
  address: string;
  /** Connections that are left alone. */
  except?: string[];
  /** The WebSocket close code: 4006 where it is missing. */
  code?: 1012 | 4001 | 4006 | 4007 | null;
  /** Why, for the client: at most 120 bytes in UTF-8. */
  reason?: string;
  /**
   * What makes it count once for its address. Over HTTP the header `Idempotency-Key` is the same; where neither is given it gets
   * one, which the answer tells.
   */
  id?: string | null;
}

/** It has its place in the log, and holds over any failure. */
export interface Done {
  /** The command's id, which it was given where it had none. */
  id: string;
  /** How many connections it has met. */
  connections?: number;
  /** Of `unblock`: how many blocks it has lifted. */
  lifted?: number;
  /** It was done before, under this id. */
  duplicate?: boolean;
}

/**
 * Take a user out of a room, with all connections, or one connection; they get LEFT and may join again. It meets those that came
 * before the command, also one that is moving at that moment, and none that joins after it.
 */
export interface RemoveCommand {
  /** `room.<room>`. */
  address: string;
  /** Who is taken out; this or `connection`. */
  user?: string | null;
  /** The one connection that is taken out. */
  connection?: string | null;
  /** Connections that are left alone. */
  except?: string[];
  /** Why, for the client: at most 120 bytes in UTF-8. */
  reason?: string;
  /**
   * What makes it count once for its address. Over HTTP the header `Idempotency-Key` is the same; where neither is given it gets
   * one, which the answer tells.
   */
  id?: string | null;
}

/** Have all connections that a user has now, or one connection, join rooms, whatever their rights; they get JOINED. */
export interface AddCommand {
  /** `user.<user>`, or `conn.<connection id>`. */
  address: string;
  /** The rooms. */
  rooms: string[];
  /** Connections that are left alone. */
  except?: string[];
  /**
   * What makes it count once for its address. Over HTTP the header `Idempotency-Key` is the same; where neither is given it gets
   * one, which the answer tells.
   */
  id?: string | null;
}

/**
 * Keep a user out: of everything (`user.<user>`), or of a room (`room.<room>` with `user`). Whoever is in is put out, and no JOIN
 * is let in until then.
 */
export interface BlockCommand {
  /** `room.<room>`, or `user.<user>`: all connections of a user. */
  address: string;
  /** Who is kept out of the room. */
  user?: string | null;
  /** Until then, ms since the Unix epoch; missing: until `unblock`. */
  until_ms?: number;
  /** Why, for the client: at most 120 bytes in UTF-8. */
  reason?: string;
  /**
   * What makes it count once for its address. Over HTTP the header `Idempotency-Key` is the same; where neither is given it gets
   * one, which the answer tells.
   */
  id?: string | null;
}

/** Let a user in again that was blocked there. */
export interface UnblockCommand {
  /** `room.<room>`, or `user.<user>`: all connections of a user. */
  address: string;
  /** Who may come into the room again. */
  user?: string | null;
  /**
   * What makes it count once for its address. Over HTTP the header `Idempotency-Key` is the same; where neither is given it gets
   * one, which the answer tells.
   */
  id?: string | null;
}

/**
 * Let nobody in by a token of a user: one by its id, or all that were issued before. Connections that came by such a token are
 * closed (4001). What hooks granted the user before is void.
 */
export interface RevokeCommand {
  /** `user.<user>`. */
  address: string;
  /** The claim `jti`. */
  token_id?: string | null;
  /** All whose claim `iat` is below this, s since the Unix epoch; not 0. */
  before_s?: number | null;
  /** When it may be forgotten, since the tokens have expired: ms since the Unix epoch. */
  until_ms?: number;
  /**
   * What makes it count once for its address. Over HTTP the header `Idempotency-Key` is the same; where neither is given it gets
   * one, which the answer tells.
   */
  id?: string | null;
}

/** Who is in a room, by user. */
export interface PresenceCommand {
  /** `room.<room>`, or `user.<user>`: all connections of a user. */
  address: string;
  /** How many at most. */
  limit?: number;
  /** `next` of the page before; empty: from the beginning. */
  cursor?: string;
}

/** One user who is there. */
export interface Present {
  /** The user's name. */
  user: string;
  /** The user's connections in the room. */
  connections: string[];
  /** What the room shows with the user, where it tells of users. */
  info?: unknown;
}

/** Users in the order of their names, each with its connections. */
export interface PresencePage {
  /** How many users there are; missing: too many to count. */
  users?: number;
  /** How many connections there are. */
  connections: number;
  /** The users of this page. */
  members: Present[];
  /** The cursor of the next page; missing: this is the last. */
  next?: string;
  /** There are too many to be named. */
  counts_only?: boolean;
}

/** How many are in a room. */
export interface CountCommand {
  /** `room.<room>`, or `user.<user>`: all connections of a user. */
  address: string;
}

/** How many there are. */
export interface Counted {
  /** How many users; missing: too many to count. */
  users?: number;
  /** How many connections. */
  connections: number;
}

/** The last messages of a room, as far as its history reaches. */
export interface HistoryCommand {
  /** `room.<room>`, or `user.<user>`: all connections of a user. */
  address: string;
  /** How many at most. */
  limit?: number;
  /** Those before this `seq`; 0: the latest. */
  before?: number;
}

/** One message, as clients get it. */
export interface HistoryMessage {
  /** The message's number in its room. */
  seq: number;
  /** The message's type. */
  type: string;
  /** What the sender sent. */
  payload: unknown;
  /** When it was accepted, ms since the Unix epoch. */
  timestamp: number;
  /** The sender's name for the message. */
  id?: string;
  /** The sender's user name; missing: a backend. */
  sender?: string;
  /** The sender's connection; missing: a backend. */
  connection?: string;
  /** `base64`: the payload is a base64 string and stands for bytes. */
  encoding?: string;
}

/** Messages in their order, and where the room stands. */
export interface HistoryPage {
  /** The run of numbers that the seqs belong to. */
  epoch: string;
  /** The number of the room's last message. */
  seq: number;
  /** The messages, the oldest first. */
  messages: HistoryMessage[];
  /** There are older ones: ask `before` the first `seq`. */
  more?: boolean;
}

/** Rooms that have members, by the beginning of their names; with the prefix `@`: connected users. */
export interface RoomsCommand {
  /** How their names begin. */
  prefix?: string;
  /** How many at most. */
  limit?: number;
  /** `next` of the page before; empty: from the beginning. */
  cursor?: string;
}

/** One room. */
export interface RoomCount {
  /** The room's name. */
  room: string;
  /** How many connections are in it. */
  connections: number;
}

/** Rooms in the order of their names. */
export interface RoomsPage {
  /** The rooms of this page. */
  rooms: RoomCount[];
  /** The cursor of the next page; missing: this is the last. */
  next?: string;
}

/** Who is kept out, of what, and until when. */
export interface BlocksCommand {
  /** Of this room alone. */
  room?: string | null;
  /** Of rooms whose names begin so; `@`: of everything; empty: of either. */
  prefix?: string;
  /** Blocks of this user alone. */
  user?: string | null;
  /** How many at most. */
  limit?: number;
  /** `next` of the page before; empty: from the beginning. */
  cursor?: string;
}

/** One block. Without `until_ms` it is the body of the `unblock` that lifts it. */
export interface Blocked {
  /** The room; or the user, who is kept out of everything. */
  address: string;
  /** Who is kept out of the room. */
  user?: string;
  /** Until then, ms since the Unix epoch; missing: until `unblock`. */
  until_ms?: number;
}

/** Blocks that hold, in the order of rooms and users; `@` and the user's name: of everything. */
export interface BlocksPage {
  /** The blocks of this page. */
  blocks: Blocked[];
  /** The cursor of the next page; missing: this is the last. */
  next?: string;
}

/** Which of these users are online. */
export interface StatusCommand {
  /** Whom to look for. */
  users: string[];
}

/** One user. */
export interface UserStatus {
  /** The user's name. */
  user: string;
  /** Whether the user has a connection. */
  online: boolean;
  /** How many the user has. */
  connections?: number;
  /** Online since, ms since the Unix epoch; missing: not known. */
  since?: number;
  /** When the last connection ended, ms since the Unix epoch; missing: not known. */
  last_seen?: number;
}

/** Who is online. */
export interface Statuses {
  /** One for each user that was asked for, in that order. */
  users: UserStatus[];
}

/** What became of a message, for as long as its room's history reaches. */
export interface ExplainCommand {
  /** `room.<room>`, or `user.<user>`: all connections of a user. */
  address: string;
  /** The message's id. */
  id: string;
  /** Its sender; missing: a backend. */
  user?: string | null;
}

/** What became of it on one gateway. */
export interface GatewayReached {
  /** The gateway. */
  gateway: string;
  /**
   * It was sent, in its place. False: it waits for the gateway. Missing: the gateway had no members then, or that is not known
   * any more.
   */
  fed?: boolean;
  /**
   * `counted`: the numbers are all; `partly`: there may be more, as the gateway has read the message from a router and does not
   * know what it did before; `behind`: it has not come there yet; `forgotten`: the gateway does not keep it (any more); `gone`:
   * the gateway has ended; `silent`: it has not answered.
   */
  state: "behind" | "counted" | "forgotten" | "gone" | "partly" | "silent";
  /** The room's last message that has come there. */
  seq?: number;
  /** To how many connections it was written, or waits in the gateway to be written. */
  written?: number;
  /** From how many it was withheld: they read too slowly, or had gone before it was written. */
  withheld?: number;
  /** To how many it was not written, as it had expired. */
  expired?: number;
}

/** What is known of a message. */
export interface Explained {
  /** The message's id. */
  id: string;
  /** Its room. */
  address: string;
  /** The run of numbers that `seq` belongs to. */
  epoch: string;
  /** Its number in the room. */
  seq: number;
  /** When it was accepted, ms since the Unix epoch. */
  accepted_at?: number;
  /** Its type. */
  type?: string;
  /** How many bytes its payload has. */
  bytes?: number;
  /** When it expires, ms since the Unix epoch. */
  expires_at?: number;
  /** Those that had members when it was accepted (an empty list: it was for nobody), or have given it to others since. */
  gateways?: GatewayReached[];
  /** To how many connections it was written, or waits in the gateway to be written. */
  written?: number;
  /** From how many it was withheld: they read too slowly, or had gone before it was written. */
  withheld?: number;
  /** To how many it was not written, as it had expired. */
  expired?: number;
  /** The fields that are not known (any more); a number that is there may be higher. */
  unknown?: string[];
}

/** How the whole installation is. */
export interface OverviewCommand {
}

/** One router, by what it says of itself. */
export interface RouterFigures {
  /** The router's id, new for each of its lives. */
  router: string;
  /** It is the one that gives this answer. */
  answers?: boolean;
  /** For how many seconds it has run. */
  uptime: number;
  /** For how many ms nothing was heard of it. */
  heard_ms: number;
  /** For how many shards it speaks. */
  speaks: number;
  /** How many shards it reads: those, and those for which it stands by. */
  reads: number;
  /** How many entries of logs those who speak for its other shards have read and it has not. */
  behind: number;
  /**
   * How old, in ms, the oldest message was that came there lately, from when it was sent; missing: none came. Clocks of machines
   * may differ.
   */
  lag_ms?: number;
  /** Events and records of it that wait for the broker. */
  waiting: number;
  /**
   * `blocked`: the broker holds back what is published (a memory or disk alarm); `away`: it can't be reached, which a router
   * knows of itself alone.
   */
  broker: "away" | "blocked" | "up";
  /** Bytes of memory that its process holds. */
  memory: number;
}

/**
 * The figures of the whole installation, whichever router tells them. They are as of the last heartbeats of its gateways and
 * routers.
 */
export interface Installation {
  /** The version of the router that answers. */
  version: string;
  /** When, ms since the Unix epoch. */
  at: number;
  /** Connections of clients. */
  connections: number;
  /** Users who are connected. */
  users: number;
  /** Rooms that have members; users' own rooms are not counted. */
  rooms: number;
  /** Members of those rooms: each connection counts in each of its rooms. */
  members: number;
  /** Messages from clients in a second. */
  in_rate: number;
  /** Messages written to clients in a second. */
  out_rate: number;
  /** ERROR frames in a second. */
  error_rate: number;
  /** Gateways that live. */
  gateways: number;
  /**
   * How old, in ms, the oldest message was that came there lately, from when it was sent; missing: none came. Clocks of machines
   * may differ.
   */
  gateway_lag_ms?: number;
  /**
   * How old, in ms, the oldest message was that came there lately, from when it was sent; missing: none came. Clocks of machines
   * may differ.
   */
  router_lag_ms?: number;
  /** Entries of logs that wait to be sent to gateways. */
  waiting: number;
  /** How many shards there are. */
  shards: number;
  /** Shards for which nobody speaks: what is sent to their rooms waits; at most 100 are told. */
  silent_shards: number[];
  /** The broker, as the routers see it: the worst of them. */
  broker: "away" | "blocked" | "up";
  /** The routers that live, by name. */
  routers: RouterFigures[];
}

/** The whole installation's figures of the last ten minutes, one sample every two seconds. */
export interface SamplesCommand {
  /** Only those taken after this time, ms since the Unix epoch; 0: all. */
  after?: number;
}

/** The figures of one moment. */
export interface Sample {
  /** When, ms since the Unix epoch; every router takes its samples at even seconds. */
  at: number;
  /** Connections of clients. */
  connections: number;
  /** Users who are connected. */
  users: number;
  /** Rooms that have members; users' own rooms are not counted. */
  rooms: number;
  /** Members of those rooms: each connection counts in each of its rooms. */
  members: number;
  /** Messages from clients in a second. */
  in_rate: number;
  /** Messages written to clients in a second. */
  out_rate: number;
  /** ERROR frames in a second. */
  error_rate: number;
  /** Gateways that live. */
  gateways: number;
  /** Routers that live. */
  routers: number;
  /**
   * How old, in ms, the oldest message was that came there lately, from when it was sent; missing: none came. Clocks of machines
   * may differ.
   */
  gateway_lag_ms?: number;
  /**
   * How old, in ms, the oldest message was that came there lately, from when it was sent; missing: none came. Clocks of machines
   * may differ.
   */
  router_lag_ms?: number;
  /** Entries of logs that wait to be sent to gateways. */
  waiting: number;
}

/** Samples, the oldest first. */
export interface SampleList {
  /** How many ms there are between two samples. */
  every_ms: number;
  /** Those that the router has, which are none of before its start. */
  samples: Sample[];
}

/** The gateways that live, each with its figures. */
export interface GatewaysCommand {
  /** How many at most. */
  limit?: number;
  /** `next` of the page before; empty: from the beginning. */
  cursor?: string;
}

/** One gateway, by what it says of itself and what routers know of it. */
export interface GatewayFigures {
  /** The gateway's id. */
  gateway: string;
  /** For how many seconds it has run. */
  uptime: number;
  /** For how many ms nothing was heard of it. */
  heard_ms: number;
  /** Connections of clients. */
  connections: number;
  /** Messages from clients in a second. */
  in_rate: number;
  /** Messages written to clients in a second. */
  out_rate: number;
  /** ERROR frames in a second. */
  error_rate: number;
  /**
   * How old, in ms, the oldest message was that came there lately, from when it was sent; missing: none came. Clocks of machines
   * may differ.
   */
  lag_ms?: number;
  /** Entries of logs that wait to be sent to it. */
  waiting: number;
  /** Bytes of memory that its process holds. */
  memory: number;
}

/** Gateways in the order of their names. */
export interface GatewaysPage {
  /** The gateways of this page. */
  gateways: GatewayFigures[];
  /** The cursor of the next page; missing: this is the last. */
  next?: string;
}

/** The shards, and who speaks for each. */
export interface ShardListCommand {
  /** How many at most. */
  limit?: number;
  /** `next` of the page before; empty: from the beginning. */
  cursor?: string;
}

/** One shard. */
export interface ShardFigures {
  /** Its number. */
  shard: number;
  /** The routers that speak for it. None: what is sent to its rooms waits. Two: it changes hands. */
  speakers: string[];
  /** The routers that read it to take over at once. */
  standbys: string[];
  /** The entry of its log that was read last; missing: none is known. */
  offset?: number;
  /** How many entries fewer the one of those that has read least has read. */
  behind: number;
  /** Rooms that have members; users' own rooms are not counted. */
  rooms: number;
  /** Members of those rooms: each connection counts in each of its rooms. */
  members: number;
  /** Users who are connected and whose own rooms belong to this shard. */
  users: number;
}

/** Shards by number. */
export interface ShardsPage {
  /** The shards of this page. */
  shards: ShardFigures[];
  /** The cursor of the next page; missing: this is the last. */
  next?: string;
}

/** Why a command was not done. */
export interface Problem {
  /** An address that names the kind of problem. */
  type: string;
  /** The kind of problem in words. */
  title: string;
  /** The HTTP status. */
  status: number;
  /** What is wrong with this command. */
  detail: string;
  /** Warren's code, as in ERROR frames, or one that only a backend can meet. */
  code: string;
  /** Whether the same command may be sent again. */
  retry: boolean;
  /** How long to wait before that. */
  retry_after_ms?: number;
  /** The trace of the command: the services' log lines have it. */
  trace_id?: string;
  /** Each thing that is wrong with the command. */
  errors?: Fault[];
}

/** What one verb may be used on. */
export interface KeyScope {
  /** The verb; `*`: every one. */
  verb: string;
  /** The pattern of the rooms; `*`: all. */
  pattern: string;
}

/** Whose key of the HTTP API this is, and what it may do. */
export interface KeyRights {
  /** The key's name in the keys file; the key itself is never told. */
  name: string;
  /** What it may do. */
  scopes: KeyScope[];
  /** When it ends, ms since the Unix epoch; missing: never. */
  expires?: number;
}

// ── Headers of what clients ask of services, and of the answers.

/**
 * The AMQP headers of a request. Its properties: `reply_to`, `correlation_id`, `message_id` (the same over repeats), `expiration`
 * (what is left of the time), `content_type`. Its routing key is the service's name.
 */
export interface RequestHeaders {
  /** Who asks; Warren has checked the token. */
  user: string;
  /** The connection that asks. */
  connection: string;
  /** 1 at first; higher where the request is sent again. */
  attempt: number;
  /** W3C trace context. */
  traceparent?: string;
}

/**
 * The AMQP headers of an answer; a single answer needs none. Its property `correlation_id` is that of the request, its routing
 * key the request's `reply_to`, its exchange `warren.replies` (or the default one).
 */
export interface ResponseHeaders {
  /** The part's number: 1, 2, 3 … */
  n?: number | null;
  /** True: further parts follow. */
  more?: boolean | null;
  /** The request is refused: the client gets ERROR with this code, and the body's text. Not of a durable request. */
  error?: string | null;
  /** W3C trace context. */
  traceparent?: string | null;
}

/**
 * The AMQP headers of a cancel: the answer to the request is wanted no more. Its routing key is `<service>.cancel`, its
 * `correlation_id` that of the request, its body empty.
 */
export interface CancelHeaders {
  /** Who asked. */
  user: string;
  /** The connection that asked. */
  connection: string;
}

// ── What backends are asked before a client may do something.

/** May this client connect, join this room, or publish this message? */
export interface HookQuestion {
  /** What the client wants to do. */
  hook: "connect" | "join" | "publish";
  /** The client's connection. */
  connection: string;
  /** The user's name; missing where the client has named none. */
  user?: string;
  /** Those claims of the token that the settings select. */
  claims?: Record<string, unknown>;
  /** Those headers of the upgrade request that the settings select. */
  headers?: Record<string, string>;
  /** The room, of `join` and `publish`. */
  room?: string;
  /** The room's namespace, of `join` and `publish`. */
  namespace?: string;
  /** The message's type, of `publish`. */
  type?: string;
  /** The message's id, of `publish`. */
  id?: string;
  /** The message's key, of `publish`. */
  key?: string;
  /** The message's payload, of `publish`. */
  payload?: unknown;
  /** `base64`: the payload is a base64 string and stands for bytes. */
  encoding?: "base64";
}

/** A backend's decision. */
export interface HookAnswer {
  /** Whether the client may. */
  allow: boolean;
  /** Why not; the client is shown it. */
  reason?: string | null;
  /**
   * For how many seconds this decision holds; with it, an allowed connect or join becomes a grant that the client shows next
   * time.
   */
  ttl?: number | null;
  /** Of `join`: `publish` lets the client publish there without further questions. */
  rights?: string[] | null;
  /** Of `connect`: the user's name from now on. */
  user?: string | null;
  /** What others see of the member; at most 1 KiB of JSON. */
  info?: unknown;
  /** Of `connect`: rooms that the connection joins. */
  rooms?: string[] | null;
  /** Of `publish`: the payload that is published in place of the client's. */
  payload?: unknown;
  /** `base64`: the payload is a base64 string and stands for bytes. */
  encoding?: "base64" | null;
}

/** Any frame that a client sends, told apart by `type`. */
export type ClientFrame =
  | AuthFrame
  | JoinFrame
  | LeaveFrame
  | HistoryRequestFrame
  | PresenceRequestFrame
  | SeenFrame
  | RequestFrame
  | CancelFrame
  | PingFrame
  | ClientMessage;

/** Any frame that a server sends, told apart by `type`. */
export type ServerFrame =
  | WelcomeFrame
  | AuthenticatedFrame
  | JoinedFrame
  | LeftFrame
  | AckFrame
  | ReceiptFrame
  | HistoryFrame
  | DroppedFrame
  | PresenceFrame
  | AcceptedFrame
  | ResponseFrame
  | PongFrame
  | DegradedFrame
  | RestoredFrame
  | ReconnectFrame
  | ErrorFrame
  | Message;
