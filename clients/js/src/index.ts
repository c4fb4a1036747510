/** The entry `warren-client`: the client with all parts that need no environment of their own. `warren-client/core` has none. */
import { WarrenClient as Core } from "./client.js";
import { checks } from "./checks.js";
import { diagnosis } from "./diagnosis.js";
import { presence } from "./presence.js";
import { receipts } from "./receipts.js";
import { room } from "./room.js";
import { rpc } from "./rpc.js";
import { snapshot } from "./snapshot.js";
import type { Options } from "./types.js";

export { WarrenError } from "./error.js";
export { Contacts, Roster } from "./presence.js";
export type { ContactsEvents, RosterEvents } from "./presence.js";
export type { Host, Part, PartFactory } from "./parts.js";
export { Room } from "./room.js";
export type * from "./types.js";

const PARTS = [checks, diagnosis, rpc, presence, receipts, room, snapshot];

/** `App` names the types of an application's messages: see `Application`. */
export class WarrenClient<App = {}> extends Core<App> {
  constructor(url: string | URL, options: Options = {}) {
    super(url, { ...options, parts: [...PARTS, ...(options.parts ?? [])] });
  }
}
