/**
 * The adapter between the conformance kit and the JavaScript client (docs/conformance.md): commands on stdin, what the application was
 * told on stdout. Run: node --experimental-websocket javascript.mjs [the client's module]
 */
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const module = process.argv[2] ? pathToFileURL(process.argv[2]).href : new URL("../../../clients/js/warren.js", import.meta.url).href;
const { WarrenClient } = await import(module);
const OWN = new Set(["WELCOME", "JOINED", "LEFT", "ACK", "ERROR", "HISTORY", "ACCEPTED", "PRESENCE", "RECEIPT", "DROPPED", "RECONNECT"]);
for (const type of ["DEGRADED", "RESTORED", "AUTHENTICATED", "PONG"]) OWN.add(type);

let client;
let giveToken = null;
const aborts = new Map();
const tell = (event, fields = {}) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
const failed = ({ code, retry, message }) => ({ ok: false, code, retry, message });

function connect({ url, user, token, tokens, times }) {
  client = new WarrenClient(url, {
    user: token || tokens ? undefined : user,
    token,
    getToken: tokens ? () => new Promise((give) => ((giveToken = give), tell("token"))) : undefined,
    backoffMs: times.backoff_ms,
    backoffCapMs: times.backoff_cap_ms,
    pingMs: times.ping_ms,
    pongTimeoutMs: times.pong_ms,
    ackTimeoutMs: times.ack_ms,
    gapMs: times.gap_ms,
    refreshBeforeMs: times.refresh_before_ms,
    connectTimeoutMs: times.welcome_ms ?? 10_000,
    fetch: () => Promise.reject(new Error("not asked")),
  });
  client.on("state", (state) => tell("state", { state }));
  client.on("gap", ({ room }) => tell("gap", { room }));
  client.on("left", ({ room, reason }) => tell("left", { room, reason }));
  client.on("DROPPED", ({ room, payload }) => tell("dropped", { room, count: payload?.count }));
  client.on("receipt", ({ id, level, complete, readers, seen }) => tell("receipt", { id, level, complete, readers, seen }));
  client.on("error", ({ code, message }) => tell("error", { code, message }));
  client.on("*", ({ type, room, seq, epoch, payload, sender, id, ref }) => {
    if (OWN.has(type) || (type === "RESPONSE" && ref !== undefined && seq === undefined)) return;
    const binary = payload instanceof Uint8Array;
    const value = binary ? Buffer.from(payload).toString("base64") : payload;
    tell("message", { type, room, seq, epoch, payload: value, sender, id, ...(binary && { encoding: "base64" }) });
  });
  client.connect().catch(() => {}); // the state says so
}

function showRoster(room, roster) {
  const show = () => {
    const users = [...roster].map(({ user }) => user).sort();
    tell("presence", { room, users, count: roster.count, seen: Object.fromEntries(roster.seen) });
  };
  roster.on("change", show);
  roster.on("seen", show);
  show();
}

const commands = {
  connect,
  token: ({ token }) => giveToken(token),
  join({ room, presence }) {
    client.join(room, presence ? { presence } : {}).then(
      (joined) => {
        tell("joined", { room, ok: true, recovered: joined.recovered });
        if (joined.presence) showRoster(room, joined.presence);
      },
      (error) => tell("joined", { room, ...failed(error) }),
    );
  },
  leave: ({ room }) => client.leave(room).catch(() => {}),
  send({ tag, type, room, payload, encoding, receipt }) {
    const value = encoding === "base64" ? new Uint8Array(Buffer.from(payload, "base64")) : payload;
    client.send(type, room, value, { receipt }).then(
      (ack) => tell("sent", { tag, ok: true, seq: ack?.seq, epoch: ack?.epoch, id: ack?.id }),
      (error) => tell("sent", { tag, ...failed(error) }),
    );
  },
  request({ tag, service, payload, timeout_ms: timeoutMs, durable }) {
    const abort = new AbortController();
    aborts.set(tag, abort);
    const onPart = (part, n) => tell("part", { tag, payload: part, n });
    client.request(service, payload, { timeoutMs, durable, onPart, signal: abort.signal }).then(
      (answer) => tell("answer", { tag, ok: true, payload: answer }),
      (error) => tell("answer", { tag, ...failed(error) }),
    );
  },
  cancel: ({ tag }) => aborts.get(tag).abort(),
  seen: ({ room, epoch, seq }) => client.seen(room, { epoch, seq }),
  watch({ users }) {
    const contacts = client.contacts(users);
    contacts.on("online", (user) => tell("contact", { user, online: true }));
    contacts.on("offline", (user) => tell("contact", { user, online: false }));
  },
  history({ tag, room, before, limit }) {
    client.history(room, { before, limit }).then(
      ({ messages, more }) => tell("history", { tag, ok: true, messages: messages.map(({ seq, payload }) => ({ seq, payload })), more }),
      (error) => tell("history", { tag, ...failed(error) }),
    );
  },
  close: () => client.close(),
};

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
});
lines.on("close", () => process.exit(0));
tell("ready", { name: "warren.js", capabilities: ["contacts", "durable", "grants", "history", "presence", "receipts", "requests", "seen", "tokens"] });
