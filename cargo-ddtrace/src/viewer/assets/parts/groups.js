/** The list of traces by what their roots are: how many, how many failed, how long they take. */

import { get } from "../data/api.js";
import { ago, count, duration, percent, term } from "../data/format.js";
import { el } from "../page/dom.js";
import * as route from "../page/route.js";
import * as badge from "./badges.js";
import { table } from "./table.js";

const MOST = 1000;

/** @param {Record<string, unknown>} filters of the list @returns {Promise<HTMLElement>} */
export async function groups(filters) {
  const answer = await get("/api/traces", { ...filters, limit: MOST });
  const found = new Map();
  for (const trace of answer.traces) {
    const key = `${trace.root.service}\n${trace.root.name}\n${trace.root.resource}`;
    let group = found.get(key);
    if (!group) found.set(key, group = { root: trace.root, last: trace.start, errors: 0, times: [] });
    group.times.push(trace.duration);
    if (trace.errors > 0) group.errors += 1;
  }
  const rows = [...found.values()].sort((a, b) => b.times.length - a.times.length);
  for (const row of rows) row.times.sort((a, b) => a - b);
  const at = (times, share) => times[Math.min(times.length - 1, Math.floor(times.length * share))];
  return el("div", { class: "scroll groups" },
    answer.matched > MOST ? el("p", { class: "note" }, `The newest ${count(MOST)} of ${count(answer.matched)} traces, grouped.`) : null,
    table(["Service", "Resource", "Traces", "With errors", "p50", "p95", "Longest", "Last"], rows.map(({ root, times, errors, last }) => [
      badge.service(root.service),
      el("a", { class: "group-resource", href: route.address("/", { q: `root(service:${term(root.service)} resource_name:${term(root.resource)})` }) }, badge.resource(root)),
      count(times.length), errors ? el("span", { class: "bad" }, `${count(errors)} (${percent(errors / times.length)})`) : "0",
      duration(at(times, 0.5)), duration(at(times, 0.95)), duration(times[times.length - 1]), ago(last)]), { numbers: 2 }),
    rows.length === 0 ? el("p", { class: "none" }, "No trace matches.") : null);
}
