// Made from clients/js/src by scripts/js/build (make js); do not edit.

// src/binary.ts
function toBase64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}
function decode(message) {
  if (message.encoding !== "base64") return;
  message.payload = Uint8Array.from(atob(message.payload), (character) => character.charCodeAt(0));
}

// src/encode.ts
var VERSION = "1.0";
function messageFrame(type, room2, payload, { id, key, includeSender, traceparent }, timestamp) {
  const frame = { type, payload, timestamp, version: VERSION };
  if (room2 != null) frame.room = room2;
  if (includeSender) frame.include_sender = true;
  if (key != null) frame.key = key;
  if (traceparent != null) frame.traceparent = traceparent;
  return { ...frame, ...bytesOf(payload), id };
}
function controlFrame(type, fields, timestamp) {
  return { type, ...fields, timestamp, version: VERSION };
}
function bytesOf(payload) {
  return payload instanceof Uint8Array ? { payload: toBase64(payload), encoding: "base64" } : {};
}
function withReceipt(text, level) {
  return `${text.slice(0, -1)},"receipt":"${level}"}`;
}

// src/error.ts
var WarrenError = class extends Error {
  code;
  /** Whether the same message may be sent again later. */
  retry;
  retryAfterMs;
  /** The id of the message that was refused. */
  ref;
  constructor(code, message, { retry = false, retryAfterMs, ref, cause } = {}) {
    super(message, cause === void 0 ? void 0 : { cause });
    this.name = "WarrenError";
    this.code = code;
    this.retry = retry;
    this.retryAfterMs = retryAfterMs;
    this.ref = ref;
  }
};
var NO = /* @__PURE__ */ new Set([1e3, 1002, 4003, 4006, 4007]);
function adviceOf(code) {
  return NO.has(code) ? "no" : code === 4001 ? "fresh token" : "yes";
}
function deferred() {
  let resolve, reject;
  const promise = new Promise((yes, no) => [resolve, reject] = [yes, no]);
  promise.catch(() => {
  });
  return { promise, resolve, reject };
}
function rejected(fault) {
  if (!(fault instanceof WarrenError)) throw fault;
  const { promise, reject } = deferred();
  reject(fault);
  return promise;
}

// src/timers.ts
var Timers = class {
  #running = /* @__PURE__ */ new Map();
  #clock;
  constructor(clock) {
    this.#clock = clock;
  }
  /** Run `then` after `ms`, replacing a running timer of that name. */
  after(name, ms, then) {
    this.cancel(name);
    const fire = () => {
      this.#running.delete(name);
      then();
    };
    this.#running.set(name, this.#clock.setTimeout(fire, ms));
  }
  has(name) {
    return this.#running.has(name);
  }
  cancel(name) {
    if (this.has(name)) this.#clock.clearTimeout(this.#running.get(name));
    this.#running.delete(name);
  }
  clear() {
    for (const name of [...this.#running.keys()]) this.cancel(name);
  }
};

// src/wake.ts
function watchPage(page, back, away) {
  const { document } = page;
  const shown = ({ persisted }) => persisted && back();
  const seen = () => document.visibilityState === "visible" && back();
  page.addEventListener("online", back);
  page.addEventListener("offline", away);
  page.addEventListener("pageshow", shown);
  document.addEventListener("visibilitychange", seen);
  return () => {
    page.removeEventListener("online", back);
    page.removeEventListener("offline", away);
    page.removeEventListener("pageshow", shown);
    document.removeEventListener("visibilitychange", seen);
  };
}

// src/link.ts
var PROTOCOL = "warren.v1";
var NO_ANSWER = 4e3;
var LONGEST_TIMER_MS = 2 ** 31 - 1;
var WAKE_PAUSE_MS = 1e3;
var DIAGNOSED_AT = 3;
var Link = class {
  state = "idle";
  // ▶ connecting ▶ open ▶ waiting ▶ connecting …, and closed
  token;
  grant = null;
  // the last one that a WELCOME brought; the next connect shows it
  user;
  manual = false;
  // we join all our rooms ourselves; the server joins none for us
  advice = null;
  // `reconnect` of the ERROR before the close
  words = null;
  // and its message
  afterMs = 0;
  // and how long to stay away, if it says so
  #socket = null;
  #life = 0;
  // counts sockets: events of an earlier socket are ignored
  #tries = 0;
  #unopened = 0;
  // sockets in a row that never opened; ignored once one did
  #hasOpened = false;
  #openedAt = -Infinity;
  #heardAt = 0;
  #dialledAt = -Infinity;
  #notBefore = 0;
  // the server wants us to stay away until then
  #moving = false;
  #isProbing = false;
  #ready;
  #ping = null;
  // while the connection is open
  #asking = null;
  // while getToken is asked for a dial
  #unwatch = null;
  // what wakes us
  #timers;
  #url;
  #options;
  #owner;
  constructor(url, options, owner) {
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace(/^http/, "ws");
    this.#options = options;
    this.#owner = owner;
    this.#timers = new Timers(options);
    this.token = options.token;
    this.user = options.user;
  }
  /** Connect now. The promise is settled by the first WELCOME, or when there will be no further attempt. */
  connect() {
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
  close(message = "the client was closed") {
    if (this.state === "idle" || this.state === "closed") return;
    this.#letGo(1e3, "Bye");
    this.#stop(1e3, "Bye", new WarrenError("closed", message), true);
  }
  write(text) {
    this.#socket?.send(text);
  }
  /** WELCOME has arrived. */
  opened(welcome, ping) {
    this.#timers.cancel("connect");
    this.#timers.cancel("woken");
    if (!this.token) this.user = welcome.user;
    if (welcome.grant) this.grant = welcome.grant;
    this.#openedAt = this.#options.now();
    this.#ping = ping;
    this.#become("open");
    this.#beat();
    this.#ready.resolve(welcome);
  }
  /** Get a fresh token shortly before `expiresAt` (ms since the Unix epoch) and pass it to `authenticate`. */
  refresh(expiresAt, authenticate) {
    const { getToken, wall, refreshBeforeMs } = this.#options;
    if (!expiresAt || !getToken) return;
    const delay = expiresAt - wall() - refreshBeforeMs;
    this.#timers.after("refresh", Math.max(1e3, Math.min(delay, LONGEST_TIMER_MS)), async () => {
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
  move(afterMs) {
    this.#timers.after("move", Math.min(afterMs, LONGEST_TIMER_MS), () => {
      this.#moving = true;
      this.#letGo(1e3, "Moving");
      this.#lost(1012, "Draining");
    });
  }
  /**
   * The network or the page is back: see at once whether the connection still lives, or make a new one. While the server wants us to stay
   * away, we do.
   */
  wake() {
    const { wakeTimeoutMs, now } = this.#options;
    if (this.state === "waiting" && now() >= this.#notBefore) {
      this.#tries = 0;
      const wait = this.#dialledAt + WAKE_PAUSE_MS - now();
      if (wait > 0) this.#timers.after("dial", wait, () => void this.#dial());
      else this.#dial();
    } else if (this.state === "connecting" && !this.#timers.has("woken")) {
      this.#timers.after("woken", wakeTimeoutMs, () => this.#fail("connection", `no WELCOME within ${wakeTimeoutMs} ms after a wake-up`));
    }
    this.#probe();
  }
  /** See whether the connection still lives. If not, dial at once. */
  #probe() {
    if (this.#isProbing || !this.#ping) return;
    this.#isProbing = true;
    const { wakeTimeoutMs, now } = this.#options;
    const life = this.#life;
    this.#ping(() => {
      if (life !== this.#life) return;
      const askedAt = now();
      this.#timers.after("woken", wakeTimeoutMs, () => {
        this.#isProbing = false;
        if (this.#heardAt >= askedAt) return;
        this.#moving = true;
        this.#fail("heartbeat_missed", `nothing was received for ${wakeTimeoutMs} ms after a wake-up`);
      });
    });
  }
  // ── dialling ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
  async #dial() {
    const life = ++this.#life;
    this.#timers.clear();
    this.#dialledAt = this.#options.now();
    this.#become("connecting");
    if (life !== this.#life) return;
    const patience = this.#options.connectTimeoutMs;
    this.#timers.after("connect", patience, () => this.#fail("connection", `no WELCOME within ${patience} ms`));
    try {
      if (!this.token && this.#options.getToken) {
        const token = await this.#fresh();
        if (life !== this.#life) return;
        if (token === null) return this.close(NO_TOKEN);
        this.token = token;
      }
      this.#open();
    } catch (cause) {
      if (life === this.#life) this.#fail("connection", `can't connect: ${messageOf(cause)}`, cause);
    }
  }
  async #fresh() {
    this.#asking?.abort();
    const { signal } = this.#asking = new AbortController();
    return this.#options.getToken({ signal });
  }
  #open() {
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
    const socket = transport ? transport({ url, protocols, token, grant, user, manual, unopened: this.#hasOpened ? 0 : this.#unopened }) : new WebSocket(url.href, protocols);
    this.#socket = socket;
    let isOpen = false;
    socket.onopen = () => void (this.#hasOpened = isOpen = true);
    socket.onmessage = ({ data }) => {
      this.#hasOpened = true;
      this.#heardAt = this.#options.now();
      this.#owner.frame(data);
    };
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    socket.onerror = () => isOpen || this.#lost(1006, "");
  }
  #fail(code, message, cause) {
    this.#letGo(NO_ANSWER, "No answer");
    this.#owner.emit("error", new WarrenError(code, message, { retry: true, cause }));
    if (this.state !== "closed") this.#lost(1006, message);
  }
  /** Close the socket and ignore its events: a dead one can take minutes to report that it is closed. */
  #letGo(code, reason) {
    this.#life++;
    this.#ping = null;
    this.#isProbing = false;
    this.#asking?.abort();
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    if (!this.#hasOpened) this.#unopened++;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = () => {
    };
    socket.close(code, reason);
  }
  #lost(code, reason) {
    this.#letGo(1e3, "Bye");
    this.#timers.clear();
    this.#owner.down();
    const moving = this.#moving;
    const advice = moving ? "yes" : this.advice ?? adviceOf(code);
    const words = this.words ? ` (${this.words})` : "";
    const afterMs = Math.min(this.afterMs, LONGEST_TIMER_MS / 2);
    this.advice = this.words = null;
    this.afterMs = 0;
    this.#moving = false;
    if (advice === "fresh token") this.token = this.grant = null;
    if (advice === "no" || advice === "fresh token" && !this.#options.getToken) {
      const message = `the server closed the connection: ${`${code} ${reason}`.trim()}${words}`;
      return this.#stop(code, reason, new WarrenError("closed", message));
    }
    const { now, random, stableMs, maxTries, backoffMs, backoffCapMs } = this.#options;
    if (this.#unopened === Math.min(DIAGNOSED_AT, maxTries + 1)) {
      this.#owner.neverOpened(this.#url, this.#unopened++, () => this.#hasOpened);
    }
    if (now() - this.#openedAt >= stableMs) this.#tries = 0;
    this.#openedAt = Infinity;
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
  #stop(code, reason, why, isOwn = false) {
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
  #beat() {
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
  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.#owner.emit("state", state);
  }
};
var NO_TOKEN = "getToken returned null: there is no token any more";
function messageOf(cause) {
  return cause instanceof Error ? cause.message : String(cause);
}

// src/signal.ts
function cancelled(what, signal, ref) {
  return new WarrenError("cancelled", `${what} was cancelled`, { ref, cause: signal.reason });
}
function onAbort(signal, then) {
  if (!signal) return () => {
  };
  if (signal.aborted) then();
  else signal.addEventListener("abort", then, { once: true });
  return () => signal.removeEventListener("abort", then);
}
function unless(signal, what, promise, gaveUp) {
  if (!signal) return promise;
  const first = deferred();
  const quiet = onAbort(signal, () => {
    const error = cancelled(what, signal);
    first.reject(error);
    gaveUp?.(error);
  });
  promise.finally(quiet).then(first.resolve, first.reject);
  return first.promise;
}

// src/listeners.ts
var Listeners = class {
  #byType = /* @__PURE__ */ new Map();
  #next = /* @__PURE__ */ new Set();
  // promises of `once`
  #events;
  /** `events`: the names of own events. A message whose type is one of these is passed to "*" only. */
  constructor(...events) {
    this.#events = new Set(events).add("*");
  }
  /** Call `listener` for each event or message of this type, until the signal fires. Return a function that removes it. */
  on(type, listener, { signal } = {}) {
    if (signal?.aborted) return () => {
    };
    let all = this.#byType.get(type);
    if (!all) this.#byType.set(type, all = /* @__PURE__ */ new Set());
    all.add(listener);
    const off = () => {
      quiet();
      this.#byType.get(type)?.delete(listener);
    };
    const quiet = onAbort(signal, off);
    return off;
  }
  /** The next event or message of this type. Rejected when the signal fires, or with what `end` says. */
  once(type, { signal } = {}) {
    const next = deferred();
    if (signal?.aborted) next.reject(cancelled(type, signal));
    else {
      const off = this.on(type, next.resolve);
      this.#next.add(next);
      next.promise.catch(() => {
      }).finally(() => {
        off();
        this.#next.delete(next);
      });
    }
    return unless(signal, type, next.promise, next.reject);
  }
  /** Nothing more will come for those who wait. */
  end(why) {
    for (const next of this.#next) next.reject(why);
  }
  /** Pass a message to the listeners of its type, then to those of all messages. */
  hand(message) {
    if (!this.#events.has(message.type)) this.emit(message.type, message);
    this.emit("*", message);
  }
  emit(type, value) {
    const listeners = [...this.#byType.get(type) ?? []];
    if (type === "error" && listeners.length === 0) console.error(value);
    for (const listener of listeners) {
      try {
        listener(value);
      } catch (error) {
        console.error(error);
      }
    }
  }
};

// src/options.ts
var DEFAULTS = {
  token: null,
  getToken: null,
  tokenIn: "subprotocol",
  user: null,
  backoffMs: 1e3,
  backoffCapMs: 3e4,
  maxTries: Infinity,
  stableMs: 5e3,
  connectTimeoutMs: 1e4,
  pingMs: 3e4,
  pongTimeoutMs: 1e4,
  wakeTimeoutMs: 3e3,
  ackTimeoutMs: 15e3,
  refreshBeforeMs: 3e4,
  gapMs: 1e3,
  outboxLimit: 100,
  ephemeralTypes: ["TYPING"],
  parts: []
};
function withDefaults(options) {
  const all = {
    ...DEFAULTS,
    WebSocket: globalThis.WebSocket,
    transport: null,
    page: globalThis.window?.document ? globalThis.window : null,
    fetch: (address, how) => fetch(address, how),
    random: Math.random,
    now: () => performance.now(),
    wall: () => Date.now(),
    setTimeout: (then, ms) => setTimeout(then, ms),
    clearTimeout: (timer) => clearTimeout(timer),
    ...options
  };
  if (!all.WebSocket && !all.transport) {
    throw new TypeError("this environment has no WebSocket class: pass one as options.WebSocket");
  }
  return all;
}

// src/pace.ts
var Pace = class {
  #slots = /* @__PURE__ */ new Map();
  // in the order of sending
  #unnamed = 0;
  #rate = 0;
  #perMs = 0;
  /** A new connection: WELCOME allows `rate` messages (0: no limit) in `rate_per_ms`. */
  reset({ rate = 0, rate_per_ms: perMs = 0 } = {}) {
    this.#rate = rate;
    this.#perMs = perMs;
    this.#slots.clear();
  }
  /** Whether a frame without an answer was sent, and no later frame has been answered yet. */
  get isUncertain() {
    return [...this.#slots.values()].some(({ silent }) => silent);
  }
  /** Milliseconds until a frame may be sent: 0 is now, Infinity after the next answer. `urgent` may use the last slot. */
  wait(now, urgent = false) {
    for (const [name, { freeAt }] of this.#slots) if (freeAt <= now) this.#slots.delete(name);
    const usable = urgent ? this.#rate : Math.max(1, this.#rate - 1);
    const excess = this.#slots.size - usable;
    if (!this.#rate || excess < 0) return 0;
    const free = ({ at, freeAt }) => urgent ? Math.min(freeAt, at + 2 * this.#perMs) : freeAt;
    const moments = [...this.#slots.values()].map(free).sort((a, b) => a - b);
    return Math.max(0, moments[excess] - now);
  }
  /** A frame is sent; without an `id` it gets no answer. */
  take(id, now) {
    if (id !== void 0) this.#keep(id, now);
    const freeAt = id === void 0 ? now + 2 * this.#perMs : Infinity;
    this.#slots.set(id ?? this.#name(), { at: now, freeAt, silent: id === void 0 });
  }
  /** A frame was answered. `all`: earlier frames count as answered too, because the answers to them have no id. */
  answered(id, now, all = false) {
    const found = this.#slots.get(id);
    if (!found) return;
    for (const slot of this.#slots.values()) {
      if (slot === found) break;
      if (slot.silent || all) Object.assign(slot, { freeAt: Math.min(slot.freeAt, now + this.#perMs), silent: false });
    }
    if (found.freeAt === Infinity) found.freeAt = now + this.#perMs;
  }
  /** Stop waiting for answers: frames without one may have arrived just now. */
  giveUp(now) {
    for (const [id, { freeAt }] of [...this.#slots]) if (freeAt === Infinity) this.#keep(id, now);
  }
  /** An earlier frame with this id continues to count, although the id may be sent again. */
  #keep(id, now) {
    const slot = this.#slots.get(id);
    if (!slot) return;
    this.#slots.delete(id);
    this.#slots.set(this.#name(), { ...slot, freeAt: Math.min(slot.freeAt, now + this.#perMs) });
  }
  #name() {
    return `~${++this.#unnamed}`;
  }
};

// src/suspects.ts
var TRIES = 3;
var Suspects = class {
  #ids = /* @__PURE__ */ new Set();
  #tried = null;
  // the entry that was sent alone
  #ping = null;
  // the id of the PING after what was sent
  #timers;
  #options;
  #owner;
  constructor(options, owner) {
    this.#options = options;
    this.#owner = owner;
    this.#timers = new Timers(options);
  }
  get size() {
    return this.#ids.size;
  }
  /** Which of these entries may be sent now. */
  among(entries) {
    if (this.#ids.size === 0) return entries;
    if (this.#tried || this.#ping) return [];
    return entries.filter(({ id }) => this.#ids.has(id)).slice(0, 1);
  }
  /** The server refused one of `sent`, the unanswered entries. Return which one, if that is clear. `alone`: nothing else was unanswered. */
  accuse(sent, alone, error) {
    if (this.#tried) return this.#tried;
    if (this.#ping) return void 0;
    if (sent.length === 1 && alone) return sent[0];
    for (const entry of sent) {
      Object.assign(entry, { sentAt: null, fault: error });
      this.#ids.add(entry.id);
    }
    if (sent.length) this.#mark();
    return void 0;
  }
  /** Whether an entry has used up its attempts. */
  isOver(entry) {
    return this.#ids.has(entry.id) && (entry.tries ?? 0) >= TRIES;
  }
  /** An entry was sent. */
  sent(entry) {
    if (!this.#ids.has(entry.id)) return;
    entry.tries = (entry.tries ?? 0) + 1;
    this.#tried = entry;
    this.#mark();
  }
  /** Whether this is the id of the PING after what was sent. */
  isMark(id) {
    return id !== void 0 && id === this.#ping;
  }
  /** A frame was answered: a suspect, or the PING after it. */
  answered(id) {
    if (id === void 0) return;
    if (this.isMark(id)) this.#passed();
    else this.forget(id);
  }
  /** This entry is settled: it is no longer a suspect. */
  forget(id) {
    this.#ids.delete(id);
    if (this.#tried?.id === id) this.pause();
  }
  /** Everything unanswered will be sent again; suspects stay suspects. */
  pause() {
    this.#tried = this.#ping = null;
    this.#timers.clear();
  }
  #mark() {
    this.#ping = this.#owner.ask();
    this.#timers.after("ping", this.#options.pongTimeoutMs, () => this.#passed());
  }
  #passed() {
    const tried = this.#tried;
    this.pause();
    if (tried) this.#ids.delete(tried.id);
    this.#owner.go();
  }
};

// src/outbox.ts
var COUNTED = /* @__PURE__ */ new Set(["message", "HISTORY", "PRESENCE", "REQUEST"]);
var Outbox = class {
  dropped = 0;
  // ephemeral messages that could not be sent at once
  #entries = /* @__PURE__ */ new Map();
  #urgent = [];
  #pace = new Pace();
  #suspects;
  #limits = {};
  #write = null;
  // while the connection is open
  #degraded = false;
  #timers;
  #options;
  #owner;
  constructor(options, owner) {
    this.#options = options;
    this.#owner = owner;
    this.#timers = new Timers(options);
    this.#suspects = new Suspects(options, { ask: () => this.#ask(), go: () => this.pump() });
  }
  get size() {
    return this.#entries.size;
  }
  get isFull() {
    let messages = 0;
    for (const { kind, once } of this.#entries.values()) if (COUNTED.has(kind) && !once) messages++;
    return messages >= this.#options.outboxLimit;
  }
  get(id) {
    return this.#entries.get(id);
  }
  of(kind) {
    return [...this.#entries.values()].filter((entry) => entry.kind === kind);
  }
  /** Whether own messages to this room (or to the default room) are sent and not acknowledged. */
  hasSentTo(room2) {
    return this.#sent().some(({ kind, room: to }) => kind === "message" && (to == null || to === room2));
  }
  /** The connection is open: send the `first` entries (JOINs) before those that wait. */
  open(write, limits = {}, first = []) {
    const rest = [...this.#entries.values()];
    this.#entries = new Map([...first.map(prepared), ...rest].map((entry) => [entry.id, entry]));
    this.#write = write;
    this.#limits = limits;
    this.#degraded = false;
    this.#pace.reset(limits);
    this.again();
  }
  /** The connection is closed: messages wait for the next one, JOINs (and what else is `once`) will be made again, and LEAVEs are done. */
  disconnect() {
    this.#write = null;
    this.#urgent = [];
    this.#timers.clear();
    this.#suspects.pause();
    for (const entry of [...this.#entries.values()]) {
      if (entry.sentAt !== null) entry.resent = true;
      entry.sentAt = null;
      if (entry.kind === "JOIN" || entry.once) this.settle(entry.id);
      if (entry.kind === "LEAVE") this.settle(entry.id)?.resolve(void 0);
    }
  }
  /** There will be no further connection: reject all entries. */
  close(why) {
    this.disconnect();
    for (const id of [...this.#entries.keys()]) this.settle(id)?.reject(why);
  }
  add(entry) {
    const waiting = prepared(entry);
    this.#entries.set(entry.id, waiting);
    this.pump();
    return waiting.promise;
  }
  /** Send once, before all entries, as soon as the rate allows: a heartbeat, a token. Calls `sent` afterwards. */
  first(frame) {
    if (!this.#write) return;
    this.#urgent.push(frame);
    this.pump();
  }
  /** Remove and return an entry; the caller resolves or rejects it. */
  settle(id) {
    if (id == null) return void 0;
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    this.#suspects.forget(id);
    return entry;
  }
  /**
   * Send an entry again after `ms` and a random delay that grows with each refusal, so that many clients that were refused together do
   * not come back together.
   */
  postpone(entry, ms = 0) {
    const { now, random, backoffMs, backoffCapMs } = this.#options;
    const more = random() * Math.min(backoffCapMs, backoffMs * 2 ** (entry.refusals ?? 0));
    Object.assign(entry, { sentAt: null, notBefore: now() + ms + more, refusals: (entry.refusals ?? 0) + 1 });
  }
  answered(id) {
    this.#pace.answered(id, this.#options.now(), this.#suspects.isMark(id));
    this.#suspects.answered(id);
  }
  /** The server refused a frame permanently and does not say which. Return its entry if that is clear; otherwise start to find out. */
  accuse(error) {
    const entry = this.#suspects.accuse(this.#sent(), !this.#pace.isUncertain, error);
    if (entry) this.#pace.answered(entry.id, this.#options.now());
    return entry;
  }
  /** Send a frame now or never. */
  ephemeral(text) {
    const isFree = this.#urgent.length === 0 && this.#suspects.size === 0 && this.#pace.wait(this.#options.now()) === 0;
    if (this.#write && isFree) this.#send(text);
    else this.dropped++;
  }
  degraded(yes) {
    this.#degraded = yes;
    if (!yes) this.again();
  }
  /** Send everything that has no answer again, in order; but not requests, each of which has its last word on this connection. */
  again() {
    for (const entry of this.#entries.values()) if (entry.kind !== "REQUEST") entry.sentAt = null;
    this.#suspects.pause();
    this.#pace.giveUp(this.#options.now());
    this.pump();
  }
  /** Send what waits, in order, as fast as the rate allows. */
  pump() {
    if (!this.#write) return;
    const now = this.#options.now();
    while (this.#urgent.length) {
      if (!this.#mayGo(now, true)) return;
      const { id, build, sent } = this.#urgent.shift();
      this.#send(build(), id);
      sent?.();
    }
    let later = Infinity;
    const inOrder = [...this.#entries.values()].sort((a, b) => Number(a.yields ?? false) - Number(b.yields ?? false));
    for (const entry of this.#suspects.among(inOrder)) {
      if (entry.sentAt !== null || this.#entries.get(entry.id) !== entry) continue;
      if (entry.notBefore > now) {
        later = Math.min(later, entry.notBefore - now);
        continue;
      }
      if (!this.#mayGo(now)) break;
      const text = entry.build();
      if (this.#suspects.isOver(entry)) this.#owner.refused(entry, new WarrenError(entry.fault.code, entry.fault.message));
      else if (exceeds(text, this.#limits.message_bytes)) {
        const message = `the message is larger than ${this.#limits.message_bytes} bytes`;
        this.#owner.refused(entry, new WarrenError("message_too_large", message, { ref: entry.id }));
      } else {
        entry.sentAt = now;
        const isAwaited = entry.kind !== "REQUEST" && !entry.unanswered;
        if (entry.unanswered) this.settle(entry.id);
        this.#send(text, isAwaited ? entry.id : void 0);
        if (isAwaited && !this.#timers.has("ack")) this.#timers.after("ack", this.#options.ackTimeoutMs, () => this.#overdue());
        this.#suspects.sent(entry);
        continue;
      }
      if (this.#suspects.size) return this.pump();
    }
    if (this.#urgent.length) return this.pump();
    if (later < Infinity) this.#timers.after("later", later, () => this.pump());
  }
  /** Entries that are sent and not answered. */
  #sent() {
    return [...this.#entries.values()].filter(({ sentAt }) => sentAt !== null);
  }
  /** Whether the rate allows another frame now. If not, a timer or the next answer continues. */
  #mayGo(now, urgent = false) {
    const wait = this.#pace.wait(now, urgent);
    if (wait > 0 && wait < Infinity) this.#timers.after("pace", wait, () => this.pump());
    return wait === 0;
  }
  #send(text, id) {
    this.#pace.take(id, this.#options.now());
    this.#write?.(text);
  }
  /** Send a PING after everything that was sent; return its id. */
  #ask() {
    const ping = this.#owner.ping();
    this.#urgent.push(ping);
    return ping.id;
  }
  /** An answer can be lost between the servers. Sending the same id again gets the same answer. */
  #overdue() {
    const sent = this.#sent().filter(({ kind }) => kind !== "REQUEST");
    if (sent.length === 0) return;
    const { ackTimeoutMs, now } = this.#options;
    const due = Math.min(...sent.map((entry) => entry.sentAt)) + ackTimeoutMs - now();
    if (due > 0 || this.#degraded) {
      this.#timers.after("ack", Math.max(due, 1e3), () => this.#overdue());
    } else this.again();
  }
};
function prepared(entry) {
  return Object.assign(entry, deferred(), { sentAt: null, notBefore: 0 });
}
function exceeds(text, bytes) {
  return bytes !== void 0 && text.length * 3 > bytes && new TextEncoder().encode(text).length > bytes;
}

// src/room_position.ts
var REMEMBERED = 256;
var HELD = 256;
var RoomPosition = class {
  name;
  position = null;
  // {epoch, seq}: the last one seen in JOINED or a message
  asked = null;
  // the id of the unanswered JOIN
  grant = null;
  // the last one that a JOINED brought; the next JOIN shows it
  delivered = null;
  // {epoch, seq}: the last message that was passed on
  last = null;
  // while we are in
  isKept = false;
  // by the server, or by join()
  waiting = [];
  // promises of join() that JOINED settles
  #acked = /* @__PURE__ */ new Set();
  // seqs of own messages, which the server sends only to others
  #held = [];
  // numbered messages that can't be delivered yet
  #replayed = null;
  // {epoch, seq}: messages up to here are the replay that a JOIN asked for
  #excused = null;
  // {epoch, seq}: missing seqs up to here are not a gap: DROPPED announced them, or they have expired
  #echoes = false;
  // the server sends own messages back in this room
  constructor(name) {
    this.name = name;
  }
  /** The position to resume from: the last one seen, plus own messages that follow it without a gap. */
  get since() {
    if (!this.position || this.#echoes) return this.position;
    return { epoch: this.position.epoch, seq: this.#skip(this.position.seq) };
  }
  /** The payload of a JOIN: what the server needs to know to let us in again, and to send what we missed. */
  get request() {
    if (!this.since && !this.grant) return void 0;
    return { since: this.since ?? void 0, grant: this.grant ?? void 0 };
  }
  /** Whether messages wait for missing ones before them. */
  get lacks() {
    return this.#held.length > 0 && !this.asked;
  }
  /** Whether a replay is in progress, so that missing messages may be on their way. */
  get isReplayed() {
    return this.#replayed !== null && !has(this.position, this.#replayed);
  }
  /** Whether no further message can wait. */
  get isFull() {
    return this.#held.length >= HELD;
  }
  /** The connection is closed: nothing more arrives on it, and held messages will be sent again. */
  disconnect() {
    this.asked = this.last = null;
    this.#held = [];
    this.#replayed = null;
  }
  /** An own message got its seq. */
  ack({ epoch, seq }) {
    if (!seq || this.position?.epoch !== epoch || seq <= this.position.seq) return;
    remember(this.#acked, seq);
  }
  /** The server has withheld messages up to this seq, because the client reads too slowly. */
  withheld(seq) {
    if (this.position) this.#excuse({ epoch: this.position.epoch, seq });
  }
  /**
   * Take a numbered message. Returns "new" (deliver it), "repeat" (seen already), "held" (until JOINED, or because one before it is
   * missing) or "own" (this client sent it). `isOwn`: this client sent it without asking for a copy; `isResent`: on more than one
   * connection.
   */
  take(message, isOwn, isResent = false) {
    if (has(this.position, message)) return "repeat";
    const replay = has(this.#replayed, message);
    if (this.#replayed && !this.asked) {
      this.#excuse({ epoch: message.epoch, seq: replay ? message.seq - 1 : this.#replayed.seq });
      if (!replay) this.#replayed = null;
    }
    if (this.position && (this.asked || !this.#follows(message))) {
      if (isOwn && replay && !this.#echoes) this.ack(message);
      else this.#held.push(message);
      if (this.#held.length > HELD) this.#held.shift();
      return "held";
    }
    this.#see(message);
    if (isOwn && !replay && !isResent) this.#echoes = true;
    return isOwn && !this.#echoes ? "own" : "new";
  }
  /** Remove and return the held messages that are now in sequence. */
  following() {
    const found = [];
    while (!this.asked && this.#held.length) {
      const message = this.#held[0];
      if (!has(this.position, message)) {
        if (!this.#follows(message)) break;
        this.#see(message);
        found.push(message);
      }
      this.#held.shift();
    }
    return found;
  }
  /** Apply JOINED. Returns the held messages to deliver now, and the gaps where others are lost, in order. */
  joined({ epoch, seq, recovered, missed = 0, grant }) {
    if (grant) this.grant = grant;
    const held = this.#held;
    const end = { epoch, seq: seq + missed };
    this.disconnect();
    const found = recovered ? [] : this.#close(held, end);
    if (recovered) this.#see({ epoch, seq });
    this.#replayed = end;
    this.#held = held.filter((message) => message.epoch === epoch && message.seq > end.seq);
    return missed ? found : [...found, ...this.following()];
  }
  /**
   * Take another JOINED for a JOIN that was sent twice: the replay begins anew, or there is none any more. Returns whether nothing is lost
   * by that.
   */
  again({ epoch, seq, recovered, missed = 0 }) {
    const { since } = this;
    const isKnown = since?.epoch === epoch && (recovered || seq <= since.seq);
    this.#replayed = isKnown ? { epoch, seq: seq + missed } : null;
    return isKnown;
  }
  /** Remove and return all held messages, and the gaps between them, because the JOIN was refused. */
  release() {
    const held = this.#held;
    this.disconnect();
    return held.length ? this.#close(held, held.at(-1)) : [];
  }
  /** Nothing up to `end` comes any more: return what is held, and the gaps before, between and after, in order. */
  #close(held, end) {
    const found = [];
    const reach = ({ epoch, seq }) => {
      if (has(this.position, { epoch, seq })) return;
      const { since } = this;
      if (since && !this.#follows({ epoch, seq: seq + 1 })) found.push({ room: this.name, since, position: { epoch, seq } });
      this.#see({ epoch, seq });
    };
    for (const message of held) {
      const { epoch, seq } = message;
      const isDue = epoch === end.epoch ? seq <= end.seq : epoch === this.position?.epoch;
      if (!isDue || has(this.position, message)) continue;
      reach({ epoch, seq: seq - 1 });
      this.#see(message);
      found.push(message);
    }
    reach(end);
    return found;
  }
  #see({ epoch, seq }) {
    if (has(this.position, { epoch, seq })) return;
    if (this.position?.epoch !== epoch) {
      this.#acked.clear();
      this.#excused = null;
    }
    for (const acked of this.#acked) if (acked <= seq) this.#acked.delete(acked);
    this.position = { epoch, seq };
  }
  /** The last seq of the own messages that follow `seq` without a gap. */
  #skip(seq) {
    while (this.#acked.has(seq + 1)) seq++;
    return seq;
  }
  /** Whether no message is missing between the position and this one. */
  #follows({ epoch, seq }) {
    if (epoch !== this.position?.epoch) return false;
    const excused = this.#excused?.seq ?? 0;
    return seq <= this.#skip(Math.max(this.#skip(this.position.seq), excused)) + 1;
  }
  #excuse(upTo) {
    if (!has(this.#excused, upTo)) this.#excused = upTo;
  }
};
function remember(all, value) {
  all.add(value);
  if (all.size > REMEMBERED) all.delete(all.values().next().value);
}
function has(upTo, { epoch, seq }) {
  return upTo?.epoch === epoch && seq <= upTo.seq;
}

// src/rooms.ts
var Rooms = class {
  repeats = 0;
  #rooms = /* @__PURE__ */ new Map();
  #atConnect = /* @__PURE__ */ new Set();
  // rooms that the server joined for us at our first connect
  #left = /* @__PURE__ */ new Set();
  // rooms of #atConnect that we left
  mine = /* @__PURE__ */ new Set();
  // ids of own messages that a replay may bring
  /** Of a snapshot: what is known of rooms that nobody has wanted again yet. */
  known = /* @__PURE__ */ new Map();
  #timers;
  #options;
  #outbox;
  #owner;
  constructor(options, outbox, owner) {
    this.#options = options;
    this.#outbox = outbox;
    this.#owner = owner;
    this.#timers = new Timers(options);
  }
  get all() {
    return [...this.#rooms.values()];
  }
  get names() {
    return [...this.#rooms.keys()];
  }
  get(name) {
    return this.#rooms.get(name);
  }
  // ── wishes ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
  /** The promise of the next JOINED in a room, which is kept; `want` it next. */
  join(name) {
    const room2 = this.#room(name);
    const joined = deferred();
    room2.waiting.push(joined);
    room2.isKept = true;
    return joined.promise;
  }
  /** Want to be in a room. */
  want(name) {
    this.#left.delete(name);
    this.#want(this.#room(name));
  }
  /** Want to be in a room no longer. */
  leave(name) {
    const room2 = this.#rooms.get(name);
    if (room2) this.#forget(room2, new WarrenError("closed", `left ${name}`), true);
    if (this.#atConnect.has(name)) this.#left.add(name);
  }
  /** A JOIN was refused for good. */
  refused(name, why) {
    const room2 = this.#rooms.get(name);
    if (room2) this.#forget(room2, why);
  }
  // ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────────────
  /** The first connection: the server has joined some rooms for us. Return the JOINs to send first. */
  begin(joined) {
    this.#atConnect = new Set(joined);
    const wanted = this.all.filter(
      ({ name, waiting }) => !isReserved(name) && (!this.#atConnect.has(name) || waiting.length || this.#owner.joining(name))
    );
    for (const name of this.#atConnect) if (!this.#left.has(name)) this.#room(name).isKept = true;
    return wanted.map((room2) => this.#joinFor(room2));
  }
  /** A later connection: return the JOINs for all our rooms, each with our position. */
  resume(user) {
    if (this.#atConnect.size) this.#room(`@${user}`).isKept = true;
    return this.all.filter(({ name }) => !isReserved(name, user)).map((room2) => this.#joinFor(room2));
  }
  /** The connection is closed; with `why`, permanently. */
  down(why) {
    this.#timers.clear();
    for (const room2 of this.all) {
      room2.disconnect();
      if (why) for (const joined of room2.waiting.splice(0)) joined.reject(why);
    }
  }
  // ── what arrives ─────────────────────────────────────────────────────────────────────────────────────────────────────────
  /** JOINED: an answer, or the server has put us into a room. */
  joined(frame) {
    const { room: name, ref } = frame;
    const { epoch, seq, recovered, missed } = frame.payload;
    if (this.#left.has(name) || ref !== void 0 && !this.#rooms.has(name)) return;
    if (name === "*") {
      return this.#owner.gap({ room: name, since: null, position: { epoch, seq } });
    }
    const room2 = this.#room(name);
    if (ref === void 0) room2.isKept = true;
    if ((ref ?? null) !== room2.asked) {
      if (!room2.again(frame.payload)) this.#want(room2);
      return;
    }
    this.#pass(room2.joined(frame.payload));
    const joined = room2.last = { room: name, epoch, seq, recovered, missed, ...this.#owner.joined(frame) };
    this.#owner.entered(joined);
    for (const waiting of room2.waiting.splice(0)) waiting.resolve(joined);
    this.#outbox.settle(ref)?.resolve(void 0);
    this.#timers.cancel(name);
    if (room2.lacks) this.#miss(room2);
  }
  /** LEFT: the server took us out of a room. */
  left({ room: name, payload }) {
    const reason = payload?.reason ?? null;
    const room2 = this.#rooms.get(name);
    if (!room2) return;
    if (reason === "unavailable") {
      this.#owner.stopped(name);
      this.#want(room2);
    } else this.#forget(room2, new WarrenError("closed", `removed from ${name}${reason ? ` (${reason})` : ""}`), false, reason);
  }
  /** A numbered message has arrived. Returns whether it is to be passed on now. */
  isNew(message) {
    const room2 = this.#rooms.get(message.room);
    if (!room2) return true;
    const entry = this.#outbox.get(message.id);
    const isOwn = message.sender === this.#owner.user && this.#isMine(message.id, entry);
    const verdict = room2.take(message, isOwn, entry?.resent || entry?.isRestored);
    if (verdict === "new") return true;
    if (verdict === "repeat") this.repeats++;
    this.goOn(room2.name);
    return false;
  }
  /** An own message, of which no copy was wanted, was accepted, or is given up. */
  sent(id, name, position = {}) {
    remember(this.mine, id);
    this.get(name)?.ack(position);
  }
  /** A message was passed on: it is the last one of its room. */
  handed({ room: room2, epoch, seq }) {
    const found = seq && epoch && this.get(room2);
    if (found) found.delivered = { epoch, seq };
  }
  /** Pass on the held messages that are now in sequence. */
  goOn(name) {
    const room2 = this.get(name);
    if (!room2?.lacks) return;
    this.#pass(room2.following());
    if (room2.lacks) this.#miss(room2);
    else this.#timers.cancel(room2.name);
  }
  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
  /** Whether this client sent the message without asking for a copy. */
  #isMine(id, entry) {
    return entry?.kind === "message" ? !entry.echo : this.mine.has(id);
  }
  /** Messages of a room are missing. Ask for them, unless they are in flight, or may be own messages that are not acknowledged yet. */
  #miss(room2) {
    if (isReserved(room2.name, this.#owner.user)) return;
    if ((room2.isReplayed || this.#outbox.hasSentTo(room2.name)) && !room2.isFull) {
      if (!this.#timers.has(room2.name)) this.#timers.after(room2.name, this.#options.gapMs, () => this.#ask(room2));
    } else this.#ask(room2);
  }
  #ask(room2) {
    this.#timers.cancel(room2.name);
    if (room2.lacks) this.#want(room2);
  }
  #want(room2) {
    if (this.#owner.isOpen && !room2.asked) this.#outbox.add(this.#joinFor(room2));
  }
  #pass(found) {
    for (const each of found) "seq" in each ? this.#owner.hand(each) : this.#owner.gap(each);
  }
  #joinFor(room2) {
    const id = this.#owner.id();
    room2.asked = id;
    const build = () => {
      const asked = room2.request;
      const presence2 = this.#owner.joining(room2.name);
      const payload = asked || presence2 ? { ...asked, presence: presence2 } : void 0;
      return this.#owner.text(controlFrame("JOIN", { room: room2.name, payload, id }, this.#options.wall()));
    };
    return { id, kind: "JOIN", room: room2.name, build };
  }
  #room(name) {
    let room2 = this.#rooms.get(name);
    if (!room2) {
      this.#rooms.set(name, room2 = new RoomPosition(name));
      Object.assign(room2, this.known.get(name));
      this.known.delete(name);
    }
    return room2;
  }
  #forget(room2, why, isOwn = false, reason = null) {
    this.#rooms.delete(room2.name);
    this.#owner.forgot(room2.name, isOwn ? null : why, reason);
    this.#timers.cancel(room2.name);
    this.#outbox.settle(room2.asked)?.reject(why);
    for (const joined of room2.waiting.splice(0)) joined.reject(why);
    this.#pass(room2.release());
  }
};
function isReserved(room2, user) {
  return room2.startsWith("@") && room2 !== `@${user}` || room2.startsWith("*");
}

// src/session.ts
var NAMELESS = /* @__PURE__ */ new Set(["invalid_format", "invalid_message"]);
var TOLD = /* @__PURE__ */ new Set(["message", "REQUEST", "RECEIPT"]);
function checkFrame({ type, seq, epoch, payload }) {
  if (typeof type !== "string") throw new TypeError("no type");
  const isJoined = type === "JOINED";
  if (seq == null && !isJoined) return;
  const found = isJoined ? payload : { epoch, seq, missed: 0 };
  const areNumbers = [found.seq, found.missed ?? 0].every((n) => Number.isSafeInteger(n) && n >= 0);
  if (typeof found.epoch !== "string" || !areNumbers) throw new TypeError(`${type} without a position`);
}
var Session = class {
  client;
  options;
  outbox;
  rooms;
  link;
  listeners = new Listeners("open", "close", "state", "error", "gap", "left", "receipt");
  welcome = null;
  #parts;
  #prefix;
  #count = 0;
  constructor(url, options, client) {
    this.client = client;
    this.options = withDefaults(options);
    this.outbox = new Outbox(this.options, {
      ping: () => this.control("PING"),
      refused: (entry, error) => this.#reject(entry, error)
    });
    this.rooms = new Rooms(this.options, this.outbox, this);
    this.link = new Link(url, this.options, this);
    this.#prefix = Math.floor(this.options.random() * 36 ** 10).toString(36);
    this.#parts = this.options.parts.map((make) => make(this));
  }
  get state() {
    return this.link.state;
  }
  get isOpen() {
    return this.state === "open";
  }
  get user() {
    return this.welcome?.user ?? this.link.user;
  }
  // ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
  /** The part of this name, if the client has it. */
  find(name) {
    return this.#parts.findLast((part) => part.name === name);
  }
  part(name) {
    const part = this.find(name);
    if (!part) throw new TypeError(`this client lacks ${name}: import it from "warren-client/${name}" and pass it in the option parts`);
    return part;
  }
  /** All parts, in their order. */
  each(then) {
    this.#parts.forEach(then);
  }
  /** Tell all parts. */
  tell(name, ...what) {
    for (const part of this.#parts) part[name]?.apply(part, what);
  }
  /** The positions or the outbox may have changed. */
  changed() {
    this.tell("changed");
  }
  // ── outgoing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
  /** Why nothing can be sent now. `counts`: what is to be sent counts for `outboxLimit`. */
  fault(ref, counts = false) {
    if (this.state === "closed") return new WarrenError("closed", "the client is closed; call connect() first", { ref });
    if (!counts || !(this.outbox.isFull || this.#parts.some((part) => part.isFull?.()))) return null;
    const message = `${this.options.outboxLimit} messages are waiting already (outboxLimit)`;
    return new WarrenError("outbox_full", message, { ref, retry: true });
  }
  /** What is wrong with the name of a room. */
  roomFault(name) {
    return this.checks?.room(name) ?? null;
  }
  get checks() {
    return this.find("checks");
  }
  id() {
    return `${this.#prefix}-${++this.#count}`;
  }
  text(frame) {
    return this.checks?.text(frame) ?? JSON.stringify(frame);
  }
  control(type, room2, payload) {
    const id = this.id();
    const text = this.text(controlFrame(type, { room: room2, payload, id }, this.options.wall()));
    return { id, kind: type, room: room2, build: () => text };
  }
  /** Want to be in a room. */
  want(name, presence2) {
    if (presence2) this.part("presence").want(name, presence2);
    this.rooms.want(name);
    this.changed();
  }
  /** Nobody waits for the ACK of this message any more. It may have been sent. */
  giveUp(id, error) {
    const entry = this.outbox.get(id);
    if (!entry) return;
    if (!entry.echo) this.rooms.sent(id);
    this.#reject(entry, error);
  }
  #refresh(expiresAt) {
    this.link.refresh(expiresAt, (token) => this.outbox.first(this.control("AUTH", void 0, { token })));
  }
  // ── what the rooms say ───────────────────────────────────────────────────────────────────────────────────────────────────
  joining(room2) {
    for (const part of this.#parts) {
      const asked = part.joining?.(room2);
      if (asked) return asked;
    }
    return void 0;
  }
  joined(frame) {
    this.tell("joined", frame);
    return { presence: this.client.presence(frame.room) };
  }
  entered(joined) {
    this.tell("entered", joined);
  }
  stopped(room2) {
    this.tell("stopped", room2);
  }
  forgot(room2, why, reason) {
    this.tell("forget", room2, why, reason);
  }
  gap(gap) {
    this.tell("gap", gap);
    this.emit("gap", gap);
  }
  /** Pass on a message of the application. */
  hand(message) {
    this.rooms.handed(message);
    this.tell("hand", message);
    this.listeners.hand(message);
  }
  // ── what the connection says ─────────────────────────────────────────────────────────────────────────────────────────────
  emit(event, value) {
    this.listeners.emit(event, value);
  }
  neverOpened(url, tries, hasOpened) {
    this.tell("neverOpened", url, tries, hasOpened);
    if (this.find("diagnosis")) return;
    const message = `no connection in ${tries} attempts; does WARREN_GATEWAY_ORIGINS allow this page?`;
    this.emit("error", new WarrenError("never_opened", message, { retry: true }));
  }
  /** A frame that is not what the protocol says is reported, and nothing else suffers. */
  frame(data) {
    try {
      this.#take(JSON.parse(data));
    } catch (cause) {
      const message = `the server sent an invalid message: ${cause.message}`;
      this.emit("error", new WarrenError("invalid_format", message, { cause }));
    }
  }
  #take(frame) {
    const message = frame;
    checkFrame(message);
    decode(message);
    if (frame.type === "HISTORY") frame.payload.messages.forEach((each) => decode(each));
    let isControl = true;
    this.outbox.answered(message.ref);
    switch (frame.type) {
      case "WELCOME":
        return this.#welcomed(frame);
      case "JOINED":
        this.rooms.joined(frame);
        break;
      case "LEFT":
        this.#wasLeft(frame);
        break;
      case "ACK":
        this.#acked(frame);
        break;
      case "ERROR":
        this.#refused(frame);
        break;
      case "HISTORY":
        this.outbox.settle(frame.ref)?.resolve({ room: frame.room, ...frame.payload });
        break;
      case "PRESENCE":
      case "RECEIPT":
      case "ACCEPTED":
      case "DROPPED":
        if (frame.type === "DROPPED") this.rooms.get(frame.room)?.withheld(frame.payload?.seq ?? 0);
        this.tell("take", frame);
        if (frame.type === "PRESENCE") this.outbox.settle(frame.ref)?.resolve(frame.payload);
        break;
      case "RECONNECT":
        this.link.move(frame.payload?.after_ms ?? 0);
        break;
      case "DEGRADED":
      case "RESTORED":
        this.outbox.degraded(frame.type === "DEGRADED");
        break;
      case "AUTHENTICATED":
        this.#refresh(frame.payload?.expires_at);
        break;
      default:
        if (message.seq && !this.rooms.isNew(message)) return;
        this.hand(message);
        isControl = false;
    }
    if (isControl) this.listeners.hand(message);
    if (message.seq || message.type === "ACK") this.rooms.goOn(message.room);
    this.outbox.pump();
    this.changed();
  }
  /** The connection is closed; with `why`, permanently. */
  down(why, isOwn) {
    this.rooms.down(why);
    this.tell("down", why, isOwn);
    if (why) this.outbox.close(why);
    else this.outbox.disconnect();
    if (why) this.listeners.end(why);
    this.changed();
  }
  #welcomed(frame) {
    const welcome = this.welcome = frame.payload;
    const { link } = this;
    const first = link.manual ? this.rooms.resume(welcome.user) : this.rooms.begin(welcome.rooms);
    link.manual = true;
    link.opened(welcome, (sent) => this.outbox.first({ ...this.control("PING"), sent }));
    this.listeners.hand(frame);
    this.emit("open", welcome);
    if (!this.isOpen) return;
    this.outbox.open((text) => link.write(text), welcome.limits, first);
    this.#refresh(welcome.expires_at);
    this.tell("opened");
  }
  #acked(frame) {
    const entry = this.outbox.settle(frame.ref);
    if (entry?.kind !== "message") return;
    const { seq, epoch } = frame.payload ?? {};
    if (!entry.echo) this.rooms.sent(frame.ref, frame.room, frame.payload);
    entry.resolve({ id: frame.ref, room: frame.room, seq, epoch, ...entry.receipt?.promises });
    this.tell("acked", entry, frame.room, seq);
  }
  #wasLeft(frame) {
    const entry = this.outbox.settle(frame.ref);
    if (entry) return entry.resolve(void 0);
    this.rooms.left(frame);
    if (frame.ref === void 0) this.emit("left", { room: frame.room, reason: frame.payload?.reason ?? null });
  }
  #refused(frame) {
    const { code = "internal", message = "refused", retry = false, close, reconnect, retry_after_ms: retryAfterMs } = frame.payload ?? {};
    const error = new WarrenError(code, message, { retry, retryAfterMs, ref: frame.ref });
    const isNameless = frame.ref === void 0 && close === void 0 && NAMELESS.has(code);
    const entry = isNameless ? this.outbox.accuse(error) : this.outbox.get(frame.ref);
    if (close !== void 0) Object.assign(this.link, { advice: reconnect ?? null, words: message, afterMs: retryAfterMs ?? 0 });
    if (entry?.kind === "JOIN" && retry) this.outbox.postpone(entry, retryAfterMs);
    else if (entry && (close === void 0 || reconnect === "no")) this.#reject(entry, error);
    this.tell("refused", frame.ref, error);
    const isTold = TOLD.has(entry?.kind ?? "") && !entry?.isRestored || code === "cancelled";
    if (!isTold) this.emit("error", error);
  }
  /** An entry was refused permanently. */
  #reject(entry, error) {
    error.ref ??= entry.id;
    if (this.#parts.some((part) => part.rejects?.(entry, error))) return;
    this.outbox.settle(entry.id)?.reject(error);
    if (entry.kind === "JOIN") this.rooms.refused(entry.room, error);
  }
};

// src/client.ts
var WarrenClient = class {
  #session;
  /** `url`: ws, wss, http or https; in a browser also a path. Nothing happens before `connect()`. */
  constructor(url, options = {}) {
    this.#session = new Session(url, options, this);
    onAbort(options.signal, () => this.close());
  }
  get state() {
    return this.#session.state;
  }
  get user() {
    return this.#session.user;
  }
  /** The id of the current connection, which a backend can address. */
  get connection() {
    return this.#session.welcome?.connection ?? null;
  }
  get limits() {
    return this.#session.welcome?.limits ?? null;
  }
  get rooms() {
    return this.#session.rooms.names;
  }
  /** Messages waiting to be sent or answered, ephemeral messages dropped, repeats dropped. */
  get counters() {
    const { outbox, rooms } = this.#session;
    return { waiting: outbox.size, dropped: outbox.dropped, repeats: rooms.repeats };
  }
  /** This client's position in a room, including own acknowledged messages if nothing is missing before them. */
  position(room2) {
    return this.#session.rooms.get(room2)?.since ?? null;
  }
  on(type, listener, options) {
    return this.#session.listeners.on(type, listener, options);
  }
  once(type, options) {
    return this.#session.listeners.once(type, options);
  }
  /**
   * Connect and stay connected; while waiting for the next attempt, try now. Settled by the first WELCOME, or when the client gives up. If
   * the signal fires before, the client closes.
   */
  connect({ signal } = {}) {
    const over = [signal, this.#session.options.signal].find((each) => each?.aborted);
    if (over) return rejected(cancelled("connect", over));
    return unless(signal, "connect", this.#session.link.connect(), () => this.close());
  }
  /** Close the connection and stay closed. Waiting messages are rejected with `closed`. Positions are kept for a later `connect()`. */
  close() {
    this.#session.tell("closing");
    this.#session.link.close();
  }
  /**
   * Send a message; `room` null is the first room joined at connect. Resolves with the ACK, or rejects with a WarrenError. Unless it is
   * refused, the message is sent again after a reconnect until it is acknowledged, and counts once. An ephemeral one resolves at once
   * with null. What the server would refuse (text with half of a surrogate pair, NaN, more than 128 levels, an invalid id or room) is
   * refused at once and not sent. Throws TypeError if JSON can't represent the payload (a BigInt, a cycle).
   */
  send(type, room2, payload, options = {}) {
    const session = this.#session;
    const { signal } = options;
    if (signal?.aborted) return rejected(cancelled("the message", signal, options.id));
    const isEphemeral = options.ephemeral ?? session.options.ephemeralTypes.includes(type);
    const id = isEphemeral ? void 0 : options.id ?? session.id();
    let text;
    try {
      session.checks?.message(type, room2, { ...options, id });
      text = session.text(messageFrame(type, room2, payload ?? null, { ...options, id }, session.options.wall()));
    } catch (fault2) {
      return rejected(fault2);
    }
    if (id === void 0) {
      session.outbox.ephemeral(text);
      return Promise.resolve(null);
    }
    const before = session.outbox.get(id);
    if (before && before.kind !== "RECEIPT") return unless(signal, "the message", before.promise);
    const fault = session.fault(id, true);
    if (fault) return rejected(fault);
    const receipt = options.receipt && session.part("receipts").receipts.want(id, room2, options.receipt, text);
    const build = receipt ? receipt.build : () => text;
    const promise = session.outbox.add({ id, kind: "message", room: room2, build, text, echo: options.includeSender === true, receipt });
    session.changed();
    return unless(signal, "the message", promise, (error) => session.giveUp(id, error));
  }
  /**
   * Become a member, now and after each reconnect, until `leave()`. If the server can't accept the JOIN now (`rate_limited`,
   * `overloaded`, `unavailable`), the client asks again later; an invalid name is refused at once.
   */
  join(name, { presence: presence2, signal } = {}) {
    const { rooms } = this.#session;
    const fault = (signal?.aborted ? cancelled("join", signal) : this.#session.roomFault(name)) ?? this.#session.fault();
    if (fault) return rejected(fault);
    if (presence2) this.#session.part("presence").want(name, presence2);
    const isNew = !rooms.get(name);
    const joined = rooms.join(name);
    this.#session.want(name);
    return unless(signal, "join", joined, () => isNew && this.leave(name));
  }
  leave(name) {
    const session = this.#session;
    const fault = session.roomFault(name);
    if (fault) return rejected(fault);
    session.tell("leaving", name);
    session.rooms.leave(name);
    session.changed();
    return session.isOpen ? session.outbox.add(session.control("LEAVE", name)) : Promise.resolve();
  }
  room(name, options = {}) {
    return this.#session.part("room").hold(name, options);
  }
  /** Read at most `limit` messages (default 50, at most 100) of a joined room: those before the seq `before`, or the newest. */
  history(room2, { before, limit, signal } = {}) {
    const session = this.#session;
    const fault = (signal?.aborted ? cancelled("history", signal) : session.roomFault(room2)) ?? session.fault(void 0, true);
    if (fault) return rejected(fault);
    try {
      const entry = session.control("HISTORY", room2, { before, limit });
      return unless(signal, "history", session.outbox.add(entry), () => session.outbox.settle(entry.id));
    } catch (unwritten) {
      return rejected(unwritten);
    }
  }
  request(service, payload = null, options = {}) {
    return this.#session.part("rpc").request(service, payload, options);
  }
  stream(service, payload = null, options = {}) {
    return this.#session.part("rpc").stream(service, payload, options);
  }
  /** Who is in a room that was joined with `presence`; null: it was not. */
  presence(room2) {
    return this.#session.find("presence")?.roster(room2) ?? null;
  }
  /**
   * `contacts.watch(["bob", "eve"])`: whether these users are connected, to any gateway; at most 100 in all. The server must allow it:
   * `isOnline` stays null, and the event `error` says `forbidden`, if it does not.
   */
  get contacts() {
    return this.#session.part("presence").contacts;
  }
  /**
   * The user has seen the room up to `position` (a message, for example), by default up to the last one that was delivered there. It may be
   * called for each message: it is said at most once a second, the last word also before `leave()` and `close()`, and again after a
   * reconnect. It says nothing where this client is not, and of another epoch. A room that does not tell who has seen what refuses it: the
   * event `error` says `forbidden`, once on each connection (`presence(room).tellsSeen` says it before). Throws WarrenError for an invalid
   * name.
   */
  seen(name, position) {
    this.#session.part("receipts").saw(name, position);
  }
  /** What another client needs to go on where this one is: positions, and messages without an answer. Requests are not among it. */
  snapshot() {
    return this.#session.part("snapshot").take();
  }
  /**
   * Go on where another client has ended; before `connect()`. Its messages without an answer are sent again under their ids, and count
   * once; `send` with such an id returns the promise, and the event `error` says if one is refused.
   */
  restore(snapshot2) {
    this.#session.part("snapshot").restore(snapshot2);
  }
};

// src/checks.ts
var DEPTH = 128;
var KEY_LENGTH = 128;
var ROOM_LENGTH = 128;
var RECEIPTS = /* @__PURE__ */ new Set(["written", "seen"]);
var ORDINARY = /* @__PURE__ */ new Set(["CHAT", "TYPING", "NOTIFICATION", "DATA_UPDATE"]);
var LONE = /\p{Surrogate}/u;
var PRINTABLE = /^(?:[^\p{C}\p{Z}]| )+$/u;
var TYPE = /^[A-Za-z0-9_\-.:]{1,64}$/;
var UPPER_CASE = /^[A-Z0-9_]*[A-Z][A-Z0-9_]*$/;
var ROOM = /^[A-Za-z0-9._\-:/][A-Za-z0-9._\-:/@]{0,127}$/;
var CUT = "half of a surrogate pair: text was cut inside a character (split it between characters, as [...text] does)";
var DEEP = `nested deeper than ${DEPTH} levels`;
var ID_RULE = "id: must be 1 to 64 printable characters, not starting with ~";
var TYPE_RULE = "type: must be 1 to 64 letters, digits and _ - . :";
var ROOM_RULE = "room: must be 1 to 128 letters, digits and . _ - : / @; names that start with @ or * are reserved";
var Checks = class {
  name = "checks";
  /** Throws WarrenError if the server would refuse such a message. */
  message(type, room2, options) {
    const { id, key, traceparent, receipt } = options;
    for (const [field, value] of Object.entries({ type, room: room2, id, key, traceparent })) checkWhole(field, value, id);
    if (id !== void 0) checkId(id);
    check(typeof type === "string" && TYPE.test(type), "invalid_message", TYPE_RULE, id);
    const isReserved2 = UPPER_CASE.test(type) && !ORDINARY.has(type);
    check(!isReserved2, "unknown_type", `${type} is reserved: use join(), leave() and history(); the client sends such types itself`, id);
    if (room2 != null) checkRoom(room2, id);
    if (key != null) {
      check(typeof key === "string", "invalid_message", "key: must be text", id);
      check(lengthOf(key) <= KEY_LENGTH, "invalid_message", `key: must be at most ${KEY_LENGTH} characters`, id);
    }
    check(traceparent == null || typeof traceparent === "string", "invalid_message", "traceparent: must be text", id);
    if (receipt != null) {
      check(RECEIPTS.has(receipt), "invalid_message", "receipt: must be written or seen", id);
      check(id !== void 0, "invalid_message", "receipt: an ephemeral message has none");
    }
  }
  /** What is wrong with the name of a room to join, leave or read; null: nothing. A user's own room (`@ann`) is valid. */
  room(room2) {
    if (typeof room2 === "string" && /^@[^@]/.test(room2) && PRINTABLE.test(room2) && lengthOf(room2) <= ROOM_LENGTH) return null;
    try {
      checkRoom(room2);
      return null;
    } catch (fault) {
      return fault;
    }
  }
  /** Throws WarrenError if this can't be a frame's id. */
  id(id) {
    checkWhole("id", id);
    checkId(id);
  }
  /** A frame's text. Throws WarrenError if the server could not read it, and JSON.stringify's TypeError if JSON has no place for it. */
  text(frame) {
    const { id } = frame;
    let text;
    try {
      text = JSON.stringify(frame, jsonValue);
    } catch (cause) {
      if (cause instanceof RangeError) throw new WarrenError("invalid_format", `payload: ${DEEP}`, { ref: id, cause });
      if (cause instanceof WarrenError) cause.ref = id;
      throw cause;
    }
    const fault = faultOf(text);
    check(!fault, "invalid_format", `payload: ${fault}`, id);
    return text;
  }
};
var checks = () => new Checks();
function checkRoom(room2, id) {
  check(typeof room2 === "string", "invalid_message", "room: must be text", id);
  checkWhole("room", room2, id);
  check(ROOM.test(room2), "invalid_room", room2 === "" ? "room: is empty" : ROOM_RULE, id);
}
function checkWhole(field, value, id) {
  const isCut = typeof value === "string" && LONE.test(value);
  check(!isCut, "invalid_format", `${field}: has ${CUT}`, field === "id" ? void 0 : id);
}
function checkId(id) {
  const isId = typeof id === "string" && PRINTABLE.test(id) && lengthOf(id) <= 64 && id[0] !== "~";
  check(isId, "invalid_message", ID_RULE);
}
function check(holds, code, message, ref) {
  if (!holds) throw new WarrenError(code, message, { ref: typeof ref === "string" ? ref : void 0 });
}
function lengthOf(text) {
  return [...text].length;
}
function jsonValue(name, value) {
  const isLost = typeof value === "number" && !Number.isFinite(value) || typeof value === "function" || typeof value === "symbol";
  if (!isLost) return value;
  const what = typeof value === "number" ? String(value) : `a ${typeof value}`;
  throw new WarrenError("invalid_format", `payload: ${what} (at ${JSON.stringify(name)}) is not a JSON value`);
}
function faultOf(text) {
  if (LONE.test(text)) return `has ${CUT}`;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (inString) {
      if (character === '"') inString = false;
      else if (character === "\\") {
        at++;
        if (text[at] === "u" && text[at + 1] === "d") return `has ${CUT}`;
      }
    } else if (character === '"') inString = true;
    else if (character === "[" || character === "{") {
      if (++depth > DEPTH + 1) return DEEP;
    } else if (character === "]" || character === "}") depth--;
  }
  return void 0;
}

// src/diagnosis.ts
var PATH = "/websocket-stats";
async function diagnose(url, tries, { fetch: fetch2, origin, patienceMs }) {
  const place = `${url.protocol}//${url.host}${url.pathname}`;
  const failed = `no WebSocket could be opened at ${place} in ${tries} ${tries === 1 ? "attempt" : "attempts"}`;
  const [reached, why] = await isThere(url, fetch2, patienceMs);
  const from = origin ? `this page's origin, ${origin}, is` : "the origin of this page is";
  const mend = `WARREN_GATEWAY_ORIGINS${origin ? `=${origin} allows it` : " lists those"}; the gateway logs upgrade_refused`;
  const refusal = `${from} not one that the gateway allows (${mend})`;
  const proxy = "a proxy in between does not forward the upgrade";
  const away = `the address is wrong, the server is down, its certificate is invalid, or this page's policy forbids the request`;
  const text = reached ? `${failed}, although the host answers HTTP. Usual causes: ${refusal}; ${url.pathname} is not the gateway's path; ${proxy}` : `${failed}, and nothing answers HTTP there either (${why}): ${away}. If the server is up after all: ${refusal}`;
  return new WarrenError("never_opened", text, { retry: true });
}
var diagnosis = (host) => ({
  name: "diagnosis",
  async neverOpened(url, tries, hasOpened) {
    const { fetch: fetch2, connectTimeoutMs: patienceMs } = host.options;
    const fault = await diagnose(url, tries, { fetch: fetch2, origin: globalThis.location?.origin, patienceMs });
    if (!hasOpened()) host.emit("error", fault);
  }
});
async function isThere(url, fetch2, patienceMs) {
  const address = new URL(PATH, url);
  address.protocol = url.protocol.replace(/^ws/, "http");
  try {
    const signal = AbortSignal.timeout(patienceMs);
    await fetch2(address.href, { mode: "no-cors", cache: "no-store", credentials: "omit", signal });
    return [true, ""];
  } catch (fault) {
    const { message, cause } = fault;
    return [false, cause?.message || message];
  }
}

// src/contacts.ts
var CONTACTS = 100;
var Contacts = class {
  #online = /* @__PURE__ */ new Map();
  #listeners = new Listeners();
  #watch;
  /** Made by `client.contacts`. `watch` asks the server, and returns what is known of users. */
  constructor(watch) {
    this.#watch = watch;
  }
  /** Listen to `online` and `offline` (with the user), or `change`. Returns a function that removes the listener. */
  on(event, listener, options) {
    return this.#listeners.on(event, listener, options);
  }
  /** The users that are watched. */
  get users() {
    return [...this.#online.keys()];
  }
  get online() {
    return this.users.filter((user) => this.#online.get(user));
  }
  /** True, false, or null: not known (yet), or not told to this client. */
  isOnline(user) {
    return this.#online.get(user) ?? null;
  }
  /** Watch these users and no others. Throws RangeError if that are more than 100 with those of all other watches. */
  set(users) {
    const wanted = new Set(users);
    const known = this.#watch(this, wanted);
    this.#online = new Map([...wanted].map((user) => [user, known.get(user) ?? null]));
    return this;
  }
  /** Watch nobody any more. */
  close() {
    this.quiet();
    this.set([]);
  }
  /** For the client: called by `close()`. */
  quiet = () => {
  };
  /** For the client: this is known of a user now. */
  take(user, isOnline) {
    if (!this.#online.has(user)) return;
    this.#online.set(user, isOnline);
    if (isOnline !== null) this.#listeners.emit(isOnline ? "online" : "offline", user);
    this.#listeners.emit("change", this);
  }
};

// src/seen_positions.ts
var SeenPositions = class {
  users = /* @__PURE__ */ new Map();
  // user ▶ seq
  epoch = null;
  // in which the seqs count; null: the room does not tell who has seen what
  #sum = 0;
  #told = 0;
  // the sum that the room has
  /** Whether these are all, as the sum says. */
  get isComplete() {
    return this.#sum === this.#told;
  }
  /** Take what has changed. Returns whether it is news. */
  take({ epoch, sum, users = {} }) {
    let isNews = epoch !== this.epoch && this.clear();
    this.epoch = epoch;
    for (const [user, seq] of Object.entries(users)) isNews = this.#put(user, seq) || isNews;
    this.#told = sum;
    return isNews;
  }
  /** Take a page that has all users; `later` is what was told since it was asked for. Returns whether it is news. */
  replace(page, later) {
    const { epoch, users: before } = this;
    this.users = /* @__PURE__ */ new Map();
    this.#sum = 0;
    this.take(page);
    const newer = later.filter((each) => each.epoch === page.epoch);
    for (const each of newer) this.take(each);
    this.#told = Math.max(page.sum, ...newer.map(({ sum }) => sum));
    if (this.users.size !== before.size) return true;
    return [...this.users].some(([user, seq]) => epoch !== this.epoch || before.get(user) !== seq);
  }
  /** The room tells nothing (any more). Returns whether anything was known. */
  clear() {
    const isNews = this.users.size > 0;
    this.users = /* @__PURE__ */ new Map();
    this.epoch = null;
    this.#sum = this.#told = 0;
    return isNews;
  }
  #put(user, seq) {
    const before = this.users.get(user) ?? 0;
    if (seq <= before) return false;
    this.users.set(user, seq);
    this.#sum += seq - before;
    return true;
  }
};

// src/roster.ts
var MODULUS = 1n << 64n;
var PAGE = 500;
var SPREAD_MS = { least: 250, perUser: 5, most: 5e3 };
var Roster = class {
  /** By connection in rooms that tell of each connection, otherwise by user. Empty in rooms that tell numbers only. */
  members = /* @__PURE__ */ new Map();
  count = { users: 0, connections: 0 };
  /** The room has too many members to tell them by name. */
  countsOnly = false;
  /** Whether the room tells this client who is there; null: not answered yet. */
  watching = null;
  info;
  // what the room shows of this client; undefined: what the token says
  #proofs = /* @__PURE__ */ new Map();
  #sum = 0n;
  #told = null;
  // {version, digest}: what the room has
  #read = null;
  #failures = 0;
  // reads in a row that did not help
  #isKnown = false;
  // the members were told at least once
  #seen = new SeenPositions();
  #listeners = new Listeners();
  #owner;
  constructor(owner) {
    this.#owner = owner;
  }
  /** Listen to `join`, `leave` and `update` (with the member), `seen` or `change`. Return a function that removes the listener. */
  on(event, listener) {
    return this.#listeners.on(event, listener);
  }
  [Symbol.iterator]() {
    return this.members.values();
  }
  /** Whether these are all members, as the room's proof says. */
  get isComplete() {
    return !this.countsOnly && this.#told !== null && this.#told.digest === this.#sum;
  }
  /** User ▶ the seq up to which it has seen the room, in the room's present epoch. It has users who have left, too. */
  get seen() {
    return this.#seen.users;
  }
  /** Whether the room tells who has seen what. */
  get tellsSeen() {
    return this.#seen.epoch !== null;
  }
  /** Which users have seen a message, without our own: `message` is its seq, or whatever has its seq and epoch. */
  seenBy(message) {
    const { seq, epoch } = typeof message === "number" ? { seq: message } : message;
    if (seq === void 0 || (epoch ?? this.#seen.epoch) !== this.#seen.epoch) return [];
    const own = this.#owner.user();
    return [...this.seen].filter(([user, upTo]) => user !== own && upTo >= seq).map(([user]) => user);
  }
  /** Have the room show `info` (any JSON of at most 1 KiB; null: nothing) with this client from now on. */
  update(info) {
    this.info = info ?? null;
    return this.#owner.update(this.info);
  }
  // ── for the client ───────────────────────────────────────────────────────────────────────────────────────────────────────
  /** What a JOIN asks of presence. */
  joining() {
    const asked = { watch: true };
    if (this.info !== void 0) asked.info = this.info;
    if (this.#isKnown && !this.countsOnly) asked.digest = this.#sum.toString(16).padStart(16, "0");
    return asked;
  }
  joined(watching) {
    this.#becomes(watching);
  }
  /** The connection is closed: the members stay as they were, until the next one says otherwise. */
  disconnect() {
    this.#read = null;
    this.#owner.later(null);
  }
  /** A PRESENCE of the room has arrived. */
  take(payload) {
    if (payload.watching !== void 0) return this.#becomes(payload.watching);
    if (payload.count === void 0) return;
    const { users, connections } = payload.count;
    const told = { version: payload.version, digest: BigInt(`0x${payload.digest}`), count: payload.count };
    const ops = opsOf(payload);
    if (![users, connections, told.version].every(Number.isSafeInteger)) throw new TypeError("PRESENCE without numbers");
    const before = JSON.stringify([this.count, this.countsOnly]);
    this.countsOnly = payload.counts_only === true;
    if (this.countsOnly) this.#clear();
    const isNews = this.#takeSeen(payload);
    const named = payload.page ? this.#takePage(payload, told, ops) : this.#takeDiff(payload, told, ops);
    this.count = this.#told.count;
    if (named || before !== JSON.stringify([this.count, this.countsOnly])) this.#listeners.emit("change", this);
    if (isNews) this.#listeners.emit("seen", this);
    this.#check();
  }
  /** Take who has seen what; of the pages of a read, only the first one tells that. Returns whether it is news. */
  #takeSeen({ seen, page, after }) {
    if (after) return false;
    if (!seen) return this.#seen.clear();
    const later = (this.#read?.diffs ?? []).flatMap((diff) => diff.seen ?? []);
    return page ? this.#seen.replace(seen, later) : this.#seen.take(seen);
  }
  // ── diffs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
  #takeDiff(payload, told, ops) {
    this.#told = told;
    this.#read?.diffs.push(payload);
    if (this.countsOnly) return false;
    const changes = ops.filter(([key, entry]) => this.#put(key, entry));
    return changes.length > 0;
  }
  /** Set or remove (`entry` null) a member, and say so. Returns whether anything changed. */
  #put(key, entry) {
    const known = this.members.get(key);
    const proof = this.#proofs.get(key);
    if (entry === null ? !known : proof === entry.proof) return false;
    this.#sum = (this.#sum - (proof ?? 0n) + (entry?.proof ?? 0n) + MODULUS) % MODULUS;
    if (entry === null) {
      this.members.delete(key);
      this.#proofs.delete(key);
    } else {
      this.members.set(key, entry.member);
      this.#proofs.set(key, entry.proof);
    }
    this.#listeners.emit(entry === null ? "leave" : known ? "update" : "join", entry?.member ?? known);
    return true;
  }
  // ── reads ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
  get #hasAll() {
    return this.countsOnly || this.isComplete && this.#seen.isComplete;
  }
  /** A difference is read after a random delay, which grows while reads do not help. */
  #check() {
    if (this.countsOnly || this.isComplete) this.#isKnown = true;
    if (this.#hasAll) {
      this.#failures = 0;
      return this.#owner.later(null);
    }
    if (this.#read || this.#owner.isWaiting()) return;
    const { least, perUser, most } = SPREAD_MS;
    const spread = Math.min(most, least + perUser * this.count.users) * 2 ** Math.min(this.#failures, 5);
    this.#owner.later(this.#owner.random() * spread, () => this.#begin());
  }
  #begin() {
    if (this.#hasAll || this.#read) return;
    this.#failures++;
    this.#read = newRead();
    this.#next();
  }
  async #next() {
    const read = this.#read;
    try {
      await this.#owner.ask({ limit: this.isComplete ? 1 : PAGE, after: read.after });
    } catch (error) {
      if (this.#read !== read) return;
      this.#read = null;
      if (error.retry) this.#check();
    }
  }
  #takePage(payload, told, ops) {
    if (this.countsOnly) {
      this.#told = told;
      this.#read = null;
      return false;
    }
    const { after, more } = payload;
    if (!this.#read && after === "") this.#read = newRead();
    const read = this.#read;
    if (read?.diffs.length === 0 || !this.#told || told.version >= this.#told.version) this.#told = told;
    if (!read || read.after !== after) return false;
    if (this.isComplete) {
      this.#read = null;
      return false;
    }
    const found = ops;
    for (const [key, entry] of found) read.found.set(key, entry);
    const isLast = !more || found.length === 0;
    read.ranges.push({ last: isLast ? null : found.at(-1)[0], version: payload.version });
    if (!isLast) {
      read.after = found.at(-1)[0];
      this.#next();
      return false;
    }
    this.#read = null;
    this.#isKnown = true;
    return this.#replace(read);
  }
  /** Take what was read for what is there: what came meanwhile and is newer than its page counts. */
  #replace({ found, ranges, diffs }) {
    for (const diff of diffs) {
      for (const [key, entry] of opsOf(diff)) {
        const { version } = ranges.find(({ last }) => last === null || key <= last);
        if (diff.version <= version) continue;
        if (entry) found.set(key, entry);
        else found.delete(key);
      }
    }
    let changes = 0;
    for (const key of [...this.members.keys()]) if (!found.has(key)) changes += Number(this.#put(key, null));
    for (const [key, entry] of found) changes += Number(this.#put(key, entry));
    return changes > 0;
  }
  #clear() {
    this.members.clear();
    this.#proofs.clear();
    this.#sum = 0n;
    this.#read = null;
  }
  #becomes(watching) {
    if (this.watching === watching) return;
    this.watching = watching;
    this.#listeners.emit("change", this);
  }
};
function newRead() {
  return { after: "", found: /* @__PURE__ */ new Map(), ranges: [], diffs: [] };
}
function entryOf({ proof, ...member }) {
  return [member.connection ?? member.user, { member, proof: BigInt(`0x${proof}`) }];
}
function opsOf({ joined = [], left = [], updated = [] }) {
  return [...left.map((key) => [key, null]), ...[...joined, ...updated].map((member) => entryOf(member))];
}

// src/presence.ts
var Presence = class {
  name = "presence";
  #rosters = /* @__PURE__ */ new Map();
  contacts;
  #watched = /* @__PURE__ */ new Map();
  // user ▶ online or not, or null: not known (yet)
  #views = /* @__PURE__ */ new Set();
  #timers;
  #host;
  constructor(host) {
    this.#host = host;
    this.#timers = new Timers(host.options);
    const own = this.#view();
    const watch = (users, { signal } = {}) => {
      const view = this.#view().set(users);
      view.quiet = onAbort(signal, () => view.close());
      return view;
    };
    this.contacts = Object.assign((users) => own.set(users), { watch });
  }
  roster(room2) {
    return this.#rosters.get(room2) ?? null;
  }
  /** Keep a roster of a room. */
  want(room2, wanted) {
    let roster = this.#rosters.get(room2);
    if (!roster) {
      const { options } = this.#host;
      const owner = {
        random: () => options.random(),
        user: () => this.#host.user,
        later: (ms, then) => ms === null ? this.#timers.cancel(room2) : this.#timers.after(room2, ms, then),
        isWaiting: () => this.#timers.has(room2),
        ask: (payload) => this.#send(room2, payload, true),
        update: (info) => this.#send(room2, { update: info })
      };
      this.#rosters.set(room2, roster = new Roster(owner));
    }
    if (typeof wanted === "object" && wanted.info !== void 0) roster.info = wanted.info;
  }
  forget(room2) {
    this.stopped(room2);
    this.#rosters.delete(room2);
  }
  stopped(room2) {
    this.#rosters.get(room2)?.disconnect();
  }
  joining(room2) {
    return this.#rosters.get(room2)?.joining();
  }
  joined({ room: room2, payload }) {
    if (payload.presence) this.#rosters.get(room2)?.joined(payload.presence.watching);
  }
  /** A new connection knows nothing of contacts. */
  opened() {
    if (this.#watched.size) this.#ask({ watch: [...this.#watched.keys()] });
  }
  take(frame) {
    if (frame.type !== "PRESENCE") return;
    const { room: room2, payload } = frame;
    if (!room2) return;
    this.#rosters.get(room2)?.take(payload);
    if (room2[0] === "@") this.#hear(room2.slice(1), payload);
  }
  down() {
    for (const roster of this.#rosters.values()) roster.disconnect();
    this.#timers.clear();
  }
  #view() {
    return new Contacts((view, users) => this.#watch(view, users));
  }
  /** A view wants these users. Ask the server for what no view had before. Returns what is known of them. */
  #watch(view, users) {
    const others = [...this.#views].filter((each) => each !== view).flatMap((each) => each.users);
    const wanted = /* @__PURE__ */ new Set([...others, ...users]);
    if (wanted.size > CONTACTS) throw new RangeError(`at most ${CONTACTS} contacts`);
    if (users.size) this.#views.add(view);
    else this.#views.delete(view);
    const unwatch = [...this.#watched.keys()].filter((user) => !wanted.has(user));
    const watch = [...wanted].filter((user) => !this.#watched.has(user));
    for (const user of unwatch) this.#watched.delete(user);
    for (const user of watch) this.#watched.set(user, null);
    const asked = { ...watch.length && { watch }, ...unwatch.length && { unwatch } };
    if (this.#host.state === "open" && Object.keys(asked).length) this.#ask(asked);
    return this.#watched;
  }
  /** A PRESENCE of a user's own room has arrived. */
  #hear(user, { count, watching }) {
    const known = this.#watched.get(user);
    if (known === void 0) return;
    const isOnline = watching === false ? null : count ? count.users > 0 || count.connections > 0 : known;
    if (isOnline === known) return;
    this.#watched.set(user, isOnline);
    for (const view of [...this.#views]) view.take(user, isOnline);
  }
  #ask(asked) {
    this.#send(void 0, asked, true).catch(() => {
    });
  }
  /** Send a PRESENCE; with `once`, on this connection only. */
  #send(room2, payload, once = false) {
    const fault = this.#host.fault(void 0, !once);
    if (fault) return rejected(fault);
    try {
      return this.#host.outbox.add({ ...this.#host.control("PRESENCE", room2, payload), once });
    } catch (unwritten) {
      return rejected(unwritten);
    }
  }
};
var presence = (host) => new Presence(host);

// src/open_receipts.ts
var ASKED = 32;
var KEPT = 100;
var KEPT_LENGTH = 256 * 1024;
var WAIT_MS = { written: 45e3, seen: 75e3 };
var AGAIN_MS = 6e4;
var LEVELS = { written: ["written"], seen: ["written", "seen"] };
var Receipts = class {
  #open = /* @__PURE__ */ new Map();
  #isOpen = false;
  // the connection
  #timers;
  #host;
  constructor(host) {
    this.#host = host;
    this.#timers = new Timers(host.options);
  }
  /** Want a receipt of a message. Returns what its outbox entry needs: `build`, and promises by level. */
  want(id, room2, level, text) {
    this.#end(this.#open.get(id));
    const waiting = new Map(LEVELS[level].map((each) => [each, deferred()]));
    const promises = Object.fromEntries([...waiting].map(([each, { promise }]) => [each, promise]));
    const record = { id, room: room2, level, text, waiting, isAsked: false, ackedAt: null };
    const length = [...this.#open.values()].reduce((sum, each) => sum + (each.text?.length ?? 0), text.length);
    if (length > KEPT_LENGTH) record.text = null;
    if (this.#open.size < KEPT) this.#open.set(id, record);
    return { promises, build: () => this.#ask(record) ? withReceipt(text, level) : text, record };
  }
  /** The message is accepted; `seq` is missing if it is not numbered. */
  acked({ receipt }, room2, seq) {
    if (!receipt) return;
    const { record } = receipt;
    Object.assign(record, { room: room2, ackedAt: this.#host.options.wall() });
    if (seq === void 0) record.text = null;
    if (this.#open.get(record.id) !== record) return this.#giveUp(record);
    this.#wait(record);
    this.#next();
  }
  /** A RECEIPT has arrived. */
  told({ ref, payload }) {
    const record = this.#open.get(ref);
    if (!record?.waiting.has(payload.level)) return;
    for (const level of [...record.waiting.keys()]) {
      this.#tell(record, level === payload.level ? payload : { level, complete: payload.complete });
      if (level === payload.level) break;
    }
    if (record.waiting.size === 0) this.#end(record);
  }
  /** The message was refused, or the question that was sent again. */
  refused(id) {
    this.#end(this.#open.get(id));
  }
  /** A new connection: ask again. */
  opened() {
    this.#isOpen = true;
    this.#next();
  }
  /** The connection is closed; with `why`, permanently. */
  down(why) {
    this.#isOpen = false;
    for (const record of [...this.#open.values()]) {
      record.isAsked = false;
      if (why || record.ackedAt !== null && record.text === null) this.#end(record);
    }
  }
  /** Ask for what is not asked yet, as far as the server has a place for it. */
  #next() {
    for (const record of [...this.#open.values()]) {
      const { id, room: room2, level, text, ackedAt, isAsked } = record;
      if (!this.#isOpen || isAsked || ackedAt === null || this.#open.get(id) !== record) continue;
      if (text === null || this.#host.options.wall() - ackedAt > AGAIN_MS) this.#end(record);
      else if (this.#ask(record)) {
        this.#wait(record);
        this.#host.outbox.add({ id, kind: "RECEIPT", room: room2, build: () => withReceipt(text, level), once: true, yields: true });
      }
    }
  }
  /** Whether the server has a place for this one. */
  #ask(record) {
    if (this.#open.get(record.id) !== record) return false;
    if (!record.isAsked) record.isAsked = [...this.#open.values()].filter(({ isAsked }) => isAsked).length < ASKED;
    return record.isAsked;
  }
  #wait(record) {
    this.#timers.after(record.id, WAIT_MS[record.level], () => this.#end(record));
  }
  /** Wait for nothing more of a message. */
  #end(record) {
    if (!record || this.#open.get(record.id) !== record) return;
    this.#open.delete(record.id);
    this.#timers.cancel(record.id);
    if (this.#host.outbox.get(record.id)?.kind === "RECEIPT") this.#host.outbox.settle(record.id);
    if (record.ackedAt !== null) this.#giveUp(record);
    this.#next();
  }
  #giveUp(record) {
    for (const level of [...record.waiting.keys()]) this.#tell(record, { level, complete: false });
  }
  #tell(record, { level, complete, readers, seen }) {
    const receipt = { id: record.id, room: record.room, level, complete };
    if (readers !== void 0) Object.assign(receipt, { readers, seen });
    record.waiting.get(level).resolve(receipt);
    record.waiting.delete(level);
    this.#host.emit("receipt", receipt);
  }
};

// src/seen_reports.ts
var EVERY_MS = 1e3;
var SeenReports = class {
  #reports = /* @__PURE__ */ new Map();
  // by room
  #joined = /* @__PURE__ */ new Set();
  // rooms that we are in on this connection
  #timers;
  #host;
  constructor(host) {
    this.#host = host;
    this.#timers = new Timers(host.options);
  }
  /** The user has seen the room up to here. What is not above what was seen before is no news. */
  saw(room2, { epoch, seq }) {
    const known = this.#reports.get(room2);
    if (known?.epoch === epoch && known.seq >= seq) return;
    const report = Object.assign(known ?? { dueAt: 0, isRefused: false, ref: null }, { epoch, seq, isSaid: false });
    this.#reports.set(room2, report);
    this.#plan(room2, report);
  }
  /** We are in a room: say what was seen there, unless it is another epoch's. */
  joined(room2, epoch) {
    this.#joined.add(room2);
    const report = this.#reports.get(room2);
    if (report?.epoch === epoch) this.#plan(room2, report);
    else this.#drop(room2, report);
  }
  /** We are about to leave a room: say the last word there now. */
  leaving(room2) {
    const report = this.#reports.get(room2);
    if (report) {
      this.#host.outbox.settle(report.ref);
      this.#say(room2, report, false);
    }
    this.#reports.delete(room2);
    this.forget(room2);
  }
  /** We are about to close the connection: say the last word everywhere. */
  closing() {
    for (const [room2, report] of this.#reports) this.#say(room2, report);
  }
  /** We are no longer in a room. */
  forget(room2) {
    this.#joined.delete(room2);
    this.#drop(room2, this.#reports.get(room2));
  }
  /** The server has refused a frame: say it again later, or no more on this connection. */
  refused(ref, { retry, retryAfterMs = 0 }) {
    const [room2, report] = [...this.#reports].find(([, { ref: said }]) => said === ref) ?? [];
    if (!room2 || !report) return;
    this.#timers.cancel(room2);
    Object.assign(report, { isSaid: false, isRefused: !retry, dueAt: this.#host.options.now() + Math.max(EVERY_MS, retryAfterMs) });
    this.#plan(room2, report);
  }
  /** The connection is closed. */
  down() {
    this.#joined.clear();
    this.#timers.clear();
    for (const report of this.#reports.values()) Object.assign(report, { isSaid: false, isRefused: false });
  }
  #plan(room2, report) {
    const wait = report.dueAt - this.#host.options.now();
    if (wait <= 0) this.#say(room2, report);
    else if (!this.#timers.has(room2)) this.#timers.after(room2, wait, () => this.#say(room2, report));
  }
  #say(room2, report, yields = true) {
    if (report.isSaid || report.isRefused || !this.#joined.has(room2) || report.ref && this.#host.outbox.get(report.ref)) return;
    this.#timers.cancel(room2);
    const id = report.ref = this.#host.id();
    const build = () => {
      Object.assign(report, { isSaid: true, dueAt: this.#host.options.now() + EVERY_MS });
      const { epoch, seq } = report;
      return JSON.stringify(controlFrame("SEEN", { room: room2, payload: { epoch, seq }, id }, this.#host.options.wall()));
    };
    this.#host.outbox.add({ id, kind: "SEEN", room: room2, build, once: true, unanswered: true, yields });
  }
  #drop(room2, report) {
    this.#timers.cancel(room2);
    this.#host.outbox.settle(report?.ref ?? null);
    this.#reports.delete(room2);
  }
};

// src/receipts.ts
var Delivery = class {
  name = "receipts";
  receipts;
  seen;
  #host;
  constructor(host) {
    this.#host = host;
    this.receipts = new Receipts(host);
    this.seen = new SeenReports(host);
  }
  /** The user has seen a room up to here, or up to the last message that was delivered there. Throws WarrenError for an invalid name. */
  saw(name, position) {
    const fault = this.#host.roomFault(name);
    if (fault) throw fault;
    const room2 = this.#host.rooms.get(name);
    const { epoch, seq = 0 } = (position === void 0 ? room2?.delivered : position) ?? {};
    if (epoch && seq > 0 && epoch === room2?.position?.epoch) this.seen.saw(name, { epoch, seq });
  }
  opened() {
    this.receipts.opened();
  }
  down(why) {
    this.seen.down();
    this.receipts.down(why);
  }
  closing() {
    this.seen.closing();
  }
  joined({ room: room2, payload }) {
    this.seen.joined(room2, payload.epoch);
  }
  leaving(room2) {
    this.seen.leaving(room2);
  }
  forget(room2) {
    this.seen.forget(room2);
  }
  take(frame) {
    if (frame.type === "RECEIPT") this.receipts.told(frame);
  }
  acked(entry, room2, seq) {
    this.receipts.acked(entry, room2, seq);
  }
  refused(ref, error) {
    this.seen.refused(ref, error);
  }
  rejects(entry) {
    this.receipts.refused(entry.id);
    return false;
  }
};
var receipts = (host) => new Delivery(host);

// src/queue.ts
var Queue = class {
  items = [];
  limit;
  /** What was given out last, until the next one is asked for: the loop is not done with it. */
  current;
  #waiting = [];
  #end = null;
  #left;
  /** `left` is called once, when the loop is left or the queue has ended. */
  constructor(limit, left) {
    if (!(limit >= 1)) throw new RangeError("the limit of a queue must be at least 1");
    this.limit = limit;
    this.#left = left;
  }
  get isFull() {
    return this.items.length >= this.limit;
  }
  put(item) {
    if (this.#end) return;
    const next = this.#waiting.shift();
    if (!next) return void this.items.push(item);
    this.current = item;
    next.resolve({ value: item, done: false });
  }
  /** Nothing more will come. What waits is still given out; then the loop ends, with the error if there is one. */
  end(error) {
    if (this.#end) return;
    this.#end = error === void 0 ? {} : { error };
    this.#left();
    for (const waiting of this.#waiting.splice(0)) this.#last(waiting);
  }
  next() {
    const next = deferred();
    this.current = this.items.shift();
    if (this.current !== void 0) next.resolve({ value: this.current, done: false });
    else if (this.#end) this.#last(next);
    else this.#waiting.push(next);
    return next.promise;
  }
  return() {
    this.items.length = 0;
    this.end();
    return this.next();
  }
  [Symbol.asyncIterator]() {
    return this;
  }
  /** The error is told once. */
  #last(waiting) {
    const { error } = this.#end;
    this.#end = {};
    if (error === void 0) waiting.resolve({ value: void 0, done: true });
    else waiting.reject(error);
  }
};

// src/room.ts
var QUEUED = 1e3;
var NONE = /* @__PURE__ */ new Map();
var Room = class {
  name;
  #client;
  #owner;
  #state = "joining";
  #joined = deferred();
  #listeners = new Listeners("state", "gap", "dropped", "left", "presence");
  #queues = /* @__PURE__ */ new Set();
  #isClosed = false;
  // as the client is
  #error = null;
  // why it is left, unless by ourselves
  #watched = null;
  #quiet = [];
  /** Made by `client.room()`. */
  constructor(name, client, owner) {
    this.name = name;
    this.#client = client;
    this.#owner = owner;
  }
  /** `joining` (also while there is no connection), `joined`, `left`. */
  get state() {
    return this.#state;
  }
  /** Resolves when we are in, now or with the next JOINED; rejected when the room is refused or left. */
  get joined() {
    return this.#joined.promise;
  }
  /** Who is in the room, live: by connection or by user. Empty without the option `presence`. */
  get presence() {
    return this.roster?.members ?? NONE;
  }
  /** The same with counts, events and who has seen what; null without the option `presence`. */
  get roster() {
    return this.#state === "left" ? null : this.#client.presence(this.name);
  }
  get position() {
    return this.#client.position(this.name);
  }
  on(type, listener, options) {
    return this.#state === "left" ? () => {
    } : this.#listeners.on(type, listener, options);
  }
  once(type, options) {
    const next = this.#listeners.once(type, options);
    if (this.#state === "left") this.#listeners.end(this.#over);
    return next;
  }
  /**
   * The messages from now on, in order, and between them `GAP` and `DROPPED` where some are missing. Ends when the room is left or the
   * client is closed, and throws if the room is refused or the server takes us out. At most `limit` (1,000) wait: if the loop is slower,
   * the oldest are lost, and a `DROPPED` in their place says how many.
   */
  messages({ limit = QUEUED, signal } = {}) {
    if (!(limit >= 2)) throw new RangeError("limit: must be at least 2");
    const queue = new Queue(limit, () => {
      this.#queues.delete(queue);
      quiet();
    });
    this.#queues.add(queue);
    const quiet = onAbort(signal, () => queue.end());
    if (this.#state === "left") queue.end(this.#error ?? void 0);
    return queue;
  }
  [Symbol.asyncIterator]() {
    return this.messages();
  }
  /** Send a message to this room: see `client.send`. */
  send(type, payload, options) {
    if (this.#state === "left") return rejected(this.#over);
    return this.#client.send(type, this.name, payload ?? null, options);
  }
  /** The room's older messages, the newest first, page by page as they are read: those before the seq `before`. */
  async *history({ before, limit, signal } = {}) {
    await this.joined;
    for (; ; ) {
      const page = await this.#client.history(this.name, { before, limit, signal });
      yield* [...page.messages].reverse();
      before = page.messages[0]?.seq;
      if (!page.more || before === void 0) return;
    }
  }
  /** The user has seen the room up to this message: see `client.seen`. */
  seen(position) {
    if (this.#state !== "left") this.#client.seen(this.name, position);
  }
  /** Hold the room no longer. Listeners are removed and loops end at once; the client leaves the room if nobody else holds it. */
  leave() {
    if (this.#state === "left") return Promise.resolve();
    this.end(null);
    return this.#owner.release(this);
  }
  // ── for the part ─────────────────────────────────────────────────────────────────────────────────────────────────────────
  /** The messages that loops are not done with. */
  get unread() {
    return [...this.#queues].flatMap(({ current, items }) => current ? [current, ...items] : items);
  }
  /** We are in. */
  entered(joined) {
    this.watch(joined.presence);
    this.#joined.resolve(joined);
    this.#become("joined");
  }
  /** Tell listeners when the roster changes, which may be made later, for another who holds the room. */
  watch(roster) {
    if (!roster || roster === this.#watched) return;
    this.#watched = roster;
    this.#quiet.push(roster.on("change", (now) => this.#listeners.emit("presence", now)));
  }
  /** We are out, and will be in again. */
  away() {
    if (this.#state !== "joined") return;
    this.#joined = deferred();
    this.#become("joining");
  }
  hand(message) {
    this.#listeners.hand(message);
    this.#put(message);
  }
  gap(gap) {
    this.#listeners.emit("gap", gap);
    this.#put({ type: "GAP", lost: "gap", room: this.name, payload: gap });
  }
  dropped({ payload }) {
    this.#listeners.emit("dropped", payload);
    this.#put({ type: "DROPPED", lost: "dropped", room: this.name, payload });
  }
  /** The client is closed, by itself (`isOwn`) or by the server: loops end. It may connect again, and is in the room then. */
  closed(why, isOwn) {
    this.#joined.reject(why);
    this.#isClosed = true;
    this.#listeners.end(why);
    for (const queue of [...this.#queues]) queue.end(isOwn ? void 0 : why);
  }
  /** The client connects again. */
  opened() {
    if (this.#isClosed) this.#joined = deferred();
    this.#isClosed = false;
  }
  /** It is over: by ourselves (null), or for this reason. */
  end(error, reason = null) {
    if (this.#state === "left") return;
    this.#error = error;
    const joined = deferred();
    for (const each of [this.#joined, joined]) each.reject(this.#over);
    this.#joined = joined;
    this.#become("left");
    this.#listeners.emit("left", { room: this.name, reason, error });
    this.#listeners.end(this.#over);
    this.#listeners = new Listeners();
    for (const queue of [...this.#queues]) queue.end(error ?? void 0);
    for (const quiet of this.#quiet.splice(0)) quiet();
  }
  /** Keep something that ends with the room. */
  until(quiet) {
    this.#quiet.push(quiet);
  }
  get #over() {
    return this.#error ?? new WarrenError("closed", `left ${this.name}`);
  }
  #become(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#listeners.emit("state", state);
  }
  #put(item) {
    for (const queue of this.#queues) {
      if (queue.isFull) drop(queue.items, queue.limit, this.name);
      queue.put(item);
    }
  }
};
function drop(items, limit, room2) {
  const first = items[0];
  let told;
  if (first.lost === "dropped" && first.payload.local) told = first;
  else {
    told = { type: "DROPPED", lost: "dropped", room: room2, payload: { count: 0, seq: 0, local: true } };
    items.unshift(told);
  }
  while (items.length >= limit) {
    const lost = items.splice(1, 1)[0];
    const { count, seq } = lost.lost === "dropped" ? lost.payload : { count: lost.lost ? 0 : 1, seq: lost.lost ? 0 : lost.seq ?? 0 };
    told.payload.count += count;
    told.payload.seq = Math.max(told.payload.seq, seq);
  }
}
var RoomHolds = class {
  name = "room";
  #held = /* @__PURE__ */ new Map();
  #host;
  constructor(host) {
    this.#host = host;
  }
  hold(name, { presence: presence2, signal }) {
    const fault = this.#host.roomFault(name);
    if (fault) throw fault;
    const { client } = this.#host;
    const room2 = new Room(name, client, this);
    if (signal?.aborted) {
      room2.end(null);
      return room2;
    }
    this.#held.set(name, this.#of(name).add(room2));
    room2.until(onAbort(signal, () => void room2.leave()));
    const joined = this.#host.rooms.get(name)?.last;
    const before = client.presence(name);
    if (!joined || presence2 && !before) this.#host.want(name, presence2);
    else if (typeof presence2 === "object" && "info" in presence2) before?.update(presence2.info).catch(() => {
    });
    const roster = client.presence(name);
    room2.watch(roster);
    if (joined) room2.entered({ ...joined, presence: roster });
    return room2;
  }
  /** A room is held by one less. */
  async release(room2) {
    const { name } = room2;
    const all = this.#of(name);
    all.delete(room2);
    if (all.size) return;
    this.#held.delete(name);
    await null;
    const position = this.#host.rooms.get(name);
    if (position && !position.isKept && !this.#held.has(name)) await this.#host.client.leave(name);
  }
  entered(joined) {
    this.#each(joined.room, (room2) => room2.entered(joined));
  }
  stopped(name) {
    this.#each(name, (room2) => room2.away());
  }
  forget(name, why, reason) {
    const all = this.#of(name);
    this.#held.delete(name);
    for (const room2 of [...all]) room2.end(why, reason);
  }
  opened() {
    this.#everywhere((room2) => room2.opened());
  }
  down(why, isOwn = false) {
    this.#everywhere((room2) => {
      room2.away();
      if (why) room2.closed(why, isOwn);
    });
  }
  hand(message) {
    this.#each(message.room, (room2) => room2.hand(message));
  }
  gap(gap) {
    this.#each(gap.room, (room2) => room2.gap(gap));
  }
  take(frame) {
    const { type, room: name } = frame;
    if (type === "DROPPED") this.#each(name, (room2) => room2.dropped(frame));
  }
  /** The first message that a loop is not done with. */
  unread(name) {
    const all = [...this.#of(name)].flatMap(({ unread }) => unread).filter(({ lost }) => !lost);
    return all.filter(({ seq }) => seq).sort((a, b) => a.timestamp - b.timestamp || a.seq - b.seq)[0];
  }
  #of(name) {
    return this.#held.get(name) ?? /* @__PURE__ */ new Set();
  }
  #each(name, then) {
    [...this.#of(name)].forEach(then);
  }
  #everywhere(then) {
    for (const name of [...this.#held.keys()]) this.#each(name, then);
  }
};
var room = (host) => new RoomHolds(host);

// src/request_frame.ts
var SERVICE = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;
var REQUEST_ID_BYTES = 120;
var TIMEOUT_MS = 6e4;
var SERVICE_RULE = "service: must be 1 to 128 letters, digits and _ - in words with dots between them, the last of which is not cancel";
function requestFrame(service, payload, { id, timeoutMs, durable, traceparent }, timestamp) {
  const check2 = (holds, message) => {
    if (!holds) throw new WarrenError("invalid_message", message, { ref: id });
  };
  check2(new TextEncoder().encode(id).length <= REQUEST_ID_BYTES, `id: at most ${REQUEST_ID_BYTES} bytes of UTF-8`);
  check2(typeof service === "string" && service.length <= 128 && SERVICE.test(service) && !service.endsWith(".cancel"), SERVICE_RULE);
  const isTime = timeoutMs === void 0 || Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= TIMEOUT_MS;
  check2(isTime, `timeoutMs: must be a whole number from 1 to ${TIMEOUT_MS}`);
  check2(durable === void 0 || typeof durable === "boolean", "durable: must be true or false");
  check2(traceparent == null || typeof traceparent === "string", "traceparent: must be text");
  const fields = { service, payload, timeout_ms: timeoutMs, durable: durable || void 0, traceparent: traceparent ?? void 0 };
  return controlFrame("REQUEST", { ...fields, ...bytesOf(payload), id }, timestamp);
}

// src/rpc.ts
var QUEUED2 = 1e3;
var GRACE_MS = 1e3;
var Requests = class {
  name = "rpc";
  #accepted = /* @__PURE__ */ new Map();
  // durable requests
  #timers;
  #host;
  constructor(host) {
    this.#host = host;
    this.#timers = new Timers(host.options);
  }
  isFull() {
    return this.#accepted.size >= this.#host.options.outboxLimit;
  }
  get(id) {
    const entry = this.#host.outbox.get(id) ?? this.#accepted.get(id);
    return entry?.kind === "REQUEST" ? entry : void 0;
  }
  request(service, payload, options) {
    const id = options.id ?? this.#host.id();
    let text;
    try {
      this.#host.checks?.id(id);
      text = this.#host.text(requestFrame(service, payload, { ...options, id }, this.#host.options.wall()));
    } catch (fault2) {
      return rejected(fault2);
    }
    const before = this.get(id);
    if (before) return before.promise;
    const fault = this.#host.fault(id, true);
    return fault ? rejected(fault) : this.#ask(id, text, options);
  }
  /** The parts of an answer as they come. */
  stream(service, payload, { limit = QUEUED2, signal, onPart, ...options }) {
    const left = new AbortController();
    const queue = new Queue(limit, () => {
      quiet();
      left.abort(new WarrenError("cancelled", "the loop was left"));
    });
    const quiet = onAbort(signal, () => left.abort(signal.reason));
    let parts = 0;
    const take = (part, n) => {
      parts++;
      onPart?.(part, n);
      if (queue.isFull) queue.end(new WarrenError("too_slow", `more than ${limit} parts of an answer waited to be read`));
      else queue.put(part);
    };
    this.request(service, payload, { ...options, signal: left.signal, onPart: take }).then(
      (answer) => {
        if (!parts) queue.put(answer);
        queue.end();
      },
      (error) => queue.end(error)
    );
    return queue;
  }
  /** Ask; return the promise of the answer's last part. `text` is the frame. */
  #ask(id, text, { timeoutMs, durable = false, onPart, signal }) {
    if (signal?.aborted) return rejected(cancelled("the request", signal, id));
    const request = { id, kind: "REQUEST", build: () => text, durable, onPart, timeoutMs, n: 0 };
    const promise = this.#host.outbox.add(request);
    const entry = this.get(id);
    if (!entry) return promise;
    this.#wait(entry);
    if (signal) entry.quiet = onAbort(signal, () => this.#giveUp(entry, cancelled("the request", signal, id)));
    return promise;
  }
  /** A RESPONSE: an answer, or a part of one. */
  hand(message) {
    if (message.type !== "RESPONSE") return;
    const { ref, n = 1, more = false, payload } = message;
    const entry = this.get(ref);
    if (!entry || n <= entry.n) return;
    entry.n = n;
    if (more) this.#wait(entry);
    else this.#over(entry)?.resolve(payload);
    if (more || n > 1) entry.onPart?.(payload, n);
  }
  /** ACCEPTED: the answer to a durable request will come as a message. */
  take({ type, ref }) {
    const entry = this.get(ref);
    if (type !== "ACCEPTED" || !entry) return;
    this.#timers.cancel(entry.id);
    this.#host.outbox.settle(ref);
    this.#accepted.set(entry.id, entry);
  }
  rejects(entry, error) {
    if (entry.kind !== "REQUEST") return false;
    this.#over(entry)?.reject(error);
    return true;
  }
  /** What has parts of an answer can't go on on another connection. */
  down(why) {
    for (const entry of this.#host.outbox.of("REQUEST")) {
      const lost = new WarrenError("connection", "the connection was lost in the middle of an answer", { retry: true, ref: entry.id });
      if (why || entry.n > 0) this.rejects(entry, why ?? lost);
    }
    if (why) for (const entry of [...this.#accepted.values()]) this.rejects(entry, why);
  }
  #wait(entry) {
    const { id, timeoutMs, durable } = entry;
    if (timeoutMs === void 0 || durable) return;
    const late = new WarrenError("timeout", `no answer within ${timeoutMs} ms`, { retry: true, ref: id });
    this.#timers.after(id, timeoutMs + GRACE_MS, () => this.#giveUp(entry, late));
  }
  #giveUp(entry, error) {
    if (this.get(entry.id) !== entry) return;
    const isSent = entry.sentAt !== null && !this.#accepted.has(entry.id);
    this.rejects(entry, error);
    if (isSent) {
      const build = () => JSON.stringify(controlFrame("CANCEL", { ref: entry.id }, this.#host.options.wall()));
      this.#host.outbox.first({ build });
    }
  }
  #over(entry) {
    const found = this.get(entry.id);
    if (found !== entry) return void 0;
    this.#timers.cancel(entry.id);
    found.quiet?.();
    this.#host.outbox.settle(entry.id);
    this.#accepted.delete(entry.id);
    return entry;
  }
};
var rpc = (host) => new Requests(host);

// src/snapshot.ts
var Snapshots = class {
  name = "snapshot";
  #host;
  constructor(host) {
    this.#host = host;
  }
  take() {
    const { outbox, rooms, link, user } = this.#host;
    const known = [...rooms.known].map(([name, { position, grant, isKept }]) => ({ name, position, grant, isKept }));
    const present = rooms.all.filter(({ name }) => name !== "*").map((room2) => {
      const { name, grant, isKept } = room2;
      return { name, position: this.#done(room2), grant, isKept };
    });
    return {
      version: 1,
      user,
      grant: link.grant,
      hasConnected: link.manual,
      rooms: [...known, ...present],
      mine: [...rooms.mine],
      outbox: outbox.of("message").map(({ id, room: room2 = null, text, echo }) => ({ id, room: room2, text, echo: echo === true }))
    };
  }
  /** How far the application is: what waits for a loop, or is in its hands, comes again. */
  #done({ name, since }) {
    let first;
    this.#host.each((part) => first ??= part.unread?.(name));
    return first?.epoch && first.seq ? { epoch: first.epoch, seq: first.seq - 1 } : since;
  }
  /** Throws TypeError after the first connect, and for what is no snapshot. */
  restore(snapshot2) {
    const { outbox, rooms, link, options, state } = this.#host;
    if (state !== "idle") throw new TypeError("restore: only before the first connect()");
    if (snapshot2?.version !== 1) throw new TypeError("restore: this is no snapshot of version 1");
    if (!options.user) link.user = snapshot2.user;
    link.grant = snapshot2.grant;
    link.manual = snapshot2.hasConnected;
    for (const { name, ...known } of snapshot2.rooms) {
      rooms.known.set(name, known);
      if (known.isKept) rooms.want(name);
    }
    for (const id of snapshot2.mine) rooms.sent(id);
    for (const { id, room: room2, text, echo } of snapshot2.outbox) {
      outbox.add({ id, kind: "message", room: room2, text, echo, build: () => text, isRestored: true });
    }
  }
};
var snapshot = (host) => new Snapshots(host);

// src/index.ts
var PARTS = [checks, diagnosis, rpc, presence, receipts, room, snapshot];
var WarrenClient2 = class extends WarrenClient {
  constructor(url, options = {}) {
    super(url, { ...options, parts: [...PARTS, ...options.parts ?? []] });
  }
};
export {
  Contacts,
  Room,
  Roster,
  WarrenClient2 as WarrenClient,
  WarrenError
};
