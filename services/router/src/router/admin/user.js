/** One user: online or not, on which connections; and what can be done about it. */
import { blockUser, confirmed, disconnectUser, unblockUser } from "./actions.js";
import { el, put, say } from "./dom.js";
import { counted } from "./format.js";
import { notAllowed, section, Trouble } from "./parts.js";
import { Poll } from "./poll.js";
import { connections } from "./room.js";
import { sending } from "./send.js";
import { since } from "./users.js";

const EVERY_MS = 5_000;

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
  };
  const mayLook = session.may("status", own);
  const mayList = session.may("presence", own);
  const actions = [
    ["disconnect", "Disconnect all …", () => disconnectUser(name, now)],
    ["block", "Block …", () => blockUser(name)],
    ["unblock", "Unblock …", () => unblockUser(name)],
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
    session.may("publish", own) ? section("Send to this user", sending(context, `user.${name}`, {})) : "",
  );
  return () => poll?.stop();
}
