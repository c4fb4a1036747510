/** Reads a `text/event-stream`, piece by piece: each byte is looked at once, and what is kept is bounded. It reads, and requests nothing. */

export interface StreamEvent {
  type: string;
  data: string;
}

const LONGEST = 16 * 1024 * 1024; // characters of an event: far beyond any frame

/** Returns a function that takes the next piece of text and returns the events that it completes. Throws RangeError for one without end. */
export function eventReader(longest = LONGEST): (text: string) => StreamEvent[] {
  let rest: string[] = []; // pieces of a line that has no end yet
  let size = 0; // of the event so far
  let data: string[] = [];
  let type = "message";
  let skipsLineFeed = false; // the last piece ended with a carriage return

  const line = (text: string, events: StreamEvent[]) => {
    if (text === "") {
      if (data.length) events.push({ type, data: data.join("\n") });
      [data, type, size] = [[], "message", 0];
      return;
    }
    const colon = text.indexOf(":");
    const name = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + (text[colon + 1] === " " ? 2 : 1));
    if (name === "data") data.push(value);
    else if (name === "event") type = value || "message";
    else size -= text.length; // a comment, or a field that nobody reads
  };

  return (text) => {
    const events: StreamEvent[] = [];
    let from = skipsLineFeed && text[0] === "\n" ? 1 : 0;
    if (text) skipsLineFeed = false;
    const ends = /[\r\n]/g;
    ends.lastIndex = from;
    for (let end; (end = ends.exec(text)); ends.lastIndex = from) {
      rest.push(text.slice(from, end.index));
      size += end.index - from;
      from = end.index + 1;
      if (end[0] === "\r" && from === text.length) skipsLineFeed = true;
      else if (end[0] === "\r" && text[from] === "\n") from++;
      const whole = rest.join("");
      rest = [];
      line(whole, events);
    }
    if (from < text.length) {
      rest.push(text.slice(from));
      size += text.length - from;
    }
    if (size > longest) throw new RangeError(`an event of more than ${longest} characters`);
    return events;
  };
}
