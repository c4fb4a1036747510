/** Makes the client's frames, as objects and text. It checks nothing (checks.ts does), and sends nothing. */
import { toBase64 } from "./binary.js";
import type { SendOptions } from "./types.js";

export type Frame = Record<string, unknown> & { id?: string | undefined };

const VERSION = "1.0";

/** A message of the application. Its receipt is not written: see `withReceipt`. */
export function messageFrame(
  type: string,
  room: string | null | undefined,
  payload: unknown,
  { id, key, includeSender, traceparent }: SendOptions,
  timestamp: number,
): Frame {
  const frame: Frame = { type, payload, timestamp, version: VERSION };
  if (room != null) frame.room = room;
  if (includeSender) frame.include_sender = true;
  if (key != null) frame.key = key;
  if (traceparent != null) frame.traceparent = traceparent;
  return { ...frame, ...bytesOf(payload), id };
}

/** A frame of the client itself. */
export function controlFrame(type: string, fields: Frame, timestamp: number): Frame {
  return { type, ...fields, timestamp, version: VERSION };
}

/** What of a frame says that its payload stands for bytes. */
export function bytesOf(payload: unknown): Frame {
  return payload instanceof Uint8Array ? { payload: toBase64(payload), encoding: "base64" } : {};
}

/** Add to a message's text that its sender wants a receipt. */
export function withReceipt(text: string, level: string): string {
  return `${text.slice(0, -1)},"receipt":"${level}"}`;
}
