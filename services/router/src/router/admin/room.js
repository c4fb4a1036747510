/** One room: who is there, what was said, what became of a message; and what can be done about it. */
import { blockInRoom, confirmed, disconnectConnection, removeUser, unblockInRoom } from "./actions.js";
import { blocks } from "./blocks.js";
import { el, field, put, say } from "./dom.js";
import { count, counted } from "./format.js";
import { messages } from "./messages.js";
import { notAllowed, Pager, section, Table, Trouble, userLink } from "./parts.js";
import { Poll } from "./poll.js";
import { sending } from "./send.js";

const EVERY_MS = 5_000;
const PAGE = 25;
const SHOWN = 5; // connections of one user

export const USER = /^[A-Za-z0-9._\-:/|+=%!$&'?^`{}][A-Za-z0-9._\-:/@|+=%!$&'?^`{}]{0,126}$/;

export function room(context, name) {
  const { session, body } = context;
  context.entitle(`Room ${name}`);
  const outcome = el("p", { class: "outcome", hidden: true });
  const parts = [outcome];
  const stops = [];
  const done = (text) => {
    outcome.hidden = false;
    say(outcome, text);
    stops.forEach((each) => each.again?.());
  };
  if (session.may("presence", name)) {
    const here = present(context, name, done);
    parts.push(here.element);
    stops.push(here);
  } else parts.push(section("Who is here", notAllowed(`presence:${name}`, "the list")));
  if (session.may("history", name)) {
    const said = messages(context, name);
    parts.push(said.element);
    stops.push(said);
  } else parts.push(section("Messages", notAllowed(`history:${name}`, "the list")));
  if (session.may("publish", name)) {
    parts.push(section("Send to this room", sending(context, `room.${name}`, { then: () => stops.forEach((each) => each.again?.()) })));
  }
  if (session.may("blocks", name)) {
    const out = blocks(context, { room: name }, { title: "Who is kept out", empty: "Nobody is kept out of this room alone.", done });
    parts.push(out.element);
    stops.push(out);
  }
  if (session.may("block", name) || session.may("unblock", name)) parts.push(blocking(session, name, done));
  put(body, ...parts);
  return () => stops.forEach((each) => each.stop());
}

function present(context, name, done) {
  const { session } = context;
  const sum = el("p", { class: "quiet" });
  const pager = new Pager(() => poll.now());
  const trouble = new Trouble(() => poll.now());
  const table = new Table(
    "Who is here",
    [
      { name: "User", cell: (each) => userLink(each.user) },
      { name: "Connections", cell: (each) => connections(session, each, done) },
      ...(session.may("remove", name)
        ? [{
            name: "Actions",
            cell: ({ user }) =>
              act(`Remove ${user}`, "Remove", () =>
                confirmed(session, removeUser(name, user, table.current(user)?.connections.length ?? 0), done),
              ),
          }]
        : []),
    ],
    { empty: "Nobody is here." },
  );
  const poll = new Poll(
    EVERY_MS,
    async (signal) => {
      const fields = { address: `room.${name}`, limit: PAGE, cursor: pager.cursor };
      const page = await session.api.get("presence", fields, signal);
      table.show(page.members, (each) => each.user);
      table.none.hidden ||= page.connections > 0;
      pager.came(page.next);
      const users = page.users === undefined ? "" : `${counted(page.users, "user")} with `;
      const named = page.counts_only ? " They are too many to be named." : "";
      say(sum, `${users}${counted(page.connections, "connection")}.${named}`);
    },
    (error, wait) => {
      if (error?.status === 401) context.lost(error);
      else trouble.show(error, wait);
    },
  );
  return {
    element: section("Who is here", sum, trouble.element, table.element, pager.element),
    stop: () => poll.stop(),
    again: () => poll.now(),
  };
}

/** A button in a row; `label` says it whole. */
export function act(label, text, onclick) {
  return el("button", { type: "button", class: "plain", "aria-label": label, onclick, "data-keep": "" }, text);
}

/** A user's connections, each with what can be done about it. */
export function connections(session, { user, connections: all }, done) {
  const shown = all.slice(0, SHOWN).map((each) => {
    const name = el("code", {}, each);
    if (!session.may("disconnect", each)) return el("li", {}, name);
    return el("li", {}, name, " ", act(`Disconnect ${each} of ${user}`, "Disconnect", () => confirmed(session, disconnectConnection(each, user), done)));
  });
  const more = all.length > SHOWN ? el("li", { class: "quiet" }, `and ${count(all.length - SHOWN)} more`) : null;
  return el("ul", { class: "connections", "data-keep": "" }, ...shown, more);
}

function blocking(session, name, done) {
  const user = el("input", { type: "text", autocomplete: "off", spellcheck: "false", maxlength: "127", required: true });
  const wrong = el("p", { class: "trouble", role: "alert", hidden: true }, "This can't be a user's name.");
  const ask = (made) => {
    wrong.hidden = USER.test(user.value);
    if (wrong.hidden) confirmed(session, made(name, user.value), done);
  };
  const form = el(
    "form",
    {
      class: "row",
      onsubmit(event) {
        event.preventDefault();
        ask(session.may("block", name) ? blockInRoom : unblockInRoom);
      },
    },
    field("User", user, "Who need not be here now."),
    session.may("block", name) ? el("button", { type: "submit" }, "Block here …") : null,
    session.may("unblock", name)
      ? el("button", { type: session.may("block", name) ? "button" : "submit", onclick: (event) => {
          if (event.currentTarget.type === "button") ask(unblockInRoom);
        } }, "Unblock here …")
      : null,
  );
  return section("Keep somebody out of this room", form, wrong);
}
