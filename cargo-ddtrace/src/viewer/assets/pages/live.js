/** Live (`/live`): a tail of what comes in, root spans, errors and problems, newest last. */

import { get } from "../data/api.js";
import { register, serviceClass } from "../data/colours.js";
import { clock, duration } from "../data/format.js";
import * as stream from "../data/stream.js";
import { el, fill, set, user } from "../page/dom.js";
import * as frame from "../page/frame.js";
import { icon } from "../page/icons.js";
import * as keyboard from "../page/keyboard.js";
import * as route from "../page/route.js";
import * as badge from "../parts/badges.js";
import { empty, reasonsForNoTraces } from "../parts/empty.js";
import { cell, grid } from "../parts/grid.js";
import { pauseButton } from "../parts/pause.js";
import { level } from "../parts/problems.js";

const KEPT = 2000;
const KINDS = [["traces", "Traces"], ["errors", "Errors"], ["problems", "Problems"], ["requests", "Requests"]];

export function open(main, first) {
  let query = first.query;
  /** @type {{kind: string, key: string, time: string, service: string, text: string, trace?: any, group?: any, request?: any}[]} */
  let all = [];
  let shown = [];
  const known = new Map();
  const kinds = el("div", { class: "segments", role: "group", "aria-label": "What is shown" }, KINDS.map(([id, title]) =>
    el("button", { class: "button", type: "button", "data-kind": id, onclick: () => { const on = chosen(); if (on.has(id)) on.delete(id); else on.add(id); route.change({ show: [...on].join(",") || "none" }); } }, title)));
  const filter = el("input", { class: "field", type: "search", placeholder: "Filter by text", "aria-label": "Filter", value: query.get("q") ?? "", spellcheck: "false", oninput: () => route.change({ q: filter.value }) });
  const pause = pauseButton();
  const list = grid({ label: "Live", height: 28, render, openOnClick: true, onOpen });
  const follow = el("button", { class: "button main newer", type: "button", hidden: true, onclick: () => bottom() }, "Newest");
  const body = el("div", { class: "list-body live-body" }, list.node, follow);
  const nothing = el("div", { class: "scroll" });
  fill(main, el("div", { class: "bar" }, el("h1", null, "Live"), el("div", { class: "search" }, icon("search"), filter), kinds, pause.node), body, nothing);

  const chosen = () => new Set((query.get("show") ?? "traces,errors,problems").split(",").filter((id) => KINDS.some(([known]) => known === id)));
  const atBottom = () => list.node.scrollTop + list.node.clientHeight >= list.node.scrollHeight - 40;

  function add(entry) {
    const before = known.get(entry.key);
    if (before) {
      Object.assign(before, entry, { time: before.time });
      return;
    }
    known.set(entry.key, entry);
    all.push(entry);
    if (all.length > KEPT) for (const old of all.splice(0, all.length - KEPT)) known.delete(old.key);
  }

  function take(traces) {
    register(traces.flatMap((trace) => trace.services));
    for (const trace of [...traces].sort((a, b) => (a.start < b.start ? -1 : 1))) {
      add({ kind: trace.errors > 0 ? "errors" : "traces", key: trace.id, time: trace.start, service: trace.root.service, text: `${trace.root.method} ${trace.root.resource} ${trace.root.status} ${trace.root.name}`, trace });
    }
  }

  const stops = [
    stream.on("traces", ({ traces }) => {
      take(traces);
      draw();
    }),
    stream.on("problems", ({ groups }) => {
      for (const group of groups) add({ kind: "problems", key: `${group.rule} ${group.count}`, time: group.last, service: "", text: `${group.rule} ${group.sentence}`, group });
      draw();
    }),
    stream.on("requests", ({ requests }) => {
      for (const request of [...requests].sort((a, b) => a.n - b.n)) add({ kind: "requests", key: `request ${request.n}`, time: request.time, service: "", text: `${request.method} ${request.path} ${request.status}`, request });
      draw();
    }),
    stream.on("reset", latest),
    stream.on("cleared", () => { all = []; known.clear(); draw(); }),
    frame.onStatus(() => { if (all.length === 0) draw(); }),
    pause.stop,
  ];
  list.node.addEventListener("scroll", () => { follow.hidden = atBottom(); });
  keyboard.pageKeys([
    ...list.keys("line"),
    { key: "End", label: "Newest", run: () => bottom() },
  ]);
  draw();
  latest();

  /** What came last is there to begin with, and after a pause, so that the page says something at once. */
  async function latest() {
    const { traces } = await get("/api/traces", { limit: 50 }).catch(() => ({ traces: [] }));
    const others = all.splice(0);
    known.clear();
    take(traces);
    for (const entry of others) add(entry);
    all.sort((a, b) => a.time.length - b.time.length || (a.time < b.time ? -1 : 1));
    draw();
    bottom();
  }

  function bottom() {
    list.node.scrollTop = list.node.scrollHeight;
    follow.hidden = true;
  }

  function draw() {
    const stick = atBottom();
    const on = chosen();
    const wanted = (query.get("q") ?? "").toLowerCase();
    for (const button of kinds.querySelectorAll("button")) set(button, { "aria-pressed": String(on.has(button.dataset.kind)) });
    shown = all.filter((entry) => (on.has(entry.kind) || (entry.kind === "errors" && on.has("traces"))) && (!wanted || `${entry.service} ${entry.text}`.toLowerCase().includes(wanted)));
    body.hidden = shown.length === 0;
    nothing.hidden = shown.length > 0;
    if (shown.length === 0) {
      const seen = frame.currentStatus()?.counts?.traces ?? 0;
      fill(nothing, empty({
        icon: "live", title: all.length > 0 ? "Nothing matches" : "Waiting",
        text: all.length > 0 ? "Lines have come, but none of the chosen kinds with this text." : "Every trace, error and problem appears here as it comes in.",
        reasons: all.length > 0 ? [] : reasonsForNoTraces(frame.currentStatus()),
        snippets: seen > 0 ? [] : ["cargo ddtrace run --example shop"],
      }));
      return;
    }
    list.setCount(shown.length);
    if (stick) bottom();
  }

  function render(index) {
    const entry = shown[index];
    const time = cell("time mono", clock(entry.time, true));
    if (entry.trace) {
      const { root } = entry.trace;
      return { attributes: { class: `live-columns ${serviceClass(entry.service)} ${entry.trace.errors ? "has-error" : ""}` }, cells: [
        time, cell("clip", badge.service(root.service)), cell("resource", badge.resource(root), badge.status(root.status)),
        cell("number", duration(entry.trace.duration)), cell("marks", badge.errors(entry.trace.errors), badge.problems(entry.trace.problems, entry.trace.worst)),
      ] };
    }
    if (entry.group) {
      return { attributes: { class: "live-columns" }, cells: [time, cell("clip", level(entry.group.level)), cell("clip", user(entry.group.sentence)), cell("number", `× ${entry.group.count}`), cell("marks", el("code", { class: "faint clip" }, user(entry.group.rule)))] };
    }
    return { attributes: { class: "live-columns" }, cells: [time, cell("clip faint", "request"), cell("resource", el("span", { class: "method" }, user(entry.request.method)), el("span", { class: "clip" }, user(entry.request.path)), badge.status(String(entry.request.status))), cell("number", ""), cell("marks", "")] };
  }

  function onOpen(index) {
    const entry = shown[index];
    if (entry.trace) route.go(`/trace/${entry.trace.id}`);
    else if (entry.group) route.go(`/problems?rule=${encodeURIComponent(entry.group.rule)}`);
    else route.go(`/requests/${entry.request.n}`);
  }

  return {
    update(next) {
      query = next.query;
      if (filter.value !== (query.get("q") ?? "")) filter.value = query.get("q") ?? "";
      draw();
      return true;
    },
    close() {
      list.close();
      for (const stop of stops) stop();
    },
  };
}
