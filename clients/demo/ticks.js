/** The ticks of own messages, in words, too: sent, delivered, seen by how many. It knows nothing of the connection. */
import { element } from "./message_list.js";

export class Ticks {
  #own = new Map(); // row ▶ {ack, ticks, isWritten, users}

  /** An own message is accepted; `roster` says who has seen it (null: the room does not tell that). */
  add(row, ack, roster) {
    this.#forgetGone();
    const ticks = element("span", "ticks");
    ticks.setAttribute("aria-live", "off"); // a change is no news for those who listen
    row.querySelector(".who").append(ticks);
    this.#own.set(row, { ack, ticks, isWritten: false, users: [] });
    this.#show(row, roster);
    ack.written?.then(({ complete }) => {
      const own = this.#own.get(row);
      if (!own || !complete) return;
      own.isWritten = true;
      this.#show(row, roster);
    });
  }

  /** Users have seen more. */
  seen(roster) {
    this.#forgetGone();
    for (const row of this.#own.keys()) this.#show(row, roster);
  }

  #show(row, roster) {
    const own = this.#own.get(row);
    const users = roster?.seenBy(own.ack) ?? [];
    if (users.length > own.users.length) own.users = users; // what was seen stays so, even if the room's log begins anew
    const count = own.users.length;
    const text = count ? `seen by ${count}` : own.isWritten ? "delivered" : "sent";
    const mark = element("span", "", count || own.isWritten ? "✓✓" : "✓");
    mark.setAttribute("aria-hidden", "true");
    own.ticks.replaceChildren(mark, ` ${text}`);
    own.ticks.classList.toggle("seen", count > 0);
    own.ticks.title = own.users.join(", ");
  }

  #forgetGone() {
    for (const row of this.#own.keys()) if (!row.isConnected) this.#own.delete(row);
  }
}
