/** Figures and times in words. */

const whole = new Intl.NumberFormat("en");
const tenth = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", year: "numeric" });

/** A number, short where it is large. */
export function count(value) {
  if (value >= 10_000_000) return `${tenth.format(value / 1_000_000)} M`;
  if (value >= 100_000) return `${tenth.format(value / 1_000)} k`;
  return whole.format(value);
}

/** How many of something there are. */
export function counted(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** So many in a second. */
export function rate(value) {
  return value >= 100 ? count(Math.round(value)) : tenth.format(value);
}

/** A lag: missing where nothing has come. */
export function lag(ms) {
  if (ms === undefined || ms === null) return "–";
  return ms < 10_000 ? `${whole.format(ms)} ms` : duration(ms / 1_000);
}

/** How long, in the two largest units. */
export function duration(seconds) {
  const units = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
  let left = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [name, size] of units) {
    if (left >= size || (name === "s" && parts.length === 0)) {
      parts.push(`${Math.floor(left / size)} ${name}`);
      left %= size;
    } else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

/** Bytes of memory. */
export function bytes(value) {
  return value >= 1 << 30 ? `${tenth.format(value / (1 << 30))} GiB` : `${whole.format(Math.round(value / (1 << 20)))} MiB`;
}

/** A time of today, or a day and a time. */
export function time(ms) {
  const at = new Date(ms);
  const text = clock.format(at);
  return at.toDateString() === new Date().toDateString() ? text : `${day.format(at)}, ${text}`;
}

/** How long ago. */
export function ago(ms) {
  return `${duration((Date.now() - ms) / 1_000)} ago`;
}
