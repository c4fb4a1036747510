/**
 * What a part of the client (presence, rpc, receipts, storage …) gets, and when it is called. The core knows parts by these functions alone,
 * so that an application bundles no part that it does not use. It has no code.
 */
import type { Checks } from "./checks.js";
import type { WarrenClient } from "./client.js";
import type { Frame } from "./encode.js";
import type { WarrenError } from "./error.js";
import type { Link } from "./link.js";
import type { AllOptions } from "./options.js";
import type { Entry, Outbox, Waiting } from "./outbox.js";
import type { AcceptedFrame, DroppedFrame, JoinedFrame, JoinPresence, PresenceFrame, ReceiptFrame } from "./protocol.js";
import type { Rooms } from "./rooms.js";
import type { Gap, Joined, JoinOptions, Message, State } from "./types.js";

/** What a part may use of its client. */
export interface Host {
  readonly client: WarrenClient<any>;
  readonly options: AllOptions;
  readonly outbox: Outbox;
  readonly rooms: Rooms;
  readonly link: Link;
  readonly state: State;
  readonly user: string | null;
  /** The checks of what goes out, if the client has them. */
  readonly checks: Checks | undefined;
  /** A new id for a frame. */
  id(): string;
  /** A frame as it is sent. Throws where JSON has no place for it. */
  text(frame: Frame): string;
  /** A frame of the client itself. */
  control(type: string, room?: string, payload?: unknown): Entry;
  /** Why nothing can be asked now: the client is closed, or (`counts`: for what counts as a message) too much waits already. */
  fault(ref?: string, counts?: boolean): WarrenError | null;
  /** What is wrong with the name of a room. */
  roomFault(name: string): WarrenError | null;
  /** Want to be in a room, without being the one who keeps it: see `RoomPosition.isKept`. */
  want(room: string, presence?: JoinOptions["presence"]): void;
  emit(event: string, value: unknown): void;
  /** All parts, in their order. */
  each(then: (part: Part) => void): void;
}

/** All functions but `name` may be missing. They are called in the order of the parts. */
export interface Part {
  /** By which the client finds it; of two parts with one name, the later counts. */
  readonly name: string;
  /** The connection is open, and what waited is being sent. */
  opened?(): void;
  /** The connection is closed; with `why`, permanently: by the application itself (`isOwn`), or not. */
  down?(why?: WarrenError, isOwn?: boolean): void;
  /** The client is about to close the connection itself. */
  closing?(): void;
  /** What a JOIN asks of presence. */
  joining?(room: string): JoinPresence | undefined;
  joined?(frame: JoinedFrame): void;
  /** The same, with all that `join()` resolves with. */
  entered?(joined: Joined): void;
  /** The client is about to leave a room. */
  leaving?(room: string): void;
  /** The server took the client out of a room that is still wanted. */
  stopped?(room: string): void;
  /** The client is no longer in a room: it has left it (null), or for this reason; `reason` is LEFT's. */
  forget?(room: string, why: WarrenError | null, reason?: string | null): void;
  /** Messages of a room are lost. */
  gap?(gap: Gap): void;
  /** A frame that parts know more of. */
  take?(frame: PresenceFrame | ReceiptFrame | AcceptedFrame | DroppedFrame): void;
  /** A message is about to be passed on to listeners. */
  hand?(message: Message): void;
  /** A message of the outbox was accepted. */
  acked?(entry: Waiting, room: string, seq: number | undefined): void;
  /** An ERROR has arrived for this frame. */
  refused?(ref: string | undefined, error: WarrenError): void;
  /** An entry will not be sent again. True: the part has settled it. */
  rejects?(entry: Waiting, error: WarrenError): boolean;
  /** So many attempts in a row have opened no connection. `hasOpened`: whether one has since. */
  neverOpened?(url: URL, tries: number, hasOpened: () => boolean): void;
  /** Whether it keeps as much as it may. */
  isFull?(): boolean;
  /** The positions or the outbox may be others than before. */
  changed?(): void;
  /** The first message of a room that the application was given, or will be, and is not done with. */
  unread?(room: string): Message | undefined;
}

export type PartFactory = (host: Host) => Part;
