/** One experiment: a row per record, a column per run, and marks where runs differ. */

import { count, duration, moment } from "../data/format.js";
import { el, fill, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import * as route from "../page/route.js";
import { tree } from "../parts/values.js";
import { comesTo } from "./evaluations.js";
import { state } from "./experiments.js";
import { facts, verdict } from "./parts.js";

export function load(get, query, id) {
  return get(`/api/llm/experiments/${encodeURIComponent(id)}`);
}

export function tools(one) {
  return [el("h1", { class: "clip" }, user(one.name, 100)), state(one), el("span", { class: "grow" })];
}

const short = (value) => (value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value));

export function draw(body, one) {
  const records = new Map();
  one.list.forEach((row, at) => {
    const key = row.record || `row ${at}`;
    if (!records.has(key)) records.set(key, []);
    records.get(key).push(row);
  });
  const runs = Math.max(1, ...[...records.values()].map((list) => list.length));
  const rows = [...records.values()];
  // What differs between runs, and what failed, comes first: it is what one looks for.
  const differs = (list) => new Set(list.map((row) => short(row.output))).size > 1;
  const isBad = (list) => list.some((row) => row.error || row.evaluations.some((evaluation) => evaluation.assessment === "fail" || evaluation.value === false));
  rows.sort((a, b) => Number(isBad(b)) - Number(isBad(a)) || Number(differs(b)) - Number(differs(a)));
  const cell = (row, list) => (row ? el("td", { class: row.error ? "is-bad" : null },
    row.error ? el("div", { class: "bad" }, icon("error"), " ", user(row.error_text, 300)) : el("div", { class: "llm-cell" }, user(short(row.output), 600)),
    el("div", { class: "llm-marks" }, row.evaluations.map(verdict)),
    el("div", { class: "faint" }, duration(row.duration), " ", el("a", { class: "main-link", href: route.address(`/llm/${encodeURIComponent(row.trace)}`, { span: row.span }) }, "trace"), " ",
      list.length > 1 && differs(list) && short(row.output) !== short(list[0].output) ? el("span", { class: "badge warn" }, "≠ run 1") : null)) : el("td", null, "–"));
  fill(body,
    facts([["Rows", count(rows.length)], ["Runs", one.runs > 1 ? String(one.runs) : null], ["Errors", one.errors ? el("span", { class: "bad" }, count(one.errors)) : "0"], ["Dataset", one.dataset ? `${one.dataset.slice(0, 60)} v${one.dataset_version}` : null], ["Project", user(one.project, 60)], ["Made", moment(one.created).slice(0, 19)],
      ...[...one.labels, ...one.summary].slice(0, 8).map((label) => [label.label.slice(0, 40), comesTo(label)])]),
    el("div", { class: "scroll llm-page" },
      one.error ? el("div", { class: "error-block" }, user(one.error, 2000)) : null,
      one.config && Object.keys(one.config).length ? el("details", { class: "llm-fold" }, el("summary", null, icon("right"), "Configuration"), el("div", { class: "json" }, tree(one.config, null, 2))) : null,
      rows.length === 0 ? el("p", { class: "soft" }, "No row has come.") : el("div", { class: "table-scroll" }, el("table", { class: "plain-table llm-experiment" },
        el("thead", null, el("tr", null, el("th", { scope: "col" }, "Input"), el("th", { scope: "col" }, "Expected"), Array.from({ length: runs }, (_, at) => el("th", { scope: "col" }, runs > 1 ? `Run ${at + 1}` : "Output")))),
        el("tbody", null, rows.map((list) => el("tr", null, el("td", null, el("div", { class: "llm-cell" }, user(short(list[0].input), 600))), el("td", null, el("div", { class: "llm-cell" }, user(short(list[0].expected), 600))),
          Array.from({ length: runs }, (_, at) => cell(list[at], list))))))),
      one.more ? el("p", { class: "soft" }, `${count(one.more)} more rows are not shown.`) : null));
}
