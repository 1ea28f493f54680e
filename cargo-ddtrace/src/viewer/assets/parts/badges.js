/** Small marks that several pages share: method, status, service, problems, sampling. */

import { serviceClass } from "../data/colours.js";
import { plural } from "../data/format.js";
import { el, user } from "../page/dom.js";
import { icon } from "../page/icons.js";

/** A service: its colour, and always its name. */
export function service(name) {
  return el("span", { class: `service ${serviceClass(name)}`, title: name }, user(name || "(no service)", 100));
}

/** Status of a request; 4xx and 5xx stand out by weight and ground, not by colour alone. */
export function status(code) {
  if (!code) return null;
  const kind = /^5/.test(code) ? "error" : /^4/.test(code) ? "warn" : "";
  return el("span", { class: `badge ${kind}`, title: `status ${code}` }, user(code, 12));
}

/** Method and route of a span, or whatever its resource is. `GET` is not said twice. */
export function resource(span) {
  const method = span.method || "";
  const text = span.resource || span.name || "(no resource)";
  const rest = method && text.startsWith(`${method} `) ? text.slice(method.length + 1) : text;
  return [method ? el("span", { class: "method" }, user(method, 12)) : null, el("span", { class: "clip what", title: text }, user(rest))];
}

/** The worst level among problems, with their number. */
export function problems(number, worst = "violation") {
  if (!number) return null;
  const bad = worst === "rejected" || worst === "dropped";
  const mild = worst === "hint";
  return el("span", { class: `badge ${bad ? "error" : mild ? "" : "warn"}`, title: `${plural(number, "problem")}, worst: ${worst}` },
    icon("problems"), String(number), el("span", { class: "unseen" }, ` ${number === 1 ? "problem" : "problems"}`));
}

/** Errors in a trace. */
export function errors(number) {
  if (!number) return null;
  return el("span", { class: "badge error", title: plural(number, "error") }, icon("error"), String(number),
    el("span", { class: "unseen" }, ` ${number === 1 ? "error" : "errors"}`));
}

/** What a sampling priority means. */
export function priority(value) {
  return { "-1": "dropped by the user", 0: "dropped by the sampler", 1: "kept by the sampler", 2: "kept by the user" }[String(value)] ?? "no sampling priority";
}
