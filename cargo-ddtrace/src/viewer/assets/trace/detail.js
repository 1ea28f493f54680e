/** One span in full: what it was, its tags, events, links, what is wrong with it, and all as sent. */

import { get, isAborted } from "../data/api.js";
import { serviceClass } from "../data/colours.js";
import { clock, duration, moment, percent, term } from "../data/format.js";
import { el, fill, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import * as route from "../page/route.js";
import * as badge from "../parts/badges.js";
import { copy } from "../parts/empty.js";
import { problemList } from "../parts/problems.js";
import { table } from "../parts/table.js";
import { tabs } from "../parts/tabs.js";
import { none, pairs, text, tree } from "../parts/values.js";
import { FLAG } from "./model.js";
import { place, stackView } from "./stack.js";

/** Tags that the overview already says, or that only machines read. */
const ERROR_TAGS = ["error.type", "error.message", "error.msg", "error.stack"];

/**
 * @param {object} trace
 * @param {object} state
 * @param {{onClose: () => void, onRow: (row: number) => void, tab: () => string, onTab: (id: string) => void}} events
 */
export function detail(trace, state, events) {
  const node = el("aside", { class: "detail", "aria-label": "Span", hidden: true });
  let controller = null;
  let shown = -1;

  async function show(row) {
    if (row === shown) return;
    shown = row;
    controller?.abort();
    node.hidden = row < 0;
    if (row < 0) return;
    controller = new AbortController();
    try {
      const span = await get(`/api/traces/${trace.id}/spans/${trace.span[row]}`, { nth: nth(row) }, controller.signal);
      draw(row, span);
    } catch (error) {
      if (isAborted(error)) return;
      fill(node, header(row), el("p", { class: "none", role: "alert" }, `This span could not be loaded: ${error.message}`));
    }
  }

  /** Which of several spans with the same id this is. */
  function nth(row) {
    let before = 0;
    for (let other = 0; other < row; other++) if (trace.span[other] === trace.span[row]) before += 1;
    return before || null;
  }

  function header(row) {
    const service = trace.text("service", row);
    const resource = trace.text("resource", row);
    const name = trace.text("name", row);
    return el("header", { class: `detail-head ${serviceClass(service)}` },
      el("div", { class: "detail-title" },
        el("div", { class: "detail-where" }, badge.service(service), el("span", { class: "faint" }, user(name, 200))),
        el("h2", { class: "clip", title: resource }, user(resource || name))),
      el("button", { class: "button plain", type: "button", "aria-label": "Close the span", title: "Close (Esc)", onclick: events.onClose }, icon("close")));
  }

  function draw(row, span) {
    const tags = Object.keys(span.meta).length + Object.keys(span.metrics).length;
    const { nodes } = tabs({
      label: "Span details",
      chosen: events.tab(),
      onChoose: events.onTab,
      tabs: [
        { id: "overview", title: "Overview", draw: () => overview(row, span) },
        { id: "tags", title: "Tags", count: tags, draw: () => tagTable(span) },
        { id: "events", title: "Events", count: span.events.length, draw: () => eventList(span) },
        { id: "links", title: "Links", count: span.links.length, draw: () => linkList(span) },
        { id: "problems", title: "Problems", count: span.problems.length, draw: () => problemList(span.problems, "Nothing is wrong with this span.") },
        { id: "raw", title: "Raw", draw: () => raw(span) },
      ],
    });
    fill(node, header(row), nodes);
  }

  function overview(row, span) {
    const flags = trace.flags[row];
    const meta = span.meta;
    const gapList = state.gaps.get(row) ?? [];
    const parent = trace.parent[row];
    const critical = (state.criticalRows.get(row) ?? []).reduce((sum, part) => sum + part.to - part.from, 0);
    const file = meta["_dd.code_origin.frames.0.file"] ?? meta["code.filepath"] ?? meta["code.file.path"];
    const line = meta["_dd.code_origin.frames.0.line"] ?? meta["code.lineno"] ?? meta["code.line.number"] ?? span.metrics["code.lineno"] ?? "";
    return [
      errorBlock(span),
      pairs([
        ["Duration", el("span", null, el("strong", null, duration(span.duration)), el("span", { class: "faint" }, ` · ${percent(trace.length[row] / trace.total)} of the trace`))],
        ["Self time", el("span", null, duration(span.self), el("span", { class: "faint" }, trace.length[row] > 0 ? ` · ${percent(span.self / trace.length[row])} not in children` : ""))],
        critical > 0 ? ["Critical path", el("span", null, duration(critical), el("span", { class: "faint" }, " of it decide when the trace ends"))] : null,
        ["Start", el("span", null, moment(span.start), el("span", { class: "faint" }, ` · +${duration(trace.offset[row])}`))],
        ["Service", badge.service(span.service)],
        ["Operation", span.name, span.name],
        ["Resource", span.resource, span.resource],
        span.type ? ["Type", span.type, span.type] : null,
        trace.text("kind", row) ? ["Kind", trace.text("kind", row)] : null,
        trace.text("component", row) ? ["Component", trace.text("component", row)] : null,
        trace.text("peer", row) ? ["Calls", trace.text("peer", row)] : null,
        file ? ["Source", place(file, line)] : null,
        ["Parent", parent >= 0
          ? el("button", { class: "button plain link", type: "button", onclick: () => events.onRow(parent) }, user(trace.text("resource", parent) || trace.text("name", parent), 80))
          : span.parent && span.parent !== "0" ? el("span", { class: "warn-text" }, `${span.parent}, which is not in this trace`) : "none: this is a root"],
        ["Span id", el("code", null, span.span), span.span],
        ["Received", el("span", null, clock(span.received, true), " in ", el("a", { href: `/requests/${span.request}` }, `request ${span.request}`), el("span", { class: "faint" }, `, chunk ${span.chunk}, span ${span.index}`))],
      ].filter(Boolean)),
      flags & FLAG.follows ? el("p", { class: "hint" }, "This span outlives its parent: nobody waited for it, so it is not on the critical path.") : null,
      flags & FLAG.cancelled ? el("p", { class: "hint warn" }, "Its future was dropped before it was done.") : null,
      gapList.length > 0 ? [el("h3", null, "Not covered by children"), el("ul", { class: "gap-list" }, gapList.map((gap) => el("li", null,
        el("strong", null, duration(gap.to - gap.from)), el("span", { class: "faint" }, ` from +${duration(gap.from - trace.offset[row])}`)))),
      el("p", { class: "hint" }, "Nothing says what happened in there. Put #[trace] on the functions that run in it.")] : null,
      span.normalised.length > 0 ? [el("h3", null, "As an Agent would store it"), table(["Field", "Sent", "Stored"], span.normalised.map((change) =>
        [user(change.field), el("del", null, user(change.sent)), [user(change.stored), el("div", { class: "faint small wrap" }, change.why)]]))] : null,
    ];
  }

  function errorBlock(span) {
    const type = span.meta["error.type"];
    const message = span.meta["error.message"] ?? span.meta["error.msg"];
    const stack = span.meta["error.stack"];
    if (!span.error && !type && !message) return null;
    return el("section", { class: "error-block", "aria-label": "Error" },
      el("div", { class: "error-title" }, icon("error"), el("strong", null, user(type || "Error"))),
      message ? el("p", { class: "error-message" }, text(message)) : el("p", { class: "faint" }, "No message was sent."),
      stack ? stackView(stack) : null);
  }

  function tagTable(span) {
    const groups = new Map();
    const add = (key, value, raw) => {
      const group = /^_/.test(key) ? "_dd and internal" : key.includes(".") ? key.slice(0, key.indexOf(".")) : "general";
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push([key, value, raw]);
    };
    for (const key of Object.keys(span.meta).sort()) {
      const value = span.meta[key];
      const decoded = span.decoded[key];
      if (ERROR_TAGS.includes(key) && key === "error.stack") add(key, el("pre", null, text(value)), value);
      else add(key, decoded !== undefined ? tree(decoded) : value, value);
    }
    for (const key of Object.keys(span.metrics).sort()) add(key, el("span", { class: "metric" }, text(span.metrics[key])), String(span.metrics[key]));
    const order = [...groups.keys()].sort((a, b) => (a.startsWith("_") ? 1 : 0) - (b.startsWith("_") ? 1 : 0) || a.localeCompare(b));
    const find = (name, value) => route.go(route.address("/", { q: `@${name}:${term(value)}` }));
    const body = el("div");
    const filter = el("input", { class: "field", type: "text", placeholder: "Filter tags", "aria-label": "Filter tags", spellcheck: "false", oninput: () => list() });
    function list() {
      const wanted = filter.value.toLowerCase();
      const parts = order.map((group) => [group, groups.get(group).filter(([name, , raw]) => !wanted || name.toLowerCase().includes(wanted) || raw.toLowerCase().includes(wanted))])
        .filter(([, entries]) => entries.length > 0);
      fill(body, parts.length === 0 ? none("No tag matches.") : parts.map(([group, entries]) => [el("h3", null, user(group, 60)), pairs(entries, find)]));
    }
    list();
    const structs = Object.entries(span.meta_struct);
    return [el("div", { class: "tag-filter" }, filter, el("button", { class: "button", type: "button", onclick: () => copy(JSON.stringify({ ...span.meta, ...span.metrics }, null, 2), "Tags copied") }, icon("copy"), "All")),
      body, structs.length > 0 ? [el("h3", null, "Structured"), structs.map(([key, value]) => tree(value, key))] : null];
  }

  function eventList(span) {
    if (span.events.length === 0) return none("No events. An event is a moment in a span with attributes: a retry, a caught exception.");
    const start = BigInt(span.start);
    return el("ol", { class: "events" }, span.events.map((event) => el("li", null,
      el("div", { class: "event-head" }, el("strong", null, user(event.name)), el("span", { class: "faint" }, `+${duration(Number(BigInt(event.time) - start))} · ${clock(event.time, true)}`)),
      event.attributes["exception.stacktrace"] ? stackView(String(event.attributes["exception.stacktrace"])) : null,
      pairs(Object.entries(event.attributes).filter(([key]) => key !== "exception.stacktrace").map(([key, value]) => [key, typeof value === "object" ? tree(value) : String(value), typeof value === "object" ? JSON.stringify(value) : String(value)])))));
  }

  function linkList(span) {
    if (span.links.length === 0) return none("No links. A link names another span that this one follows from, in this trace or another.");
    return el("ol", { class: "events" }, span.links.map((link) => el("li", null,
      el("div", { class: "event-head" }, el("a", { href: `/trace/${encodeURIComponent(link.trace)}?span=${encodeURIComponent(link.span)}` }, link.trace === trace.id ? "In this trace" : "In another trace")),
      pairs([["Trace", el("code", null, user(link.trace)), link.trace], ["Span", el("code", null, user(link.span)), link.span],
        ...(link.tracestate ? [["tracestate", link.tracestate, link.tracestate]] : []), ...(link.flags ? [["flags", String(link.flags), String(link.flags)]] : []),
        ...Object.entries(link.attributes).map(([key, value]) => [key, String(value), String(value)])]))));
  }

  function raw(span) {
    return [el("div", { class: "tag-filter" }, el("button", { class: "button", type: "button", onclick: () => copy(JSON.stringify(span, null, 2), "Span copied") }, icon("copy"), "Copy as JSON")),
      el("div", { class: "json" }, tree(span, null, 2))];
  }

  return { node, show, get row() { return shown; }, close() { controller?.abort(); } };
}
