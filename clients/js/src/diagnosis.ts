/**
 * The part "diagnosis": finds out why no WebSocket could be opened. A browser tells a page nothing about a refused upgrade, so one HTTP request to the same
 * host checks whether anything answers there at all. The content of the answer is ignored.
 */
import { WarrenError } from "./error.js";
import type { Host, Part } from "./parts.js";
import type { Options } from "./types.js";

const PATH = "/websocket-stats"; // every gateway serves it; any other answer will do, too

export interface Means {
  fetch: Exclude<Options["fetch"], undefined>;
  /** The page's own; undefined outside of browsers. */
  origin: string | undefined;
  patienceMs: number;
}

/** Return a WarrenError `never_opened` with the likely causes after `tries` attempts at `url`. Never rejects. */
export async function diagnose(url: URL, tries: number, { fetch, origin, patienceMs }: Means): Promise<WarrenError> {
  const place = `${url.protocol}//${url.host}${url.pathname}`;
  const failed = `no WebSocket could be opened at ${place} in ${tries} ${tries === 1 ? "attempt" : "attempts"}`;
  const [reached, why] = await isThere(url, fetch, patienceMs);
  const from = origin ? `this page's origin, ${origin}, is` : "the origin of this page is";
  const mend = `WARREN_GATEWAY_ORIGINS${origin ? `=${origin} allows it` : " lists those"}; the gateway logs upgrade_refused`;
  const refusal = `${from} not one that the gateway allows (${mend})`;
  const proxy = "a proxy in between does not forward the upgrade";
  const away = `the address is wrong, the server is down, its certificate is invalid, or this page's policy forbids the request`;
  const text = reached
    ? `${failed}, although the host answers HTTP. Usual causes: ${refusal}; ${url.pathname} is not the gateway's path; ${proxy}`
    : `${failed}, and nothing answers HTTP there either (${why}): ${away}. If the server is up after all: ${refusal}`;
  return new WarrenError("never_opened", text, { retry: true });
}

/** Says why no connection could be opened: `new WarrenClient(url, { parts: [diagnosis] })`. */
export const diagnosis = (host: Host): Part => ({
  name: "diagnosis",
  async neverOpened(url, tries, hasOpened) {
    const { fetch, connectTimeoutMs: patienceMs } = host.options;
    const fault = await diagnose(url, tries, { fetch, origin: globalThis.location?.origin, patienceMs });
    if (!hasOpened()) host.emit("error", fault);
  },
});

async function isThere(url: URL, fetch: Means["fetch"], patienceMs: number): Promise<[reached: boolean, why: string]> {
  const address = new URL(PATH, url);
  address.protocol = url.protocol.replace(/^ws/, "http");
  try {
    const signal = AbortSignal.timeout(patienceMs);
    // no-cors: another origin's answer can't be read, but that there is one is enough
    await fetch(address.href, { mode: "no-cors", cache: "no-store", credentials: "omit", signal });
    return [true, ""];
  } catch (fault) {
    const { message, cause } = fault as { message: string; cause?: { message?: string } };
    return [false, cause?.message || message];
  }
}
