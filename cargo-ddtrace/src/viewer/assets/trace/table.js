/** The trace as a table: spans added up by what they are, sortable by each column. */

import { count, duration, percent } from "../data/format.js";
import { el, fill, set, user } from "../page/dom.js";
import * as badge from "../parts/badges.js";
import { totals } from "./model.js";

const KEYS = {
  resource: { title: "Resource", key: (trace, row) => `${trace.service[row]},${trace.name[row]},${trace.resource[row]}` },
  name: { title: "Operation", key: (trace, row) => `${trace.service[row]},${trace.name[row]}` },
  service: { title: "Service", key: (trace, row) => `${trace.service[row]}` },
  component: { title: "Component", key: (trace, row) => `${trace.component[row]}` },
};

/** @type {[string, string, (group: any) => any][]} */
const COLUMNS = [
  ["count", "Spans", (group) => count(group.count)],
  ["errors", "Errors", (group) => (group.errors ? el("span", { class: "bad" }, count(group.errors)) : "0")],
  ["sum", "Sum", (group) => duration(group.sum)],
  ["self", "Self", (group) => duration(group.self)],
  ["p95", "p95", (group) => duration(group.p95)],
  ["most", "Longest", (group) => duration(group.most)],
];

/** @param {{by: string, sort: string, onChange: (by: string, sort: string) => void, onSelect: (row: number) => void}} events */
export function table(trace, state, events) {
  let by = events.by in KEYS ? events.by : "resource";
  let sort = COLUMNS.some(([id]) => id === events.sort) ? events.sort : "self";
  const body = el("div", { class: "scroll" });
  const buttons = Object.entries(KEYS).map(([id, { title }]) => el("button", { class: "button", type: "button", "data-by": id, onclick: () => { by = id; draw(); events.onChange(by, sort); } }, title));
  const node = el("div", { class: "span-table" }, el("div", { class: "sub-bar" }, el("span", { class: "faint small" }, "Group by"), el("div", { class: "segments", role: "group", "aria-label": "Group by" }, buttons)), body);

  function draw() {
    for (const button of buttons) set(button, { "aria-pressed": String(button.dataset.by === by) });
    const all = trace.self_ns.reduce((sum, value) => sum + value, 0) || 1;
    const groups = totals(trace, (row) => KEYS[by].key(trace, row)).sort((a, b) => b[sort] - a[sort] || a.first - b.first);
    fill(body, el("table", { class: "plain-table" },
      el("thead", null, el("tr", null, el("th", { scope: "col" }, KEYS[by].title),
        COLUMNS.map(([id, title]) => el("th", { scope: "col", class: "number", "aria-sort": sort === id ? "descending" : "none" },
          el("button", { type: "button", onclick: () => { sort = id; draw(); events.onChange(by, sort); } }, title, sort === id ? " ↓" : ""))),
        el("th", { scope: "col", class: "number" }, "Share of self"))),
      el("tbody", null, groups.slice(0, 1000).map((group) => el("tr", null,
        el("td", null, label(group.first)),
        COLUMNS.map(([, , show]) => el("td", { class: "number" }, show(group))),
        el("td", { class: "number" }, percent(group.self / all)))))),
      groups.length > 1000 ? el("p", { class: "none" }, `${count(groups.length - 1000)} more rows with less are left out.`) : null);
  }

  function label(row) {
    const service = badge.service(trace.text("service", row));
    if (by === "service") return service;
    if (by === "component") return user(trace.text("component", row) || "(none)");
    const name = trace.text("name", row);
    const resource = trace.text("resource", row);
    return el("button", { class: "button plain row-link", type: "button", title: "Show the first in the waterfall", onclick: () => events.onSelect(row) },
      service, el("span", { class: "operation" }, user(name, 120)), by === "resource" && resource !== name ? el("span", { class: "span-resource clip" }, user(resource, 200)) : null);
  }

  draw();
  return { node, update: draw, close() {} };
}
