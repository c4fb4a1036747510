/** One user: online or not, on which connections; and what can be done about it. */
import { addToRooms, blockUser, confirmed, disconnectUser, revokeTokens, unblockUser } from "./actions.js";
import { blocks, blocksOf } from "./blocks.js";
import { el, field, put, say } from "./dom.js";
import { counted } from "./format.js";
import { notAllowed, section, Trouble } from "./parts.js";
import { Poll } from "./poll.js";
import { connections } from "./room.js";
import { ROOM, ROOM_RULE } from "./rooms.js";
import { sending } from "./send.js";
import { since } from "./users.js";

const EVERY_MS = 5_000;
const ROOMS_MAX = 100;

export function user(context, name) {
  const { session, body } = context;
  const own = `@${name}`;
  context.entitle(`User ${name}`);
  const outcome = el("p", { class: "outcome", hidden: true });
  const status = el("p", { class: "quiet" });
  const list = el("div", {});
  const trouble = new Trouble(() => poll?.now());
  let now;
  const done = (text) => {
    outcome.hidden = false;
    say(outcome, text);
    poll?.now();
    out?.again();
  };
  const mayLook = session.may("status", own);
  const mayList = session.may("presence", own);
  const actions = [
    ["disconnect", "Disconnect all …", () => disconnectUser(name, now)],
    ["block", "Block …", () => blockUser(name)],
    ["unblock", "Unblock …", () => unblockUser(name)],
    ["revoke", "Revoke tokens …", () => revokeTokens(name)],
  ]
    .filter(([verb]) => session.may(verb, own))
    .map(([, text, made]) => el("button", { type: "button", onclick: () => confirmed(session, made(), done) }, text));
  let shown = "";
  const poll = mayLook || mayList
    ? new Poll(
        EVERY_MS,
        async (signal) => {
          const [told, page] = await Promise.all([
            mayLook ? session.api.get("status", { users: [name] }, signal) : null,
            mayList ? session.api.get("presence", { address: `user.${name}` }, signal) : null,
          ]);
          const found = told?.users[0];
          const all = page?.members.find((each) => each.user === name)?.connections ?? [];
          now = found?.connections ?? page?.connections ?? 0;
          const text = found ? since(found) : now ? "online" : "offline";
          say(status, `${name}: ${text.startsWith("last") ? `offline, ${text}` : text}, ${counted(now, "connection")}.`);
          if (shown !== all.join()) {
            shown = all.join();
            put(list, all.length ? connections(session, { user: name, connections: all }, done) : "");
          }
        },
        (error, wait) => {
          if (error?.status === 401) context.lost(error);
          else trouble.show(error, wait);
        },
      )
    : null;
  const question = blocksOf(session, name);
  const out = question
    ? blocks(context, question, { title: "Blocks", empty: `${name} is not blocked.`, done })
    : null;
  put(
    body,
    outcome,
    section(
      "Connections",
      trouble.element,
      mayLook || mayList ? status : notAllowed(`status:${own}`, "whether somebody is online"),
      list,
      actions.length ? el("p", { class: "buttons" }, ...actions) : null,
    ),
    out ? out.element : "",
    session.may("add") ? adding(session, name, done) : "",
    session.may("publish", own) ? section("Send to this user", sending(context, `user.${name}`, {})) : "",
  );
  return () => {
    poll?.stop();
    out?.stop();
  };
}

function adding(session, name, done) {
  const names = el("input", { type: "text", autocomplete: "off", spellcheck: "false", required: true });
  const wrong = el("p", { class: "trouble", role: "alert", hidden: true });
  const form = el(
    "form",
    {
      class: "row",
      onsubmit(event) {
        event.preventDefault();
        const rooms = [...new Set(names.value.split(/[\s,]+/).filter(Boolean))];
        const bad = rooms.find((room) => !ROOM.test(room));
        wrong.hidden = rooms.length > 0 && rooms.length <= ROOMS_MAX && bad === undefined;
        say(wrong, bad === undefined ? `Give 1 to ${ROOMS_MAX} rooms.` : `${bad} can't be a room. ${ROOM_RULE}.`);
        if (wrong.hidden) confirmed(session, addToRooms(name, rooms), done);
      },
    },
    field("Rooms", names, "With spaces or commas between them."),
    el("button", { type: "submit" }, "Add …"),
  );
  return section("Add to rooms", form, wrong);
}
