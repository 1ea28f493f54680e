/**
 * What a page shows when it has nothing: what it is for, the code or command that fills it, and, if
 * the agent knows why nothing can come, that reason first.
 */

import { el } from "../page/dom.js";
import { icon } from "../page/icons.js";

/** Text that can be copied. @param {string} text */
export function snippet(text) {
  const button = el("button", { class: "button plain", type: "button", "aria-label": "Copy", onclick: () => copy(text) }, icon("copy"));
  return el("div", { class: "snippet" }, el("pre", null, text), button);
}

/** @param {{icon: string, title: string, text: string, reasons?: string[], snippets?: string[]}} state */
export function empty(state) {
  return el("div", { class: "empty", role: "status" },
    icon(state.icon, "large"),
    el("h2", null, state.title),
    el("p", null, state.text),
    (state.reasons ?? []).map((reason) => el("div", { class: "reason" }, icon("problems"), el("span", null, reason))),
    (state.snippets ?? []).map(snippet));
}

/** Copies and says so. */
export async function copy(text, what = "Copied") {
  try {
    await navigator.clipboard.writeText(text);
    toast(what);
  } catch {
    toast("The browser did not allow copying");
  }
}

/** One short sentence at the foot of the page, gone after three seconds. */
export function toast(text) {
  document.querySelector(".toast")?.remove();
  const node = el("div", { class: "toast", role: "status" }, text);
  document.body.append(node);
  setTimeout(() => node.remove(), 3000);
}

/**
 * Why no trace may have come, judged by what the agent knows: no client at all, clients that send
 * something else, everything sampled out, everything rejected.
 */
export function reasonsForNoTraces(status) {
  if (!status) return [];
  const { counts } = status;
  if (counts.traces > 0) return [];
  const reasons = [];
  if (counts.rejected_payloads > 0) {
    reasons.push(`${counts.rejected_payloads} payloads came and were rejected; Problems says why.`);
  }
  if (counts.dropped_chunks > 0) {
    reasons.push(`${counts.dropped_chunks} chunks came that a Datadog Agent throws away; Problems says why.`);
  }
  if (counts.sampled_out_traces > 0) {
    reasons.push(`${counts.sampled_out_traces} traces were sampled out before they were sent: set DD_TRACE_SAMPLE_RATE=1.`);
  }
  if (reasons.length === 0 && (status.clients ?? []).length > 0) {
    reasons.push("A program is connected and sends no traces: is DD_TRACE_ENABLED=false set, or is no function annotated?");
  }
  if (reasons.length === 0) {
    reasons.push("No program has connected yet. Without ddtrace::init() in main nothing is sent.");
  }
  return reasons;
}
