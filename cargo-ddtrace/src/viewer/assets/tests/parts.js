/** Small parts of the test pages: outcomes, marks, bars over time. */

import { el, style, user } from "../page/dom.js";
import { icon } from "../page/icons.js";

/** Sign, word and colour of an outcome; never colour alone. */
const OUTCOMES = {
  pass: ["check", "passed", "good"],
  fail: ["error", "failed", "error"],
  flaky: ["repeat", "flaky", "warn"],
  skip: ["right", "skipped", ""],
  running: ["play", "running", ""],
  interrupted: ["pause", "interrupted", "warn"],
};

/** @param {string} name */
export function outcome(name) {
  const [sign, word, kind] = OUTCOMES[name] ?? ["problems", name, "warn"];
  return el("span", { class: `badge ${kind}` }, icon(sign), user(word, 20));
}

/** A mark such as `is_quarantined`. */
export function mark(name) {
  return el("span", { class: "badge" }, user(name.replace(/^(is_test_|is_)/, "").replaceAll("_", " "), 40));
}

/**
 * Bars over time. What they say is said again in the table below them, so they are one image to a screen reader.
 * @param {any[]} items oldest first
 * @param {(item: any) => {value: number, bad: boolean, title: string}} read
 * @param {string} label
 */
export function bars(items, read, label) {
  const shown = items.map(read);
  const most = Math.max(1, ...shown.map((item) => item.value));
  return el("div", { class: "test-bars", role: "img", "aria-label": label }, shown.map((item) => style(
    el("span", { class: item.bad ? "wrong" : "", title: item.title }), { height: `${Math.max(6, Math.round((100 * item.value) / most))}%` })));
}
