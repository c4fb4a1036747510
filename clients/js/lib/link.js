/**
 * One connection that reconnects: dialling, back-off with full jitter, heartbeat, token, close codes. It knows no rooms and no
 * messages. It reports to its owner with four functions: `frame(data)`, `down(why)` (with `why`: permanently), `state(name)` and
 * `report(event, value)`. Part of warren.js.
 */
import { diagnose } from "./diagnosis.js";
import { WarrenError, adviceOf, deferred } from "./error.js";
import { Timers } from "./timers.js";

const PROTOCOL = "warren.v1";
const NO_ANSWER = 4000; // the client's own close code: the server was silent
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const DIAGNOSED_AT = 3; // attempts without an open WebSocket

export class Link {
  state = "idle"; // ▶ connecting ▶ open ▶ waiting ▶ connecting …, and closed
  token;
  grant = null; // the last one that a WELCOME brought; the next connect shows it
  user;
  manual = false; // we join all our rooms ourselves; the server joins none for us
  advice = null; // `reconnect` of the ERROR before the close: "yes", "no", "fresh token"
  words = null; // and its message
  afterMs = 0; // and how long to stay away, if it says so
  #socket = null;
  #life = 0; // counts sockets: events of an earlier socket are ignored
  #tries = 0;
  #unopened = 0; // sockets in a row that never opened; ignored once one did
  #hasOpened = false;
  #openedAt = -Infinity;
  #heardAt = 0;
  #moving = false;
  #ready = null;
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
      this.#tries = this.#unopened = 0;
      this.#ready = deferred();
      this.#dial();
    } else if (this.state === "waiting") this.#dial();
    return this.#ready.promise;
  }

  close() {
    if (this.state === "idle" || this.state === "closed") return;
    this.#letGo(1000, "Bye");
    this.#stop(1000, "Bye", new WarrenError("closed", "the client was closed"));
  }

  write(text) {
    this.#socket?.send(text);
  }

  /** WELCOME has arrived. For each heartbeat, call `ping(sent)`, which calls `sent` once the PING is on the wire. */
  opened(welcome, ping) {
    this.#timers.cancel("connect");
    if (!this.token) this.user = welcome.user; // keep the name that the server generated
    if (welcome.grant) this.grant = welcome.grant;
    this.#openedAt = this.#options.now();
    this.#become("open");
    this.#beat(ping);
    this.#ready.resolve(welcome);
  }

  /** Get a fresh token shortly before `expiresAt` (ms since the Unix epoch) and pass it to `authenticate`. */
  refresh(expiresAt, authenticate) {
    if (!expiresAt || !this.#options.getToken) return;
    const delay = expiresAt - this.#options.wall() - this.#options.refreshBeforeMs;
    this.#timers.after("refresh", Math.max(1_000, Math.min(delay, LONGEST_TIMER_MS)), async () => {
      const life = this.#life;
      try {
        const token = await this.#options.getToken();
        this.token = token;
        if (life === this.#life) authenticate(token);
      } catch (cause) {
        this.#owner.report("error", new WarrenError("unauthorized", `can't get a fresh token: ${cause.message}`, { cause }));
      }
    });
  }

  /** The server asks us to reconnect after `afterMs`. It spreads these times itself, so add no back-off. */
  move(afterMs) {
    this.#timers.after("move", Math.min(afterMs, LONGEST_TIMER_MS), () => {
      this.#moving = true;
      this.#letGo(1000, "Moving");
      this.#lost(1012, "Draining");
    });
  }

  async #dial() {
    const life = ++this.#life;
    this.#timers.clear();
    this.#become("connecting");
    const patience = this.#options.connectTimeoutMs;
    this.#timers.after("connect", patience, () => this.#fail("connection", `no WELCOME within ${patience} ms`));
    try {
      if (!this.token && this.#options.getToken) {
        const token = await this.#options.getToken();
        if (life !== this.#life) return; // closed or timed out meanwhile
        this.token = token;
      }
      this.#open();
    } catch (cause) {
      if (life === this.#life) this.#fail("connection", `can't connect: ${cause.message}`, cause);
    }
  }

  #open() {
    const url = new URL(this.#url);
    const protocols = [PROTOCOL];
    if (this.token && this.#options.tokenIn === "query") url.searchParams.set("token", this.token);
    else if (this.token) protocols.push(`bearer.${this.token}`);
    else if (this.user) url.searchParams.set("user", this.user);
    if (this.grant && this.#options.tokenIn === "query") url.searchParams.set("grant", this.grant);
    else if (this.grant) protocols.push(`grant.${this.grant}`);
    if (this.manual) url.searchParams.set("join", "manual");
    const socket = new this.#options.WebSocket(url.href, protocols);
    this.#socket = socket;
    socket.onopen = () => (this.#hasOpened = true);
    socket.onmessage = ({ data }) => {
      this.#hasOpened = true;
      this.#heardAt = this.#options.now();
      this.#owner.frame(data);
    };
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    socket.onerror = () => {}; // the close event that follows says more
  }

  #fail(code, message, cause) {
    this.#letGo(NO_ANSWER, "No answer");
    this.#owner.report("error", new WarrenError(code, message, { retry: true, cause }));
    if (this.state !== "closed") this.#lost(1006, message); // a listener may have closed the client
  }

  /** Close the socket and ignore its events: a dead one can take minutes to report that it is closed. */
  #letGo(code, reason) {
    this.#life++;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    if (!this.#hasOpened) this.#unopened++;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code, reason);
  }

  #lost(code, reason) {
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
    if (this.#unopened === Math.min(DIAGNOSED_AT, maxTries + 1)) this.#diagnose();
    if (now() - this.#openedAt >= stableMs) this.#tries = 0;
    this.#openedAt = Infinity; // not stable until the next WELCOME
    if (this.#tries >= maxTries) {
      return this.#stop(code, reason, new WarrenError("closed", `gave up after ${this.#tries} attempts`));
    }
    const delayMs = moving ? 0 : afterMs + random() * Math.min(backoffCapMs, backoffMs * 2 ** this.#tries);
    if (!moving) this.#tries++;
    this.#become("waiting");
    this.#owner.report("close", { code, reason, reconnect: true, delayMs });
    if (this.state === "waiting") this.#timers.after("dial", delayMs, () => this.#dial());
  }

  async #diagnose() {
    const { fetch, connectTimeoutMs: patienceMs } = this.#options;
    const origin = globalThis.location?.origin;
    const fault = await diagnose(this.#url, this.#unopened++, { fetch, origin, patienceMs }); // incremented, so that it is reported once
    if (!this.#hasOpened) this.#owner.report("error", fault);
  }

  #stop(code, reason, why) {
    this.#timers.clear();
    this.state = "closed";
    this.#owner.down(why);
    this.#ready.reject(why);
    this.#owner.state("closed");
    this.#owner.report("close", { code, reason, reconnect: false, delayMs: null });
  }

  /** A browser can't see WebSocket pings, so the client sends PINGs. Anything that is received counts as an answer. */
  #beat(ping) {
    const { pingMs, pongTimeoutMs, now } = this.#options;
    this.#timers.after("ping", pingMs, () => {
      const life = this.#life;
      ping(() => {
        if (life !== this.#life) return;
        const askedAt = now();
        this.#timers.after("pong", pongTimeoutMs, () => {
          if (this.#heardAt >= askedAt) this.#beat(ping);
          else this.#fail("heartbeat_missed", `nothing was received for ${pongTimeoutMs} ms after a PING`);
        });
      });
    });
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.#owner.state(state);
  }
}
