/**
 * The HTTP API, asked with the key of whoever looks. It keeps the key in memory, puts it into one header and
 * nowhere else, and turns whatever goes wrong into words that say what to do.
 */

const TIMEOUT_MS = 15_000;

/** Why something was not answered. `status` is 0 where nothing came back. */
export class ApiError extends Error {
  constructor(status, detail, { code = "", hint = "", retryAfterMs = 0, faults = [] } = {}) {
    super([detail, ...faults, hint].filter(Boolean).join(" "));
    this.status = status;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

/** An id that makes something count once. */
export function newId() {
  // not randomUUID, which browsers have on HTTPS and localhost alone
  const digits = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0"));
  return `admin-${digits.join("")}`;
}

const HINTS = {
  401: "Type another key.",
  403: "Whoever keeps the keys file of the routers can give the key that scope.",
  408: "The connection to the router is slow: do it again.",
  501: "Update all routers to the same version.",
};

export class Api {
  constructor(key) {
    this.key = key;
  }

  /** Ask for something that changes nothing. */
  get(path, fields = {}, signal = undefined) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(fields)) {
      for (const each of [value].flat()) query.append(name, each);
    }
    const asked = String(query);
    return this.#ask(`/v1/${path}${asked && `?${asked}`}`, { method: "GET" }, signal);
  }

  /** Have something done. */
  post(path, body, signal = undefined) {
    const headers = { "Content-Type": "application/json" };
    return this.#ask(`/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) }, signal);
  }

  async #ask(path, options, signal) {
    const within = AbortSignal.timeout(TIMEOUT_MS);
    const stop = signal ? AbortSignal.any([signal, within]) : within;
    let response, text;
    try {
      response = await fetch(path, {
        ...options,
        headers: { ...options.headers, Authorization: `Bearer ${this.key}` },
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        referrerPolicy: "no-referrer",
        signal: stop,
      });
      text = await response.text();
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw unreachable(within.aborted, options.method === "POST");
    }
    const found = parsed(text);
    if (response.ok && found) return found;
    throw refused(response, found);
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function unreachable(late, changing) {
  const detail = late ? "The router has not answered in time." : "The router can't be reached.";
  const unknown = changing ? " Whether it was done is not known: the same again counts once." : "";
  return new ApiError(0, detail, { hint: `Check that it runs, and that your port-forward or tunnel is open.${unknown}` });
}

function refused(response, problem) {
  const { status } = response;
  if (!problem || typeof problem.detail !== "string") {
    const detail = `Something between this page and the router has answered ${status}.`;
    return new ApiError(status, detail, { hint: "Look at the proxy or load balancer in front of it." });
  }
  const seconds = Number(response.headers.get("Retry-After")) || 0;
  const retryAfterMs = problem.retry_after_ms ?? seconds * 1_000;
  const faults = (problem.errors ?? []).map((fault) => `${fault.pointer.slice(1) || "It"} ${fault.detail}.`);
  let hint = HINTS[status] ?? "";
  if (status === 429) hint = `Wait ${Math.max(1, Math.ceil(retryAfterMs / 1_000))} s, or use a key with a higher rate.`;
  if (status === 503) hint = "Do it again in a moment; if it stays so, look at the broker and at the routers' logs.";
  if (status >= 500 && status !== 503 && status !== 501 && problem.trace_id) hint = `Trace ${problem.trace_id}.`;
  return new ApiError(status, problem.detail, { code: problem.code, hint, retryAfterMs, faults });
}
