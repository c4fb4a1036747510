/**
 * A line chart of the last minutes, drawn as SVG. Lines are told apart by their dashes and by their names,
 * not by colours alone; what a chart shows is also said in a sentence, and in numbers behind each name.
 */
import { el, put, say, svg } from "./dom.js";
import { time } from "./format.js";

const WIDTH = 600;
const HEIGHT = 120;
const GAP = 3; // samples that are further apart than so many intervals are not joined

export class Chart {
  /** `lines`: [{name, of: (sample) ▶ number | undefined}], at most three; `shown` makes a number a text. */
  constructor(title, lines, shown) {
    this.lines = lines;
    this.shown = shown;
    this.paths = lines.map((_, index) => svg("path", { class: `line line-${index}` }));
    this.top = el("span", { class: "chart-top" });
    this.from = el("span", {});
    this.to = el("span", {});
    this.names = lines.map((line, index) => {
      const now = el("b", {});
      const most = el("span", { class: "quiet" });
      const mark = svg(
        "svg", { class: "mark", viewBox: "0 0 24 8", "aria-hidden": "true" }, svg("path", { class: `line line-${index}`, d: "M0 4H24" }),
      );
      return { now, most, row: el("li", {}, mark, el("span", {}, line.name), now, most) };
    });
    this.picture = svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
      ...[0.25, 0.5, 0.75].map((at) => svg("path", { class: "grid", d: `M0 ${HEIGHT * at}H${WIDTH}` })),
      ...this.paths,
    );
    this.title = title;
    this.element = el(
      "figure",
      { class: "chart" },
      el("figcaption", {}, title),
      el("ul", { class: "legend" }, ...this.names.map(({ row }) => row)),
      el("div", { class: "plot" }, this.top, this.picture),
      el("div", { class: "axis" }, this.from, this.to),
    );
  }

  /** Draw these samples, the oldest first. */
  draw(samples, everyMs) {
    if (samples.length === 0) return;
    const end = samples.at(-1).at;
    const begin = Math.min(samples[0].at, end - 60_000);
    const most = Math.max(0, ...this.lines.flatMap(({ of }) => samples.map((sample) => of(sample) ?? 0)));
    const top = ceiling(most);
    const x = (at) => ((at - begin) / (end - begin)) * WIDTH;
    const y = (value) => HEIGHT - 2 - (value / top) * (HEIGHT - 6);
    const said = this.lines.map((line, index) => {
      this.paths[index].setAttribute("d", path(samples, line.of, everyMs * GAP, x, y));
      const values = samples.map(line.of).filter((value) => value !== undefined && value !== null);
      const [now, highest] = [line.of(samples.at(-1)), Math.max(...values, 0)];
      const texts = [now === undefined || now === null ? "–" : this.shown(now), this.shown(highest)];
      say(this.names[index].now, texts[0]);
      say(this.names[index].most, `most ${texts[1]}`);
      return `${line.name} now ${texts[0]}, at most ${texts[1]}`;
    });
    say(this.top, this.shown(top));
    say(this.from, time(begin));
    say(this.to, time(end));
    this.picture.setAttribute("aria-label", `${this.title} from ${time(begin)} to ${time(end)}: ${said.join("; ")}.`);
  }
}

/** Draw several. */
export function drawAll(charts, samples, everyMs) {
  for (const chart of charts) chart.draw(samples, everyMs);
}

/** The charts beside each other. */
export function grid(charts) {
  return put(el("div", { class: "charts" }), ...charts.map((chart) => chart.element));
}

function path(samples, of, gap, x, y) {
  let text = "";
  let last = null;
  for (const sample of samples) {
    const value = of(sample);
    if (value === undefined || value === null) {
      last = null;
      continue;
    }
    const joined = last !== null && sample.at - last <= gap;
    text += `${joined ? "L" : "M"}${x(sample.at).toFixed(1)} ${y(value).toFixed(1)}`;
    last = sample.at;
  }
  return text;
}

/** The next round number. */
function ceiling(value) {
  if (value <= 1) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((times) => times * size).find((round) => round >= value);
}
