/** Fakes for tests: a clock, a WebSocket, and a client that uses them. */
import { WarrenClient } from "../warren.js";

/** A clock that only moves when told to. */
export class FakeClock {
  time = 0;
  epoch = 1_764_000_000_000;
  #timers = new Map();
  #count = 0;

  options() {
    return {
      now: () => this.time,
      wall: () => this.epoch + this.time,
      setTimeout: (then, ms) => {
        this.#timers.set(++this.#count, { at: this.time + ms, then });
        return this.#count;
      },
      clearTimeout: (timer) => this.#timers.delete(timer),
    };
  }

  get pending() {
    return this.#timers.size;
  }

  /** Advance by `ms`: each timer fires at its own time, and its promises settle before the next one fires. */
  async pass(ms) {
    const end = this.time + ms;
    for (;;) {
      await settled();
      const [timer, next] = [...this.#timers].sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
      if (!next || next.at > end) break;
      this.#timers.delete(timer);
      this.time = next.at;
      next.then();
    }
    this.time = end;
    await settled();
  }
}

/** Wait until every promise that can settle has settled. */
export async function settled() {
  for (let turn = 0; turn < 20; turn++) await null;
}

/** A WebSocket whose server is the test itself. */
export class FakeSocket {
  static all = [];
  sent = [];
  closed = null;

  constructor(url, protocols) {
    Object.assign(this, { url: new URL(url), protocols });
    FakeSocket.all.push(this);
  }

  send(text) {
    if (this.closed) throw new Error("the socket is closed");
    this.sent.push(JSON.parse(text));
  }

  close(code, reason) {
    this.closed ??= { code, reason };
  }

  /** The server sends a frame. */
  say(frame) {
    this.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }

  /** The server or the network closes the connection. */
  drop(code = 1006, reason = "") {
    this.closed ??= { code, reason };
    this.onclose?.({ code, reason });
  }

  welcome(payload = {}) {
    const standard = { connection: "g1~1", user: "ann", heartbeat_ms: 30_000, rooms: [], limits: {}, expires_at: null };
    this.say({ type: "WELCOME", payload: { ...standard, ...payload } });
  }

  /** The frames of this type that were sent. */
  of(type) {
    return this.sent.filter((frame) => frame.type === type);
  }

  get last() {
    return this.sent.at(-1);
  }

  /** Answer the last JOIN for a room. */
  joined(room, payload) {
    const ref = this.of("JOIN").findLast((frame) => frame.room === room)?.id;
    this.say({ type: "JOINED", room, ref, payload: { epoch: "e1", seq: 0, recovered: false, missed: 0, ...payload } });
  }

  presence(room, payload, ref) {
    const standard = { version: 1, count: { users: 1, connections: 1 }, digest: "0000000000000000" };
    this.say({ type: "PRESENCE", room, ref, payload: { ...standard, ...payload } });
  }

  chat(room, seq, more = {}) {
    this.say({ type: "CHAT", room, seq, epoch: "e1", payload: `m${seq}`, sender: "bob", version: "1.0", ...more });
  }

  ack(frame, payload = {}) {
    this.say({ type: "ACK", ref: frame.id, room: frame.room, payload });
  }
}

/** A client on fakes, and everything that it reported. By default `random` is 0.5: half of each back-off. */
export function scene(options = {}) {
  FakeSocket.all = [];
  const clock = new FakeClock();
  const client = new WarrenClient("ws://warren.test/ws", {
    WebSocket: FakeSocket,
    random: () => 0.5,
    fetch: async () => {
      throw new TypeError("there is no network here");
    },
    ...clock.options(),
    ...options,
  });
  const log = { states: [], errors: [], closes: [], gaps: [], chats: [], all: [] };
  client.on("state", (state) => log.states.push(state));
  client.on("error", (error) => log.errors.push(error));
  client.on("close", (close) => log.closes.push(close));
  client.on("gap", (gap) => log.gaps.push(gap));
  client.on("CHAT", (message) => log.chats.push(message.payload));
  client.on("*", (message) => log.all.push(message));
  return {
    client,
    clock,
    log,
    get socket() {
      return FakeSocket.all.at(-1);
    },
    get sockets() {
      return FakeSocket.all;
    },
    /** Connect and receive WELCOME. */
    async open(welcome) {
      client.connect();
      await settled();
      FakeSocket.all.at(-1).welcome(welcome);
      await settled();
      return FakeSocket.all.at(-1);
    },
    /** Lose the connection, wait for the next one and receive WELCOME. */
    async again(welcome, code) {
      FakeSocket.all.at(-1).drop(code);
      const before = FakeSocket.all.length;
      while (FakeSocket.all.length === before) await clock.pass(500);
      FakeSocket.all.at(-1).welcome(welcome);
      await settled();
      return FakeSocket.all.at(-1);
    },
  };
}
