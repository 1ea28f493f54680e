/**
 * The frame around every page: the rail, the keys that work everywhere, what the agent says of
 * itself, and the live region. A product gets its page by one line in `PAGES` of `app.js`.
 */

import { get } from "../data/api.js";
import { register } from "../data/colours.js";
import { bytes, clock, count, plural } from "../data/format.js";
import * as stream from "../data/stream.js";
import { el, fill, set } from "./dom.js";
import { icon } from "./icons.js";
import * as keyboard from "./keyboard.js";
import * as route from "./route.js";

/** What the agent last said of itself (`GET /api/status`). */
let status = null;
const statusListeners = new Set();

export function currentStatus() {
  return status;
}

/** Calls with the status of the moment, if there is one, and with each that follows. */
export function onStatus(listener) {
  statusListeners.add(listener);
  if (status) listener(status);
  return () => statusListeners.delete(listener);
}

const live = el("div", { class: "unseen", role: "status", "aria-live": "polite" });

/** Says something to screen readers. */
export function announce(text) {
  live.textContent = text;
}

/**
 * Builds rail and page.
 * @param {{path: string, title: string, icon: string, letter: string}[]} pages
 */
export function build(pages) {
  const main = el("main", { id: "page", tabindex: -1 });
  const links = new Map();
  const badge = el("span", { class: "count", hidden: true });
  const list = pages.map((page) => {
    const link = el("a", { href: page.path, title: `${page.title} (g ${page.letter})` },
      icon(page.icon), el("span", { class: "word" }, page.title), page.path === "/problems" ? badge : null);
    links.set(page.path, link);
    return el("li", null, link);
  });
  const connection = el("div", { class: "connection" });
  const version = el("small", null);
  document.body.append(
    el("a", { class: "skip", href: "#page", onclick: (event) => { event.preventDefault(); main.focus(); } }, "Skip to the page"),
    el("header", { class: "rail" },
      el("a", { class: "brand", href: "/", "aria-label": "ddtrace, all traces" },
        el("span", { class: "mark" }, icon("traces")), el("span", { class: "word" }, "ddtrace"), version),
      el("nav", { "aria-label": "Pages" }, el("ul", null, list)),
      el("div", { class: "foot" },
        el("button", { class: "tool", type: "button", title: "Theme", onclick: nextTheme }, icon("theme"), el("span", { class: "word theme-word" }, themeWord())),
        el("button", { class: "tool keys-tool", type: "button", title: "Keys (?)", onclick: showKeys }, icon("keys"), el("span", { class: "word" }, "Keys")),
        connection)),
    main, live);

  const showConnection = () => fill(connection, connectionText());
  stream.on("state", showConnection);
  const accept = (next) => {
    status = { ...status, ...next };
    register(status.services ?? []);
    version.textContent = status.version ?? "";
    const problems = status.counts?.problems;
    const wrong = problems ? problems.rejected + problems.dropped : 0;
    const all = wrong + (problems?.violation ?? 0);
    set(badge, { hidden: all === 0, class: wrong > 0 ? "count bad" : "count", "aria-label": plural(all, "problem") });
    badge.textContent = all > 999 ? "999+" : String(all);
    showConnection();
    for (const listener of statusListeners) listener(status);
  };
  const load = () => get("/api/status").then(accept, () => {});
  stream.on("status", accept);
  stream.on("reset", load);
  stream.on("cleared", load);
  load();

  keyboard.frameKeys([
    ...pages.map((page) => ({ key: `g ${page.letter}`, label: page.title, run: () => route.go(page.path) })),
    { key: "/", label: "Search", run: () => focusSearch() },
    { key: "Escape", label: "Back", run: () => { if (history.state !== null || history.length > 1) history.back(); } },
    { key: " ", shown: "Space", label: "Pause or go on", run: () => stream.setPaused(!stream.view().paused) },
    { key: "t", label: "Theme: system, light, dark", run: nextTheme },
    { key: "?", label: "These keys", run: showKeys },
  ]);
  keyboard.listen();
  return { main, mark: (path) => { for (const [own, link] of links) set(link, { "aria-current": own === path ? "page" : null }); } };
}

function focusSearch() {
  const field = document.querySelector("main input[type=search]");
  if (!(field instanceof HTMLInputElement)) return false;
  field.focus();
  field.select();
  return true;
}

function connectionText() {
  const { state, paused } = stream.view();
  const dot = el("span", { class: `dot ${state === "lost" ? "off" : paused ? "paused" : ""}` });
  const word = state === "lost" ? "Agent gone, trying again" : paused ? "Paused" : "Live";
  if (!status?.counts) return [dot, el("span", { class: "word" }, word)];
  const kept = status.kept_since
    ? el("div", { class: "word" }, `Kept since ${clock(status.kept_since)}; ${count(status.evicted.spans)} older spans gone`) : null;
  const lost = status.counts.dropped > 0
    ? el("div", { class: "word bad" }, `${plural(status.counts.dropped, "chunk")} lost by the library`) : null;
  return [
    el("div", null, dot, el("span", { class: "word" }, word)),
    el("div", { class: "word" }, `${plural(status.counts.spans, "span")} · ${bytes(status.memory?.total)}`),
    kept, lost,
  ];
}

const THEMES = ["system", "light", "dark"];

function theme() {
  return document.documentElement.dataset.theme ?? "system";
}

function themeWord() {
  return { system: "System", light: "Light", dark: "Dark" }[theme()];
}

function nextTheme() {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("ddtrace.theme", next);
  } catch {
    // Not kept, then.
  }
  for (const word of document.querySelectorAll(".theme-word")) word.textContent = themeWord();
  announce(`Theme: ${themeWord()}`);
  dispatchEvent(new Event("ddtrace:theme"));
}

async function showKeys() {
  (await import("./keys.js")).showKeys();
}
