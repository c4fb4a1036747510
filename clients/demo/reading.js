/** Which messages are on the screen, of a page that is visible. It knows nothing of the connection. */

const SHOWN = 0.5; // of a row, or of the height of the list

export class Reading {
  #onScreen = new Set();
  #observer;
  #list;
  #tell;

  /** `list` scrolls. `tell(position)` is called for each row on the screen, whenever that may be news. */
  constructor(list, tell) {
    this.#list = list;
    this.#tell = tell;
    this.#observer = new IntersectionObserver((changes) => this.#changed(changes), { threshold: [0, SHOWN] });
    document.addEventListener("visibilitychange", () => this.look());
  }

  /** Watch the row of a numbered message. */
  watch(row) {
    this.#observer.observe(row);
  }

  /** Tell what is on the screen now. */
  look() {
    if (document.visibilityState !== "visible") return;
    for (const { dataset } of this.#onScreen) this.#tell({ epoch: dataset.epoch, seq: +dataset.seq });
  }

  #changed(changes) {
    for (const { target, isIntersecting, intersectionRatio, intersectionRect } of changes) {
      if (!target.isConnected) this.#observer.unobserve(target);
      const isTall = intersectionRect.height >= SHOWN * this.#list.clientHeight;
      if (target.isConnected && isIntersecting && (intersectionRatio >= SHOWN || isTall)) this.#onScreen.add(target);
      else this.#onScreen.delete(target);
    }
    this.look();
  }
}
