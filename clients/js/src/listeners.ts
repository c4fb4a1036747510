/** Listeners by event and message type. An exception in one does not affect the others. */
import { deferred, type Deferred } from "./error.js";
import { cancelled, onAbort, unless } from "./signal.js";
import type { Waits } from "./types.js";

export type Listener = (value: any) => void;

export class Listeners {
  #byType = new Map<string, Set<Listener>>();
  #next = new Set<Deferred<any>>(); // promises of `once`
  #events: Set<string>;

  /** `events`: the names of own events. A message whose type is one of these is passed to "*" only. */
  constructor(...events: string[]) {
    this.#events = new Set(events).add("*");
  }

  /** Call `listener` for each event or message of this type, until the signal fires. Return a function that removes it. */
  on(type: string, listener: Listener, { signal }: Waits = {}): () => void {
    if (signal?.aborted) return () => {};
    let all = this.#byType.get(type);
    if (!all) this.#byType.set(type, (all = new Set()));
    all.add(listener);
    const off = () => {
      quiet();
      this.#byType.get(type)?.delete(listener);
    };
    const quiet = onAbort(signal, off);
    return off;
  }

  /** The next event or message of this type. Rejected when the signal fires, or with what `end` says. */
  once(type: string, { signal }: Waits = {}): Promise<any> {
    const next = deferred<any>();
    if (signal?.aborted) next.reject(cancelled(type, signal));
    else {
      const off = this.on(type, next.resolve);
      this.#next.add(next);
      next.promise
        .catch(() => {})
        .finally(() => {
          off();
          this.#next.delete(next);
        });
    }
    return unless(signal, type, next.promise, next.reject);
  }

  /** Nothing more will come for those who wait. */
  end(why: unknown): void {
    for (const next of this.#next) next.reject(why);
  }

  /** Pass a message to the listeners of its type, then to those of all messages. */
  hand(message: { type: string }): void {
    if (!this.#events.has(message.type)) this.emit(message.type, message);
    this.emit("*", message);
  }

  emit(type: string, value: unknown): void {
    const listeners = [...(this.#byType.get(type) ?? [])];
    if (type === "error" && listeners.length === 0) console.error(value);
    for (const listener of listeners) {
      try {
        listener(value);
      } catch (error) {
        console.error(error);
      }
    }
  }
}
