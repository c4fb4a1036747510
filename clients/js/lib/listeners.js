/** Listeners by event and message type. An exception in one does not affect the others. Part of warren.js. */

/** The client's own events. A message whose type is one of these is passed to "*" only. */
const EVENTS = new Set(["open", "close", "state", "error", "gap", "left", "receipt", "*"]);

export class Listeners {
  #byType = new Map();

  /** Call `listener` for each event or message of this type. Return a function that removes it. */
  on(type, listener) {
    if (!this.#byType.has(type)) this.#byType.set(type, new Set());
    this.#byType.get(type).add(listener);
    return () => this.#byType.get(type).delete(listener);
  }

  /** Pass a message to the listeners of its type, then to those of all messages. */
  hand(message) {
    if (!EVENTS.has(message.type)) this.emit(message.type, message);
    this.emit("*", message);
  }

  emit(type, value) {
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
