/**
 * Who looks: the key, and what it may do. The key stays in the memory of the page, or in the tab's
 * sessionStorage where its user wants that; never in an address, a cookie or a storage that outlives the tab.
 */
import { Api } from "./api.js";

const NAME = "warren-admin-key";

export class Session {
  constructor(api, rights) {
    this.api = api;
    this.name = rights.name;
    this.scopes = rights.scopes;
    this.expires = rights.expires;
  }

  /** Let in by a key. Throws ApiError. */
  static async open(key, keep) {
    const api = new Api(key);
    const session = new Session(api, await api.get("key"));
    store((tab) => (keep ? tab.setItem(NAME, key) : tab.removeItem(NAME)));
    return session;
  }

  /** The key that the tab keeps; empty: none. */
  static kept() {
    return store((tab) => tab.getItem(NAME)) ?? "";
  }

  static forget() {
    store((tab) => tab.removeItem(NAME));
  }

  /** Whether the key may use a verb on a room (none given: on any). The API judges in the end. */
  may(verb, room = undefined) {
    return this.scopes.some(
      (scope) => (scope.verb === verb || scope.verb === "*") && (room === undefined || matches(scope.pattern, room)),
    );
  }

  /** How the names of rooms begin that a verb may be used on; null: on no room. */
  prefix(verb) {
    const patterns = this.scopes.filter((scope) => scope.verb === verb || scope.verb === "*").map((scope) => scope.pattern);
    const heads = patterns.map((pattern) => pattern.split("*")[0]).filter((head) => !head.startsWith("@"));
    return heads.includes("") ? "" : heads[0] ?? null;
  }
}

/** Use the tab's storage where the browser lets us: without it the key is typed once for each load. */
function store(use) {
  try {
    return use(sessionStorage);
  } catch {
    return null;
  }
}

/** Whether a pattern, in which `*` stands for any characters, matches the whole of a name. */
export function matches(pattern, name) {
  const [head, ...rest] = pattern.split("*");
  if (rest.length === 0) return head === name;
  const tail = rest.pop();
  if (name.length < head.length + tail.length || !name.startsWith(head) || !name.endsWith(tail)) return false;
  let at = head.length;
  const end = name.length - tail.length;
  for (const part of rest) {
    const found = name.slice(0, end).indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return true;
}
