// Bytes sent and backlog of the last day: two bar charts with one axis, and a table.

import { h, svg } from "./dom.js";
import { bytes, clock, counted } from "./words.js";

const HIGH = 72; // one drawing, in pixels
const GAP = 46; // above each: its title and the figure at its top
const FOOT = 22; // the hours
const HOURS = 6; // between two marks
const DAY_S = 86_400;

/** The section with the chart, *width* pixels wide; null if there is no data. */
export function day({ step_s: step, points }, width) {
  const sent = points.map((point) => point.sent_bytes);
  const left = points.map((point) => point.backlog_bytes);
  const total = sent.reduce((sum, each) => sum + each, 0);
  if (!total && !Math.max(...left)) return null;
  const wide = Math.max(240, width);
  const axis = along(points, step, wide);
  const high = 2 * (GAP + HIGH) + FOOT;
  const label = `${bytes(total)} were sent in the last day; the backlog was ` +
    `${bytes(Math.max(...left))} at most and is ${bytes(left.at(-1))} now.`;
  const about = { viewBox: `0 0 ${wide} ${high}`, height: high, role: "img", "aria-label": label };
  return h("section", { "data-key": "day", "aria-labelledby": "day-title" },
    h("h2", { id: "day-title" }, "The last day"),
    svg("svg", about,
      marks(axis, high),
      drawing("sent", `Sent: ${bytes(total)}`, most(sent, `in ${step / 60} min`), sent, axis, 0),
      drawing("left", `Backlog: ${bytes(left.at(-1))}`, most(left, ""), left, axis, GAP + HIGH)),
    table(points));
}

function most(values, per) {
  const top = Math.max(...values);
  return top ? `at most ${bytes(top)} ${per}` : "";
}

/** The axis: it ends with the step in progress; steps without a daemon are empty. */
function along(points, step, wide) {
  const seconds = points.map((point) => Date.parse(point.at) / 1000);
  const begin = seconds.at(-1) + step - DAY_S;
  const place = (second) => ((second - begin) / DAY_S) * wide;
  return { begin, place, wide, step: (step / DAY_S) * wide, places: seconds.map(place) };
}

/** One bar chart; bars of the backlog touch each other. */
function drawing(kind, title, top, values, axis, y) {
  const base = y + GAP + HIGH;
  const scale = HIGH / Math.max(1, ...values);
  const bar = (axis.step + (kind === "sent" ? -0.8 : 0.2)).toFixed(1);
  const bars = values.map((value, at) => value &&
    `M${axis.places[at].toFixed(1)} ${base}V${(base - value * scale).toFixed(1)}h${bar}V${base}z`);
  return svg("g", { class: kind },
    svg("text", { x: 0, y: y + GAP - 12, class: "name" }, title),
    svg("text", { x: axis.wide, y: y + GAP - 12, "text-anchor": "end" }, top),
    svg("path", { d: bars.filter(Boolean).join("") }),
    svg("path", { class: "base", d: `M0 ${base + 0.5}H${axis.wide}` }));
}

/** A thin line and a label at every sixth hour of local time. */
function marks({ begin, place, wide }, high) {
  const hour = new Date(begin * 1000);
  hour.setMinutes(0, 0, 0);
  return Array.from({ length: 25 }, (_, n) => {
    const time = new Date(+hour + n * 3_600_000);
    const x = place(+time / 1000).toFixed(1);
    if (time.getHours() % HOURS || x < 20 || x > wide - 20) return null;
    return svg("g", { class: "mark" },
      svg("path", { d: `M${x} ${GAP}V${high - FOOT}` }),
      svg("text", { x, y: high - 6, "text-anchor": "middle" }, clock(time).slice(0, 5)));
  });
}

function table(points) {
  const hours = new Map();
  for (const point of points) {
    const hour = point.at.slice(0, 13);
    hours.set(hour, [...(hours.get(hour) ?? []), point]);
  }
  const head = ["From", "Sent", "Backlog at the end"];
  return h("details", null, h("summary", null, "As a table"),
    h("table", null,
      h("thead", null, h("tr", null, head.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null, [...hours.values()].map(row))));
}

function row(points) {
  const last = points.at(-1);
  const sent = points.reduce((sum, point) => sum + point.sent_bytes, 0);
  return h("tr", null,
    h("th", { scope: "row" }, clock(new Date(points[0].at)).slice(0, 5)),
    h("td", null, bytes(sent)),
    h("td", null, `${counted(last.backlog_files, "file")}, ${bytes(last.backlog_bytes)}`));
}
