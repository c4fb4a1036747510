/** What is read aloud of the messages of others: each message alone, many at once by their number. It knows nothing of the connection. */

const GATHERED_MS = 400;
const READ = 200; // characters of one message

export class News {
  #region;
  #waiting = [];
  #timer = null;

  /** `region` is a live region that nobody sees. */
  constructor(region) {
    this.#region = region;
  }

  /** Somebody else said something. */
  tell(name, text) {
    this.#waiting.push(`${name}: ${text.length > READ ? `${text.slice(0, READ)} …` : text}`);
    this.#timer ??= setTimeout(() => this.#read(), GATHERED_MS);
  }

  #read() {
    const [first, ...rest] = this.#waiting;
    this.#timer = null;
    this.#waiting = [];
    this.#region.textContent = rest.length ? `${rest.length + 1} new messages` : first;
  }
}
