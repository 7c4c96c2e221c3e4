// The page: requests, the current view, and what happens without an answer.

import { day } from "./chart.js";
import { command, h, morph } from "./dom.js";
import { overview } from "./overview.js";
import { found, story } from "./story.js";
import { capital, clock, ended } from "./words.js";

const WORDS = {
  asking: "Connecting to the daemon",
  safe: "Everything is in the catalog",
  busy: "Uploading",
  person: "Attention needed",
  trouble: "Not working",
  empty: "Nothing here yet",
  lost: "Connection lost",
};
const SYMBOLS = { safe: "✓", busy: "↑", person: "!", trouble: "✕", empty: "○", lost: "?", asking: "…" };
const QUIET_MS = 15_000; // the stream sends only changes: ask now and then if it is alive
const AGAIN_MS = 2_000; // between requests without a stream
const ANSWER_MS = 5_000; // timeout of a request
const STALE_MS = 25_000; // older data is never shown as current
const NO_ANSWER = { what: "cannot show it", why: "the daemon did not answer" };
const DAY_MS = 60_000;

const ADDRESSES = { execution: "api/execution?rid=", find: "api/find?name=" };

const state = {
  data: null, // the last overview
  heard: 0, // when it came, by performance.now()
  heardAt: null, // the same as a Date
  behind: 0, // milliseconds that our clock is behind the daemon's
  lost: null, // why there is no connection, or null
  asked: 0,
  asking: false,
  stream: null,
  wanted: "",
  all: new Set(), // lists that are shown completely
  points: null, // the chart's
  story: null, // the execution or search result that is shown; null: the overview
};

const part = (id) => document.getElementById(id);

// ------------------------------------------------------------------ asking

async function answer(address, ms = ANSWER_MS) {
  const response = await fetch(address, { signal: AbortSignal.timeout(ms), cache: "no-store" });
  const found = await response.json();
  if (!response.ok) throw Object.assign(new Error(), { said: found, status: response.status });
  return found;
}

async function ask() {
  if (state.asking) return;
  state.asking = true;
  state.asked = performance.now();
  try {
    heard(await answer("api/overview"));
    if (!state.stream || state.stream.readyState === EventSource.CLOSED) listen();
  } catch (error) {
    lose(error.said ? explained(error.said) : "the daemon does not answer");
  } finally {
    state.asking = false;
  }
}

function listen() {
  state.stream?.close();
  state.stream = new EventSource("stream");
  state.stream.addEventListener("overview", (event) => heard(JSON.parse(event.data)));
  state.stream.addEventListener("trouble", (event) => lose(explained(JSON.parse(event.data))));
  state.stream.addEventListener("error", ask);
}

function explained({ what, why }) {
  return `${what}: ${why}`;
}

function heard(data) {
  const now = new Date();
  Object.assign(state, { data, heard: performance.now(), heardAt: now, lost: null });
  state.behind = new Date(data.at) - now;
  draw();
  refresh();
}

function lose(why) {
  state.lost = why;
  draw();
}

function tick() {
  const silent = performance.now() - state.heard;
  const streams = state.stream?.readyState === EventSource.OPEN && !state.lost;
  if (state.data && !state.lost && silent > STALE_MS) lose("the daemon has not answered");
  const since = performance.now() - Math.max(state.asked, state.heard);
  if (since > (streams ? QUIET_MS : AGAIN_MS)) ask();
}

async function askDay() {
  try {
    state.points = await answer("api/day");
    draw();
  } catch {
    // the verdict shows the lost connection; the chart stays as it is
  }
}

// ------------------------------------------------------------------ the story of one execution

function route() {
  const { hash } = location;
  if (hash && !hash.startsWith("#/")) return; // an anchor on this page
  const before = state.story?.address;
  const [, kind, name] = hash.split("/");
  const address = ADDRESSES[kind] && name && ADDRESSES[kind] + encodeURIComponent(decoded(name));
  if (!address) state.story = null;
  else if (address !== before) state.story = begun(kind, decoded(name), address);
  draw();
  if (state.story?.address === before) return;
  if (state.story) load(state.story);
  if (document.activeElement?.id !== "find") part("main").focus();
  scrollTo(0, 0);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function begun(kind, name, address) {
  return { kind, name, address, found: null, error: null, stamp: "", wait: 0, loadedAt: 0,
    asking: false, wanted: "", state: "", page: 0 };
}

async function load(shown) {
  if (shown.asking) return;
  shown.asking = true;
  const began = performance.now();
  try {
    Object.assign(shown, { found: await answer(shown.address, 60_000), error: null });
  } catch (error) {
    const known = error.status === 404;
    if (known || !shown.found) shown.error = error.said ?? NO_ANSWER;
    if (!known) shown.stamp = ""; // so that it is loaded again
  }
  shown.loadedAt = performance.now();
  shown.wait = Math.max(1000, 20 * (shown.loadedAt - began)); // a large one is loaded less often
  shown.asking = false;
  if (state.story !== shown) return;
  const exact = shown.found?.name && shown.found.executions.some((each) => each.rid === shown.name);
  if (exact) location.replace(`#/execution/${encodeURIComponent(shown.name)}`);
  else draw();
}

/** Load the details again if the overview has changed since. */
function refresh() {
  const shown = state.story;
  if (!shown) return;
  const { executions, files, in_flight: flying } = state.data;
  const stamp = JSON.stringify([executions, files, flying.filter((each) => each.rid === shown.name)]);
  if (stamp === shown.stamp || performance.now() - shown.loadedAt < shown.wait) return;
  shown.stamp = stamp;
  load(shown);
}

// ------------------------------------------------------------------ drawing

function draw() {
  const at = new Date(Date.now() + state.behind);
  const level = state.lost ? "lost" : state.data?.verdict.level ?? "asking";
  verdict(level);
  const told = { execution: story, find: found }[state.story?.kind];
  const view = told ? told(state.story, at) : state.data ? main(at) : [];
  morph(part("view"), h("div", { id: "view" }, view));
}

function main(at) {
  return [overview(state.data, { wanted: state.wanted, all: state.all, at }),
    !state.wanted && state.points && day(state.points, part("view").clientWidth)];
}

function verdict(level) {
  const said = state.data?.verdict;
  document.body.dataset.level = level;
  document.body.dataset.view = state.story ? "story" : "overview";
  document.title = `${SYMBOLS[level]} ${WORDS[level]} · deriva-watch`;
  if (part("word").textContent !== WORDS[level]) part("word").textContent = WORDS[level];
  document.querySelector(".symbol").textContent = SYMBOLS[level];
  const text = level === "lost" ? gone() : ended(capital(said?.text ?? ""));
  const next = level === "lost" ? "deriva-watch status" : said?.next;
  morph(part("sentence"), h("div", { id: "sentence" },
    h("p", { class: "sentence" }, said || state.lost ? text : ""),
    next && !state.story && h("p", null, command(next))));
  link(level);
  part("server").textContent = state.data?.server ?? "";
  part("journal").textContent = state.data ? `Journal: ${state.data.journal}` : "";
  icon();
}

function gone() {
  const seen = state.heardAt
    ? ` The last contact was at ${clock(state.heardAt)}; the data below is from then.` : "";
  return `${ended(capital(state.lost))}${seen}`;
}

function link(level) {
  const texts = { lost: `Last contact ${state.heardAt ? clock(state.heardAt) : "never"}`, asking: "" };
  part("link").textContent = texts[level] ?? `Live · ${clock(state.heardAt)}`;
}

function icon() {
  const colour = getComputedStyle(document.body).getPropertyValue("--tone").trim();
  const image = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">` +
    `<circle cx="8" cy="8" r="7" fill="${colour}"/></svg>`;
  const address = `data:image/svg+xml,${encodeURIComponent(image)}`;
  if (part("icon").getAttribute("href") !== address) part("icon").setAttribute("href", address);
}

// ------------------------------------------------------------------ what a person does

async function copy(button) {
  const text = button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch { // not allowed for a page from another machine
    getSelection().selectAllChildren(button.previousElementSibling);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  if (!button) return;
  if (button.dataset.copy) copy(button);
  if (button.dataset.all) state.all.add(button.dataset.all);
  if (button.dataset.page) state.story.page = Number(button.dataset.page);
  if (button.dataset.all || button.dataset.page) draw();
});

document.addEventListener("input", ({ target }) => {
  if (target.id === "find") {
    state.wanted = target.value;
    if (state.story) location.hash = "#/"; // the overview is filtered
  }
  if (target.name) Object.assign(state.story, { [target.name]: target.value, page: 0 });
  draw();
});

part("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = part("find").value.trim();
  if (!wanted) return;
  part("find").value = state.wanted = "";
  location.hash = `#/find/${encodeURIComponent(wanted)}`;
  part("main").focus();
});

addEventListener("hashchange", route);
addEventListener("resize", draw);
document.addEventListener("visibilitychange", () => document.hidden || tick());
setInterval(tick, 1000);
setInterval(() => state.data && draw(), 10_000); // updates "5 min ago"
setInterval(askDay, DAY_MS);
route();
ask();
askDay();
