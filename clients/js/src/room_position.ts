/**
 * The client's position in one room: repeats, gaps, and what JOINED means for them. It decides, and sends nothing.
 */
import type { Deferred } from "./error.js";
import type { JoinedPayload } from "./protocol.js";
import type { Gap, Joined, Message, Position } from "./types.js";

const REMEMBERED = 256; // own acknowledged seqs above the position, or ids to recognise own messages by when a room is replayed
const HELD = 256; // numbered messages that wait for missing ones before them

/** A message that has its place in a room. */
export type Numbered = Message & Position & { room: string };
export type Found = (Numbered | Gap)[];
export type Verdict = "new" | "repeat" | "held" | "own";

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
    return this.#replayed !== null && !has(this.position, this.#replayed);
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
    remember(this.#acked, seq);
  }

  /** The server has withheld messages up to this seq, because the client reads too slowly. */
  withheld(seq: number): void {
    if (this.position) this.#excuse({ epoch: this.position.epoch, seq });
  }

  /**
   * Take a numbered message. Returns "new" (deliver it), "repeat" (seen already), "held" (until JOINED, or because one before it is
   * missing) or "own" (this client sent it). `isOwn`: this client sent it without asking for a copy; `isResent`: on more than one
   * connection.
   */
  take(message: Numbered, isOwn: boolean, isResent = false): Verdict {
    if (has(this.position, message)) return "repeat";
    const replay = has(this.#replayed, message);
    if (this.#replayed && !this.asked) {
      // messages come in order: those that a replay omits have expired, and one from after the replay ends it
      this.#excuse({ epoch: message.epoch, seq: replay ? message.seq - 1 : this.#replayed.seq });
      if (!replay) this.#replayed = null;
    }
    if (this.position && (this.asked || !this.#follows(message))) {
      if (isOwn && replay && !this.#echoes) this.ack(message);
      else this.#held.push(message);
      if (this.#held.length > HELD) this.#held.shift(); // the rest then closes no gap, and the gap is reported
      return "held";
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
      if (!has(this.position, message)) {
        if (!this.#follows(message)) break;
        this.#see(message);
        found.push(message);
      }
      this.#held.shift();
    }
    return found;
  }

  /** Apply JOINED. Returns the held messages to deliver now, and the gaps where others are lost, in order. */
  joined({ epoch, seq, recovered, missed = 0, grant }: JoinedPayload): Found {
    if (grant) this.grant = grant;
    const held = this.#held;
    const end = { epoch, seq: seq + missed };
    this.disconnect();
    const found = recovered ? [] : this.#close(held, end);
    // if it is recovered, the missed messages come next, including most held ones
    if (recovered) this.#see({ epoch, seq });
    this.#replayed = end;
    this.#held = held.filter((message) => message.epoch === epoch && message.seq > end.seq); // these wait
    return missed ? found : [...found, ...this.following()];
  }

  /**
   * Take another JOINED for a JOIN that was sent twice: the replay begins anew, or there is none any more. Returns whether nothing is lost
   * by that.
   */
  again({ epoch, seq, recovered, missed = 0 }: JoinedPayload): boolean {
    const { since } = this;
    const isKnown = since?.epoch === epoch && (recovered || seq <= since.seq);
    this.#replayed = isKnown ? { epoch, seq: seq + missed } : null;
    return isKnown;
  }

  /** Remove and return all held messages, and the gaps between them, because the JOIN was refused. */
  release(): Found {
    const held = this.#held;
    this.disconnect();
    return held.length ? this.#close(held, held.at(-1)!) : [];
  }

  /** Nothing up to `end` comes any more: return what is held, and the gaps before, between and after, in order. */
  #close(held: Numbered[], end: Position): Found {
    const found: Found = [];
    const reach = ({ epoch, seq }: Position) => {
      if (has(this.position, { epoch, seq })) return;
      const { since } = this;
      if (since && !this.#follows({ epoch, seq: seq + 1 })) found.push({ room: this.name, since, position: { epoch, seq } });
      this.#see({ epoch, seq });
    };
    for (const message of held) {
      const { epoch, seq } = message;
      const isDue = epoch === end.epoch ? seq <= end.seq : epoch === this.position?.epoch;
      if (!isDue || has(this.position, message)) continue;
      reach({ epoch, seq: seq - 1 });
      this.#see(message);
      found.push(message);
    }
    reach(end);
    return found;
  }

  #see({ epoch, seq }: Position): void {
    if (has(this.position, { epoch, seq })) return;
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

  #excuse(upTo: Position): void {
    if (!has(this.#excused, upTo)) this.#excused = upTo;
  }
}

/** Add to a set that is bounded: the oldest goes. */
export function remember<Value>(all: Set<Value>, value: Value): void {
  all.add(value);
  if (all.size > REMEMBERED) all.delete(all.values().next().value!);
}

/** Whether a position of the same epoch is not above `upTo`. */
function has(upTo: Position | null, { epoch, seq }: Position): boolean {
  return upTo?.epoch === epoch && seq <= upTo.seq;
}
