/** One LLM trace: its spans as a tree with marks for what failed, and the chosen span beside it. */

import { get as fetchJson } from "../data/api.js";
import { duration, moment, plural } from "../data/format.js";
import { el, fill, style, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import * as route from "../page/route.js";
import { conversation } from "./conversation.js";
import { details } from "./details.js";
import { cost, facts, kind, tokens, verdict } from "./parts.js";

export function load(get, query, id) {
  return get(`/api/llm/traces/${encodeURIComponent(id)}`);
}

export function tools(trace) {
  return [el("h1", { class: "clip" }, user(trace.name || "(no name)", 120)), kind(trace.kind), el("span", { class: "grow" }),
    /^[0-9a-f]{32}$/.test(trace.apm_trace) ? el("a", { class: "button", href: `/trace/${trace.apm_trace}` }, icon("traces"), "Trace") : null];
}

/** Spans in the order of display, each with its depth. Iterative: traces may be deep. */
function ordered(spans) {
  const known = new Set(spans.map((span) => span.span));
  const children = new Map();
  for (const span of spans) {
    const parent = known.has(span.parent) && span.parent !== span.span ? span.parent : "";
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent).push(span);
  }
  const rows = [];
  const seen = new Set();
  const stack = [...(children.get("") ?? [])].reverse().map((span) => [span, 0]);
  while (stack.length > 0) {
    const [span, depth] = stack.pop();
    if (seen.has(span.span)) continue;
    seen.add(span.span);
    rows.push([span, depth]);
    for (const child of [...(children.get(span.span) ?? [])].reverse()) stack.push([child, depth + 1]);
  }
  // What is its own ancestor is reached from nowhere, and shown all the same.
  for (const span of spans) if (!seen.has(span.span)) rows.push([span, 0]);
  return rows;
}

const isBad = (evaluation) => evaluation.assessment === "fail" || evaluation.value === false;

export function draw(body, trace, query) {
  const rows = ordered(trace.spans);
  // What is looked for first is where it failed: an error that no span below has handed up; then the call of a model.
  const above = new Set(rows.filter(([span]) => span.error).map(([span]) => span.parent));
  const first = rows.find(([span]) => span.error && !above.has(span.span)) ?? rows.find(([span]) => span.error) ?? rows.find(([span]) => span.kind === "llm") ?? rows[0];
  const chosen = (rows.find(([span]) => span.span === query.get("span")) ?? first)[0];
  const scroll = body.querySelector(".llm-detail")?.dataset.span === chosen.span ? body.querySelector(".llm-detail").scrollTop : 0;
  const hadFocus = document.activeElement?.matches?.(".llm-span");
  const whole = Math.max(1, Number(trace.duration));
  const tree = el("nav", { class: "llm-tree scroll", "aria-label": "Spans" },
    rows.map(([span, depth]) => style(el("button", {
      class: `llm-span ${span.error ? "is-error" : ""}`, type: "button", "aria-current": span.span === chosen.span ? "true" : null, "data-span": span.span,
      "aria-label": `${span.kind} ${span.name}, ${duration(span.duration)}${span.error ? ", failed" : ""}`,
      onclick: () => route.change({ span: span.span }),
    },
    el("span", { class: "llm-span-head" }, kind(span.kind), el("span", { class: "clip" }, user(span.name || "(no name)", 80)),
      span.error ? el("span", { class: "mark-error", title: span.error_text }, icon("error")) : null,
      span.evaluations.some(isBad) ? el("span", { class: "badge error", title: "an evaluation failed" }, icon("close"), "eval") : null,
      el("span", { class: "llm-span-time" }, duration(span.duration))),
    el("span", { class: "llm-span-line" }, style(el("i"), { left: `${(100 * Number(span.offset)) / whole}%`, width: `${Math.max(0.5, (100 * Number(span.duration)) / whole)}%` })),
    span.model ? el("span", { class: "llm-span-sub faint" }, user(span.model, 60)) : null), { "--depth": String(Math.min(depth, 12)) })),
    trace.more ? el("p", { class: "soft" }, `${plural(trace.more, "more span")}`) : null);
  const detail = el("section", { class: "llm-detail scroll", tabindex: 0, "aria-label": "Selected span", "data-span": chosen.span });
  fill(body,
    facts([
      ["Took", duration(trace.duration)], ["First token", trace.first_token === null ? null : duration(trace.first_token)], ["Tokens", tokens(trace.sums)], ["Cost", trace.sums.cost ? cost(trace.sums.cost) : null],
      ["Calls", trace.sums.calls ? String(trace.sums.calls) : null], ["Tools", trace.sums.tools ? String(trace.sums.tools) : null],
      ["Errors", trace.sums.errors ? el("span", { class: "bad" }, String(trace.sums.errors)) : null],
      ["Application", user(trace.ml_app || "–", 60)],
      ["Session", trace.session ? el("a", { href: `/llm/session/${encodeURIComponent(trace.session)}` }, user(trace.session, 40)) : null],
      ["Prompt", trace.prompts.length ? trace.prompts.map(({ id, version }) => el("a", { href: route.address("/llm", { view: "prompts", prompt: id }) }, user(id, 60), version ? ` v${version} ` : " ")) : null],
      ["Began", moment(trace.start)],
    ]),
    el("div", { class: "llm-split" }, tree, detail));
  show(detail, trace, chosen);
  detail.scrollTop = scroll;
  const row = tree.querySelector("[aria-current=true]");
  if (hadFocus) row?.focus();
  row?.scrollIntoView({ block: "nearest" });
}

function show(detail, trace, span) {
  fill(detail,
    el("header", { class: "llm-span-title" }, kind(span.kind), el("h2", null, user(span.name || "(no name)", 200)),
      span.model ? el("span", { class: "soft" }, user(span.model, 80), span.provider ? el("span", { class: "faint" }, " ", user(span.provider, 40)) : null) : null),
    facts([
      ["Took", duration(span.duration)], ["First token", span.metrics.time_to_first_token === undefined ? null : duration(span.metrics.time_to_first_token * 1e9)],
      ["Tokens", tokens({ input_tokens: span.metrics.input_tokens ?? 0, output_tokens: span.metrics.output_tokens ?? 0, total_tokens: span.metrics.total_tokens ?? 0 })],
      ["Cached", span.metrics.cache_read_input_tokens ? String(span.metrics.cache_read_input_tokens) : null],
      ["Reasoning", span.metrics.reasoning_output_tokens ? String(span.metrics.reasoning_output_tokens) : null],
      ["Cost", span.cost ? cost(span.cost) : null],
    ]),
    span.cut ? el("div", { class: "note" }, "Long texts are cut here. ", el("button", { class: "button", type: "button", onclick: async () => {
      const whole = await fetchJson(`/api/llm/traces/${encodeURIComponent(trace.id)}/spans/${encodeURIComponent(span.span)}`);
      show(detail, trace, whole);
    } }, "Load all of it")) : null,
    span.evaluations.length ? el("div", { class: "llm-evaluations" }, span.evaluations.map((evaluation) => el("div", null, verdict(evaluation),
      evaluation.event === "feedback" ? el("span", { class: "faint" }, " feedback", evaluation.submitter ? [" by ", user(evaluation.submitter, 60)] : null) : null,
      evaluation.reasoning ? el("span", { class: "soft" }, " ", user(evaluation.reasoning, 1000)) : null))) : null,
    conversation(span),
    details(span));
}
