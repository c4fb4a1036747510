/** Listeners by event and message type. An exception in one does not affect the others. */

/** The client's own events. A message whose type is one of these is passed to "*" only. */
const EVENTS = new Set(["open", "close", "state", "error", "gap", "left", "receipt", "*"]);

type Listener = (value: any) => void;

export class Listeners {
  #byType = new Map<string, Set<Listener>>();

  /** Call `listener` for each event or message of this type. Return a function that removes it. */
  on(type: string, listener: Listener): () => void {
    let all = this.#byType.get(type);
    if (!all) this.#byType.set(type, (all = new Set()));
    all.add(listener);
    return () => void this.#byType.get(type)?.delete(listener);
  }

  /** Pass a message to the listeners of its type, then to those of all messages. */
  hand(message: { type: string }): void {
    if (!EVENTS.has(message.type)) this.emit(message.type, message);
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
