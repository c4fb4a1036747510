/**
 * Survives a reload: the part keeps the client's positions and the messages that are not acknowledged in a store, and begins with what the
 * page before it has kept. Messages go again under their ids, so they count once. What can't be trusted (damaged, foreign, too old) is
 * dropped and told, never guessed at. It waits for no write, and writes at most a few times a second.
 */
import { WarrenError } from "./error.js";
import type { Waiting } from "./outbox.js";
import type { Host, Part, PartFactory } from "./parts.js";
import { Snapshots } from "./snapshot.js";
import { sessionStore, type Store } from "./stores.js";
import type { Ack, Message, Snapshot } from "./types.js";

export { indexedStore, sessionStore, type Store } from "./stores.js";

export interface StorageOptions {
  /** What the state is kept under. Name the user here where several may use one browser. Default "client". */
  name?: string | undefined;
  /** Default: `sessionStore()`. */
  store?: Store | undefined;
  /** How old a message may be to be sent again, by the time at which it was given to `send`. Default: 10 minutes. */
  messageAgeMs?: number | undefined;
  /** How old positions may be. Default: a day. */
  ageMs?: number | undefined;
  /** How much text may be kept: beyond it, the newest messages are not. Default: 1,000,000 characters. */
  limit?: number | undefined;
  /** A message counts as seen when `storage.done(message)` says so. Default: when listeners have returned, and loops have gone on. */
  manual?: boolean | undefined;
}

/** A message of the page before, which is sent again. */
export interface Restored {
  id: string;
  room: string | null;
  type: string;
  payload: unknown;
  ack: Promise<Ack>;
}

export interface Storage extends PartFactory {
  /** Messages of the page before that are sent again, once the client is made. */
  readonly restored: Restored[];
  /** With `manual`: the application is done with this message, and all before it in its room. */
  done(message: Pick<Message, "room" | "epoch" | "seq">): void;
  /** Write what is not written yet. */
  flush(): Promise<void>;
  /** Forget everything, as when the user signs out. Nothing is kept from then on. */
  clear(): Promise<void>;
}

interface Kept {
  at: number;
  /** Counts what one tab has written: of two copies, the later one counts. */
  n: number;
  state: Snapshot;
}

const PREFIX = "warren:";
const WRITE_MS = 100;
const COPY_MS = 1_000; // how long the tab before a reload may need to end
const NOTICED = 100;

/** The part of a window that is used. */
export type Place = Pick<typeof globalThis, "navigator" | "document" | "sessionStorage" | "addEventListener">;

/** Read what was kept: `new WarrenClient(url, { parts: [await openStorage()] })`. It never rejects; what is wrong is the client's event `error`. */
export async function openStorage(options: StorageOptions = {}, place: Place = globalThis): Promise<Storage> {
  const { name = "client", messageAgeMs = 600_000, ageMs = 86_400_000, limit = 1_000_000, manual = false } = options;
  const faults: WarrenError[] = [];
  let host: Host | null = null;
  let failing = "";
  const tell = (code: string, message: string, cause?: unknown) => {
    const error = new WarrenError(code, message, { cause });
    if (host) host.emit("error", error);
    else if (faults.length < NOTICED) faults.push(error);
  };
  const dropped = (message: string, cause?: unknown) => tell("storage_dropped", message, cause);
  /** A store that fails is told once, until it works again. */
  const attempt = async <Value>(act: () => Promise<Value> | Value): Promise<Value | undefined> => {
    try {
      const value = await act();
      failing = "";
      return value;
    } catch (cause) {
      const message = `nothing can be kept: ${(cause as Error)?.message ?? cause}`;
      if (failing !== message) tell("storage", (failing = message), cause);
      return undefined;
    }
  };

  const area = session(place);
  const store = options.store ?? (await attempt(() => sessionStore(place.sessionStorage)));
  const isShared = Boolean(store?.keys);
  const family = `${PREFIX}${name}:`;
  const mark = `${PREFIX}${name}`; // in the tab's session: which tab this is
  const before = area?.getItem(mark) ?? null;
  let tab = before ?? newName();
  // a duplicated tab has a copy of everything: the one that holds the lock goes on with it
  const isCopy = !(await hold(place, family + tab, COPY_MS));
  if (isCopy) void hold(place, family + (tab = newName()), COPY_MS);
  const key = isShared ? family + tab : mark + ":state";
  try {
    area?.setItem(mark, tab);
  } catch {
    // full: after a reload this tab is another one
  }

  const parse = (text: string | null | undefined): Kept | null => {
    if (!text) return null;
    try {
      const kept = JSON.parse(text) as Kept;
      if (!isKept(kept)) throw new TypeError("it is not of this version");
      if (Date.now() - kept.at <= ageMs) return kept;
      dropped(`what was kept is of ${new Date(kept.at).toISOString()}, and too old`);
    } catch (cause) {
      dropped(`what was kept can't be read: ${(cause as Error).message}`, cause);
    }
    return null;
  };
  const read = (from: string) => attempt(() => store?.read(from));
  const own = before && isShared ? family + before : key;
  const copies = [parse(await read(own)), isShared ? parse(area?.getItem(`${own}:last`)) : null].filter((each) => each !== null);
  let kept = copies.sort((a, b) => b.n - a.n)[0] ?? null;
  if (kept && isCopy) kept.state.outbox = [];
  if (isShared && place.navigator?.locks) await adopt();
  const state = kept?.state ?? null;
  const fresh: Snapshot["outbox"] = [];
  for (const message of state?.outbox ?? []) {
    const { timestamp, type } = JSON.parse(message.text) as Message;
    if (Date.now() - timestamp <= messageAgeMs) fresh.push(message);
    else dropped(`a message of type ${type} to ${message.room} (${message.id}) is of ${new Date(timestamp).toISOString()}, and too old to be sent again`);
  }
  if (state) state.outbox = fresh;

  /** Take up what closed tabs have left: their messages, and positions if this tab has none. */
  async function adopt(): Promise<void> {
    for (const other of (await attempt(() => store!.keys!())) ?? []) {
      if (!other.startsWith(family) || other === key) continue;
      await hold(place, other, 0, async () => {
        const left = parse(await read(other));
        if (left && kept && left.state.user !== kept.state.user) return; // another user's, who may come back
        if (left && kept) kept.state.outbox = [...left.state.outbox, ...kept.state.outbox];
        else kept ??= left;
        await attempt(() => store!.remove(other));
      });
    }
  }

  let n = kept?.n ?? 0;
  let last = "";
  let timer: unknown = null;
  let writing: Promise<void> | null = null;
  let isCleared = false;
  let isCut = false;
  const done = new Map<string, { epoch: string; seq: number }>();
  let snapshots: Snapshots | null = null;

  const unread = (room: string) => {
    let found = false;
    host!.each((part) => (found ||= Boolean(part.unread?.(room))));
    return found;
  };
  const encoded = (): string | null => {
    const taken = snapshots!.take();
    for (const room of manual ? taken.rooms : []) room.position = done.get(room.name) ?? room.position;
    let length = 0;
    const count = taken.outbox.length;
    taken.outbox = taken.outbox.filter(({ text }) => (length += text.length) <= limit);
    const wasCut = isCut;
    isCut = taken.outbox.length < count;
    if (isCut && !wasCut) tell("storage", `more than ${limit} characters wait: what is beyond would not survive a reload`);
    const text = JSON.stringify(taken);
    if (text === last) return null;
    last = text;
    return JSON.stringify({ at: Date.now(), n: ++n, state: taken } satisfies Kept);
  };
  const write = async () => {
    if (isCleared || !host) return;
    const text = encoded();
    if (text) await attempt(() => store?.write(key, text));
    // a loop that is behind says nothing when it goes on
    if (host.rooms.all.some(({ name }) => unread(name))) later();
  };
  /** One write at a time; what changes meanwhile goes with the next one. */
  const flush = async (): Promise<void> => {
    while (writing) await writing;
    writing = write();
    await writing.finally(() => (writing = null));
  };
  const later = () => {
    if (isCleared || timer !== null) return;
    timer = host!.options.setTimeout(() => {
      timer = null;
      void flush();
    }, WRITE_MS + last.length / 1_000);
  };
  /** The page may be gone in a moment, and no promise is waited for. */
  const hurry = () => {
    if (!isShared) return void flush();
    const text = host && !isCleared && encoded();
    if (!text) return;
    last = ""; // it has to be written to the store as well, if the page stays
    try {
      area?.setItem(`${key}:last`, text);
    } catch {
      // full: the store has what there was a moment ago
    }
    void flush();
  };

  const restored: Restored[] = [];
  const factory = (made: Host): Part => {
    host = made;
    snapshots = new Snapshots(made);
    if (state) {
      snapshots.restore(state);
      for (const { id, room, text } of state.outbox) {
        const { type, payload } = JSON.parse(text) as Message;
        restored.push({ id, room, type, payload, ack: made.outbox.get(id)!.promise });
      }
      for (const { name: room, position } of state.rooms) if (position) done.set(room, position);
    }
    queueMicrotask(() => {
      for (const fault of faults.splice(0)) made.emit("error", fault);
      made.client.on("open", ({ user }) => {
        if (!state || state.user === null || state.user === user) return;
        // what one user has said must not be said by another
        for (const { id } of restored.splice(0)) {
          made.outbox.settle(id)?.reject(new WarrenError("storage_dropped", `it is ${state.user}'s, and this is ${user}`));
          dropped(`a message (${id}) is ${state.user}'s, and this is ${user}`);
        }
      });
    });
    place.addEventListener?.("pagehide", hurry);
    place.document?.addEventListener("visibilitychange", hurry);
    return { name: "storage", changed: later, acked: (entry: Waiting) => remove(entry.id) };
  };
  const remove = (id: string) => {
    const at = restored.findIndex((each) => each.id === id);
    if (at >= 0) restored.splice(at, 1);
  };
  return Object.assign(factory, {
    restored,
    done: ({ room, epoch, seq }: Pick<Message, "room" | "epoch" | "seq">) => {
      if (!room || !epoch || !seq) return;
      done.set(room, { epoch, seq });
      if (host) later();
    },
    flush,
    clear: async () => {
      isCleared = true;
      await writing;
      area?.removeItem(`${key}:last`);
      await attempt(() => store?.remove(key));
    },
  });
}

function session(place: Place): globalThis.Storage | null {
  try {
    return place.sessionStorage ?? null;
  } catch {
    return null; // forbidden
  }
}

function newName(): string {
  return Math.random().toString(36).slice(2);
}

function isKept({ at, n, state }: Kept): boolean {
  const isText = (value: unknown) => typeof value === "string";
  return (
    state.version === 1 &&
    Number.isFinite(at) &&
    Number.isFinite(n) &&
    state.rooms.every(({ name }) => isText(name)) &&
    state.mine.every(isText) &&
    state.outbox.every(({ id, text }) => isText(id) && JSON.parse(text).id === id)
  );
}

/** Hold a lock: until the page ends, or while something is done. False: somebody else does, and for longer than `waitMs`. */
function hold(place: Place, name: string, waitMs: number, during?: () => Promise<void>): Promise<boolean> {
  const { locks } = place.navigator ?? {};
  if (!locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    const how = waitMs ? { signal: AbortSignal.timeout(waitMs) } : { ifAvailable: true };
    locks
      .request(name, how, async (lock) => {
        if (lock) await during?.();
        resolve(lock !== null);
        if (lock && !during) await new Promise(() => {});
      })
      .catch(() => resolve(false));
  });
}
