/** Evaluations: what each label comes to, and the newest of them. */

import { clock, count, percent, plural, significant } from "../data/format.js";
import { el, fill, user } from "../page/dom.js";
import * as route from "../page/route.js";
import { table } from "../parts/table.js";
import { kind, verdict } from "./parts.js";

export function load(get, query) {
  return get("/api/llm/evaluations", { label: query.get("label") });
}

/** What the values of a label come to. */
export function comesTo(label) {
  if (label.mean !== null) return `mean ${significant(label.mean)}`;
  const values = Object.entries(label.values).sort((a, b) => b[1] - a[1]).slice(0, 4);
  return values.map(([value, number]) => el("span", { class: "badge" }, user(value, 40), ` ${percent(number / label.count)}`));
}

export function draw(body, data, query) {
  const chosen = query.get("label");
  fill(body, el("div", { class: "scroll llm-page" }, data.total === 0
    ? [el("p", { class: "soft facts" }, "No evaluation has come. They are joined with spans by their ids, or by a tag."), el("pre", null, 'llmobs::submit_evaluation("helpful", MetricType::Score(0.9), Target::span(&exported), Options::default())?;')]
    : [el("p", { class: "soft facts" }, el("strong", null, plural(data.total, "evaluation")), chosen ? [" · ", el("button", { class: "button plain chip", type: "button", onclick: () => route.change({ label: null }) }, "label: ", user(chosen, 60), " ×")] : null),
      el("div", { class: "table-scroll" }, table(["Label", "Type", "Comes to", "Number", "Passed", "Failed", "Errors"], data.labels.map((label) => [
        el("button", { class: "button plain link", type: "button", onclick: () => route.change({ label: label.label }) }, user(label.label, 80)), user(label.type, 20), comesTo(label), count(label.count), count(label.passed),
        label.failed ? el("span", { class: "bad" }, count(label.failed)) : "0", count(label.errors)]), { numbers: 3, chosen: data.labels.findIndex((label) => label.label === chosen) })),
      el("h2", null, "Newest"),
      el("div", { class: "table-scroll" }, table(["Time", "Evaluation", "Of", "Reasoning"], data.evaluations.map((one) => [
        el("span", { class: "faint" }, clock(one.time)), [verdict(one), one.event === "feedback" ? el("div", { class: "faint" }, "feedback", one.submitter ? [" by ", user(one.submitter, 60)] : null) : null],
        one.of ? [kind(one.of.kind), " ", el("a", { class: "main-link", href: route.address(`/llm/${encodeURIComponent(one.of.trace)}`, { span: one.of.span }) }, user(one.of.name, 80))]
          : one.tag ? ["spans with ", el("code", null, user(one.tag, 80))] : one.session ? el("a", { class: "main-link", href: `/llm/session/${encodeURIComponent(one.session)}` }, "session ", user(one.session, 60)) : el("span", { class: "faint" }, "a span that is not here"),
        el("span", { class: "soft" }, user(one.reasoning || one.error || "", 500))])))]));
}
