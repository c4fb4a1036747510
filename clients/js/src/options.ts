/** The client's options and their defaults. It reads nothing but what the environment offers. */
import type { Options } from "./types.js";

export type AllOptions = { [Name in keyof Options]-?: Exclude<Options[Name], undefined> };
/** The part of the options that timers need. */
export type Clock = Pick<AllOptions, "setTimeout" | "clearTimeout">;

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
  wakeTimeoutMs: 3_000,
  ackTimeoutMs: 15_000,
  refreshBeforeMs: 30_000,
  gapMs: 1_000,
  outboxLimit: 100,
  ephemeralTypes: ["TYPING"],
  parts: [],
} satisfies Options;

/** Return all options. Throws TypeError if there is nothing to connect by. */
export function withDefaults(options: Options): AllOptions {
  const all = {
    ...DEFAULTS,
    WebSocket: globalThis.WebSocket,
    transport: null,
    page: globalThis.window?.document ? globalThis.window : null,
    fetch: (address: string, how: RequestInit) => fetch(address, how),
    random: Math.random,
    now: () => performance.now(),
    wall: () => Date.now(),
    setTimeout: (then: () => void, ms: number) => setTimeout(then, ms),
    clearTimeout: (timer: unknown) => clearTimeout(timer as number),
    ...options,
  } as AllOptions;
  if (!all.WebSocket && !all.transport) {
    throw new TypeError("this environment has no WebSocket class: pass one as options.WebSocket");
  }
  return all;
}
