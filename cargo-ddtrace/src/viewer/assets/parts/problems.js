/** Problems that the agent found: level, sentence, what to do, where. */

import { clock } from "../data/format.js";
import { el, user } from "../page/dom.js";
import { none } from "./values.js";

export const LEVELS = {
  rejected: { title: "Rejected", text: "a real Agent refuses the payload", mark: "error" },
  dropped: { title: "Dropped", text: "a real Agent answers 200 and throws the chunk away", mark: "error" },
  violation: { title: "Violation", text: "taken, but data is lost, changed or wrong", mark: "warn" },
  hint: { title: "Hint", text: "worth a look", mark: "" },
};

export function level(name) {
  const known = LEVELS[name] ?? LEVELS.hint;
  return el("span", { class: `badge ${known.mark}`, title: known.text }, known.title);
}

/** Links to what a problem is about. */
export function origin(problem) {
  return el("span", { class: "origin" },
    problem.trace ? el("a", { href: `/trace/${problem.trace}${problem.span ? `?span=${problem.span}&tab=problems` : ""}` }, "trace") : null,
    problem.request !== null && problem.request !== undefined ? el("a", { href: `/requests/${problem.request}` }, `request ${problem.request}`) : null,
    problem.time ? el("span", { class: "faint" }, clock(problem.time, true)) : null);
}

export function problemList(problems, sentence) {
  if (problems.length === 0) return none(sentence);
  return el("ol", { class: "events" }, problems.map((problem) => el("li", null,
    el("div", { class: "event-head" }, level(problem.level), el("strong", null, user(problem.sentence))),
    problem.detail ? el("p", null, user(problem.detail, 2000)) : null,
    problem.advice ? el("p", { class: "soft" }, user(problem.advice)) : null,
    el("p", { class: "faint small" }, el("code", null, user(problem.rule)), " · ", user(problem.at)))));
}
