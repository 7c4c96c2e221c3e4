// The view below the verdict: what to do, what is happening, what was uploaded.

import { h, named, said, when } from "./dom.js";
import { begun, bytes, complete, counted, duration, moment, number } from "./words.js";

const EMPTY = "Executions appear here as soon as a program writes into a watched folder.";
const RENAME = "Move files that should be uploaded, for example below `assets/<Table>/` " +
  "or `execution-asset/<type>/`. Add the others to `[files] ignore`.";
const PROOFS = { // of what was proved, see `oldest_proof`
  upload: "by the upload",
  server: "size and MD5, as the server states them",
  bytes: "every stored byte was read",
};
const FEW = 10; // entries of a list that are shown at first

/** The sections of the overview. *wanted* is the text of the search field, *all* the lists that
 * are shown completely, *at* the present time by the daemon's clock. */
export function overview(data, { wanted, all, at }) {
  if (data.verdict.level === "empty") return h("p", { class: "answer" }, EMPTY);
  const look = { wanted: wanted.trim().toLowerCase(), all, at };
  const lists = [
    list("todo", "To do", todo(data), look, data.attention.executions - theirs(data).length),
    list("flight", "Uploading", data.in_flight.map(flight), look, data.in_flight_more),
    list("waiting", "Waiting for a retry", data.waiting.map(waiting), look, data.waiting_more),
    list("filling", "Not complete yet", data.filling.map(filling), look, data.filling_more),
    list("recent", "Uploaded recently", data.recent.map(recent), look),
  ].filter(Boolean);
  const none = look.wanted && !lists.length && h("p", { class: "answer" },
    "Nothing shown here has that in its name. Press Enter to search everything.");
  return [!look.wanted && figures(data, at), lists, none];
}

function figures(data, at) {
  const { files } = data;
  const safe = files.linked + files.elsewhere + files.removed;
  const going = files.found + files.hashed + files.stored + files.recorded;
  const oldest = data.oldest_pending_s;
  return h("dl", { class: "figures" },
    figure("In the catalog", counted(safe, "file"), bytes(data.bytes.safe)),
    figure("To upload", counted(going, "file"), bytes(data.bytes.pending)),
    figure("Oldest not uploaded", oldest ? duration(oldest) : "none",
      oldest ? "since it was complete" : "of the complete ones"),
    data.oldest_proof && proof(data.oldest_proof, at),
    figure("Needs attention", counted(data.attention.executions, "execution"),
      `${number(files.unmatched)} unmatched ${files.unmatched === 1 ? "file" : "files"}`));
}

function proof({ at: iso, by }, now) {
  const at = new Date(iso);
  const time = h("time", { datetime: iso, title: complete(at) }, moment(at, now));
  return figure("Oldest proof", time, PROOFS[by]);
}

function figure(term, value, more) {
  return h("div", null, h("dt", null, term), h("dd", null, value), h("dd", null, more));
}

/** One section; its entries are {about, make}: the search looks into *about*. */
function list(key, title, entries, look, more = 0) {
  const fits = (entry) => JSON.stringify(entry.about).toLowerCase().includes(look.wanted);
  const found = look.wanted ? entries.filter(fits) : entries;
  if (!found.length) return null;
  const shown = look.all.has(key) ? found : found.slice(0, FEW);
  const rest = found.length - shown.length;
  const show = { type: "button", class: "more", "data-all": key };
  return h("section", { "data-key": key, "aria-labelledby": `${key}-title` },
    h("h2", { id: `${key}-title` }, title, " ", h("span", null, number(found.length + more))),
    h("ul", { class: `cards ${key}` }, shown.map((entry) => entry.make(look.at))),
    rest > 0 && h("button", show, `Show ${number(rest)} more`),
    more > 0 && !rest && h("p", { class: "quiet" },
      `${number(more)} more are not shown here.`));
}

function card(kind, key, ...children) {
  return h("li", { class: `card ${kind}`, "data-key": key }, children);
}

/** The title of an entry, a link to its details. */
function title(entry, kind = "Execution") {
  const words = (entry.label ?? `${kind} ${entry.rid}`).split(" ");
  const link = h("a", { href: `#/execution/${encodeURIComponent(entry.rid)}` },
    words.length > 1 && `${begun(`${words[0]} `)}`, named(words.slice(words.length > 1).join(" ")));
  return h("h3", null, link, entry.prefix && h("span", { class: "place" }, " in ", named(entry.prefix)));
}

function todo(data) {
  return [
    ...data.problems.map(problem),
    ...theirs(data),
    ...data.paused.map(paused),
    ...data.notices.map(notice),
  ];
}

/** The executions that need attention, each once, as in `attention.executions`. */
function theirs(data) {
  const found = new Map();
  for (const kind of ["refused", "unmatched", "differing"]) {
    for (const each of data[kind].filter((one) => !one.cancelled)) {
      const key = `${each.prefix} ${each.rid}`;
      found.set(key, { ...found.get(key), [kind]: each });
    }
  }
  return [...found.values()].map(needy);
}

function problem(each) {
  const stops = (each.scope ?? "daemon") === "daemon";
  const make = (at) => card(stops ? "trouble" : "person", `problem ${each.about}`,
    h("h3", null, stops ? "The daemon is blocked" : "A folder needs attention"), said(each),
    each.since && h("p", { class: "quiet" }, "Since ", when(each.since, at)));
  return { about: each, make };
}

function needy(kinds) {
  const { refused, unmatched, differing } = kinds;
  const each = refused ?? unmatched ?? differing;
  const since = refused?.changed_at ?? differing?.since;
  const make = (at) => card("person", `needy ${each.prefix} ${each.rid}`, title(each),
    refused && [said(refused), examples(refused, "refused")],
    unmatched && [!refused && said(left(unmatched)), examples(unmatched, "unmatched")],
    differing && said(differing),
    since && h("p", { class: "quiet" }, "Since ", when(since, at)));
  return { about: kinds, make };
}

function left({ files }) {
  const verbs = files === 1 ? ["matches", "was"] : ["match", "were"];
  const what = `${counted(files, "file")} ${verbs[0]} no mapping and ${verbs[1]} not uploaded`;
  return { what, next: RENAME };
}

function examples(each, kind) {
  if (!each.examples?.length) return null;
  const some = each.examples.length < each.files
    ? `${each.examples.length} of ${number(each.files)} ${kind} files` : `The ${kind} files`;
  return h("details", null, h("summary", null, some), h("ul", null, each.examples.map((file) =>
    h("li", null, h("p", { class: "path" }, named(file.path)), file.why && h("p", null, file.why)))));
}

function paused(each) {
  const whole = each.prefix === null; // else it is one execution
  const make = (at) => card("wait", `paused ${each.prefix} ${each.about}`,
    whole ? h("h3", null, "All uploads of this host") : title({ ...each, rid: each.about }),
    said(each), h("p", { class: "quiet" }, "Since ", when(each.since, at)));
  return { about: each, make };
}

function notice(each) {
  const make = (at) => card("wait", `notice ${each.path ?? each.what}`, said(each),
    each.at && h("p", { class: "quiet" }, when(each.at, at)));
  return { about: each, make };
}

function flight(each) {
  const make = () => card("busy", `flight ${each.prefix} ${each.rid}`, title(each),
    bar(each.bytes_done, each.bytes, `Bytes sent of ${each.rid}`),
    h("p", { class: "numbers" }, progress(each)),
    each.current.length > 0 && h("ul", { class: "current" }, each.current.map(current)));
  return { about: each, make };
}

function progress(each) {
  const parts = [
    `${number(each.files_done)} of ${counted(each.files, "file")}`,
    `${bytes(each.bytes_done)} of ${bytes(each.bytes)}`,
  ];
  if (each.state === "ready") parts.push("complete, starts soon");
  if (each.rate_bytes_per_s) parts.push(`${bytes(each.rate_bytes_per_s)}/s`);
  if (each.eta_s != null) parts.push(`about ${duration(each.eta_s)} left`);
  return parts.join(" · ");
}

function current(file) {
  return h("li", { "data-key": file.path }, h("span", { class: "path" }, named(file.path)),
    bar(file.bytes_done, file.bytes, `Bytes sent of ${file.path}`),
    h("span", { class: "numbers" }, `${bytes(file.bytes_done)} of ${bytes(file.bytes)}`));
}

function bar(done, whole, label) {
  return h("progress", { "aria-label": label, max: Math.max(whole, 1), value: whole ? done : 0 });
}

function waiting(each) {
  return later(each, "Next attempt ", said({ ...each, next: null }));
}

function filling(each) {
  const soFar = each.files != null && `${counted(each.files, "file")}, ${bytes(each.bytes ?? 0)} so far`;
  const why = said({ why: each.why ?? "not checked yet" });
  return later(each, "Next check ", [soFar && h("p", { class: "numbers" }, soFar), ...why]);
}

function later(each, then, why) {
  const make = (at) => card("wait", `wait ${each.prefix} ${each.rid}`, title(each), why,
    each.next_at && h("p", { class: "quiet" }, then, when(each.next_at, at)));
  return { about: each, make };
}

function recent(each) {
  const make = (at) => card("safe", `recent ${each.prefix} ${each.rid}`, title(each),
    h("p", { class: "numbers" }, `${counted(each.files, "file")} · ${bytes(each.bytes)} · `,
      when(each.at, at)));
  return { about: each, make };
}
