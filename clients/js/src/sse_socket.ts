/**
 * A connection by server-sent events and POST that looks like a WebSocket: one stream for what the server says, and one POST after the
 * other for what the client says, so that order holds. What was not confirmed is posted again, which counts once because frames have ids.
 * It never dials again by itself: whoever made it does.
 */
import { eventReader } from "./event_stream.js";
import type { Socket } from "./types.js";

export interface SseNetwork {
  fetch: typeof fetch;
  random: () => number;
  setTimeout: (then: () => void, ms: number) => unknown;
  clearTimeout: (timer: unknown) => void;
}

const BATCH_FRAMES = 64; // of one POST
const BATCH_LENGTH = 256 * 1024; // characters of one POST, if it has more than one frame
const WAITING = 1_024; // frames that wait to be posted: the client's own limits are far below
const POST_MS = 10_000; // without an answer, a POST is made again
const AGAIN_MS = 500;
const AGAIN_CAP_MS = 8_000;
const TRIES = 5; // of one POST; then the connection counts as lost
const LONGEST_WAIT_MS = 60_000; // of what a server may ask for before the next POST
const FLUSH_MS = 2_000; // how long what was sent before close() may take

export class SseSocket implements Socket {
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  onerror: Socket["onerror"] = null;
  #ended = false;
  #abort = new AbortController();
  #queue: string[] = [];
  #posting = false;
  #isTold = false; // by an ERROR, that the server is about to close
  #post: { url: string; secret: string } | null = null;
  #timers = new Set<unknown>();
  #network: SseNetwork;
  #url: URL;

  /** `url` is the stream's; `token` goes into a header. */
  constructor(url: URL, token: string | null, network: SseNetwork) {
    this.#url = url;
    this.#network = network;
    void this.#read(token);
  }

  send(text: string): void {
    if (this.#ended) return;
    this.#queue.push(text);
    if (this.#queue.length > WAITING) this.#end(1006, "too much waits to be posted");
    void this.#pump();
  }

  /** Says nothing more. What was sent before has a moment to get through. */
  close(): void {
    this.onopen = this.onmessage = this.onclose = null;
    if (!this.#post || !this.#queue.length) this.#stop();
    else this.#after(FLUSH_MS, () => this.#stop());
  }

  async #read(token: string | null): Promise<void> {
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (token) headers["Authorization"] = `Bearer ${token}`;
    try {
      const response = await this.#network.fetch(this.#url.href, { headers, cache: "no-store", signal: this.#abort.signal });
      if (!response.ok || !response.body) return this.#refused(response);
      if (!/^text\/event-stream\b/i.test(response.headers.get("Content-Type") ?? "")) return this.#end(1006, "no event stream");
      this.onopen?.(null);
      const reader = response.body.getReader();
      const events = eventReader();
      const decoder = new TextDecoder();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return this.#end(1006, "the stream ended");
        for (const event of events(decoder.decode(value, { stream: true }))) {
          if (this.#ended) return;
          if (event.type === "close") return this.#closed(event.data);
          if (event.data.startsWith('{"type":"ERROR"')) this.#isTold = event.data.includes('"close":');
          if (event.type === "message") this.onmessage?.({ data: this.#post ? event.data : this.#welcomed(event.data) });
        }
      }
    } catch (cause) {
      this.#end(1006, cause instanceof Error ? cause.message : String(cause));
    }
  }

  /** The first event says how to post. The secret is nobody else's business. */
  #welcomed(data: string): string {
    const frame = JSON.parse(data) as { type: string; payload: { connection: string; post?: string } };
    if (frame.type !== "WELCOME" || !frame.payload.post) return data; // an ERROR, before the server closes
    const { post: secret, ...payload } = frame.payload;
    const url = new URL(this.#url);
    url.pathname = url.pathname.replace(/[^/]*$/, "publish");
    url.search = `?connection=${encodeURIComponent(payload.connection)}`;
    this.#post = { url: url.href, secret };
    return JSON.stringify({ ...frame, payload });
  }

  #closed(data: string): void {
    const { code = 1006, reason = "", reconnect, after_ms: afterMs } = JSON.parse(data) as {
      code?: number;
      reason?: string;
      reconnect?: string;
      after_ms?: number;
    };
    // one that is turned away at once has not been told why
    if (afterMs && !this.#isTold) this.#say("overloaded", reason, { close: code, reconnect, retry_after_ms: afterMs, retry: true });
    this.#end(code, reason);
  }

  #refused(response: Response): void {
    const { status } = response;
    const reason = `the stream was refused with HTTP ${status}`;
    if (status === 401) return this.#end(4001, reason);
    const waitMs = waitOf(response);
    if (waitMs) this.#say("overloaded", reason, { close: 1013, reconnect: "yes", retry_after_ms: waitMs, retry: true });
    this.#end(waitMs ? 1013 : 1006, reason);
  }

  async #pump(): Promise<void> {
    if (this.#posting || !this.#post) return;
    this.#posting = true;
    while (this.#queue.length && !this.#ended) {
      let [count, length] = [1, this.#queue[0]!.length];
      while (count < Math.min(BATCH_FRAMES, this.#queue.length) && (length += this.#queue[count]!.length) <= BATCH_LENGTH) count++;
      if (!(await this.#deliver(this.#queue.slice(0, count)))) break;
      this.#queue.splice(0, count);
    }
    this.#posting = false;
    if (!this.onclose) this.#stop(); // closed, and everything is out
  }

  /** Post some frames until the server has them. Returns whether it has. */
  async #deliver(frames: string[]): Promise<boolean> {
    const { fetch, random } = this.#network;
    for (let tries = 1; !this.#ended; tries++) {
      const late = new AbortController();
      const cancel = () => late.abort();
      const timer = this.#after(POST_MS, cancel);
      this.#abort.signal.addEventListener("abort", cancel, { once: true });
      let waitMs = 0;
      try {
        const headers = { Authorization: `Bearer ${this.#post!.secret}`, "Content-Type": "application/json" };
        const body = `[${frames.join(",")}]`;
        const response = await fetch(this.#post!.url, { method: "POST", headers, body, cache: "no-store", signal: late.signal });
        const { status } = response;
        void response.body?.cancel().catch(() => {});
        if (response.ok) return true;
        if (status === 413) return this.#tooLarge(frames);
        if (status < 500 && status !== 429) {
          this.#end(1006, `a POST was refused with HTTP ${status}`);
          return false;
        }
        waitMs = waitOf(response);
      } catch {
        // no answer: whether it arrived is unknown, and a repeat counts once
      } finally {
        this.#abort.signal.removeEventListener("abort", cancel);
        this.#forget(timer);
      }
      if (tries >= TRIES && !waitMs) this.#end(1006, `a POST failed ${tries} times`);
      const delayMs = waitMs + random() * Math.min(AGAIN_CAP_MS, AGAIN_MS * 2 ** (tries - 1));
      if (!this.#ended) await new Promise<void>((then) => this.#after(delayMs, then));
    }
    return false;
  }

  /** A proxy's limit: several frames may pass one by one, and one that does not is refused for good. */
  async #tooLarge(frames: string[]): Promise<boolean> {
    if (frames.length > 1) {
      for (const frame of frames) if (!(await this.#deliver([frame]))) return false;
      return true;
    }
    const { id } = JSON.parse(frames[0]!) as { id?: string };
    this.#say("message_too_large", "larger than what may be posted", { retry: false }, id);
    return true;
  }

  /** An ERROR in the server's place, for what was refused on the way. */
  #say(code: string, message: string, more: object, ref?: string): void {
    this.onmessage?.({ data: JSON.stringify({ type: "ERROR", ref, payload: { code, message, ...more } }) });
  }

  #end(code: number, reason: string): void {
    if (this.#ended) return;
    const { onclose } = this;
    this.#stop();
    onclose?.({ code, reason });
  }

  #stop(): void {
    this.#ended = true;
    this.#queue = [];
    this.#abort.abort();
    for (const timer of this.#timers) this.#network.clearTimeout(timer);
    this.#timers.clear();
  }

  #after(ms: number, then: () => void): unknown {
    const timer = this.#network.setTimeout(() => {
      this.#timers.delete(timer);
      then();
    }, ms);
    this.#timers.add(timer);
    return timer;
  }

  #forget(timer: unknown): void {
    this.#timers.delete(timer);
    this.#network.clearTimeout(timer);
  }
}

/** How long a refusal asks us to wait; 0: it does not say. */
function waitOf(response: Response): number {
  const text = response.headers.get("Retry-After");
  if (text === null) return 0;
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1_000;
  return Math.max(0, Math.min(seconds * 1_000 || 0, LONGEST_WAIT_MS));
}
