/** Two traces side by side (`/compare?a=…&b=…`): what one has and the other has not, and where time went. */

import { get } from "../data/api.js";
import { register, serviceClass } from "../data/colours.js";
import { duration, moment, significant } from "../data/format.js";
import { el, fill, set, style, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import * as keyboard from "../page/keyboard.js";
import * as route from "../page/route.js";
import * as badge from "../parts/badges.js";
import { cell, grid } from "../parts/grid.js";
import { merge } from "../trace/compare.js";
import * as model from "../trace/model.js";

export function open(main, first) {
  let query = first.query;
  let nodes = [];
  let shown = [];
  let scale = 1;
  const head = el("div", { class: "grid-head compare-columns", "aria-hidden": "true" }, ["Span", "A", "B", "Difference", "Spans"].map((text, index) => el("span", { class: index > 0 ? "number" : "" }, text)));
  const list = grid({ label: "Both traces", role: "treegrid", height: 30, render });
  const facts = el("div", { class: "trace-facts" });
  const self = el("button", { class: "button", type: "button", onclick: () => route.change({ self: query.get("self") ? null : "1" }) }, "Self time");
  const different = el("button", { class: "button", type: "button", onclick: () => route.change({ different: query.get("different") ? null : "1" }) }, "Only differences");
  const equal = el("p", { class: "note", role: "status", hidden: true }, "These traces have the same spans, and no duration differs by more than a tenth.");
  const body = el("div", { class: "list-body" }, equal, head, list.node);
  fill(main, el("header", { class: "bar" }, el("a", { class: "button plain", href: "/", "aria-label": "All traces" }, icon("back")), el("h1", null, "Two traces compared"), el("span", { class: "grow" }), self, different,
    el("button", { class: "button", type: "button", onclick: () => route.change({ a: query.get("b"), b: query.get("a") }) }, "Swap")), facts, body);
  keyboard.pageKeys([
    ...list.keys("row", ""),
    { key: "Escape", label: "All traces", run: () => route.go("/") },
  ]);
  load();

  async function load() {
    try {
      const pair = await Promise.all(["a", "b"].map((side) => get(`/api/traces/${encodeURIComponent(query.get(side) ?? "")}`)));
      const traces = pair.map(model.read);
      register(traces.flatMap((trace) => trace.summary.services));
      nodes = merge(traces);
      fill(facts, traces.map((trace, index) => el("div", { class: "fact" }, el("span", { class: "badge" }, "AB"[index]), el("a", { href: `/trace/${trace.id}` }, user(trace.summary.root.resource || trace.id, 80)),
        el("strong", null, duration(trace.summary.duration)), el("span", { class: "faint" }, moment(trace.start)))));
      draw();
    } catch (error) {
      fill(body, el("div", { class: "empty", role: "alert" }, el("h2", null, "These traces can't be compared"), el("p", null, error.message), el("a", { href: "/" }, "All traces")));
    }
  }

  const timeOf = (side) => (query.get("self") ? side.self : side.time);
  const missing = (node) => node.sides.findIndex((side) => side.count === 0);
  const differs = (node) => missing(node) >= 0 || node.sides[0].count !== node.sides[1].count || Math.abs(timeOf(node.sides[1]) - timeOf(node.sides[0])) > 0.1 * Math.max(...node.sides.map(timeOf));

  function draw() {
    set(self, { "aria-pressed": String(query.get("self") === "1") });
    set(different, { "aria-pressed": String(query.get("different") === "1") });
    const keep = new Set();
    if (query.get("different")) nodes.forEach((node, index) => { if (differs(node)) for (let at = index; at >= 0; at = nodes[at].parent) keep.add(at); });
    shown = query.get("different") ? nodes.filter((_, index) => keep.has(index)) : nodes;
    scale = Math.max(1, ...nodes.map((node) => Math.abs(timeOf(node.sides[1]) - timeOf(node.sides[0]))));
    equal.hidden = shown.length > 0;
    list.setCount(shown.length);
  }

  function render(index) {
    const node = shown[index];
    const [a, b] = node.sides;
    const change = timeOf(b) - timeOf(a);
    const only = missing(node);
    const share = 50 * Math.abs(change) / scale;
    return {
      attributes: { class: `compare-columns ${serviceClass(node.service)} ${only >= 0 ? "lone" : ""}`, "aria-level": node.level },
      cells: [
        style(cell("tree", el("span", { class: "indent" }), badge.service(node.service), el("span", { class: "clip span-name", title: node.resource }, el("span", { class: "operation" }, user(node.name, 120)), " ",
          node.resource !== node.name ? el("span", { class: "span-resource" }, user(node.resource, 200)) : null),
        only >= 0 ? el("span", { class: "badge warn" }, only === 0 ? "only in B" : "only in A") : null, b.errors + a.errors > 0 ? el("span", { class: "badge error" }, `✖ ${a.errors} → ${b.errors}`) : null), { "--indent": `${Math.min(20, node.level - 1) * 14}px` }),
        cell("number", a.count ? duration(timeOf(a)) : "–"),
        cell("number", b.count ? duration(timeOf(b)) : "–"),
        cell("change", el("span", { class: "change-bar", "aria-hidden": "true" }, style(el("i", { class: change > 0 ? "slower" : "faster" }), { left: `${change > 0 ? 50 : 50 - share}%`, width: `${share}%` })),
          el("span", { class: "number" }, change === 0 ? "same" : `${change > 0 ? "+" : ""}${duration(change)}`, a.count && b.count && timeOf(a) > 0 && change !== 0 ? el("span", { class: "faint" }, ` × ${significant(timeOf(b) / timeOf(a))}`) : null)),
        cell("number", a.count === b.count ? String(a.count) : `${a.count} → ${b.count}`),
      ],
    };
  }

  return {
    update(next) {
      const [a, b] = [query.get("a"), query.get("b")];
      query = next.query;
      if (query.get("a") !== a || query.get("b") !== b) load();
      else draw();
      return true;
    },
    close() { list.close(); },
  };
}
