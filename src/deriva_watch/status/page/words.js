// Values as text. Nothing here knows the page.

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];
const SHORT = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** The text with everything escaped that could break a line or reverse its direction: the same
 * characters, in the same way, as in a terminal. */
export function printable(text) {
  return String(text).replace(/[\p{C}\p{Z}]/gu, (c) => (c === " " ? c : SHORT[c] ?? escaped(c)));
}

function escaped(character) {
  const hex = character.codePointAt(0).toString(16);
  if (hex.length <= 2) return `\\x${hex.padStart(2, "0")}`;
  return hex.length <= 4 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

export function number(value) {
  return value.toLocaleString("en-US");
}

export function counted(value, noun) {
  return `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
}

export function bytes(value) {
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(unit && value < 9.95 ? 1 : 0)} ${UNITS[unit]}`;
}

/** Seconds in a suitable unit: "40 s", "12 min", "3 h", "5 days". */
export function duration(seconds) {
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  if (seconds < 59.5 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${(seconds / 3600).toFixed(1).replace(".0", "")} h`;
  return `${Math.round(seconds / 86400)} days`;
}

/** "in 3 min", "5 s ago", "now"; times are Dates. */
export function relative(at, now) {
  const seconds = (at - now) / 1000;
  if (Math.abs(seconds) < 1.5) return "now";
  return seconds > 0 ? `in ${duration(seconds)}` : `${duration(-seconds)} ago`;
}

export function clock(at) {
  return at.toLocaleTimeString("en-GB");
}

/** The time of day; with the date if that is not today. */
export function moment(at, now) {
  const day = { day: "numeric", month: "short" };
  if (at.getFullYear() !== now.getFullYear()) day.year = "numeric";
  const today = at.toDateString() === now.toDateString();
  return today ? clock(at) : `${at.toLocaleDateString("en-GB", day)} ${clock(at).slice(0, 5)}`;
}

export function complete(at) {
  return at.toLocaleString("en-GB", { dateStyle: "full", timeStyle: "long" });
}

// A text may begin with a name or a path, which is shown as it is.
const STARTS = new RegExp("^(a|all|an|another|both|cannot|each|every|execution|files?|folder|it|its|no|nobody|none|nothing"
  + "|not|nowhere|one|only|paused|cancelled|held|waiting|upload|uploads|several|after|because|somebody|some|something|the|their|there|these|they|this|those|uploaded|what|work)[ ,:]");

/** A text as a sentence: its first letter becomes a capital unless it may belong to a name. */
export function begun(text) {
  return STARTS.test(text) ? capital(text) : text;
}

export function capital(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

export function ended(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
