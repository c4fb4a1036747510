/**
 * Up to where this user has seen rooms, and when that is said: at once at first, then at most once a second in each room, the last word each
 * time. It is said before the room is left or the client is closed, and again on the next connection.
 */
import { controlFrame } from "./encode.js";
import type { WarrenError } from "./error.js";
import type { Host } from "./parts.js";
import { Timers } from "./timers.js";
import type { Position } from "./types.js";

const EVERY_MS = 1_000;

interface Report extends Position {
  dueAt: number;
  /** On this connection, as is `isRefused`. */
  isSaid: boolean;
  isRefused: boolean;
  ref: string | null;
}

export class SeenReports {
  #reports = new Map<string, Report>(); // by room
  #joined = new Set<string>(); // rooms that we are in on this connection
  #timers: Timers;
  #host: Host;

  constructor(host: Host) {
    this.#host = host;
    this.#timers = new Timers(host.options);
  }

  /** The user has seen the room up to here. What is not above what was seen before is no news. */
  saw(room: string, { epoch, seq }: Position): void {
    const known = this.#reports.get(room);
    if (known?.epoch === epoch && known.seq >= seq) return;
    const report = Object.assign(known ?? { dueAt: 0, isRefused: false, ref: null }, { epoch, seq, isSaid: false });
    this.#reports.set(room, report);
    this.#plan(room, report);
  }

  /** We are in a room: say what was seen there, unless it is another epoch's. */
  joined(room: string, epoch: string): void {
    this.#joined.add(room);
    const report = this.#reports.get(room);
    if (report?.epoch === epoch) this.#plan(room, report);
    else this.#drop(room, report);
  }

  /** We are about to leave a room: say the last word there now. */
  leaving(room: string): void {
    const report = this.#reports.get(room);
    if (report) {
      this.#host.outbox.settle(report.ref); // it may wait behind other frames, and LEAVE does not
      this.#say(room, report, false);
    }
    this.#reports.delete(room); // what waits in the outbox now stays there
    this.forget(room);
  }

  /** We are about to close the connection: say the last word everywhere. */
  closing(): void {
    for (const [room, report] of this.#reports) this.#say(room, report);
  }

  /** We are no longer in a room. */
  forget(room: string): void {
    this.#joined.delete(room);
    this.#drop(room, this.#reports.get(room));
  }

  /** The server has refused a frame: say it again later, or no more on this connection. */
  refused(ref: string | undefined, { retry, retryAfterMs = 0 }: WarrenError): void {
    const [room, report] = [...this.#reports].find(([, { ref: said }]) => said === ref) ?? [];
    if (!room || !report) return;
    this.#timers.cancel(room);
    Object.assign(report, { isSaid: false, isRefused: !retry, dueAt: this.#host.options.now() + Math.max(EVERY_MS, retryAfterMs) });
    this.#plan(room, report);
  }

  /** The connection is closed. */
  down(): void {
    this.#joined.clear();
    this.#timers.clear();
    for (const report of this.#reports.values()) Object.assign(report, { isSaid: false, isRefused: false });
  }

  #plan(room: string, report: Report): void {
    const wait = report.dueAt - this.#host.options.now();
    if (wait <= 0) this.#say(room, report);
    else if (!this.#timers.has(room)) this.#timers.after(room, wait, () => this.#say(room, report));
  }

  #say(room: string, report: Report, yields = true): void {
    if (report.isSaid || report.isRefused || !this.#joined.has(room) || (report.ref && this.#host.outbox.get(report.ref))) return;
    this.#timers.cancel(room);
    const id = (report.ref = this.#host.id());
    const build = () => {
      Object.assign(report, { isSaid: true, dueAt: this.#host.options.now() + EVERY_MS });
      const { epoch, seq } = report; // the newest, although it may have waited
      return JSON.stringify(controlFrame("SEEN", { room, payload: { epoch, seq }, id }, this.#host.options.wall()));
    };
    this.#host.outbox.add({ id, kind: "SEEN", room, build, once: true, unanswered: true, yields });
  }

  #drop(room: string, report: Report | undefined): void {
    this.#timers.cancel(room);
    this.#host.outbox.settle(report?.ref ?? null);
    this.#reports.delete(room);
  }
}
