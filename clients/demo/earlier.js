/** The button that shows what was said before the first message on the page. It knows nothing of the connection but how to read. */

const PAGE = 30;

export class Earlier {
  #button;
  #messages;
  #read;
  #room = null;
  #isAtBeginning = false;

  /** `read({before, limit})` returns a page of the room's history, oldest message first. */
  constructor(button, messages, read) {
    this.#button = button;
    this.#messages = messages;
    this.#read = read;
    button.addEventListener("click", () => this.#more());
  }

  /** Another room, or none: whatever is said of the one before counts no more. */
  enter(room) {
    this.#room = room;
    this.#isAtBeginning = false;
    this.#button.hidden = true;
    this.#button.textContent = "Earlier messages";
  }

  /** The page is at this position; the button is there where something came before what is shown. */
  at(position) {
    const first = this.#messages.firstSeq(position.epoch);
    const isFull = this.#messages.isFull;
    this.#button.hidden = isFull || this.#isAtBeginning || (first === null ? position.seq === 0 : first === 1);
  }

  async #more() {
    const room = this.#room;
    this.#button.disabled = true;
    try {
      const page = await this.#read(this.#messages.oldest, PAGE);
      if (room !== this.#room) return;
      this.#messages.showBefore(page.messages, room);
      this.#isAtBeginning = !page.more;
      this.#button.hidden = !page.more || this.#messages.isFull;
    } catch (error) {
      if (room === this.#room) this.#button.textContent = `Earlier messages (${error.message})`;
    } finally {
      this.#button.disabled = false;
    }
  }
}
