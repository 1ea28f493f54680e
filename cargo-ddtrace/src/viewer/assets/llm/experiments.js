/** Experiments and datasets that were made at this agent. */

import { clock, count, moment, plural } from "../data/format.js";
import { el, fill, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import { table } from "../parts/table.js";
import { comesTo } from "./evaluations.js";

export function load(get) {
  return get("/api/llm/experiments");
}

const STATES = { completed: ["check", "good"], failed: ["error", "error"], interrupted: ["pause", "warn"], running: ["play", ""] };

export function state(experiment) {
  const [sign, kind] = STATES[experiment.status] ?? ["play", ""];
  return el("span", { class: `badge ${kind}`, title: experiment.error || experiment.status }, icon(sign), user(experiment.status || "begun", 20));
}

export function draw(body, { experiments, datasets }) {
  fill(body, el("div", { class: "scroll llm-page" },
    experiments.length === 0 && datasets.length === 0 ? [el("p", { class: "soft facts" }, "No dataset and no experiment was made here. They need no account: what the library asks of Datadog's back end, this agent answers."), el("pre", null, "Experiment::builder(\"prompt 3\", dataset, task).evaluator(exact_match).run().await?;")] : null,
    experiments.length ? [el("h2", null, plural(experiments.length, "experiment")), el("div", { class: "table-scroll" }, table(["", "Experiment", "Dataset", "Evaluations", "Rows", "Errors", "Made"], experiments.map((one) => [
      state(one), [el("a", { class: "main-link", href: `/llm/experiment/${encodeURIComponent(one.id)}` }, user(one.name, 100)), el("div", { class: "faint" }, user(one.project, 60), one.runs > 1 ? ` · ${one.runs} runs` : "")],
      one.dataset ? [user(one.dataset, 80), el("span", { class: "faint" }, ` v${one.dataset_version}`)] : "–",
      el("div", { class: "llm-marks" }, [...one.labels, ...one.summary].slice(0, 6).map((label) => [el("span", { class: "faint" }, user(label.label, 40)), comesTo(label)])),
      count(one.rows), one.errors ? el("span", { class: "bad" }, count(one.errors)) : "0", clock(one.created)]), { numbers: 4 }))] : null,
    datasets.length ? [el("h2", null, plural(datasets.length, "dataset")), el("div", { class: "table-scroll" }, table(["Dataset", "Project", "Records", "Version", "Made"], datasets.map((one) => [
      [el("strong", null, user(one.name, 100)), one.description ? el("div", { class: "faint" }, user(one.description, 200)) : null], user(one.project, 60), count(one.records), String(one.version), moment(one.created).slice(0, 19)]), { numbers: 2 }))] : null));
}
