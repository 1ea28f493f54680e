/** Traces (`/`): the list, what is searched and filtered, requests over time, live. */

import { get, isAborted } from "../data/api.js";
import { serviceClass } from "../data/colours.js";
import { clock, count, duration, moment, plural } from "../data/format.js";
import * as stream from "../data/stream.js";
import { el, fill, set, style } from "../page/dom.js";
import * as frame from "../page/frame.js";
import { icon } from "../page/icons.js";
import * as keyboard from "../page/keyboard.js";
import * as route from "../page/route.js";
import * as badge from "../parts/badges.js";
import { cell, grid } from "../parts/grid.js";
import { pauseButton } from "../parts/pause.js";
import { searchField } from "../parts/search.js";
import { timeline } from "../parts/timeline.js";

const PAGE = 200;
const HEIGHT = 34;

/** What of the address is a filter of the list, and the parameter of the API it becomes. */
const FILTERS = { q: "q", service: "service", error: "error", min: "min_ms", max: "max_ms", root: "root", from: "from", to: "to", problems: "problems" };

function filters(query) {
  /** @type {Record<string, unknown>} */
  const parts = {};
  for (const [name, parameter] of Object.entries(FILTERS)) parts[parameter] = query.get(name);
  return parts;
}

export function open(main, first) {
  let query = first.query;
  let traces = [];
  let cursor = null;
  let answer = null;
  let waiting = new Set();
  let controller = null;
  let timer = 0;
  let lastLoad = 0;
  let more = false;
  let held = false;

  const search = searchField({ value: query.get("q") ?? "", label: "Search traces", placeholder: "service:payments status:error @duration:>100ms", onChange: (q) => route.change({ q }, { push: true }) });
  const services = el("select", { class: "field", "aria-label": "Service", onchange: () => route.change({ service: services.value }, { push: true }) });
  const errorsOnly = el("button", { class: "button", type: "button", "aria-pressed": "false", onclick: () => route.change({ error: query.get("error") ? null : "true" }, { push: true }) }, icon("error"), "Errors");
  const least = el("select", { class: "field", "aria-label": "Duration", onchange: () => route.change({ min: least.value }, { push: true }) },
    [["", "Any duration"], ["1", "≥ 1 ms"], ["10", "≥ 10 ms"], ["100", "≥ 100 ms"], ["500", "≥ 500 ms"], ["1000", "≥ 1 s"], ["5000", "≥ 5 s"]].map(([value, text]) => el("option", { value }, text)));
  const grouped = el("button", { class: "button", type: "button", title: "Group by resource", onclick: () => route.change({ group: query.get("group") ? null : "1" }, { push: true }) }, icon("repeat"), "Group");
  const pause = pauseButton();
  const summary = el("p", { class: "counts", "aria-live": "polite" });
  const figures = el("dl", { class: "figures" });
  const chart = timeline((from, to) => route.change({ from, to }, { push: true }));
  const range = el("button", { class: "button", type: "button", hidden: true, onclick: () => route.change({ from: null, to: null }, { push: true }) }, icon("close"), "Whole time");
  const newer = el("button", { class: "button main newer", type: "button", hidden: true, onclick: showNewer });
  const problem = el("div", { class: "note error", role: "alert", hidden: true });
  const sampled = el("div", { class: "note warn", hidden: true });
  const comparing = el("div", { class: "note", hidden: true }, "Choose the trace to compare with.", el("button", { class: "button", type: "button", onclick: () => route.change({ with: null }) }, "Cancel"));
  const head = el("div", { class: "grid-head trace-columns", "aria-hidden": "true" },
    ["Time", "Service", "Resource", "Duration", "Spans", "Services", ""].map((text, index) => el("span", { class: [3, 4].includes(index) ? "number" : "" }, text)));
  const list = grid({ label: "Traces", height: HEIGHT, render, openOnClick: true, onOpen, onEnd: loadMore });
  const body = el("div", { class: "list-body" }, head, list.node, newer);
  const nothing = el("div", { class: "scroll", hidden: true });

  fill(main,
    el("div", { class: "bar" }, el("h1", null, "Traces"), search.node, services, least, errorsOnly, grouped, pause.node),
    problem, sampled, comparing,
    el("div", { class: "overview" }, el("div", { class: "overview-text" }, summary, range, el("span", { class: "grow" }), figures), chart.node),
    body, nothing);

  list.node.addEventListener("pointerenter", () => { held = true; });
  list.node.addEventListener("pointerleave", () => { held = false; });
  const holds = () => held || list.node.scrollTop > 0 || document.activeElement === list.node;

  const stops = [
    stream.on("traces", () => schedule()),
    stream.on("cleared", () => load()),
    stream.on("reset", () => load()),
    frame.onStatus(showStatus),
    pause.stop,
  ];

  keyboard.pageKeys([
    ...list.keys("trace"),
    { key: "e", label: "Errors only", run: () => errorsOnly.click() },
    { key: "x", label: "Compare with another", run: () => { if (list.active >= 0) route.change({ with: traces[list.active].id }); } },
  ]);

  showFilters();
  load();

  /** Not more often than twice a second, but at once if it has been quiet. */
  function schedule() {
    if (timer) return;
    timer = setTimeout(() => { timer = 0; load({ live: true }); }, Math.max(0, lastLoad + 500 - Date.now()));
  }

  async function load({ live = false } = {}) {
    lastLoad = Date.now();
    controller?.abort();
    controller = new AbortController();
    const limit = live ? Math.min(1000, Math.max(PAGE, traces.length)) : PAGE;
    try {
      const next = await get("/api/traces", { ...filters(query), limit, buckets: 90 }, controller.signal);
      problem.hidden = true;
      search.wrong(null);
      take(next, live);
    } catch (error) {
      if (isAborted(error)) return;
      if (error.code === "bad_query") search.wrong(error.at ?? 0, error.message);
      fill(problem, icon("problems"), error.code === "bad_query" ? `Search: ${error.message}` : `The list could not be loaded: ${error.message}`);
      problem.hidden = false;
    }
  }

  function take(next, live) {
    answer = next;
    if (live && holds() && traces.length > 0) {
      // Rows stay under the pointer: known ones are brought up to date, others wait to be asked for.
      const incoming = new Map(next.traces.map((trace) => [trace.id, trace]));
      const known = new Set(traces.map((trace) => trace.id));
      traces = traces.map((trace) => incoming.get(trace.id) ?? trace);
      waiting = new Set([...incoming.keys()].filter((id) => !known.has(id)));
      list.refresh();
    } else {
      const activeId = traces[list.active]?.id;
      traces = next.traces;
      cursor = next.cursor;
      waiting = new Set();
      more = false;
      if (activeId === undefined) list.forget();
      list.setCount(traces.length);
      const index = traces.findIndex((trace) => trace.id === activeId);
      if (index >= 0 && index !== list.active) list.activate(index, { quiet: true });
    }
    newer.hidden = waiting.size === 0;
    newer.textContent = `${count(waiting.size)} new`;
    showSummary();
  }

  function showNewer() {
    list.node.scrollTop = 0;
    held = false;
    load();
  }

  async function loadMore() {
    if (!cursor || more || traces.length >= 20000) return;
    more = true;
    try {
      const next = await get("/api/traces", { ...filters(query), limit: PAGE, cursor });
      const known = new Set(traces.map((trace) => trace.id));
      traces = traces.concat(next.traces.filter((trace) => !known.has(trace.id)));
      cursor = next.cursor;
      more = false;
      list.setCount(traces.length);
    } catch {
      cursor = null;
    }
  }

  function filtered() {
    return Object.keys(FILTERS).some((name) => query.get(name));
  }

  function showSummary() {
    const none = traces.length === 0;
    fill(summary, el("strong", null, plural(answer.matched, "trace")),
      filtered() ? ` of ${count(answer.total)}` : null);
    const times = answer.duration;
    fill(figures, none || !times ? null : [["p50", times.p50], ["p95", times.p95], ["p99", times.p99]].map(([name, value]) =>
      el("div", null, el("dt", null, name), el("dd", null, duration(value)))));
    chart.show(none ? null : answer.timeline);
    const groups = !none && query.get("group") === "1";
    body.hidden = none || groups;
    nothing.hidden = !none && !groups;
    if (none) showEmpty();
    else if (groups) showGroups();
    range.hidden = !query.get("from");
    if (query.get("from")) fill(range, icon("close"), `${clock(query.get("from"))} – ${clock(query.get("to"))}`);
  }

  async function showGroups() {
    const { groups } = await import("../parts/groups.js");
    const node = await groups(filters(query));
    if (query.get("group")) fill(nothing, node);
  }

  async function showEmpty() {
    if (filtered() && answer.total > 0) {
      fill(nothing, el("div", { class: "empty", role: "status" }, icon("search", "large"), el("h2", null, "No trace matches"),
        el("p", null, `${plural(answer.total, "trace")} here, none with all of these filters.`),
        el("button", { class: "button", type: "button", onclick: () => route.go("/") }, "Clear the filters")));
      return;
    }
    const { empty, reasonsForNoTraces } = await import("../parts/empty.js");
    fill(nothing, empty({
      icon: "traces", title: "No traces yet",
      text: "A trace is one request on its way through your functions and services. Traces appear here the moment they are sent.",
      reasons: reasonsForNoTraces(frame.currentStatus()),
      snippets: ["#[ddtrace::trace]\nasync fn checkout(cart: Cart) -> Result<Receipt, Error> { … }", "fn main() {\n    let _ddtrace = ddtrace::init();\n    …\n}", "cargo ddtrace run"],
    }));
  }

  function showStatus(status) {
    const names = status.services ?? [];
    const chosen = query.get("service") ?? "";
    const all = chosen && !names.includes(chosen) ? [...names, chosen] : names;
    if (all.join("\n") !== services.dataset.names) {
      services.dataset.names = all.join("\n");
      fill(services, el("option", { value: "" }, "All services"), all.map((name) => el("option", { value: name }, name.slice(0, 80))));
    }
    services.value = chosen;
    const withheld = status.counts?.sampled_out_traces ?? 0;
    sampled.hidden = withheld === 0;
    if (withheld > 0) fill(sampled, icon("problems"), `${plural(withheld, "trace")} ${withheld === 1 ? "was" : "were"} sampled out before sending and can't be shown.`);
    if (answer && traces.length === 0) showEmpty();
  }

  function showFilters() {
    search.set(query.get("q") ?? "");
    set(errorsOnly, { "aria-pressed": query.get("error") ? "true" : "false" });
    set(grouped, { "aria-pressed": query.get("group") ? "true" : "false" });
    comparing.hidden = !query.get("with");
    least.value = query.get("min") ?? "";
    const status = frame.currentStatus();
    if (status) showStatus(status);
  }

  function onOpen(index, event) {
    const trace = traces[index];
    if (!trace || trace.evicted) return;
    const other = query.get("with");
    const address = other ? route.address("/compare", { a: other, b: trace.id }) : route.address(`/trace/${trace.id}`, { find: query.get("q") });
    if (event instanceof MouseEvent && (event.ctrlKey || event.metaKey)) window.open(address);
    else route.go(address);
  }

  function render(index) {
    const trace = traces[index];
    const root = trace.root;
    const scale = Math.max(1, answer?.duration?.p99 ?? trace.duration);
    const share = Math.min(1, trace.duration / scale);
    const bar = el("span", { class: `meter ${serviceClass(root.service)}` }, style(el("i"), { width: `${Math.max(1.5, share * 100)}%` }));
    const others = trace.services.filter((name) => name !== root.service).sort();
    const named = others.length > 2 ? 2 : others.length;
    return {
      attributes: { class: `trace-columns ${trace.errors ? "has-error" : ""} ${trace.evicted ? "gone" : ""}` },
      cells: [
        cell("time mono", el("time", { title: moment(trace.start) }, clock(trace.start, true))),
        cell("clip", badge.service(root.service)),
        cell("resource", badge.resource(root), badge.status(root.status),
          trace.root_missing ? el("span", { class: "badge warn" }, "root still missing") : null,
          trace.evicted ? el("span", { class: "badge" }, "spans gone") : null,
          trace.late ? el("span", { class: "badge", title: "Spans came more than ten seconds after the first" }, "late") : null,
          trace.matched !== null && trace.matched !== undefined ? el("span", { class: "faint small matched" }, plural(trace.matched, "match", "matches")) : null),
        cell("length", bar, el("span", { class: "number" }, duration(trace.duration))),
        cell("number", count(trace.spans)),
        cell("others", others.slice(0, named).map((name) => badge.service(name)), others.length > named ? el("span", { class: "faint", title: others.slice(named).join(", ") }, `+${others.length - named}`) : null),
        cell("marks", badge.errors(trace.errors), badge.problems(trace.problems, trace.worst)),
      ],
    };
  }

  return {
    update(next) {
      // Marking a trace for comparison changes nothing in the list.
      const same = [...Object.keys(FILTERS), "group"].every((name) => query.get(name) === next.query.get(name));
      query = next.query;
      showFilters();
      if (same) return true;
      traces = [];
      list.forget();
      list.node.scrollTop = 0;
      load();
      return true;
    },
    close() {
      clearTimeout(timer);
      controller?.abort();
      list.close();
      for (const stop of stops) stop();
    },
  };
}
