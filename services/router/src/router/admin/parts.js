/** What views have in common: what went wrong, tables, pages, and tiles of figures. */
import { el, keyed, put, say } from "./dom.js";
import { duration } from "./format.js";

/** Says above a view what is wrong with what it shows, and what happens next. */
export class Trouble {
  constructor(again) {
    this.text = el("span", { role: "status" });
    this.when = el("span", {}); // it changes often, and is not read out
    const button = el("button", { type: "button", class: "plain", onclick: () => again() }, "Try now");
    this.element = el("p", { class: "trouble", hidden: true }, this.text, " ", this.when, " ", button);
  }

  /** Show an error, and in how many ms it is tried again; null: all is well. */
  show(error, waitMs = 0) {
    this.element.hidden = !error;
    if (!error) return;
    say(this.text, error.message);
    say(this.when, waitMs ? `Trying again in ${duration(waitMs / 1_000)}; what is shown is of before.` : "");
  }
}

/**
 * A table whose rows are updated in their places. `columns`: [{name, number?, wide?, cell: (item) ▶ text or
 * element}].
 */
export class Table {
  constructor(caption, columns, { empty = "There is none." } = {}) {
    this.columns = columns;
    this.items = new Map();
    // The roles stand there since a narrow screen shows a wide table's rows as blocks, which would end them.
    this.rows = el("tbody", { role: "rowgroup" });
    this.none = el("p", { class: "quiet", hidden: true }, empty);
    const head = columns.map(({ name, number }) => el("th", { scope: "col", role: "columnheader", class: number ? "number" : null }, name));
    this.table = el(
      "table",
      { role: "table", class: columns.length > 4 ? "wide" : null },
      el("caption", { class: "unseen" }, caption),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...head)),
      this.rows,
    );
    this.scroll = el("div", { class: "scroll", role: "group", "aria-label": caption, tabindex: "0" }, this.table);
    this.element = el("div", { class: "table" }, this.scroll, this.none);
  }

  /** The item that a row shows now: what is done by a button in it may be about a newer one. */
  current(key) {
    return this.items.get(key);
  }

  show(items, keyOf) {
    this.items = new Map(items.map((item) => [keyOf(item), item]));
    this.scroll.hidden = items.length === 0;
    this.none.hidden = items.length > 0;
    const cell = ({ number, name }) => el("td", { role: "cell", class: number ? "number" : null, "data-name": name });
    keyed(this.rows, items, keyOf, () => el("tr", { role: "row" }, ...this.columns.map(cell)), (row, item) => {
      this.columns.forEach((column, index) => {
        const found = column.cell(item);
        const place = row.children[index];
        if (typeof found === "string") say(place, found);
        else if (!same(place, found)) put(place, found);
      });
    });
  }
}

/** An element in a cell is replaced only where another one is to stand there: it may have the focus. */
function same(place, found) {
  return place.childNodes.length === 1 && place.firstChild.isEqualNode?.(found) && found.dataset.keep !== undefined;
}

/** Buttons to the pages of a list: the API gives a cursor for the next one, and the way back is remembered. */
export class Pager {
  constructor(turn) {
    this.before = [];
    this.cursor = "";
    this.next = "";
    this.back = el("button", { type: "button", onclick: () => this.#go(this.before.pop()) }, "Previous");
    this.forth = el("button", { type: "button", onclick: () => { this.before.push(this.cursor); this.#go(this.next); } }, "Next");
    this.place = el("span", { class: "quiet" });
    this.element = el("p", { class: "pager", hidden: true }, this.back, this.place, this.forth);
    this.turn = turn;
  }

  /** A page has come, and this is the cursor of the following one. */
  came(next) {
    this.next = next ?? "";
    this.back.disabled = this.before.length === 0;
    this.forth.disabled = !this.next;
    this.element.hidden = this.back.disabled && this.forth.disabled;
    say(this.place, `Page ${this.before.length + 1}`);
  }

  /** Begin at the first page. */
  reset() {
    this.before = [];
    this.cursor = "";
  }

  #go(cursor) {
    this.back.disabled = this.forth.disabled = true; // until the page has come
    this.cursor = cursor;
    this.turn();
  }
}

/** One figure, large, with its name. */
export class Tile {
  constructor(name) {
    this.value = el("dd", {}, "–");
    this.element = el("div", { class: "tile" }, el("dt", {}, name), this.value);
  }

  show(text) {
    say(this.value, text);
  }
}

export const roomLink = (name) => el("a", { href: `#/room/${encodeURIComponent(name)}`, "data-keep": "" }, name);
export const userLink = (name) => el("a", { href: `#/user/${encodeURIComponent(name)}`, "data-keep": "" }, name);

/** A heading with what belongs to it. */
export function section(title, ...children) {
  return el("section", { class: "card", "aria-label": title }, el("h2", {}, title), ...children);
}

/** What stands in the place of a section that a key may not see. */
export function notAllowed(verb, what) {
  return el("p", { class: "quiet" }, `Your key has no scope ${verb}, which ${what} needs.`);
}
