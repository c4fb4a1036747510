/** The seconds until the next attempt to connect, and a button that does not wait for them. It knows nothing of the connection. */

export class Countdown {
  #section;
  #text;
  #timer = null;

  /** `section` holds `text` and the button; `retry` is called when it is pressed. */
  constructor(section, text, button, retry) {
    this.#section = section;
    this.#text = text;
    button.addEventListener("click", retry);
  }

  start(delayMs) {
    this.stop();
    const ends = performance.now() + delayMs;
    const show = () => {
      const seconds = Math.max(0, Math.ceil((ends - performance.now()) / 1_000));
      this.#text.textContent = `in ${seconds} s`;
    };
    show();
    this.#timer = setInterval(show, 250);
    this.#section.hidden = false;
  }

  stop() {
    clearInterval(this.#timer);
    this.#section.hidden = true;
  }
}
