/** Makes and checks a request to a service. It returns a frame and sends nothing. */
import { bytesOf, controlFrame, type Frame } from "./encode.js";
import { WarrenError } from "./error.js";
import type { RequestOptions } from "./types.js";

const SERVICE = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;
const REQUEST_ID_BYTES = 120;
const TIMEOUT_MS = 60_000;
const SERVICE_RULE = "service: must be 1 to 128 letters, digits and _ - in words with dots between them, the last of which is not cancel";

/** Throws WarrenError if the server would refuse it. */
export function requestFrame(
  service: string,
  payload: unknown,
  { id, timeoutMs, durable, traceparent }: RequestOptions & { id: string },
  timestamp: number,
): Frame {
  const check = (holds: boolean, message: string) => {
    if (!holds) throw new WarrenError("invalid_message", message, { ref: id });
  };
  check(new TextEncoder().encode(id).length <= REQUEST_ID_BYTES, `id: at most ${REQUEST_ID_BYTES} bytes of UTF-8`);
  check(typeof service === "string" && service.length <= 128 && SERVICE.test(service) && !service.endsWith(".cancel"), SERVICE_RULE);
  const isTime = timeoutMs === undefined || (Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= TIMEOUT_MS);
  check(isTime, `timeoutMs: must be a whole number from 1 to ${TIMEOUT_MS}`);
  check(durable === undefined || typeof durable === "boolean", "durable: must be true or false");
  check(traceparent == null || typeof traceparent === "string", "traceparent: must be text");
  const fields = { service, payload, timeout_ms: timeoutMs, durable: durable || undefined, traceparent: traceparent ?? undefined };
  return controlFrame("REQUEST", { ...fields, ...bytesOf(payload), id }, timestamp);
}
