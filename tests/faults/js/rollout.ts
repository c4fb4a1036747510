/**
 * Clients that talk in one room while gateways and routers are replaced: by WebSocket, by event stream, and pages with storage that are
 * reloaded all the time. Arguments: the gateways' ports with commas between them, and the kinds of clients. They talk until the input ends
 * and each has said enough; then it waits until all is heard, and prints for each client what its application has seen.
 */
import { WarrenClient } from "../../../clients/js/src/index.js";
import { sse } from "../../../clients/js/src/sse.js";
import { openStorage } from "../../../clients/js/src/storage.js";
import type { Dial, Message, Socket } from "../../../clients/js/src/types.js";

const [ports, kinds] = process.argv.slice(2).map((each) => each.split(",")) as [string[], string[]];
const ROOM = "rollout";
const EVERY_MS = 150;
const RELOAD_MS = 1_300;
const MESSAGES = 21; // each says as many at least
const RELOADS = 3; // and a page is loaded again so often
const pause = (ms: number) => new Promise((then) => setTimeout(then, ms));
let isOver = false;
process.stdin.on("end", () => (isOver = true)).resume();

/** No WebSocket opens here. */
class Blocked {
  onclose: Socket["onclose"] = null;
  constructor() {
    setImmediate(() => this.onclose?.({ code: 1006, reason: "" }));
  }
  close() {}
}

/** What one page has, from one reload to the next. */
class Session {
  texts = new Map<string, string>();
  getItem = (key: string) => this.texts.get(key) ?? null;
  setItem = (key: string, text: string) => void this.texts.set(key, text);
  removeItem = (key: string) => void this.texts.delete(key);
}

class Participant {
  seen: [number, string][] = [];
  acked = new Set<string>();
  faults: string[] = [];
  count = 0;
  reloads = 0;
  client!: WarrenClient;
  #life = 0;
  #socket: Socket | null = null;
  #session = new Session();
  #hide: (() => void)[] = [];
  #turn: number;

  constructor(
    readonly name: string,
    readonly hasStream: boolean,
    readonly isKept: boolean,
  ) {
    this.#turn = Math.floor(Math.random() * ports.length);
  }

  /** A page is loaded. */
  async load(): Promise<void> {
    const life = ++this.#life;
    const isHere = () => life === this.#life;
    const place = {
      sessionStorage: this.#session,
      navigator: {},
      addEventListener: (type: string, then: () => void) => type === "pagehide" && this.#hide.push(then),
    };
    const storage = this.isKept ? await openStorage({}, place as never) : null;
    const inner = this.hasStream
      ? sse({ WebSocket: Blocked, failures: 0 })
      : ({ url, protocols }: Dial) => new WebSocket(url, protocols) as unknown as Socket;
    const transport = (dial: Dial) => {
      if (!isHere()) return { close() {}, send() {} } as unknown as Socket;
      // as a balancer does it, which does not know yet who is gone
      const url = new URL(dial.url);
      url.port = ports[this.#turn++ % ports.length]!;
      return (this.#socket = inner({ ...dial, url }));
    };
    const client = new WarrenClient("ws://127.0.0.1/ws", {
      user: this.name, transport, parts: storage ? [storage] : [], backoffMs: 50, backoffCapMs: 500, connectTimeoutMs: 3_000,
    });
    this.client = client;
    client.on<string>("CHAT", (message: Message<string>) => {
      if (isHere()) this.seen.push([message.seq!, message.payload]);
      else this.faults.push("a page that is gone hears something");
    });
    client.on("gap", (gap) => isHere() && this.faults.push(`gap ${JSON.stringify(gap)}`));
    client.on("close", ({ code, reason, reconnect }) => isHere() && !reconnect && !isOver && this.faults.push(`closed for good: ${code} ${reason}`));
    client.on("error", ({ code, message }) => isHere() && code.startsWith("storage") && this.faults.push(message));
    for (const { payload, ack } of storage?.restored ?? []) void ack.then(() => this.acked.add(payload as string), () => {});
    client.connect().catch(() => {});
    await client.join(ROOM).catch((error: Error) => isHere() && this.faults.push(`join: ${error.message}`));
  }

  /** The page is left, and loaded again. */
  async reload(): Promise<void> {
    this.reloads++;
    for (const hide of this.#hide.splice(0)) hide();
    const [client, socket] = [this.client, this.#socket];
    this.#life++;
    if (socket) {
      socket.onmessage = socket.onclose = null;
      socket.close(1000, "Bye");
    }
    void client;
    await this.load();
  }

  say(): void {
    const payload = `${this.name}-${this.count++}`;
    this.client.send("CHAT", ROOM, payload).then(
      () => this.acked.add(payload),
      (error: Error) => this.faults.push(`${payload}: ${error.message}`),
    );
  }
}

const all = kinds.map((kind, n) => new Participant(`${kind}${n}`, kind.includes("stream"), kind.includes("kept")));
await Promise.all(all.map((each) => each.load()));
console.log("ready");
const talk = all.map(async (each) => {
  let reloadAt = performance.now() + RELOAD_MS * (0.5 + Math.random());
  while (!isOver || each.count < MESSAGES || (each.isKept && each.reloads < RELOADS)) {
    each.say();
    await pause(EVERY_MS * (0.5 + Math.random()));
    if (!each.isKept || performance.now() < reloadAt) continue;
    await each.reload();
    reloadAt = performance.now() + RELOAD_MS * (0.5 + Math.random());
  }
});
await Promise.all(talk);
const total = all.reduce((sum, { count }) => sum + count, 0);
const isDone = ({ seen, acked, count }: Participant) => acked.size === count && seen.length >= total - count;
for (let turn = 0; turn < 600 && !all.every(isDone); turn++) await pause(50);
await pause(500); // what comes twice comes now
console.log(
  JSON.stringify(all.map(({ name, seen, acked, count, faults, reloads }) => ({ name, seen, acked: acked.size, count, faults, reloads }))),
);
process.exit(0);
