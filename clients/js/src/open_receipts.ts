/**
 * The messages of which this client wants to know what becomes of them, until it is told or gives up: then their receipts say
 * `complete: false`. What is open when the connection is lost, or what the server has no place for, is asked by sending the message again:
 * its id makes that harmless. Bounded: so many are asked for at a time, kept in all, and kept as text.
 */
import { withReceipt } from "./encode.js";
import { deferred, type Deferred } from "./error.js";
import type { Waiting } from "./outbox.js";
import type { Host } from "./parts.js";
import type { ClientReceiptPayload } from "./protocol.js";
import { Timers } from "./timers.js";
import type { Receipt } from "./types.js";

type Level = Receipt["level"];

const ASKED = 32; // the server takes no more of one connection
const KEPT = 100;
const KEPT_LENGTH = 256 * 1024; // of all texts that may be sent again
const WAIT_MS = { written: 45_000, seen: 75_000 }; // the server's own time-out comes first, unless it knows nothing of receipts
const AGAIN_MS = 60_000; // after its ACK: later the server may have forgotten the id, and take the message for a new one
const LEVELS: Record<Level, Level[]> = { written: ["written"], seen: ["written", "seen"] };

/** What an outbox entry has of a receipt that is wanted. */
export interface Asked {
  build: () => string;
  promises: Record<string, Promise<Receipt>>;
  record: Wanted;
}

/** A message of which something is still to be told. */
interface Wanted {
  id: string;
  room: string | null;
  level: Level;
  text: string | null;
  waiting: Map<Level, Deferred<Receipt>>;
  isAsked: boolean;
  ackedAt: number | null;
}

export class Receipts {
  #open = new Map<string, Wanted>();
  #isOpen = false; // the connection
  #timers: Timers;
  #host: Host;

  constructor(host: Host) {
    this.#host = host;
    this.#timers = new Timers(host.options);
  }

  /** Want a receipt of a message. Returns what its outbox entry needs: `build`, and promises by level. */
  want(id: string, room: string | null, level: Level, text: string): Asked {
    this.#end(this.#open.get(id));
    const waiting = new Map(LEVELS[level].map((each) => [each, deferred<Receipt>()] as const));
    const promises = Object.fromEntries([...waiting].map(([each, { promise }]) => [each, promise]));
    const record: Wanted = { id, room, level, text, waiting, isAsked: false, ackedAt: null };
    const length = [...this.#open.values()].reduce((sum, each) => sum + (each.text?.length ?? 0), text.length);
    if (length > KEPT_LENGTH) record.text = null;
    if (this.#open.size < KEPT) this.#open.set(id, record);
    return { promises, build: () => (this.#ask(record) ? withReceipt(text, level) : text), record };
  }

  /** The message is accepted; `seq` is missing if it is not numbered. */
  acked({ receipt }: Waiting, room: string, seq: number | undefined): void {
    if (!receipt) return;
    const { record } = receipt;
    Object.assign(record, { room, ackedAt: this.#host.options.wall() });
    if (seq === undefined) record.text = null; // sent again, it would be another message
    if (this.#open.get(record.id) !== record) return this.#giveUp(record);
    this.#wait(record);
    this.#next();
  }

  /** A RECEIPT has arrived. */
  told({ ref, payload }: { ref: string; payload: ClientReceiptPayload }): void {
    const record = this.#open.get(ref);
    if (!record?.waiting.has(payload.level)) return;
    for (const level of [...record.waiting.keys()]) {
      // a message that all have seen is written, and of another one that is not known if it was not told
      this.#tell(record, level === payload.level ? payload : { level, complete: payload.complete });
      if (level === payload.level) break;
    }
    if (record.waiting.size === 0) this.#end(record);
  }

  /** The message was refused, or the question that was sent again. */
  refused(id: string): void {
    this.#end(this.#open.get(id));
  }

  /** A new connection: ask again. */
  opened(): void {
    this.#isOpen = true;
    this.#next();
  }

  /** The connection is closed; with `why`, permanently. */
  down(why?: unknown): void {
    this.#isOpen = false;
    for (const record of [...this.#open.values()]) {
      record.isAsked = false;
      if (why || (record.ackedAt !== null && record.text === null)) this.#end(record);
    }
  }

  /** Ask for what is not asked yet, as far as the server has a place for it. */
  #next(): void {
    for (const record of [...this.#open.values()]) {
      const { id, room, level, text, ackedAt, isAsked } = record;
      if (!this.#isOpen || isAsked || ackedAt === null || this.#open.get(id) !== record) continue;
      if (text === null || this.#host.options.wall() - ackedAt > AGAIN_MS) this.#end(record);
      else if (this.#ask(record)) {
        this.#wait(record);
        this.#host.outbox.add({ id, kind: "RECEIPT", room, build: () => withReceipt(text, level), once: true, yields: true });
      }
    }
  }

  /** Whether the server has a place for this one. */
  #ask(record: Wanted): boolean {
    if (this.#open.get(record.id) !== record) return false;
    if (!record.isAsked) record.isAsked = [...this.#open.values()].filter(({ isAsked }) => isAsked).length < ASKED;
    return record.isAsked;
  }

  #wait(record: Wanted): void {
    this.#timers.after(record.id, WAIT_MS[record.level], () => this.#end(record));
  }

  /** Wait for nothing more of a message. */
  #end(record: Wanted | undefined): void {
    if (!record || this.#open.get(record.id) !== record) return;
    this.#open.delete(record.id);
    this.#timers.cancel(record.id);
    if (this.#host.outbox.get(record.id)?.kind === "RECEIPT") this.#host.outbox.settle(record.id);
    if (record.ackedAt !== null) this.#giveUp(record); // otherwise nobody has the promises
    this.#next();
  }

  #giveUp(record: Wanted): void {
    for (const level of [...record.waiting.keys()]) this.#tell(record, { level, complete: false });
  }

  #tell(record: Wanted, { level, complete, readers, seen }: ClientReceiptPayload): void {
    const receipt: Receipt = { id: record.id, room: record.room!, level, complete };
    if (readers !== undefined) Object.assign(receipt, { readers, seen });
    record.waiting.get(level)!.resolve(receipt);
    record.waiting.delete(level);
    this.#host.emit("receipt", receipt); // after its promise
  }
}
