/** Small parts of the LLM pages: kinds, tokens, cost, what evaluators said. */

import { count, significant } from "../data/format.js";
import { el, user } from "../page/dom.js";
import { icon } from "../page/icons.js";

/** Sign of each kind; the word stands beside it. */
const KINDS = { llm: "spark", embedding: "spark", agent: "agent", workflow: "map", tool: "sliders", task: "check", retrieval: "search", experiment: "flask" };

export function kind(name) {
  return el("span", { class: `llm-kind kind-${KINDS[name] ? name : "other"}` }, icon(KINDS[name] ?? "traces"), user(name || "span", 20));
}

/** Dollars: `$0.011`; `≈` where it is reckoned from list prices. */
export function cost(of) {
  if (!of) return "–";
  const text = of.usd === 0 ? "$0" : of.usd < 0.0001 ? "<$0.0001" : of.usd < 1 ? `$${Number(of.usd.toPrecision(3))}` : `$${of.usd.toFixed(2)}`;
  return el("span", { title: of.estimated ? "reckoned from tokens and list prices" : "as the provider said" }, of.estimated ? `≈ ${text}` : text);
}

/** `1,902 → 238` tokens. */
export function tokens(sums) {
  if (!sums.input_tokens && !sums.output_tokens && !sums.total_tokens) return "–";
  return el("span", { title: `${count(sums.input_tokens)} tokens in, ${count(sums.output_tokens)} out, ${count(sums.total_tokens)} in all` },
    count(sums.input_tokens), el("span", { class: "faint" }, " → "), count(sums.output_tokens));
}

/** The value of an evaluation as a short text. */
export function value(evaluation) {
  if (evaluation.error) return "failed";
  const of = evaluation.value;
  if (typeof of === "number") return significant(of);
  return of === null || of === undefined ? "–" : typeof of === "string" ? of : JSON.stringify(of);
}

/** An evaluation: its label, its value, whether it passed; never by colour alone. */
export function verdict(evaluation) {
  const passed = evaluation.assessment || (evaluation.value === true ? "pass" : evaluation.value === false ? "fail" : "");
  const kindOf = evaluation.error ? "warn" : { pass: "good", fail: "error" }[passed] ?? "";
  const sign = evaluation.error ? "problems" : { pass: "check", fail: "close" }[passed];
  return el("span", { class: `badge ${kindOf}`, title: [evaluation.label, evaluation.reasoning || evaluation.error].filter(Boolean).join(": ").slice(0, 500) },
    sign ? icon(sign) : null, user(evaluation.label, 40), el("strong", null, user(value(evaluation), 40)));
}

export function verdicts(list, most = 4) {
  return [list.slice(0, most).map(verdict), list.length > most ? el("span", { class: "faint" }, `+${list.length - most}`) : null];
}

/** Cards of figures; empty ones are left out. */
export function facts(list) {
  return el("dl", { class: "llm-facts" }, list.filter(([, content]) => content !== null && content !== "–").map(([title, content]) => el("div", null, el("dt", null, title), el("dd", null, content))));
}
