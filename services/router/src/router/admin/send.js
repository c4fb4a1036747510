/** A message to a room, a user, a connection or everyone, with its receipt. */
import { newId } from "./api.js";
import { announce, el, field, put, say } from "./dom.js";
import { count, counted } from "./format.js";
import { notAllowed, section } from "./parts.js";

const WAIT_MS = 3_000;
const KINDS = [
  ["room", "a room"],
  ["user", "a user"],
  ["conn", "a connection"],
  ["all", "everyone"],
];
const RECEIPTS = [
  ["accepted", "its place in the room"],
  ["written", "until gateways have written it"],
  ["seen", "until it was seen"],
  ["", "nothing"],
];

export function send(context) {
  const { session, body } = context;
  context.entitle("Send");
  const allowed = session.may("publish") || session.may("broadcast");
  put(body, section("A message, as a backend sends it", allowed ? sending(context, "", {}) : notAllowed("publish", "to send")));
}

/** The form; `address` is where it goes, empty: its user says so. */
export function sending(context, address, { then = () => {} }) {
  const { session } = context;
  const kinds = KINDS.filter(([kind]) => session.may(kind === "all" ? "broadcast" : "publish"));
  const kind = el("select", {}, ...kinds.map(([value, text]) => el("option", { value }, text)));
  const name = el("input", { type: "text", autocomplete: "off", spellcheck: "false", maxlength: "128" });
  const named = field("Name", name);
  kind.addEventListener("change", () => {
    named.hidden = kind.value === "all";
  });
  const type = el("input", { type: "text", autocomplete: "off", spellcheck: "false", maxlength: "64", value: "NOTIFICATION" });
  const payload = el("textarea", { rows: "3", spellcheck: "false", required: true });
  payload.value = '{"text": "…"}';
  const receipt = el("select", {}, ...RECEIPTS.map(([value, text]) => el("option", { value }, text)));
  const outcome = el("p", { class: "outcome", hidden: true });
  const trouble = el("p", { class: "trouble", role: "alert", hidden: true });
  const button = el("button", { type: "submit", class: "main" }, "Send");
  let sent = { text: "", id: "" }; // what is sent again without a change counts once
  return el(
    "form",
    {
      async onsubmit(event) {
        event.preventDefault();
        outcome.hidden = trouble.hidden = true;
        const where = address || (kind.value === "all" ? "all" : `${kind.value}.${name.value.trim()}`);
        let body;
        try {
          body = { address: where, type: type.value.trim(), payload: JSON.parse(payload.value) };
        } catch (error) {
          trouble.hidden = false;
          say(trouble, `The payload is no JSON: ${error.message}. A text stands in double quotes.`);
          payload.focus();
          return;
        }
        if (receipt.value) Object.assign(body, { wait_ms: WAIT_MS, receipt: receipt.value });
        if (!body.type) delete body.type;
        const text = JSON.stringify(body);
        if (sent.text !== text) sent = { text, id: newId() };
        button.disabled = true;
        try {
          const answer = await session.api.post("publish", { ...body, id: sent.id });
          sent = { text: "", id: "" };
          outcome.hidden = false;
          say(outcome, told(answer));
          announce(told(answer));
          then();
        } catch (error) {
          if (error.status === 401) context.lost(error);
          trouble.hidden = false;
          say(trouble, error.message);
        } finally {
          button.disabled = false;
        }
      },
    },
    address ? null : el("div", { class: "row" }, field("To", kind), named),
    el("div", { class: "row" }, field("Type", type), field("Wait for", receipt)),
    field("Payload (JSON)", payload),
    trouble,
    outcome,
    el("p", { class: "buttons" }, button),
  );
}

/** A receipt in words. */
export function told(answer) {
  const parts = [`It is in the log under the id ${answer.id}.`];
  if (answer.duplicate) parts.push("It had been sent before, and counts once.");
  if (answer.seq !== undefined) parts.push(`Its number is ${count(answer.seq)}.`);
  if (answer.connections !== undefined) {
    const users = answer.users === undefined ? "" : `${counted(answer.users, "user")} with `;
    parts.push(answer.connections ? `${users}${counted(answer.connections, "connection")} were there.` : "Nobody was there.");
  }
  if (answer.written !== undefined) {
    const lost = answer.lost ? `, ${counted(answer.lost, "gateway")} died before that` : "";
    parts.push(`${counted(answer.written, "gateway")} of ${count(answer.gateways ?? answer.written)} has written it${lost}.`);
  }
  if (answer.seen !== undefined) parts.push(`Seen by ${count(answer.seen)} of ${counted(answer.readers ?? answer.seen, "user")}.`);
  if (answer.complete === false) parts.push("Not all was known in time; it reaches its members all the same.");
  return parts.join(" ");
}
