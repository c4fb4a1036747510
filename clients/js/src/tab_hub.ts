/**
 * What the leading tab does for all: one connection, on which each tab's client believes to be alone. It counts who is in which room,
 * gives each tab what it asked for and all tabs what concerns all, and keeps below the rate for all of them together. It never dials by
 * itself: a tab's client does, with its own back-off. It needs nothing of the hub before it.
 */
import { Pace } from "./pace.js";
import { channelOf, randomName, type Down, type Group, type Up } from "./tabs.js";
import type { Position, Socket } from "./types.js";

const REMEMBERED = 4_096; // ids of frames whose answers go to one tab
const WAITING = 4_096; // frames that wait for the rate; each client's own limits are far below

/** A tab's connection: its users are those that it watches. */
interface Member {
  manual: boolean;
  users: Set<string>;
}

interface Room {
  members: Set<string>; // keys
  high?: Position; // the last message that was given to all
  replay?: string | undefined; // who is given what comes up to `high`: the one who was joined last
  joins: Join[]; // one is asked at a time
}

interface Join {
  key: string;
  id: string;
  text: string;
}

interface Waiting {
  id: string; // empty: there is no answer
  text: string;
  isUrgent?: boolean;
}

interface Frame {
  type: string;
  id?: string | undefined;
  ref?: string | undefined;
  room?: string | undefined;
  epoch?: string;
  seq?: number;
  include_sender?: boolean;
  payload?: any;
}

export class TabHub {
  #id = randomName();
  #members = new Map<string, Member>(); // by key: the tab, a dot, the number of its connection
  #tabs = new Set<string>(); // whose end is waited for
  #over = new AbortController();
  #rooms = new Map<string, Room>();
  #askers = new Map<string, string>(); // id ▶ the key of who has sent it; empty: the hub
  #own = new Map<string, string>(); // id ▶ the key of who has sent the message, and wants no copy of it
  #socket: Socket | null = null;
  #welcome: Frame | null = null;
  #queue: Waiting[] = [];
  #pace = new Pace();
  #paused: ReturnType<typeof setTimeout> | undefined;
  #moving: ReturnType<typeof setTimeout> | undefined;
  #count = 0;
  #channel: BroadcastChannel;

  constructor(readonly owner: Group) {
    this.#channel = channelOf<Up>(owner.place, owner.group, (up) => this.#hear(up), true);
    this.#say({});
  }

  /** Lead no more: the connection ends, and all tabs are told. */
  stop(): void {
    this.#lost();
    this.#over.abort();
    this.#channel.close();
  }

  #say(down: Down): void {
    this.#channel.postMessage({ hub: this.#id, ...down } satisfies Down);
  }

  #give(frame: Frame | string, to: Iterable<string> = this.#members.keys()): void {
    this.#say({ to: [...to], text: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }

  // ── from the tabs ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #hear({ tab: key = "", hub, dial, text, close }: Up): void {
    const member = this.#members.get(key);
    if (!hub) this.#say({}); // a sign of life
    else if (hub !== this.#id) return;
    else if (dial) this.#dialled(key, dial);
    else if (member && text) this.#sent(key, member, text);
    else if (member && close === 4000) this.#lost(1006, "no answer"); // to that tab, and so to all
    else if (member) this.#gone(key);
    this.#pump(); // timers are slow where nobody looks
  }

  #dialled(key: string, dial: NonNullable<Up["dial"]>): void {
    this.#members.set(key, { manual: dial.manual, users: new Set() });
    this.#await(key.split(".")[0]!);
    if (this.#welcome) this.#begin(key);
    else if (!this.#socket) {
      // the hub has no positions: the server joins the rooms that are to be joined at connect, and says which they are
      const url = new URL(dial.url);
      url.searchParams.delete("join");
      const socket = (this.#socket = this.owner.transport({ ...dial, url, manual: false }));
      socket.onmessage = ({ data }) => this.#take(data as string);
      socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    }
  }

  /** Wait for a tab's end: then it is in no room. */
  #await(tab: string): void {
    if (this.#tabs.has(tab)) return;
    this.#tabs.add(tab);
    const { place, group } = this.owner;
    const { signal } = this.#over;
    const gone = () => {
      this.#tabs.delete(tab);
      for (const key of [...this.#members.keys()]) if (key.startsWith(`${tab}.`)) this.#gone(key);
    };
    place.navigator.locks.request(group + tab, { signal }, gone).catch(() => {});
  }

  #begin(key: string): void {
    this.#give(this.#welcome!, [key]);
    if (this.#members.get(key)!.manual) return;
    for (const room of this.#welcome!.payload.rooms) this.#join(room, { key, ...this.#frame({ type: "JOIN", room }) });
  }

  #sent(key: string, member: Member, text: string): void {
    const frame = JSON.parse(text) as Frame;
    const { type, id = "", room = "", payload } = frame;
    if (id) remember(this.#askers, id, key);
    if (type === "JOIN") {
      // one who has a position holds back what comes before the answer; the others begin with it
      if (payload?.since) this.#room(room).members.add(key);
      this.#join(room, { key, id, text });
    } else if (type === "LEAVE" && !this.#leave(room, key)) this.#give({ type: "LEFT", room, ref: id }, [key]);
    else if (type === "PRESENCE" && !room) {
      const { watch = [], unwatch = [] } = payload as { watch?: string[]; unwatch?: string[] };
      const orphans = this.#unwatched(member, unwatch);
      for (const user of watch) member.users.add(user);
      this.#send({ id, text: JSON.stringify({ type, id, payload: { watch, unwatch: orphans } }) });
    } else {
      if (id && !frame.include_sender) {
        // the user's other tabs are to see a message, as other connections of the user would; elsewhere it says nothing
        remember(this.#own, id, key);
        text = `${text.slice(0, -1)},"include_sender":true}`;
      }
      this.#send({ id, text }, type === "PING" || type === "AUTH");
    }
  }

  /** A tab watches these users no more: return those that none watches. */
  #unwatched(member: Member, users: Iterable<string>): string[] {
    return [...users].filter((user) => {
      member.users.delete(user);
      return ![...this.#members.values()].some((each) => each.users.has(user));
    });
  }

  // ── rooms ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  #room(name: string): Room {
    let room = this.#rooms.get(name);
    if (!room) this.#rooms.set(name, (room = { members: new Set(), joins: [] }));
    return room;
  }

  #join(name: string, join: Join): void {
    const { joins } = this.#room(name);
    // who asks again may wait for the answer to another, and that one may be lost
    if (joins.some((each) => each.id === join.id) || joins.push(join) === 1) this.#send(joins[0]!);
  }

  /** Take a tab out of a room. Returns whether no other is in it. */
  #leave(name: string, key: string): boolean {
    const room = this.#rooms.get(name);
    room?.members.delete(key);
    if (room?.members.size || room?.joins.some((join) => join.key !== key)) return false;
    this.#rooms.delete(name);
    return true;
  }

  /** A tab's connection is over. What no other wants is given up. */
  #gone(key: string): void {
    const member = this.#members.get(key)!;
    this.#members.delete(key);
    if (!this.#members.size) return this.#end();
    for (const [room, { members, joins }] of [...this.#rooms]) {
      const isIn = members.has(key) || joins.some((join) => join.key === key);
      if (isIn && this.#leave(room, key)) this.#send(this.#frame({ type: "LEAVE", room }));
    }
    const unwatch = this.#unwatched(member, member.users);
    if (unwatch.length) this.#send(this.#frame({ type: "PRESENCE", payload: { unwatch } }));
  }

  // ── to the server ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A frame of the hub's own. */
  #frame(frame: Frame): { id: string; text: string } {
    const id = `${this.#id}-${++this.#count}`;
    remember(this.#askers, id, "");
    return { id, text: JSON.stringify({ ...frame, id }) };
  }

  #send(frame: Waiting, isUrgent = false): void {
    this.#queue[isUrgent ? "unshift" : "push"]({ ...frame, isUrgent });
    if (this.#queue.length > WAITING) this.#lost(1013, "too much waits");
    this.#pump();
  }

  #pump(): void {
    clearTimeout(this.#paused);
    while (this.#welcome && this.#queue[0]) {
      const { id, text, isUrgent } = this.#queue[0];
      const now = performance.now();
      const wait = this.#pace.wait(now, isUrgent);
      if (wait) {
        if (wait < Infinity) this.#paused = setTimeout(() => this.#pump(), wait);
        return;
      }
      this.#queue.shift();
      this.#pace.take(id || undefined, now);
      this.#socket!.send(text);
    }
  }

  // ── from the server ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #take(text: string): void {
    const frame = JSON.parse(text) as Frame;
    const { type, ref = "", room: name = "", payload, seq } = frame;
    const room = this.#rooms.get(name);
    const members = room?.members ?? [];
    const asker = this.#askers.get(ref);
    this.#pace.answered(ref, performance.now());
    if (type === "WELCOME") {
      this.#pace.reset(payload.limits);
      this.#welcome = frame;
      for (const key of this.#members.keys()) this.#begin(key);
    } else if (type === "RECONNECT") {
      this.#moving = setTimeout(() => {
        // all clients come back at once, and the first of them dials
        this.#give({ type, payload: { after_ms: 0 } });
        this.#end();
      }, payload?.after_ms);
    } else if (room && seq) this.#number(room, frame, text);
    else if (room && type === "JOINED") this.#joined(room, frame, text);
    else if (type === "LEFT" && !ref) {
      this.#rooms.delete(name);
      this.#give(text, members);
    } else if (asker !== undefined) {
      if (type === "ERROR") this.#refused(ref);
      this.#give(text, [asker]);
    } else this.#give(text, /^[^@*]/.test(name) ? members : undefined); // who is connected concerns all
    this.#pump();
  }

  /** A numbered message: to all if it is the next one, otherwise to the one who has missed it. */
  #number(room: Room, { epoch, seq, id = "" }: Frame, text: string): void {
    const isNext = room.high?.epoch !== epoch || seq! > room.high!.seq;
    if (isNext) room.high = { epoch: epoch!, seq: seq! };
    const own = isNext && this.#own.get(id);
    this.#give(text, isNext || !room.replay ? [...room.members].filter((key) => key !== own) : [room.replay]);
  }

  #joined(room: Room, frame: Frame, text: string): void {
    const { epoch, seq, recovered } = frame.payload;
    if (room.high?.epoch !== epoch) room.high = { epoch, seq };
    if (!frame.ref) return this.#give(text, room.members);
    const join = this.#answered(room, frame.ref);
    if (!join || !this.#members.has(join.key)) return;
    room.members.add(join.key);
    room.replay = recovered ? join.key : undefined;
    this.#give(this.#askers.get(join.id) ? text : { ...frame, ref: undefined }, [join.key]);
  }

  /** The JOIN that is answered; the next one goes. */
  #answered({ joins }: Room, ref: string): Join | undefined {
    if (joins[0]?.id !== ref) return undefined;
    if (joins[1]) this.#send(joins[1]);
    return joins.shift();
  }

  #refused(ref: string): void {
    for (const [name, room] of [...this.#rooms]) {
      const join = this.#answered(room, ref);
      if (join) this.#leave(name, join.key);
    }
  }

  #lost(code = 1006, reason = "no tab leads"): void {
    this.#say({ to: [...this.#members.keys()], close: [code, reason] });
    this.#end();
  }

  #end(): void {
    clearTimeout(this.#moving);
    const socket = this.#socket;
    this.#socket = this.#welcome = null;
    this.#queue = [];
    for (const each of [this.#members, this.#rooms, this.#askers, this.#own]) each.clear();
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close(1000, "Bye");
  }
}

function remember(map: Map<string, string>, id: string, key: string): void {
  map.set(id, key);
  if (map.size > REMEMBERED) map.delete(map.keys().next().value!);
}
