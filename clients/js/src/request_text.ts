/** Checks and encodes a request to a service, and the frame that cancels one. It returns text and sends nothing. */
import { VERSION, bytesOf, check, checkId, checkWhole, stringify } from "./encode.js";
import type { RequestOptions } from "./types.js";

const SERVICE = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;
const REQUEST_ID_BYTES = 120;
const TIMEOUT_MS = 60_000;
const SERVICE_RULE = "service: must be 1 to 128 letters, digits and _ - in words with dots between them, the last of which is not cancel";

/** Encode a request to a service. `options` has id, timeoutMs, durable and traceparent. Throws as `messageText` does. */
export function requestText(
  service: string,
  payload: unknown,
  options: Pick<RequestOptions, "timeoutMs" | "durable" | "traceparent"> & { id: string },
  timestamp: number,
): string {
  const { id, timeoutMs, durable, traceparent } = options;
  checkWhole("id", id);
  checkId(id);
  check(new TextEncoder().encode(id).length <= REQUEST_ID_BYTES, "invalid_message", `id: at most ${REQUEST_ID_BYTES} bytes of UTF-8`, id);
  const isService = typeof service === "string" && service.length <= 128 && SERVICE.test(service) && !service.endsWith(".cancel");
  check(isService, "invalid_message", SERVICE_RULE, id);
  const isTime = timeoutMs === undefined || (Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= TIMEOUT_MS);
  check(isTime, "invalid_message", `timeoutMs: must be a whole number from 1 to ${TIMEOUT_MS}`, id);
  check(durable === undefined || typeof durable === "boolean", "invalid_message", "durable: must be true or false", id);
  check(traceparent == null || typeof traceparent === "string", "invalid_message", "traceparent: must be text", id);
  const frame: Record<string, unknown> = { type: "REQUEST", service, payload, timestamp, version: VERSION };
  if (timeoutMs !== undefined) frame.timeout_ms = timeoutMs;
  if (durable) frame.durable = true;
  if (traceparent != null) frame.traceparent = traceparent;
  return stringify({ ...frame, ...bytesOf(payload), id }, id);
}

/** Encode the frame that cancels a request. */
export function cancelText(ref: string, timestamp: number): string {
  return stringify({ type: "CANCEL", ref, timestamp, version: VERSION });
}
