/** Users: one by the name, several at once, and who is connected. */
import { blocks, EVERYTHING } from "./blocks.js";
import { el, field, put, say } from "./dom.js";
import { ago, count, duration } from "./format.js";
import { notAllowed, section, Table, userLink } from "./parts.js";
import { USER } from "./room.js";
import { listing } from "./rooms.js";

const MOST = 500;

export function users(context) {
  const { session, body } = context;
  context.entitle("Users");
  const parts = [looking(context)];
  const stops = [];
  if (session.may("rooms", "@")) {
    const prefix = el("input", { type: "search", autocomplete: "off", spellcheck: "false", maxlength: "127" });
    const list = listing(context, () => `@${prefix.value}`, {
      caption: "Connected users",
      columns: [
        { name: "User", cell: (each) => userLink(each.room.slice(1)) },
        { name: "Connections", number: true, cell: (each) => count(each.connections) },
      ],
      empty: "No connected user's name begins so.",
    });
    const form = el(
      "form",
      {
        class: "row",
        role: "search",
        onsubmit(event) {
          event.preventDefault();
          list.anew();
        },
      },
      field("Names begin with", prefix, "Upper and lower case count."),
      el("button", { type: "submit" }, "List"),
    );
    parts.push(section("Who is connected", form, list.element));
    stops.push(list.stop);
  } else parts.push(el("div", { class: "card" }, notAllowed("rooms:@*", "the list of connected users")));
  if (session.may("blocks", "@")) {
    const outcome = el("p", { class: "outcome", hidden: true });
    const out = blocks(context, EVERYTHING, {
      title: "Who is blocked",
      empty: "Nobody is kept out of everything.",
      done(text) {
        outcome.hidden = false;
        say(outcome, text);
        out.again();
      },
    });
    parts.unshift(outcome);
    parts.push(out.element);
    stops.push(out.stop);
  }
  put(body, ...parts);
  return () => stops.forEach((stop) => stop());
}

/** Since when a user is there, or was. */
export function since(status) {
  if (status.online) return status.since ? `online for ${duration((Date.now() - status.since) / 1_000)}` : "online";
  return status.last_seen ? `last seen ${ago(status.last_seen)}` : "offline";
}

function looking(context) {
  const { session } = context;
  const names = el("textarea", { rows: "2", spellcheck: "false", autocomplete: "off", required: true });
  const trouble = el("p", { class: "trouble", role: "alert", hidden: true });
  const table = new Table("Users that were looked up", [
    { name: "User", cell: (each) => userLink(each.user) },
    { name: "Status", cell: since },
    { name: "Connections", number: true, cell: (each) => count(each.connections ?? 0) },
  ]);
  table.element.hidden = true;
  const button = el("button", { type: "submit" }, "Look up");
  const form = el(
    "form",
    {
      async onsubmit(event) {
        event.preventDefault();
        const wanted = [...new Set(names.value.split(/[\s,]+/).filter(Boolean))];
        const wrong = wanted.find((name) => !USER.test(name));
        trouble.hidden = true;
        if (wrong !== undefined || wanted.length === 0 || wanted.length > MOST) {
          trouble.hidden = false;
          say(trouble, wrong === undefined ? `Give 1 to ${MOST} names.` : `${wrong} can't be a user's name.`);
          return;
        }
        if (wanted.length === 1) {
          location.hash = `#/user/${encodeURIComponent(wanted[0])}`;
          return;
        }
        button.disabled = true;
        try {
          const found = await session.api.post("status", { users: wanted });
          table.element.hidden = false;
          table.show(found.users, (each) => each.user);
        } catch (error) {
          if (error.status === 401) context.lost(error);
          trouble.hidden = false;
          say(trouble, error.message);
        } finally {
          button.disabled = false;
        }
      },
    },
    field("Names", names, `One opens the user; several (up to ${MOST}, with spaces or commas between them) are listed.`),
    el("p", { class: "buttons" }, button),
  );
  return section("Look up users", form, trouble, table.element);
}
