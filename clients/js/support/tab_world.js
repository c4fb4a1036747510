/** Tabs of one browser in one process: locks and channels that a tab can lose by closing, crashing or freezing. */
import { setImmediate as turn } from "node:timers/promises";

/** A browser: what its tabs share. */
export class Browser {
  tabs = [];
  #locks = new Map(); // name ▶ {held, queue}

  /** A new tab; with what `area` has in its sessionStorage. */
  open(area = new Area()) {
    const tab = new Tab(this, area);
    this.tabs.push(tab);
    return tab;
  }

  /** The same tab, after a reload. */
  reload(tab) {
    tab.close();
    return this.open(tab.sessionStorage);
  }

  /** Another tab with a copy of what this one has. */
  duplicate(tab) {
    return this.open(new Area(tab.sessionStorage));
  }

  /** Names of locks that are held. */
  get held() {
    return [...this.#locks].filter(([, { held }]) => held).map(([name]) => name);
  }

  holder(name) {
    return this.#locks.get(name)?.held?.tab ?? null;
  }

  request(tab, name, options, then) {
    const { steal = false, signal, ifAvailable = false } = options;
    if (!this.#locks.has(name)) this.#locks.set(name, { held: null, queue: [] });
    const lock = this.#locks.get(name);
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const request = { tab, then, resolve, reject };
      if (steal) {
        lock.held?.reject(new DOMException("stolen", "AbortError"));
        lock.held = null;
        lock.queue.unshift(request);
      } else if (ifAvailable && (lock.held || lock.queue.length)) return resolve(then(null));
      else lock.queue.push(request);
      signal?.addEventListener("abort", () => {
        if (!lock.queue.includes(request)) return;
        lock.queue.splice(lock.queue.indexOf(request), 1);
        reject(signal.reason);
      });
      this.#grant(name);
    });
  }

  /** A tab is gone, and with it what it held and waited for. */
  release(tab) {
    for (const [name, lock] of this.#locks) {
      lock.queue = lock.queue.filter((request) => request.tab !== tab);
      if (lock.held?.tab === tab) lock.held = null;
      this.#grant(name);
    }
  }

  async #grant(name) {
    const lock = this.#locks.get(name);
    if (lock.held || !lock.queue.length) return;
    const request = (lock.held = lock.queue.shift());
    await turn();
    try {
      const value = lock.held === request && !request.tab.isDead ? await request.then({ name }) : undefined;
      request.resolve(value);
    } catch (fault) {
      request.reject(fault);
    }
    if (lock.held === request) lock.held = null;
    this.#grant(name);
  }
}

/** A sessionStorage. */
export class Area {
  texts;
  isFull = false;

  constructor(from) {
    this.texts = new Map(from?.texts);
  }

  getItem(key) {
    return this.texts.get(key) ?? null;
  }

  setItem(key, text) {
    if (this.isFull) throw new DOMException("the quota has been exceeded", "QuotaExceededError");
    this.texts.set(key, String(text));
  }

  removeItem(key) {
    this.texts.delete(key);
  }
}

/** One tab, as its code sees it. */
class Tab {
  isDead = false;
  channels = [];
  #frozen = null; // what waits until it thaws
  #page = new EventTarget();
  document = new EventTarget();
  mayLock = null; // a promise: a browser asks itself whether the page may have locks, while channels are open at once

  constructor(browser, area) {
    const tab = this;
    this.sessionStorage = area;
    const request = (name, ...more) => browser.request(tab, name, more.length > 1 ? more[0] : {}, more.at(-1));
    this.navigator = { locks: { request: (...given) => (tab.mayLock ? tab.mayLock.then(() => request(...given)) : request(...given)) } };
    this.addEventListener = (...given) => tab.#page.addEventListener(...given);
    this.removeEventListener = (...given) => tab.#page.removeEventListener(...given);
    this.BroadcastChannel = class {
      onmessage = null;

      constructor(name) {
        this.name = name;
        tab.channels.push(this);
      }

      postMessage(data) {
        if (tab.isDead) return;
        if (!tab.channels.includes(this)) throw new DOMException("the channel is closed", "InvalidStateError");
        const copy = structuredClone(data);
        for (const other of browser.tabs) for (const each of other.channels) if (each !== this && each.name === this.name) other.deliver(each, copy);
      }

      close() {
        tab.channels = tab.channels.filter((each) => each !== this);
      }
    };
    this.crash = () => {
      tab.isDead = true;
      tab.channels = [];
      browser.release(tab);
    };
    /** As a user does it: the page is told. */
    this.close = () => {
      tab.#page.dispatchEvent(new Event("pagehide"));
      tab.crash();
    };
  }

  deliver(channel, data) {
    if (this.isDead) return;
    if (this.#frozen) return this.#frozen.push([channel, data]);
    setImmediate(() => {
      if (this.#frozen) this.#frozen.push([channel, data]);
      else if (!this.isDead && this.channels.includes(channel)) channel.onmessage?.({ data });
    });
  }

  /** Nothing happens in it any more, but it holds what it holds. */
  freeze() {
    this.#frozen = [];
  }

  thaw() {
    const waiting = this.#frozen;
    this.#frozen = null;
    for (const [channel, data] of waiting) this.deliver(channel, data);
  }
}
