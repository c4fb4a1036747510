/** The traceparent of W3C trace context: https://www.w3.org/TR/trace-context/ */

/** A traceparent for a new trace. */
export function newTraceparent(sampled) {
  return `00-${randomHex(16)}-${randomHex(8)}-${sampled ? "01" : "00"}`;
}

/** The trace id of a traceparent; null if there is none. */
export function traceIdOf(traceparent) {
  return /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(traceparent ?? "")?.[1] ?? null;
}

function randomHex(bytes) {
  const values = crypto.getRandomValues(new Uint8Array(bytes));
  values[bytes - 1] |= 1; // all zeros would mean "none"
  return Array.from(values, (value) => value.toString(16).padStart(2, "0")).join("");
}
