/**
 * What went into a span and what came out of it. Messages as a conversation with tool calls and results, documents with
 * their scores, everything else as text; JSON is set in order. Nothing that a model wrote is ever made into markup.
 */

import { el, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import { copy } from "../parts/empty.js";
import { text, tree } from "../parts/values.js";

const ROLES = { system: "System", developer: "Developer", user: "User", assistant: "Assistant", tool: "Tool", function: "Tool", model: "Assistant" };

export function conversation(span) {
  const meta = span.event?.meta ?? {};
  const error = meta.error;
  return [
    error && (error.message || error.type || error.stack) ? el("div", { class: "error-block", role: "alert" },
      el("div", { class: "error-title" }, icon("error"), el("strong", null, user(error.type || "Error", 200))), error.message ? el("p", { class: "error-message" }, text(error.message)) : null,
      error.stack ? el("details", null, el("summary", null, "Stack"), el("pre", { class: "stack-text" }, user(error.stack, 20000))) : null) : null,
    side("Input", meta.input, meta.span?.kind),
    side("Output", meta.output, meta.span?.kind),
    meta.expected_output === undefined ? null : [el("h3", null, "Expected"), whole(meta.expected_output)],
    (span.event?.collection_errors ?? []).length ? el("div", { class: "note warn" }, icon("problems"), `Not all was collected: ${span.event.collection_errors.join(", ").slice(0, 300)}`) : null,
  ];
}

function side(title, io, kind) {
  if (io === undefined || io === null) return null;
  if (kind === "experiment" || typeof io !== "object" || Array.isArray(io)) return [el("h3", null, title), whole(io)];
  const { messages, documents, value, prompt } = io;
  const parts = [
    Array.isArray(messages) ? messages.map((one, at) => message(one, title === "Input" && at < messages.length - 6)) : null,
    Array.isArray(documents) ? el("ol", { class: "llm-documents" }, documents.map(document_)) : null,
    value === undefined || value === "" ? null : whole(value),
    !messages && !documents && value === undefined && !prompt && Object.keys(io).length ? whole(io) : null,
  ].filter((part) => part !== null);
  return parts.length ? [el("h3", null, title), parts] : null;
}

/** Long conversations are folded at their beginning, as are system messages. */
function message(one, isEarly) {
  const role = String(one?.role ?? "");
  const known = ROLES[role] ?? (role || "Message");
  const isFolded = isEarly || role === "system" || role === "developer";
  const content = one?.content;
  const body = [
    content ? whole(content) : null,
    (one?.tool_calls ?? []).map(toolCall),
    (one?.tool_results ?? []).map(toolResult),
    [...(one?.image_parts ?? []), ...(one?.audio_parts ?? [])].map((part) => el("p", { class: "faint" }, icon("link"), " ", user(part.mime_type ?? "media", 60), part.attachment_key ? [" ", user(part.attachment_key, 100)] : null)),
    !content && !(one?.tool_calls ?? []).length && !(one?.tool_results ?? []).length ? el("p", { class: "faint" }, "(empty)") : null,
  ];
  const name = [el("span", { class: "llm-role" }, user(known, 40)), one?.tool_id || one?.tool_call_id ? el("code", { class: "faint" }, user(one.tool_id ?? one.tool_call_id, 60)) : null];
  const kind = `llm-message role-${ROLES[role] ? role : "other"}`;
  if (!isFolded) return el("article", { class: kind }, el("header", null, name, typeof content === "string" && content ? copyButton(content) : null), body);
  return el("details", { class: kind }, el("summary", null, name, el("span", { class: "faint clip" }, user(typeof content === "string" ? content : "", 160))), body);
}

function toolCall(call) {
  return el("div", { class: "llm-tool" }, el("div", { class: "llm-tool-name" }, icon("sliders"), el("strong", null, user(call?.name ?? "tool", 100)), el("span", { class: "faint" }, " called"), call?.tool_id ? el("code", { class: "faint" }, user(call.tool_id, 60)) : null),
    call?.arguments !== undefined ? whole(call.arguments) : null);
}

function toolResult(result) {
  return el("div", { class: "llm-tool result" }, el("div", { class: "llm-tool-name" }, icon("back"), el("strong", null, user(result?.name ?? "tool", 100)), el("span", { class: "faint" }, " answered"), result?.tool_id ? el("code", { class: "faint" }, user(result.tool_id, 60)) : null), whole(result?.result ?? ""));
}

function document_(one) {
  const named = [one?.name, one?.id].filter((part) => part !== undefined && part !== "");
  return el("li", null,
    named.length || typeof one?.score === "number" ? el("header", null, el("strong", null, user(named.join(" · "), 200)), typeof one?.score === "number" ? el("span", { class: "badge", title: "score" }, one.score.toFixed(3).replace(/\.?0+$/, "") || "0") : null) : null,
    text(one?.text ?? ""));
}

function copyButton(content) {
  return el("button", { class: "button plain", type: "button", title: "Copy", "aria-label": "Copy this message", onclick: () => copy(content) }, icon("copy"));
}

/** A value as it is best read: text as text, JSON (also within a text) as a tree. */
export function whole(value) {
  if (typeof value === "string") {
    const parsed = asJson(value);
    return parsed === undefined ? el("div", { class: "llm-text" }, text(value)) : el("div", { class: "json" }, tree(parsed, null, 2));
  }
  return el("div", { class: "json" }, tree(value, null, 2));
}

function asJson(value) {
  if (!/^\s*[[{]/.test(value) || value.length > 200000) return undefined;
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}
