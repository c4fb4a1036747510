/**
 * The way around networks that block WebSockets: a transport that dials a WebSocket, and server-sent events with POST where WebSockets
 * fail while HTTP works. It decides which of the two; the client decides when to dial, so that its back-off holds for both.
 */
import { SseSocket, type SseNetwork } from "./sse_socket.js";
import type { Dial, Socket } from "./types.js";

export interface SseOptions extends Partial<SseNetwork> {
  /** The WebSocket class, if there is no global one. */
  WebSocket?: unknown;
  /** How many upgrades in a row may fail before the fallback is tried. Default 2. */
  failures?: number;
  /** How long a WebSocket may take to open in an attempt that has the fallback behind it. Default 3,000. */
  upgradeMs?: number;
  /** How long before a WebSocket is tried again, doubled each time that it fails, and the longest. Default 5 minutes and an hour. */
  backMs?: number;
  backCapMs?: number;
  /** The address of the event stream. By default the last part of the WebSocket's path, `ws`, becomes `sse`. */
  path?: string;
  /** For tests: monotonic ms. */
  now?: () => number;
}

/** What is known of the network. */
interface Knowledge {
  failed: number; // upgrades in a row
  backAt: number; // until then, only the fallback is dialled
  backMs: number;
}

/** Returns the client's option `transport`. Each client needs one of its own. */
export function sse(options: SseOptions = {}): (dial: Dial) => Socket {
  const all = {
    WebSocket: globalThis.WebSocket as unknown,
    failures: 2,
    upgradeMs: 3_000,
    backMs: 300_000,
    backCapMs: 3_600_000,
    now: () => performance.now(),
    fetch: (input: RequestInfo | URL, init?: RequestInit) => fetch(input, init),
    random: Math.random,
    setTimeout: (then: () => void, ms: number): unknown => setTimeout(then, ms),
    clearTimeout: (timer: unknown) => clearTimeout(timer as number),
    ...options,
  };
  const known: Knowledge = { failed: 0, backAt: -Infinity, backMs: all.backMs };
  // another network may let WebSockets pass
  globalThis.addEventListener?.("online", () => (known.backAt = -Infinity));

  class FallbackSocket implements Socket {
    onopen: Socket["onopen"] = null;
    onmessage: Socket["onmessage"] = null;
    onclose: Socket["onclose"] = null;
    onerror: Socket["onerror"] = null;
    #inner: Socket | null = null;
    #timer: unknown;
    #hasSpoken = false; // the inner socket has brought something
    #isStream = false;
    #isOver = false;
    #dial: Dial;

    constructor(dial: Dial) {
      this.#dial = dial;
      if (all.now() < known.backAt) this.#stream();
      else this.#upgrade();
    }

    send(text: string): void {
      this.#inner?.send(text);
    }

    close(code?: number, reason?: string): void {
      if (!this.#isOver && !this.#hasSpoken) this.#failed();
      this.#isOver = true;
      this.onopen = this.onmessage = this.onclose = null;
      this.#drop(code, reason);
    }

    #upgrade(): void {
      const isOnly = known.failed < all.failures;
      const { url, protocols } = this.#dial;
      const WebSocket = all.WebSocket as new (url: string, protocols: string[]) => Socket;
      this.#isStream = false;
      this.#take(new WebSocket(url.href, protocols), (code, reason) => {
        // a server that says why it closes is there
        if (this.#hasSpoken || code !== 1006) return this.#closed(code, reason);
        this.#failed();
        if (isOnly) this.#closed(code, reason);
        else this.#stream();
      });
      if (!isOnly) {
        this.#timer = all.setTimeout(() => {
          this.#failed();
          this.#drop();
          this.#stream();
        }, all.upgradeMs);
      }
    }

    #stream(): void {
      const { token, grant } = this.#dial;
      const url = new URL(this.#dial.url);
      url.protocol = url.protocol.replace(/^ws/, "http");
      url.pathname = options.path ?? url.pathname.replace(/[^/]*$/, "sse");
      if (grant) url.searchParams.set("grant", grant);
      this.#isStream = true;
      all.clearTimeout(this.#timer);
      this.#take(new SseSocket(url, url.searchParams.has("token") ? null : token, all), (code, reason) => {
        if (!this.#hasSpoken) this.#failed();
        this.#closed(code, reason);
      });
    }

    /** Nothing came by this way: the next attempt begins with a WebSocket in any case. */
    #failed(): void {
      if (this.#isStream) known.backAt = -Infinity;
      else known.failed++;
    }

    /** The inner socket works: for how long it is the way. */
    #spoke(): void {
      this.#hasSpoken = true;
      all.clearTimeout(this.#timer);
      if (!this.#isStream) Object.assign(known, { failed: 0, backMs: all.backMs });
      else {
        if (all.now() >= known.backAt) {
          known.backAt = all.now() + known.backMs;
          known.backMs = Math.min(known.backMs * 2, all.backCapMs);
        }
        // the client comes back at once, and nothing is lost; full jitter, so that not all come back together
        const waitMs = known.backAt - all.now() + all.random() * all.backMs;
        this.#timer = all.setTimeout(() => {
          this.#drop(1000, "Moving");
          known.backAt = -Infinity;
          this.#closed(1012, "trying a WebSocket again");
        }, waitMs);
      }
    }

    #take(inner: Socket, closed: (code: number, reason: string) => void): void {
      this.#inner = inner;
      inner.onopen = () => this.onopen?.(null);
      inner.onmessage = ({ data }) => {
        if (!this.#hasSpoken) this.#spoke();
        this.onmessage?.({ data });
      };
      inner.onclose = ({ code, reason }) => {
        this.#inner = null;
        all.clearTimeout(this.#timer);
        closed(code, reason);
      };
      inner.onerror = () => {};
    }

    #drop(code?: number, reason?: string): void {
      all.clearTimeout(this.#timer);
      const inner = this.#inner;
      this.#inner = null;
      if (!inner) return;
      inner.onopen = inner.onmessage = inner.onclose = null;
      inner.close(code, reason);
    }

    #closed(code: number, reason: string): void {
      const { onclose } = this;
      this.#isOver = true;
      this.onopen = this.onmessage = this.onclose = null;
      onclose?.({ code, reason });
    }
  }
  return (dial) => new FallbackSocket(dial);
}
