/**
 * One connection that reconnects: dialling, back-off with full jitter, heartbeat, token, close codes, and what to do when the page wakes.
 * It knows no rooms and no messages.
 */
import { WarrenError, adviceOf, deferred, type Advice, type Deferred } from "./error.js";
import type { AllOptions } from "./options.js";
import type { WelcomePayload } from "./protocol.js";
import { Timers } from "./timers.js";
import type { Socket, State, Welcome } from "./types.js";
import { watchPage } from "./wake.js";

const PROTOCOL = "warren.v1";
const NO_ANSWER = 4000; // the client's own close code: the server was silent
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const WAKE_PAUSE_MS = 1_000; // between two attempts, however often the page or the network comes and goes
const DIAGNOSED_AT = 3; // attempts without an open WebSocket

export interface LinkOwner {
  /** A frame has arrived. */
  frame(data: string): void;
  /** The connection is closed; with `why`, permanently: by the application itself (`isOwn`), or not. */
  down(why?: WarrenError, isOwn?: boolean): void;
  emit(event: string, value: unknown): void;
  /** So many attempts in a row have opened no connection. `hasOpened`: whether one has since. */
  neverOpened(url: URL, tries: number, hasOpened: () => boolean): void;
}

/** Sends a PING, and calls `sent` once it is on the wire. */
export type Ping = (sent: () => void) => void;

export class Link {
  state: State = "idle"; // ▶ connecting ▶ open ▶ waiting ▶ connecting …, and closed
  token: string | null;
  grant: string | null = null; // the last one that a WELCOME brought; the next connect shows it
  user: string | null;
  manual = false; // we join all our rooms ourselves; the server joins none for us
  advice: Advice | null = null; // `reconnect` of the ERROR before the close
  words: string | null = null; // and its message
  afterMs = 0; // and how long to stay away, if it says so
  #socket: Socket | null = null;
  #life = 0; // counts sockets: events of an earlier socket are ignored
  #tries = 0;
  #unopened = 0; // sockets in a row that never opened; ignored once one did
  #hasOpened = false;
  #openedAt = -Infinity;
  #heardAt = 0;
  #dialledAt = -Infinity;
  #notBefore = 0; // the server wants us to stay away until then
  #moving = false;
  #isProbing = false;
  #ready!: Deferred<Welcome>;
  #ping: Ping | null = null; // while the connection is open
  #asking: AbortController | null = null; // while getToken is asked for a dial
  #unwatch: (() => void) | null = null; // what wakes us
  #timers: Timers;
  #url: URL;
  #options: AllOptions;
  #owner: LinkOwner;

  constructor(url: string | URL, options: AllOptions, owner: LinkOwner) {
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace(/^http/, "ws");
    this.#options = options;
    this.#owner = owner;
    this.#timers = new Timers(options);
    this.token = options.token;
    this.user = options.user;
  }

  /** Connect now. The promise is settled by the first WELCOME, or when there will be no further attempt. */
  connect(): Promise<Welcome> {
    if (this.state === "idle" || this.state === "closed") {
      this.#tries = this.#unopened = this.#notBefore = 0;
      this.#moving = false;
      this.#ready = deferred();
      const { page } = this.#options;
      if (page) this.#unwatch = watchPage(page, () => this.wake(), () => this.#probe());
      this.#dial();
    } else if (this.state === "waiting") this.#dial();
    return this.#ready.promise;
  }

  close(message = "the client was closed"): void {
    if (this.state === "idle" || this.state === "closed") return;
    this.#letGo(1000, "Bye");
    this.#stop(1000, "Bye", new WarrenError("closed", message), true);
  }

  write(text: string): void {
    this.#socket?.send(text);
  }

  /** WELCOME has arrived. */
  opened(welcome: WelcomePayload, ping: Ping): void {
    this.#timers.cancel("connect");
    this.#timers.cancel("woken");
    if (!this.token) this.user = welcome.user; // keep the name that the server generated
    if (welcome.grant) this.grant = welcome.grant;
    this.#openedAt = this.#options.now();
    this.#ping = ping;
    this.#become("open");
    this.#beat();
    this.#ready.resolve(welcome);
  }

  /** Get a fresh token shortly before `expiresAt` (ms since the Unix epoch) and pass it to `authenticate`. */
  refresh(expiresAt: number | null | undefined, authenticate: (token: string) => void): void {
    const { getToken, wall, refreshBeforeMs } = this.#options;
    if (!expiresAt || !getToken) return;
    const delay = expiresAt - wall() - refreshBeforeMs;
    this.#timers.after("refresh", Math.max(1_000, Math.min(delay, LONGEST_TIMER_MS)), async () => {
      const life = this.#life;
      try {
        const token = await this.#fresh();
        if (token === null) {
          if (life === this.#life) this.close(NO_TOKEN);
          return;
        }
        this.token = token;
        if (life === this.#life) authenticate(token);
      } catch (cause) {
        this.#owner.emit("error", new WarrenError("unauthorized", `can't get a fresh token: ${messageOf(cause)}`, { cause }));
      }
    });
  }

  /** The server asks us to reconnect after `afterMs`. It spreads these times itself, so add no back-off. */
  move(afterMs: number): void {
    this.#timers.after("move", Math.min(afterMs, LONGEST_TIMER_MS), () => {
      this.#moving = true;
      this.#letGo(1000, "Moving");
      this.#lost(1012, "Draining");
    });
  }

  /**
   * The network or the page is back: see at once whether the connection still lives, or make a new one. While the server wants us to stay
   * away, we do.
   */
  wake(): void {
    const { wakeTimeoutMs, now } = this.#options;
    if (this.state === "waiting" && now() >= this.#notBefore) {
      this.#tries = 0; // what failed before is no sign that the next attempt will
      const wait = this.#dialledAt + WAKE_PAUSE_MS - now();
      if (wait > 0) this.#timers.after("dial", wait, () => void this.#dial());
      else this.#dial();
    } else if (this.state === "connecting" && !this.#timers.has("woken")) {
      // an attempt from before may hang
      this.#timers.after("woken", wakeTimeoutMs, () => this.#fail("connection", `no WELCOME within ${wakeTimeoutMs} ms after a wake-up`));
    }
    this.#probe();
  }

  /** See whether the connection still lives. If not, dial at once. */
  #probe(): void {
    if (this.#isProbing || !this.#ping) return;
    this.#isProbing = true; // until the connection has shown that it lives, or is replaced
    const { wakeTimeoutMs, now } = this.#options;
    const life = this.#life;
    this.#ping(() => {
      if (life !== this.#life) return;
      const askedAt = now();
      this.#timers.after("woken", wakeTimeoutMs, () => {
        this.#isProbing = false;
        if (this.#heardAt >= askedAt) return;
        this.#moving = true; // dial at once
        this.#fail("heartbeat_missed", `nothing was received for ${wakeTimeoutMs} ms after a wake-up`);
      });
    });
  }

  // ── dialling ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #dial(): Promise<void> {
    const life = ++this.#life;
    this.#timers.clear();
    this.#dialledAt = this.#options.now();
    this.#become("connecting");
    if (life !== this.#life) return; // a listener has closed the client
    const patience = this.#options.connectTimeoutMs;
    this.#timers.after("connect", patience, () => this.#fail("connection", `no WELCOME within ${patience} ms`));
    try {
      if (!this.token && this.#options.getToken) {
        const token = await this.#fresh();
        if (life !== this.#life) return; // closed or timed out meanwhile
        if (token === null) return this.close(NO_TOKEN);
        this.token = token;
      }
      this.#open();
    } catch (cause) {
      if (life === this.#life) this.#fail("connection", `can't connect: ${messageOf(cause)}`, cause);
    }
  }

  async #fresh(): Promise<string | null> {
    this.#asking?.abort();
    const { signal } = (this.#asking = new AbortController());
    return this.#options.getToken!({ signal });
  }

  #open(): void {
    const { tokenIn, transport, WebSocket } = this.#options;
    const url = new URL(this.#url);
    const protocols = [PROTOCOL];
    const inQuery = tokenIn === "query";
    if (this.token && inQuery) url.searchParams.set("token", this.token);
    else if (this.token) protocols.push(`bearer.${this.token}`);
    else if (this.user) url.searchParams.set("user", this.user);
    if (this.grant && inQuery) url.searchParams.set("grant", this.grant);
    else if (this.grant) protocols.push(`grant.${this.grant}`);
    if (this.manual) url.searchParams.set("join", "manual");
    const { token, grant, user, manual } = this;
    const socket: Socket = transport
      ? transport({ url, protocols, token, grant, user, manual, unopened: this.#hasOpened ? 0 : this.#unopened })
      : new (WebSocket as new (url: string, protocols: string[]) => Socket)(url.href, protocols);
    this.#socket = socket;
    let isOpen = false;
    socket.onopen = () => void (this.#hasOpened = isOpen = true);
    socket.onmessage = ({ data }) => {
      this.#hasOpened = true;
      this.#heardAt = this.#options.now();
      this.#owner.frame(data as string);
    };
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    // a close event follows and says more; but not in Node 20, where none could be opened
    socket.onerror = () => isOpen || this.#lost(1006, "");
  }

  #fail(code: string, message: string, cause?: unknown): void {
    this.#letGo(NO_ANSWER, "No answer");
    this.#owner.emit("error", new WarrenError(code, message, { retry: true, cause }));
    if (this.state !== "closed") this.#lost(1006, message); // a listener may have closed the client
  }

  /** Close the socket and ignore its events: a dead one can take minutes to report that it is closed. */
  #letGo(code: number, reason: string): void {
    this.#life++;
    this.#ping = null;
    this.#isProbing = false;
    this.#asking?.abort();
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    if (!this.#hasOpened) this.#unopened++;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = () => {}; // some classes throw what nobody listens to
    socket.close(code, reason);
  }

  #lost(code: number, reason: string): void {
    this.#letGo(1000, "Bye");
    this.#timers.clear();
    this.#owner.down();
    const moving = this.#moving;
    const advice = moving ? "yes" : (this.advice ?? adviceOf(code));
    const words = this.words ? ` (${this.words})` : "";
    const afterMs = Math.min(this.afterMs, LONGEST_TIMER_MS / 2);
    this.advice = this.words = null;
    this.afterMs = 0;
    this.#moving = false;
    if (advice === "fresh token") this.token = this.grant = null; // a grant that is void must not be shown again
    if (advice === "no" || (advice === "fresh token" && !this.#options.getToken)) {
      const message = `the server closed the connection: ${`${code} ${reason}`.trim()}${words}`;
      return this.#stop(code, reason, new WarrenError("closed", message));
    }
    const { now, random, stableMs, maxTries, backoffMs, backoffCapMs } = this.#options;
    if (this.#unopened === Math.min(DIAGNOSED_AT, maxTries + 1)) {
      // incremented, so that it is reported once
      this.#owner.neverOpened(this.#url, this.#unopened++, () => this.#hasOpened);
    }
    if (now() - this.#openedAt >= stableMs) this.#tries = 0;
    this.#openedAt = Infinity; // not stable until the next WELCOME
    if (this.#tries >= maxTries) {
      return this.#stop(code, reason, new WarrenError("closed", `gave up after ${this.#tries} attempts`));
    }
    const delayMs = moving ? 0 : afterMs + random() * Math.min(backoffCapMs, backoffMs * 2 ** this.#tries);
    if (!moving) this.#tries++;
    this.#notBefore = now() + afterMs;
    this.#become("waiting");
    this.#owner.emit("close", { code, reason, reconnect: true, delayMs });
    if (this.state === "waiting") this.#timers.after("dial", delayMs, () => void this.#dial());
  }

  #stop(code: number, reason: string, why: WarrenError, isOwn = false): void {
    this.#timers.clear();
    this.#unwatch?.();
    this.#unwatch = null;
    this.state = "closed";
    this.#owner.down(why, isOwn);
    this.#ready.reject(why);
    this.#owner.emit("state", "closed");
    this.#owner.emit("close", { code, reason, reconnect: false, delayMs: null });
  }

  /** A browser can't see WebSocket pings, so the client sends PINGs. Anything that is received counts as an answer. */
  #beat(): void {
    const { pingMs, pongTimeoutMs, now } = this.#options;
    this.#timers.after("ping", pingMs, () => {
      const life = this.#life;
      this.#ping?.(() => {
        if (life !== this.#life) return;
        const askedAt = now();
        this.#timers.after("pong", pongTimeoutMs, () => {
          if (this.#heardAt >= askedAt) this.#beat();
          else this.#fail("heartbeat_missed", `nothing was received for ${pongTimeoutMs} ms after a PING`);
        });
      });
    });
  }

  #become(state: State): void {
    if (state === this.state) return;
    this.state = state;
    this.#owner.emit("state", state);
  }
}

const NO_TOKEN = "getToken returned null: there is no token any more";

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
