/** The list of messages: one row each, ordered by seq, at most 500. It knows nothing of the connection. */
import { traceIdOf } from "./traceparent.js";

const KEPT = 500;
const TARGETS = { "*": "to everyone" };

export class MessageList {
  #list;

  constructor(list) {
    this.#list = list;
  }

  clear() {
    this.#list.replaceChildren();
  }

  /** The seq of the first message of an epoch that is shown; null: none is. */
  firstSeq(epoch) {
    const row = [...this.#list.children].find(({ dataset }) => dataset.epoch === epoch);
    return row ? Number(row.dataset.seq) : null;
  }

  /** Where the room's history is to be read on; null: nothing numbered is shown. */
  get oldest() {
    const row = [...this.#list.children].find(({ dataset }) => dataset.seq);
    return row ? Number(row.dataset.seq) : null;
  }

  get isFull() {
    return this.#list.children.length >= KEPT;
  }

  /** Show what was said before the first message; what is on the screen stays where it is. */
  showBefore(messages, room) {
    const below = this.#list.scrollHeight - this.#list.scrollTop;
    const free = KEPT - this.#list.children.length;
    const rows = messages.slice(-free).map((message) => this.#rowOf(message, room));
    this.#list.prepend(...(free > 0 ? rows : []));
    this.#list.scrollTop = this.#list.scrollHeight - below;
  }

  /** Show a received message. Returns its row; the one of a numbered message has `seq` and `epoch` in its dataset. */
  show(message, room) {
    const row = this.#rowOf(message, room);
    this.#keep(row);
    return row;
  }

  #rowOf(message, room) {
    const row = rowOf(message.sender ?? "a backend", message.payload, message.timestamp);
    if (message.type !== "CHAT") tag(row, message.type);
    if (message.room !== room) tag(row, TARGETS[message.room] ?? (message.room ? `to ${message.room}` : "to you"));
    if (message.type !== "CHAT" || message.sender === undefined) row.classList.add("notice");
    this.#number(row, message, message.room === room);
    this.#trace(row, traceIdOf(message.traceparent) ?? "not sampled");
    return row;
  }

  /** Show a message that is being sent. Call `accepted` or `failed` with the returned row. */
  sending(name, payload, traceparent) {
    const row = rowOf(name, payload, Date.now());
    row.classList.add("mine", "sending");
    row.querySelector(".rail").textContent = "…";
    this.#trace(row, traceIdOf(traceparent));
    this.#keep(row);
    return row;
  }

  accepted(row, ack) {
    const atEnd = this.#isAtEnd;
    row.classList.remove("sending");
    this.#number(row, ack, true);
    this.#place(row);
    if (atEnd) this.#toEnd(); // the row has grown
  }

  failed(row, reason) {
    const atEnd = this.#isAtEnd;
    row.classList.replace("sending", "failed");
    row.querySelector(".rail").textContent = "!";
    row.querySelector(".details").replaceWith(element("div", "why", `not sent: ${reason}`));
    if (atEnd) this.#toEnd();
  }

  divide(text) {
    this.#keep(element("li", "divider", text));
  }

  get #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    return scrollHeight - scrollTop - clientHeight < 40;
  }

  #toEnd() {
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  #number(row, { seq, epoch }, ordered) {
    const rail = row.querySelector(".rail");
    rail.textContent = seq ?? "–";
    rail.title = seq === undefined ? "not numbered" : "seq";
    rail.classList.toggle("numbered", seq !== undefined);
    if (ordered && seq !== undefined) Object.assign(row.dataset, { seq, epoch });
    row.querySelector(".meta").prepend(pair("seq", seq ?? "none"), pair("epoch", epoch || "none"));
  }

  #trace(row, id) {
    row.querySelector(".meta").append(pair("trace", id));
  }

  /** Move an own message to its place: it gets its seq late, when messages with a lower seq may be below it. */
  #place(row) {
    const { seq, epoch } = row.dataset;
    const before = [...this.#list.children].filter((other) => other.dataset.epoch === epoch && +other.dataset.seq < +seq);
    const last = before.at(-1);
    if (last && last.compareDocumentPosition(row) & Node.DOCUMENT_POSITION_PRECEDING) last.after(row);
  }

  #keep(row) {
    const list = this.#list;
    const atEnd = this.#isAtEnd;
    list.append(row);
    if (row.dataset.seq) {
      const behind = [...list.children].find(
        (other) => other !== row && other.dataset.epoch === row.dataset.epoch && +other.dataset.seq > +row.dataset.seq,
      );
      behind?.before(row);
    }
    while (list.children.length > KEPT) list.firstChild.remove();
    if (atEnd || row.classList.contains("mine")) this.#toEnd();
  }
}

function rowOf(name, payload, timestamp) {
  const row = element("li", "message");
  const [rail, body, who] = [element("div", "rail"), element("div", "body"), element("div", "who")];
  const time = element("time", "", clock(timestamp));
  time.dateTime = new Date(timestamp).toISOString();
  who.append(element("b", "", name), time);
  const isText = typeof payload?.text === "string" && Object.keys(payload).length === 1;
  const text = isText ? payload.text : JSON.stringify(payload);
  const details = element("details", "details");
  details.append(element("summary", "", "details"), element("div", "meta"));
  body.append(who, element("div", isText ? "said" : "said json", text), details);
  row.append(rail, body);
  return row;
}

function tag(row, text) {
  row.querySelector(".who time").before(element("span", "tag", text));
}

function pair(name, value) {
  const span = element("span", `meta-${name}`);
  span.append(element("b", "", `${name} `), String(value));
  return span;
}

export function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export function clock(timestamp) {
  return new Date(timestamp).toLocaleTimeString("en-GB");
}
