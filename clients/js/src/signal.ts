/** Promises that an AbortSignal gives up. It knows nothing of what is waited for. */
import { WarrenError, deferred } from "./error.js";

/** What a promise, or whoever waits, is told when its signal fires. */
export function cancelled(what: string, signal: AbortSignal, ref?: string): WarrenError {
  return new WarrenError("cancelled", `${what} was cancelled`, { ref, cause: signal.reason });
}

/** Call `then` once when the signal fires, or at once if it has. Return a function that listens no more. */
export function onAbort(signal: AbortSignal | undefined, then: () => void): () => void {
  if (!signal) return () => {};
  if (signal.aborted) then();
  else signal.addEventListener("abort", then, { once: true });
  return () => signal.removeEventListener("abort", then);
}

/** The promise, or a rejection with `cancelled` when the signal fires before it is settled; then `gaveUp` is called. */
export function unless<Value>(
  signal: AbortSignal | undefined,
  what: string,
  promise: Promise<Value>,
  gaveUp?: (error: WarrenError) => void,
): Promise<Value> {
  if (!signal) return promise;
  const first = deferred<Value>();
  const quiet = onAbort(signal, () => {
    const error = cancelled(what, signal);
    first.reject(error);
    gaveUp?.(error);
  });
  promise.finally(quiet).then(first.resolve, first.reject);
  return first.promise;
}
