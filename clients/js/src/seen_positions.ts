/**
 * Up to where the users of one room have seen its messages, as the server tells. A seq only grows, and the sum of all seqs proves that
 * nothing is missing. It sends nothing.
 */
import type { SeenPayload } from "./protocol.js";

export class SeenPositions {
  users = new Map<string, number>(); // user ▶ seq
  epoch: string | null = null; // in which the seqs count; null: the room does not tell who has seen what
  #sum = 0;
  #told = 0; // the sum that the room has

  /** Whether these are all, as the sum says. */
  get isComplete(): boolean {
    return this.#sum === this.#told;
  }

  /** Take what has changed. Returns whether it is news. */
  take({ epoch, sum, users = {} }: SeenPayload): boolean {
    let isNews = epoch !== this.epoch && this.clear();
    this.epoch = epoch;
    for (const [user, seq] of Object.entries(users)) isNews = this.#put(user, seq) || isNews;
    this.#told = sum;
    return isNews;
  }

  /** Take a page that has all users; `later` is what was told since it was asked for. Returns whether it is news. */
  replace(page: SeenPayload, later: SeenPayload[]): boolean {
    const { epoch, users: before } = this;
    this.users = new Map();
    this.#sum = 0;
    this.take(page);
    const newer = later.filter((each) => each.epoch === page.epoch);
    for (const each of newer) this.take(each);
    this.#told = Math.max(page.sum, ...newer.map(({ sum }) => sum)); // the page may be the newest of them
    if (this.users.size !== before.size) return true;
    return [...this.users].some(([user, seq]) => epoch !== this.epoch || before.get(user) !== seq);
  }

  /** The room tells nothing (any more). Returns whether anything was known. */
  clear(): boolean {
    const isNews = this.users.size > 0;
    this.users = new Map();
    this.epoch = null;
    this.#sum = this.#told = 0;
    return isNews;
  }

  #put(user: string, seq: number): boolean {
    const before = this.users.get(user) ?? 0;
    if (seq <= before) return false;
    this.users.set(user, seq);
    this.#sum += seq - before;
    return true;
  }
}
