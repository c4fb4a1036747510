/**
 * Warren's client for browsers: no dependencies, speaks `warren.v1` (docs/protocol.md).
 *
 * It keeps one WebSocket open, passes messages to listeners by type, and delivers what was sent to the server once and in order even if
 * the connection drops. It never renders, stores nothing outside its own object, and never waits or buffers without a bound.
 * Time, randomness and the WebSocket class can be passed in. warren.d.ts documents every option and method; README.md is the overview.
 */
import { decode } from "./lib/binary.js";
import { WarrenError, deferred, rejected } from "./lib/error.js";
import { Link } from "./lib/link.js";
import { Listeners } from "./lib/listeners.js";
import { cancelText, controlText, messageText, requestText, roomFault } from "./lib/encode.js";
import { withDefaults } from "./lib/options.js";
import { Outbox } from "./lib/outbox.js";
import { Presence } from "./lib/presence.js";
import { Receipts } from "./lib/receipts.js";
import { Requests } from "./lib/requests.js";
import { RoomPosition } from "./lib/room_position.js";
import { SeenReports } from "./lib/seen_reports.js";
import { Timers } from "./lib/timers.js";

export { WarrenError };

const NAMELESS = new Set(["invalid_format", "invalid_message"]); // codes of ERRORs for frames whose id the server could not read
const TOLD = new Set(["message", "REQUEST", "RECEIPT"]); // kinds of entries whose promises report an ERROR
const REMEMBERED = 256; // ids of own acknowledged messages, to recognise them when a room is replayed

export class WarrenClient {
  #options;
  #link;
  #outbox;
  #requests;
  #presence;
  #receipts;
  #seen;
  #prefix;
  #count = 0;
  #repeats = 0;
  #welcome = null;
  #listeners = new Listeners();
  #timers;
  #rooms = new Map(); // name ▶ RoomPosition, for each room that we are in or want to be in
  #atConnect = new Set(); // rooms that the server joined for us at our first connect
  #left = new Set(); // rooms of #atConnect that we left
  #mine = new Set();

  constructor(url, options = {}) {
    this.#options = withDefaults(options);
    this.#outbox = new Outbox(this.#options, {
      ping: () => this.#control("PING"),
      refused: (entry, error) => this.#reject(entry, error),
    });
    this.#requests = new Requests(this.#options, this.#outbox, (id) => {
      this.#outbox.first({ build: () => cancelText(id, this.#options.wall()) });
    });
    const tell = (room, payload, once) => this.#tellPresence(room, payload, once);
    this.#presence = new Presence(this.#options, tell, () => this.user);
    this.#receipts = new Receipts(this.#options, this.#outbox, (receipt) => this.#listeners.emit("receipt", receipt));
    this.#seen = new SeenReports(this.#options, this.#outbox, () => this.#id());
    this.#timers = new Timers(this.#options);
    this.#link = new Link(url, this.#options, {
      frame: (data) => this.#hear(data),
      down: (why) => this.#down(why),
      state: (state) => this.#listeners.emit("state", state),
      report: (event, value) => this.#listeners.emit(event, value),
    });
    // an id counts once for a room and user, so the ids of another page or an earlier life must differ
    this.#prefix = Math.floor(this.#options.random() * 36 ** 10).toString(36);
  }

  get state() {
    return this.#link.state;
  }

  get user() {
    return this.#welcome?.user ?? this.#link.user;
  }

  get connection() {
    return this.#welcome?.connection ?? null;
  }

  get limits() {
    return this.#welcome?.limits ?? null;
  }

  get rooms() {
    return [...this.#rooms.keys()];
  }

  get counters() {
    return { waiting: this.#outbox.size, dropped: this.#outbox.dropped, repeats: this.#repeats };
  }

  position(room) {
    return this.#rooms.get(room)?.since ?? null;
  }

  on(type, listener) {
    return this.#listeners.on(type, listener);
  }

  connect() {
    return this.#link.connect();
  }

  close() {
    this.#seen.closing();
    this.#link.close();
  }

  send(type, room, payload = null, options = {}) {
    const ephemeral = options.ephemeral ?? this.#options.ephemeralTypes.includes(type);
    const id = ephemeral ? undefined : (options.id ?? this.#id());
    let text;
    try {
      text = messageText(type, room, payload, { ...options, id }, this.#options.wall());
    } catch (fault) {
      return rejected(fault);
    }
    if (ephemeral) {
      this.#outbox.ephemeral(text);
      return Promise.resolve(null);
    }
    const before = this.#outbox.get(id);
    if (before && before.kind !== "RECEIPT") return before.promise; // already in flight
    const fault = this.#isClosed(id) ?? this.#isFull(id);
    if (fault) return rejected(fault);
    const receipt = options.receipt && this.#receipts.want(id, room, options.receipt, text);
    const build = receipt ? receipt.build : () => text;
    return this.#outbox.add({ id, kind: "message", room, build, echo: options.includeSender === true, receipt });
  }

  join(name, { presence } = {}) {
    const fault = roomFault(name) ?? this.#isClosed();
    if (fault) return rejected(fault);
    this.#left.delete(name);
    if (presence) this.#presence.want(name, presence);
    const room = this.#room(name);
    const joined = deferred();
    room.waiting.push(joined);
    if (this.state === "open" && !room.asked) this.#outbox.add(this.#joinFor(room));
    return joined.promise;
  }

  leave(name) {
    const fault = roomFault(name);
    if (fault) return rejected(fault);
    this.#seen.leaving(name);
    if (this.#rooms.has(name)) this.#forget(this.#rooms.get(name), new WarrenError("closed", `left ${name}`));
    if (this.#atConnect.has(name)) this.#left.add(name);
    return this.state === "open" ? this.#outbox.add(this.#control("LEAVE", name)) : Promise.resolve();
  }

  seen(name, position = this.#rooms.get(name)?.delivered) {
    const fault = roomFault(name);
    if (fault) throw fault;
    const epoch = this.#rooms.get(name)?.position?.epoch;
    if (epoch && position?.seq > 0 && position.epoch === epoch) this.#seen.saw(name, position);
  }

  history(room, { before, limit } = {}) {
    const fault = roomFault(room) ?? this.#isClosed() ?? this.#isFull();
    if (fault) return rejected(fault);
    try {
      return this.#outbox.add(this.#control("HISTORY", room, { before, limit }));
    } catch (unwritten) {
      return rejected(unwritten);
    }
  }

  request(service, payload = null, options = {}) {
    const id = options.id ?? this.#id();
    let text;
    try {
      text = requestText(service, payload, { ...options, id }, this.#options.wall());
    } catch (fault) {
      return rejected(fault);
    }
    if (this.#requests.get(id)) return this.#requests.get(id).promise; // already in flight
    const fault = this.#isClosed(id) ?? this.#isFull(id);
    return fault ? rejected(fault) : this.#requests.ask(id, text, options);
  }

  presence(room) {
    return this.#presence.roster(room);
  }

  contacts(users) {
    return this.#presence.contacts(users, this.state === "open");
  }

  // ── outgoing: everything but messages ────────────────────────────────────────────────────────────────────────────────────

  #isClosed(ref) {
    return this.state === "closed" ? new WarrenError("closed", "the client is closed; call connect() first", { ref }) : null;
  }

  #isFull(ref) {
    const message = `${this.#options.outboxLimit} messages are waiting already (outboxLimit)`;
    return this.#outbox.isFull || this.#requests.isFull ? new WarrenError("outbox_full", message, { ref, retry: true }) : null;
  }

  #id() {
    return `${this.#prefix}-${++this.#count}`;
  }

  #control(type, room, payload) {
    const id = this.#id();
    const text = controlText(type, room, payload, id, this.#options.wall());
    return { id, kind: type, room, build: () => text };
  }

  #joinFor(room) {
    const id = this.#id();
    room.asked = id;
    const build = () => {
      const [asked, presence] = [room.request, this.#presence.joining(room.name)];
      const payload = asked || presence ? { ...asked, presence } : undefined;
      return controlText("JOIN", room.name, payload, id, this.#options.wall());
    };
    return { id, kind: "JOIN", room: room.name, build };
  }

  #tellPresence(room, payload, once) {
    const fault = this.#isClosed() ?? (once ? null : this.#isFull());
    if (fault) return rejected(fault);
    try {
      return this.#outbox.add({ ...this.#control("PRESENCE", room, payload), once });
    } catch (unwritten) {
      return rejected(unwritten);
    }
  }

  #refresh(expiresAt) {
    this.#link.refresh(expiresAt, (token) => this.#outbox.first(this.#control("AUTH", undefined, { token })));
  }

  // ── incoming ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #hear(data) {
    let frame;
    try {
      frame = JSON.parse(data);
      if (typeof frame?.type !== "string") throw new TypeError("no type");
      decode(frame);
      if (frame.type === "HISTORY") frame.payload.messages.forEach(decode);
    } catch (cause) {
      const message = `the server sent an invalid message: ${cause.message}`;
      return this.#listeners.emit("error", new WarrenError("invalid_format", message, { cause }));
    }
    this.#outbox.answered(frame.ref);
    switch (frame.type) {
      case "WELCOME":
        return this.#welcomed(frame);
      case "JOINED":
        this.#joined(frame);
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
      case "ACCEPTED":
        this.#requests.accepted(frame.ref);
        break;
      case "PRESENCE":
        this.#presence.take(frame);
        this.#outbox.settle(frame.ref)?.resolve(frame.payload);
        break;
      case "RECEIPT":
        this.#receipts.told(frame);
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
        if (frame.seq && !this.#isNew(frame)) return;
    }
    this.#hand(frame);
    if (frame.seq || frame.type === "ACK") this.#goOn(this.#rooms.get(frame.room));
    this.#outbox.pump();
  }

  #hand(message) {
    if (message.type === "RESPONSE") this.#requests.answered(message);
    const { room, epoch, seq } = message;
    if (seq && this.#rooms.has(room)) this.#rooms.get(room).delivered = { epoch, seq };
    this.#listeners.hand(message);
  }

  #welcomed(frame) {
    const welcome = (this.#welcome = frame.payload);
    const first = this.#link.manual ? this.#resume() : this.#begin();
    this.#link.manual = true; // from now on we know our rooms and our positions in them
    this.#link.opened(welcome, (sent) => this.#outbox.first({ ...this.#control("PING"), sent }));
    this.#listeners.hand(frame);
    this.#listeners.emit("open", welcome);
    if (this.state !== "open") return; // a listener has closed the client
    this.#outbox.open((text) => this.#link.write(text), welcome.limits, first);
    this.#presence.opened();
    this.#refresh(welcome.expires_at);
    this.#receipts.opened();
  }

  /** The first connection: the server has joined some rooms for us. Return the JOINs to send first. */
  #begin() {
    this.#atConnect = new Set(this.#welcome.rooms);
    const wanted = [...this.#rooms.values()].filter(
      ({ name, waiting }) => !isReserved(name) && (!this.#atConnect.has(name) || waiting.length),
    );
    for (const name of this.#atConnect) if (!this.#left.has(name)) this.#room(name);
    return wanted.map((room) => this.#joinFor(room));
  }

  /** A later connection: return the JOINs for all our rooms, each with our position. */
  #resume() {
    const own = `@${this.#welcome.user}`;
    if (this.#atConnect.size) this.#room(own);
    const isOurs = ({ name }) => !isReserved(name, this.#welcome.user);
    return [...this.#rooms.values()].filter(isOurs).map((room) => this.#joinFor(room));
  }

  #joined(frame) {
    if (this.#left.has(frame.room) || (frame.ref !== undefined && !this.#rooms.has(frame.room))) return;
    const { epoch, seq, recovered, missed } = frame.payload;
    if (frame.room === "*") { // nobody joins this room, so nobody can ask for what was missed there
      return this.#listeners.emit("gap", { room: "*", since: null, position: { epoch, seq } });
    }
    const room = this.#room(frame.room);
    if ((frame.ref ?? null) !== room.asked) return; // only the answer to our own JOIN says what was missed
    const { since } = room;
    const { gap, release } = room.joined(frame.payload);
    if (gap) this.#listeners.emit("gap", { room: room.name, since, position: { epoch, seq } });
    for (const message of release) this.#hand(message);
    this.#presence.joined(frame);
    this.#seen.joined(room.name, epoch);
    const presence = this.#presence.roster(room.name);
    for (const joined of room.waiting.splice(0)) joined.resolve({ room: room.name, epoch, seq, recovered, missed, presence });
    this.#outbox.settle(frame.ref)?.resolve();
    this.#timers.cancel(room.name);
    if (room.lacks) this.#miss(room);
  }

  #isNew(message) {
    const room = this.#rooms.get(message.room);
    if (!room) return true;
    const isOwn = message.sender === this.user && this.#isMine(message.id);
    const verdict = room.take(message, isOwn, this.#outbox.get(message.id)?.resent);
    if (verdict === "repeat") this.#repeats++;
    if (verdict === "early") this.#miss(room);
    if (verdict === "own") this.#goOn(room);
    return verdict === "new";
  }

  /** Whether this client sent the message without asking for a copy. */
  #isMine(id) {
    const entry = this.#outbox.get(id);
    return entry?.kind === "message" ? !entry.echo : this.#mine.has(id);
  }

  /** Messages of a room are missing. Ask for them, unless they are in flight, or may be own messages that are not acknowledged yet. */
  #miss(room) {
    if (room.asked || this.state !== "open" || isReserved(room.name, this.user)) return;
    if ((room.isReplayed || this.#outbox.hasSentTo(room.name)) && !room.isFull) {
      if (!this.#timers.has(room.name)) this.#timers.after(room.name, this.#options.gapMs, () => this.#ask(room));
    } else this.#ask(room);
  }

  #ask(room) {
    this.#timers.cancel(room.name);
    if (room.lacks && this.state === "open" && this.#rooms.get(room.name) === room) this.#outbox.add(this.#joinFor(room));
  }

  /** Deliver the held messages that are now in sequence. */
  #goOn(room) {
    if (!room?.lacks) return;
    for (const message of room.following()) this.#hand(message);
    if (room.lacks) this.#miss(room);
    else this.#timers.cancel(room.name);
  }

  #acked(frame) {
    const entry = this.#outbox.settle(frame.ref);
    if (entry?.kind !== "message") return;
    const { seq, epoch } = frame.payload ?? {};
    if (!entry.echo) {
      this.#mine.add(frame.ref);
      if (this.#mine.size > REMEMBERED) this.#mine.delete(this.#mine.values().next().value);
      this.#rooms.get(frame.room)?.ack({ epoch, seq });
    }
    entry.resolve({ id: frame.ref, room: frame.room, seq, epoch, ...entry.receipt?.promises });
    if (entry.receipt) this.#receipts.acked(entry.receipt, frame.room, seq);
  }

  #wasLeft(frame) {
    const entry = this.#outbox.settle(frame.ref);
    if (entry) return entry.resolve();
    const reason = frame.payload?.reason ?? null;
    if (reason === "unavailable" && this.#rooms.has(frame.room)) {
      // the room is still wanted: the JOIN is postponed while nobody can decide
      this.#presence.stopped(frame.room);
      const room = this.#rooms.get(frame.room);
      if (!room.asked) this.#outbox.add(this.#joinFor(room));
    } else if (this.#rooms.has(frame.room)) {
      const message = `removed from ${frame.room}${reason ? ` (${reason})` : ""}`;
      this.#forget(this.#rooms.get(frame.room), new WarrenError("closed", message));
    }
    if (frame.ref === undefined) this.#listeners.emit("left", { room: frame.room, reason });
  }

  #refused(frame) {
    const { code = "internal", message = "refused", retry = false, close, reconnect } = frame.payload ?? {};
    const retryAfterMs = frame.payload?.retry_after_ms;
    const error = new WarrenError(code, message, { retry, retryAfterMs, ref: frame.ref });
    const isNameless = frame.ref === undefined && close === undefined && NAMELESS.has(code);
    const entry = isNameless ? this.#outbox.accuse(error) : this.#outbox.get(frame.ref);
    if (close !== undefined) Object.assign(this.#link, { advice: reconnect ?? null, words: message, afterMs: retryAfterMs ?? 0 });
    if (entry?.kind === "JOIN" && retry) this.#outbox.postpone(entry, retryAfterMs); // the room is still wanted
    else if (entry && (close === undefined || reconnect === "no")) this.#reject(entry, error);
    this.#seen.refused(frame.ref, error);
    const isTold = TOLD.has(entry?.kind) || code === "cancelled"; // by the promise
    if (!isTold) this.#listeners.emit("error", error);
  }

  /** An entry was refused permanently. */
  #reject(entry, error) {
    error.ref ??= entry.id;
    if (entry.kind === "REQUEST") return this.#requests.refused(entry, error);
    this.#outbox.settle(entry.id)?.reject(error);
    this.#receipts.refused(entry.id);
    if (entry.kind === "JOIN") this.#forget(this.#rooms.get(entry.room), error);
  }

  /** The connection is closed; with `why`, permanently. */
  #down(why) {
    this.#timers.clear();
    this.#requests.down(why);
    this.#presence.disconnect();
    for (const room of this.#rooms.values()) {
      room.disconnect();
      if (why) for (const joined of room.waiting.splice(0)) joined.reject(why);
    }
    this.#seen.down();
    if (why) this.#outbox.close(why);
    else this.#outbox.disconnect();
    this.#receipts.down(why);
  }

  #room(name) {
    if (!this.#rooms.has(name)) this.#rooms.set(name, new RoomPosition(name));
    return this.#rooms.get(name);
  }

  #forget(room, why) {
    if (!room) return;
    this.#rooms.delete(room.name);
    this.#presence.forget(room.name);
    this.#seen.forget(room.name);
    this.#timers.cancel(room.name);
    this.#outbox.settle(room.asked)?.reject(why);
    for (const joined of room.waiting.splice(0)) joined.reject(why);
    for (const message of room.release()) this.#hand(message);
  }
}

/** Whether a client may not join this room by name. The user's own room may be joined. */
function isReserved(room, user) {
  return (room.startsWith("@") && room !== `@${user}`) || room.startsWith("*");
}
