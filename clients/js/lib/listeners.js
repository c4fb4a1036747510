/** Who listens to what. One listener's fault is not the others'. Part of warren.js. */

/** What the client itself reports by `on`; a message whose type is one of these reaches "*" alone. */
const EVENTS = new Set(["open", "close", "state", "error", "gap", "*"]);

export class Listeners {
  #byType = new Map();

  /** Call `listener` for each event or message of this type; what is returned ends it. */
  on(type, listener) {
    if (!this.#byType.has(type)) this.#byType.set(type, new Set());
    this.#byType.get(type).add(listener);
    return () => this.#byType.get(type).delete(listener);
  }

  /** Hand a message to those who listen for its type, then to those who listen for all. */
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
