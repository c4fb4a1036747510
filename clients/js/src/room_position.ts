/**
 * The client's position in one room: repeats, gaps, and what JOINED means for them. It decides, and sends nothing.
 */
import type { Deferred } from "./error.js";
import type { JoinedPayload } from "./protocol.js";
import type { Joined, Message, Position } from "./types.js";

const REMEMBERED = 256; // own acknowledged seqs above the position
const HELD = 256; // numbered messages that wait for missing ones before them

/** A message that has its place in a room. */
export type Numbered = Message & Position & { room: string };
export type Verdict = "new" | "repeat" | "held" | "early" | "own";

export class RoomPosition {
  readonly name: string;
  position: Position | null = null; // {epoch, seq}: the last one seen in JOINED or a message
  asked: string | null = null; // the id of the unanswered JOIN
  grant: string | null = null; // the last one that a JOINED brought; the next JOIN shows it
  delivered: Position | null = null; // {epoch, seq}: the last message that was passed on
  last: Joined | null = null; // while we are in
  isKept = false; // by the server, or by join()
  waiting: Deferred<Joined>[] = []; // promises of join() that JOINED settles
  #acked = new Set<number>(); // seqs of own messages, which the server sends only to others
  #held: Numbered[] = []; // numbered messages that can't be delivered yet
  #replayed: Position | null = null; // {epoch, seq}: messages up to here are the replay that a JOIN asked for
  #excused: Position | null = null; // {epoch, seq}: missing seqs up to here are not a gap: DROPPED announced them, or they have expired
  #echoes = false; // the server sends own messages back in this room

  constructor(name: string) {
    this.name = name;
  }

  /** The position to resume from: the last one seen, plus own messages that follow it without a gap. */
  get since(): Position | null {
    if (!this.position || this.#echoes) return this.position;
    return { epoch: this.position.epoch, seq: this.#skip(this.position.seq) };
  }

  /** The payload of a JOIN: what the server needs to know to let us in again, and to send what we missed. */
  get request(): { since?: Position | undefined; grant?: string | undefined } | undefined {
    if (!this.since && !this.grant) return undefined;
    return { since: this.since ?? undefined, grant: this.grant ?? undefined };
  }

  /** Whether messages wait for missing ones before them. */
  get lacks(): boolean {
    return this.#held.length > 0 && !this.asked;
  }

  /** Whether a replay is in progress, so that missing messages may be on their way. */
  get isReplayed(): boolean {
    return this.#replayed !== null && this.position !== null && this.position.seq < this.#replayed.seq;
  }

  /** Whether no further message can wait. */
  get isFull(): boolean {
    return this.#held.length >= HELD;
  }

  /** The connection is closed: nothing more arrives on it, and held messages will be sent again. */
  disconnect(): void {
    this.asked = this.last = null;
    this.#held = [];
    this.#replayed = null;
  }

  /** An own message got its seq. */
  ack({ epoch, seq }: { epoch?: string; seq?: number }): void {
    if (!seq || this.position?.epoch !== epoch || seq <= this.position!.seq) return;
    this.#acked.add(seq);
    if (this.#acked.size > REMEMBERED) this.#acked.delete(this.#acked.values().next().value!);
  }

  /** The server has withheld messages up to this seq, because the client reads too slowly. */
  withheld(seq: number): void {
    if (this.position) this.#excuse({ epoch: this.position.epoch, seq });
  }

  /**
   * Take a numbered message. Returns "new" (deliver it), "repeat" (seen already), "held" (until JOINED), "early" (held, because one
   * before it is missing) or "own" (this client sent it). `isOwn`: this client sent it without asking for a copy; `isResent`: on more
   * than one connection.
   */
  take(message: Numbered, isOwn: boolean, isResent = false): Verdict {
    if (this.#has(message)) return "repeat";
    const replay = this.#replayed?.epoch === message.epoch && message.seq <= this.#replayed!.seq;
    if (this.#replayed && !this.asked) {
      // messages come in order: those that a replay omits have expired, and one from after the replay ends it
      this.#excuse({ epoch: message.epoch, seq: replay ? message.seq - 1 : this.#replayed.seq });
      if (!replay) this.#replayed = null;
    }
    if (this.position && (this.asked || !this.#follows(message))) {
      this.#held.push(message);
      if (this.#held.length > HELD) this.#held.shift(); // the rest then closes no gap, and the gap is reported
      return this.asked ? "held" : "early";
    }
    this.#see(message);
    if (isOwn && !replay && !isResent) this.#echoes = true;
    return isOwn && !this.#echoes ? "own" : "new";
  }

  /** Remove and return the held messages that are now in sequence. */
  following(): Numbered[] {
    const found: Numbered[] = [];
    while (!this.asked && this.#held.length) {
      const message = this.#held[0]!;
      if (!this.#has(message)) {
        if (!this.#follows(message)) break;
        this.#see(message);
        found.push(message);
      }
      this.#held.shift();
    }
    return found;
  }

  /** Apply JOINED. `gap`: messages were lost; `release`: held messages to deliver now, in order. */
  joined({ epoch, seq, recovered, missed = 0, grant }: JoinedPayload): { gap: boolean; release: Numbered[] } {
    if (grant) this.grant = grant;
    const since = this.since;
    const held = this.#held;
    this.disconnect();
    if (recovered) {
      // the missed messages come next, including most held ones; later held ones wait
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

  /** Remove and return all held messages, because the JOIN was refused. */
  release(): Numbered[] {
    const held = this.#held;
    this.disconnect();
    for (const message of held) this.#see(message);
    return held;
  }

  #has({ epoch, seq }: Position): boolean {
    return this.position?.epoch === epoch && seq <= this.position.seq;
  }

  #see({ epoch, seq }: Position): void {
    if (this.position?.epoch !== epoch) {
      this.#acked.clear();
      this.#excused = null;
    }
    for (const acked of this.#acked) if (acked <= seq) this.#acked.delete(acked);
    this.position = { epoch, seq };
  }

  /** The last seq of the own messages that follow `seq` without a gap. */
  #skip(seq: number): number {
    while (this.#acked.has(seq + 1)) seq++;
    return seq;
  }

  /** Whether no message is missing between the position and this one. */
  #follows({ epoch, seq }: Position): boolean {
    if (epoch !== this.position?.epoch) return false;
    const excused = this.#excused?.seq ?? 0;
    return seq <= this.#skip(Math.max(this.#skip(this.position.seq), excused)) + 1;
  }

  #excuse({ epoch, seq }: Position): void {
    if (this.#excused?.epoch !== epoch || this.#excused.seq < seq) this.#excused = { epoch, seq };
  }

  /** Whether held and own messages lead from `since` to `position` without a gap. */
  #bridges(since: Position, held: Numbered[], position: Position): boolean {
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
