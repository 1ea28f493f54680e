/** The list of LLM traces. */

import { clock, count, duration, plural } from "../data/format.js";
import { el, fill, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import * as route from "../page/route.js";
import * as badge from "../parts/badges.js";
import { empty } from "../parts/empty.js";
import { table } from "../parts/table.js";
import { cost, kind, tokens, verdicts } from "./parts.js";

const FILTERS = ["ml_app", "session", "model", "prompt", "q"];

export function load(get, query) {
  const wanted = Object.fromEntries(FILTERS.map((key) => [key, query.get(key)]));
  return get("/api/llm/traces", { ...wanted, error: query.get("error") === "true" ? "true" : null, limit: 300 });
}

export function tools(data, query) {
  const field = el("input", { class: "field", type: "search", placeholder: "Search in names, inputs and outputs", "aria-label": "Search", value: query.get("q") ?? "", spellcheck: "false", onchange: () => route.change({ q: field.value.trim() }) });
  const apps = el("select", { class: "field", "aria-label": "Application", onchange: () => route.change({ ml_app: apps.value }) },
    el("option", { value: "" }, "All applications"), data.ml_apps.map((app) => el("option", { value: app, selected: app === query.get("ml_app") }, app || "(no name)")));
  return [el("div", { class: "search" }, icon("search"), field), apps,
    el("button", { class: "button", type: "button", "aria-pressed": String(query.get("error") === "true"), onclick: () => route.change({ error: query.get("error") === "true" ? null : "true" }) }, icon("error"), "Errors")];
}

export function draw(body, data, query) {
  if (data.total === 0) {
    fill(body, el("div", { class: "scroll llm-page" }, empty({
      icon: "spark", title: "No LLM spans yet",
      text: "Calls of models are shown here with their conversations, tools, tokens, cost and evaluations, together with the workflows and agents that made them.",
      reasons: ["No LLM span has come. LLM Observability is off by default: set DD_LLMOBS_ENABLED=1 and build with the feature llmobs."],
      snippets: ['#[llm(model_name = "gpt-4o", model_provider = "openai")]\nasync fn answer(question: &str) -> Result<String, Error> { … }', "DD_LLMOBS_ENABLED=1 cargo ddtrace run --features llmobs"],
    })));
    return;
  }
  const chosen = ["session", "model", "prompt"].filter((key) => query.get(key));
  fill(body, el("div", { class: "scroll llm-page" },
    el("p", { class: "soft facts" }, el("strong", null, plural(data.matched, "trace")), data.matched < data.total ? ` of ${count(data.total)}` : "", data.evicted ? `; ${plural(data.evicted, "older span")} made room` : "",
      chosen.map((key) => el("button", { class: "button plain chip", type: "button", title: "Take this filter away", onclick: () => route.change({ [key]: null }) }, `${key}: `, user(query.get(key), 60), icon("close")))),
    data.traces.length === 0 ? el("p", { class: "soft" }, "No trace is like this.") : el("div", { class: "table-scroll" }, table(
      ["Time", "Trace", "Input and output", "Model", "Tokens", "Cost", "First token", "Took"],
      data.traces.map((trace) => [
        el("span", { class: "faint" }, clock(trace.start)),
        [el("a", { class: "main-link", href: `/llm/${encodeURIComponent(trace.id)}` }, user(trace.name || "(no name)", 80)), el("div", { class: "llm-marks" }, kind(trace.kind), badge.errors(trace.sums.errors), trace.root_missing ? el("span", { class: "badge warn" }, "root missing") : null),
          el("div", { class: "faint" }, user(trace.ml_app, 60), trace.session ? [" · ", el("a", { class: "faint-link", href: `/llm/session/${encodeURIComponent(trace.session)}` }, user(trace.session, 30))] : null)],
        el("div", { class: "llm-io" }, el("div", { class: "clip" }, el("span", { class: "faint" }, "in "), user(trace.input, 200)), trace.output || !trace.error_text ? el("div", { class: "clip" }, el("span", { class: "faint" }, "out "), user(trace.output, 200)) : el("div", { class: "clip bad" }, user(trace.error_text, 200)),
          trace.evaluations.length ? el("div", { class: "llm-marks" }, verdicts(trace.evaluations)) : null),
        [trace.models.length ? trace.models.slice(0, 3).map((model) => el("div", { class: "clip model" }, user(model, 60))) : "–", trace.sums.tools ? el("div", { class: "faint" }, plural(trace.sums.tools, "tool call")) : null],
        tokens(trace.sums), cost(trace.sums.cost), trace.first_token === null ? "–" : duration(trace.first_token), duration(trace.duration),
      ]), { numbers: 4 })),
    data.cursor ? el("p", { class: "soft" }, "Older ones are not shown; search for them.") : null,
    el("p", { class: "hint" }, `≈ is reckoned from tokens and the list prices of ${data.prices}; llm_prices.json in the folder of --data corrects them.`)));
}
