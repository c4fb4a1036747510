/**
 * Why no WebSocket could be opened. A browser tells a page nothing about an upgrade that was refused, so one HTTP request to the same
 * host finds out whether anything answers there at all; what it says is not looked at. Part of warren.js.
 */
import { WarrenError } from "./error.js";

const PATH = "/websocket-stats"; // every gateway has it, and whatever else answers will do

/** Return a WarrenError `never_opened` that says what may be the cause after `tries` tries at `url`. It never fails. */
export async function diagnose(url, tries, { fetch, origin, patienceMs }) {
  const place = `${url.protocol}//${url.host}${url.pathname}`;
  const failed = `no WebSocket could be opened at ${place} in ${tries} ${tries === 1 ? "try" : "tries"}`;
  const [reached, why] = await isThere(url, fetch, patienceMs);
  const from = origin ? `this page's origin, ${origin}, is` : "the origin of this page is";
  const refusal = `${from} not among those that the gateway allows (WARREN_GATEWAY_ORIGINS; its log names what it refused)`;
  const proxy = "a proxy in between does not pass the upgrade on";
  const away = `the address is wrong, the server is not up, its certificate does not hold, or this page's policy forbids the request`;
  const text = reached
    ? `${failed}, though the host answers HTTP. Usual causes: ${refusal}; ${url.pathname} is not the gateway's path; ${proxy}`
    : `${failed}, and nothing answers HTTP there either (${why}): ${away}. If it is up after all: ${refusal}`;
  return new WarrenError("never_opened", text, { retry: true });
}

async function isThere(url, fetch, patienceMs) {
  const address = new URL(PATH, url);
  address.protocol = url.protocol.replace(/^ws/, "http");
  try {
    const signal = AbortSignal.timeout(patienceMs);
    // no-cors: the answer of another origin may not be read, but that one came is enough
    await fetch(address.href, { mode: "no-cors", cache: "no-store", credentials: "omit", signal });
    return [true, ""];
  } catch (cause) {
    return [false, cause.cause?.message || cause.message];
  }
}
