/** Prompts: how calls used each version, and what the local agent manages. */

import { clock, count, duration, plural } from "../data/format.js";
import { el, fill, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import * as route from "../page/route.js";
import { table } from "../parts/table.js";
import { whole } from "./conversation.js";
import { comesTo } from "./evaluations.js";
import { cost, tokens } from "./parts.js";

export function load(get) {
  return get("/api/llm/prompts");
}

export function draw(body, { prompts, managed }, query) {
  const wanted = query.get("prompt");
  const ids = [...new Set([...prompts.map((one) => one.id), ...managed.map((one) => one.id)])].filter((id) => !wanted || id === wanted).sort();
  fill(body, el("div", { class: "scroll llm-page" }, ids.length === 0
    ? [el("p", { class: "soft facts" }, "No call names a prompt. Annotate calls with id, version and template, and versions can be compared here."), el("pre", null, 'llmobs::annotate(Annotation::new().prompt(Prompt { id: "answer".into(), version: "3".into(), ..Default::default() }))?;')]
    : [wanted ? el("p", { class: "facts" }, el("button", { class: "button plain chip", type: "button", onclick: () => route.change({ prompt: null }) }, "prompt: ", user(wanted, 60), " ×")) : null,
      ids.map((id) => {
        const used = prompts.filter((one) => one.id === id);
        const own = managed.find((one) => one.id === id);
        return el("section", { class: "llm-prompt" },
          el("h2", null, user(id || "(no id)", 100), own?.title ? el("span", { class: "faint" }, user(own.title, 100)) : null, own ? el("span", { class: "badge" }, "managed here") : null),
          used.length ? el("div", { class: "table-scroll" }, table(["Version", "Evaluations", "Calls", "Errors", "Tokens", "Cost", "Mean time", "Last"], used.map((one) => [
            el("a", { class: "main-link", href: route.address("/llm", { prompt: id }) }, one.version ? `v${one.version}` : "(none)"), el("div", { class: "llm-marks" }, one.evaluations.map((label) => [el("span", { class: "faint" }, user(label.label, 40)), comesTo(label)])),
            count(one.calls), one.sums.errors ? el("span", { class: "bad" }, count(one.sums.errors)) : "0", tokens(one.sums), cost(one.sums.cost), duration(one.mean_duration), clock(one.last)]), { numbers: 2 })) : el("p", { class: "soft" }, "No call has used it."),
          used.map((one, at) => (one.prompt?.template || one.prompt?.chat_template ? el("details", { class: "llm-fold", open: at === used.length - 1 }, el("summary", null, icon("right"), `Template${one.version ? ` of v${one.version}` : ""}, as the newest call sent it`), whole(one.prompt.template ?? one.prompt.chat_template)) : null)),
          own ? el("details", { class: "llm-fold", open: used.length === 0 }, el("summary", null, icon("right"), plural(own.versions.length, "managed version")),
            [...own.versions].reverse().map((version) => el("div", { class: "llm-tool" }, el("div", { class: "llm-tool-name" }, el("strong", null, `v${version.version}`), version.user_version ? user(version.user_version, 40) : null, version.labels.map((label) => el("span", { class: "badge good" }, user(label, 40))), version.environments.map((env) => el("span", { class: "badge" }, "env ", user(env, 40)))), version.description ? el("p", { class: "soft" }, user(version.description, 500)) : null, whole(version.template)))) : null);
      })]));
}
