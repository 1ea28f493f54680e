/** The list of keys, and which program opens source files. */

import { el, set } from "./dom.js";
import * as keyboard from "./keyboard.js";

const NAMES = { Escape: "Esc", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };
const EDITORS = [["vscode", "VS Code"], ["vscodium", "VSCodium"], ["cursor", "Cursor"], ["zed", "Zed"], ["idea", "IntelliJ, RustRover"], ["subl", "Sublime Text"], ["emacs", "Emacs"]];

export function showKeys() {
  const dialog = el("dialog", { "aria-label": "Keys", onclose: () => dialog.remove() },
    el("h2", null, "Keys"),
    el("div", { class: "keys" }, keyboard.known().map(([title, keys]) => {
      const named = keys.filter((key) => key.label);
      return named.length === 0 ? null : [el("h3", null, title), named.map((key) => [
        el("span", null, (key.shown ?? key.key).split(" ").map((part) => [el("kbd", null, NAMES[part] ?? part), " "])),
        el("span", { class: "soft" }, key.label),
      ])];
    })),
    el("label", { class: "check" }, "Source files open in ", editors()),
    el("form", { class: "dialog-foot", onsubmit: (event) => { event.preventDefault(); dialog.close(); } },
      el("button", { class: "button", type: "submit" }, "Close")));
  document.body.append(dialog);
  dialog.showModal();
}

function editors() {
  const select = el("select", { class: "field", onchange: () => localStorage.setItem("ddtrace.editor", select.value) },
    EDITORS.map(([value, title]) => el("option", { value }, title)));
  try {
    select.value = localStorage.getItem("ddtrace.editor") || "vscode";
  } catch {
    set(select, { disabled: true });
  }
  return select;
}
