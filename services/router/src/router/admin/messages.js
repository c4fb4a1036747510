/** The messages of one room, the latest first, and what became of one of them. */
import { el, field, put, say } from "./dom.js";
import { count, counted, time } from "./format.js";
import { notAllowed, section, Table, Trouble, userLink } from "./parts.js";

const PAGE = 10;
const SHORT = 600; // characters of a payload that are shown at first
const STATES = {
  counted: "all counted",
  partly: "there may be more",
  behind: "not there yet",
  forgotten: "not kept any more",
  gone: "has ended",
  silent: "has not answered",
};

export function messages(context, room) {
  const { session } = context;
  const list = el("ol", { class: "messages" });
  const stop = new AbortController();
  const none = el("p", { class: "quiet", hidden: true }, "No message is kept.");
  const position = el("p", { class: "quiet" });
  const trouble = new Trouble(() => again());
  let before = 0;
  const older = el("button", { type: "button", onclick: () => read(before) }, "Older");
  const refresh = el("button", { type: "button", onclick: () => again() }, "Latest");

  async function read(from) {
    older.disabled = refresh.disabled = true;
    try {
      const fields = { address: `room.${room}`, limit: PAGE, before: from };
      const page = await session.api.get("history", fields, stop.signal);
      const found = page.messages.map((each) => message(session, room, each, stop.signal)).reverse();
      if (from) list.append(...found);
      else put(list, ...found);
      before = page.messages[0]?.seq ?? before;
      older.hidden = !page.more;
      none.hidden = list.children.length > 0;
      say(position, page.epoch ? `The last message has the number ${count(page.seq)}, in the epoch ${page.epoch}.` : "");
      trouble.show(null);
      if (from) found[0]?.focus();
    } catch (error) {
      if (stop.signal.aborted) return;
      if (error.status === 401) context.lost(error);
      else trouble.show(error);
    } finally {
      older.disabled = refresh.disabled = false;
    }
  }
  const again = () => read(0);
  again();
  const explaining = session.may("explain", room)
    ? finding(session, room, stop.signal)
    : notAllowed(`explain:${room}`, "what became of a message");
  return {
    element: section("Messages", position, trouble.element, none, list, el("p", { class: "buttons" }, refresh, older), explaining),
    stop: () => stop.abort(),
    again,
  };
}

function message(session, room, each, signal) {
  const shown = pretty(each);
  const payload = el("pre", { tabindex: "0" }, shown.slice(0, SHORT));
  const rest = shown.length > SHORT
    ? el("button", { type: "button", class: "plain", onclick: (event) => {
        say(payload, shown);
        event.currentTarget.remove();
        payload.focus();
      } }, `Show all ${counted(shown.length, "character")}`)
    : null;
  const result = el("div", { class: "explained" });
  const explain = each.id && session.may("explain", room)
    ? el("button", { type: "button", class: "plain", "aria-label": `Explain message ${each.seq}`, onclick: () => explained(session, room, each.id, each.sender, result, signal) }, "Explain")
    : null;
  return el(
    "li",
    { tabindex: "-1" },
    el(
      "p",
      { class: "message-head" },
      el("b", {}, String(each.seq)),
      el("span", {}, each.type),
      each.sender ? userLink(each.sender) : el("span", {}, "a backend"),
      el("time", { datetime: new Date(each.timestamp).toISOString() }, time(each.timestamp)),
      each.id ? el("code", {}, each.id) : null,
      explain,
    ),
    payload,
    rest,
    result,
  );
}

function pretty({ payload, encoding }) {
  if (encoding) return `(bytes, in base64) ${payload}`;
  return typeof payload === "string" ? JSON.stringify(payload) : JSON.stringify(payload, null, 1).replace(/\n\s*/g, " ");
}

/** A form that finds a message by its id. */
function finding(session, room, signal) {
  const id = el("input", { type: "text", autocomplete: "off", spellcheck: "false", maxlength: "255", required: true });
  const sender = el("input", { type: "text", autocomplete: "off", spellcheck: "false", maxlength: "127" });
  const result = el("div", { class: "explained" });
  return el(
    "details",
    {},
    el("summary", {}, "Explain a message by its id"),
    el(
      "form",
      {
        class: "row",
        onsubmit(event) {
          event.preventDefault();
          explained(session, room, id.value, sender.value, result, signal);
        },
      },
      field("Id", id),
      field("Sender (empty: a backend)", sender),
      el("button", { type: "submit" }, "Explain"),
    ),
    result,
  );
}

async function explained(session, room, id, user, place, signal) {
  put(place, el("p", { class: "quiet", role: "status" }, "Asking the gateways …"));
  try {
    const fields = { address: `room.${room}`, id, ...(user ? { user } : {}) };
    put(place, ...shown(await session.api.get("explain", fields, signal)));
  } catch (error) {
    if (!signal.aborted) put(place, el("p", { class: "trouble", role: "alert" }, error.message));
  }
}

function shown(found) {
  const accepted = found.accepted_at ? ` was accepted at ${time(found.accepted_at)} and` : "";
  const size = found.bytes === undefined ? "" : ` Its payload has ${counted(found.bytes, "byte")}.`;
  const lines = [`Message ${found.id}${accepted} has the number ${found.seq}.${size}`];
  if (found.gateways?.length === 0) lines.push("Nobody was in the room, so it was for no gateway.");
  if (found.written !== undefined) {
    const others = [
      found.withheld ? `${count(found.withheld)} read too slowly or had gone` : "",
      found.expired ? `for ${count(found.expired)} it had expired` : "",
    ].filter(Boolean);
    lines.push(`Written to ${counted(found.written, "connection")}${others.length ? `; ${others.join("; ")}` : ""}.`);
  }
  if (found.unknown?.length) lines.push(`Not known (any more): ${found.unknown.join(", ")}.`);
  const parts = lines.map((line) => el("p", {}, line));
  if (found.gateways?.length) {
    const table = new Table("What became of it on each gateway", GATEWAYS);
    table.show(found.gateways, (each) => each.gateway);
    parts.push(table.element);
  }
  return [el("div", { role: "status" }, ...parts)];
}

const known = (value) => (value === undefined ? "–" : count(value));
const GATEWAYS = [
  { name: "Gateway", cell: (each) => each.gateway },
  { name: "State", cell: (each) => STATES[each.state] ?? each.state },
  { name: "Written", number: true, cell: (each) => known(each.written) },
  { name: "Withheld", number: true, cell: (each) => known(each.withheld) },
  { name: "Expired", number: true, cell: (each) => known(each.expired) },
];
