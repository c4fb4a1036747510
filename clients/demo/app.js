/** The demo page: one room, two gateways, and a form that publishes like a backend. It wires the client to the page and decides nothing. */
import { WarrenClient } from "../js/warren.js";
import { Countdown } from "./countdown.js";
import { Earlier } from "./earlier.js";
import { MessageList, clock, element } from "./message_list.js";
import { News } from "./news.js";
import { PeopleList } from "./people.js";
import { Reading } from "./reading.js";
import { Ticks } from "./ticks.js";
import { newTraceparent } from "./traceparent.js";

const NAMES = ["Bramble", "Clover", "Fern", "Hazel", "Juniper", "Moss", "Rowan", "Sorrel", "Thistle", "Willow"];
const TYPING_EVERY_MS = 2_000;
const TYPING_SHOWN_MS = 3_500;
const LOG_KEPT = 200;
const GAP = "Messages may be missing here: the server could not send those that arrived while you were away.";
const STATES = { idle: "not connected", connecting: "connecting …", waiting: "reconnecting …", closed: "not connected" };
/** Types that concern only the connection: they are shown in its log. */
const SYSTEM = new Set([
  "WELCOME", "JOINED", "LEFT", "ACK", "RECEIPT", "PONG", "ERROR", "PRESENCE", "RECONNECT", "DEGRADED", "RESTORED", "AUTHENTICATED",
  "HISTORY", "RESPONSE", "ACCEPTED", "DROPPED",
]); // prettier-ignore

const at = (id) => document.getElementById(id);
const messages = new MessageList(at("feed"));
const people = new PeopleList(at("people"));
const ticks = new Ticks();
const news = new News(at("news"));
const countdown = new Countdown(at("retry"), at("countdown"), at("retry-now"), () => client?.connect().catch(() => {}));
const earlier = new Earlier(at("earlier"), messages, (before, limit) => client.history(room, before === null ? { limit } : { before, limit }));
const reading = new Reading(at("feed"), (position) => rosterThatTellsSeen() && client.seen(room, position));
const typists = new Map(); // name ▶ the timer that forgets it
let client = null;
let room = null;
let typedAt = -Infinity;
let targetChosen = false; // the user has typed a target into the form
let reason = null; // the server's last error text, because a close code alone says little

// ── initial values ────────────────────────────────────────────────────────────────────────────────────

const asked = new URLSearchParams(location.search);
at("name").value = asked.get("name") ?? NAMES[Math.floor(Math.random() * NAMES.length)];
at("room").value = asked.get("room") ?? at("room").value;

async function gateways() {
  const known = [];
  try {
    const answer = await fetch("demo/config.json");
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    const config = await answer.json();
    known.push(...config.gateways);
    if (config.notify === false) noForm();
    offer(config.services ?? []);
  } catch (error) {
    complain(`The list of gateways could not be read (${error.message}); using this page's own.`);
    known.push(location.host);
  }
  const extra = asked.get("gateway");
  return extra && !known.includes(extra) ? [...known, extra] : known;
}

// ── the connection ──────────────────────────────────────────────────────────────────────────────────────────────────────

at("name").addEventListener("input", checkName);
at("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  leave();
  enter(at("name").value.trim(), at("gateway").value, at("room").value.trim());
});
at("disconnect").addEventListener("click", leave);

/** The server checks the whole rule; this catches the most common mistake before it is asked. */
function checkName() {
  const hasBlank = /\s/.test(at("name").value.trim());
  at("name").setCustomValidity(hasBlank ? "A name can't contain spaces. Try ann-lee or ann.lee" : "");
}

function enter(name, gateway, chosen) {
  complain(null);
  reason = null;
  messages.clear();
  room = chosen;
  earlier.enter(room);
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  client = new WarrenClient(`${scheme}://${gateway}/ws`, { user: name });
  listen(client, gateway);
  client.connect().catch(() => {}); // the close event reports it
  client.join(room, { presence: true }).catch((error) => {
    if (error.code !== "closed") complain(`You can't join ${chosen}: ${error.message}`);
  });
  follow(client, client.presence(room));
  at("disconnect").disabled = false;
  for (const id of ["text", "send"]) at(id).disabled = false;
  at("text").placeholder = `Write to ${room}`;
  at("text").focus();
}

function leave() {
  client?.leave(room).catch(() => {}); // without this, the others see the name for a few seconds more, in case it comes back
  client?.close();
  client = null;
  people.clear();
  countdown.stop();
  earlier.enter(null);
  at("ask-now").disabled = true;
  for (const id of ["text", "send", "disconnect"]) at(id).disabled = true;
  for (const timer of typists.values()) clearTimeout(timer);
  typists.clear();
  showTypists();
  showFacts();
}

/** Show who is in the room, and who has seen what; a name that the server refuses has none. */
function follow(it, roster) {
  roster?.on("change", () => {
    if (it !== client) return;
    people.show(roster, it.user);
    reading.look(); // now the room may tell who has seen what
  });
  roster?.on("seen", () => it === client && ticks.seen(roster));
}

/** The room's roster; null if the room does not tell who has seen what: it would refuse a message that asks for that. */
function rosterThatTellsSeen() {
  const roster = client?.presence(room);
  return roster?.tellsSeen ? roster : null;
}

function listen(it, gateway) {
  const mine = (listener) => (value) => it === client && listener(value);
  it.on("state", mine((state) => {
    if (state !== "waiting") countdown.stop();
    at("ask-now").disabled = state !== "open";
    light(state, state === "open" ? `connected to ${gateway}` : STATES[state]);
  }));
  it.on("open", mine((welcome) => {
    log(`connected to ${gateway} as ${welcome.user}`);
    if (at("trouble").dataset.of === "connection") complain(null);
    reason = null;
  }));
  it.on("close", mine(({ code, reason: text, reconnect, delayMs }) => {
    log(`closed: ${code} ${text}${reconnect ? `; reconnecting in ${(delayMs / 1000).toFixed(1)} s` : ""}`, true);
    if (reconnect) return countdown.start(delayMs);
    complain(`The connection was closed: ${reason ?? `${code} ${text}`}`);
    leave();
  }));
  it.on("error", mine((error) => {
    log(`${error.code}: ${error.message}`, true);
    reason = error.message;
    if (error.code === "never_opened") complain(`${error.message}. Still trying.`, "connection");
    else if (!error.retry) complain(`${error.code}: ${error.message}`);
  }));
  it.on("gap", mine(({ room: of, since, position }) => {
    log(`messages of ${of} may be missing: last seen: ${placeOf(since)}; now: ${placeOf(position)}`, true);
    // if the room was empty before and is empty now, there is no place to mark
    if (of === room && (since?.seq || position.seq)) messages.divide(GAP);
  }));
  it.on("JOINED", mine((frame) => {
    const { seq, recovered, missed } = frame.payload;
    log(`joined ${frame.room} at seq ${seq}${recovered ? `; ${missed} missed messages follow` : ""}`);
    if (frame.room === room) earlier.at(frame.payload);
    showFacts();
  }));
  it.on("DEGRADED", mine(() => light("degraded", `${gateway} has lost its broker; messages are waiting`)));
  it.on("RESTORED", mine(() => light("open", `connected to ${gateway}`)));
  it.on("DROPPED", mine((frame) => {
    const { count } = frame.payload;
    if (frame.room === room) messages.divide(`${count} messages were left out here, because this page read too slowly.`);
  }));
  it.on("RECONNECT", mine((frame) => log(`the server asks to reconnect in ${frame.payload.after_ms} ms`)));
  it.on("*", mine((message) => {
    if (SYSTEM.has(message.type)) return;
    if (message.type === "TYPING") return typed(message.sender);
    if (message.type === "CHAT") forget(message.sender);
    const row = messages.show(message, room);
    if (row.dataset.seq) reading.watch(row);
    if (message.sender !== it.user) news.tell(message.sender ?? "a backend", row.querySelector(".said").textContent);
    showFacts();
  }));
}

/** A position in words. A new epoch means that the room's log was lost, as after a restart without a broker. */
function placeOf(position) {
  return position ? `seq ${position.seq} of epoch ${position.epoch}` : "nothing";
}

// ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

at("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = at("text").value.trim();
  if (!text || !client) return;
  at("text").value = "";
  typedAt = -Infinity;
  const traceparent = newTraceparent(at("sampled").checked);
  const row = messages.sending(client.user ?? at("name").value, { text }, traceparent);
  const roster = rosterThatTellsSeen();
  const receipt = roster ? "written" : undefined;
  try {
    const ack = await client.send("CHAT", room, { text }, { traceparent, receipt });
    messages.accepted(row, ack);
    ticks.add(row, ack, roster);
    showFacts();
  } catch (error) {
    messages.failed(row, error.message);
  }
});

at("text").addEventListener("input", () => {
  if (!client || Date.now() - typedAt < TYPING_EVERY_MS || !at("text").value) return;
  typedAt = Date.now();
  client.send("TYPING", room, true);
});

function typed(name) {
  if (!name) return;
  clearTimeout(typists.get(name));
  typists.set(name, setTimeout(() => forget(name), TYPING_SHOWN_MS));
  showTypists();
}

function forget(name) {
  clearTimeout(typists.get(name));
  if (typists.delete(name)) showTypists();
}

function showTypists() {
  const names = [...typists.keys()];
  const text = names.length > 3 ? `${names.length} people are typing …` : `${names.join(", ")} ${names.length > 1 ? "are" : "is"} typing …`;
  at("typing").textContent = names.length ? text : "";
}

// ── notify like a backend ────────────────────────────────────────────────────────────────────────────────────────────────────────

at("kind").addEventListener("change", () => {
  targetChosen = false;
  showTarget();
});
at("target").addEventListener("input", () => (targetChosen = true));

function showTarget() {
  const kind = at("kind").value;
  const standard = { room: at("room").value, user: at("name").value, conn: client?.connection ?? "", all: "" };
  at("target-label").style.visibility = kind === "all" ? "hidden" : "visible";
  at("target").required = kind !== "all";
  at("target").value = standard[kind];
}

at("notify").addEventListener("submit", async (event) => {
  event.preventDefault();
  const note = at("notified");
  const tell = (text, bad) => {
    note.textContent = text;
    note.classList.toggle("bad", bad);
  };
  let payload;
  try {
    payload = JSON.parse(at("payload").value);
  } catch (error) {
    return tell(`The payload is not valid JSON: ${error.message}`, true);
  }
  const body = { to: at("kind").value, name: at("target").value.trim(), type: at("type").value.trim(), payload };
  try {
    const answer = await fetch("demo/notify", {
      method: "POST",
      headers: { "Content-Type": "application/json", traceparent: newTraceparent(at("sampled").checked) },
      body: JSON.stringify(body),
    });
    const isJson = answer.headers.get("Content-Type")?.startsWith("application/json");
    if (!isJson) return tell(`This page's server can't publish (${answer.status} ${answer.statusText}).`, true);
    const result = await answer.json();
    tell(answer.ok ? `Published with the routing key ${result.key}` : result.error, !answer.ok);
  } catch (error) {
    tell(`The page's server does not answer: ${error.message}`, true);
  }
});

/** The server of this page can't publish. The form stays visible and says where it works. */
function noForm() {
  for (const field of at("notify").elements) field.disabled = true;
  at("notified").textContent = "This page's server can't publish. `make run` and `make run-rabbit` can; docs/backends.md explains how backends do it.";
}

// ── ask a service ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** The services that this installation is known to have; the form is there only if there is one. */
function offer(services) {
  at("services").hidden = services.length === 0;
  at("service").value = services[0] ?? "";
}

at("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const note = at("answer");
  const tell = (text, bad) => {
    note.textContent = text;
    note.classList.toggle("bad", bad);
  };
  if (!client) return;
  let question;
  try {
    question = JSON.parse(at("question").value);
  } catch (error) {
    return tell(`The request is not valid JSON: ${error.message}`, true);
  }
  tell("waiting for the answer …", false);
  const began = performance.now();
  try {
    const answer = await client.request(at("service").value.trim(), question, { timeoutMs: 5_000 });
    tell(`${JSON.stringify(answer)} after ${Math.round(performance.now() - began)} ms`, false);
  } catch (error) {
    tell(`${error.code ?? "error"}: ${error.message}`, true);
  }
});

// ── status ─────────────────────────────────────────────────────────────────────────────────────────────

function light(state, text) {
  at("status").dataset.state = state;
  at("status-text").textContent = text;
  showFacts();
}

function showFacts() {
  at("fact-connection").textContent = client?.connection ?? "–";
  at("fact-user").textContent = client?.user ?? "–";
  at("fact-rooms").textContent = client?.rooms.join(", ") || "–";
  const position = client?.position(room);
  at("position").textContent = position ? `seq ${position.seq} · epoch ${position.epoch}` : "";
  if (!targetChosen) showTarget();
}

function log(text, bad = false) {
  const line = element("li", bad ? "bad" : "");
  line.append(element("time", "", clock(Date.now())), element("span", "", text));
  at("log").append(line);
  while (at("log").children.length > LOG_KEPT) at("log").firstChild.remove();
  at("log").scrollTop = at("log").scrollHeight;
}

function complain(text, of = "") {
  at("trouble").dataset.of = of;
  at("trouble").hidden = text === null;
  at("trouble").textContent = text ?? "";
}

window.addEventListener("pagehide", () => client?.close());
checkName();
showTarget();
light("idle", STATES.idle);
for (const gateway of await gateways()) at("gateway").append(new Option(gateway, gateway));
// the gateway that serves this page, if a gateway does
const chosen = asked.get("gateway") ?? location.host;
if ([...at("gateway").options].some(({ value }) => value === chosen)) at("gateway").value = chosen;
at("connect").disabled = false;
document.body.dataset.ready = "yes";
