/**
 * Up to where this user has seen rooms, and when that is said: at once at first, then at most once a second in each room, the last word each
 * time. It is said before the room is left or the client is closed, and again on the next connection. Part of warren.js.
 */
import { controlText } from "./encode.js";
import { Timers } from "./timers.js";

const EVERY_MS = 1_000;

export class SeenReports {
  #reports = new Map(); // room ▶ {epoch, seq, isSaid, isRefused, dueAt, ref}; isSaid and isRefused on this connection
  #joined = new Set(); // rooms that we are in on this connection
  #timers;
  #options;
  #outbox;
  #newId;

  /** `newId()` returns an id for a frame. */
  constructor(options, outbox, newId) {
    this.#options = options;
    this.#outbox = outbox;
    this.#newId = newId;
    this.#timers = new Timers(options);
  }

  /** The user has seen the room up to here. What is not above what was seen before is no news. */
  saw(room, { epoch, seq }) {
    const report = this.#reports.get(room) ?? { dueAt: 0, isRefused: false, ref: null };
    if (report.epoch === epoch && report.seq >= seq) return;
    this.#reports.set(room, Object.assign(report, { epoch, seq, isSaid: false }));
    this.#plan(room, report);
  }

  /** We are in a room: say what was seen there, unless it is another epoch's. */
  joined(room, epoch) {
    this.#joined.add(room);
    const report = this.#reports.get(room);
    if (report?.epoch === epoch) this.#plan(room, report);
    else this.#drop(room, report);
  }

  /** We are about to leave a room: say the last word there now. */
  leaving(room) {
    const report = this.#reports.get(room);
    if (report) {
      this.#outbox.settle(report.ref); // it may wait behind other frames, and LEAVE does not
      this.#say(room, report, false);
    }
    this.#reports.delete(room); // what waits in the outbox now stays there
    this.forget(room);
  }

  /** We are about to close the connection: say the last word everywhere. */
  closing() {
    for (const [room, report] of this.#reports) this.#say(room, report);
  }

  /** We are no longer in a room. */
  forget(room) {
    this.#joined.delete(room);
    this.#drop(room, this.#reports.get(room));
  }

  /** The server has refused a frame: say it again later, or no more on this connection. */
  refused(ref, { retry, retryAfterMs = 0 }) {
    const [room, report] = [...this.#reports].find(([, { ref: said }]) => said === ref) ?? [];
    if (!report) return;
    this.#timers.cancel(room);
    Object.assign(report, { isSaid: false, isRefused: !retry, dueAt: this.#options.now() + Math.max(EVERY_MS, retryAfterMs) });
    this.#plan(room, report);
  }

  /** The connection is closed. */
  down() {
    this.#joined.clear();
    this.#timers.clear();
    for (const report of this.#reports.values()) Object.assign(report, { isSaid: false, isRefused: false });
  }

  #plan(room, report) {
    const wait = report.dueAt - this.#options.now();
    if (wait <= 0) this.#say(room, report);
    else if (!this.#timers.has(room)) this.#timers.after(room, wait, () => this.#say(room, report));
  }

  #say(room, report, yields = true) {
    if (report.isSaid || report.isRefused || !this.#joined.has(room) || this.#outbox.get(report.ref)) return;
    this.#timers.cancel(room);
    const id = (report.ref = this.#newId());
    const build = () => {
      Object.assign(report, { isSaid: true, dueAt: this.#options.now() + EVERY_MS });
      const { epoch, seq } = report; // the newest, although it may have waited
      return controlText("SEEN", room, { epoch, seq }, id, this.#options.wall());
    };
    this.#outbox.add({ id, kind: "SEEN", room, build, once: true, unanswered: true, yields });
  }

  #drop(room, report) {
    this.#timers.cancel(room);
    this.#outbox.settle(report?.ref ?? null);
    this.#reports.delete(room);
  }
}
