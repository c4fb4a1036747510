/** The client's options (documented in warren.d.ts) and their defaults. Part of warren.js. */

const DEFAULTS = {
  token: null,
  getToken: null,
  tokenIn: "subprotocol",
  user: null,
  backoffMs: 1_000,
  backoffCapMs: 30_000,
  maxTries: Infinity,
  stableMs: 5_000,
  connectTimeoutMs: 10_000,
  pingMs: 30_000,
  pongTimeoutMs: 10_000,
  ackTimeoutMs: 15_000,
  refreshBeforeMs: 30_000,
  gapMs: 1_000,
  outboxLimit: 100,
  ephemeralTypes: ["TYPING"],
};

/** Return all options. Throws TypeError if there is no WebSocket class. */
export function withDefaults(options) {
  const all = {
    ...DEFAULTS,
    WebSocket: globalThis.WebSocket,
    fetch: (address, how) => fetch(address, how),
    random: Math.random,
    now: () => performance.now(),
    wall: () => Date.now(),
    setTimeout: (then, ms) => setTimeout(then, ms),
    clearTimeout: (timer) => clearTimeout(timer),
    ...options,
  };
  if (!all.WebSocket) throw new TypeError("this environment has no WebSocket class: pass one as options.WebSocket");
  return all;
}
