/**
 * The search field: Datadog's language, the place of a mistake, and suggestions, whose code is
 * loaded when the field is first used.
 */

import { el, set } from "../page/dom.js";
import { icon } from "../page/icons.js";

let instances = 0;

/** @param {{value: string, label: string, placeholder: string, onChange: (q: string) => void}} options */
export function searchField(options) {
  const id = `suggestions-${++instances}`;
  const box = el("ul", { class: "suggestions", role: "listbox", id, hidden: true, "aria-label": "Suggestions" });
  let committed = options.value;
  let suggestions = null;
  const input = el("input", {
    class: "field", type: "search", value: options.value, placeholder: options.placeholder, "aria-label": options.label,
    autocomplete: "off", spellcheck: "false", role: "combobox", "aria-expanded": "false", "aria-controls": id, "aria-autocomplete": "list",
    onfocus: async () => { suggestions ??= (await import("./suggestions.js")).suggest(input, box, commit); },
    oninput: () => { wrong(null); suggestions?.ask(); },
    onkeydown: (event) => {
      if (suggestions?.key(event) || event.key !== "Enter") return;
      suggestions?.close();
      commit();
    },
    onblur: () => suggestions?.close(),
    onsearch: commit,
  });
  const node = el("div", { class: "search" }, icon("search"), input, el("kbd", { "aria-hidden": "true" }, "/"), box);

  function commit() {
    const value = input.value.trim();
    if (value === committed) return;
    committed = value;
    options.onChange(value);
  }

  /** Marks the field as wrong and puts the cursor at the place; `null` takes the mark away. */
  function wrong(at, message = "") {
    set(input, { "aria-invalid": at === null ? null : "true", title: at === null ? null : message });
    if (at !== null && document.activeElement === input) input.setSelectionRange(at, at);
  }

  return {
    node, input, wrong,
    set(value) {
      committed = value;
      if (document.activeElement !== input || input.value.trim() !== value) input.value = value;
    },
  };
}
