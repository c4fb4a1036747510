/**
 * The messages of which this client wants to know what becomes of them, until it is told or gives up: then their receipts say
 * `complete: false`. What is open when the connection is lost, or what the server has no place for, is asked by sending the message again:
 * its id makes that harmless. Bounded: so many are asked for at a time, kept in all, and kept as text. Part of warren.js.
 */
import { withReceipt } from "./encode.js";
import { deferred } from "./error.js";
import { Timers } from "./timers.js";

const ASKED = 32; // the server takes no more of one connection
const KEPT = 100;
const KEPT_LENGTH = 256 * 1024; // of all texts that may be sent again
const WAIT_MS = { written: 45_000, seen: 75_000 }; // the server's own time-out comes first, unless it knows nothing of receipts
const AGAIN_MS = 60_000; // after its ACK: later the server may have forgotten the id, and take the message for a new one
const LEVELS = { written: ["written"], seen: ["written", "seen"] };

export class Receipts {
  #open = new Map(); // id ▶ {id, room, level, text, waiting: level ▶ deferred, isAsked, ackedAt}
  #isOpen = false; // the connection
  #timers;
  #options;
  #outbox;
  #report;

  /** `report(receipt)` is called for each receipt, after its promise is resolved. */
  constructor(options, outbox, report) {
    this.#options = options;
    this.#outbox = outbox;
    this.#report = report;
    this.#timers = new Timers(options);
  }

  /** Want a receipt of a message. Returns what its outbox entry needs: `build`, and `promises` by level. */
  want(id, room, level, text) {
    this.#end(this.#open.get(id));
    const waiting = new Map(LEVELS[level].map((each) => [each, deferred()]));
    const promises = Object.fromEntries([...waiting].map(([each, { promise }]) => [each, promise]));
    const record = { id, room, level, text, waiting, isAsked: false, ackedAt: null };
    const length = [...this.#open.values()].reduce((sum, each) => sum + (each.text?.length ?? 0), text.length);
    if (length > KEPT_LENGTH) record.text = null;
    if (this.#open.size < KEPT) this.#open.set(id, record);
    return { promises, build: () => (this.#ask(record) ? withReceipt(text, level) : text), record };
  }

  /** The message is accepted; `seq` is missing if it is not numbered. */
  acked({ record }, room, seq) {
    Object.assign(record, { room, ackedAt: this.#options.wall() });
    if (seq === undefined) record.text = null; // sent again, it would be another message
    if (this.#open.get(record.id) !== record) return this.#giveUp(record);
    this.#wait(record);
    this.#next();
  }

  /** A RECEIPT has arrived. */
  told({ ref, payload }) {
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
  refused(id) {
    this.#end(this.#open.get(id));
  }

  /** A new connection: ask again. */
  opened() {
    this.#isOpen = true;
    this.#next();
  }

  /** The connection is closed; with `why`, permanently. */
  down(why) {
    this.#isOpen = false;
    for (const record of [...this.#open.values()]) {
      record.isAsked = false;
      if (why || (record.ackedAt !== null && record.text === null)) this.#end(record);
    }
  }

  /** Ask for what is not asked yet, as far as the server has a place for it. */
  #next() {
    for (const record of [...this.#open.values()]) {
      const { id, room, level, text, ackedAt, isAsked } = record;
      if (!this.#isOpen || isAsked || ackedAt === null || this.#open.get(id) !== record) continue;
      if (text === null || this.#options.wall() - ackedAt > AGAIN_MS) this.#end(record);
      else if (this.#ask(record)) {
        this.#wait(record);
        this.#outbox.add({ id, kind: "RECEIPT", room, build: () => withReceipt(text, level), once: true, yields: true });
      }
    }
  }

  /** Whether the server has a place for this one. */
  #ask(record) {
    if (this.#open.get(record.id) !== record) return false;
    if (!record.isAsked) record.isAsked = [...this.#open.values()].filter(({ isAsked }) => isAsked).length < ASKED;
    return record.isAsked;
  }

  #wait(record) {
    this.#timers.after(record.id, WAIT_MS[record.level], () => this.#end(record));
  }

  /** Wait for nothing more of a message. */
  #end(record) {
    if (!record || this.#open.get(record.id) !== record) return;
    this.#open.delete(record.id);
    this.#timers.cancel(record.id);
    if (this.#outbox.get(record.id)?.kind === "RECEIPT") this.#outbox.settle(record.id);
    if (record.ackedAt !== null) this.#giveUp(record); // otherwise nobody has the promises
    this.#next();
  }

  #giveUp(record) {
    for (const level of [...record.waiting.keys()]) this.#tell(record, { level, complete: false });
  }

  #tell(record, { level, complete, readers, seen }) {
    const receipt = { id: record.id, room: record.room, level, complete };
    if (readers !== undefined) Object.assign(receipt, { readers, seen });
    record.waiting.get(level).resolve(receipt);
    record.waiting.delete(level);
    this.#report(receipt);
  }
}
