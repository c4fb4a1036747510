/** Who is in the room: how many, and their names, at most 50. It knows nothing of the connection. */
import { element } from "./message_list.js";

const SHOWN = 50;

export class PeopleList {
  #section;
  #count;
  #names;

  /** `section` holds an element `.count` and a list `.names`. */
  constructor(section) {
    this.#section = section;
    this.#count = section.querySelector(".count");
    this.#names = section.querySelector(".names");
  }

  clear() {
    this.#section.hidden = true;
  }

  /** Show a roster; `own` is the name of this page's user. */
  show(roster, own) {
    this.#section.hidden = false;
    const { users, connections } = roster.count;
    this.#count.textContent = roster.watching === false ? "This room does not tell who is here." : `${users} here`;
    this.#count.title = `${users} users with ${connections} connections`;
    const names = [...new Set([...roster].map(({ user }) => user))].sort((a, b) => (b === own) - (a === own) || a.localeCompare(b));
    const chips = names.slice(0, SHOWN).map((name) => element("li", name === own ? "own" : "", name === own ? `${name} (you)` : name));
    const hidden = users - chips.length;
    if (hidden > 0 && roster.watching !== false) chips.push(element("li", "more", `and ${hidden} more`));
    this.#names.replaceChildren(...chips);
  }
}
