/** The part "receipts": what becomes of this user's messages, and what this user has seen of others'. It only passes on to the two. */
import type { WarrenError } from "./error.js";
import type { Waiting } from "./outbox.js";
import type { Host, Part } from "./parts.js";
import type { JoinedFrame, ReceiptFrame } from "./protocol.js";
import { Receipts } from "./open_receipts.js";
import { SeenReports } from "./seen_reports.js";

export class Delivery implements Part {
  readonly name = "receipts";
  readonly receipts: Receipts;
  readonly seen: SeenReports;

  constructor(host: Host) {
    this.receipts = new Receipts(host);
    this.seen = new SeenReports(host);
  }

  opened(): void {
    this.receipts.opened();
  }

  down(why?: WarrenError): void {
    this.seen.down();
    this.receipts.down(why);
  }

  closing(): void {
    this.seen.closing();
  }

  joined({ room, payload }: JoinedFrame): void {
    this.seen.joined(room, payload.epoch);
  }

  leaving(room: string): void {
    this.seen.leaving(room);
  }

  forget(room: string): void {
    this.seen.forget(room);
  }

  take(frame: { type: string }): void {
    if (frame.type === "RECEIPT") this.receipts.told(frame as ReceiptFrame);
  }

  acked(entry: Waiting, room: string, seq: number | undefined): void {
    this.receipts.acked(entry, room, seq);
  }

  refused(ref: string | undefined, error: WarrenError): void {
    this.seen.refused(ref, error);
  }

  rejects(entry: Waiting): boolean {
    this.receipts.refused(entry.id);
    return false;
  }
}

/** Receipts, and what is seen: `new WarrenClient(url, { parts: [receipts] })`. */
export const receipts = (host: Host): Part => new Delivery(host);
