// The details of one execution: its state and why, every file, its history.

import { h, named, said, when } from "./dom.js";
import { bytes, capital, clock, complete, counted, moment, number } from "./words.js";

const PAGE = 100; // lines that are shown at once
const STATES = { // of an execution: its colour and its label
  filling: ["busy", "Not complete yet"],
  ready: ["busy", "Complete, starts soon"],
  uploading: ["busy", "Uploading"],
  uploaded: ["safe", "Uploaded"],
  waiting: ["wait", "Waiting for a retry"],
  refused: ["person", "Refused"],
  gone: ["gone", "No longer on disk"],
};
const FILES = { // of a file
  found: ["busy", "to hash"],
  hashed: ["busy", "to upload"],
  stored: ["busy", "bytes uploaded"],
  recorded: ["busy", "row written"],
  linked: ["safe", "in the catalog"],
  elsewhere: ["safe", "in the catalog by another uploader"],
  removed: ["safe", "in the catalog, removed locally"],
  ignored: ["gone", "ignored"],
  unmatched: ["person", "unmatched"],
  refused: ["person", "refused"],
  gone: ["gone", "deleted before the upload"],
};
const MOVES = { // why an execution came to a state, if the state does not say it
  claimed: "upload started", due: "next attempt is due", deferred: "postponed",
  changed: "files changed; checked again", interrupted: "upload interrupted",
  retried: "requested, or the cause of the refusal changed", cancelled: "cancelled",
  paused: "paused", resumed: "resumed", removed: "the directory is gone", appeared: "the directory is back",
};
const SAFE = new Set(["linked", "elsewhere", "removed"]);
const UNSAID = new Set(["digest", "boot"]); // only compared with those of the next check
const LABELS = { // of a verdict; verdict.py has the same for the terminal
  looked_at: "checked at", quiet_s: "unchanged for", quiet_needed_s: "required",
  largest_bytes: "largest file", holders: "open files checked with", open: "open for writing",
  partial: "partial, by name", partial_unchanged_since: "partial files unchanged since",
  missing_files: "listed in the manifest or workspace, but missing",
  row_changed: "Execution row changed", status_set_by_us: "Status set by deriva-watch",
  requested: "asked for by a person", same_since: "status and files unchanged since",
  unchanged_since_before_boot: "seen unchanged before the restart, at",
};

/** The view of *shown*: {name, found, error, wanted, state, page}. */
export function story(shown, at) {
  return begun(shown) ??
    [BACK(), shown.found.executions.map((each, place) => one(each, place, shown, at))];
}

/** The executions and files with *shown.name* in their names. */
export function found(shown) {
  const begins = begun(shown);
  if (begins) return begins;
  const { executions, files, more } = shown.found;
  const none = !executions.length && !files.length;
  return [BACK(), h("section", null, h("h2", null, "Named ", named(shown.name)),
    none && h("p", null, "No execution or file has that in its name. " +
      "Upper and lower case differ."),
    h("ul", { class: "table hits" },
      executions.map((each) => hit(each, null, STATES[each.state])),
      files.map((each) => hit(each, named(each.path), FILES[each.state]))),
    more && h("p", { class: "quiet" }, "There are more. Use a longer part of the name."))];
}

function hit(each, path, [tone, word] = ["gone", each.state]) {
  const address = `#/execution/${encodeURIComponent(each.rid)}`;
  return h("li", null, h("a", { href: address }, path ?? named(each.rid)),
    h("span", { class: `state ${tone}` }, word),
    h("span", { class: "place" }, path && [named(each.rid), " "], "in ", named(each.prefix)));
}

const BACK = () => h("nav", { "aria-label": "Back" }, h("a", { href: "#/" }, "← All executions"));

/** The view while there is no answer; null if there is one. */
function begun({ name, found: answer, error }) {
  if (error) return [BACK(), h("section", null, h("h2", null, named(name)), said(error))];
  return answer ? null : [BACK(), h("p", { class: "quiet" }, "Loading ", named(name), "…")];
}

function one(each, place, shown, at) {
  const [tone, word] = STATES[each.state] ?? ["gone", each.state];
  const id = `story-${place}`;
  return h("article", { class: "story", "data-key": each.prefix, "aria-labelledby": id },
    h("h2", { id }, each.unit ? "Unit " : "Execution ", named(each.rid)),
    h("p", { class: `badge ${tone}` }, word),
    h("p", { class: "answer" }, safety(each)),
    sentences(each),
    each.differs && h("div", { class: "card person" }, said(each.differs)),
    facts(each, at),
    notices(each),
    evidence(each, at),
    files(each, shown),
    history(each, at));
}

/** How many of its files are in the catalog, and the states of the others. */
function safety(each) {
  const { files: all, server } = each;
  const count = (test) => all.filter((file) => test(file.state)).length;
  const unsent = ["ignored", "gone"].map((name) => [count((state) => state === name), name]);
  const whole = all.length - unsent.reduce((sum, [files]) => sum + files, 0);
  const safe = count((state) => SAFE.has(state));
  const host = server.split("/")[0];
  if (each.differs) return `${host} no longer has all of it as it was uploaded.`;
  if (!all.length) return "None of its files has been checked yet.";
  const others = [
    ...["unmatched", "refused"].map((name) => [count((state) => state === name), FILES[name][1]]),
    [count((state) => FILES[state]?.[0] === "busy"), "being uploaded"],
  ].filter(([files]) => files).map(([files, what]) => `${number(files)} ${what}`);
  const first = !whole ? "It has no files to upload." : safe === whole
    ? `${safe === 1 ? "Its only file is" : `All its ${counted(safe, "file")} are`} in the catalog on ${host}.`
    : `${number(safe)} of its ${counted(whole, "file")} ${safe === 1 ? "is" : "are"} in the catalog on ${host}: ` +
      `${others.join(", ")}.`;
  const more = unsent.filter(([files]) => files).map(([files, name]) =>
    `${counted(files, "more file")} ${files === 1 ? "was" : "were"} ${FILES[name][1]}.`);
  return [first, ...more].join(" ");
}

function sentences(each) {
  return each.what && h("div", { class: `card ${STATES[each.state]?.[0]}` }, said(each));
}

function facts(each, at) {
  const made = each.execution_rid && named(each.execution_rid);
  return list([
    ["Folder", named(each.prefix)],
    ["Server", named(each.server)],
    ["Execution in the catalog", made],
    ["In this state since", when(each.changed_at, at)],
    [each.state === "waiting" ? "Next attempt" : "Next check", each.next_at && when(each.next_at, at)],
    ["Last proof", each.proved && [when(each.proved_at, at), `: ${each.proved}`]],
    ["Failed attempts in a row", each.attempts && number(each.attempts)],
  ]);
}

function list(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value).map(([name, value]) =>
    h("div", null, h("dt", null, name), h("dd", null, value))));
}

function notices(each) {
  const told = Object.entries(each.notices);
  return told.length > 0 && h("section", null, h("h3", null, "Notices"),
    h("ul", null, told.map(([about, why]) => h("li", null, named(about), ": ", why))));
}

// ------------------------------------------------------------------ evidence

function evidence(each, at) {
  if (!each.verdict) return null;
  const names = Object.keys(each.verdict).filter((name) => !UNSAID.has(name));
  const first = ["why", "missing"].filter((name) => names.includes(name));
  const order = [...first, ...names.filter((name) => !first.includes(name))];
  const done = each.state !== "filling";
  return h("details", { open: true }, h("summary", null,
    h("h3", null, done ? "Why it counts as complete" : "Why it is not complete yet")),
    list(order.map((name) => [
      capital(LABELS[name] ?? name.replaceAll("_", " ")), told(name, each.verdict[name], at)])));
}

/** A value of a verdict as text; null if it is empty. */
function told(name, value, at) {
  if (value === null || value === false || value === "") return null;
  if (value === true) return "yes";
  if (Array.isArray(value)) return value.join("; ");
  if (typeof value === "object") {
    return h("ul", null, Object.entries(value).map(([key, part]) =>
      h("li", null, key, ": ", told(key, part, at))));
  }
  if (name === "size_bytes" || name === "largest_bytes") return bytes(value);
  if (typeof value === "number") {
    return name.endsWith("_s") ? `${Math.round(value * 10) / 10} s` : number(value);
  }
  return /^\d{4}-\d\d-\d\dT/.test(value) ? when(value, at) : value;
}

// ------------------------------------------------------------------ files

function files(each, shown) {
  if (!each.files.length) return null;
  const wanted = shown.wanted.toLowerCase();
  const fits = (file) => (!shown.state || file.state === shown.state) &&
    (!wanted || `${file.path} ${file.rid ?? ""} ${file.md5 ?? ""}`.toLowerCase().includes(wanted));
  const found = each.files.filter(fits);
  const pages = Math.max(1, Math.ceil(found.length / PAGE));
  const page = Math.min(shown.page, pages - 1);
  const lines = new Map();
  for (const line of each.history) if (line.path !== null) push(lines, line.path, line);
  return h("section", { class: "files" },
    h("h3", null, "Files ", h("span", null, number(found.length))),
    each.files.length > 1 && chooser(each),
    h("ul", { class: "table" }, found.slice(page * PAGE, (page + 1) * PAGE)
      .map((one) => file(one, lines.get(one.path) ?? []))),
    pages > 1 && turner(page, pages));
}

function push(map, key, value) {
  if (map.has(key)) map.get(key).push(value);
  else map.set(key, [value]);
}

function chooser({ files: all }) {
  const states = [...new Set(all.map((one) => one.state))];
  return h("p", { class: "chooser" },
    h("label", null, "Name, RID or MD5 ", h("input", { type: "search", name: "wanted" })),
    h("label", null, "State ", h("select", { name: "state" },
      h("option", { value: "" }, "all"),
      states.map((state) => h("option", { value: state }, FILES[state]?.[1] ?? state)))));
}

function turner(page, pages) {
  const turn = (to, text) => h("button",
    { type: "button", "data-page": to, disabled: to < 0 || to >= pages }, text);
  return h("nav", { class: "turner", "aria-label": "Pages of files" }, turn(page - 1, "Previous"),
    h("span", null, `Page ${number(page + 1)} of ${number(pages)}`), turn(page + 1, "Next"));
}

function file(one, lines) {
  const [tone, word] = FILES[one.state] ?? ["gone", one.state];
  return h("li", { "data-key": one.path }, h("details", null,
    h("summary", null,
      h("span", { class: "path" }, named(one.path)),
      h("span", { class: `state ${tone}` }, word),
      h("span", { class: "size" }, bytes(one.size_bytes)),
      h("span", { class: "rid" }, one.rid ?? "")),
    said(one),
    list([
      ["RID of its row", one.rid], ["Table", one.table], ["Object version", one.url],
      ["MD5", one.md5], ["SHA-256", one.sha256],
      ["Rows in the catalog", one.rows !== null && number(one.rows)],
      ["Existing row used", one.adopted && "yes"],
      ["Moved to", one.removal?.to && named(one.removal.to)],
      ["Steps", lines.map((line) => `${line.after} ${clock(new Date(line.at))}`).join(" → ")],
    ])));
}

// ------------------------------------------------------------------ history

function history(each, at) {
  const lines = each.history.filter((line) => line.path === null);
  const failed = lines.filter((line) => line.trigger === "deferred").length;
  return h("section", { class: "history" }, h("h3", null, "History"),
    failed > 0 && h("p", { class: "quiet" }, `${counted(failed, "attempt")} failed in all.`),
    h("ol", null, lines.slice(-PAGE).reverse().map((line) =>
      h("li", { "data-key": `${line.at} ${line.after}` }, stamp(line.at, at),
        h("b", null, line.after),
        h("span", null, [MOVES[line.trigger], line.detail.what, line.detail.why].filter(Boolean).join(": "))))));
}

function stamp(iso, now) {
  const at = new Date(iso);
  return h("time", { datetime: iso, title: complete(at) }, moment(at, now));
}
