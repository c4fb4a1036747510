/** What can go wrong, as one class, and what each close code means for coming back. */

/** A refusal. `code` is the protocol's, or the client's own: `outbox_full`, `closed`, `connection`. */
export class WarrenError extends Error {
  constructor(code, message, { retry = false, retryAfterMs, ref, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    Object.assign(this, { name: "WarrenError", code, retry, retryAfterMs, ref });
  }
}

const ADVICE = new Map([
  [1000, "no"],
  [1002, "no"],
  [4001, "fresh token"],
  [4003, "no"],
  [4006, "no"],
  [4007, "no"],
]);

/** Whether to come back after a close code: "yes", "no" or "fresh token". */
export function adviceOf(code) {
  return ADVICE.get(code) ?? "yes";
}

/** A promise with its two ends. Who does not look at it gets no "unhandled rejection": the events tell the same. */
export function deferred() {
  let resolve, reject;
  const promise = new Promise((yes, no) => ([resolve, reject] = [yes, no]));
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/** A promise that ends with a fault. What is no refusal but the caller's mistake is thrown where it was made. */
export function rejected(fault) {
  if (!(fault instanceof WarrenError)) throw fault;
  const { promise, reject } = deferred();
  reject(fault);
  return promise;
}
