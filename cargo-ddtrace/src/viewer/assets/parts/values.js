/** Values as they were sent: tables of keys and values, and JSON as a tree that unfolds. */

import { el, user } from "../page/dom.js";
import { icon } from "../page/icons.js";
import { copy } from "./empty.js";

const LONG = 2000;

/** A text of any length: long ones are cut and unfold. */
export function text(value) {
  const whole = String(value);
  if (whole.length <= LONG) return user(whole, Infinity);
  const node = el("span", null, user(whole, LONG), " ", el("button", { class: "button plain", type: "button", onclick: () => node.replaceChildren(user(whole, Infinity)) }, `show all ${whole.length.toLocaleString("en-US")} characters`));
  return node;
}

/**
 * Rows of name and value. Each value can be copied, or looked for.
 * @param {any[][]} pairs name, shown value, text to copy
 * @param {(name: string, value: string) => void} [onFind]
 */
export function pairs(pairs, onFind) {
  return el("dl", { class: "pairs" }, pairs.map(([name, value, raw]) => el("div", null,
    el("dt", null, user(name, 200)),
    el("dd", null, typeof value === "string" || typeof value === "number" ? text(value) : value,
      raw === undefined ? null : el("span", { class: "tools" },
        onFind ? el("button", { class: "button plain", type: "button", title: "Traces with this value", "aria-label": `Traces with this ${name}`, onclick: () => onFind(name, raw) }, icon("search")) : null,
        el("button", { class: "button plain", type: "button", title: "Copy", "aria-label": `Copy ${name}`, onclick: () => copy(raw) }, icon("copy")))))));
}

/**
 * JSON as a tree. Branches are made when they are opened, so size does not matter.
 * @param {unknown} value
 */
export function tree(value, name = null, open = 1) {
  const label = name === null ? null : el("span", { class: "json-key" }, user(name, 200), ": ");
  if (value === null || typeof value !== "object") {
    const kind = value === null ? "null" : typeof value;
    return el("div", { class: "json-leaf" }, label, el("span", { class: `json-${kind}` }, kind === "string" ? [`"`, text(value), `"`] : text(value)));
  }
  const entries = Array.isArray(value) ? value.map((item, index) => [String(index), item]) : Object.entries(value);
  const braces = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  const body = el("div", { class: "json-body" });
  let from = 0;
  const more = () => {
    const part = entries.slice(from, from + 200);
    from += part.length;
    body.append(...part.map(([key, item]) => tree(item, key, open - 1)));
    if (from < entries.length) {
      const button = el("button", { class: "button plain", type: "button", onclick: () => { button.remove(); more(); } }, `${entries.length - from} more`);
      body.append(button);
    }
  };
  const node = el("details", { class: "json-branch", open: open > 0, ontoggle: () => { if (node.open && from === 0) more(); } },
    el("summary", null, label, el("span", { class: "faint" }, `${braces[0]}${entries.length}${braces[1]}`)), body);
  if (open > 0) more();
  return node;
}

/** Instead of an empty tab. */
export function none(sentence) {
  return el("p", { class: "none" }, sentence);
}
