/**
 * Suggestions below a search field: keys and values that are in the store, most frequent first.
 * Arrows choose, Tab or Enter take, Escape closes; the focus stays in the field.
 */

import { get } from "../data/api.js";
import { count, term } from "../data/format.js";
import { el, fill, set, user } from "../page/dom.js";

const RESERVED = new Set(["service", "env", "version", "operation_name", "resource_name", "status", "type", "kind", "span_id", "trace_id"]);

/** @param {HTMLInputElement} input @param {HTMLElement} box @param {() => void} commit */
export function suggest(input, box, commit) {
  let found = [];
  let chosen = -1;
  let turn = 0;
  let timer = 0;

  /** The word in which the cursor stands: `@key:value` or a beginning of it. */
  function word() {
    const before = input.value.slice(0, input.selectionStart ?? input.value.length);
    const start = Math.max(before.lastIndexOf(" "), before.lastIndexOf("(")) + 1;
    const text = before.slice(start).replace(/^-/, "");
    const colon = text.indexOf(":");
    const key = (colon < 0 ? text : text.slice(0, colon)).replace(/^@/, "");
    return { offset: before.length - text.length, key, value: colon < 0 ? null : text.slice(colon + 1) };
  }

  function ask() {
    clearTimeout(timer);
    const mine = ++turn;
    timer = setTimeout(async () => {
      const { key, value } = word();
      if (key === "") {
        close();
        return;
      }
      const answer = await get("/api/suggest", value === null ? { key } : { key, value }).catch(() => ({ suggestions: [] }));
      if (mine === turn && document.activeElement === input) show(answer.suggestions.slice(0, 12));
    }, 120);
  }

  function show(next) {
    found = next;
    chosen = -1;
    box.hidden = found.length === 0;
    set(input, { "aria-expanded": found.length > 0 ? "true" : "false", "aria-activedescendant": null });
    fill(box, found.map((suggestion, index) => el("li", {
      role: "option", id: `${box.id}-${index}`, "aria-selected": "false",
      onpointerdown: (event) => { event.preventDefault(); take(index); },
    }, el("span", { class: "clip" }, user(suggestion.text, 80)), el("span", { class: "faint" }, count(suggestion.count)))));
  }

  function close() {
    clearTimeout(timer);
    turn += 1;
    show([]);
  }

  function point(next) {
    if (chosen >= 0) set(box.children[chosen], { "aria-selected": "false" });
    chosen = (next + found.length) % found.length;
    set(box.children[chosen], { "aria-selected": "true" });
    set(input, { "aria-activedescendant": `${box.id}-${chosen}` });
  }

  function take(index) {
    const { offset, key, value } = word();
    const { text } = found[index];
    const sign = (name) => (RESERVED.has(name) ? name : `@${name}`);
    const insert = value === null ? `${sign(text)}:` : `${sign(key)}:${term(text)} `;
    const end = input.selectionStart ?? input.value.length;
    input.value = input.value.slice(0, offset) + insert + input.value.slice(end);
    input.setSelectionRange(offset + insert.length, offset + insert.length);
    close();
    if (value === null) ask();
    else commit();
  }

  /** Keys pressed in the field; true: it was for the suggestions. */
  function key(event) {
    if (box.hidden) return false;
    if (event.key === "ArrowDown") point(chosen + 1);
    else if (event.key === "ArrowUp") point(chosen < 0 ? found.length - 1 : chosen - 1);
    else if (chosen >= 0 && (event.key === "Enter" || event.key === "Tab")) take(chosen);
    else if (event.key === "Escape") close();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  return { ask, close, key };
}
