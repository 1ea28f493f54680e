/** What else a span says: its prompt, its tools, metrics, metadata, tags, links, and all of it as JSON. */

import { el, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import * as route from "../page/route.js";
import { snippet } from "../parts/empty.js";
import { pairs, tree } from "../parts/values.js";
import { whole } from "./conversation.js";

function fold(title, number, content, open = false) {
  return el("details", { class: "llm-fold", open }, el("summary", null, icon("right"), title, number ? el("span", { class: "faint" }, String(number)) : null), content);
}

export function details(span) {
  const { meta = {}, metrics = {}, config, span_links: links } = span.event ?? {};
  const prompt = meta.input?.prompt;
  const { _dd: reserved, ...metadata } = meta.metadata ?? {};
  const definitions = meta.tool_definitions ?? [];
  const manifest = reserved?.agent_manifest;
  return el("div", { class: "llm-folds" },
    prompt ? fold(["Prompt ", user(prompt.id ?? "", 80), prompt.version ? el("span", { class: "badge" }, "v", user(prompt.version, 30)) : null], 0, [
      prompt.template || prompt.chat_template ? [el("h3", null, "Template"), whole(prompt.template ?? prompt.chat_template)] : null,
      Object.keys(prompt.variables ?? {}).length ? [el("h3", null, "Variables"), pairs(Object.entries(prompt.variables).map(([key, value]) => [key, String(value), String(value)]))] : null,
      prompt.id ? el("a", { href: route.address("/llm", { view: "prompts", prompt: prompt.id }) }, "All versions") : null,
    ], true) : null,
    manifest ? fold("Agent", 0, el("div", { class: "json" }, tree(manifest, null, 2))) : null,
    definitions.length ? fold("Tools offered", definitions.length, definitions.map((tool) => el("div", { class: "llm-tool" }, el("div", { class: "llm-tool-name" }, icon("sliders"), el("strong", null, user(tool?.name ?? "", 100)), tool?.version ? el("span", { class: "badge" }, user(tool.version, 30)) : null),
      tool?.description ? el("p", { class: "soft" }, user(tool.description, 1000)) : null, tool?.schema ? el("div", { class: "json" }, tree(tool.schema, "schema", 0)) : null))) : null,
    Object.keys(metrics).length ? fold("Metrics", Object.keys(metrics).length, pairs(Object.entries(metrics).map(([key, value]) => [key, String(value), String(value)]))) : null,
    Object.keys(metadata).length ? fold("Metadata", Object.keys(metadata).length, el("div", { class: "json" }, tree(metadata, null, 2))) : null,
    config ? fold("Configuration", 0, el("div", { class: "json" }, tree(config, null, 2))) : null,
    (links ?? []).length ? fold("Links", links.length, el("div", { class: "json" }, tree(links, null, 2))) : null,
    span.tags.length ? fold("Tags", span.tags.length, pairs(span.tags.map((tag) => [tag.slice(0, tag.indexOf(":")), tag.slice(tag.indexOf(":") + 1), tag]))) : null,
    fold("As it came", 0, [
      el("p", { class: "hint" }, span.transport === "apm" ? "It came inside an APM trace. " : "It came through the intake. ", el("a", { href: `/requests/${span.request}` }, `Request ${span.request}`)),
      el("div", { class: "json" }, tree(span.event, null, 1)), snippet(`curl -s 'localhost:${location.port || 80}/api/llm/traces/${span.event?.trace_id}/spans/${span.span}'`)]));
}
