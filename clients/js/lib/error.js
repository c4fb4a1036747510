/** The client's error class, and whether to reconnect after each close code. Part of warren.js. */

/** `code` is one of the protocol's, or the client's own: `outbox_full`, `closed`, `connection`, `never_opened`. */
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

/** Whether to reconnect after a close code: "yes", "no" or "fresh token". */
export function adviceOf(code) {
  return ADVICE.get(code) ?? "yes";
}

/** A promise and the functions that settle it. If nobody handles it, no "unhandled rejection" is raised: events report the same. */
export function deferred() {
  let resolve, reject;
  const promise = new Promise((yes, no) => ([resolve, reject] = [yes, no]));
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/** A rejected promise. An error that is not a WarrenError is a mistake of the caller, and is thrown instead. */
export function rejected(fault) {
  if (!(fault instanceof WarrenError)) throw fault;
  const { promise, reject } = deferred();
  reject(fault);
  return promise;
}
