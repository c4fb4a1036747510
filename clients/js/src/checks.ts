/**
 * The part "checks": applies the server's rules (docs/protocol.md) to what goes out, so that what is invalid is refused at once, with a
 * reason, and never sent. Without it the server refuses. It makes no frames, and sends nothing.
 */
import type { Frame } from "./encode.js";
import { WarrenError } from "./error.js";
import type { Part } from "./parts.js";
import type { SendOptions } from "./types.js";

const DEPTH = 128;
const KEY_LENGTH = 128;
const ROOM_LENGTH = 128;
const RECEIPTS = new Set<unknown>(["written", "seen"]);
const ORDINARY = new Set(["CHAT", "TYPING", "NOTIFICATION", "DATA_UPDATE"]);

// with the flag u, surrogates of a valid pair do not match: these are lone ones
const LONE = /\p{Surrogate}/u;
const PRINTABLE = /^(?:[^\p{C}\p{Z}]| )+$/u;
const TYPE = /^[A-Za-z0-9_\-.:]{1,64}$/;
const UPPER_CASE = /^[A-Z0-9_]*[A-Z][A-Z0-9_]*$/;
const ROOM = /^[A-Za-z0-9._\-:/][A-Za-z0-9._\-:/@]{0,127}$/;

const CUT = "half of a surrogate pair: text was cut inside a character (split it between characters, as [...text] does)";
const DEEP = `nested deeper than ${DEPTH} levels`;
const ID_RULE = "id: must be 1 to 64 printable characters, not starting with ~";
const TYPE_RULE = "type: must be 1 to 64 letters, digits and _ - . :";
const ROOM_RULE = "room: must be 1 to 128 letters, digits and . _ - : / @; names that start with @ or * are reserved";

export class Checks implements Part {
  readonly name = "checks";

  /** Throws WarrenError if the server would refuse such a message. */
  message(type: string, room: unknown, options: SendOptions): void {
    const { id, key, traceparent, receipt } = options;
    for (const [field, value] of Object.entries({ type, room, id, key, traceparent })) checkWhole(field, value, id);
    if (id !== undefined) checkId(id);
    check(typeof type === "string" && TYPE.test(type), "invalid_message", TYPE_RULE, id);
    const isReserved = UPPER_CASE.test(type) && !ORDINARY.has(type);
    check(!isReserved, "unknown_type", `${type} is reserved: use join(), leave() and history(); the client sends such types itself`, id);
    if (room != null) checkRoom(room, id);
    if (key != null) {
      check(typeof key === "string", "invalid_message", "key: must be text", id);
      check(lengthOf(key) <= KEY_LENGTH, "invalid_message", `key: must be at most ${KEY_LENGTH} characters`, id);
    }
    check(traceparent == null || typeof traceparent === "string", "invalid_message", "traceparent: must be text", id);
    if (receipt != null) {
      check(RECEIPTS.has(receipt), "invalid_message", "receipt: must be written or seen", id);
      check(id !== undefined, "invalid_message", "receipt: an ephemeral message has none");
    }
  }

  /** What is wrong with the name of a room to join, leave or read; null: nothing. A user's own room (`@ann`) is valid. */
  room(room: unknown): WarrenError | null {
    // the server checks the rest of the user's name
    if (typeof room === "string" && /^@[^@]/.test(room) && PRINTABLE.test(room) && lengthOf(room) <= ROOM_LENGTH) return null;
    try {
      checkRoom(room);
      return null;
    } catch (fault) {
      return fault as WarrenError;
    }
  }

  /** Throws WarrenError if this can't be a frame's id. */
  id(id: unknown): void {
    checkWhole("id", id);
    checkId(id);
  }

  /** A frame's text. Throws WarrenError if the server could not read it, and JSON.stringify's TypeError if JSON has no place for it. */
  text(frame: Frame): string {
    const { id } = frame;
    let text: string;
    try {
      text = JSON.stringify(frame, jsonValue);
    } catch (cause) {
      if (cause instanceof RangeError) throw new WarrenError("invalid_format", `payload: ${DEEP}`, { ref: id, cause });
      if (cause instanceof WarrenError) cause.ref = id;
      throw cause;
    }
    const fault = faultOf(text);
    check(!fault, "invalid_format", `payload: ${fault}`, id);
    return text;
  }
}

/** Early refusals: `new WarrenClient(url, { parts: [checks] })`. */
export const checks = (): Part => new Checks();

function checkRoom(room: unknown, id?: string): void {
  check(typeof room === "string", "invalid_message", "room: must be text", id);
  checkWhole("room", room, id);
  check(ROOM.test(room), "invalid_room", room === "" ? "room: is empty" : ROOM_RULE, id);
}

/** No field may contain a lone surrogate: the server could not parse the whole frame. */
function checkWhole(field: string, value: unknown, id?: string): void {
  const isCut = typeof value === "string" && LONE.test(value);
  check(!isCut, "invalid_format", `${field}: has ${CUT}`, field === "id" ? undefined : id);
}

function checkId(id: unknown): void {
  const isId = typeof id === "string" && PRINTABLE.test(id) && lengthOf(id) <= 64 && id[0] !== "~";
  check(isId, "invalid_message", ID_RULE); // no ref, because the id can't be repeated
}

function check(holds: unknown, code: string, message: string, ref?: unknown): asserts holds {
  if (!holds) throw new WarrenError(code, message, { ref: typeof ref === "string" ? ref : undefined });
}

/** Length in characters, as the server counts: a pair of surrogates is one. */
function lengthOf(text: string): number {
  return [...text].length;
}

/** JSON.stringify would write null for some of these and omit others, and so change the message. */
function jsonValue(name: string, value: unknown): unknown {
  const isLost = (typeof value === "number" && !Number.isFinite(value)) || typeof value === "function" || typeof value === "symbol";
  if (!isLost) return value;
  const what = typeof value === "number" ? String(value) : `a ${typeof value}`;
  throw new WarrenError("invalid_format", `payload: ${what} (at ${JSON.stringify(name)}) is not a JSON value`);
}

/** Why the server could not read a frame that JSON.stringify has written, or undefined. One pass. */
function faultOf(text: string): string | undefined {
  if (LONE.test(text)) return `has ${CUT}`;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (inString) {
      if (character === '"') inString = false;
      else if (character === "\\") {
        at++;
        // JSON.stringify escapes lone surrogates, and only those
        if (text[at] === "u" && text[at + 1] === "d") return `has ${CUT}`;
      }
    } else if (character === '"') inString = true;
    else if (character === "[" || character === "{") {
      if (++depth > DEPTH + 1) return DEEP; // the frame itself is one level
    } else if (character === "]" || character === "}") depth--;
  }
  return undefined;
}
