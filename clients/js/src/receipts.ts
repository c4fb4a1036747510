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
  #host: Host;

  constructor(host: Host) {
    this.#host = host;
    this.receipts = new Receipts(host);
    this.seen = new SeenReports(host);
  }

  /** The user has seen a room up to here, or up to the last message that was delivered there. Throws WarrenError for an invalid name. */
  saw(name: string, position: { epoch?: string; seq?: number } | null | undefined): void {
    const fault = this.#host.roomFault(name);
    if (fault) throw fault;
    const room = this.#host.rooms.get(name);
    const { epoch, seq = 0 } = (position === undefined ? room?.delivered : position) ?? {};
    if (epoch && seq > 0 && epoch === room?.position?.epoch) this.seen.saw(name, { epoch, seq });
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
