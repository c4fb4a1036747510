/**
 * What changes who is where: each is asked for again, in words that say whom it meets and what they will see.
 * A command has an id of its own from the moment it is asked for, so doing it again after a failure counts
 * once.
 */
import { newId } from "./api.js";
import { announce, el, field, put, say } from "./dom.js";
import { counted, time } from "./format.js";

const dialog = document.getElementById("confirm");

const UNTIL = [
  ["900000", "15 minutes"],
  ["3600000", "1 hour"],
  ["86400000", "1 day"],
  ["604800000", "7 days"],
  ["0", "until it is lifted"],
];
const FOR_HOW_LONG = ["For how long", UNTIL];

const VALID_FOR = [
  ["3600000", "1 hour"],
  ["86400000", "1 day"],
  ["604800000", "7 days"],
  ["2592000000", "30 days"],
  ["0", "longer, or I don't know"],
];

let dismissed = () => {};
/** Put the question away that stands there, if any: nothing is done by it any more. */
export function dismiss() {
  dismissed();
}

/**
 * Ask, and do it. `what`: {title, lines: what will happen, button, verb, body, done: (answer) ▶ text,
 * reason?, until?: [label, choices]}. `then` is told what came of it when it was done.
 */
export function confirmed(session, what, then = () => {}) {
  dismiss();
  const opener = document.activeElement;
  const id = newId();
  const form = dialog.querySelector("form");
  const [no, yes] = dialog.querySelectorAll("button");
  const trouble = dialog.querySelector(".trouble");
  const reason = el("input", { type: "text", maxlength: "100", autocomplete: "off" });
  const [untilLabel, choices] = what.until ?? ["", []];
  const until = el("select", {}, ...choices.map(([value, text]) => el("option", { value }, text)));
  say(dialog.querySelector("h2"), what.title);
  put(dialog.querySelector(".confirm-text"), ...what.lines.map((line) => el("p", {}, line)));
  put(
    dialog.querySelector(".confirm-fields"),
    what.until ? field(untilLabel, until) : null,
    what.reason ? field("Reason (clients see it)", reason) : null,
  );
  say(yes, what.button);
  yes.className = what.mild ? "main" : "danger";
  yes.disabled = false;
  trouble.hidden = true;

  const over = new AbortController();
  const { signal } = over;
  dismissed = () => {
    if (signal.aborted) return;
    over.abort();
    dialog.close();
    if (opener?.isConnected) opener.focus();
    else document.getElementById("main").focus();
  };
  const ask = async (event) => {
    event.preventDefault();
    yes.disabled = true;
    trouble.hidden = true;
    const body = { ...what.body, id };
    if (what.reason && reason.value.trim()) body.reason = reason.value.trim();
    if (what.until && until.value !== "0") body.until_ms = Date.now() + Number(until.value);
    try {
      const text = what.done(await session.api.post(what.verb, body));
      if (!signal.aborted) dismiss();
      announce(text);
      then(text);
    } catch (error) {
      if (signal.aborted) {  // its question is not there any more, but what came of it is to be known
        announce(error.message);
        then(error.message);
        return;
      }
      yes.disabled = false;
      trouble.hidden = false;
      say(trouble, error.message);
    }
  };
  no.addEventListener("click", dismiss, { signal });
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    dismiss();
  }, { signal });
  form.addEventListener("submit", ask, { signal });
  dialog.showModal();
  no.focus();
}

const met = (answer) => counted(answer.connections ?? 0, "connection");

export function disconnectUser(user, connections) {
  const known = connections === undefined ? "" : ` (${counted(connections, "connection")} now)`;
  return {
    title: `Disconnect ${user}?`,
    lines: [
      `All connections of the user ${user}${known} will be closed with the code 4006, on every gateway.`,
      `Clients do not connect again by themselves after that, but ${user} may. To keep ${user} out, block.`,
    ],
    button: `Disconnect ${user}`,
    verb: "disconnect",
    body: { address: `user.${user}` },
    reason: true,
    done: (answer) => `${met(answer)} of ${user} closed.`,
  };
}

export function disconnectConnection(connection, user) {
  return {
    title: `Disconnect ${connection}?`,
    lines: [
      `This one connection of ${user} will be closed with the code 4006. Other connections of ${user} stay.`,
      `Its client does not connect again by itself after that, but ${user} may.`,
    ],
    button: "Disconnect it",
    verb: "disconnect",
    body: { address: `conn.${connection}` },
    reason: true,
    done: (answer) => `${met(answer)} closed.`,
  };
}

export function removeUser(room, user, connections) {
  return {
    title: `Remove ${user} from ${room}?`,
    lines: [
      `${user} will be taken out of the room ${room} with all connections (${counted(connections, "connection")} now), and stays connected.`,
      `${user} may join again. To keep ${user} out of the room, block.`,
    ],
    button: `Remove ${user}`,
    verb: "remove",
    body: { address: `room.${room}`, user },
    reason: true,
    done: (answer) => `${met(answer)} of ${user} taken out of ${room}.`,
  };
}

export function blockUser(user) {
  return {
    title: `Block ${user}?`,
    lines: [
      `All connections of the user ${user} will be closed, and ${user} can't connect again until the block ends.`,
      "It holds whatever restarts meanwhile.",
    ],
    button: `Block ${user}`,
    verb: "block",
    body: { address: `user.${user}` },
    reason: true,
    until: FOR_HOW_LONG,
    done: (answer) => `${user} is blocked; ${met(answer)} closed.`,
  };
}

export function blockInRoom(room, user) {
  return {
    title: `Block ${user} in ${room}?`,
    lines: [
      `${user} will be taken out of the room ${room}, and can't join it again until the block ends.`,
      `${user} stays connected, and in other rooms.`,
    ],
    button: `Block ${user} here`,
    verb: "block",
    body: { address: `room.${room}`, user },
    reason: true,
    until: FOR_HOW_LONG,
    done: (answer) => `${user} is blocked in ${room}; ${met(answer)} taken out.`,
  };
}

export function addToRooms(user, rooms) {
  const named = rooms.length > 5 ? `${counted(rooms.length, "room")}, ${rooms.slice(0, 5).join(", ")} and others` : rooms.join(", ");
  return {
    title: `Have ${user} join ${rooms.length === 1 ? rooms[0] : counted(rooms.length, "room")}?`,
    lines: [
      `All present connections of ${user} will join ${named}, whatever their tokens allow.`,
      "Connections that come later do not.",
    ],
    button: `Have ${user} join`,
    verb: "add",
    body: { address: `user.${user}`, rooms },
    mild: true,
    done: (answer) => `${met(answer)} of ${user} joined.`,
  };
}

export function revokeTokens(user) {
  const before = Math.floor(Date.now() / 1_000) + 1; // a token of this very second is meant too
  return {
    title: `Revoke all tokens of ${user}?`,
    lines: [
      `Connections of ${user} that came by a token issued before ${time(before * 1_000)} (this computer's clock) will be closed, and no such token lets anybody in again.`,
      `${user} may come back with a new token. To keep ${user} out, block.`,
    ],
    button: `Revoke the tokens of ${user}`,
    verb: "revoke",
    body: { address: `user.${user}`, before_s: before },
    until: ["Tokens are valid for at most", VALID_FOR],
    done: (answer) => `Tokens of ${user} revoked; ${met(answer)} closed.`,
  };
}

const lifted = (answer, user, where) =>
  answer.lifted ? `${user} may come ${where} again.` : `${user} was not blocked there; nothing has changed.`;

export function unblockUser(user) {
  return {
    title: `Unblock ${user}?`,
    lines: [`The user ${user} may connect again. Blocks in single rooms stay: they are lifted in the room.`],
    button: `Unblock ${user}`,
    verb: "unblock",
    body: { address: `user.${user}` },
    mild: true,
    done: (answer) => lifted(answer, user, "in"),
  };
}

export function unblockInRoom(room, user) {
  return {
    title: `Unblock ${user} in ${room}?`,
    lines: [`The user ${user} may join the room ${room} again. A block of ${user} everywhere stays.`],
    button: `Unblock ${user} here`,
    verb: "unblock",
    body: { address: `room.${room}`, user },
    mild: true,
    done: (answer) => lifted(answer, user, `into ${room}`),
  };
}
