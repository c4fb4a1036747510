/**
 * A bounded queue between what arrives and a `for await` loop. It never grows beyond its limit: whoever puts sees that it is full, and
 * decides what is lost. It has no clock.
 */
import { deferred, type Deferred } from "./error.js";

export class Queue<Item> implements AsyncIterableIterator<Item> {
  readonly items: Item[] = [];
  readonly limit: number;
  /** What was given out last, until the next one is asked for: the loop is not done with it. */
  current: Item | undefined;
  #waiting: Deferred<IteratorResult<Item>>[] = [];
  #end: { error?: unknown } | null = null;
  #left: () => void;

  /** `left` is called once, when the loop is left or the queue has ended. */
  constructor(limit: number, left: () => void) {
    if (!(limit >= 1)) throw new RangeError("the limit of a queue must be at least 1");
    this.limit = limit;
    this.#left = left;
  }

  get isFull(): boolean {
    return this.items.length >= this.limit;
  }

  put(item: Item): void {
    if (this.#end) return;
    const next = this.#waiting.shift();
    if (!next) return void this.items.push(item);
    this.current = item;
    next.resolve({ value: item, done: false });
  }

  /** Nothing more will come. What waits is still given out; then the loop ends, with the error if there is one. */
  end(error?: unknown): void {
    if (this.#end) return;
    this.#end = error === undefined ? {} : { error };
    this.#left();
    for (const waiting of this.#waiting.splice(0)) this.#last(waiting);
  }

  next(): Promise<IteratorResult<Item>> {
    const next = deferred<IteratorResult<Item>>();
    this.current = this.items.shift();
    if (this.current !== undefined) next.resolve({ value: this.current, done: false });
    else if (this.#end) this.#last(next);
    else this.#waiting.push(next);
    return next.promise;
  }

  return(): Promise<IteratorResult<Item>> {
    this.items.length = 0;
    this.end();
    return this.next();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The error is told once. */
  #last(waiting: Deferred<IteratorResult<Item>>): void {
    const { error } = this.#end!;
    this.#end = {};
    if (error === undefined) waiting.resolve({ value: undefined, done: true });
    else waiting.reject(error);
  }
}
