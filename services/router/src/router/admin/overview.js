/** The whole installation: figures, charts, routers, gateways and shards. */
import { Chart, drawAll, grid } from "./chart.js";
import { el, put, say } from "./dom.js";
import { bytes, count, counted, duration, lag, rate, time } from "./format.js";
import { notAllowed, Pager, section, Table, Tile, Trouble } from "./parts.js";
import { Poll } from "./poll.js";

const EVERY_MS = 2_000;
const LISTS_MS = 5_000;
const PAGE = 25;
const KEPT_MS = 600_000;
const SILENT_MS = 3_000; // of whom nothing was heard for so long

export function overview(context) {
  const { session, body } = context;
  context.entitle("Overview");
  if (!session.may("overview")) {
    put(body, el("div", { class: "card" }, notAllowed("overview", "this view")));
    return undefined;
  }
  const trouble = new Trouble(() => poll.now());
  const state = el("p", { class: "state" }, "Asking …");
  const tiles = {
    connections: new Tile("Connections"),
    users: new Tile("Users"),
    rooms: new Tile("Rooms"),
    members: new Tile("Members"),
    in_rate: new Tile("Messages in"),
    out_rate: new Tile("Messages out"),
    error_rate: new Tile("Errors"),
    gateways: new Tile("Gateways"),
  };
  const charts = [
    new Chart("Connections", [
      { name: "connections", of: (sample) => sample.connections },
      { name: "users", of: (sample) => sample.users },
    ], count),
    new Chart("Messages a second", [
      { name: "in", of: (sample) => sample.in_rate },
      { name: "out", of: (sample) => sample.out_rate },
    ], rate),
    new Chart("Rooms", [
      { name: "rooms", of: (sample) => sample.rooms },
      { name: "members", of: (sample) => sample.members },
    ], count),
    new Chart("Lag", [
      { name: "gateways", of: (sample) => sample.gateway_lag_ms },
      { name: "routers", of: (sample) => sample.router_lag_ms },
    ], (value) => lag(Math.round(value))),
  ];
  const routers = new Table("Routers", ROUTERS);
  const [gateways, shards] = [lists(context, "gateways", GATEWAYS, "gateway"), lists(context, "shards", SHARDS, "shard")];
  const notes = el("p", { class: "hint" });
  put(
    body,
    trouble.element,
    state,
    el("dl", { class: "tiles" }, ...Object.values(tiles).map((tile) => tile.element)),
    el("section", { "aria-label": "The last ten minutes" }, el("h2", {}, "The last ten minutes"), grid(charts)),
    section("Routers", routers.element),
    section("Gateways", gateways.element),
    section("Shards", shards.element),
    notes,
  );
  say(notes, NOTES);

  let samples = [];
  const poll = new Poll(
    EVERY_MS,
    async (signal) => {
      const [now, more] = await Promise.all([
        session.api.get("overview", {}, signal),
        session.api.get("samples", { after: samples.at(-1)?.at ?? 0 }, signal),
      ]);
      samples = joined(samples, more.samples);
      for (const [name, tile] of Object.entries(tiles)) tile.show(name.endsWith("_rate") ? `${rate(now[name])} / s` : count(now[name]));
      show(state, now);
      routers.show(now.routers, (router) => router.router);
      drawAll(charts, samples, more.every_ms);
    },
    (error, wait) => {
      if (error?.status === 401) context.lost(error);
      else trouble.show(error, wait);
      state.hidden = Boolean(error); // what was well a while ago need not be now
    },
  );
  return () => {
    poll.stop();
    gateways.stop();
    shards.stop();
  };
}

/** Samples of several routers, which are of the same moments, each moment once. */
export function joined(known, more) {
  const last = known.at(-1)?.at ?? 0;
  const all = [...known, ...more.filter((sample) => sample.at > last)];
  const from = (all.at(-1)?.at ?? 0) - KEPT_MS;
  return all.filter((sample) => sample.at > from);
}

const BROKER = {
  up: "",
  blocked: "The broker holds back what is published (a memory or disk alarm): messages wait until it ends.",
  away: "The router that answers has lost the broker: what is shown is as of before, and messages wait.",
};

/** What is wrong with the installation, in words; or that nothing is. */
function show(state, now) {
  const wrong = [BROKER[now.broker]];
  if (now.gateways === 0) wrong.push("No gateway lives: no client can connect.");
  if (now.silent_shards.length > 0) {
    const which = now.silent_shards.slice(0, 10).join(", ");
    const more = now.silent_shards.length > 10 ? " …" : "";
    wrong.push(
      `Nobody speaks for ${counted(now.silent_shards.length, "shard")} (${which}${more}): messages to their rooms wait until a router takes over.`,
    );
  }
  for (const { router, heard_ms: heard } of now.routers) {
    if (heard > SILENT_MS) wrong.push(`The router ${router} has not been heard for ${duration(heard / 1_000)}.`);
  }
  const found = wrong.filter(Boolean);
  state.className = found.length ? "state bad" : "state";
  say(state, found.length ? found.join(" ") : `All ${counted(now.shards, "shard")} are spoken for, and the broker takes what is published. As of ${time(now.at)}.`);
}

const NOTES =
  "Every router hears the heartbeats of all gateways and routers, so these are the figures of the whole installation, whichever router answers; each keeps those of ten minutes. " +
  "Lag: how old the oldest message was that came there in the last two seconds, from when it was sent. Waiting: entries of logs that wait to be sent. " +
  "Clocks of machines may differ.";

const heard = (each) => `${(each.heard_ms / 1_000).toFixed(1)} s ago`;
const ROUTERS = [
  { name: "Router", cell: (each) => (each.answers ? `${each.router} (answers)` : each.router) },
  { name: "Heard", number: true, cell: heard },
  { name: "Speaks for", number: true, cell: (each) => counted(each.speaks, "shard") },
  { name: "Stands by for", number: true, cell: (each) => count(Math.max(0, each.reads - each.speaks)) },
  { name: "Behind", number: true, cell: (each) => count(each.behind) },
  { name: "Lag", number: true, cell: (each) => lag(each.lag_ms) },
  { name: "Waiting", number: true, cell: (each) => count(each.waiting) },
  { name: "Broker", cell: (each) => ({ up: "up", blocked: "holds back", away: "away" })[each.broker] },
  { name: "Memory", number: true, cell: (each) => bytes(each.memory) },
  { name: "Runs for", number: true, cell: (each) => duration(each.uptime) },
];
const GATEWAYS = [
  { name: "Gateway", cell: (each) => each.gateway },
  { name: "Heard", number: true, cell: heard },
  { name: "Connections", number: true, cell: (each) => count(each.connections) },
  { name: "In / s", number: true, cell: (each) => rate(each.in_rate) },
  { name: "Out / s", number: true, cell: (each) => rate(each.out_rate) },
  { name: "Errors / s", number: true, cell: (each) => rate(each.error_rate) },
  { name: "Lag", number: true, cell: (each) => lag(each.lag_ms) },
  { name: "Waiting", number: true, cell: (each) => count(each.waiting) },
  { name: "Memory", number: true, cell: (each) => bytes(each.memory) },
  { name: "Runs for", number: true, cell: (each) => duration(each.uptime) },
];
const SHARDS = [
  { name: "Shard", cell: (each) => String(each.shard) },
  { name: "Spoken for by", cell: (each) => each.speakers.join(", ") || "nobody" },
  { name: "Stands by", cell: (each) => each.standbys.join(", ") || "–" },
  { name: "Behind", number: true, cell: (each) => count(each.behind) },
  { name: "Rooms", number: true, cell: (each) => count(each.rooms) },
  { name: "Members", number: true, cell: (each) => count(each.members) },
  { name: "Users", number: true, cell: (each) => count(each.users) },
  { name: "Entry", number: true, cell: (each) => (each.offset === undefined ? "–" : count(each.offset)) },
];

/** A list of the API in pages, asked again from time to time. */
function lists(context, verb, columns, key) {
  const table = new Table(verb[0].toUpperCase() + verb.slice(1), columns);
  const pager = new Pager(() => poll.now());
  const trouble = new Trouble(() => poll.now());
  const poll = new Poll(
    LISTS_MS,
    async (signal) => {
      const page = await context.session.api.get(verb, { limit: PAGE, cursor: pager.cursor }, signal);
      table.show(page[verb], (each) => each[key]);
      pager.came(page.next);
    },
    (error, wait) => trouble.show(error?.status === 401 ? null : error, wait),
  );
  return { element: el("div", {}, trouble.element, table.element, pager.element), stop: () => poll.stop() };
}
