/**
 * Where the page begins: the frame once, then one page after another as the address changes. A
 * page is a module with `open(main, route)`; it is loaded when it is first needed, so that the
 * first view stays small. `open` answers `{update(route), close()}`: `update` may refuse by
 * answering false, and then the page is opened anew.
 */

import * as stream from "./data/stream.js";
import { el, fill } from "./page/dom.js";
import * as frame from "./page/frame.js";
import * as keyboard from "./page/keyboard.js";
import * as route from "./page/route.js";

const page = (name) => () => import(`./pages/${name}.js`);

/** The rail, in its order: address, title, icon, letter. Later products add their line here and their module in `pages/`. */
const PAGES = [
  ["/", "Traces", "traces", "t"],
  ["/map", "Service map", "map", "m"],
  ["/live", "Live", "live", "l"],
  ["/llm", "LLM", "spark", "a"],
  ["/streams", "Streams", "streams", "d"],
  ["/tests", "Tests", "check", "e"],
  ["/problems", "Problems", "problems", "p"],
  ["/requests", "Requests", "requests", "r"],
  ["/settings", "Settings", "sliders", "s"],
].map(([path, title, icon, letter]) => ({ path, title, icon, letter, load: page(path.slice(1) || "traces") }));

/** Pages that are reached from others: address, what the rail marks, title, module. */
const INNER = [
  [/^\/trace\/([^/]+)$/, "/", "Trace", "trace"],
  [/^\/(compare)$/, "/", "Compare", "compare"],
  [/^\/llm\/(.+)$/, "/llm", "LLM", "llm"],
  [/^\/tests\/([^/]+)$/, "/tests", "Tests", "tests"],
  [/^\/requests\/(\d+)$/, "/requests", "Request", "request"],
].map(([pattern, under, title, name]) => ({ pattern, under, title, load: page(name) }));

const { main, mark } = frame.build(PAGES);
let open = null;
let turn = 0;

function find(path) {
  const page = PAGES.find((candidate) => candidate.path === path);
  if (page) return { page, under: page.path, argument: "" };
  for (const inner of INNER) {
    const match = inner.pattern.exec(path);
    if (match) return { page: inner, under: inner.under, argument: decodeURIComponent(match[1]) };
  }
  return null;
}

async function show(target) {
  const found = find(target.path);
  if (open && found && open.page === found.page && open.view.update?.({ ...target, argument: found.argument }) !== false) return;
  const mine = ++turn;
  open?.view.close?.();
  open = null;
  keyboard.pageKeys([]);
  mark(found?.under ?? "");
  if (!found) {
    document.title = "Not found · ddtrace";
    fill(main, el("div", { class: "empty" }, el("h2", null, "There is no such page"), el("p", null, "The address may come from another version."), el("a", { href: "/" }, "All traces")));
    return;
  }
  document.title = `${found.page.title} · ddtrace`;
  try {
    const module = await found.page.load();
    if (mine !== turn) return;
    fill(main);
    open = { page: found.page, view: module.open(main, { ...target, argument: found.argument }) };
  } catch (error) {
    console.error(error);
    fill(main, el("div", { class: "empty", role: "alert" }, el("h2", null, "This page could not be drawn"), el("p", null, String(error))));
  }
}

route.listen(show);
stream.start();
show(route.current());
