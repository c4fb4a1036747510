/** The client's error class, promises that nobody has to handle, and whether to reconnect after each close code. */

export interface Fault {
  retry?: boolean | undefined;
  retryAfterMs?: number | undefined;
  ref?: string | undefined;
  cause?: unknown;
}

/**
 * `code` is one of the protocol's, or one of the client's own: `outbox_full` (retry later); `closed` (the client is closed, or has given
 * up); `connection` (an attempt failed); `never_opened` (several attempts opened no WebSocket; `message` names the likely causes, above
 * all a refused origin; the client continues to try); `cancelled` (an AbortSignal fired); `too_slow` (an iterator was not read).
 */
export class WarrenError extends Error {
  code: string;
  /** Whether the same message may be sent again later. */
  retry: boolean;
  retryAfterMs: number | undefined;
  /** The id of the message that was refused. */
  ref: string | undefined;

  constructor(code: string, message: string, { retry = false, retryAfterMs, ref, cause }: Fault = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "WarrenError";
    this.code = code;
    this.retry = retry;
    this.retryAfterMs = retryAfterMs;
    this.ref = ref;
  }
}

export type Advice = "yes" | "no" | "fresh token";

const NO = new Set([1000, 1002, 4003, 4006, 4007]);

/** Whether to reconnect after a close code. */
export function adviceOf(code: number): Advice {
  return NO.has(code) ? "no" : code === 4001 ? "fresh token" : "yes";
}

export interface Deferred<Value = unknown> {
  promise: Promise<Value>;
  resolve: (value: Value) => void;
  reject: (reason: unknown) => void;
}

/** A promise and the functions that settle it. If nobody handles it, no "unhandled rejection" is raised: events report the same. */
export function deferred<Value = unknown>(): Deferred<Value> {
  let resolve!: (value: Value) => void, reject!: (reason: unknown) => void;
  const promise = new Promise<Value>((yes, no) => ([resolve, reject] = [yes, no]));
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/** A rejected promise. An error that is not a WarrenError is a mistake of the caller, and is thrown instead. */
export function rejected(fault: unknown): Promise<never> {
  if (!(fault instanceof WarrenError)) throw fault;
  const { promise, reject } = deferred<never>();
  reject(fault);
  return promise;
}
