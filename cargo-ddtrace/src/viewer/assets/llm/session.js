/** One session: its turns as one conversation, oldest first. */

import { clock, duration, plural } from "../data/format.js";
import { el, fill, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import * as badge from "../parts/badges.js";
import { text } from "../parts/values.js";
import { cost, facts, tokens, verdicts } from "./parts.js";

export async function load(get, query, id) {
  const data = await get("/api/llm/traces", { session: id, limit: 1000 });
  return { ...data, id, traces: data.traces.reverse() };
}

export function tools(data) {
  return [el("h1", { class: "clip" }, "Session ", user(data.id, 80)), el("span", { class: "grow" })];
}

export function draw(body, { traces }) {
  const sum = (key) => traces.reduce((total, trace) => total + trace.sums[key], 0);
  const costs = traces.map((trace) => trace.sums.cost).filter(Boolean);
  fill(body,
    facts([["Turns", String(traces.length)], ["Tokens", tokens({ input_tokens: sum("input_tokens"), output_tokens: sum("output_tokens"), total_tokens: sum("total_tokens") })],
      ["Cost", costs.length ? cost({ usd: costs.reduce((total, one) => total + one.usd, 0), estimated: costs.some((one) => one.estimated) }) : null],
      ["Errors", sum("errors") ? el("span", { class: "bad" }, String(sum("errors"))) : null]]),
    el("div", { class: "scroll llm-page llm-turns" }, traces.length === 0 ? el("p", { class: "soft" }, "No trace names this session.") : traces.map((trace, at) => el("section", { class: "llm-turn" },
      el("header", null, el("strong", null, `Turn ${at + 1}`), el("a", { class: "main-link", href: `/llm/${encodeURIComponent(trace.id)}` }, user(trace.name || "(no name)", 80)), el("span", { class: "faint" }, `${clock(trace.start)} · ${duration(trace.duration)} · ${plural(trace.sums.calls, "model call")}${trace.sums.tools ? `, ${plural(trace.sums.tools, "tool call")}` : ""}`), badge.errors(trace.sums.errors), verdicts(trace.evaluations)),
      trace.input ? el("article", { class: "llm-message role-user" }, el("header", null, el("span", { class: "llm-role" }, "User")), el("div", { class: "llm-text" }, text(trace.input))) : null,
      trace.output ? el("article", { class: "llm-message role-assistant" }, el("header", null, el("span", { class: "llm-role" }, "Assistant")), el("div", { class: "llm-text" }, text(trace.output)))
        : trace.sums.errors ? el("div", { class: "error-block" }, el("div", { class: "error-title" }, icon("error"), user(trace.error_text || "It failed", 400))) : null))));
}
