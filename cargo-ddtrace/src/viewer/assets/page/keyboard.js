/**
 * Keys. The frame and the page of the moment each register a list; the page's wins. `g` waits for a
 * second letter. Keys do nothing while text is being typed, except Escape, which leaves the field.
 */

/** @typedef {{key: string, label: string, run: (event: KeyboardEvent) => unknown, shown?: string}} Key */

/** @type {{frame: Key[], page: Key[]}} */
const keys = { frame: [], page: [] };
let prefix = "";
let prefixTimer = 0;

export function frameKeys(list) {
  keys.frame = list;
}

export function pageKeys(list) {
  keys.page = list;
}

/** What `?` lists: the page's keys, then the frame's. @returns {[string, Key[]][]} */
export function known() {
  return [["This page", keys.page], ["Everywhere", keys.frame]];
}

export function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target instanceof HTMLElement ? event.target : null;
    if (document.querySelector("dialog[open]")) return;
    if (target?.matches("input:not([type=checkbox]), textarea, select")) {
      if (event.key === "Escape") target.blur();
      return;
    }
    if ((event.key === "Enter" || event.key === " ") && target?.matches("button, a, summary, input")) return;
    const wanted = prefix ? `${prefix} ${event.key}` : event.key;
    clearPrefix();
    const found = [...keys.page, ...keys.frame].find((key) => key.key === wanted);
    if (found) {
      if (found.run(event) !== false) event.preventDefault();
    } else if (event.key === "g") {
      prefix = "g";
      prefixTimer = setTimeout(clearPrefix, 1500);
    }
  });
}

function clearPrefix() {
  clearTimeout(prefixTimer);
  prefix = "";
}
