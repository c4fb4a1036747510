/** A gateway in memory, as far as clients notice: rooms with numbered messages, resume, own copies, ids that count once, a rate. */
export class FakeGateway {
  rooms = new Map(); // name ▶ {log, members: Set of connections, ids: Map}
  connections = [];
  received = []; // {connection, frame}
  tooFast = 0;
  rate = 0;
  perMs = 0;
  defaults = [];

  /** The client's option `transport`. */
  transport = (dial) => new Connection(this, dial);

  get open() {
    return this.connections.filter(({ isOpen }) => isOpen);
  }

  room(name) {
    if (!this.rooms.has(name)) this.rooms.set(name, { epoch: "e1", log: [], members: new Set(), ids: new Map() });
    return this.rooms.get(name);
  }

  /** All that was ever said in a room, as payloads. */
  said(name) {
    return this.room(name).log.map(({ payload }) => payload);
  }

  publish(name, frame, connection) {
    const room = this.room(name);
    const known = room.ids.get(frame.id);
    if (known) return known;
    const user = connection?.user;
    const message = { type: frame.type, room: name, payload: frame.payload, id: frame.id, sender: user, epoch: room.epoch, seq: room.log.length + 1, version: "1.0" };
    room.log.push(message);
    if (frame.id) room.ids.set(frame.id, message);
    for (const member of room.members) if (member !== connection || frame.include_sender) member.say(message);
    return message;
  }
}

let count = 0;

class Connection {
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;
  isOpen = true;
  watched = new Set();
  #said = [];
  #times = [];

  constructor(gateway, dial) {
    Object.assign(this, { gateway, dial, user: dial.user ?? "ann", name: `g1~${++count}` });
    gateway.connections.push(this);
    setImmediate(() => {
      if (!this.isOpen) return;
      const rooms = dial.manual ? [] : [...gateway.defaults, `@${this.user}`];
      const limits = { rate: gateway.rate, rate_per_ms: gateway.perMs };
      this.say({ type: "WELCOME", payload: { connection: this.name, user: this.user, heartbeat_ms: 30_000, rooms, limits, expires_at: null } });
      for (const room of rooms) this.#join({ room });
    });
  }

  say(frame) {
    this.#said.push(JSON.stringify(frame));
    // one after the other, as a socket does it
    setImmediate(() => {
      const data = this.#said.shift();
      if (this.isOpen) this.onmessage?.({ data });
    });
  }

  send(text) {
    if (!this.isOpen) return;
    setImmediate(() => this.isOpen && this.#take(JSON.parse(text)));
  }

  close() {
    this.#end();
  }

  /** The connection is lost. */
  drop(code = 1006, reason = "") {
    if (!this.isOpen) return;
    this.#end();
    this.onclose?.({ code, reason });
  }

  #end() {
    this.isOpen = false;
    for (const { members } of this.gateway.rooms.values()) members.delete(this);
  }

  #take(frame) {
    const { gateway } = this;
    const now = performance.now();
    gateway.received.push({ connection: this, frame });
    this.#times = [...this.#times.filter((at) => at > now - gateway.perMs), now];
    if (gateway.rate && this.#times.length > gateway.rate) gateway.tooFast++;
    const { type, id, room } = frame;
    if (type === "JOIN") return this.#join(frame);
    if (type === "LEAVE") {
      gateway.room(room).members.delete(this);
      return this.say({ type: "LEFT", room, ref: id });
    }
    if (type === "PING") return this.say({ type: "PONG", ref: id, payload: null });
    if (type === "PRESENCE") {
      for (const user of frame.payload.watch ?? []) this.watched.add(user);
      for (const user of frame.payload.unwatch ?? []) this.watched.delete(user);
      return this.say({ type: "PRESENCE", ref: id, payload: { watching: true } });
    }
    if (type === "HISTORY") {
      return this.say({ type: "HISTORY", room, ref: id, payload: { messages: gateway.room(room).log.slice(-50), more: false } });
    }
    if (gateway.refuses?.(frame)) return this.say({ type: "ERROR", ref: id, payload: { code: "forbidden", message: "no", retry: false } });
    const { seq, epoch } = gateway.publish(room, frame, this);
    if (id && !gateway.isMute) this.say({ type: "ACK", ref: id, room, payload: { seq, epoch } });
  }

  #join({ room: name, id, payload }) {
    const { gateway } = this;
    if (gateway.loses?.({ id, room: name })) return;
    if (gateway.forbids?.(name)) return this.say({ type: "ERROR", ref: id, payload: { code: "forbidden", message: "no", retry: false } });
    const room = gateway.room(name);
    room.members.add(this);
    const { since } = payload ?? {};
    const isKnown = since?.epoch === room.epoch && since.seq <= room.log.length;
    const missed = isKnown ? room.log.slice(since.seq) : [];
    const at = isKnown ? since : { epoch: room.epoch, seq: room.log.length };
    this.say({ type: "JOINED", room: name, ref: id, payload: { ...at, recovered: isKnown, missed: missed.length } });
    for (const message of missed) this.say(message);
  }
}
