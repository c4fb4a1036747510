/**
 * One connection for all tabs of a browser: a transport by which each tab's client speaks through the tab that leads. The lock says who
 * leads, and passes on by itself when that tab is closed; a tab that does not answer loses it. Each client keeps its own positions and
 * outbox, so a change of the leader is to it a lost connection like any other. Where Web Locks are missing, each tab has its own.
 */
import { TabHub } from "./tab_hub.js";
import type { Dial, Socket } from "./types.js";

export type Transport = (dial: Dial) => Socket;

export interface TabsOptions {
  /** Tabs share a connection if this, the server's address and the user are the same. */
  name?: string | undefined;
  /** How the leading tab connects. Default: by a WebSocket. */
  transport?: Transport | undefined;
  /** How long the leading tab may be silent when it is asked for a sign of life; then another one leads. Default 3,000. */
  patienceMs?: number | undefined;
}

/** What tabs say to the one that leads. */
export interface Up {
  /** The tab, a dot and the number of its connection. */
  tab?: string;
  /** The hub that is meant; missing: whoever leads is asked for a sign of life. */
  hub?: string;
  dial?: Omit<Dial, "url"> & { url: string };
  text?: string;
  close?: number | undefined;
}

/** What the leading tab says: to the named connections, or to all tabs that it is there. */
export interface Down {
  hub?: string;
  to?: string[];
  text?: string;
  close?: [code: number, reason: string];
}

/** The part of a window that is used. */
export type Place = Pick<typeof globalThis, "navigator" | "document" | "BroadcastChannel" | "addEventListener" | "removeEventListener">;

/** Returns the client's option `transport`. Each client needs one of its own. `place` is for tests. */
export function tabs({ name = "", transport = webSocket, patienceMs = 3_000 }: TabsOptions = {}, place: Place = globalThis): Transport {
  if (!place.navigator?.locks || !place.BroadcastChannel) return transport;
  let tab: Tab | null = null;
  return (dial) => {
    const group = `warren:${name}:${dial.url.origin}${dial.url.pathname}:${userOf(dial)}:`;
    if (tab?.group !== group || tab.hasLeft) {
      tab?.leave();
      tab = new Tab(group, transport, patienceMs, place);
    }
    return tab.dial(dial);
  };
}

function webSocket({ url, protocols }: Dial): Socket {
  return new WebSocket(url, protocols) as unknown as Socket;
}

interface TabSocket extends Socket {
  key: string;
  hub?: string;
  asked: Dial;
}

/** Where the tab that leads is. */
export interface Group {
  place: Place;
  group: string;
  transport: Transport;
}

/** One tab's part: its connection to whoever leads, and its turn to lead. */
class Tab implements Group {
  hasLeft = false;
  #id = randomName();
  #count = 0;
  #socket: TabSocket | null = null;
  #hub: TabHub | null = null;
  #heard = true; // from the hub, since it was asked last
  #timer: ReturnType<typeof setTimeout> | undefined;
  #left = new AbortController();
  #channel: BroadcastChannel;
  #isKnown = false; // it holds its own lock: a hub that is given it takes the tab for gone

  constructor(
    readonly group: string,
    readonly transport: Transport,
    readonly patienceMs: number,
    readonly place: Place,
  ) {
    this.#channel = channelOf<Down>(place, group, (down) => this.#hear(down));
    const leave = () => this.leave();
    // whoever leads waits for this lock, and so learns when this tab is gone, however it ends
    const known = () => {
      this.#isKnown = true;
      this.#ask();
    };
    this.#lock(group + this.#id, known, leave);
    this.#stand();
    const { signal } = this.#left;
    place.addEventListener?.("pagehide", leave, { signal });
    place.document?.addEventListener("freeze", leave, { signal });
  }

  dial(asked: Dial): Socket {
    const key = `${this.#id}.${++this.#count}`;
    const send = (text: string) => this.#say(socket, { text });
    const close = (code?: number) => {
      this.#say(socket, { close: code });
      if (this.#socket === socket) this.#socket = null;
    };
    const socket = { key, asked, send, close } as TabSocket; // who has dialled sets the rest
    this.#socket = socket;
    this.#ask();
    return socket;
  }

  /** Be no part of the group any more: the tab is closed, hidden or frozen. The next dial begins anew. */
  leave(): void {
    this.hasLeft = true;
    clearTimeout(this.#timer);
    this.#hub?.stop();
    this.#hub = null;
    this.#left.abort();
    this.#channel.close();
    this.#lost();
  }

  /** Hold a lock until the tab leaves; `lost` is called if another tab takes it. */
  #lock(name: string, then: () => void, lost: () => void, steal = false): void {
    const { signal } = this.#left;
    const hold = () => {
      if (signal.aborted) return;
      then();
      return new Promise((end) => signal.addEventListener("abort", end));
    };
    this.place.navigator.locks.request(name, steal ? { steal } : { signal }, hold).catch(lost);
  }

  /** Wait for the turn to lead, or take it. */
  #stand(steal = false): void {
    const lead = () => (this.#hub = new TabHub(this));
    const lost = () => {
      this.#hub?.stop();
      this.#hub = null;
      if (!this.hasLeft) this.#stand();
    };
    this.#lock(this.group, lead, lost, steal);
  }

  /** Ask whoever leads for a sign of life, again and again; one who gives none does not lead any more. */
  #ask(): void {
    clearTimeout(this.#timer);
    if (!this.#socket || !this.#isKnown) return;
    this.#heard = false;
    this.#channel.postMessage({ tab: this.#id } satisfies Up);
    this.#timer = setTimeout(() => {
      if (this.#heard || this.#hub) return this.#ask();
      this.#stand(true);
      this.#lost();
    }, this.patienceMs);
  }

  #say({ key, hub }: TabSocket, up: Up): void {
    if (hub && !this.hasLeft) this.#channel.postMessage({ tab: key, hub, ...up } satisfies Up);
  }

  /** The connection is lost to this tab. */
  #lost(code = 1006, reason = "no tab leads"): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.onclose?.({ code, reason });
  }

  #hear({ hub, to, text, close }: Down): void {
    const socket = this.#socket;
    if (!socket || !this.#isKnown) return;
    if (!socket.hub && !to) {
      socket.hub = hub!;
      const { url, ...dial } = socket.asked;
      this.#say(socket, { dial: { ...dial, url: url.href } });
    }
    if (socket.hub === hub) {
      this.#heard = true;
      if (!to?.includes(socket.key)) return;
      if (text) socket.onmessage?.({ data: text });
      if (close) this.#lost(...close);
    } else if (!to) this.#lost();
  }
}

/** A channel for what is said to the other side: tabs hear the hub, and the hub hears tabs. */
export function channelOf<Said extends Up | Down>(
  place: Place,
  group: string,
  hear: (said: Said) => void,
  isHub = false,
): BroadcastChannel {
  const channel = new place.BroadcastChannel(group);
  channel.onmessage = ({ data }) => {
    if ("tab" in data === isHub) hear(data as Said);
  };
  return channel;
}

export function randomName(): string {
  return Math.random().toString(36).slice(2);
}

/** Who connects: tabs of different users must not share a connection. */
function userOf({ user, token }: Dial): string {
  if (!token) return `user ${user}`;
  try {
    return JSON.parse(atob(token.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/"))).sub;
  } catch {
    return token; // not a JWT
  }
}
