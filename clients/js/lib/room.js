/**
 * How far the client has got in one room: positions, repeats, gaps, and what a JOIN's answer means. It decides, and sends
 * nothing. Part of warren.js.
 */

const REMEMBERED = 256; // own acknowledged seqs after the position
const HELD = 256; // numbered messages that wait for what is missing before them

export class Room {
  position = null; // {epoch, seq}, the last that was seen, from JOINED and from messages
  asked = null; // the id of the JOIN under way
  waiting = []; // the promises of join() that its answer settles
  #acked = new Set(); // seqs of own messages, which the server sends to the others alone
  #held = []; // numbered messages that can't be handed on yet
  #replayed = null; // {epoch, seq}: up to here it is a replay, asked for by a JOIN
  #excused = null; // {epoch, seq}: up to here a missing seq is no gap: it was withheld, and we were told, or has expired
  #echoes = false; // the server sends own messages back here

  constructor(name) {
    this.name = name;
  }

  /** The position to come back with: the last seen, and own messages that follow it without a gap. */
  get since() {
    if (!this.position || this.#echoes) return this.position;
    return { epoch: this.position.epoch, seq: this.#skip(this.position.seq) };
  }

  /** Whether messages wait for what is missing before them. */
  get lacks() {
    return this.#held.length > 0 && !this.asked;
  }

  /** Whether a replay is under way, so that what is missing may be on its way. */
  get isReplayed() {
    return this.#replayed !== null && this.position.seq < this.#replayed.seq;
  }

  /** Whether no more messages can wait. */
  get isFull() {
    return this.#held.length >= HELD;
  }

  /** The connection is gone: what was under way on it never comes, and what is held comes again. */
  disconnect() {
    this.asked = null;
    this.#held = [];
    this.#replayed = null;
  }

  /** An own message was numbered. */
  ack({ epoch, seq }) {
    if (!seq || this.position?.epoch !== epoch || seq <= this.position.seq) return;
    this.#acked.add(seq);
    if (this.#acked.size > REMEMBERED) this.#acked.delete(this.#acked.values().next().value);
  }

  /** The server has withheld messages up to this seq, for we read too slowly. */
  withheld(seq) {
    if (this.position) this.#excuse({ epoch: this.position.epoch, seq });
  }

  /**
   * Take a numbered message: "new" (hand it on), "repeat" (seen already), "held" (until the JOIN is answered), "early" (held,
   * for something before it is missing) or "own" (what this client sent itself; `isOwn` says that it did and did not ask for a copy,
   * `isResent` that it did so on more than one connection).
   */
  take(message, isOwn, isResent = false) {
    if (this.#has(message)) return "repeat";
    const replay = this.#replayed?.epoch === message.epoch && message.seq <= this.#replayed.seq;
    if (this.#replayed && !this.asked) {
      // they come in order, so what a replay leaves out has expired; and what comes behind it says that it is over
      this.#excuse({ epoch: message.epoch, seq: replay ? message.seq - 1 : this.#replayed.seq });
      if (!replay) this.#replayed = null;
    }
    if (this.position && (this.asked || !this.#follows(message))) {
      this.#held.push(message);
      if (this.#held.length > HELD) this.#held.shift(); // then the rest bridges nothing, and the gap is told
      return this.asked ? "held" : "early";
    }
    this.#see(message);
    if (isOwn && !replay && !isResent) this.#echoes = true;
    return isOwn && !this.#echoes ? "own" : "new";
  }

  /** Take out what was held and now follows, in order. */
  following() {
    const found = [];
    while (!this.asked && this.#held.length) {
      const [message] = this.#held;
      if (!this.#has(message)) {
        if (!this.#follows(message)) break;
        this.#see(message);
        found.push(message);
      }
      this.#held.shift();
    }
    return found;
  }

  /** Take JOINED: `gap` says whether messages were lost, `release` are those to hand on now, in order. */
  joined({ epoch, seq, recovered, missed = 0 }) {
    const [since, held] = [this.since, this.#held];
    this.disconnect();
    if (recovered) {
      // what was missed comes next, with most of what is held; what is behind that waits for it
      this.#see({ epoch, seq });
      this.#replayed = { epoch, seq: seq + missed };
      this.#held = held.filter((message) => message.epoch === epoch && message.seq > seq + missed);
      return { gap: false, release: missed ? [] : this.following() };
    }
    const gap = since !== null && !this.#bridges(since, held, { epoch, seq });
    const release = held.filter((message) => message.epoch === epoch || message.epoch === since?.epoch);
    for (const message of release) this.#see(message);
    if (!this.#has({ epoch, seq })) this.#see({ epoch, seq });
    return { gap, release };
  }

  /** What is still held when the JOIN was refused. */
  release() {
    const held = this.#held;
    this.disconnect();
    for (const message of held) this.#see(message);
    return held;
  }

  #has({ epoch, seq }) {
    return this.position?.epoch === epoch && seq <= this.position.seq;
  }

  #see({ epoch, seq }) {
    if (this.position?.epoch !== epoch) {
      this.#acked.clear();
      this.#excused = null;
    }
    for (const acked of this.#acked) if (acked <= seq) this.#acked.delete(acked);
    this.position = { epoch, seq };
  }

  /** The last seq of own messages that follow `seq` without a gap. */
  #skip(seq) {
    while (this.#acked.has(seq + 1)) seq++;
    return seq;
  }

  /** Whether nothing is missing between the position and this message. */
  #follows({ epoch, seq }) {
    if (epoch !== this.position.epoch) return false;
    const excused = this.#excused?.seq ?? 0;
    return seq <= this.#skip(Math.max(this.#skip(this.position.seq), excused)) + 1;
  }

  #excuse({ epoch, seq }) {
    if (this.#excused?.epoch !== epoch || this.#excused.seq < seq) this.#excused = { epoch, seq };
  }

  /** Whether what is held, and own messages, lead from `since` to `position` without a step missing. */
  #bridges(since, held, position) {
    if (since.epoch !== position.epoch) return false;
    let seq = since.seq;
    for (const message of held) {
      if (message.epoch !== position.epoch) return false;
      if (message.seq === seq + 1) seq++;
      seq = this.#skip(seq);
    }
    return seq >= position.seq;
  }
}
