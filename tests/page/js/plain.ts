/** A page without a framework: a client as the address asks for it, and what its application has seen. Tests drive it by `window.page`. */
import { WarrenClient } from "warren-client";
import { sse } from "warren-client/sse";
import { indexedStore, openStorage, sessionStore } from "warren-client/storage";
import { tabs } from "warren-client/tabs";

const asked = new URLSearchParams(location.search);
const room = asked.get("room")!;
const kept = asked.get("kept");
const storage = kept ? await openStorage({ name: room, store: kept === "indexed" ? indexedStore() : sessionStore() }) : null;
const transport = asked.has("tabs") ? tabs({ name: room, patienceMs: 1_500 }) : asked.has("sse") ? sse({ upgradeMs: 2_000 }) : null;
const client = new WarrenClient(asked.get("url")!, {
  user: asked.get("user"),
  transport,
  parts: storage ? [storage] : [],
  backoffMs: 100,
  backoffCapMs: 1_000,
});
const page = {
  client,
  seen: [] as unknown[],
  faults: [] as string[],
  acked: [] as unknown[],
  restored: storage?.restored.map(({ payload }) => payload) ?? [],
  acks: [] as unknown[],
  say(payload: unknown) {
    void client.send("CHAT", room, payload).then(() => page.acked.push(payload), () => {});
  },
};
client.on("CHAT", (message) => page.seen.push(message.payload));
client.on("gap", () => page.faults.push("gap"));
client.on("error", ({ code, message }) => page.faults.push(`${code}: ${message}`));
for (const { payload, ack } of storage?.restored ?? []) void ack.then(() => page.acks.push(payload));
Object.assign(window, { page });
await client.connect();
await client.join(room);
document.title = "joined";
