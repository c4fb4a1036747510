/**
 * How far the client has got in one room: positions, repeats, and what a JOIN's answer means. It decides, and sends
 * nothing. Part of warren.js.
 */

const REMEMBERED = 256; // own acknowledged seqs after the position
const HELD = 256; // numbered messages that wait for the answer to a JOIN

export class Room {
  position = null; // {epoch, seq}, the last that was seen, from JOINED and from messages
  asked = null; // the id of the JOIN under way
  waiting = []; // the promises of join() that its answer settles
  #acked = new Set(); // seqs of own messages, which the server sends to the others alone
  #held = []; // numbered messages that came while a JOIN is under way
  #missed = 0; // how many messages of a replay are still to come
  #echoes = false; // the server sends own messages back here

  constructor(name) {
    this.name = name;
  }

  /** The position to come back with: the last seen, and own messages that follow it without a gap. */
  get since() {
    if (!this.position) return null;
    let { epoch, seq } = this.position;
    while (this.#acked.has(seq + 1)) seq++;
    return { epoch, seq };
  }

  /** The connection is gone: what was under way on it never comes. */
  disconnect() {
    this.asked = null;
    this.#held = [];
    this.#missed = 0;
  }

  /** An own message was numbered. */
  ack({ epoch, seq }) {
    if (this.#echoes || !seq || this.position?.epoch !== epoch || seq <= this.position.seq) return;
    this.#acked.add(seq);
    if (this.#acked.size > REMEMBERED) this.#acked.delete(this.#acked.values().next().value);
  }

  /**
   * Take a numbered message: "new" (hand it on), "repeat" (seen already), "held" (until the JOIN is answered) or "own"
   * (a replay of what this client sent itself; `isOwn` says that it did and did not ask for a copy).
   */
  take(message, isOwn) {
    const replay = this.#missed > 0;
    if (replay) this.#missed--;
    if (this.#has(message)) return "repeat";
    if (this.asked && this.position) {
      this.#held.push(message);
      if (this.#held.length > HELD) this.#held.shift(); // then the rest bridges nothing, and the gap is told
      return "held";
    }
    this.#see(message);
    if (isOwn && !replay) this.#echoes = true;
    return replay && isOwn && !this.#echoes ? "own" : "new";
  }

  /** Take JOINED: `gap` says whether messages were lost, `release` are those to hand on now, in order. */
  joined({ epoch, seq, recovered, missed = 0 }) {
    const [since, held] = [this.since, this.#held];
    this.disconnect();
    if (recovered) {
      // what was missed comes next, and again whatever was held
      this.#missed = missed;
      this.#see(missed ? (since ?? { epoch, seq: seq - missed }) : { epoch, seq });
      return { gap: false, release: [] };
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
    if (this.position?.epoch !== epoch) this.#acked.clear();
    this.position = { epoch, seq };
  }

  /** Whether what is held, and own messages, lead from `since` to `position` without a step missing. */
  #bridges(since, held, position) {
    if (since.epoch !== position.epoch) return false;
    let seq = since.seq;
    for (const message of held) {
      if (message.epoch !== position.epoch) return false;
      if (message.seq === seq + 1) seq++;
      while (this.#acked.has(seq + 1)) seq++;
    }
    return seq >= position.seq;
  }
}
