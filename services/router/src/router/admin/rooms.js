/** Rooms that have members, by the beginning of their names. */
import { el, field, put } from "./dom.js";
import { count } from "./format.js";
import { notAllowed, Pager, roomLink, section, Table, Trouble } from "./parts.js";
import { Poll } from "./poll.js";

const EVERY_MS = 10_000;
const PAGE = 50;
export const ROOM = /^[A-Za-z0-9._\-:/][A-Za-z0-9._\-:/@]{0,127}$/;
export const ROOM_RULE = "A room's name has 1 to 128 letters, digits and . _ - : / @";

export function rooms(context) {
  const { session, body } = context;
  context.entitle("Rooms");
  const open = el("input", { type: "text", autocomplete: "off", spellcheck: "false", maxlength: "128", required: true });
  const wrong = el("p", { class: "trouble", role: "alert", hidden: true }, ROOM_RULE);
  const opening = el(
    "form",
    {
      class: "row",
      onsubmit(event) {
        event.preventDefault();
        wrong.hidden = ROOM.test(open.value);
        if (wrong.hidden) location.hash = `#/room/${encodeURIComponent(open.value)}`;
      },
    },
    field("Open a room by its name", open),
    el("button", { type: "submit" }, "Open"),
  );
  const begins = session.prefix("rooms");
  if (begins === null) {
    put(body, section("A room", opening, wrong), el("div", { class: "card" }, notAllowed("rooms", "the list")));
    return undefined;
  }
  const prefix = el("input", { type: "search", autocomplete: "off", spellcheck: "false", maxlength: "128", value: begins });
  const list = listing(context, () => prefix.value, {
    caption: "Rooms",
    columns: [
      { name: "Room", cell: (each) => roomLink(each.room) },
      { name: "Connections", number: true, cell: (each) => count(each.connections) },
    ],
    empty: "No room with members begins so.",
  });
  const finding = el(
    "form",
    {
      class: "row",
      role: "search",
      onsubmit(event) {
        event.preventDefault();
        list.anew();
      },
    },
    field("Names begin with", prefix, "Upper and lower case count. Users' own rooms are under Users."),
    el("button", { type: "submit" }, "List"),
  );
  put(body, section("A room", opening, wrong), section("Rooms with members", finding, list.element));
  return list.stop;
}

/** A list of rooms in pages; `prefix` says how their names begin. */
export function listing(context, prefix, { caption, columns, empty }) {
  const table = new Table(caption, columns, { empty });
  const pager = new Pager(() => poll.now());
  const trouble = new Trouble(() => poll.now());
  const poll = new Poll(
    EVERY_MS,
    async (signal) => {
      const fields = { prefix: prefix(), limit: PAGE, cursor: pager.cursor };
      const page = await context.session.api.get("rooms", fields, signal);
      table.show(page.rooms, (each) => each.room);
      pager.came(page.next);
    },
    (error, wait) => {
      if (error?.status === 401) context.lost(error);
      else trouble.show(error, wait);
    },
  );
  return {
    element: el("div", {}, trouble.element, table.element, pager.element),
    stop: () => poll.stop(),
    anew() {
      pager.reset();
      poll.now();
    },
  };
}
